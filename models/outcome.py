"""RunResult (one replication of the simulation) and Outcome (all of them, with confidence intervals)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from models.horizon import Horizon
from models.workload_result import WorkloadResult

NODE_STATES = ("off", "provisioning", "up", "down", "cleaning")
"""What a node slot is doing; `RunResult.node_state_h` counts hours of each, and they add up to the horizon."""


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
    packing_share[pool] = requested / schedulable cores in the pool's fullest hour
    scale_out_s[pool] : float64 [orders]  seconds from the order of a node to its first pods
    node_cpu[pool]    : schedulable cores of one node
    pool_failures     : int64 [pools]  servers that went down
    node_watts[pool]  : watts of one node, idle and at peak; zeros where the catalog does not say
    busy_class_cpu_h  : float64 [hours, pools, classes]  as busy_cpu_h, by workload class
    busy_memory_mib_h : float64 [hours, pools]           requested MiB running, hour mean
    busy_pods_h       : float64 [hours, pools]           pods running, hour mean
    busy_class_memory_mib_h : float64 [hours, pools, classes]  requested MiB running, hour mean
    busy_class_pods_h : float64 [hours, pools, classes]  pods running, hour mean
    busy_extended_h[resource] : float64 [hours, pools, classes]  requested GPUs and the like running, hour mean
    pending_extended_h[resource] : float64 [hours, classes]      the same, waiting
    pending_class_pods_h : float64 [hours, classes]      pods waiting, hour mean
    pending_class_cpu_h : float64 [hours, classes]       requested cores waiting, hour mean
    pending_class_memory_mib_h : float64 [hours, classes]  requested MiB waiting, hour mean
    node_state_h      : float64 [hours, pools, states]   node-hours by `NODE_STATES`
    pod_class         : uint8 [pods]                     index into `classes`
    scale_log         : (millisecond, +1 or -1, pool) of every order and removal
    workloads         : one result for every workload of the scenario that a controller ran
    evictions_by      : pods that lost their node, by cause: failure, interruption, consolidation, descheduler, ...
    egress_gb_h       : float64 [hours, pools]  gigabytes that pods moved because they ran away from their data
    node_usd_per_h[pool] : price of a rented node, 0 for an owned one or an unknown price
    upgrades          : (zone, first drain ms, last return ms) of every rolling upgrade that ended in the run
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
    private: tuple[bool, ...] = ()
    node_cpu: tuple[float, ...] = ()
    node_watts: tuple[tuple[float, float], ...] = ()
    pool_failures: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    classes: tuple[str, ...] = ()
    busy_class_cpu_h: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 0, 0)))
    busy_memory_mib_h: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 0)))
    busy_pods_h: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 0)))
    pending_class_pods_h: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 0)))
    busy_class_memory_mib_h: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 0, 0)))
    busy_class_pods_h: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 0, 0)))
    busy_extended_h: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    pending_extended_h: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    pending_class_cpu_h: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 0)))
    pending_class_memory_mib_h: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 0)))
    node_state_h: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 0, 0)))
    pod_class: NDArray[np.uint8] = field(default_factory=lambda: np.zeros(0, np.uint8))
    evictions: int = 0
    orders_refused: int = 0
    interruptions: int = 0
    scale_log: tuple[tuple[int, int, str], ...] = ()
    workloads: tuple[WorkloadResult, ...] = ()
    evictions_by: Mapping[str, int] = field(default_factory=dict)
    egress_gb_h: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 0)))
    node_usd_per_h: tuple[float, ...] = ()
    upgrades: tuple[tuple[str, int, int], ...] = ()

    @property
    def pods(self) -> int:
        """Pods that arrived or were to arrive."""
        return int(self.wait_ms.size)

    @property
    def burst_node_hours(self) -> float:
        """Node-hours of the pools that are not owned."""
        return float(self.node_hours[:, [not own for own in self.private]].sum())

    @property
    def burst_usd(self) -> float:
        """Price of the node-hours of rented pools; 0 where no price is known."""
        return float((self.node_hours * np.asarray(self.node_usd_per_h)).sum()) if self.node_usd_per_h else 0.0

    @property
    def egress_gb(self) -> float:
        """Gigabytes that pods moved because they ran away from their data."""
        return float(self.egress_gb_h.sum())

    @property
    def unplaced(self) -> int:
        """Pods that never found a node."""
        return int((self.wait_ms < 0).sum())

    def pending_by_class(self) -> dict[str, dict[str, float]]:
        """Percentiles of pending time by workload class, in seconds, for the classes that have pods."""
        present = {name: self.wait_ms[self.pod_class == c] for c, name in enumerate(self.classes)}
        return {name: wait_percentiles(wait) for name, wait in present.items() if wait.size}

    def pending_s(self) -> dict[str, float]:
        """p50, p95, p99 of pending time in seconds over every pod that was placed."""
        return wait_percentiles(self.wait_ms)


def wait_percentiles(wait_ms: NDArray[np.int64]) -> dict[str, float]:
    """p50, p95, p99 in seconds over placed pods (`wait_ms >= 0`); zeros when none was placed.

    >>> wait_percentiles(np.array([0, 1000, 2000, -1]))
    {'p50': 1.0, 'p95': 1.9, 'p99': 1.98}
    """
    placed = wait_ms[wait_ms >= 0] / 1000.0
    if placed.size == 0:
        return {"p50": 0.0, "p95": 0.0, "p99": 0.0}
    return {f"p{q}": round(float(np.percentile(placed, q)), 6) for q in (50, 95, 99)}


_STUDENT_975 = (
    12.706205, 4.302653, 3.182446, 2.776445, 2.570582, 2.446912, 2.364624, 2.306004, 2.262157, 2.228139,
    2.200985, 2.178813, 2.160369, 2.144787, 2.131450, 2.119905, 2.109816, 2.100922, 2.093024, 2.085963,
)  # fmt: skip
_Z975 = 1.959963984540054


def student_975(freedom: int) -> float:
    """97.5 % quantile of Student's t: a table to 20 degrees of freedom, Cornish-Fisher's series above (error below 1e-5).

    >>> student_975(2), round(student_975(29), 5)
    (4.302653, 2.04523)
    """
    if freedom < 1:
        raise ValueError("Student's t needs at least one degree of freedom")
    if freedom <= len(_STUDENT_975):
        return _STUDENT_975[freedom - 1]
    z, n = _Z975, float(freedom)
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / n + second / n**2 + third / n**3


@dataclass(frozen=True)
class Interval:
    """Mean and half-width of the two-sided 95 % Student interval over replications; half-width 0 for one replication."""

    mean: float
    half_width: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Interval:
        """Interval of one figure over replications.

        >>> Interval.of([1.0, 2.0, 3.0])
        Interval(mean=2.0, half_width=2.484138)
        """
        figures = np.asarray(values, np.float64)
        if figures.size < 2:
            return cls(float(figures.mean()), 0.0)
        error = float(figures.std(ddof=1)) / float(np.sqrt(figures.size))
        return cls(float(figures.mean()), round(student_975(figures.size - 1) * error, 6))


@dataclass(frozen=True)
class Outcome:
    """All replications of one fleet, in replication order."""

    runs: tuple[RunResult, ...]

    @property
    def first(self) -> RunResult:
        """Replication 0, the one shown in timelines."""
        return self.runs[0]
