"""A simulated run loaded into a real Prometheus: the queries of real clusters give back the simulated fleet (case G6)."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import numpy as np
import pytest
from click.testing import CliRunner

from models.fleet import Fleet, NodePool
from models.horizon import Horizon
from models.node import NodeShape
from models.outcome import RunResult
from models.units import MS_PER_H
from models.zones import Provisioning
from simulator.cli.usage import command as usage
from simulator.engine.config import Autoscaling, EngineConfig, FailureModel
from simulator.engine.run import run_once
from simulator.engine.series import lines, write_series
from simulator.engine.trace import PodShape, trace_of
from simulator.ingest.prometheus import import_prometheus
from simulator.ingest.prometheus_http import Access, Server
from simulator.ingest.prometheus_task import Request
from simulator.ingest.usage_store import load_usage, open_usage
from simulator.streams import Streams
from usage_company import prometheus

START = datetime(2026, 3, 2, tzinfo=UTC)
HOURS = 48
MIB = 2**20
needs_prometheus = pytest.mark.skipif(
    not (shutil.which("prometheus") and shutil.which("promtool")), reason="needs the Debian package prometheus"
)


def fleet() -> Fleet:
    """Six servers, four with eight GPUs each, and AWS behind them."""
    server = NodeShape("c64m512", 64_000, 524_288, watts_idle=150, watts_peak=420, kube_reserved_cpu_m=230, daemonset_cpu_m=450)
    farm = NodeShape("a100x8", 96_000, 1_048_576, extended={"nvidia.com/gpu": 8}, watts_idle=1500, watts_peak=6500)
    sliced = NodeShape("a100x1", 32_000, 262_144, extended={"nvidia.com/mig-1g.5gb": 7})
    worker = NodeShape("m5.4xlarge", 16_000, 65_536, kube_reserved_cpu_m=110)
    return Fleet(
        (
            NodePool("prod-bm", "seoul", "baremetal", server, 6, 6, True, 3, labels={"team": "a"}),
            NodePool("gpu-farm", "seoul", "gpu_farm", farm, 4, 4, True, 2, taints=("nvidia.com/gpu=:NoSchedule",)),
            NodePool("slices", "seoul", "gpu_farm", sliced, 1, 1, True, 1),
            NodePool("burst", "aws", "aws", worker, 0, 30, False),
        )
    )


@pytest.fixture(scope="module")
def run() -> RunResult:
    rng = Streams(3)("series")
    shapes = [
        PodShape(4000, 8192, workload_class="service"),
        PodShape(1500, 2048, workload_class="batch"),
        PodShape(8000, 65_536, "nvidia.com/gpu", 2, workload_class="ml"),
        PodShape(2000, 8192, "nvidia.com/mig-1g.5gb", 1, workload_class="ml"),
    ]
    arrival = np.sort(rng.integers(0, HOURS * MS_PER_H, 2_000))
    shape = rng.choice(4, 2_000, p=(0.6, 0.3, 0.07, 0.03))
    lasting = rng.integers(MS_PER_H // 2, 6 * MS_PER_H, 2_000)
    config = EngineConfig(provisioning={"burst": Provisioning(120, 300, 20)}, failures=FailureModel(60.0), autoscaling=Autoscaling(10, 600))
    return run_once(trace_of(shapes, HOURS, arrival, lasting, shape), fleet(), config, Streams(3), horizon=Horizon(START, HOURS))


@pytest.fixture(scope="module")
def url(run: RunResult, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with prometheus(tmp_path_factory.mktemp("series"), "\n".join([*lines(run, fleet()), ""])) as address:
        yield address


def asked(url: str, query: str, hour: int) -> dict[tuple[str, ...], float]:
    """An instant query in the middle of a scrape's first five minutes; values by label values."""
    moment = (START + timedelta(hours=hour, minutes=1)).timestamp()
    found = httpx.get(f"{url}/api/v1/query", params={"query": query, "time": moment}).json()
    assert found["status"] == "success", found
    return {tuple(one["metric"].values()): float(one["value"][1]) for one in found["data"]["result"]}


