"""GPUs, virtual machines and volumes in the reports of the koku metrics operator: what they ask for, by hour and workload.

Columns: project-koku/koku-metrics-operator docs/report-fields-description.md and internal/collector/types.go (2026). Amounts in
`_seconds` are sums of one-minute samples times 60; `gpu_pod_utilization` is the bare sum of the samples.

A pod's `nvidia.com/gpu` is the time for which it held GPUs: 1,800 s on each of two GPUs are one GPU in that hour. A MIG
instance counts as its slices' share of the device. A virtual machine's vCPUs are cores x sockets x threads; its launcher pod,
which asks for a part of them only, is the same work and is not counted beside it.
"""

from __future__ import annotations

from collections.abc import Mapping

import duckdb
import pyarrow as pa

from models.errors import MetricsError, Problem
from simulator.ingest.workload_names import name_from_pod

TIME = "try_strptime(left({0}, 19), '%Y-%m-%d %H:%M:%S')"
GPU_REPORT = {"gpu_uuid", "gpu_pod_uptime", "pod", "namespace"}
VM_REPORT = {"vm_name", "vm_cpu_request_core_seconds", "namespace"}
VOLUME_REPORT = {"persistentvolumeclaim", "volume_request_storage_byte_seconds"}
LAUNCHER = "virt-launcher-"
MIG_SLICES = 7  # compute slices of every GPU that knows MIG (A30: 4, which `gpu_max_slices` tells)
_TEXTS = ("interval_start", "interval_end", "namespace")
_GPU = (
    *("pod", "node", "gpu_uuid", "gpu_model_name", "gpu_pod_uptime", "gpu_pod_utilization"),
    *("gpu_max_slices", "mig_instance_id", "mig_profile"),
)
_VM = (
    *("vm_name", "vm_uptime_total_seconds", "vm_cpu_request_core_seconds", "vm_cpu_request_socket_seconds"),
    *("vm_cpu_request_thread_seconds", "vm_cpu_usage_total_seconds", "vm_memory_request_byte_seconds", "vm_memory_usage_byte_seconds"),
)


def load_devices(connection: duckdb.DuckDBPyConnection, reports: Mapping[str, pa.Table], place: str) -> list[str]:
    """Tables `gpu` and `vm` of the GPU and machine reports; warnings. Refuses rows that cannot be."""
    _register(connection, "gpu_text", [one for one in reports.values() if set(one.column_names) >= GPU_REPORT], (*_TEXTS, *_GPU))
    _register(connection, "vm_text", [one for one in reports.values() if set(one.column_names) >= VM_REPORT], (*_TEXTS, *_VM))
    connection.execute(_GPU_TABLE)
    connection.execute(_VM_TABLE)
    _refuse(connection, "gpu", "a GPU row", place)
    _refuse(connection, "vm", "a machine row", place)
    pods = [row[0] for row in connection.execute("SELECT DISTINCT pod FROM gpu ORDER BY 1").fetchall()]
    pairs = {"pod": pods, "workload": [name_from_pod(pod) for pod in pods]}
    connection.register("gpu_names", pa.table(pairs, pa.schema([("pod", pa.string()), ("workload", pa.string())])))
    return [*_gpu_warnings(connection), *_volume_warnings(connection, reports)]


def _register(connection: duckdb.DuckDBPyConnection, name: str, reports: list[pa.Table], columns: tuple[str, ...]) -> None:
    """The reports' columns as one relation of texts; a column that a version does not have is empty."""
    schema = pa.schema([(column, pa.string()) for column in columns])
    filled = [
        pa.table([one[c] if c in one.column_names else pa.nulls(one.num_rows, pa.string()) for c in columns], schema=schema)
        for one in reports
    ]
    connection.register(name, pa.concat_tables(filled) if filled else schema.empty_table())


def _wrong(columns: tuple[str, ...]) -> str:
    return " OR ".join(f"({name} IS NOT NULL AND coalesce(NOT (try_cast({name} AS DOUBLE) BETWEEN 0 AND 1e30), true))" for name in columns)


