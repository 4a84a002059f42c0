"""A real Prometheus under other set-ups: replicas, several clusters, sparse scrapes, exported labels, old metric names."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from models.errors import MetricsError
from models.usage import UsageHistory
from simulator.cli.usage import command
from simulator.ingest.metric_names import Matcher
from simulator.ingest.prometheus import import_prometheus
from simulator.ingest.prometheus_http import Access, Server
from simulator.ingest.prometheus_task import Request
from simulator.ingest.usage_gpu import load_gpu_shares
from simulator.ingest.usage_store import Imported, load_usage, open_usage
from usage_company import HOURS, MIB, START, hour, openmetrics, pods, prometheus

pytestmark = [
    pytest.mark.prometheus,
    pytest.mark.skipif(not (shutil.which("prometheus") and shutil.which("promtool")), reason="needs the Debian package prometheus"),
]
_SAMPLE = re.compile(r"^(\w+)\{(.*)\} (\S+) (\d+)$")


def rewritten(text: str, change: Callable[[str, str, float, int], list[str]]) -> str:
    """The company's text with every sample line (name, labels, value, second) replaced by lines; families stay together."""
    lines: list[str] = []
    for line in text.splitlines():
        found = _SAMPLE.match(line)
        lines += change(found[1], found[2], float(found[3]), int(found[4])) if found else [line]
    return "\n".join([*lines, ""])


def read(url: str, **options: object) -> tuple[Imported, UsageHistory]:
    request = Request(**{"start": START, "end": hour(HOURS), "step_s": 60, "workers": 2, **options})
    with Server(Access(url)) as server, open_usage(None) as connection:
        imported = import_prometheus(connection, server, request)
        return imported, load_usage(connection)


def column(history: UsageHistory, workload: str) -> int:
    return [key.workload for key in history.keys].index(workload)


@pytest.fixture(scope="module")
def replicas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Two Prometheus replicas written into one store without deduplication, as a receiver without an HA tracker does."""

    def twice(name: str, labels: str, value: float, second: int) -> list[str]:
        return [f'{name}{{{labels},prometheus_replica="prometheus-{k}",job="j{k}",instance="i{k}"}} {value!r} {second}' for k in range(2)]

    with prometheus(tmp_path_factory.mktemp("replicas"), rewritten(openmetrics(pods()), twice)) as url:
        yield url


def test_replicas_are_counted_once(replicas: str) -> None:
    imported, history = read(replicas)
    web = column(history, "web")
    assert history.requests[0, web].tolist() == [3 * 500, 3 * 1024, 3]
    assert history.pods[0, web] == 3
    database = np.sum([pod.memory_bytes() for pod in pods() if pod.workload == "db"], axis=0).reshape(HOURS, 60).mean(axis=1) / MIB
    assert history.usage[1, column(history, "db"), 1] == pytest.approx(database[1], rel=1e-12)
    assert imported.peaks["cpu_usage_m"] < sum(pod.request_m for pod in pods())


@pytest.fixture(scope="module")
def clusters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Two clusters with the same pods behind one server; the second asks for twice as much."""

    def both(name: str, labels: str, value: float, second: int) -> list[str]:
        more = 2 if "requests" in name else 1
        return [f'{name}{{{labels},cluster="east"}} {value!r} {second}', f'{name}{{{labels},cluster="west"}} {value * more!r} {second}']

    with prometheus(tmp_path_factory.mktemp("clusters"), rewritten(openmetrics(pods()), both)) as url:
        yield url


def test_clusters_with_pods_of_one_name_are_not_mixed(clusters: str) -> None:
    with pytest.raises(
        MetricsError, match=r"pods of the same namespace and name in several clusters \(east, west\).*--clusters-by cluster"
    ):
        read(clusters)


def test_one_cluster_can_be_selected(clusters: str) -> None:
    _, history = read(clusters, select=(Matcher.parse('cluster="west"'),), cluster="west")
    assert history.requests[0, column(history, "web")].tolist() == [2 * 3 * 500, 2 * 3 * 1024, 3]
    assert {key.labels["cluster"] for key in history.keys} == {"west"}


def test_every_cluster_is_imported_under_its_name(clusters: str, tmp_path: Path) -> None:
    arguments = ["--prometheus", clusters, "--from", "2026-03-02", "--to", "2026-03-02T02:00Z", "--clusters-by", "cluster"]
    done = CliRunner().invoke(command, [*arguments, "--store", str(tmp_path / "store.duckdb"), "--json"])
    assert done.exit_code == 0, done.output
    history = load_usage(tmp_path / "store.duckdb")
    cpu = {(key.labels["cluster"], key.workload): history.requests[0, k, 0] for k, key in enumerate(history.keys)}
    assert (cpu["east", "web"], cpu["west", "web"]) == (1500, 3000)
    document = json.loads(done.stdout)
    assert {name.rsplit(" ", 1)[1] for name in document["peaks"]} == {"east", "west"}
    assert document["rows"]["usage"] == len(history.keys) * 2 - sum(key.workload == "report" for key in history.keys)
    missing = CliRunner().invoke(command, [*arguments[:-1], "region"])
    assert "no kube_pod_container_resource_requests with a label region" in str(missing.exception)
    assert CliRunner().invoke(command, [*arguments, "--cluster", "x"]).exit_code == 2


