"""Usage as a parquet file: one row for each hour and workload.

Columns: hour (timestamp, UTC, whole hours), namespace, workload, labels (map of text, optional), and any of pods,
cpu_request_m, memory_request_mib, cpu_limit_m, memory_limit_mib, cpu_usage_m, memory_usage_mib, pods_pending,
gpu_request. A null is a value that was not measured. The file is read by duckdb, piece by piece: its size does not matter.
"""

from __future__ import annotations

import glob
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb

from models.errors import MetricsError, Problem
from simulator.ingest.metric_names import MEASURES
from simulator.ingest.store import scratch_connection
from simulator.ingest.usage_files import USAGE_FILES, FileOptions, HourlyRows
from simulator.ingest.usage_store import Gap, Query

KEYS = ("hour", "namespace", "workload")
MAGIC = b"PAR1"
_NUMBERS = (
    "DOUBLE",
    "FLOAT",
    "DECIMAL",
    "BIGINT",
    "INTEGER",
    "SMALLINT",
    "TINYINT",
    "HUGEINT",
    "UBIGINT",
    "UINTEGER",
    "USMALLINT",
    "UTINYINT",
)
_SHOWN = 5


class UsageParquet:
    """Hourly usage rows."""

    describes = "parquet with hour, namespace, workload and measures"

    def sniff(self, path: Path, head: bytes) -> bool:
        """Parquet's magic bytes."""
        return head.startswith(MAGIC)

    def read(self, path: Path, options: FileOptions) -> HourlyRows:
        """All rows within the options' range, checked one by one."""
        with scratch_connection() as connection:
            try:
                return _read(connection, path, options)
            except duckdb.Error as error:
                first = str(error).splitlines()[0]
                raise MetricsError(Problem(str(path), f"a parquet file that cannot be read ({first})", "write or fetch it again")) from None


def _read(connection: duckdb.DuckDBPyConnection, path: Path, options: FileOptions) -> HourlyRows:
    """Check the file where it lies, one pass for the columns and one for the hours; its rows go straight into the store later."""
    name = glob.escape(str(path))
    types = {row[0]: str(row[1]) for row in connection.execute("DESCRIBE SELECT * FROM read_parquet(?)", [name]).fetchall()}
    if not connection.execute("SELECT count(*) FROM read_parquet(?)", [name]).fetchall()[0][0]:
        raise MetricsError(Problem(str(path), "no rows", "give a file with usage in it"))
    measures = _check_columns(path, types)
    columns = [f"hour::TIMESTAMP AS hour, namespace, workload, coalesce({_labels(types)}, MAP {{}}) AS labels"]
    columns += [f"{name}::DOUBLE AS {name}" for name in measures]
    source, parameters = _cut(f"SELECT {', '.join(columns)} FROM read_parquet(?)", name, options)
    _check_rows(connection, path, name, columns, measures)
    counts = ", ".join(f"count({name})" for name in measures)
    first, last, series, *values = connection.execute(
        f"SELECT min(hour), max(hour), count(DISTINCT (namespace, workload)), {counts} FROM ({source})", parameters
    ).fetchall()[0]
    if first is None:
        raise MetricsError(Problem(str(path), "no rows in the range", "widen --from and --to"))
    start = options.start or first.replace(tzinfo=UTC)
    end = options.end or last.replace(tzinfo=UTC) + timedelta(hours=1)
    unread = sorted(set(types) - {*KEYS, "labels", *measures})
    warnings = (f"{path.name}: columns that were not read: {', '.join(unread)}",) if unread else ()
    rows = Query(source, tuple(parameters), str(path))
    gaps = tuple(_gaps(connection, source, parameters, start, end))
    return HourlyRows([("usage", rows)], start, end, series, sum(values), gaps, warnings)


def _labels(types: dict[str, str]) -> str:
    return "labels" if types.get("labels") == "MAP(VARCHAR, VARCHAR)" else "MAP {}::MAP(VARCHAR, VARCHAR)"