_HOURS = f"{TIME.format('interval_start')} AS hour, {TIME.format('interval_end')} AS until, interval_start, namespace"
_SLICES = "try_cast(regexp_extract(mig_profile, '^([0-9]+)g', 1) AS DOUBLE)"
_MOST_SLICES = "greatest(coalesce(CASE WHEN try_cast(gpu_max_slices AS DOUBLE) <= 16 THEN try_cast(gpu_max_slices AS DOUBLE) END, {0}), 1)"
_GPU_TABLE = f"""CREATE TABLE gpu AS SELECT {_HOURS}, pod, coalesce(node, '') AS node, gpu_uuid AS gpu,
    coalesce(gpu_model_name, '') AS model, coalesce(mig_instance_id, '') AS instance, coalesce(mig_profile, '') AS profile,
    coalesce(least(try_cast(gpu_pod_uptime AS DOUBLE) / 3600, 1), 0) AS held, try_cast(gpu_pod_uptime AS DOUBLE) > 3660 AS over,
    least(try_cast(gpu_pod_utilization AS DOUBLE) * 60 / 3600, 1) AS busy,
    CASE WHEN coalesce(mig_profile, '') = '' THEN 1
         ELSE least(coalesce({_SLICES}, 1) / {_MOST_SLICES.format(MIG_SLICES)}, 1) END AS part,
    gpu_uuid IS NULL OR pod IS NULL OR namespace IS NULL OR {_wrong(("gpu_pod_uptime", "gpu_pod_utilization", "gpu_max_slices"))} AS wrong
    FROM gpu_text"""
_UP = "nullif(max(try_cast(vm_uptime_total_seconds AS DOUBLE)), 0)"
_VCPUS = " * ".join(
    f"coalesce(nullif(max(try_cast(vm_cpu_request_{unit}_seconds AS DOUBLE)) / {_UP}, 0), 1)" for unit in ("socket", "thread")
)
_VM_TABLE = f"""CREATE TABLE vm AS SELECT {TIME.format("interval_start")} AS hour, max({TIME.format("interval_end")}) AS until,
    interval_start, namespace, vm_name AS pod,
    max(try_cast(vm_cpu_request_core_seconds AS DOUBLE)) * {_VCPUS} * 1000 / 3600 AS cpu_request_m,
    max(try_cast(vm_memory_request_byte_seconds AS DOUBLE)) / 3600 / 2**20 AS memory_request_mib,
    max(try_cast(vm_cpu_usage_total_seconds AS DOUBLE)) * 1000 / 3600 AS cpu_usage_m,
    max(try_cast(vm_memory_usage_byte_seconds AS DOUBLE)) / 3600 / 2**20 AS memory_usage_mib,
    bool_or(vm_name IS NULL OR namespace IS NULL OR {_wrong(_VM[1:])}) AS wrong
    FROM vm_text GROUP BY interval_start, namespace, vm_name"""


def _refuse(connection: duckdb.DuckDBPyConnection, table: str, what: str, place: str) -> None:
    checks = {
        "wrong": "without names, or with an amount that is no number or negative",
        "hour IS NULL OR until IS NULL OR hour <> date_trunc('hour', hour) OR date_diff('second', hour, until) NOT IN (3599, 3600)": (
            "whose interval is no whole hour"
        ),
    }
    problems = []
    for condition, found in checks.items():
        bad = connection.execute(
            f"SELECT namespace, pod, interval_start, count(*) OVER () FROM {table} WHERE {condition} ORDER BY ALL LIMIT 1"
        ).fetchall()
        for namespace, pod, when, count in bad:
            problems.append(Problem(f"{place}: {namespace}/{pod} at {when}", f"{what} {found} ({count} rows)", "fetch the delivery again"))
    if problems:
        raise MetricsError(problems)


