"""Pooled demand points: hours of one phase are interchangeable for the optimiser, so their means stand in for them.

The cost of what overflows is convex in demand, so optimising over means gives a lower bound, and evaluating the found plan on
every hour an upper one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Points:
    """Weighted demand levels of one phase: level and share of hours, float64 [points], ascending; shares sum to 1."""

    level: NDArray[np.float64]
    share: NDArray[np.float64]


def pool(demand: NDArray[np.float64], points: int) -> Points:
    """At most `points` levels: equal levels together, then groups of neighbours with the least spread; the peak keeps its own.

    >>> pooled = pool(np.array([1.0, 1.0, 2.0, 9.0]), 3)
    >>> pooled.level.tolist(), pooled.share.tolist()
    ([1.0, 2.0, 9.0], [0.5, 0.25, 0.25])
    """
    levels, counts = np.unique(demand, return_counts=True)
    if levels.size > points:
        edges = _edges(levels, counts.astype(np.float64), points - 1)
        weight = np.add.reduceat(counts, edges).astype(np.float64)
        levels = np.add.reduceat(levels * counts, edges) / weight
        counts = weight.astype(np.int64)
    return Points(levels.astype(np.float64), counts / counts.sum())


def _edges(levels: NDArray[np.float64], counts: NDArray[np.float64], groups: int) -> NDArray[np.int64]:
    """First index of every group: equal steps of a measure that is half hours and half distance, and the peak alone."""
    below = levels[:-1]
    hours = np.cumsum(counts[:-1]) - counts[:-1]
    measure = hours / max(hours[-1], 1.0) + (below - below[0]) / max(below[-1] - below[0], 1e-300)
    group = np.minimum((measure / max(measure[-1], 1e-300) * groups).astype(np.int64), groups - 1)
    first = np.flatnonzero(np.concatenate(([True], np.diff(group) > 0)))
    return np.concatenate((first, [levels.size - 1]))
