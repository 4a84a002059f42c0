"""Data gravity: what pods move between the sides when they run away from their data, and which stay for that reason.

A pod carries the megabytes that cross for every hour it runs on the other side; the kernel counts such pods apart, so the
gigabytes of every hour and pool are exact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

import numpy as np
from numpy.typing import NDArray

from models.control import DataPart
from models.workload import Workload

MB_PER_GB = 1000
NAMES = {"private": "data/private", "aws": "data/aws"}
"""Under which names the kernel's counters hold what pods move, by the side where the data lie."""


def data_of(workload: Workload, parts: Sequence[DataPart]) -> DataPart | None:
    """The first entry that names the workload."""
    for part in parts:
        if part.workload_class in (None, workload.workload_class) and fnmatchcase(workload.full_name, part.workloads):
            return part
    return None


def moved(part: DataPart | None) -> tuple[tuple[str, int], ...]:
    """What a pod of such a workload moves: ((name, MB an hour),).

    >>> moved(DataPart(gb_per_pod_h=1.5)), moved(None)
    ((('data/private', 1500),), ())
    """
    amount = round(part.gb_per_pod_h * MB_PER_GB) if part is not None else 0
    return ((NAMES[part.side], amount),) if part is not None and amount else ()


def stays_with(part: DataPart | None, above_gb_per_pod_h: float | None) -> str:
    """The side that a pod does not leave because of its data: "private", "burst", or "" when it may."""
    if part is None or above_gb_per_pod_h is None or part.gb_per_pod_h <= above_gb_per_pod_h:
        return ""
    return "private" if part.side == "private" else "burst"


def egress_gb(extended_h: Mapping[str, NDArray[np.float64]], private: Sequence[bool], shape: tuple[int, int]) -> NDArray[np.float64]:
    """Gigabytes that crossed: float64 [hours, pools], at the pool where pods ran; `extended_h` [hours, pools, classes] in MB."""
    total = np.zeros(shape)
    mask = np.asarray(private, np.bool_)
    for side, away in (("private", ~mask), ("aws", mask)):
        counted = extended_h.get(NAMES[side])
        if counted is not None:
            total += np.where(away, counted.sum(axis=2), 0.0) / MB_PER_GB
    return total


def without_data(extended_h: Mapping[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
    """Extended resources alone."""
    return {name: amount for name, amount in extended_h.items() if name not in NAMES.values()}