@pytest.mark.prometheus
@needs_prometheus
@pytest.mark.parametrize("hour", [3, 20, 40])
def test_dashboard_queries_of_real_clusters_give_the_simulated_fleet(url: str, run: RunResult, hour: int) -> None:
    """The recording rule of kubernetes-mixin for requests, cluster utilisation, node and GPU panels."""
    running = run.busy_cpu_h[hour].sum() + run.pending_cpu_h[hour]
    rule = (
        'sum(kube_pod_container_resource_requests{resource="cpu"} * on (namespace, pod) group_left () '
        'max by (namespace, pod) (kube_pod_status_phase{phase=~"Pending|Running"} == 1))'
    )
    assert asked(url, rule, hour)[()] == pytest.approx(running, rel=1e-9)
    memory = (
        'sum by (namespace) (kube_pod_container_resource_requests{resource="memory"} * on (namespace, pod) group_left () '
        'max by (namespace, pod) (kube_pod_status_phase{phase=~"Pending|Running"} == 1))'
    )
    by_class = run.busy_class_memory_mib_h[hour].sum(axis=0) + run.pending_class_memory_mib_h[hour]
    expected = {(name,): pytest.approx(mib * MIB, rel=1e-9) for name, mib in zip(run.classes, by_class, strict=True) if mib > 0}
    assert asked(url, memory, hour) == expected
    pods = asked(url, 'sum(kube_pod_status_phase{phase="Running",namespace="service"})', hour)[()]
    assert pods == pytest.approx(np.maximum(run.busy_class_pods_h[hour, :, 0], run.busy_class_pods_h[hour, :, 0] > 0).sum(), rel=1e-9)
    ready = asked(url, 'sum(kube_node_status_condition{condition="Ready",status="true"})', hour)[()]
    assert ready == pytest.approx(run.node_hours[hour].sum(), abs=1e-9)
    utilisation = (
        'sum(kube_pod_container_resource_requests{resource="cpu",node="prod-bm"}) / '
        'sum(kube_node_status_allocatable{resource="cpu",node="prod-bm"})'
    )
    room = run.node_hours[hour, 0] * (64 - 0.230)
    assert asked(url, utilisation, hour)[()] == pytest.approx(run.busy_cpu_h[hour, 0] / room, rel=1e-9)
    gpus = run.busy_extended_h["nvidia.com/gpu"][hour, 1].sum()
    assert asked(url, "avg by (Hostname) (DCGM_FI_DEV_GPU_UTIL)", hour) == {
        ("gpu-farm",): pytest.approx(100 * gpus / (8 * run.node_hours[hour, 1]))
    }
    by_zone = (
        'sum by (label_topology_kubernetes_io_zone) (kube_node_status_capacity{resource="nvidia_com_gpu"} '
        "* on (node) group_left (label_topology_kubernetes_io_zone) kube_node_labels)"
    )
    assert asked(url, by_zone, hour) == {("seoul",): pytest.approx(8 * run.node_hours[hour, 1])}
    assert asked(url, 'kube_node_labels{label_team="a"}', hour) != {}
    watts = 150 * run.node_hours[hour, 0] + 270 * run.busy_cpu_h[hour, 0] / run.node_cpu[0]
    assert asked(url, 'ipmi_dcmi_power_consumption_watts{instance="prod-bm"}', hour).popitem()[1] == pytest.approx(watts, rel=1e-9)


@pytest.mark.prometheus
@needs_prometheus
def test_the_usage_import_from_that_prometheus_gives_back_what_was_simulated(url: str, run: RunResult) -> None:
    request = Request(start=START, end=START + timedelta(hours=HOURS), step_s=3600, workers=2)
    with Server(Access(url)) as server, open_usage(None) as connection:
        import_prometheus(connection, server, request)
        history = load_usage(connection)
    asked_cores = run.busy_cpu_h.sum(axis=1) + run.pending_cpu_h
    assert np.nansum(history.requests[:, :, 0], axis=1) / 1000 == pytest.approx(asked_cores, rel=1e-6)
    assert run.conservation_error < 1e-9


def test_the_loop_closes_usage_of_the_export_is_the_simulated_demand(run: RunResult, tmp_path: Path) -> None:
    path = write_series(run, fleet(), tmp_path / "run.om.gz")
    store = tmp_path / "case.duckdb"
    result = CliRunner().invoke(usage, ["--file", str(path), "--store", str(store), "--json"])
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["from"] == "2026-03-02T00:00:00Z"
    assert document["to"] == "2026-03-04T00:00:00Z"
    with open_usage(store) as connection:
        history = load_usage(connection)
    found = np.nansum(history.requests, axis=1)
    assert found[:, 0] / 1000 == pytest.approx(run.demand_cpu_h, rel=1e-6)
    mib = run.busy_class_memory_mib_h.sum(axis=(1, 2)) + run.pending_class_memory_mib_h.sum(axis=1)
    assert found[:, 1] == pytest.approx(mib, rel=1e-6)
    for c, name in enumerate(run.classes):
        mine = [k for k, key in enumerate(history.keys) if key.namespace == name]
        cores = run.busy_class_cpu_h[:, :, c].sum(axis=1) + run.pending_class_cpu_h[:, c]
        assert np.nansum(history.requests[:, mine, 0], axis=1) / 1000 == pytest.approx(cores, rel=1e-6, abs=1e-9)
        assert all(history.keys[k].labels["workload_class"] == name for k in mine)


def test_the_text_has_its_families_together_and_the_same_bytes_again(run: RunResult, tmp_path: Path) -> None:
    first, again = (write_series(run, fleet(), tmp_path / f"{k}.om") for k in range(2))
    assert first.read_bytes() == again.read_bytes()
    packed = write_series(run, fleet(), tmp_path / "run.om.gz")
    assert gzip.decompress(packed.read_bytes()) == first.read_bytes()
    text = first.read_text().splitlines()
    families = [line.split()[2] for line in text if line.startswith("# TYPE")]
    assert len(families) == len(set(families))
    assert text[-1] == "# EOF"
    assert not any("nan" in line.lower() for line in text)
