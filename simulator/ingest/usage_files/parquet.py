"""Usage as a parquet file: one row for each hour and workload.

Columns: hour (timestamp, UTC, whole hours), namespace, workload, labels (map of text, optional), and any of pods,
cpu_request_m, memory_request_mib, cpu_limit_m, memory_limit_mib, cpu_usage_m, memory_usage_mib, pods_pending,
gpu_request. A null is a value that was not measured.
"""

from __future__ import annotations

import glob
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa

from models.errors import MetricsError, Problem
from simulator.ingest.metric_names import MEASURES
from simulator.ingest.usage_files import USAGE_FILES, FileOptions, HourlyRows
from simulator.ingest.usage_hours import EPOCH
from simulator.ingest.usage_store import Gap

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
        with duckdb.connect() as connection:
            connection.execute("SET TimeZone='UTC'")
            try:
                return _read(connection, path, options)
            except duckdb.Error as error:
                first = str(error).splitlines()[0]
                raise MetricsError(Problem(str(path), f"a parquet file that cannot be read ({first})", "write or fetch it again")) from None


def _read(connection: duckdb.DuckDBPyConnection, path: Path, options: FileOptions) -> HourlyRows:
    source = "read_parquet(?)"
    name = glob.escape(str(path))
    types = {row[0]: str(row[1]) for row in connection.execute(f"DESCRIBE SELECT * FROM {source}", [name]).fetchall()}
    if not connection.execute(f"SELECT count(*) FROM {source}", [name]).fetchall()[0][0]:
        raise MetricsError(Problem(str(path), "no rows", "give a file with usage in it"))
    measures = _check_columns(path, types)
    labels = "labels" if types.get("labels") == "MAP(VARCHAR, VARCHAR)" else "MAP {}::MAP(VARCHAR, VARCHAR)"
    columns = [f"hour::TIMESTAMP AS hour, namespace, workload, coalesce({labels}, MAP {{}}) AS labels"]
    columns += [f"{name}::DOUBLE AS {name}" for name in measures]
    connection.execute(f"CREATE TEMP TABLE rows AS SELECT {', '.join(columns)} FROM {source}", [name])
    _check_rows(connection, path, measures)
    start, end = _cut(connection, options)
    table: pa.Table = connection.sql("SELECT * FROM rows ORDER BY hour, namespace, workload").to_arrow_table()
    if not table.num_rows:
        raise MetricsError(Problem(str(path), "no rows in the range", "widen --from and --to"))
    series = connection.execute("SELECT count(DISTINCT (namespace, workload)) FROM rows").fetchall()[0][0]
    values = sum(table.num_rows - table[name].null_count for name in measures)
    unread = sorted(set(types) - {*KEYS, "labels", *measures})
    warnings = (f"{path.name}: columns that were not read: {', '.join(unread)}",) if unread else ()
    return HourlyRows([("usage", table)], start, end, series, values, tuple(_gaps(connection, start, end)), warnings)


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


def _check_rows(connection: duckdb.DuckDBPyConnection, path: Path, measures: list[str]) -> None:
    """Refuse rows without a key, off the hour, and values that cannot be; name the first of each."""
    checks = {
        "hour IS NULL OR namespace IS NULL OR workload IS NULL OR NOT isfinite(hour)": "a row without hour, namespace or workload",
        "hour <> date_trunc('hour', hour)": "a time within an hour",
        **{f"{name} < 0 OR NOT isfinite({name})": f"{name} that is negative, NaN or infinite" for name in measures},
    }
    problems = []
    for condition, found in checks.items():
        bad = connection.execute(
            f"SELECT hour, namespace, workload, count(*) OVER () FROM rows WHERE {condition} ORDER BY 1, 2, 3 LIMIT 1"
        ).fetchall()
        if bad:
            hour, namespace, workload, count = bad[0]
            problems.append(
                Problem(f"{path}: {namespace}/{workload} at {hour}", f"{found} ({count} rows)", "mend the source and write the file again")
            )
    if problems:
        raise MetricsError(problems[:_SHOWN])


def _cut(connection: duckdb.DuckDBPyConnection, options: FileOptions) -> tuple[datetime, datetime]:
    """Keep the hours asked for; the range that the import covers."""
    if options.start:
        connection.execute("DELETE FROM rows WHERE hour < ?", [options.start.replace(tzinfo=None)])
    if options.end:
        connection.execute("DELETE FROM rows WHERE hour >= ?", [options.end.replace(tzinfo=None)])
    first, last = connection.execute("SELECT min(hour), max(hour) FROM rows").fetchall()[0]
    start = options.start or (first.replace(tzinfo=UTC) if first else EPOCH)
    end = options.end or (last.replace(tzinfo=UTC) + timedelta(hours=1) if last else EPOCH)
    return start, end


def _gaps(connection: duckdb.DuckDBPyConnection, start: datetime, end: datetime) -> list[Gap]:
    """Runs of hours without a row."""
    hours = [row[0].replace(tzinfo=UTC) for row in connection.execute("SELECT DISTINCT hour FROM rows ORDER BY 1").fetchall()]
    before = [start, *(hour + timedelta(hours=1) for hour in hours)]
    return [Gap("usage", a, b, "no rows") for a, b in zip(before, [*hours, end], strict=True) if a < b]


USAGE_FILES.register("parquet", UsageParquet())
