"""Raw samples of a file become measures, as the queries of a preset would make them on a server.

Gauges keep their last sample in a step. A counter's growth between two samples belongs to the step in which it began; a
counter that falls has started again from zero. The step is the files' own scrape interval.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.errors import MetricsError, Problem
from models.units import MS_PER_H, MS_PER_S
from simulator.ingest.gpu_owners import owner_of, owner_rows
from simulator.ingest.metric_names import LIVE_PHASES, Matcher, Measure, Preset, owner_labels
from simulator.ingest.prometheus_parse import Series
from simulator.ingest.usage_hours import Grid, Part, hourly
from simulator.ingest.workload_names import Owners

STALE_MS = 5 * 60 * MS_PER_S  # the look-back of PromQL
PHASE_METRIC = "kube_pod_status_phase"
MOST_CELLS = 50_000_000  # points x series of the widest metric: 400 MB of doubles
EARLIEST_MS = 946_684_800_000  # the year 2000: earlier times are seconds taken for milliseconds
LATEST_MS = 4_102_444_800_000  # the year 2100: later times are seconds taken for milliseconds, or damage
By = Mapping[str, Sequence[Series]]


def grid_of(place: str, series: Sequence[Series], start: datetime | None, end: datetime | None) -> Grid:
    """A grid of whole hours at the scrape interval: the longest usual one, rounded up to a divisor of the hour."""
    times = [one.times_ms for one in series if one.times_ms.size]
    first, last = min(int(t.min()) for t in times), max(int(t.max()) for t in times)
    if first < EARLIEST_MS or last > LATEST_MS:
        mend = "check the unit of the time stamps: OpenMetrics text, which must end with # EOF, has seconds, every other text milliseconds"
        raise MetricsError(Problem(f"{place}: times of samples", f"{first} to {last} ms since 1970", mend))
    usual = [float(np.median(np.diff(t))) for t in times if t.size > 1]
    step_ms = divisor_ms(max(usual)) if usual else MS_PER_H
    start_ms = _floor(int(start.timestamp()) * MS_PER_S) if start else _floor(first)
    end_ms = _floor(int(end.timestamp() * MS_PER_S) + MS_PER_H - 1) if end else _floor(last) + MS_PER_H
    if start_ms >= end_ms:
        raise MetricsError(Problem(f"{place}: --from and --to", "a range outside the file's samples", "leave them out, or widen them"))
    grid = Grid(start_ms, step_ms, (end_ms - start_ms) // step_ms)
    widest = max(map(len, by_metric(series).values()))
    if grid.points * widest > MOST_CELLS:
        found = f"{grid.hours / 24:,.0f} days at steps of {step_ms // MS_PER_S} s for {widest} series of one metric"
        raise MetricsError(
            Problem(f"{place}: times of samples", found, "check the time stamps, or import the range in parts with --from and --to")
        )
    return grid


def divisor_ms(interval_ms: float) -> int:
    """Smallest whole-second divisor of the hour that is not below the interval, with 10 % of grace for late scrapes."""
    hour_s = MS_PER_H // MS_PER_S
    return next((s for s in _divisors(hour_s) if s * MS_PER_S >= interval_ms * 0.9), hour_s) * MS_PER_S


def by_metric(series: Sequence[Series]) -> dict[str, list[Series]]:
    """Series by metric name."""
    found: dict[str, list[Series]] = defaultdict(list)
    for one in series:
        found[one.labels.get("__name__", "")].append(one)
    return found


def owners_of(preset: Preset, series: By) -> Owners:
    """Owners that the files name."""
    owners = Owners()
    for metric in preset.owners.values():
        owners.add(preset, metric, (one.labels for one in series.get(metric, ())))
    return owners


def measure_part(
    name: str, preset: Preset, series: By, grid: Grid, owners: Owners, select: Sequence[Matcher] = ()
) -> tuple[Part, int, int] | None:
    """Hourly rows of one measure, its series and samples; None when the files hold none of it."""
    measure = preset.measures[name]
    chosen = _worth(series.get(measure.metric, ()), measure, select)
    if not chosen:
        return None
    more = owner_labels() if measure.of == "gpu" else preset.once_labels(measure) if measure.once else ()
    labels = (*preset.subject_labels(measure), *more)
    points = _rows(chosen, labels, measure, grid)
    if measure.of == "workload":
        points = {key: row for key, row in points.items() if key[0] and key[1]}
    live = _live(preset, measure, series, grid, select)
    subjects = (
        (_subject(key, measure, owners), np.flatnonzero(keep), row[keep])
        for key, row in sorted(points.items())
        if (keep := ~np.isnan(row) if live is None else ~np.isnan(row) & live.get(key[:2], np.zeros(grid.points, dtype=bool))).any()
    )
    part = _gpu_part(name, measure, grid, points, labels, owners) if measure.of == "gpu" else hourly(name, measure, grid, subjects)
    return part, len(chosen), sum(one.values.size for one in chosen)


def _gpu_part(
    name: str, measure: Measure, grid: Grid, points: Mapping[tuple[str, ...], NDArray[np.float64]], labels: Sequence[str], owners: Owners
) -> Part:
    """Hours of GPUs, and of the workloads that hold them."""
    of_gpu = len(labels) - len(owner_labels())
    rows = [(key, np.flatnonzero(~np.isnan(row)), row[~np.isnan(row)]) for key, row in sorted(points.items())]
    part = hourly(name, measure, grid, ((key[:of_gpu], index, values) for key, index, values in rows if index.size))
    owned = owner_rows(
        name,
        measure,
        grid,
        (
            (key[:of_gpu], owner_of(dict(zip(labels[of_gpu:], key[of_gpu:], strict=True)), owners), index, values)
            for key, index, values in rows
        ),
    )
    return replace(part, rows=pa.concat_tables([part.rows, owned]))


def _chosen(series: Sequence[Series], matchers: Sequence[Matcher]) -> list[Series]:
    return [one for one in series if all(matcher.matches(one.labels) for matcher in matchers)]


def _worth(series: Sequence[Series], measure: Measure, select: Sequence[Matcher]) -> list[Series]:
    """Series that count for the measure, at what they are worth."""
    return [
        one if part == 1 else replace(one, values=one.values * part)
        for matchers, part in measure.parts
        for one in _chosen(series, (*matchers, *select))
    ]


def _subject(key: tuple[str, ...], measure: Measure, owners: Owners) -> tuple[str, ...]:
    return (key[0], owners.workload(key[0], key[1])) if measure.of == "workload" else key


def _rows(series: Sequence[Series], labels: Sequence[str], measure: Measure, grid: Grid) -> dict[tuple[str, ...], NDArray[np.float64]]:
    """Points of each label combination: what is reported once is taken once, the rest adds up."""
    rows: dict[tuple[str, ...], NDArray[np.float64]] = {}
    for one in series:
        key = tuple(one.labels.get(label, "") for label in labels)
        own = _rates(one, grid) if measure.kind == "counter" else _last(one, grid)
        if (row := rows.get(key)) is None:
            rows[key] = own
        elif measure.once or measure.of != "workload":
            rows[key] = np.fmax(row, own)
        else:
            rows[key] = np.where(np.isnan(row), own, row + np.nan_to_num(own, nan=0.0, posinf=np.inf, neginf=-np.inf))
    return rows


def _last(one: Series, grid: Grid) -> NDArray[np.float64]:
    """Last sample in each step: float64 [points], NaN where there is none."""
    row = np.full(grid.points, np.nan)
    index = (one.times_ms - grid.start_ms) // grid.step_ms
    order = np.argsort(one.times_ms, kind="stable")
    order = order[(index[order] >= 0) & (index[order] < grid.points)]
    row[index[order]] = one.values[order]
    return row


def _rates(one: Series, grid: Grid) -> NDArray[np.float64]:
    """Growth per second in each step: float64 [points], NaN where two samples in time are missing."""
    order = np.argsort(one.times_ms, kind="stable")
    times, values = one.times_ms[order], one.values[order]
    spans = np.diff(times)
    growth = np.where(values[1:] < values[:-1], values[1:], values[1:] - values[:-1])
    index = (times[:-1] - grid.start_ms) // grid.step_ms
    keep = (spans > 0) & (spans <= max(STALE_MS, 2 * grid.step_ms)) & (index >= 0) & (index < grid.points) & np.isfinite(growth)
    grown = np.bincount(index[keep], growth[keep], grid.points)
    seconds = np.bincount(index[keep], spans[keep] / MS_PER_S, grid.points)
    return np.where(seconds > 0, grown / np.where(seconds > 0, seconds, 1.0), np.nan)


def _live(
    preset: Preset, measure: Measure, series: By, grid: Grid, select: Sequence[Matcher]
) -> dict[tuple[str, ...], NDArray[np.bool_]] | None:
    """For each pod the points at which it was Pending or Running; None when that does not matter or is not known."""
    phases = _chosen(series.get(PHASE_METRIC, ()), select) if measure.live else []
    if not phases:
        return None
    names = preset.spelled(measure, "namespace", "pod")
    live: dict[tuple[str, ...], NDArray[np.bool_]] = {}
    for one in phases:
        if one.labels.get("phase") in LIVE_PHASES:
            key = tuple(one.labels.get(name, "") for name in names)
            live[key] = live.get(key, np.zeros(grid.points, dtype=bool)) | (_last(one, grid) == 1)
    return live


def _divisors(number: int) -> Iterator[int]:
    return (d for d in range(1, number + 1) if number % d == 0)


def _floor(milliseconds: int) -> int:
    return milliseconds // MS_PER_H * MS_PER_H
