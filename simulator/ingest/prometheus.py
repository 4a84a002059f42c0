"""Usage from a Prometheus server: every measure of a preset, page by page, resumable, gaps named.

A page is a range of whole hours that stays under the server's 11,000 points for a series and under a budget of samples,
so memory does not grow with the range. Finished pages are kept in the store; the same import started again skips them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

import duckdb
import numpy as np
import pyarrow as pa

from models.errors import MetricsError, Problem
from models.units import MS_PER_H, MS_PER_S
from simulator.ingest import dcgm
from simulator.ingest.gpu_owners import owner_of, owner_rows
from simulator.ingest.metric_names import Measure, Preset
from simulator.ingest.prometheus_http import LONGEST_QUERY_MS, Server
from simulator.ingest.prometheus_parse import Answer
from simulator.ingest.prometheus_task import Request, Task, prepare
from simulator.ingest.store import transaction
from simulator.ingest.usage_finish import finish
from simulator.ingest.usage_hours import Grid, Part, from_ms, hourly
from simulator.ingest.usage_store import Imported, insert
from simulator.progress import SILENT, Progress

MAX_POINTS = 11_000  # web/api/v1/api.go: "exceeded maximum resolution of 11,000 points per timeseries"


@dataclass(frozen=True, slots=True)
class _Page:
    measure: str
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class _Read:
    page: _Page
    grid: Grid
    part: Part
    series: int
    samples: int
    warnings: tuple[str, ...]


def import_prometheus(connection: duckdb.DuckDBPyConnection, server: Server, request: Request, progress: Progress = SILENT) -> Imported:
    """Read every measure of the preset into the store; `connection` is one of `open_usage`.

    Raises `MetricsError` when the server is dead, refuses, gives a part only, or has nothing in the range.
    """
    task = prepare(server, request)
    for metric, series in _owner_series(task):
        task.owners.add(task.preset, metric, series)
    pages = _plan(connection, task)
    progress.stage("usage", len(pages))
    for read in _read_all(task, pages):
        with transaction(connection):
            _keep(connection, task, read)
        progress.advance()
    with transaction(connection):
        _keep_namespaces(connection, task)
        return _finish(connection, task)


def _owner_series(task: Task) -> Iterator[tuple[str, list[dict[str, str]]]]:
    for metric in task.preset.owners.values():
        for start_ms in range(task.start_ms, task.end_ms, LONGEST_QUERY_MS):
            end_ms = min(start_ms + LONGEST_QUERY_MS, task.end_ms)
            yield metric, task.server.series(metric, task.request.select, start_ms, end_ms)


def _plan(connection: duckdb.DuckDBPyConnection, task: Task) -> list[_Page]:
    """Pages still to read; the plan of an interrupted import is followed to its end."""
    known = connection.execute("SELECT count(*) FROM usage_page WHERE job = ?", [task.job]).fetchall()[0][0]
    if not known:
        pages = [page for name in task.preset.measures for page in _pages(task, name)]
        with transaction(connection):
            connection.executemany(
                "INSERT INTO usage_page VALUES (?, ?, ?, ?, false, 0, 0, 0)",
                [[task.job, page.measure, page.start_ms, page.end_ms] for page in pages],
            )
    rows = connection.execute(
        "SELECT measure, start_ms, end_ms FROM usage_page WHERE job = ? AND NOT done ORDER BY measure, start_ms", [task.job]
    ).fetchall()
    return [_Page(*row) for row in rows]


def _pages(task: Task, name: str) -> list[_Page]:
    """Cut the range of a measure by the number of series it has at its widest, as a coarse count shows."""
    step_ms = task.step_s * MS_PER_S
    per_hour = MS_PER_H // step_ms
    hours = (task.end_ms - task.start_ms) // MS_PER_H
    coarse_ms = -(-hours // MAX_POINTS) * MS_PER_H
    widest = int(task.server.peak(f"count({task.query(task.preset.measures[name])})", task.start_ms, task.end_ms, coarse_ms))
    points = min(MAX_POINTS, task.request.samples_per_page // max(widest, 1))
    page_ms = min(max(points // per_hour, 1) * MS_PER_H, LONGEST_QUERY_MS)
    return [_Page(name, at, min(at + page_ms, task.end_ms)) for at in range(task.start_ms, task.end_ms, page_ms)]


def _read_all(task: Task, pages: list[_Page]) -> Iterator[_Read]:
    """Answers in page order, a bounded number of them under way."""
    waiting: deque[Future[_Read]] = deque()
    with ThreadPoolExecutor(task.request.workers) as pool:
        try:
            for page in pages:
                waiting.append(pool.submit(_read, task, page))
                if len(waiting) >= task.request.workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _read(task: Task, page: _Page) -> _Read:
    """Ask for one page. A gauge at t stands for [t, t + step), a rate for the step that ends at t."""
    measure, step_ms = task.preset.measures[page.measure], task.step_s * MS_PER_S
    grid = Grid(page.start_ms, step_ms, (page.end_ms - page.start_ms) // step_ms)
    shift_ms = step_ms if measure.kind == "counter" else 0
    answer = task.server.range(task.query(measure), page.start_ms + shift_ms, page.end_ms - step_ms + shift_ms, step_ms)
    warnings = [*answer.warnings, *answer.infos]
    if answer.histograms:
        warnings.append(f"{page.measure}: {answer.histograms} native histograms were not read")
    try:
        part = hourly(page.measure, measure, grid, _subjects(task, measure, answer, grid, shift_ms, warnings))
        if measure.of == "gpu":
            owned = owner_rows(page.measure, measure, grid, _owned(task, measure, answer, grid, shift_ms))
            part = replace(part, rows=pa.concat_tables([part.rows, owned]))
    except ValueError as error:
        raise MetricsError(
            Problem(f"{task.server.place}: {page.measure}", str(error), "check the clocks of the server and of any cache before it")
        ) from None
    return _Read(page, grid, part, len(answer.series), answer.samples, tuple(warnings))


def _subjects(
    task: Task, measure: Measure, answer: Answer, grid: Grid, shift_ms: int, warnings: list[str]
) -> Iterator[tuple[tuple[str, ...], np.ndarray, np.ndarray]]:
    labels = task.preset.subject_labels(measure)
    for one in answer.series:
        subject = tuple(one.labels.get(label, "") for label in labels)
        if measure.of != "gpu" and not all(subject):
            missing = ", ".join(label for label, value in zip(labels, subject, strict=True) if not value)
            warnings.append(f"{measure.metric}: series without {missing} were left out; check the preset's label scheme")
            continue
        if measure.of == "workload":
            subject = (subject[0], task.owners.workload(*subject))
        yield subject, grid.index(one.times_ms - shift_ms), one.values


def _owned(
    task: Task, measure: Measure, answer: Answer, grid: Grid, shift_ms: int
) -> Iterator[tuple[tuple[str, ...], tuple[str, str], np.ndarray, np.ndarray]]:
    """Series of a GPU measure with the workload that holds the GPU."""
    labels = task.preset.subject_labels(measure)
    for one in answer.series:
        subject = tuple(one.labels.get(label, "") for label in labels)
        yield subject, owner_of(one.labels, task.owners), grid.index(one.times_ms - shift_ms), one.values


def _keep(connection: duckdb.DuckDBPyConnection, task: Task, read: _Read) -> None:
    """Stage a page's hours, gaps and warnings, and tick it off."""
    insert(connection, "usage_part", read.part.rows, job=task.job)
    for start, end in read.part.gaps(read.grid):
        row = [task.job, read.page.measure, start.replace(tzinfo=None), end.replace(tzinfo=None)]
        connection.execute("INSERT INTO usage_page_gap VALUES (?, ?, ?, ?)", row)
    for text in dict.fromkeys(read.warnings):
        connection.execute("INSERT INTO usage_page_warning VALUES (?, ?)", [task.job, text])
    connection.execute(
        "UPDATE usage_page SET done = true, series = ?, samples = ?, unusable = ? WHERE job = ? AND measure = ? AND start_ms = ?",
        [read.series, read.samples, read.part.unusable, task.job, read.page.measure, read.page.start_ms],
    )


