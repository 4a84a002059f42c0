"""Reports of the koku metrics operator (Red Hat cost management): hourly use and requests of pods, machines and GPUs, nodes.

Archive (tar.gz), folder with a manifest, or one CSV. Source of the columns: project-koku/koku-metrics-operator
internal/collector/report_types.go (2021) and koku-nise 5.4 (2025); reports are told apart by their header, since their
numbers differ between versions. Hours end at :59:59 and times carry " +0000 UTC".
"""

from __future__ import annotations

import gzip
import io
import json
import re
import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from pyarrow import csv

from models.errors import MetricsError, Problem
from simulator.ingest import koku_devices
from simulator.ingest.koku_devices import TIME
from simulator.ingest.store import scratch_connection
from simulator.ingest.usage_files import GZIP, USAGE_FILES, FileOptions, HourlyRows
from simulator.ingest.usage_store import Gap
from simulator.ingest.workload_names import name_from_pod

MANIFEST = "manifest.json"
LARGEST_BYTES = 2**31
AMOUNTS = {
    "cpu_usage_m": ("pod_usage_cpu_core_seconds", 1000 / 3600),
    "cpu_request_m": ("pod_request_cpu_core_seconds", 1000 / 3600),
    "cpu_limit_m": ("pod_limit_cpu_core_seconds", 1000 / 3600),
    "memory_usage_mib": ("pod_usage_memory_byte_seconds", 1 / 3600 / 2**20),
    "memory_request_mib": ("pod_request_memory_byte_seconds", 1 / 3600 / 2**20),
    "memory_limit_mib": ("pod_limit_memory_byte_seconds", 1 / 3600 / 2**20),
}
CAPACITY = {"cpu_capacity_m": ("node_capacity_cpu_cores", 1000.0), "memory_capacity_mib": ("node_capacity_memory_bytes", 1 / 2**20)}
POD_COLUMNS = ("interval_start", "interval_end", "namespace", "pod", "node", *(name for name, _ in (*AMOUNTS.values(), *CAPACITY.values())))
_LABEL = re.compile(r"label_([^:|]+):([^|]*)")
_SHOWN = 5


@dataclass(frozen=True)
class _Delivery:
    """Reports of one delivery by file name, and the range its manifest promises."""

    place: str
    reports: Mapping[str, pa.Table]
    start: datetime | None = None
    end: datetime | None = None


class KokuReports:
    """One delivery of the koku metrics operator."""

    describes = "koku metrics-operator archive, folder or pod report"

    def sniff(self, path: Path, head: bytes) -> bool:
        """A tar file, a folder with a manifest, or a CSV whose header begins as koku's do."""
        if path.is_dir():
            return (path / MANIFEST).is_file()
        return head[257:262] == b"ustar" or head.startswith(b"report_period_start,report_period_end,interval_start,interval_end")

    def read(self, path: Path, options: FileOptions) -> HourlyRows:
        """Pod and node hours of the delivery."""
        delivery = _delivery(path)
        pods = [one for one in delivery.reports.values() if {"pod", "pod_usage_cpu_core_seconds"} <= set(one.column_names)]
        if not pods:
            raise MetricsError(
                Problem(str(path), "no pod report", "give the whole delivery: one report must hold pod_usage_cpu_core_seconds")
            )
        with scratch_connection() as connection:
            _load(connection, delivery, pods)
            _check(connection, delivery.place)
            told = koku_devices.load_devices(connection, delivery.reports, delivery.place)
            return _rows(connection, delivery, options, told)


def _delivery(path: Path) -> _Delivery:
    """Read a folder, an archive or one report; every file that the manifest lists must be there."""
    place = str(path)
    try:
        if path.is_dir():
            files = {one.name: one.read_bytes() for one in sorted(path.iterdir()) if one.is_file()}
        else:
            data = path.read_bytes()
            files = _members(data) if _is_tar(data) else {path.name: data}
        tables = {name: _table(f"{place}: {name}", data) for name, data in files.items() if ".csv" in name}
    except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
        raise MetricsError(Problem(place, f"a delivery that cannot be read ({error})", "fetch it again")) from None
    if MANIFEST not in files:
        return _Delivery(place, tables)
    manifest = _manifest(f"{place}: {MANIFEST}", files[MANIFEST])
    missing = [name for name in manifest["files"] if name not in tables and f"{name}.gz" not in tables]
    if missing:
        raise MetricsError(
            Problem(f"{place}: {name}", "no such file, though the manifest lists it", "fetch the whole delivery") for name in missing
        )
    return _Delivery(place, tables, manifest["start"], manifest["end"])


def _is_tar(data: bytes) -> bool:
    if data.startswith(GZIP):
        data = zlib.decompressobj(wbits=31).decompress(data, 1024)
    return data[257:262] == b"ustar"


