"""UsageHistory: requests and measured use by hour and workload, as clusters report them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from models.horizon import Horizon
from models.resources import ResourceAxes
from models.unknown import Unknown


@dataclass(frozen=True)
class WorkloadKey:
    """Who a series belongs to; `labels` are namespace labels (team, users)."""

    namespace: str
    workload: str
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def full_name(self) -> str:
        """namespace/workload, unique in a cluster."""
        return f"{self.namespace}/{self.workload}"


@dataclass(frozen=True)
class UsageHistory:
    """Hourly means. A missing hour is NaN in the arrays and named in `gaps`.

    pods     : float64 [hours, workloads]        running pods
    requests : float64 [hours, workloads, axes]  sum of requests, units of `axes`
    usage    : float64 [hours, workloads, axes]  measured use, same units
    """

    horizon: Horizon
    axes: ResourceAxes
    keys: tuple[WorkloadKey, ...]
    pods: NDArray[np.float64]
    requests: NDArray[np.float64]
    usage: NDArray[np.float64]
    gaps: tuple[str, ...] = ()
    source: str = ""


@dataclass(frozen=True, slots=True)
class GpuShare:
    """What a workload or a team held of the GPUs, in hours of whole GPUs; an empty `workload` and `team` is nobody's.

    `busy_share` is of the hours held, `memory_mib` the mean that was used while held.
    """

    namespace: str
    workload: str
    team: str
    gpu_hours: float
    share_of_hours: float
    busy_share: float | Unknown
    energy_kwh: float | Unknown
    memory_mib: float | Unknown


@dataclass(frozen=True, slots=True)
class GpuUse:
    """What one GPU, or one MIG instance of it, did over the hours in which it was seen.

    `headroom_mib` is the memory that was free in its fullest hour; `throttled_share` the time held back by power or heat.
    """

    gpu: str
    node: str
    model: str
    profile: str
    hours: int
    utilisation_share: float | Unknown
    peak_utilisation_share: float | Unknown
    energy_kwh: float | Unknown
    headroom_mib: float | Unknown
    throttled_share: float | Unknown
    temperature_c: float | Unknown
    fan_percent: float | Unknown
