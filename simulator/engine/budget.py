"""Waiting budgets: how long a job waits for owned GPUs before it goes to the cloud, and what that costs.

The rule and the policies are those of Starburst (Luo et al., USENIX ATC 2024; github.com/michaelzhiluo/starburst).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from models.errors import MetricsError, Problem
from simulator.engine.budget_kernels import CLOUD, fifo_with_budget

Floats = NDArray[np.float64]
BudgetPolicy = Literal["zero", "constant", "runtime", "size", "cost", "never"]


@dataclass(frozen=True)
class Jobs:
    """Jobs in order of arrival. arrival_h, run_h : float64 [jobs]; gpus : int64 [jobs], each on one node."""

    arrival_h: Floats
    run_h: Floats
    gpus: NDArray[np.int64]


def budgets(policy: BudgetPolicy, factor: float, jobs: Jobs) -> Floats:
    """Hours that each job waits: float64 [jobs].

    constant: `factor`; runtime: `factor - 1` times the run time; size: `factor` per GPU; cost: `factor` per GPU-hour.

    >>> jobs = Jobs(np.zeros(2), np.array([1.0, 4.0]), np.array([2, 1]))
    >>> budgets("runtime", 1.25, jobs).tolist(), budgets("cost", 0.5, jobs).tolist()
    ([0.25, 1.0], [1.0, 2.0])
    """
    sizes = jobs.gpus.astype(np.float64)
    parts = [budget_terms(policy, factor, float(size)) for size in np.unique(sizes)]
    at = np.searchsorted(np.unique(sizes), sizes)
    fixed, per_run = (np.array([part[k] for part in parts])[at] for k in (0, 1))
    return np.asarray(fixed + per_run * jobs.run_h, np.float64)


def budget_terms(policy: BudgetPolicy, factor: float, size: float) -> tuple[float, float]:
    """A job's budget is `fixed` hours + `per_run` x its run time: (fixed, per_run) for a job of `size` GPUs or cores.

    >>> budget_terms("runtime", 1.25, 2.0), budget_terms("size", 0.5, 2.0), budget_terms("cost", 0.5, 2.0)
    ((0.0, 0.25), (1.0, 0.0), (0.0, 1.0))
    """
    match policy:
        case "zero":
            return 0.0, 0.0
        case "constant":
            return factor, 0.0
        case "runtime":
            return 0.0, factor - 1.0
        case "size":
            return factor * size, 0.0
        case "cost":
            return 0.0, factor * size
        case "never":
            return float(np.inf), 0.0


@dataclass(frozen=True)
class BudgetRun:
    """start_h : float64 [jobs]; node : int64 [jobs], -1 for the cloud. Utilisation between first and last arrival."""

    start_h: Floats
    node: NDArray[np.int64]
    cloud_gpu_h: float
    mean_wait_h: float
    utilisation: float

    def cloud_usd(self, usd_per_gpu_h: float) -> float:
        """Price of what went to the cloud."""
        return self.cloud_gpu_h * usd_per_gpu_h


def run_with_budget(jobs: Jobs, budget_h: Floats, nodes: int, gpus_per_node: int, *, best_fit: bool = True) -> BudgetRun:
    """First in, first out with head-of-line blocking on `nodes` equal nodes; see `budget_kernels.fifo_with_budget`.

    Raises MetricsError when a job without end of patience needs more GPUs than a node has, or arrivals are not sorted.
    """
    problems = []
    if np.any(np.diff(jobs.arrival_h) < 0):
        problems.append(Problem("jobs", "arrivals that go back in time", "sort jobs by arrival"))
    if np.any((jobs.gpus > gpus_per_node) & np.isinf(budget_h)):
        problems.append(Problem("jobs", f"a job larger than a node of {gpus_per_node} GPUs that never leaves", "give it a budget"))
    if problems:
        raise MetricsError(problems)
    count = jobs.arrival_h.size
    start, end = np.zeros(count), np.zeros(count)
    node, queue, heap = (np.zeros(count, np.int64) for _ in range(3))
    free = np.full(nodes, gpus_per_node, np.int64)
    fifo_with_budget(jobs.arrival_h, jobs.run_h, jobs.gpus, budget_h, free, best_fit, start, node, end, queue, heap)
    away = node == CLOUD
    first, last = jobs.arrival_h[0], jobs.arrival_h[-1]
    inside = np.clip(np.minimum(end, last) - np.maximum(start, first), 0.0, None)[~away] * jobs.gpus[~away]
    return BudgetRun(
        start_h=start,
        node=node,
        cloud_gpu_h=float(np.sum((jobs.run_h * jobs.gpus)[away])),
        mean_wait_h=float(np.mean(start - jobs.arrival_h)),
        utilisation=float(inside.sum() / (nodes * gpus_per_node * (last - first))),
    )