def _check_columns(path: Path, types: dict[str, str]) -> list[str]:
    """Measures of the file; refuses missing keys and wrong types, all at once."""
    measures = [name for name in MEASURES["workload"] if name in types]
    missing = [name for name in KEYS if name not in types]
    shown = ", ".join(list(types)[:_SHOWN]) + (f" and {len(types) - _SHOWN} more" if len(types) > _SHOWN else "")
    problems = []
    if missing:
        mend = f"usage needs {', '.join(KEYS)} and at least one measure"
        problems.append(Problem(str(path), f"no column {', '.join(missing)} among {shown}", mend))
    if not measures:
        problems.append(Problem(str(path), f"no measure among {shown}", f"give one of {', '.join(MEASURES['workload'])}"))
    wanted = {"hour": ("TIMESTAMP", "DATE"), "namespace": ("VARCHAR",), "workload": ("VARCHAR",), **dict.fromkeys(measures, _NUMBERS)}
    problems += [
        Problem(f"{path}: column {name}", f"type {types[name]}", f"write it as {' or '.join(kinds[:2])}")
        for name, kinds in wanted.items()
        if name in types and not types[name].startswith(kinds)
    ]
    if "labels" in types and types["labels"] != "MAP(VARCHAR, VARCHAR)":
        problems.append(Problem(f"{path}: column labels", f"type {types['labels']}", "write it as a map of text to text, or leave it out"))
    if problems:
        raise MetricsError(problems)
    return measures


def _check_rows(connection: duckdb.DuckDBPyConnection, path: Path, name: str, columns: list[str], measures: list[str]) -> None:
    """Refuse rows without a key, off the hour, and values that cannot be; name the first of each."""
    checks = {
        "hour IS NULL OR namespace IS NULL OR workload IS NULL OR NOT isfinite(hour)": "a row without hour, namespace or workload",
        "hour <> date_trunc('hour', hour)": "a time within an hour",
        **{f"{name} < 0 OR NOT isfinite({name})": f"{name} that is negative, NaN or infinite" for name in measures},
    }
    source = f"(SELECT {', '.join(columns)} FROM read_parquet(?))"
    counted = ", ".join(f"count_if({condition})" for condition in checks)
    counts = connection.execute(f"SELECT {counted} FROM {source}", [name]).fetchall()[0]
    problems = []
    for (condition, found), count in zip(checks.items(), counts, strict=True):
        if count:
            # FILTER, not WHERE: where a file's minimum is its maximum, WHERE takes every value for that one and loses a NaN
            first = f"SELECT unnest(min({{h: hour, n: namespace, w: workload}}) FILTER (WHERE {condition})) FROM {source}"
            hour, namespace, workload = connection.execute(first, [name]).fetchall()[0]
            problems.append(
                Problem(f"{path}: {namespace}/{workload} at {hour}", f"{found} ({count} rows)", "mend the source and write the file again")
            )
    if problems:
        raise MetricsError(problems[:_SHOWN])


def _cut(query: str, name: str, options: FileOptions) -> tuple[str, list[str | datetime]]:
    """The query with the hours asked for, and its parameters."""
    parameters: list[str | datetime] = [name]
    conditions = []
    for limit, operator in ((options.start, ">="), (options.end, "<")):
        if limit:
            conditions.append(f"hour {operator} ?")
            parameters.append(limit.replace(tzinfo=None))
    return query + (f" WHERE {' AND '.join(conditions)}" if conditions else ""), parameters


def _gaps(
    connection: duckdb.DuckDBPyConnection, source: str, parameters: list[str | datetime], start: datetime, end: datetime
) -> list[Gap]:
    """Runs of hours without a row."""
    rows = connection.execute(f"SELECT DISTINCT hour FROM ({source}) ORDER BY 1", parameters).fetchall()
    hours = [row[0].replace(tzinfo=UTC) for row in rows]
    before = [start, *(hour + timedelta(hours=1) for hour in hours)]
    return [Gap("usage", a, b, "no rows") for a, b in zip(before, [*hours, end], strict=True) if a < b]


USAGE_FILES.register("parquet", UsageParquet())
