"""Waiting budgets in a run: which waiting pods are worth a new node now, and when the next one will be.

A pod still takes any room that a standing node has; the budget only holds back the order of a new node. The policies
are Starburst's (`budget.py`), with requested cores for GPUs; `cost_aware` waits until the delay has cost as much as
running in the cloud: (price of the pod's share of a node x run time) / price of an hour of delay. A replica has no run
time of its own: it bursts at once when its delay costs at least as much an hour as the cloud does, else never.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from models.control import WaitPart
from models.fleet import NodePool
from models.units import MS_PER_H
from models.workload import WorkloadClass
from simulator.engine.budget import budget_terms
from simulator.engine.looks_kernels import FAR, ready_pods
from simulator.engine.state import State
from simulator.engine.trace import PodShape

NEVER = int(FAR)


class WaitBudget:
    """Budgets of every shape of one run; `least_ms` is the wait that every pod has at least."""

    def __init__(self, state: State, parts: Mapping[WorkloadClass, WaitPart], least_ms: int = 0) -> None:
        self._state = state
        shapes = state.shape_cpu.size
        self._fixed = np.full(shapes, least_ms, np.int64)
        self._per_run = np.zeros(shapes, np.float64)
        for s, shape in enumerate(state.trace.shapes):
            fixed_h, self._per_run[s] = _terms(shape, parts.get(shape.workload_class, WaitPart()), state.layout.pools)
            self._fixed[s] = max(least_ms, round(fixed_h * MS_PER_H)) if np.isfinite(fixed_h) else NEVER
        self._none = not self._fixed.any() and not self._per_run.any()
        self._out = np.zeros(shapes, np.int64)

    def ready(self, now: int) -> tuple[NDArray[np.int64], int]:
        """Waiting pods by shape whose budget is spent (int64 [padded shapes], a copy), and when the next one's ends.

        Pods of a gang that a controller holds back (`State.held`) count: they wait for all their nodes at once.
        """
        state = self._state
        if self._none:
            return state.present[-state.shape_cpu.size :] + state.held, NEVER
        queues = (state.head, state.queue_next, state.placed, state.arrival, state.duration)
        following = ready_pods(now, self._fixed, self._per_run, *queues, self._out)
        return self._out + state.held, int(following)


def _terms(shape: PodShape, part: WaitPart, pools: tuple[NodePool, ...]) -> tuple[float, float]:
    """(hours, share of the run time) that a pod of this shape waits."""
    if part.policy != "cost_aware":
        return budget_terms(part.policy, part.factor, shape.cpu_m / 1000.0)
    burst = burst_usd_per_pod_h(shape, pools)
    if shape.fixed_end:
        return (0.0 if part.factor >= burst else float(np.inf)), 0.0
    return (0.0, burst / part.factor) if part.factor > 0.0 else (float(np.inf), 0.0)


def burst_usd_per_pod_h(shape: PodShape, pools: tuple[NodePool, ...]) -> float:
    """Least price of one hour of a pod on a rented node: its larger share of cpu or memory; 0 where no price is known.

    >>> from models.node import NodeShape
    >>> node = NodeShape("n", 4000, 16_484)  # 4 cores, 16 GiB for pods
    >>> burst_usd_per_pod_h(PodShape(1000, 1024), (NodePool("b", "aws", "aws", node, 0, 9, False, usd_per_h=0.4),))
    0.1
    """
    rented = [pool for pool in pools if not pool.private and pool.usd_per_h is not None]
    prices = [
        (pool.usd_per_h or 0.0) * max(shape.cpu_m / pool.shape.schedulable_cpu_m, shape.memory_mib / pool.shape.schedulable_memory_mib)
        for pool in rented
    ]
    return min(prices, default=0.0)
