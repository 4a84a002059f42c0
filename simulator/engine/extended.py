"""Extended resources by the hour: GPUs and slices that running and waiting pods ask for, exact like cores and memory.

The kernel counts pods by hour, place and column. A column is a workload class and what its pods ask of extended resources,
so that pods with different amounts are counted apart; where no pod asks for any, columns are the classes alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from simulator.engine.trace import CLASSES, PodShape

Asked = tuple[tuple[str, int], ...]
"""What one pod asks for: extended resources and how many of each; () for none."""


def asked_of(shape: PodShape) -> Asked:
    """The extended resources of a pod, sorted by name, and what it moves away from its data."""
    return tuple(sorted((name, amount) for name, amount in (*shape.all_extended, *shape.data) if amount > 0))


def amounts_of(shapes: Sequence[PodShape]) -> tuple[Asked, ...]:
    """What occurs among the pods, nothing first.

    >>> amounts_of([PodShape(1, 1, "nvidia.com/gpu", 2), PodShape(1, 1), PodShape(2, 1, "nvidia.com/gpu", 2)])
    ((), (('nvidia.com/gpu', 2),))
    """
    return ((), *sorted({asked for shape in shapes if (asked := asked_of(shape))}))


def columns_of(shapes: Sequence[PodShape]) -> int:
    """How many columns these pods are counted in."""
    return len(amounts_of(shapes)) * len(CLASSES)


def column_of(shape: PodShape, amounts: Sequence[Asked]) -> int:
    """The column in which pods of this shape are counted."""
    return amounts.index(asked_of(shape)) * len(CLASSES) + CLASSES.index(shape.workload_class)


def by_resource(pods: NDArray[np.float64], amounts: Sequence[Asked]) -> dict[str, NDArray[np.float64]]:
    """Amount of every extended resource from pods [hours, places, amounts, classes]: resource -> float64 [hours, places, classes]."""
    out: dict[str, NDArray[np.float64]] = {}
    for a, asked in enumerate(amounts):
        for resource, count in asked:
            out[resource] = out.get(resource, np.zeros_like(pods[:, :, 0])) + count * pods[:, :, a]
    return out