@pytest.mark.parametrize(("minutes", "offset_s"), [(10, 410), (60, 1020)])
def test_scrapes_far_apart_and_off_the_hour_are_found(tmp_path: Path, minutes: int, offset_s: int) -> None:
    """Samples at :06:50 or at :17 only: PromQL's five minutes would not reach them from the hour's points."""

    def sparse(name: str, labels: str, value: float, second: int) -> list[str]:
        since = second - int(START.timestamp())
        return [f"{name}{{{labels}}} {value!r} {second + offset_s}"] if since % (60 * minutes) == 0 else []

    with prometheus(tmp_path, rewritten(openmetrics(pods()), sparse)) as url:
        imported, history = read(url)
    database = column(history, "db")
    asked = history.requests[1:5, database, 0]
    assert (asked == 4000).all()
    assert history.pods[1:5, database].tolist() == [2, 2, 2, 2]
    assert any("the step was raised" in text for text in imported.warnings)


def test_thirty_second_scrapes_and_steps_are_read(tmp_path: Path) -> None:
    def dense(name: str, labels: str, value: float, second: int) -> list[str]:
        if second >= START.timestamp() + 7200:
            return []
        return [
            f"{name}{{{labels}}} {value!r} {second}",
            *([f"{name}{{{labels}}} {value!r} {second + 30}"] if "_total" not in name else []),
        ]

    with prometheus(tmp_path, rewritten(openmetrics(pods()), dense)) as url:
        imported, history = read(url, end=hour(1), step_s=30)
    assert history.requests[0, column(history, "web")].tolist() == [3 * 500, 3 * 1024, 3]
    assert imported.samples > 120 * 10 * 4  # 120 points of ten pods for four gauges and more


def test_exported_labels_and_gpus_of_pods_are_read(tmp_path: Path) -> None:
    """kube-state-metrics and dcgm-exporter scraped without honorLabels: their own labels are called exported_*."""

    def exported(name: str, labels: str, value: float, second: int) -> list[str]:
        if name.startswith("kube_"):
            for own in ("namespace", "pod", "container", "node"):
                labels = re.sub(rf'(?<![\w]){own}="', f'exported_{own}="', labels)
            labels += ',namespace="monitoring",pod="kube-state-metrics-0"'
        if name.startswith("DCGM"):
            labels += ',exported_namespace="shop",exported_pod="toolbox",namespace="gpu",pod="nvidia-dcgm-exporter-x2v4k"'
        return [f"{name}{{{labels}}} {value!r} {second}"]

    with (
        prometheus(tmp_path, rewritten(openmetrics(pods()), exported)) as url,
        Server(Access(url)) as server,
        open_usage(None) as connection,
    ):
        import_prometheus(connection, server, Request(START, hour(2), 60, "exported-labels"))
        history, (workloads, teams) = load_usage(connection), load_gpu_shares(connection)
    assert history.requests[0, column(history, "web")].tolist() == [3 * 500, 3 * 1024, 3]
    assert [(one.workload, one.gpu_hours, one.busy_share, one.energy_kwh) for one in workloads] == [
        ("toolbox", 2.0, pytest.approx(0.4), pytest.approx(0.111))
    ]
    assert teams[0].gpu_hours == 2.0


def test_metrics_of_kube_state_metrics_1_are_read(tmp_path: Path) -> None:
    def old(name: str, labels: str, value: float, second: int) -> list[str]:
        found = re.search(r'resource="(cpu|memory|pods)"', labels)
        if found and name.startswith(("kube_pod_container_resource", "kube_node_status")):
            unit = {"cpu": "_cpu_cores", "memory": "_memory_bytes", "pods": "_pods"}[found[1]]
            labels = re.sub(r',?(resource|unit)="\w+"', "", labels)
            return [f"# TYPE {name}{unit} gauge@@{name}{unit}{{{labels}}} {value!r} {second}"]
        return [f"{name}{{{labels}}} {value!r} {second}"]

    text = rewritten(openmetrics(pods()), old)
    families: dict[str, list[str]] = {}
    kept = []
    for line in text.splitlines():
        if "@@" in line:
            kind, sample = line.split("@@")
            families.setdefault(kind, []).append(sample)
        elif not line.startswith(("# TYPE kube_pod_container_resource", "# TYPE kube_node_status", "# EOF")):
            kept.append(line)
    body = "\n".join([*kept, *(part for kind, samples in families.items() for part in (kind, *samples)), "# EOF", ""])
    with prometheus(tmp_path, body) as url:
        _, history = read(url, preset="kube-state-metrics-v1", end=hour(2))
    assert history.requests[0, column(history, "web")].tolist() == [3 * 500, 3 * 1024, 3]


