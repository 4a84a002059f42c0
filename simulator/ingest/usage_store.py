"""Usage in the store: hourly rows by workload, node, autoscaler and GPU; page checkpoints; `load_usage`.

An import replaces whatever its cluster had in the hours it covers, in one transaction. Pages that a server has already
answered stay in `usage_part` until the import ends, so an interrupted import goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from models.errors import MetricsError, Problem
from models.horizon import Horizon
from models.resources import CPU, MEMORY, PODS, ResourceAxes
from models.usage import UsageHistory, WorkloadKey
from simulator.ingest.metric_names import MEASURES
from simulator.ingest.store import MEMORY_LIMIT_MIB, ensure_part, open_store
from simulator.ingest.usage_gpu import DEVICE_PART

PART, VERSION = "usage", 2


def _columns(names: Sequence[str]) -> str:
    return ", ".join(f"{name} DOUBLE" for name in names)


DDL = f"""
CREATE TABLE usage (cluster VARCHAR NOT NULL, hour TIMESTAMP NOT NULL, namespace VARCHAR NOT NULL, workload VARCHAR NOT NULL,
    labels MAP(VARCHAR, VARCHAR) NOT NULL, {_columns(MEASURES["workload"])});
CREATE TABLE node_usage (cluster VARCHAR NOT NULL, hour TIMESTAMP NOT NULL, node VARCHAR NOT NULL, {_columns(MEASURES["node"])});
CREATE TABLE hpa_usage (cluster VARCHAR NOT NULL, hour TIMESTAMP NOT NULL, namespace VARCHAR NOT NULL, hpa VARCHAR NOT NULL,
    {_columns(MEASURES["hpa"])});
CREATE TABLE gpu_usage (cluster VARCHAR NOT NULL, hour TIMESTAMP NOT NULL, gpu VARCHAR NOT NULL, node VARCHAR, model VARCHAR,
    instance VARCHAR, profile VARCHAR, {_columns(MEASURES["gpu"])});
CREATE TABLE usage_total (cluster VARCHAR NOT NULL, hour TIMESTAMP NOT NULL, measure VARCHAR NOT NULL, mean DOUBLE, peak DOUBLE);
CREATE TABLE usage_gap (cluster VARCHAR NOT NULL, measure VARCHAR NOT NULL, gap_from TIMESTAMP, gap_to TIMESTAMP, reason VARCHAR);
CREATE TABLE usage_import (cluster VARCHAR NOT NULL, source VARCHAR NOT NULL, start_hour TIMESTAMP, end_hour TIMESTAMP,
    series BIGINT, samples BIGINT, warnings VARCHAR[]);
CREATE TABLE usage_page (job VARCHAR NOT NULL, measure VARCHAR NOT NULL, start_ms BIGINT NOT NULL, end_ms BIGINT NOT NULL,
    done BOOLEAN NOT NULL, series BIGINT, samples BIGINT, unusable BIGINT);
CREATE TABLE usage_page_gap (job VARCHAR NOT NULL, measure VARCHAR NOT NULL, gap_from TIMESTAMP, gap_to TIMESTAMP);
CREATE TABLE usage_page_warning (job VARCHAR NOT NULL, warning VARCHAR NOT NULL);
CREATE TABLE usage_part (job VARCHAR NOT NULL, measure VARCHAR NOT NULL, kind VARCHAR NOT NULL, subject VARCHAR[] NOT NULL,
    hour TIMESTAMP NOT NULL, mean DOUBLE, peak DOUBLE);
