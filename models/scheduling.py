"""What a scenario says about scheduling: constraints of workloads in Kubernetes' own words, and the scheduler's options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class SchedulingPart(BaseModel):
    """Constraints of the workloads whose `namespace/name` fits a pattern; the first entry that names a workload counts."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    workload: str = Field(description="namespace/name, * and ? stand for anything")
    labels: dict[str, str] = Field(default_factory=dict, description="of its pods, beside the workload's own; app is its name by default")
    pod: Mapping[str, Any] = Field(
        default_factory=dict,
        description="parts of a pod's spec: nodeSelector, affinity, tolerations, topologySpreadConstraints, priority, preemptionPolicy, "
        "host ports of containers",
    )
    built_in_spread: bool = Field(False, description="a Service selects its pods: the scheduler's built-in soft spreading holds")
    stop_s: float = Field(0.0, ge=0.0, le=86_400.0, description="how long a pod keeps its place once told to stop (its grace period)")
