"""Usage files into the store: kinds are found by content, raw samples of several files are joined before they are counted."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from models.errors import InputError, MetricsError, Problem
from models.usage import UsageHistory
from simulator.ingest.metric_names import Preset, load_preset, other_resources
from simulator.ingest.prometheus import absences
from simulator.ingest.prometheus_parse import Series
from simulator.ingest.prometheus_task import CLUSTER_LABEL, PROBED
from simulator.ingest.store import transaction
from simulator.ingest.usage_files import FileOptions, HourlyRows, RawSamples, kind_of
from simulator.ingest.usage_finish import finish
from simulator.ingest.usage_hours import from_ms, to_ms
from simulator.ingest.usage_raw import PHASE_METRIC, by_metric, grid_of, measure_part, owners_of
from simulator.ingest.usage_store import Imported, frugal, insert, load_usage, open_usage
from simulator.progress import SILENT, Progress


def read_usage_file(path: Path | str, options: FileOptions | None = None) -> UsageHistory:
    """Usage of one file, without keeping it in a store."""
    with open_usage(None) as connection:
        import_files(connection, [Path(path)], options or FileOptions())
        return load_usage(connection)


def import_files(
    connection: duckdb.DuckDBPyConnection, paths: Sequence[Path], options: FileOptions, progress: Progress = SILENT
) -> Imported:
    """Import files of any known kind in one transaction; `connection` is one of `open_usage`.

    Raises `MetricsError` with the problems of every file.
    """
    read: list[tuple[Path, RawSamples | HourlyRows]] = []
    problems: list[Problem] = []
    progress.stage("usage", len(paths))
    for path in paths:
        try:
            read.append((path, kind_of(path).read(path, options)))
        except InputError as error:
            problems += error.problems
        progress.advance()
    if problems:
        raise MetricsError(problems)
    job = hashlib.sha256(repr(sorted(map(str, paths))).encode()).hexdigest()[:16]
    with frugal(connection), transaction(connection):
        raw = _stage_raw(connection, job, [(path, one) for path, one in read if isinstance(one, RawSamples)], options)
        rows = [one for _, one in read if isinstance(one, HourlyRows)]
        parts: list[HourlyRows | _Staged] = [*rows, *([raw] if raw else [])]
        imported = Imported(
            source=", ".join(sorted(path.name for path in paths)),
            start=min(one.start for one in parts),
            end=max(one.end for one in parts),
            series=sum(one.series for one in parts),
            samples=sum(one.samples for one in parts),
            gaps=tuple(gap for one in rows for gap in one.gaps),
            warnings=tuple(text for one in parts for text in one.warnings),
        )
        return finish(connection, job=job, cluster=options.cluster, imported=imported, rows=[table for one in rows for table in one.tables])


@dataclass(frozen=True)
class _Staged:
    start: datetime
    end: datetime
    series: int
    samples: int
    warnings: tuple[str, ...]


def _stage_raw(
    connection: duckdb.DuckDBPyConnection, job: str, files: Sequence[tuple[Path, RawSamples]], options: FileOptions
) -> _Staged | None:
    """Stage what the raw files say together: owners of one file name the pods of another."""
    if not files:
        return None
    warnings = [text for _, one in files for text in one.warnings]
    series = _dated(files, options, warnings)
    places = ", ".join(str(path) for path, _ in files)
    if not series:
        raise MetricsError(Problem(places, "no samples", "give a scrape with content"))
    preset = load_preset(options.preset)
    series = [one for one in series if all(matcher.matches(one.labels) for matcher in options.select)] if options.select else series
    if not series:
        raise MetricsError(Problem(places, f"no samples with {', '.join(map(str, options.select))}", "check --select"))
    _refuse_mixed(places, preset, series)
    grid = grid_of(places, series, options.start, options.end)
    named = by_metric(series)
    warnings += _other_resources(preset, named)
    owners = owners_of(preset, named)
    found: dict[str, tuple[int, int]] = {}
    for name, measure in preset.measures.items():
        part = measure_part(name, preset, named, grid, owners, options.select)
        if part is None:
            continue
        hours, count, samples = part
        found[name] = (count, samples)
        insert(connection, "usage_part", hours.rows, job=job)
        values = [job, name, grid.start_ms, grid.end_ms, True, count, samples, hours.unusable]
        connection.execute("INSERT INTO usage_page VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)
        for start, end in hours.gaps(grid) if hours.rows.num_rows else ():
            connection.execute(
                "INSERT INTO usage_page_gap VALUES (?, ?, ?, ?)", [job, name, start.replace(tzinfo=None), end.replace(tzinfo=None)]
            )
        if measure.kind == "counter" and not hours.rows.num_rows:
            warnings.append(f"{name}: {measure.metric} is a counter, and one scrape holds no rate: unknown")
        if measure.live and PHASE_METRIC not in named:
            warnings.append(f"{name}: without {PHASE_METRIC} the requests of finished pods count as well")
    names = sorted(owners.labels)
    labels = pa.array([sorted(owners.labels[name].items()) for name in names], pa.map_(pa.string(), pa.string()))
    insert(connection, "usage_namespace", pa.table({"namespace": pa.array(names, pa.string()), "labels": labels}), job=job)
    _refuse_nothing(places, preset, found)
    return _Staged(
        from_ms(grid.start_ms), from_ms(grid.end_ms), sum(count for count, _ in found.values()),
        sum(samples for _, samples in found.values()), (*warnings, *absences(preset, set(found))),
    )  # fmt: skip


def _other_resources(preset: Preset, named: Mapping[str, Sequence[Series]]) -> list[str]:
    """Resources that pods ask for and no measure keeps: MIG profiles, other devices, huge pages."""
    told = []
    for metric in sorted({one.metric for one in preset.measures.values() if one.of == "workload"}):
        matcher = other_resources(preset, metric)
        others = [one for one in named.get(metric, ()) if matcher and matcher.matches(one.labels) and (one.values > 0).any()]
        names = sorted({one.labels.get("resource", "") for one in others} - {""})
        told += [f"{metric}: {', '.join(names)} are asked for and not kept"] if names else []
    return told


def _refuse_mixed(places: str, preset: Preset, series: Sequence[Series]) -> None:
    """Pods of one name in several clusters would be taken for one."""
    label = preset.labels.get("cluster", CLUSTER_LABEL)
    clusters: dict[tuple[str, ...], set[str]] = {}
    for measure in (preset.measures[name] for name in PROBED if name in preset.measures):
        own = preset.spelled(measure, "namespace", "pod")
        for one in series:
            if one.labels.get("__name__") == measure.metric and one.labels.get(label):
                clusters.setdefault(tuple(one.labels.get(name, "") for name in own), set()).add(one.labels[label])
    mixed = [names for names in clusters.values() if len(names) > 1]
    if mixed:
        found = f"{len(mixed)} pods of the same namespace and name in several clusters ({', '.join(sorted(set().union(*mixed)))})"
        mend = f"""import them one by one with --select '{label}="NAME"' --cluster NAME"""
        raise MetricsError(Problem(places, found, mend))


def _refuse_nothing(places: str, preset: Preset, found: dict[str, tuple[int, int]]) -> None:
    if not found:
        what = f"none of the metrics of preset {preset.name}"
        raise MetricsError(Problem(places, what, "give a scrape of kube-state-metrics, cAdvisor or dcgm-exporter, or another --preset"))


def _dated(files: Sequence[tuple[Path, RawSamples]], options: FileOptions, warnings: list[str]) -> list[Series]:
    """All series with times: a scrape without time stamps is dated by its neighbours, by --from, or by its file."""
    dated = [series for _, one in files for series in one.dated]
    latest = max((int(series.times_ms.max()) for series in dated), default=None)
    for path, one in files:
        if not one.undated:
            continue
        if latest is not None:
            at_ms = latest
            warnings.append(f"{path.name}: samples without time stamps were dated {from_ms(at_ms):%Y-%m-%dT%H:%MZ} like the others")
        elif options.start:
            at_ms = to_ms(options.start)
        else:
            at_ms = to_ms(datetime.fromtimestamp(path.stat().st_mtime, UTC))
            warnings.append(f"{path.name}: no time stamps; dated {from_ms(at_ms):%Y-%m-%dT%H:%MZ} by the file, give --from to set it")
        dated += [Series(series.labels, np.array([at_ms], dtype=np.int64), series.values) for series in one.undated]
    return dated