CREATE TABLE usage_namespace (job VARCHAR NOT NULL, namespace VARCHAR NOT NULL, labels MAP(VARCHAR, VARCHAR) NOT NULL);
"""
OWNERS_PART, OWNERS_VERSION = "owners of GPUs", 1
OWNERS_DDL = """CREATE TABLE gpu_owner (cluster VARCHAR NOT NULL, hour TIMESTAMP NOT NULL, gpu VARCHAR NOT NULL, model VARCHAR,
    instance VARCHAR, profile VARCHAR, namespace VARCHAR NOT NULL, workload VARCHAR NOT NULL, gpus_held DOUBLE, gpus_busy DOUBLE,
    power_w DOUBLE, memory_used_mib DOUBLE)"""
GPU = "nvidia.com/gpu"
FRUGAL_MIB = 192  # duckdb fills what it may hold before it writes; beside an import's own memory that is enough
LONGEST = timedelta(days=20 * 366)
JOB_TABLES = ("usage_page", "usage_page_gap", "usage_page_warning", "usage_part", "usage_namespace")
USAGE_COLUMNS = ("hour", "namespace", "workload", "labels", *MEASURES["workload"])


@dataclass(frozen=True, slots=True)
class Gap:
    """Hours for which a measure is missing; `start` and `end` are UTC, end exclusive."""

    measure: str
    start: datetime
    end: datetime
    reason: str

    def __str__(self) -> str:
        return f"{self.measure}: {self.start:%Y-%m-%dT%H:%MZ} to {self.end:%Y-%m-%dT%H:%MZ}, {self.reason}"


@dataclass(frozen=True)
class Imported:
    """What an import brought: counts, range [start, end), what is missing and what to know."""

    source: str
    start: datetime
    end: datetime
    series: int
    samples: int
    gaps: tuple[Gap, ...] = ()
    warnings: tuple[str, ...] = ()
    peaks: dict[str, float] = field(default_factory=dict)
    tables: dict[str, int] = field(default_factory=dict)


def open_usage(path: Path | str | None, *, read_only: bool = False) -> duckdb.DuckDBPyConnection:
    """The store with its usage tables; None is a store in memory."""
    connection = open_store(path, read_only=read_only)
    try:
        ensure_part(connection, PART, VERSION, DDL, read_only=read_only)
        if not read_only:  # a store of an earlier version is read without it
            ensure_part(connection, OWNERS_PART, OWNERS_VERSION, OWNERS_DDL)
    except BaseException:
        connection.close()
        raise
    return connection


@dataclass(frozen=True)
class Query:
    """Rows that stay where they are until the store takes them: SQL for its connection, so that no more than duckdb needs is held."""

    sql: str
    parameters: tuple[str | datetime, ...]
    place: str


@contextmanager
def frugal(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Less memory for duckdb while much is written."""
    connection.execute(f"SET memory_limit='{FRUGAL_MIB}MiB'")
    try:
        yield
    finally:
        connection.execute(f"SET memory_limit='{MEMORY_LIMIT_MIB}MiB'")


def insert(connection: duckdb.DuckDBPyConnection, table: str, rows: pa.Table | Query, **constants: str) -> None:
    """Append rows by column name, with constant columns added."""
    fixed = "".join(f", ? AS {name}" for name in constants)
    if isinstance(rows, Query):
        parameters = [*constants.values(), *rows.parameters]
        try:
            connection.execute(f"INSERT INTO {table} BY NAME SELECT incoming.*{fixed} FROM ({rows.sql}) AS incoming", parameters)
        except duckdb.Error as error:
            first = str(error).splitlines()[0]
            raise MetricsError(Problem(rows.place, f"a file that cannot be read ({first})", "write or fetch it again")) from None
        return
    if not rows.num_rows:
        return
    connection.register("incoming", rows)
    try:
        connection.execute(f"INSERT INTO {table} BY NAME SELECT *{fixed} FROM incoming", list(constants.values()))
    finally:
        connection.unregister("incoming")


def load_usage(store: Path | str | duckdb.DuckDBPyConnection) -> UsageHistory:
    """Requests and use of every workload in the store, hour by hour.

    In an hour for which a cluster has rows, a workload without one ran no pods: zeros. Where a cluster has no rows at all,
    and where a source did not know a value, the arrays hold NaN and `gaps` names the hours. The labels of a key are its
    namespace's, and `cluster` where clusters were named.
    """
    if isinstance(store, duckdb.DuckDBPyConnection):
        return _history(store)
    connection = open_usage(store, read_only=True)
    try:
        return _history(connection)
    finally:
        connection.close()


COLUMNS = ("pods", "cpu_request_m", "memory_request_mib", "gpu_request", "cpu_usage_m", "memory_usage_mib")
_WORKLOADS = """SELECT cluster, namespace, workload, arg_max(labels, hour) AS labels,
    row_number() OVER (ORDER BY cluster, namespace, workload) - 1 AS number FROM usage GROUP BY cluster, namespace, workload"""


