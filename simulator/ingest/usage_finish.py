"""The end of an import: staged pages become hourly rows, what is missing is named, and all of it commits at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import duckdb
import pyarrow as pa

from models.errors import MetricsError, Problem
from simulator.ingest.metric_names import MEASURES, Subject
from simulator.ingest.usage_store import JOB_TABLES, LONGEST, Gap, Imported, Query, insert

ZERO_WHEN_COVERED = ("pods", "pods_pending", "cpu_request_m", "memory_request_mib", "gpu_request")
ZERO_WITHOUT_PODS = ("cpu_usage_m", "memory_usage_mib")
ROWS_AT_A_TIME = 1_000_000
NEEDED = ("pods", "cpu_request_m", "memory_request_mib", "cpu_usage_m", "memory_usage_mib")
TABLES: dict[Subject, tuple[str, ...]] = {
    "workload": ("usage", "usage_total"),
    "node": ("node_usage",),
    "hpa": ("hpa_usage",),
    "gpu": ("gpu_usage", "gpu_owner"),
}
OTHER_SUBJECTS: tuple[tuple[Subject, str, tuple[str, ...]], ...] = (
    ("node", "node_usage", ("node",)),
    ("hpa", "hpa_usage", ("namespace", "hpa")),
    ("gpu", "gpu_usage", ("gpu", "node", "model", "instance", "profile")),
)


def _mean_of(part: str) -> str:
    return f"max(mean) FILTER (measure = '{part}')"


# the engine's activity tells more than the utilisation counter, which MIG instances lack; the energy counter more than power
_OWNER_COLUMNS = ", ".join(
    (
        f"{_mean_of('gpus_held')} AS gpus_held",
        f"coalesce({_mean_of('gpus_active')}, {_mean_of('gpus_busy')}) AS gpus_busy",
        f"coalesce({_mean_of('energy_mean_w')}, {_mean_of('power_w')}) AS power_w",
        f"{_mean_of('memory_used_mib')} AS memory_used_mib",
    )
)


def finish(
    connection: duckdb.DuckDBPyConnection,
    *,
    job: str,
    cluster: str,
    imported: Imported,
    rows: Sequence[tuple[str, pa.Table | Query]] = (),
) -> Imported:
    """Turn the staged pages of `job` and ready-made hourly `rows` (table name, rows) into the store's tables.

    Call it inside a transaction. Raises `MetricsError` when nothing was imported or one subject-hour came twice.
    """
    if imported.end - imported.start > LONGEST:
        found = f"hours from {imported.start:%Y-%m-%d} to {imported.end:%Y-%m-%d}"
        raise MetricsError(Problem(imported.source, found, f"a range of at most {LONGEST.days // 366} years is kept: check the times"))
    replaced = _make_room(connection, cluster, imported, _kinds(connection, job, {table for table, _ in rows}))
    for table, content in rows:
        insert(connection, table, content, cluster=cluster)
    _pivot(connection, job, cluster)
    _total(connection, cluster, imported)
    _refuse_twice(connection, cluster, imported)
    counts = _counts(connection, cluster, imported)
    if not sum(counts.values()):
        hours = f"{imported.start:%Y-%m-%dT%H:%MZ} to {imported.end:%Y-%m-%dT%H:%MZ}"
        raise MetricsError(Problem(imported.source, f"no usage at all in {hours}", "check the range, the preset and the selection"))
    warnings = [*imported.warnings, *_told(connection, job)]
    if replaced:
        warnings.append(f"{replaced} hourly rows of an earlier import of the same hours were replaced")
    unknown, everywhere = _unknown(connection, cluster, imported)
    result = replace(
        imported,
        gaps=(*imported.gaps, *_page_gaps(connection, job), *unknown),
        warnings=(*warnings, *(text for name, text in everywhere.items() if not any(name in told for told in warnings))),
        peaks=_peaks(connection, cluster, imported),
        tables=counts,
    )
    for table in JOB_TABLES:
        connection.execute(f"DELETE FROM {table} WHERE job = ?", [job])
    _note(connection, cluster, result)
    return result


def _range(imported: Imported) -> list[datetime]:
    return [imported.start.replace(tzinfo=None), imported.end.replace(tzinfo=None)]


def _kinds(connection: duckdb.DuckDBPyConnection, job: str, tables: set[str]) -> list[Subject]:
    """Kinds of subject that this import has rows of."""
    staged = {row[0] for row in connection.execute("SELECT DISTINCT kind FROM usage_part WHERE job = ?", [job]).fetchall()}
    return [kind for kind, own in TABLES.items() if kind in staged or tables & set(own)]


def _make_room(connection: duckdb.DuckDBPyConnection, cluster: str, imported: Imported, kinds: Sequence[Subject]) -> int:
    """Delete what the cluster has of these kinds in the hours of the import: rows deleted."""
    replaced = 0
    hours = [cluster, *_range(imported)]
    for kind in kinds:
        for table in TABLES[kind]:
            found = connection.execute(f"DELETE FROM {table} WHERE cluster = ? AND hour >= ? AND hour < ?", hours).fetchall()
            replaced += int(found[0][0])
    names = ["usage", *(name for kind in kinds for name in MEASURES[kind])]
    within = "cluster = ? AND gap_from >= ? AND gap_to <= ? AND list_contains(?, measure)"
    connection.execute(f"DELETE FROM usage_gap WHERE {within}", [*hours, names])
    return replaced


def _pivot(connection: duckdb.DuckDBPyConnection, job: str, cluster: str) -> None:
    """Long staged rows -> one row for each subject and hour."""
    workload = MEASURES["workload"]
    wide = ", ".join(f"max(mean) FILTER (measure = '{name}') AS {name}" for name in workload)
    covered = ", ".join(f"coalesce(bool_or(measure = '{name}'), false) AS has_{name}" for name in workload)
    kept = {name: name for name in workload}
    kept |= {name: f"CASE WHEN {name} IS NULL AND has_{name} THEN 0 ELSE {name} END" for name in ZERO_WHEN_COVERED}
    kept |= {name: f"CASE WHEN {name} IS NULL AND has_{name} AND has_pods AND coalesce(pods, 0) = 0 THEN 0 ELSE {name} END"
             for name in ZERO_WITHOUT_PODS}  # fmt: skip
    connection.execute(
        f"""INSERT INTO usage BY NAME
        WITH wide AS (SELECT hour, subject, {wide} FROM usage_part
                      WHERE job = $job AND kind = 'workload' AND len(subject) > 0 GROUP BY hour, subject),
             covered AS (SELECT hour, {covered} FROM usage_part WHERE job = $job AND kind = 'workload' GROUP BY hour)
        SELECT $cluster AS cluster, hour, subject[1] AS namespace, subject[2] AS workload,
               coalesce(labels, MAP {{}}) AS labels, {", ".join(f"{value} AS {name}" for name, value in kept.items())}
        FROM wide JOIN covered USING (hour)
        LEFT JOIN (SELECT namespace, labels FROM usage_namespace WHERE job = $job) AS own ON own.namespace = subject[1]
        ORDER BY hour, namespace, workload""",
        {"job": job, "cluster": cluster},
    )
    for kind, table, keys in OTHER_SUBJECTS:
        subject = ", ".join(f"subject[{k + 1}] AS {key}" for k, key in enumerate(keys))
        wide = ", ".join(f"max(mean) FILTER (measure = '{name}') AS {name}" for name in MEASURES[kind])
        connection.execute(
            f"""INSERT INTO {table} BY NAME SELECT $cluster AS cluster, hour, {subject}, {wide} FROM usage_part
            WHERE job = $job AND kind = '{kind}' GROUP BY hour, subject ORDER BY hour, subject""",
            {"job": job, "cluster": cluster},
        )
    connection.execute(
        f"""INSERT INTO gpu_owner BY NAME SELECT $cluster AS cluster, hour, subject[1] AS gpu, subject[2] AS model,
        subject[3] AS instance, subject[4] AS profile, subject[5] AS namespace, subject[6] AS workload, {_OWNER_COLUMNS}
        FROM usage_part WHERE job = $job AND kind = 'gpu_owner' GROUP BY hour, subject ORDER BY hour, subject""",
        {"job": job, "cluster": cluster},
    )
    connection.execute(
        """INSERT INTO usage_total BY NAME SELECT $cluster AS cluster, hour, measure, mean, peak FROM usage_part
        WHERE job = $job AND kind = 'workload' AND len(subject) = 0 ORDER BY hour, measure""",
        {"job": job, "cluster": cluster},
    )


def _total(connection: duckdb.DuckDBPyConnection, cluster: str, imported: Imported) -> None:
    """Totals of hours that came as ready-made rows: without finer points the peak is the mean."""
    for name in MEASURES["workload"]:
        connection.execute(
            f"""INSERT INTO usage_total BY NAME
            SELECT cluster, hour, '{name}' AS measure, sum({name}) AS mean, sum({name}) AS peak FROM usage
            WHERE cluster = ? AND hour >= ? AND hour < ? AND {name} IS NOT NULL
            AND hour NOT IN (SELECT hour FROM usage_total WHERE cluster = ? AND measure = ?) GROUP BY cluster, hour ORDER BY hour""",
            [cluster, *_range(imported), cluster, name],
        )


def _refuse_twice(connection: duckdb.DuckDBPyConnection, cluster: str, imported: Imported) -> None:
    """Look at as many hours at a time as hold `ROWS_AT_A_TIME` rows, so that the look takes bounded memory."""
    within = "FROM usage WHERE cluster = ? AND hour >= ? AND hour < ?"
    rows = connection.execute(f"SELECT count(*) {within}", [cluster, *_range(imported)]).fetchall()[0][0]
    hours = round((imported.end - imported.start) / timedelta(hours=1))
    step = timedelta(hours=min(max(1, hours * ROWS_AT_A_TIME // max(rows, 1)), max(hours, 1)))
    found: list[tuple[datetime, str, str, int]] = []
    start, end = _range(imported)
    while start < end and not found:
        found = connection.execute(
            f"SELECT hour, namespace, workload, count(*) {within} GROUP BY ALL HAVING count(*) > 1 ORDER BY ALL LIMIT 5",
            [cluster, start, min(start + step, end)],
        ).fetchall()
        start += step
    if found:
        raise MetricsError(
            Problem(
                f"{imported.source}: {namespace}/{workload} at {hour:%Y-%m-%dT%H:%MZ}",
                f"{count} rows for one workload and hour",
                "give each workload and hour once, or import the clusters one by one with --cluster",
            )
            for hour, namespace, workload, count in found
        )


def _counts(connection: duckdb.DuckDBPyConnection, cluster: str, imported: Imported) -> dict[str, int]:
    counts = {}
    for table, *_ in TABLES.values():
        found = connection.execute(
            f"SELECT count(*) FROM {table} WHERE cluster = ? AND hour >= ? AND hour < ?", [cluster, *_range(imported)]
        ).fetchall()
        counts[table] = int(found[0][0])
    return counts


def _told(connection: duckdb.DuckDBPyConnection, job: str) -> list[str]:
    rows = connection.execute("SELECT DISTINCT warning FROM usage_page_warning WHERE job = ? ORDER BY 1", [job]).fetchall()
    unusable = connection.execute(
        "SELECT measure, sum(unusable)::BIGINT FROM usage_page WHERE job = ? GROUP BY 1 HAVING sum(unusable) > 0 ORDER BY 1", [job]
    ).fetchall()
    return [str(row[0]) for row in rows] + [
        f"{name}: {count} samples are NaN, infinite or negative and were left out" for name, count in unusable
    ]


def _page_gaps(connection: duckdb.DuckDBPyConnection, job: str) -> list[Gap]:
    """Gaps of all pages; those that touch at a page border are one. A measure without any series is no gap."""
    rows = connection.execute(
        """SELECT measure, gap_from, gap_to FROM usage_page_gap WHERE job = $job
        AND measure IN (SELECT measure FROM usage_page WHERE job = $job GROUP BY 1 HAVING sum(series) > 0)
        ORDER BY measure, gap_from""",
        {"job": job},
    ).fetchall()
    joined: list[tuple[str, datetime, datetime]] = []
    for name, start, end in rows:
        if joined and joined[-1][0] == name and joined[-1][2] == start:
            joined[-1] = (name, joined[-1][1], end)
        else:
            joined.append((name, start, end))
    return [Gap(name, start.replace(tzinfo=UTC), end.replace(tzinfo=UTC), "no sample of any series") for name, start, end in joined]


def _unknown(connection: duckdb.DuckDBPyConnection, cluster: str, imported: Imported) -> tuple[list[Gap], dict[str, str]]:
    """Workload hours whose value the source did not give: gaps, and warnings for measures that it never gave."""
    gaps: list[Gap] = []
    everywhere: dict[str, str] = {}
    within = "FROM usage WHERE cluster = ? AND hour >= ? AND hour < ?"
    hours = [cluster, *_range(imported)]
    for name in NEEDED:
        rows, known = connection.execute(f"SELECT count(*), count({name}) {within}", hours).fetchall()[0]
        if rows and not known:
            everywhere[name] = f"{name}: unknown in every hour, no source of it was found"
        if not known or known == rows:
            continue
        found = connection.execute(
            f"""SELECT namespace, workload, count(*), min(hour), max(hour) + INTERVAL 1 HOUR {within} AND {name} IS NULL
            GROUP BY ALL ORDER BY ALL""",
            hours,
        ).fetchall()
        gaps += [
            Gap(name, start.replace(tzinfo=UTC), end.replace(tzinfo=UTC), f"{namespace}/{workload} unknown in {count} hours")
            for namespace, workload, count, start, end in found
        ]
    return gaps, everywhere


def _peaks(connection: duckdb.DuckDBPyConnection, cluster: str, imported: Imported) -> dict[str, float]:
    rows = connection.execute(
        "SELECT measure, max(peak) FROM usage_total WHERE cluster = ? AND hour >= ? AND hour < ? GROUP BY 1 ORDER BY 1",
        [cluster, *_range(imported)],
    ).fetchall()
    return {name: float(peak) for name, peak in rows}


def _note(connection: duckdb.DuckDBPyConnection, cluster: str, result: Imported) -> None:
    for gap in result.gaps:
        start, end = gap.start.replace(tzinfo=None), gap.end.replace(tzinfo=None)
        connection.execute("INSERT INTO usage_gap VALUES (?, ?, ?, ?, ?)", [cluster, gap.measure, start, end, gap.reason])
    connection.execute(
        "INSERT INTO usage_import VALUES (?, ?, ?, ?, ?, ?, ?)",
        [cluster, result.source, *_range(result), result.series, result.samples, list(result.warnings)],
    )
