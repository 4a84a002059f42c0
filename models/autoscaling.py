"""Settings of a HorizontalPodAutoscaler: autoscaling/v2 and the flags of kube-controller-manager that matter to it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class StrictPart(BaseModel):
    """Base of a scenario's workload parts: frozen, unknown fields refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class PolicyPart(StrictPart):
    """One scaling policy: at most `value` pods or percent within `period_s`."""

    type: Literal["Pods", "Percent"]
    value: int = Field(ge=1)
    period_s: int = Field(15, ge=1, le=1800)


class RulesPart(StrictPart):
    """Rules of one direction; a window of None is the controller's own (scale-down 300 s, scale-up 0)."""

    stabilization_window_s: int | None = Field(None, ge=0, le=3600)
    select_policy: Literal["Max", "Min", "Disabled"] = "Max"
    policies: tuple[PolicyPart, ...] = Field(min_length=1)


class BehaviorPart(StrictPart):
    """`behavior` of autoscaling/v2 with its defaults: up 100 % or 4 pods a quarter minute, down all at once."""

    scale_up: RulesPart = RulesPart(
        stabilization_window_s=0,
        policies=(PolicyPart(type="Percent", value=100), PolicyPart(type="Pods", value=4)),
    )
    scale_down: RulesPart = RulesPart(policies=(PolicyPart(type="Percent", value=100),))


class MetricPart(StrictPart):
    """What an autoscaler looks at.

    cpu, memory: percent of the request, averaged over pods. pods: load per pod. external: the whole load, against
    `target` per pod (AverageValue), or against `target` as it is (`per_pod: false`, Value).
    """

    kind: Literal["cpu", "memory", "pods", "external"]
    target: float = Field(gt=0.0)
    per_pod: bool = True


class HpaPart(StrictPart):
    """A HorizontalPodAutoscaler and the controller flags that matter to it; without `behavior` the older fixed limits hold."""

    min_replicas: int = Field(1, ge=1)
    max_replicas: int = Field(ge=1)
    metrics: tuple[MetricPart, ...] = Field((MetricPart(kind="cpu", target=80.0),), min_length=1)
    behavior: BehaviorPart | None = None
    tolerance_up: float = Field(0.1, ge=0.0, le=1.0, description="--horizontal-pod-autoscaler-tolerance, or the rule's own since 1.33")
    tolerance_down: float = Field(0.1, ge=0.0, le=1.0)
    sync_s: int = Field(15, ge=1, description="--horizontal-pod-autoscaler-sync-period")
    downscale_stabilization_s: int = Field(300, ge=0, description="--horizontal-pod-autoscaler-downscale-stabilization")
    cpu_initialization_s: int = Field(300, ge=0, description="--horizontal-pod-autoscaler-cpu-initialization-period")
    initial_readiness_s: int = Field(30, ge=0, description="--horizontal-pod-autoscaler-initial-readiness-delay")
    metrics_resolution_s: int = Field(15, ge=1, description="metrics-server's --metric-resolution, or the adapter's relist interval")
    metrics_lag_s: int = Field(0, ge=0, description="from a sample to the controller seeing it")

    @model_validator(mode="after")
    def _ordered(self) -> HpaPart:
        if self.max_replicas < self.min_replicas:
            raise ValueError(f"max_replicas {self.max_replicas} is below min_replicas {self.min_replicas}")
        return self