def test_workloads_are_named_by_the_application_label(tmp_path: Path) -> None:
    text = openmetrics(pods()).removesuffix("# EOF\n") + "# TYPE kube_pod_labels gauge\n"
    for pod in pods():
        app = 'label_app_kubernetes_io_name="storefront"' if pod.workload == "web" else 'label_x="y"'
        for k in range(pod.first, pod.last, 4):
            text += f'kube_pod_labels{{namespace="{pod.namespace}",pod="{pod.name}",{app}}} 1 {START.timestamp() + 60 * k:.0f}\n'
    with prometheus(tmp_path, text + "# EOF\n") as url:
        _, history = read(url, preset="app-labels", end=hour(2))
    assert {key.workload for key in history.keys} == {"storefront", "db", "report", "toolbox"}


def test_mig_profiles_count_as_slices_of_a_gpu_and_what_is_not_kept_is_told(tmp_path: Path) -> None:
    """One GPU and a half: 1 x 1g.5gb and 2 x 3g.20gb of seven slices, 1 x 2g.12gb of an A30's four."""
    asked = {"nvidia_com_mig_1g_5gb": 1, "nvidia_com_mig_3g_20gb": 2, "nvidia_com_mig_2g_12gb": 1, "nvidia_com_gpu_shared": 3}
    text = openmetrics(pods()).removesuffix("# EOF\n")
    lines = "".join(
        f'kube_pod_container_resource_requests{{namespace="data",pod="db-0",container="main",resource="{name}"}} '
        f"{count} {START.timestamp() + 60 * k:.0f}\n"
        for name, count in asked.items()
        for k in range(120)
    )
    before, family, after = text.partition("# TYPE kube_pod_container_resource_requests gauge\n")
    with prometheus(tmp_path, before + family + lines + after + "# EOF\n") as url:
        imported, history = read(url, end=hour(2))
    workload = next(number for number, key in enumerate(history.keys) if key.workload == "db")
    axis = history.axes.index("nvidia.com/gpu")
    assert history.requests[:2, workload, axis] == pytest.approx((1 + 2 * 3) / 7 + 2 / 4, abs=1e-9)
    assert "kube_pod_container_resource_requests: nvidia_com_gpu_shared are asked for and not kept" in imported.warnings


def test_the_recording_rules_of_kube_prometheus_are_read(tmp_path: Path) -> None:
    """Requests and memory from the recorded series; finished pods are left out by the rules themselves."""
    rules = {
        ("kube_pod_container_resource_requests", "cpu"): "cluster:namespace:pod_cpu:active:kube_pod_container_resource_requests",
        ("kube_pod_container_resource_requests", "memory"): "cluster:namespace:pod_memory:active:kube_pod_container_resource_requests",
        ("container_memory_working_set_bytes", ""): "node_namespace_pod_container:container_memory_working_set_bytes",
    }
    families: dict[str, list[str]] = {}

    def recorded(name: str, labels: str, value: float, second: int) -> list[str]:
        resource = re.search(r'resource="(cpu|memory)"', labels)
        rule = rules.get((name, resource[1] if resource and "requests" in name else ""))
        if rule:
            families.setdefault(rule, []).append(f'{rule}{{{labels},cluster="",prometheus="monitoring/k8s"}} {value!r} {second}')
        return [] if rule else [f"{name}{{{labels}}} {value!r} {second}"]

    text = rewritten(openmetrics(pods()), recorded).removesuffix("# EOF\n")
    text += "".join("\n".join([f"# TYPE {rule} gauge", *lines, ""]) for rule, lines in families.items())
    owner = "namespace_workload_pod:kube_pod_owner:relabel"
    text += f"# TYPE {owner} gauge\n"
    for pod in pods():
        own = f'namespace="{pod.namespace}",pod="{pod.name}",workload="{pod.workload}-front",workload_type="deployment"'
        text += "".join(f"{owner}{{{own}}} 1 {START.timestamp() + 60 * k:.0f}\n" for k in range(pod.first, pod.last, 4))
    with prometheus(tmp_path, text + "# EOF\n") as url:
        _, history = read(url, preset="kube-prometheus", end=hour(2))
    assert history.requests[0, column(history, "web-front")].tolist() == [3 * 500, 3 * 1024, 3]
    database = np.sum([pod.memory_bytes() for pod in pods() if pod.workload == "db"], axis=0).reshape(HOURS, 60).mean(axis=1) / MIB
    assert history.usage[1, column(history, "db-front"), 1] == pytest.approx(database[1], rel=1e-12)
