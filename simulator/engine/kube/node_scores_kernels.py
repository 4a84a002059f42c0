"""Resource scores of many nodes at once: the formulas of `scores_kernels`, looped over rows.

requested, room : int64 [rows, resources]; results int64 [rows].
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from simulator.engine.scores_kernels import (
    balanced_136,
    balanced_classic,
    least_allocated,
    most_allocated,
    requested_to_capacity_ratio,
)

Ints = NDArray[np.int64]


@njit(cache=True)
def least_allocated_rows(requested: Ints, room: Ints, weights: Ints) -> Ints:
    """LeastAllocated of each row."""
    scores = np.empty(len(requested), dtype=np.int64)
    for row in range(len(requested)):
        scores[row] = least_allocated(requested[row], room[row], weights)
    return scores


@njit(cache=True)
def most_allocated_rows(requested: Ints, room: Ints, weights: Ints) -> Ints:
    """MostAllocated of each row."""
    scores = np.empty(len(requested), dtype=np.int64)
    for row in range(len(requested)):
        scores[row] = most_allocated(requested[row], room[row], weights)
    return scores


@njit(cache=True)
def requested_to_capacity_rows(requested: Ints, room: Ints, weights: Ints, points: Ints, shape: Ints) -> Ints:
    """RequestedToCapacityRatio of each row."""
    scores = np.empty(len(requested), dtype=np.int64)
    for row in range(len(requested)):
        scores[row] = requested_to_capacity_ratio(requested[row], room[row], weights, points, shape)
    return scores


@njit(cache=True)
def balanced_classic_rows(requested: Ints, room: Ints) -> Ints:
    """BalancedAllocation of Kubernetes 1.35 and older, each row."""
    scores = np.empty(len(requested), dtype=np.int64)
    for row in range(len(requested)):
        scores[row] = balanced_classic(requested[row], room[row])
    return scores


@njit(cache=True)
def balanced_136_rows(requested: Ints, without: Ints, room: Ints) -> Ints:
    """BalancedAllocation of Kubernetes 1.36 and newer, each row."""
    scores = np.empty(len(requested), dtype=np.int64)
    for row in range(len(requested)):
        scores[row] = balanced_136(requested[row], without[row], room[row])
    return scores
