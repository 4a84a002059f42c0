"""Names: workloads of pods, measures of presets, GPU metrics of dcgm-exporter."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from models.errors import MetricsError, UnknownName
from simulator.ingest import dcgm
from simulator.ingest.metric_names import MEASURES, Matcher, load_preset, preset_names
from simulator.ingest.workload_names import Owners, name_from_pod


@pytest.mark.parametrize(
    ("pod", "workload"),
    [
        ("web-6c7d8f9b5-x2v4k", "web"),  # Deployment
        ("coredns-7d764666f9-qdcxt", "coredns"),
        ("report-29707813-dhlr2", "report"),  # CronJob
        ("node-exporter-kb65b", "node-exporter"),  # DaemonSet
        ("db-0", "db"),  # StatefulSet
        ("toolbox", "toolbox"),
        ("etcd-datagen-1-35", "etcd-datagen-1"),  # without an owner only the name can tell
    ],
)
def test_the_name_of_a_pod_points_to_its_workload(pod: str, workload: str) -> None:
    assert name_from_pod(pod) == workload


def test_owners_win_over_names() -> None:
    preset = load_preset("kube-state-metrics")
    owners = Owners()
    own = {"namespace": "a", "owner_kind": "ReplicaSet", "owner_name": "web-6c7d8f9b5"}
    owners.add(preset, "kube_pod_owner", [
        {**own, "pod": "web-6c7d8f9b5-x2v4k"},
        {**own, "pod": "odd-6c7d8f9b5-x2v4k", "owner_name": "odd-6c7d8f9b5"},
        {"namespace": "a", "pod": "etcd-datagen-1-35", "owner_kind": "Node", "owner_name": "datagen-1-35"},
        {"namespace": "a", "pod": "db-0", "owner_kind": "StatefulSet", "owner_name": "db"},
        {"namespace": "a", "pod": "run-29707813-dhlr2", "owner_kind": "Job", "owner_name": "run-29707813"},
        {"namespace": "a", "pod": "bare-0", "owner_kind": "<none>", "owner_name": "<none>"},
        {"namespace": "a", "pod": "bare-1", "owner_kind": "", "owner_name": ""},
    ])  # fmt: skip
    owners.add(preset, "kube_replicaset_owner", [{"namespace": "a", "replicaset": "web-6c7d8f9b5", "owner_name": "shop-front"}])
    found = {pod: owners.workload(namespace, pod) for namespace, pod in owners.pods}
    assert found == {
        "web-6c7d8f9b5-x2v4k": "shop-front",  # the ReplicaSet's own owner
        "odd-6c7d8f9b5-x2v4k": "odd",  # no owner of the ReplicaSet is known: its hash is cut
        "etcd-datagen-1-35": "etcd",  # a static pod
        "db-0": "db",
        "run-29707813-dhlr2": "run",
        "bare-0": "bare-0",
        "bare-1": "bare-1",
    }


def test_the_recording_rule_of_kube_prometheus_names_workloads() -> None:
    preset = load_preset("kube-prometheus")
    owners = Owners()
    owners.add(preset, "namespace_workload_pod:kube_pod_owner:relabel", [{"namespace": "a", "pod": "x-1", "workload": "front"}])
    assert owners.workload("a", "x-1") == "front"


def test_every_preset_feeds_every_measure_of_the_plan() -> None:
    assert preset_names() == [
        "app-labels",
        "exported-labels",
        "kube-prometheus",
        "kube-prometheus-irate",
        "kube-state-metrics",
        "kube-state-metrics-v1",
    ]
    for name in preset_names():
        measures = load_preset(name).measures
        assert set(MEASURES["workload"]) <= set(measures)
        assert {measure for measure, _ in dcgm.DECK_METRICS.values()} <= set(measures)


def test_queries_spell_labels_as_the_set_up_does() -> None:
    preset = load_preset("exported-labels")
    assert preset.promql(preset.measures["pods"], window_s=300) == (
        "sum by (exported_namespace, exported_pod) (max by (exported_namespace, exported_pod, exported_container, id, cpu)"
        ' (kube_pod_status_phase{phase="Running"}))'
    )
    assert preset.promql(preset.measures["cpu_usage_m"], window_s=300) == (
        "sum by (namespace, pod) (max by (namespace, pod, container, id, cpu)"
        ' (rate(container_cpu_usage_seconds_total{container!="",container!="POD"}[300s])))'
    )


def test_a_selection_reaches_every_selector_of_a_query() -> None:
    preset = load_preset("kube-state-metrics")
    query = preset.promql(preset.measures["cpu_request_m"], window_s=300, select=(Matcher.parse('cluster="a\\"b"'),))
    assert query.count('cluster="a\\"b"') == 2


@pytest.mark.parametrize(
    ("text", "labels", "matches"),
    [
        ('a="b"', {"a": "b"}, True),
        ('a!="b"', {}, True),
        ('a=~"b|c"', {"a": "c"}, True),
        ('a=~"b"', {"a": "bb"}, False),  # anchored
        ('a!~"b.*"', {"a": "bb"}, False),
        ('a=""', {}, True),
    ],
)
def test_matchers_select_as_promql_does(text: str, labels: dict[str, str], matches: bool) -> None:
    assert Matcher.parse(text).matches(labels) is matches


@pytest.mark.parametrize("text", ["a", "a=b", 'a=="b"', 'a=~"["'])
def test_a_matcher_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a label matcher|does not parse"):
        Matcher.parse(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "measures: {cpus: {of: workload, metric: a}}\nextends: kube-state-metrics",
            "measures.cpus: found a measure that burstline does not keep",
        ),
        ("measures: {pods: {of: workload, metric: a-b}}\nextends: kube-state-metrics", "measures.pods.metric"),
        ("measures: {pods: {of: workload, metric: a}}\nlabels: {}", "no namespace"),
        ("extends: nothing", "did you mean|known:"),
        ("- 1", "list at the top"),
        ("measures: 3\nextends: kube-state-metrics", "no mapping"),
        ("measures: {pods: {of: workload, metric: a, wher: []}}\nextends: kube-state-metrics", "pods.wher"),
    ],
)
def test_a_preset_that_cannot_work_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises((MetricsError, UnknownName), match=said):
        load_preset(str(tmp_path / "mine.yaml"))


def test_an_unknown_preset_gets_a_hint() -> None:
    with pytest.raises(UnknownName, match="did you mean kube-prometheus"):
        load_preset("kube-promethius")


@pytest.mark.shared_data
def test_the_default_counters_of_dcgm_exporter_feed_six_of_seven_metrics(shared_data: Path) -> None:
    folder = shared_data / "traces" / "exposition-fixtures"
    fields = dcgm.counters(gzip.decompress((folder / "dcgm_default_counters.csv.gz").read_bytes()).decode())
    present = dcgm.measures_of(fields)
    assert {measure for measure, _ in dcgm.DECK_METRICS.values()} - present == {"fan_percent"}
    assert len(dcgm.absent(present)) == 1
    assert dcgm.absent(present)[0].startswith("fan_percent: no DCGM_FI_DEV_FAN_SPEED")
    more = dcgm.counters(gzip.decompress((folder / "dcgm_dcp_counters.csv.gz").read_bytes()).decode())
    assert more["DCGM_FI_PROF_GR_ENGINE_ACTIVE"] == "gauge"


def test_without_any_gpu_there_is_nothing_to_warn_of() -> None:
    assert dcgm.absent({"cpu_usage_m"}) == ()


def test_a_counter_list_that_does_not_parse_names_its_line() -> None:
    with pytest.raises(ValueError, match="line 2"):
        dcgm.counters("# fields\nDCGM_FI_DEV_SM_CLOCK gauge")