def _members(data: bytes) -> dict[str, bytes]:
    """Plain files of a tar archive by base name; nothing is written to disk."""
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        found = {}
        for member in archive:
            file = archive.extractfile(member) if member.isfile() else None
            if file is not None:
                found[Path(member.name).name] = file.read(LARGEST_BYTES)
        return found


def _table(place: str, data: bytes) -> pa.Table:
    """A CSV report with all its columns as text."""
    if data.startswith(GZIP):
        data = gzip.decompress(data)
    first = data.split(b"\n", 1)[0]
    try:
        names = [name.strip() for name in first.decode("utf-8").strip("\r\n").split(",")]
        if len(set(names)) != len(names):
            raise MetricsError(Problem(place, "a column name that comes twice", "fetch the report again"))
        types = csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True, null_values=[""])
        return csv.read_csv(io.BytesIO(data), convert_options=types)
    except (pa.ArrowInvalid, pa.ArrowKeyError, UnicodeDecodeError) as error:
        raise MetricsError(Problem(place, f"a CSV that does not parse ({error})", "fetch the report again")) from None


def _manifest(place: str, data: bytes) -> dict[str, Any]:
    """File names, start and end (exclusive) of a manifest."""
    try:
        found = json.loads(data)
        start, end = (datetime.fromisoformat(found[key]).astimezone(UTC) for key in ("start", "end"))
        files = [str(name) for name in found["files"]]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise MetricsError(Problem(place, f"a manifest without files, start and end ({error})", "fetch the delivery again")) from None
    if end.second or end.minute:  # the operator writes the last second, 17:59:59
        end = end.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    return {"files": files, "start": start.replace(minute=0, second=0, microsecond=0), "end": end}


def _load(connection: duckdb.DuckDBPyConnection, delivery: _Delivery, pods: list[pa.Table]) -> None:
    """Table `pod`: hour, seconds, namespace, workload, node and amounts; a text that is no number stays in `wrong`."""
    missing = sorted({name for one in pods for name in POD_COLUMNS if name not in one.column_names})
    if missing:
        raise MetricsError(Problem(f"{delivery.place}: pod report", f"no column {', '.join(missing)}", "fetch the report again"))
    connection.register("text", pa.concat_tables([one.select(list(POD_COLUMNS)) for one in pods]))
    numbers = {**AMOUNTS, **CAPACITY}
    converted = ", ".join(f"try_cast({column} AS DOUBLE) * {factor!r} AS {name}" for name, (column, factor) in numbers.items())
    wrong = " OR ".join(f"({column} IS NOT NULL AND coalesce(NOT (try_cast({column} AS DOUBLE) BETWEEN 0 AND 1e30), true))"
                        for column, _ in numbers.values())  # fmt: skip
    connection.execute(
        f"""CREATE TABLE pod AS SELECT {TIME.format("interval_start")} AS hour, {TIME.format("interval_end")} AS until,
        interval_start, namespace, pod, node, {converted}, {wrong} AS wrong FROM text"""
    )
    names = connection.execute("SELECT DISTINCT pod FROM pod WHERE pod IS NOT NULL ORDER BY 1").fetchall()
    pairs = pa.table({"pod": [row[0] for row in names], "workload": [name_from_pod(row[0]) for row in names]})
    connection.register("names", pairs.cast(pa.schema([("pod", pa.string()), ("workload", pa.string())])))


def _check(connection: duckdb.DuckDBPyConnection, place: str) -> None:
    """Refuse rows that cannot be hours of a pod, naming the first of each kind."""
    checks = {
        "namespace IS NULL OR pod IS NULL": "a row without namespace or pod",
        "hour IS NULL OR until IS NULL": "a time that does not parse",
        "hour <> date_trunc('hour', hour) OR date_diff('second', hour, until) NOT IN (3599, 3600)": "an interval that is no whole hour",
        "wrong": "an amount that is no number, negative or out of range",
    }
    problems = []
    for condition, found in checks.items():
        bad = connection.execute(
            f"SELECT interval_start, namespace, pod, count(*) OVER () FROM pod WHERE {condition} ORDER BY ALL LIMIT 1"
        ).fetchall()
        if bad:
            when, namespace, pod, count = bad[0]
            problems.append(Problem(f"{place}: {namespace}/{pod} at {when}", f"{found} ({count} rows)", "fetch the delivery again"))
    twice = connection.execute(
        "SELECT hour, namespace, pod, coalesce(node, ''), count(*) FROM pod GROUP BY ALL HAVING count(*) > 1 ORDER BY ALL LIMIT 1"
    ).fetchall()
    if twice:
        hour, namespace, pod, _, count = twice[0]
        problems.append(Problem(f"{place}: {namespace}/{pod} at {hour}", f"{count} rows for one pod and hour", "give each delivery once"))
    if problems:
        raise MetricsError(problems[:_SHOWN])