def _history(connection: duckdb.DuckDBPyConnection) -> UsageHistory:
    table: pa.Table = connection.sql(
        f"""SELECT number, epoch(hour)::BIGINT // 3600 AS hour, {", ".join(f"usage.{name}" for name in COLUMNS)}
        FROM usage JOIN ({_WORKLOADS}) USING (cluster, namespace, workload) ORDER BY number, hour"""
    ).to_arrow_table()
    if not table.num_rows:
        raise MetricsError(Problem("store", "no usage of workloads", "import it first: burstline usage --store FILE"))
    hour, column = table["hour"].to_numpy(), table["number"].to_numpy()
    first, hours = int(hour.min()), int(hour.max() - hour.min()) + 1
    horizon = Horizon(datetime.fromtimestamp(first * 3600, UTC), hours)
    keys = _keys(connection)
    clusters = [key.labels.get("cluster", "") for key in keys]
    seen = {name: np.zeros(hours, dtype=bool) for name in clusters}
    for name in seen:
        seen[name][hour[np.isin(column, [k for k, own in enumerate(clusters) if own == name])] - first] = True
    blank = np.stack([np.where(seen[name], 0.0, np.nan) for name in clusters], axis=1)
    measured = {name: blank.copy() for name in COLUMNS}
    for name in COLUMNS:
        measured[name][hour - first, column] = table[name].to_numpy(zero_copy_only=False)
    asked = measured["gpu_request"]  # no source lists what a pod does not ask for
    measured["gpu_request"] = np.where(np.isnan(asked) & ~np.isnan(measured["cpu_request_m"]), 0.0, asked)
    return _assemble(connection, horizon, keys, measured, seen, _busy_gpus(connection, keys, horizon))


def _busy_gpus(connection: duckdb.DuckDBPyConnection, keys: Sequence[WorkloadKey], horizon: Horizon) -> np.ndarray:
    """Whole GPUs' worth of work, float64 [hours, workloads]: NaN where no GPU of a workload was measured."""
    busy = np.full((horizon.hours, len(keys)), np.nan)
    if not connection.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = 'gpu_owner'").fetchall():
        return busy  # a store of an earlier version
    column = {(key.labels.get("cluster", ""), key.namespace, key.workload): k for k, key in enumerate(keys)}
    first = int(horizon.start.timestamp()) // 3600
    rows = connection.execute(
        f"""SELECT cluster, namespace, workload, epoch(hour)::BIGINT // 3600, sum(gpus_busy * {DEVICE_PART}) FROM gpu_owner
        WHERE gpus_busy IS NOT NULL GROUP BY ALL ORDER BY ALL"""
    ).fetchall()
    for cluster, namespace, workload, hour, amount in rows:
        k = column.get((cluster, namespace, workload))
        if k is not None and 0 <= hour - first < horizon.hours:
            busy[hour - first, k] = amount
    return busy


def _keys(connection: duckdb.DuckDBPyConnection) -> tuple[WorkloadKey, ...]:
    """Workloads in the order of their numbers, with the labels of their last hour."""
    rows = connection.execute(f"SELECT cluster, namespace, workload, labels FROM ({_WORKLOADS}) ORDER BY number").fetchall()
    return tuple(
        WorkloadKey(namespace, workload, dict(labels) | ({"cluster": cluster} if cluster else {}))
        for cluster, namespace, workload, labels in rows
    )


def _assemble(
    connection: duckdb.DuckDBPyConnection,
    horizon: Horizon,
    keys: tuple[WorkloadKey, ...],
    measured: dict[str, np.ndarray],
    seen: dict[str, np.ndarray],
    busy_gpus: np.ndarray,
) -> UsageHistory:
    gpu = bool((measured["gpu_request"] > 0).any())
    pods = measured["pods"]
    requests = [measured["cpu_request_m"], measured["memory_request_mib"], pods, *([measured["gpu_request"]] if gpu else [])]
    usage = [measured["cpu_usage_m"], measured["memory_usage_mib"], pods, *([busy_gpus] if gpu else [])]
    rows = connection.execute("SELECT measure, gap_from, gap_to, reason FROM usage_gap ORDER BY ALL").fetchall()
    gaps = [Gap(name, start.replace(tzinfo=UTC), end.replace(tzinfo=UTC), reason) for name, start, end, reason in rows]
    for cluster, covered in seen.items():
        gaps += [Gap(f"cluster {cluster}".strip(), horizon.at(a), horizon.at(b), "no rows") for a, b in _runs(~covered)]
    sources = connection.execute("SELECT DISTINCT source FROM usage_import ORDER BY 1").fetchall()
    return UsageHistory(
        horizon=horizon,
        axes=ResourceAxes((CPU, MEMORY, PODS, *((GPU,) if gpu else ()))),
        keys=keys,
        pods=pods,
        requests=np.stack(requests, axis=2),
        usage=np.stack(usage, axis=2),
        gaps=tuple(map(str, gaps)),
        source=", ".join(row[0] for row in sources),
    )


def _runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """Ranges [from, to) in which a boolean array is true."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flags, [False]))))
    return [(int(a), int(b)) for a, b in zip(edges[0::2], edges[1::2], strict=True)]
