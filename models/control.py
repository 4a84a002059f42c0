"""What a scenario says about control processes: node autoscalers, the way back, waiting, data, upgrades, burst pools."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from models.workload import WorkloadClass

Share = Annotated[float, Field(ge=0.0, le=1.0)]
WaitPolicy = Literal["zero", "constant", "runtime", "size", "cost", "cost_aware", "never"]
Side = Literal["private", "aws"]


class ControlPart(BaseModel):
    """Base of these parts: frozen, unknown fields refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class BudgetPart(ControlPart):
    """One of Karpenter's disruption budgets; the smallest active one counts."""

    nodes: str = Field(
        "10%", pattern=r"^(\d{1,2}%|100%|\d+)$", description="nodes of a pool disrupted at once: a share, rounded up, or a number"
    )
    schedule: str | None = Field(None, description="when it begins to be active: cron in UTC, five fields; always when empty")
    duration_h: float | None = Field(None, gt=0.0, description="how long it stays active after each beginning")


class KarpenterPart(ControlPart):
    """Karpenter's own settings."""

    batch_idle_s: float = Field(1.0, gt=0.0, description="a batch ends when no pod began to wait for so long")
    batch_max_s: float = Field(10.0, gt=0.0, description="and after so long at the latest")
    consolidate_after_s: float | None = Field(300.0, ge=0.0, description="quiet time before a node may be consolidated; null: never")
    budgets: tuple[BudgetPart, ...] = (BudgetPart(),)
    expire_after_h: float | None = Field(720.0, gt=0.0, description="age at which a node is replaced; null: never")


class DeschedulerPart(ControlPart):
    """A descheduler that evicts pods from burst nodes when private nodes have room."""

    interval_s: float = Field(300.0, gt=0.0)
    max_per_node: int | None = Field(None, ge=1, description="most evictions of a node in one round")
    max_total: int | None = Field(None, ge=1, description="most evictions of one round")


class WaitPart(ControlPart):
    """How long pods of a class wait for room before a node is ordered for them."""

    policy: WaitPolicy = "zero"
    factor: float = Field(
        0.0,
        ge=0.0,
        description="constant: hours; runtime: the wait is (factor - 1) x run time; size: hours per requested core; "
        "cost: hours per core-hour; cost_aware: USD that an hour of delay of one pod costs",
    )

    @model_validator(mode="after")
    def _waits_forward(self) -> WaitPart:
        if self.policy == "runtime" and self.factor < 1.0:
            raise ValueError("the run-time policy waits (factor - 1) x run time: give a factor of at least 1")
        return self


class DataPart(ControlPart):
    """Data that workloads reach for; what crosses between the sides is paid by the gigabyte."""

    workloads: str = Field("*", description="namespace/name of the workloads, * and ? allowed")
    workload_class: WorkloadClass | None = Field(None, description="only workloads of this class")
    side: Side = Field("private", description="where the data lies")
    gb_per_pod_h: float = Field(ge=0.0, description="gigabytes that cross for every hour a pod runs on the other side")


class UpgradePart(ControlPart):
    """A rolling upgrade of one private zone: nodes are drained and come back, some at a time."""

    zone: str
    start_hour: int = Field(ge=0, description="hour of the run in which it begins")
    at_once: int = Field(1, ge=1, description="nodes away at one time")
    minutes_per_node: float = Field(30.0, gt=0.0, description="from the drain of a node to its return")


class AwsPoolPart(ControlPart):
    """One burst pool on AWS: several instance types, part of them as spot."""

    name: str = Field(pattern=r"^[a-z][a-z0-9-]{0,40}$")
    instance_types: tuple[str, ...] = Field(min_length=1)
    max_nodes: int = Field(100, ge=0, description="most nodes of the pool at one time")
    spot_share: Share = Field(0.0, description="part of them that may be spot")
    weight: int = Field(0, ge=0, le=100, description="pools of higher weight are tried first")