def _keep_namespaces(connection: duckdb.DuckDBPyConnection, task: Task) -> None:
    names = sorted(task.owners.labels)
    labels = pa.array([sorted(task.owners.labels[name].items()) for name in names], pa.map_(pa.string(), pa.string()))
    insert(connection, "usage_namespace", pa.table({"namespace": pa.array(names, pa.string()), "labels": labels}), job=task.job)


def _finish(connection: duckdb.DuckDBPyConnection, task: Task) -> Imported:
    rows = connection.execute(
        "SELECT measure, max(series), sum(samples)::BIGINT FROM usage_page WHERE job = ? GROUP BY 1 ORDER BY 1", [task.job]
    ).fetchall()
    imported = Imported(
        source=task.server.place,
        start=from_ms(task.start_ms),
        end=from_ms(task.end_ms),
        series=sum(row[1] for row in rows),
        samples=sum(row[2] for row in rows),
        warnings=(*task.warnings, *absences(task.preset, {row[0] for row in rows if row[1]})),
    )
    return finish(connection, job=task.job, cluster=task.request.cluster, imported=imported)


def absences(preset: Preset, present: set[str]) -> list[str]:
    """Warnings for measures of which there is no series at all; one for all where a whole kind is missing."""
    texts = []
    for of in ("workload", "node"):
        needed = {name: preset.selector(one) for name, one in preset.measures.items() if one.of == of and not one.optional}
        missing = {name: metric for name, metric in needed.items() if name not in present}
        if missing == needed:
            texts.append(f"nothing about {of}s: no series of {', '.join(sorted(set(needed.values())))}")
        else:
            texts += [f"{name}: no series of {metric}" for name, metric in missing.items()]
    return texts + list(dcgm.absent(present))
