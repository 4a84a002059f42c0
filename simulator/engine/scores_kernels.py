"""Node scores of kube-scheduler's resource plug-ins, in its own integer arithmetic; the one home of these formulas.

Every function is compiled when called from a kernel or from Python; `function.py_func` is the same arithmetic in plain
Python. Amounts are integers in any one unit per resource (millicores, KiB or bytes); scores are integers 0..100.
Source: kubernetes/kubernetes pkg/scheduler/framework/plugins/noderesources, read at v1.36.3.

`requested` always includes the incoming pod. The plug-ins differ in what they count: LeastAllocated, MostAllocated and
RequestedToCapacityRatio take 100 millicores and 200 MiB for a container that requests none (`NONZERO_*`; seen in the real
1.36.3 for all three); BalancedAllocation takes the plain requests and skips pods without any request.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from simulator.engine.jit_kernels import compiled

Amounts = NDArray[np.int64]

NONZERO_CPU_M = 100
NONZERO_MEMORY_MIB = 200
MAX_SCORE = 100
FREE_LIFT = 2.0**-10
"""Added to a free amount, it lifts the percentage over the rounding of the reciprocal and by less than one amount in a
hundred: for amounts below 2^31 the floor of `(free + FREE_LIFT) * (100 / capacity)` is exact."""


@compiled()
def least_allocated(requested: Amounts, allocatable: Amounts, weights: Amounts) -> int:
    """Weighted mean of the free percentages; a resource the node lacks does not count.

    (3000, 5000) of (4000, 10000): (25 + 50) // 2.

    >>> ones = np.ones(2, dtype=np.int64)
    >>> least_allocated(np.array([3000, 5000]), np.array([4000, 10000]), ones)
    37
    """
    total, weight = 0, 0
    for r in range(requested.size):
        if allocatable[r] == 0:
            continue
        if requested[r] <= allocatable[r]:
            total += (allocatable[r] - requested[r]) * MAX_SCORE // allocatable[r] * weights[r]
        weight += weights[r]
    return total // weight if weight > 0 else 0


@compiled()
def most_allocated(requested: Amounts, allocatable: Amounts, weights: Amounts) -> int:
    """Weighted mean of the used percentages, each at most 100.

    >>> ones = np.ones(2, dtype=np.int64)
    >>> most_allocated(np.array([3000, 5000]), np.array([4000, 10000]), ones)
    62
    """
    total, weight = 0, 0
    for r in range(requested.size):
        if allocatable[r] == 0:
            continue
        total += min(requested[r], allocatable[r]) * MAX_SCORE // allocatable[r] * weights[r]
        weight += weights[r]
    return total // weight if weight > 0 else 0


@compiled()
def broken_line(utilisation: int, points: Amounts, scores: Amounts) -> int:
    """Integer interpolation between (points, scores), divisions truncated toward zero as in Go."""
    for i in range(points.size):
        if utilisation <= points[i]:
            if i == 0:
                return int(scores[0])
            rise = (scores[i] - scores[i - 1]) * (utilisation - points[i - 1])
            run = points[i] - points[i - 1]
            return int(scores[i - 1] + (rise // run if rise >= 0 else -(-rise // run)))
    return int(scores[points.size - 1])


@compiled()
def requested_to_capacity_ratio(requested: Amounts, allocatable: Amounts, weights: Amounts, points: Amounts, scores: Amounts) -> int:
    """Rounded weighted mean of a broken line over utilisation 0..100; resources that score 0 do not count.

    `scores` are on the scale 0..100 (the configuration's 0..10 times ten).

    >>> ones = np.ones(2, dtype=np.int64)
    >>> line = np.array([0, 100]), np.array([100, 0])
    >>> requested_to_capacity_ratio(np.array([3000, 5000]), np.array([4000, 10000]), ones, *line)
    38
    """
    total, weight = 0, 0
    for r in range(requested.size):
        if allocatable[r] == 0:
            continue
        utilisation = requested[r] * MAX_SCORE // allocatable[r] if requested[r] <= allocatable[r] else MAX_SCORE
        score = broken_line(utilisation, points, scores)
        if score > 0:
            total += score * weights[r]
            weight += weights[r]
    return (2 * total + weight) // (2 * weight) if weight > 0 else 0


@compiled()
def balanced_classic(requested: Amounts, allocatable: Amounts) -> int:
    """100 less the standard deviation of the used fractions, truncated: Kubernetes 1.35 and older.

    1500m of 8 cores and 3 of 32 GiB: fractions 0.1875 and 0.09375, deviation 0.046875.

    >>> balanced_classic(np.array([1500, 3]), np.array([8000, 32]))
    95
    """
    count, total, first, last = 0, 0.0, 0.0, 0.0
    for r in range(requested.size):
        if allocatable[r] == 0:
            continue
        last = min(requested[r] / allocatable[r], 1.0)
        if count == 0:
            first = last
        total += last
        count += 1
    deviation = 0.0
    if count == 2:
        deviation = abs((first - last) / 2)
    elif count > 2:
        mean, squares = total / count, 0.0
        for r in range(requested.size):
            if allocatable[r] != 0:
                off = min(requested[r] / allocatable[r], 1.0) - mean
                squares += off * off
        deviation = math.sqrt(squares / count)
    return int((1.0 - deviation) * 100.0)


@compiled()
def balanced_136(requested: Amounts, requested_without: Amounts, allocatable: Amounts) -> int:
    """The change of balance that the pod brings, 50 when none: Kubernetes 1.36 and newer (kubernetes/kubernetes#135573).

    The same pod on the empty node: 50 + (50 + 95 - 100) // 2.

    >>> balanced_136(np.array([1500, 3]), np.array([0, 0]), np.array([8000, 32]))
    72
    """
    return int(50 + (50 + balanced_classic(requested, allocatable) - balanced_classic(requested_without, allocatable)) // 2)


@compiled(forceinline=True, error_model="numpy")
def free_percent(lifted: float, scale: float) -> np.int32:
    """`free * 100 // capacity` without a division, for `lifted = free + FREE_LIFT`, `scale = 100 / capacity`, amounts below 2^31."""
    return np.int32(lifted * scale)


@compiled(forceinline=True, error_model="numpy")
def balance_of_two(used_cpu: float, cpu: float, used_memory: float, memory: float) -> np.int32:
    """`balanced_classic` of exactly two resources, neither above its capacity; two true divisions keep it equal to Go's.

    Halving and doubling round nothing: `(2 - x) * 50` has the bits of `(1 - x / 2) * 100`.
    """
    return np.int32((2.0 - abs(used_cpu / cpu - used_memory / memory)) * 50.0)


def nodes_to_examine(nodes: int, percentage: int = 0) -> int:
    """How many feasible nodes the scheduler looks for before it scores; `percentage` 0 adapts to the cluster's size.

    Source: numFeasibleNodesToFind in pkg/scheduler/schedule_one.go.

    >>> [nodes_to_examine(n) for n in (50, 100, 250, 500, 1000, 5000, 6000)]
    [50, 100, 120, 230, 420, 500, 300]
    """
    if nodes < 100:
        return nodes
    share = percentage if percentage > 0 else max(50 - nodes // 125, 5)
    return max(nodes * share // 100, 100)