def _rows(connection: duckdb.DuckDBPyConnection, delivery: _Delivery, options: FileOptions, told: list[str]) -> HourlyRows:
    for table in ("pod", "gpu", "vm"):
        if options.start:
            connection.execute(f"DELETE FROM {table} WHERE hour < ?", [options.start.replace(tzinfo=None)])
        if options.end:
            connection.execute(f"DELETE FROM {table} WHERE hour >= ?", [options.end.replace(tzinfo=None)])
    count, first, last, unused = connection.execute(
        "SELECT count(*), min(hour), max(hour), count(*) FILTER (cpu_usage_m IS NULL) FROM pod"
    ).fetchall()[0]
    if not count:
        raise MetricsError(Problem(delivery.place, "no pod hours", "give a delivery with content, or another range"))
    start = options.start or min(delivery.start or first.replace(tzinfo=UTC), first.replace(tzinfo=UTC))
    end = options.end or max(delivery.end or start, last.replace(tzinfo=UTC) + timedelta(hours=1))
    sums = ", ".join(
        f"coalesce(sum({name}), 0) AS {name}" if "_request_" in name else f"sum({name}) AS {name}"  # an empty request is none
        for name in AMOUNTS
    )
    usage: pa.Table = connection.sql(koku_devices.USAGE_SQL.format(sums=sums)).to_arrow_table()
    gpus, owners = (connection.sql(sql).to_arrow_table() for sql in (koku_devices.GPU_SQL, koku_devices.OWNER_SQL))
    nodes: pa.Table = connection.sql(
        f"""SELECT hour, node, {", ".join(f"max({name}) AS {name}" for name in CAPACITY)} FROM pod WHERE node IS NOT NULL
        GROUP BY hour, node ORDER BY hour, node"""
    ).to_arrow_table()
    hours = [row[0].replace(tzinfo=UTC) for row in connection.execute("SELECT DISTINCT hour FROM pod ORDER BY 1").fetchall()]
    before = [start, *(hour + timedelta(hours=1) for hour in hours)]
    gaps = tuple(Gap("usage", a, b, "no rows") for a, b in zip(before, [*hours, end], strict=True) if a < b)
    warnings = [*_unread(delivery), *told, *([f"{unused} pod hours without use: pods that had ended"] if unused else [])]
    series = connection.execute("SELECT count(DISTINCT (namespace, pod)) FROM pod").fetchall()[0][0]
    tables = [("usage", _labelled(usage, delivery)), ("node_usage", nodes), ("gpu_usage", gpus), ("gpu_owner", owners)]
    return HourlyRows([(name, rows) for name, rows in tables if rows.num_rows], start, end, series, count, gaps, tuple(warnings))


def _labelled(usage: pa.Table, delivery: _Delivery) -> pa.Table:
    """Usage rows with the labels that the namespace report gives."""
    labels: dict[str, list[tuple[str, str]]] = {}
    for report in delivery.reports.values():
        if {"namespace", "namespace_labels"} <= set(report.column_names):
            pairs = zip(report["namespace"].to_pylist(), report["namespace_labels"].to_pylist(), strict=True)
            labels |= {name: _LABEL.findall(text or "") for name, text in pairs if name}
    column = pa.array([labels.get(name, []) for name in usage["namespace"].to_pylist()], usage.schema.field("labels").type)
    return usage.set_column(usage.schema.get_field_index("labels"), "labels", column)


def _unread(delivery: _Delivery) -> list[str]:
    """Reports with rows that are of no kind that is read."""
    read = ({"pod", "pod_usage_cpu_core_seconds"}, {"namespace_labels"}, koku_devices.GPU_REPORT, koku_devices.VM_REPORT,
            koku_devices.VOLUME_REPORT)  # fmt: skip
    return [
        f"{name}: {report.num_rows} rows about {_subject(report)} were not read"
        for name, report in sorted(delivery.reports.items())
        if report.num_rows and not any(kind <= set(report.column_names) for kind in read)
    ]


def _subject(report: pa.Table) -> str:
    """What a report that is not read is about."""
    kinds = {"node_labels": "node labels", "container_name": "containers (resource optimisation)", "vm_name": "virtual machines",
             "gpu_uuid": "GPUs", "persistentvolumeclaim": "volumes"}  # fmt: skip
    return next((what for column, what in kinds.items() if column in report.column_names), ", ".join(report.column_names[4:7]))


USAGE_FILES.register("koku", KokuReports())
