"""RunResult (one replication of the simulation) and Outcome (all of them, with confidence intervals)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from models.horizon import Horizon


@dataclass(frozen=True)
class RunResult:
    """One replication. Pools in `pools` order.

    node_hours       : float64 [hours, pools]  nodes up, hour mean
    busy_cpu_h       : float64 [hours, pools]  requested cores running, hour mean (core-hours per hour)
    pods_placed      : int64 [pools]           placements
    pending_cpu_h    : float64 [hours]         requested cores waiting, hour mean
    demand_cpu_h     : float64 [hours]         requested cores asked for, hour mean
    wait_ms          : int64 [pods]            time from arrival to placement; -1 never placed
    conservation_error = max over hours |demand - sum(busy) - pending| / max(demand, 1)
    """

    horizon: Horizon
    pools: tuple[str, ...]
    zones: tuple[str, ...]
    node_hours: NDArray[np.float64]
    busy_cpu_h: NDArray[np.float64]
    pods_placed: NDArray[np.int64]
    pending_cpu_h: NDArray[np.float64]
    demand_cpu_h: NDArray[np.float64]
    wait_ms: NDArray[np.int64]
    failures: int
    scale_events: int
    conservation_error: float
    packing_share: Mapping[str, float] = field(default_factory=dict)
    scale_out_s: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)

    def pending_s(self) -> dict[str, float]:
        """p50, p95, p99 of pending time in seconds over every pod that was placed."""
        placed = self.wait_ms[self.wait_ms >= 0] / 1000.0
        if placed.size == 0:
            return {"p50": 0.0, "p95": 0.0, "p99": 0.0}
        return {f"p{q}": float(np.percentile(placed, q)) for q in (50, 95, 99)}


@dataclass(frozen=True)
class Interval:
    """Mean and half-width of the two-sided 95 % Student interval over replications; half-width 0 for one replication."""

    mean: float
    half_width: float


@dataclass(frozen=True)
class Outcome:
    """All replications of one fleet, in replication order."""

    runs: tuple[RunResult, ...]

    @property
    def first(self) -> RunResult:
        """Replication 0, the one shown in timelines."""
        return self.runs[0]
