"""The fluid tier: for every capacity at once, what overflows and in how many hours; prices never touch it, so it is cached."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.dispatch import Dispatch
from simulator.planner.kernels import _suffix_sums, _workers_left

_DUST = 1e-9  # as models.dispatch: float dust does not start another worker


@dataclass(frozen=True)
class Overflow:
    """Capacities 0..K in whole nodes.

    node_hours : float64 [scenarios, K + 1]  demand above the capacity, node-hours, exact
    hours      : int64 [scenarios, K + 1]    hours in which the capacity is exceeded
    """

    node_hours: NDArray[np.float64]
    hours: NDArray[np.int64]
    horizon_hours: int

    def busy_share(self) -> NDArray[np.float64]:
        """Share of hours in which node k (1..K) is used at all when filled in order: float64 [scenarios, K].

        Node k works while the demand exceeds k - 1 nodes: one point of the load-duration curve.
        """
        return self.hours[:, :-1] / max(self.horizon_hours, 1)

    def mean(self) -> NDArray[np.float64]:
        """Overflow averaged over scenarios: float64 [K + 1]."""
        return np.asarray(self.node_hours.mean(axis=0))


def overflow(demand: NDArray[np.float32] | NDArray[np.float64], most: int | None = None) -> Overflow:
    """Overflow of demand in nodes, [hours] or [scenarios, hours], for all capacities 0..most (the peak by default).

    >>> found = overflow(np.array([0.5, 2.0, 3.5]))
    >>> found.node_hours.tolist(), found.hours.tolist()
    ([[6.0, 3.5, 1.5, 0.5, 0.0]], [[3, 2, 1, 1, 0]])
    """
    table = np.ascontiguousarray(np.atleast_2d(demand))
    if table.dtype not in (np.float32, np.float64):
        table = table.astype(np.float64)
    if table.ndim != 2:
        raise ValueError(f"demand must be [hours] or [scenarios, hours], not {table.ndim} axes")
    if table.size and (not np.isfinite(table).all() or table.min() < 0):
        raise ValueError("demand must be finite and not negative")
    peak = int(np.ceil(table.max(initial=0.0)))
    top = max(peak, most or 0)
    node_hours = np.empty((table.shape[0], top + 1))
    hours = np.empty((table.shape[0], top + 1), np.int64)
    _suffix_sums(table, top, node_hours, hours)
    keep = (peak if most is None else most) + 1
    return Overflow(node_hours[:, :keep], hours[:, :keep], table.shape[1])


def aws_worker_hours(
    demand: NDArray[np.float64], capacities: NDArray[np.float64], worker: float, *, dispatch: Dispatch, pinned_share: float
) -> NDArray[np.int64]:
    """Whole AWS worker-hours beside every private capacity: int64 [capacities]; the sum of `models.dispatch.aws_workers_left`.

    >>> aws_worker_hours(np.array([10.0, 30.0]), np.array([0.0, 20.0]), 8.0, dispatch="private_first", pinned_share=0.5).tolist()
    [6, 2]
    """
    if worker <= 0:
        raise ValueError(f"worker must be positive, not {worker}")
    offered = demand * pinned_share if dispatch == "pinned" else demand
    left = np.empty(capacities.size, np.int64)
    _workers_left(demand, offered, np.ascontiguousarray(capacities, dtype=np.float64), worker, _DUST, left)
    return left
