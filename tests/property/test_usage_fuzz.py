"""Damaged usage: any mutation of any kind of file or answer is read or refused, never a traceback, never half kept."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, timedelta
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import Literal

import duckdb
import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import CapacityError
from simulator.ingest.inventory import read_inventory
from simulator.ingest.metric_names import load_preset
from simulator.ingest.prometheus import import_prometheus
from simulator.ingest.prometheus_http import Access, Server
from simulator.ingest.prometheus_task import Request
from simulator.ingest.usage_file import import_files
from simulator.ingest.usage_files import FileOptions
from simulator.ingest.usage_store import load_usage, open_usage
from usage_company import START

MUTATIONS = 90
AT = int(START.timestamp())
SCRAPE = f"""# HELP kube_pod_status_phase The pods current phase.
# TYPE kube_pod_status_phase gauge
kube_pod_status_phase{{namespace="shop",pod="web-0",phase="Running"}} 1 {AT}000
# TYPE kube_pod_container_resource_requests gauge
kube_pod_container_resource_requests{{namespace="shop",pod="web-0",container="a \\"b\\"",resource="cpu",unit="core"}} 5e-1 {AT}000
# TYPE container_memory_working_set_bytes gauge
container_memory_working_set_bytes{{container="a",namespace="shop",pod="web-0"}} 1.048576e+06 {AT}000
# TYPE DCGM_FI_DEV_GPU_UTIL gauge
DCGM_FI_DEV_GPU_UTIL{{gpu="0",UUID="GPU-1",modelName="Tesla T4"}} 37 {AT}000
"""
DUMP = "".join(
    f'{{__name__="container_cpu_usage_seconds_total", container="a", namespace="shop", pod="web-0"}} {k * 30} {AT + 60 * k}000\n'
    for k in range(5)
)
KOKU = (
    "report_period_start,report_period_end,interval_start,interval_end,pod,namespace,node,pod_usage_cpu_core_seconds,"
    "pod_request_cpu_core_seconds,pod_limit_cpu_core_seconds,pod_usage_memory_byte_seconds,pod_request_memory_byte_seconds,"
    "pod_limit_memory_byte_seconds,node_capacity_cpu_cores,node_capacity_memory_bytes\n"
    "x,x,2026-03-02 05:00:00 +0000 UTC,2026-03-02 05:59:59 +0000 UTC,web-0,shop,n1,1800,3600,,1e9,2e9,,16,6e10\n"
)
KOKU_WHEN = "x,x,2026-03-02 05:00:00 +0000 UTC,2026-03-02 05:59:59 +0000 UTC"
KOKU_GPUS = (
    "report_period_start,report_period_end,interval_start,interval_end,node,namespace,pod,gpu_uuid,gpu_model_name,gpu_pod_uptime,"
    "gpu_pod_utilization,gpu_max_slices,mig_instance_id,mig_profile,mig_strategy\n"
    f"{KOKU_WHEN},n1,shop,web-0,GPU-1,T4,3600,30,,,,\n{KOKU_WHEN},n1,shop,web-0,GPU-2,A30,1800,7.5,4,1,1g.6gb,mixed\n"
)
KOKU_MACHINES = (
    "report_period_start,report_period_end,interval_start,interval_end,node,namespace,vm_name,vm_uptime_total_seconds,"
    "vm_cpu_request_core_seconds,vm_cpu_request_socket_seconds,vm_cpu_request_thread_seconds,vm_cpu_usage_total_seconds,"
    "vm_memory_request_byte_seconds,vm_memory_usage_byte_seconds\n"
    f"{KOKU_WHEN},n1,shop,db,3600,7200,7200,3600,1800,3e12,1e12\n"
)
MANIFEST = json.dumps({"files": ["pods.csv"], "start": "2026-03-02T05:00:00Z", "end": "2026-03-02T05:59:59Z"})
INVENTORY = "servers:\n  - {name: old, count: 3, threads: 64, memory_gib: 512, bought: 2019-05-01, watts_idle: 9, watts_peak: 30}\n"


def _answer(points: list[tuple[int, str]], name: str = "container_memory_working_set_bytes") -> bytes:
    metric = {"__name__": name, "namespace": "shop", "pod": "web-0", "container": "a"}
    result = [{"metric": metric, "values": [list(point) for point in points]}]
    return json.dumps({"status": "success", "data": {"resultType": "matrix", "result": result}}).encode()


def _archive(mode: Literal["w", "w:gz"] = "w:gz") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        reports = (("pods.csv", KOKU), ("gpus.csv", KOKU_GPUS), ("machines.csv", KOKU_MACHINES))
        for name, text in (("manifest.json", MANIFEST), *reports):
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    return buffer.getvalue()


def _parquet() -> bytes:
    buffer = io.BytesIO()
    hours = pa.array([START, START + timedelta(hours=1)], pa.timestamp("us", tz="UTC"))
    labels = pa.array([[("team", "a")]] * 2, pa.map_(pa.string(), pa.string()))
    columns = {"hour": hours, "namespace": ["shop"] * 2, "workload": ["web"] * 2, "labels": labels, "cpu_request_m": [1.0, 2.0]}
    pq.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


SEEDS: dict[str, Callable[[], bytes]] = {
    "exposition": SCRAPE.encode,
    "exposition.gz": lambda: gzip.compress(SCRAPE.encode(), mtime=0),
    "openmetrics": lambda: SCRAPE.replace("000\n", "\n").encode() + b"# EOF\n",
    "dump": DUMP.encode,
    "koku.csv": KOKU.encode,
    "koku.tar.gz": _archive,
    "koku.tar": lambda: _archive("w"),
    "range.json": lambda: _answer([(AT, "1"), (AT + 60, "2.5")]),
    "parquet": _parquet,
}


def _mutants(data: bytes, name: str, count: int) -> Iterator[bytes]:
    """Flips, cuts, repeats, insertions and truncations; the same for the same name."""
    draw = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))
    for number in range(count):
        text = bytearray(data)
        for _ in range(int(draw.integers(1, 4))):
            a, b = sorted(int(at) for at in draw.integers(0, max(len(text), 1), 2))
            match (number + int(draw.integers(0, 7))) % 7:
                case 0:
                    text[a : a + 1] = bytes([int(draw.integers(0, 256))])
                case 1:
                    del text[a:b]
                case 2:
                    text[a:a] = text[a : min(b, a + 40)]
                case 3:
                    text[a:a] = draw.bytes(int(draw.integers(1, 9)))
                case 4:
                    del text[a:]
                case 5:
                    text[a : a + 1] = b'0-9.eNaI+,"{}[]\n#'[int(draw.integers(0, 16)) :][:1]
                case 6 if text:
                    text[a % len(text)] ^= 1 << int(draw.integers(0, 8))
        yield bytes(text)


TABLES = (
    "usage",
    "node_usage",
    "hpa_usage",
    "gpu_usage",
    "gpu_owner",
    "usage_total",
    "usage_gap",
    "usage_import",
    "usage_part",
    "usage_page",
)


def _state(connection: duckdb.DuckDBPyConnection) -> list[tuple[object, ...]]:
    query = " UNION ALL ".join(f"SELECT '{name}', count(*), bit_xor(hash({name})) FROM {name}" for name in TABLES)
    return sorted(connection.execute(query).fetchall())


def _refusal(call: Callable[[], object]) -> str | None:
    """What a refusal says, None when all went well; any other error goes through."""
    try:
        call()
    except CapacityError as error:
        return str(error)
    return None


def _try(connection: duckdb.DuckDBPyConnection, path: Path) -> bool:
    """True when the file was imported; a refusal names the file and leaves the store as it was."""
    before = _state(connection)
    said = _refusal(lambda: import_files(connection, [path], FileOptions()))
    if said is None:
        return True
    assert path.name in said
    assert _state(connection) == before
    return False


@pytest.mark.parametrize("kind", SEEDS)
def test_a_damaged_file_is_read_or_refused_whole(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"seed-{kind}"
    data = SEEDS[kind]()
    path.write_bytes(data)
    with open_usage(None) as connection:
        assert _try(connection, path)
        refused = 0
        for mutant in _mutants(data, kind, MUTATIONS):
            path.write_bytes(mutant)
            refused += not _try(connection, path)
        assert refused > 0


@pytest.mark.shared_data
@pytest.mark.parametrize(
    "name",
    [
        "traces/exposition-fixtures/dcgm_t4_sample.prom",
        "traces/exposition-fixtures/kube_state_metrics_k8s_1.35.prom.gz",
        "billing/ocp-usage-2021-aws-cluster/20210720T180121-cost-mgmt.tar.gz",
    ],
)
def test_a_damaged_real_file_is_read_or_refused_whole(tmp_path: Path, shared_data: Path, name: str) -> None:
    data = (shared_data / name).read_bytes()
    if name.endswith("prom.gz"):
        data = gzip.decompress(data)  # damage the text, not only its wrapping
    path = tmp_path / "real"
    with open_usage(None) as connection:
        for mutant in _mutants(data, name, 12):
            path.write_bytes(mutant)
            _try(connection, path)


def test_a_damaged_inventory_is_read_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "servers.yaml"
    said = []
    for mutant in _mutants(INVENTORY.encode(), "inventory", 300):
        path.write_bytes(mutant)
        said.append(_refusal(lambda: read_inventory(path)))
    assert all("servers.yaml" in text for text in said if text)
    assert any(said)


def test_a_damaged_preset_is_read_or_refused(tmp_path: Path) -> None:
    text = "extends: kube-state-metrics\nmeasures:\n  pods: {of: workload, metric: my_pods, where: ['a=~\"b|c\"'], scale: 2}\n"
    path = tmp_path / "preset.yaml"
    said = []
    for mutant in _mutants(text.encode(), "preset", 150):
        path.write_bytes(mutant)
        said.append(_refusal(lambda: load_preset(str(path))))
    assert all("preset" in text for text in said if text)
    assert any(said)


def _damaged_server(mutants: Iterator[bytes], *, everything: bool = False) -> Server:
    def answer(request: httpx.Request) -> httpx.Response:
        query = request.url.params.get("query", "")
        if everything:
            body = next(mutants)
        elif query == "time()":
            body = b'{"status":"success","data":{"resultType":"scalar","result":[0,"1772500000"]}}'
        elif request.url.path.endswith("/series"):
            body = b'{"status":"success","data":[]}'
        else:
            body = next(mutants)
        return httpx.Response(200, content=body)

    return Server(Access("http://server"), sleep=lambda _: None, transport=httpx.MockTransport(answer))


def test_a_damaged_answer_never_breaks_an_import() -> None:
    body = _answer([(AT, "1"), (AT + 1800, "2.5")])
    request = Request(start=START, end=START + timedelta(hours=1), step_s=1800, workers=1, preset="kube-prometheus")
    said = []
    with open_usage(None) as connection:
        for number in range(50):
            with _damaged_server(_mutants(body, f"answer {number}", 10_000)) as server:
                said.append(_refusal(partial(import_prometheus, connection, server, request)))
    assert all("http://server" in text for text in said if text)
    assert sum(text is not None for text in said) > 25


VALUES = st.one_of(st.floats(), st.integers(), st.text(max_size=5), st.none(), st.booleans(), st.lists(st.integers(), max_size=2))
KEYS = st.sampled_from(["status", "data", "result", "resultType", "metric", "values", "warnings", "success", "error"])
DOCUMENTS = st.recursive(VALUES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12)


@settings(max_examples=80, deadline=None)
@given(document=DOCUMENTS)
def test_any_json_for_an_answer_is_read_or_refused(document: object) -> None:
    matrix = {"status": "success", "data": {"resultType": "matrix", "result": document}}
    for wrapped in (document, {"status": "success", "data": document}, matrix):
        with _damaged_server(repeat(json.dumps(wrapped).encode()), everything=True) as server:
            for ask in (server.now, partial(server.range, "up", 0, 60_000, 60_000), partial(server.series, "up", (), 0, 60_000)):
                said = _refusal(ask)
                assert said is None or "http://server" in said


CELLS = st.one_of(st.none(), st.floats(), st.floats(0, 1e6))
HOURS = st.one_of(
    st.none(),
    st.datetimes(START.replace(year=1900, tzinfo=None), START.replace(year=2100, tzinfo=None)),
    st.integers(0, 30).map(lambda h: START.replace(tzinfo=None) + timedelta(hours=h)),
)


@settings(max_examples=40, deadline=None)
@given(rows=st.lists(st.tuples(HOURS, st.sampled_from(["a", "b", None]), st.sampled_from(["w", ""]), CELLS, CELLS), max_size=6))
def test_any_rows_are_kept_exactly_or_refused(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple]) -> None:
    path = tmp_path_factory.mktemp("rows") / "u.parquet"
    hours, namespaces, workloads, requests, uses = (list(column) for column in zip(*rows, strict=True)) if rows else ([], [], [], [], [])
    columns = {
        "hour": pa.array(hours, pa.timestamp("us")), "namespace": pa.array(namespaces, pa.string()),
        "workload": pa.array(workloads, pa.string()), "cpu_request_m": pa.array(requests, pa.float64()),
        "cpu_usage_m": pa.array(uses, pa.float64()),
    }  # fmt: skip
    pq.write_table(pa.table(columns), path)
    with open_usage(None) as connection:
        if _refusal(lambda: import_files(connection, [path], FileOptions())):
            return
        kept = connection.execute("SELECT hour, namespace, workload, cpu_request_m, cpu_usage_m FROM usage").fetchall()
        assert sorted(map(repr, kept)) == sorted(map(repr, rows))
        history = load_usage(connection)
    assert history.horizon.start == min(hours).replace(tzinfo=UTC)
    assert np.nansum(history.requests[:, :, 0]) == pytest.approx(sum(value or 0.0 for value in requests))
