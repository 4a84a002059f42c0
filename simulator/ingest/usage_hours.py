"""Samples on a grid become hourly means and peaks by subject: the one place where points turn into hours.

A workload's pods add up, and a pod that is absent at a covered point counts as zero. A node, autoscaler or GPU is
averaged over the points at which it was seen. A point at which no series of a measure has a sample is a gap.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.units import MS_PER_H
from simulator.ingest.metric_names import Measure

PART_SCHEMA = pa.schema(
    [
        ("measure", pa.string()),
        ("kind", pa.string()),
        ("subject", pa.list_(pa.string())),
        ("hour", pa.timestamp("ms")),
        ("mean", pa.float64()),
        ("peak", pa.float64()),
    ]
)
TOTAL: tuple[str, ...] = ()
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_ms(when: datetime) -> int:
    """Milliseconds since 1970 of an aware datetime."""
    return (when - EPOCH) // timedelta(milliseconds=1)


def from_ms(milliseconds: int) -> datetime:
    """Aware UTC datetime of milliseconds since 1970."""
    return EPOCH + timedelta(milliseconds=milliseconds)


@dataclass(frozen=True, slots=True)
class Grid:
    """Points `start_ms + k * step_ms`, k < points, that cover whole hours; the step divides an hour."""

    start_ms: int
    step_ms: int
    points: int

    @property
    def per_hour(self) -> int:
        """Points in an hour."""
        return MS_PER_H // self.step_ms

    @property
    def hours(self) -> int:
        """Whole hours on the grid."""
        return self.points // self.per_hour

    @property
    def end_ms(self) -> int:
        """First instant after the grid."""
        return self.start_ms + self.points * self.step_ms

    def index(self, times_ms: NDArray[np.int64]) -> NDArray[np.int64]:
        """Point number of each time; raises ValueError for a time that is off the grid or outside it."""
        index, rest = np.divmod(times_ms - self.start_ms, self.step_ms)
        wrong = (rest != 0) | (index < 0) | (index >= self.points)
        if wrong.any():
            when = from_ms(int(times_ms[wrong][0])).isoformat()
            raise ValueError(f"a sample at {when}, which was not asked for (steps of {self.step_ms / 1000:g} s)")
        return index


@dataclass(frozen=True, slots=True)
class Part:
    """Hourly rows of one measure on one grid. covered : bool [points]; `unusable` samples were NaN, infinite or negative."""

    rows: pa.Table
    covered: NDArray[np.bool_]
    unusable: int

    def gaps(self, grid: Grid) -> list[tuple[datetime, datetime]]:
        """Ranges [from, to) without a sample of any series."""
        edges = np.flatnonzero(np.diff(np.concatenate(([True], self.covered, [True]))))
        at = [from_ms(grid.start_ms + int(k) * grid.step_ms) for k in edges]
        return list(zip(at[0::2], at[1::2], strict=True))


def hourly(
    name: str,
    measure: Measure,
    grid: Grid,
    series: Iterable[tuple[tuple[str, ...], NDArray[np.int64], NDArray[np.float64]]],
) -> Part:
    """Hourly mean and peak of every subject, and of all workloads together (subject `TOTAL`).

    `series` gives (subject, point index : int64 [n], values : float64 [n]) in the metric's own unit.
    """
    rows: dict[tuple[str, ...], NDArray[np.float64]] = {}
    unusable = 0
    for subject, index, values in series:
        good = np.isfinite(values) & (values >= 0)
        unusable += int(values.size - good.sum())
        if not good.any():
            continue
        row = rows.setdefault(subject, np.full(grid.points, np.nan))
        _merge(row, index[good], values[good] * measure.scale, add=measure.merge == "sum")
    subjects = sorted(rows)
    points = np.array([rows[subject] for subject in subjects]).reshape(len(subjects), grid.points)
    covered = ~np.isnan(points).all(axis=0)
    if measure.of == "workload" and subjects:
        points = np.vstack([points, np.where(covered, np.nansum(points, axis=0), np.nan)])
        subjects = [*subjects, TOTAL]
    return Part(_rows(name, measure, grid, subjects, points, covered), covered, unusable)


def _merge(row: NDArray[np.float64], index: NDArray[np.int64], values: NDArray[np.float64], *, add: bool) -> None:
    """Put a series into its subject's row: pods add up, double reports of one thing do not."""
    before = row[index]
    row[index] = np.where(np.isnan(before), values, before + values if add else np.fmax(before, values))


def _rows(
    name: str, measure: Measure, grid: Grid, subjects: list[tuple[str, ...]], points: NDArray[np.float64], covered: NDArray[np.bool_]
) -> pa.Table:
    shape = (len(subjects), grid.hours, grid.per_hour)
    cube = points.reshape(shape)
    seen = ~np.isnan(cube)
    counts = seen.sum(axis=2)
    divisor = np.broadcast_to(covered.reshape(shape[1:]).sum(axis=1), shape[:2]) if measure.of == "workload" else counts
    which, hour = np.nonzero(counts)
    mean = np.where(seen, cube, 0.0).sum(axis=2)[which, hour] / divisor[which, hour]
    peak = np.where(seen, cube, -np.inf).max(axis=2)[which, hour] if grid.hours else mean
    texts = [list(subject) for subject in subjects]
    return pa.table(
        {
            "measure": pa.array([name] * which.size, pa.string()),
            "kind": pa.array([measure.of] * which.size, pa.string()),
            "subject": pa.array([texts[k] for k in which], PART_SCHEMA.field("subject").type),
            "hour": pa.array(grid.start_ms + hour * MS_PER_H, pa.int64()).cast(pa.timestamp("ms")),
            "mean": mean,
            "peak": peak,
        },
        schema=PART_SCHEMA,
    )
