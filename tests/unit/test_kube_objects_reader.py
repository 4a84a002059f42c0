"""Reading what kubectl prints: every form, exact amounts, and clear problems for damaged input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from kube_objects import node_document, pod_document
from models.errors import InputError
from simulator.engine.kube.objects import HostPort, Requirement, Selector
from simulator.engine.kube.objects_reader import Objects, read_files, read_objects


def one_pod(**spec: Any) -> Any:
    return read_objects([pod_document("p", **spec)]).pods[0]


def problems_of(*documents: dict[str, Any]) -> list[str]:
    with pytest.raises(InputError) as caught:
        read_objects(documents)
    return [str(problem) for problem in caught.value.problems]


def test_a_list_several_documents_and_json_give_the_same_objects(tmp_path: Path) -> None:
    documents = [node_document("n"), pod_document("p")]
    texts = {
        "list.yaml": yaml.safe_dump({"apiVersion": "v1", "kind": "List", "items": documents}),
        "many.yaml": yaml.safe_dump_all(documents) + "---\n",
        "list.json": json.dumps({"kind": "List", "items": documents}),
        "array.json": json.dumps(documents),
        "lines.json": "\n".join(map(json.dumps, documents)) + "\n\n",
        "one-after-another.json": "".join(json.dumps(document, indent=2) for document in documents),
        "typed.yaml": yaml.safe_dump_all(
            [
                {"kind": f"{document['kind']}List", "items": [{key: document[key] for key in document if key != "kind"}]}
                for document in documents
            ]
        ),
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
        found = read_files([tmp_path / name])
        assert [node.name for node in found.nodes] == ["n"]
        assert [pod.key for pod in found.pods] == ["default/p"]


def test_amounts_are_millicores_and_bytes() -> None:
    node = read_objects([node_document("n", "3500m", "16Gi", "58", more={"nvidia.com/gpu": "2"})]).nodes[0]
    assert node.allocatable == {"cpu": 3500, "memory": 16 * 2**30, "pods": 58, "nvidia.com/gpu": 2}


def test_pod_requests_take_the_larger_of_start_and_run_and_add_overhead() -> None:
    """Run: 500 + 200 sidecar = 700. Start: 1000 + 200 sidecar before it = 1200. Larger 1200, overhead 50 -> 1250."""
    pod = one_pod(
        cpu="500m",
        memory="",
        overhead={"cpu": "50m"},
        initContainers=[
            {"name": "mesh", "restartPolicy": "Always", "resources": {"requests": {"cpu": "200m"}}},
            {"name": "setup", "resources": {"requests": {"cpu": "1"}}},
        ],
    )
    assert pod.requests["cpu"] == 1250


def test_a_limit_stands_for_a_request_that_is_missing() -> None:
    container = {"name": "c", "resources": {"limits": {"cpu": "2", "memory": "1Gi"}, "requests": {"cpu": "1"}}}
    pod = read_objects([{"kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [container]}}]).pods[0]
    assert pod.requests == {"cpu": 1000, "memory": 2**30}


def test_pod_level_requests_replace_the_sum_of_containers() -> None:
    pod = one_pod(cpu="1", memory="1Gi", resources={"requests": {"cpu": "3"}})
    assert pod.requests == {"cpu": 3000, "memory": 2**30}
    assert pod.own["cpu"] == 1000


def test_scoring_takes_100m_and_200mi_for_each_container_that_requests_none() -> None:
    pod = one_pod(cpu="", memory="")
    assert pod.requests == {}
    assert pod.scored == {"cpu": 100, "memory": 200 * 2**20}


def test_match_label_keys_join_the_selector_once() -> None:
    spread = {
        "maxSkew": 1,
        "topologyKey": "zone",
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "a"}},
        "matchLabelKeys": ["rev"],
    }
    pod = one_pod(labels={"app": "a", "rev": "7"}, topologySpreadConstraints=[spread])
    wanted = Selector((Requirement("app", "In", ("a",)), Requirement("rev", "In", ("7",))))
    assert pod.spreads[0].selector == wanted


def test_host_network_makes_every_container_port_a_host_port() -> None:
    container = {"name": "c", "ports": [{"containerPort": 9100}]}
    document = {"kind": "Pod", "metadata": {"name": "p"}, "spec": {"hostNetwork": True, "containers": [container]}}
    assert read_objects([document]).pods[0].ports == (HostPort("0.0.0.0", "TCP", 9100),)


def test_a_term_without_namespaces_means_the_pods_own_namespace() -> None:
    term = {"labelSelector": {"matchLabels": {"app": "a"}}, "topologyKey": "zone"}
    affinity = {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    assert one_pod(namespace="team", affinity=affinity).affinity[0].namespaces == frozenset({"team"})


def test_priority_comes_from_the_class_when_the_pod_was_not_admitted_yet() -> None:
    ranks = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "gold"}, "value": 900}
    pod = read_objects([ranks, pod_document("p", priorityClassName="gold")]).pods[0]
    assert pod.priority == 900
    assert "no such PriorityClass" in one_pod(priorityClassName="silver").unmodelled[0]


def test_other_kinds_are_counted_not_dropped() -> None:
    found = read_objects([node_document("n"), {"kind": "ConfigMap", "metadata": {"name": "c"}}])
    assert found.skipped == {"ConfigMap": 1}


def test_every_problem_is_reported_at_once_with_its_path() -> None:
    broken = node_document("n", cpu="four", memory="-1Gi")
    unnamed = pod_document("")
    weights = pod_document("p", tolerations=[{"operator": "Sometimes"}], priority="high")
    found = problems_of(broken, unnamed, weights)
    assert any(text.startswith("input[0]") is False and "Node n.status.allocatable.cpu: found 'four'" in text for text in found)
    assert any("status.allocatable.memory: found '-1Gi'" in text for text in found)
    assert any("metadata.name" in text for text in found)
    assert any("Pod p.spec.tolerations[0].operator: found 'Sometimes'" in text for text in found)
    assert any("spec.priority: found 'high'" in text for text in found)


def test_a_node_without_allocatable_is_refused() -> None:
    document = node_document("n")
    del document["status"]["allocatable"]
    assert problems_of(document) == [
        "input: Node n.status.allocatable: found None; give the node's allocatable resources: cpu, memory, pods"
    ]


def test_a_name_that_comes_twice_is_refused_within_and_across_files(tmp_path: Path) -> None:
    assert "Node n: found 2 objects of this name" in problems_of(node_document("n"), node_document("n"))[0]
    (tmp_path / "pods.yaml").write_text(yaml.safe_dump(pod_document("p")))
    with pytest.raises(InputError, match="Pod default/p: found 2 objects"):
        read_files([tmp_path / "pods.yaml"], read_objects([pod_document("p")]))


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("kind: [Pod", "text that is not YAML"),
        ('{"kind": "Pod",', "broken JSON"),
        ('{"kind": "Pod", "kind": "Node"}', "key 'kind' stands twice"),
        ("kind: Node\nmetadata: {name: n}\nkind: Pod\n", "line 3: found key 'kind' stands already in line 1"),
        ("kind: Pod\nmetadata: {creationTimestamp: 2026-13-45}\n", "a value that cannot be read"),
        ("", "no Kubernetes object"),
        ("just words", "found 'just words'"),
        ("- 1\n- 2\n", "give a mapping"),
        ("items: []\n", "names its kind"),
        ("kind: List\nitems: {}\n", "give a list here"),
    ],
)
def test_a_damaged_file_is_one_clear_problem_with_the_file_named(tmp_path: Path, text: str, finding: str) -> None:
    path = tmp_path / "cluster.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_files([path])
    assert finding in str(caught.value)
    assert "cluster.yaml" in str(caught.value)


def test_a_missing_file_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unreadable file"):
        read_files([tmp_path / "absent.yaml"])


def test_unquoted_label_values_are_refused_with_advice() -> None:
    assert "quote it in YAML" in problems_of(node_document("n", labels={"gpu": True}))[0]


def test_an_empty_input_of_parsed_objects_is_refused() -> None:
    with pytest.raises(InputError, match="no Kubernetes object"):
        read_objects([])
    assert Objects().nodes == ()
