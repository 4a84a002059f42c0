"""Fields of Pods and Nodes: what Kubernetes does not know is named, what it knows is not."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client

from kube_objects import node_document, pod_document
from simulator.engine.kube.known_fields import SHAPES, unknown_fields
from simulator.engine.kube.objects_reader import read_objects
from simulator.engine.kube.place import place
from simulator.yaml_text import parse_yaml

CLIENT_NAMES = {"Requirement": "NodeSelectorRequirement", "ContainerImage": "ContainerImage"}
GONE = {"PodSpec": {"workloadRef"}}
"""Fields that a version since 1.28 had and the client's does not have any more."""


def findings(*documents: dict[str, Any]) -> list[str]:
    """Warnings about fields, in order."""
    return [text for text in place(read_objects(documents)).warnings if "no field of Kubernetes" in text]


@pytest.mark.parametrize("name", SHAPES)
def test_field_names_are_those_of_the_official_client(name: str) -> None:
    official = {*getattr(client, f"V1{CLIENT_NAMES.get(name, name)}").attribute_map.values()}
    assert SHAPES[name].names - official == GONE.get(name, set())
    assert official <= SHAPES[name].names


def test_misspelled_fields_are_named_with_a_near_miss_and_the_objects_counted() -> None:
    pods = [pod_document(f"p{i}", nodeSelecter={"disk": "ssd"}) for i in range(3)]
    sized = pod_document("sized")
    sized["spec"]["containers"][0]["resources"] = {"request": {"cpu": "1"}}
    assert findings(node_document("n"), *pods, sized) == [
        "Pod default/p0 and 2 more: spec.nodeSelecter is no field of Kubernetes and has no effect (did you mean nodeSelector?)",
        "Pod default/sized: spec.containers[].resources.request is no field of Kubernetes and has no effect (did you mean requests?)",
    ]


TERM = {"topologyKey": "zone", "labelSelecter": {}}
SPREAD = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}


@pytest.mark.parametrize(
    ("spec", "path", "near"),
    [
        ({"affinity": {"podAntiAfinity": {}}}, "spec.affinity.podAntiAfinity", "podAntiAffinity"),
        (
            {"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [TERM]}}},
            "spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[].labelSelecter",
            "labelSelector",
        ),
        ({"topologySpreadConstraints": [{**SPREAD, "maxSkw": 2}]}, "spec.topologySpreadConstraints[].maxSkw", "maxSkew"),
        ({"tolerations": [{"key": "gpu", "effects": "NoSchedule"}]}, "spec.tolerations[].effects", "effect"),
        ({"initContainers": [{"name": "i", "resorces": {}}]}, "spec.initContainers[].resorces", "resources"),
        ({"resources": {"reqests": {}}}, "spec.resources.reqests", "requests"),
    ],
)
def test_every_part_that_bears_on_placement_is_looked_into(spec: dict[str, Any], path: str, near: str) -> None:
    expected = f"Pod default/p: {path} is no field of Kubernetes and has no effect (did you mean {near}?)"
    assert findings(node_document("n"), pod_document("p", **spec)) == [expected]


def test_nodes_and_the_top_of_an_object_are_looked_into() -> None:
    node = {**node_document("n", taints=[{"key": "a", "efect": "NoSchedule"}]), "zzz": 1}
    node["spec"]["unschedulabel"] = True
    found = {text.partition(" is no")[0] for text in findings(node)}
    assert found == {"Node n: spec.unschedulabel", "Node n: spec.taints[].efect", "Node n: zzz"}


def test_known_fields_that_bear_on_placement_and_are_not_modelled_are_named() -> None:
    pods = [
        pod_document("a", runtimeClassName="gvisor"),
        pod_document("b", schedulerName="volcano"),
        pod_document("c", resourceClaims=[{"name": "g"}]),
    ]
    text = "\n".join(place(read_objects([node_document("n"), *pods])).warnings)
    for part in (
        "pod default/a: runtimeClassName gvisor",
        "pod default/b: left to scheduler volcano",
        "pod default/c: resourceClaim g",
    ):
        assert part in text
    assert "no field of Kubernetes" not in text


def test_the_class_that_is_the_global_default_ranks_pods_that_name_none() -> None:
    ranks = [
        {"kind": "PriorityClass", "metadata": {"name": "plain"}, "value": 7, "globalDefault": True},
        {"kind": "PriorityClass", "metadata": {"name": "high"}, "value": 9},
    ]
    pods = [pod_document("a"), pod_document("b", priorityClassName="high"), pod_document("c", priority=0)]
    assert [pod.priority for pod in read_objects([*ranks, *pods]).pods] == [7, 9, 0]


def test_fields_without_effect_on_placement_are_not_mentioned() -> None:
    pod = pod_document("p", dnsPolicy="Default", hostNetwork=True, terminationGracePeriodSeconds=3, securityContext={"anything": 1})
    pod["spec"]["containers"][0] |= {"env": [{"nme": "x"}], "livenessProbe": {"x": 1}, "command": ["a"], "ports": [{"containerPort": 1}]}
    pod["spec"]["volumes"] = [{"name": "v", "emptyDir": {}}]
    assert list(unknown_fields(pod, "Pod")) == []
    assert [text for text in place(read_objects([node_document("n"), pod])).warnings if "default/p" in text] == []


@pytest.mark.parametrize("number", range(1, 7))
def test_recorded_clusters_hold_no_unknown_field(recordings: Path, number: int) -> None:
    case = json.loads((recordings / "kube-scheduler" / f"cluster-{number}.json").read_text())
    objects = read_objects([*case["nodes"], *case["pods"]])
    assert len(objects.pods) == len(case["pods"]) > 0
    assert objects.unknown == {}


def test_what_kubectl_prints_of_a_real_cluster_holds_no_unknown_field(shared_data: Path) -> None:
    folder = shared_data / "traces" / "exposition-fixtures"
    texts = [gzip.decompress((folder / f"{name}_k8s_1.35.yaml.gz").read_bytes()).decode() for name in ("nodes", "pods")]
    documents = [item for text in texts for item in parse_yaml(text, "fixture")["items"]]
    objects = read_objects(documents)
    assert (len(objects.nodes), len(objects.pods)) == (1, 25)
    assert objects.unknown == {}
    assert [text for text in place(objects).warnings if text.startswith("pod ")] == []