# Pods and machines side by side: a machine takes the row of its launcher pod, asking for what is more.
USAGE_SQL = f"""
    WITH by_pod AS (SELECT hour, namespace, workload, count(DISTINCT pod)::DOUBLE AS pods, {{sums}}
        FROM pod JOIN names USING (pod) GROUP BY hour, namespace, workload),
    held AS (SELECT hour, namespace, workload, count(DISTINCT pod)::DOUBLE AS pods, sum(held * part) AS gpus
        FROM gpu JOIN gpu_names USING (pod) GROUP BY hour, namespace, workload),
    known AS (SELECT hour, namespace, workload, coalesce(p.pods, h.pods) AS pods,
        p.* EXCLUDE (hour, namespace, workload, pods), CASE WHEN (SELECT count(*) FROM gpu) > 0 THEN coalesce(gpus, 0) END AS gpu_request
        FROM by_pod AS p FULL JOIN held AS h USING (hour, namespace, workload)),
    machine AS (SELECT hour, namespace, '{LAUNCHER}' || pod AS workload, pod AS vm, cpu_request_m AS vm_cpu_m,
        memory_request_mib AS vm_memory_mib, cpu_usage_m AS vm_cpu_used_m, memory_usage_mib AS vm_memory_used_mib FROM vm)
    SELECT hour, namespace, coalesce(vm, workload) AS workload, MAP {{{{}}}}::MAP(VARCHAR, VARCHAR) AS labels, coalesce(pods, 1) AS pods,
        coalesce(cpu_usage_m, vm_cpu_used_m) AS cpu_usage_m, greatest(cpu_request_m, vm_cpu_m) AS cpu_request_m, cpu_limit_m,
        coalesce(memory_usage_mib, vm_memory_used_mib) AS memory_usage_mib,
        greatest(memory_request_mib, vm_memory_mib) AS memory_request_mib, memory_limit_mib,
        CASE WHEN (SELECT count(*) FROM gpu) > 0 THEN coalesce(gpu_request, 0) END AS gpu_request
    FROM known FULL JOIN machine USING (hour, namespace, workload) ORDER BY hour, namespace, workload"""

GPU_SQL = """SELECT hour, gpu, node, model, instance, profile, least(sum(busy), 1) AS engine_active_share
    FROM gpu GROUP BY hour, gpu, node, model, instance, profile ORDER BY ALL"""

OWNER_SQL = """SELECT hour, gpu, model, instance, profile, namespace, workload, sum(held) AS gpus_held, sum(busy) AS gpus_busy
    FROM gpu JOIN gpu_names USING (pod) GROUP BY hour, gpu, model, instance, profile, namespace, workload ORDER BY ALL"""


def _gpu_warnings(connection: duckdb.DuckDBPyConnection) -> list[str]:
    mig, over, strange = connection.execute(
        "SELECT count(*) FILTER (profile <> ''), count(*) FILTER (over), count(*) FILTER (profile <> '' AND part = 1) FROM gpu"
    ).fetchall()[0]
    texts = []
    if mig:
        texts.append(f"{mig} pod hours on MIG instances count as their slices' share of the GPU; planned by the whole GPU")
    if over:
        texts.append(f"{over} GPU rows of more than an hour's uptime: reported twice, counted once")
    if strange:
        texts.append(
            f"{strange} pod hours on MIG instances whose profile does not name its slices, or has all of them: counted as whole GPUs"
        )
    return texts


def _volume_warnings(connection: duckdb.DuckDBPyConnection, reports: Mapping[str, pa.Table]) -> list[str]:
    """What volumes hold: told, not kept, since neither demand nor nodes have a storage axis."""
    texts = []
    for name, report in sorted(reports.items()):
        if not (set(report.column_names) >= VOLUME_REPORT and report.num_rows):
            continue
        connection.register("volume", report)
        claims, asked = connection.execute(
            f"""SELECT count(DISTINCT claim), max(asked) FROM (SELECT (namespace, persistentvolumeclaim)::VARCHAR AS claim,
            sum(try_cast(volume_request_storage_byte_seconds AS DOUBLE) / 3600 / 2**30) OVER (PARTITION BY {TIME.format("interval_start")})
            AS asked FROM volume)"""
        ).fetchall()[0]
        connection.unregister("volume")
        size = f", at most {asked:,.1f} GiB asked for at once" if asked is not None else ""
        texts.append(f"{name}: {claims} volumes{size}, not kept: storage is sized by the scenario's zones, not by usage")
    return texts
