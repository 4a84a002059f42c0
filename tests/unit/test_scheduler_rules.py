"""One claim per upstream scheduling rule, on clusters small enough to work out by hand."""

from __future__ import annotations

from typing import Any

import pytest

from kube_objects import node_document, pod_document
from models.errors import InputError, Problem
from simulator.engine.kube.objects_reader import read_objects
from simulator.engine.kube.place import Placement, PlaceOptions, place
from simulator.engine.kube.place_report import pod_document as answer_document
from simulator.engine.kube.plugins import Settings

ZONE = "topology.kubernetes.io/zone"
HOST = "kubernetes.io/hostname"


def run(*documents: dict[str, Any], **options: Any) -> Placement:
    return place(read_objects(documents), options=PlaceOptions(**options))


def answer(placement: Placement, name: str) -> dict[str, Any]:
    [found] = [item for item in placement.pods if item.pod.name == name]
    return answer_document(found, placement.cluster)


def refusals(*documents: dict[str, Any], name: str = "p") -> dict[str, str]:
    found: dict[str, str] = answer(run(*documents), name)["refused"]
    return found


def term(app: str, key: str = HOST, **more: Any) -> dict[str, Any]:
    return {"labelSelector": {"matchLabels": {"app": app}}, "topologyKey": key, **more}


def anti(app: str, key: str = HOST) -> dict[str, Any]:
    return {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term(app, key)]}}


def test_node_unschedulable_refuses_cordoned_nodes() -> None:
    nodes = [node_document("a", unschedulable=True), node_document("b")]
    assert refusals(*nodes, pod_document("p")) == {"a": "node(s) were unschedulable"}


def test_taint_toleration_names_the_taint_before_1_36() -> None:
    nodes = [node_document("a", taints=[{"key": "gpu", "value": "yes", "effect": "NoSchedule"}])]
    for minor, text in ((36, "node(s) had untolerated taint(s)"), (35, "node(s) had untolerated taint {gpu: yes}")):
        placement = run(*nodes, pod_document("p"), settings=Settings(kubernetes_minor=minor))
        assert answer(placement, "p")["refused"] == {"a": text}


def test_an_empty_toleration_key_with_exists_tolerates_everything() -> None:
    node = node_document("a", taints=[{"key": "gpu", "effect": "NoExecute"}])
    assert refusals(node, pod_document("p", tolerations=[{"operator": "Exists"}])) == {}


def test_node_resources_fit_gives_every_shortage_of_a_node() -> None:
    node = node_document("a", cpu="1", memory="1Gi", pods="0")
    assert refusals(node, pod_document("p", cpu="2", memory="2Gi")) == {"a": "Too many pods, Insufficient cpu, Insufficient memory"}


def test_an_extended_resource_that_no_node_has_is_insufficient() -> None:
    container = {"name": "c", "resources": {"requests": {"example.com/fpga": "1"}, "limits": {"example.com/fpga": "1"}}}
    assert refusals(node_document("a"), pod_document("p", containers=[container])) == {"a": "Insufficient example.com/fpga"}


@pytest.mark.parametrize(("ip", "refused"), [("0.0.0.0", True), ("10.0.0.2", False), ("10.0.0.1", True)])
def test_node_ports_conflict_on_the_same_or_any_address(ip: str, refused: bool) -> None:
    def ported(name: str, address: str, **more: Any) -> dict[str, Any]:
        port = {"containerPort": 80, "hostPort": 80, "hostIP": address}
        return pod_document(name, containers=[{"name": "c", "ports": [port]}], **more)

    found = refusals(node_document("a"), ported("old", "10.0.0.1", nodeName="a"), ported("p", ip))
    assert found == ({"a": "node(s) didn't have free ports for the requested pod ports"} if refused else {})


def test_match_fields_pin_a_pod_before_any_filter_runs() -> None:
    pinned = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["b"]}]}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [pinned]}}}
    nodes = [node_document("a", unschedulable=True), node_document("b", unschedulable=True)]
    found = refusals(*nodes, pod_document("p", affinity=affinity))
    assert found == {"a": "node(s) didn't satisfy plugin(s) [NodeAffinity]", "b": "node(s) were unschedulable"}


def test_topology_spread_bounds_the_skew_and_wants_the_label() -> None:
    """Zone a holds two, zone b one: 2 + 1 - 1 = 2 > 1 refuses a; c lacks the label."""
    nodes = [node_document("a", labels={ZONE: "a"}), node_document("b", labels={ZONE: "b"}), node_document("c")]
    held = [pod_document(f"old{i}", labels={"app": "x"}, nodeName=node) for i, node in enumerate("aab")]
    spread = {
        "maxSkew": 1,
        "topologyKey": ZONE,
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "x"}},
    }
    found = refusals(*nodes, *held, pod_document("p", labels={"app": "x"}, topologySpreadConstraints=[spread]))
    assert found == {
        "a": "node(s) didn't match pod topology spread constraints",
        "c": "node(s) didn't match pod topology spread constraints (missing required label)",
    }


def test_fewer_domains_than_min_domains_count_the_minimum_as_zero() -> None:
    """One zone, one pod there: 1 + 1 - 1 = 1 fits; with minDomains 2 the minimum is 0 and 1 + 1 - 0 = 2 > 1."""
    node, held = node_document("a", labels={ZONE: "a"}), pod_document("old", labels={"app": "x"}, nodeName="a")
    spread = {"maxSkew": 1, "topologyKey": ZONE, "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {"matchLabels": {"app": "x"}}}
    for more, refused in (({}, 0), ({"minDomains": 2}, 1)):
        pod = pod_document("p", labels={"app": "x"}, topologySpreadConstraints=[{**spread, **more}])
        assert len(refusals(node, held, pod)) == refused


def test_terminating_pods_do_not_count_for_spread() -> None:
    node = node_document("a", labels={ZONE: "a"})
    leaving = pod_document("old", labels={"app": "x"}, nodeName="a")
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    spread = {
        "maxSkew": 1,
        "topologyKey": ZONE,
        "whenUnsatisfiable": "DoNotSchedule",
        "minDomains": 2,
        "labelSelector": {"matchLabels": {"app": "x"}},
    }
    assert refusals(node, leaving, pod_document("p", labels={"app": "x"}, topologySpreadConstraints=[spread])) == {}


def test_anti_affinity_of_a_running_pod_keeps_others_away() -> None:
    held = pod_document("old", labels={"app": "db"}, nodeName="a", affinity=anti("web"))
    found = refusals(node_document("a"), node_document("b"), held, pod_document("p", labels={"app": "web"}))
    assert found == {"a": "node(s) didn't satisfy existing pods anti-affinity rules"}


def test_the_first_pod_of_a_self_affine_group_may_go_anywhere_with_the_label() -> None:
    affinity = {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term("web", ZONE)]}}
    nodes = [node_document("a", labels={ZONE: "a"}), node_document("b")]
    found = refusals(*nodes, pod_document("p", labels={"app": "web"}, affinity=affinity))
    assert found == {"b": "node(s) didn't match pod affinity rules"}


def test_a_namespace_selector_reaches_pods_of_other_namespaces() -> None:
    spaces = [{"kind": "Namespace", "metadata": {"name": "side", "labels": {"team": "blue"}}}]
    held = pod_document("old", labels={"app": "web"}, namespace="side", nodeName="a")
    away = {
        "podAntiAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": [term("web", namespaceSelector={"matchLabels": {"team": "blue"}})]
        }
    }
    documents = [*spaces, node_document("a"), node_document("b"), held]
    assert refusals(*documents, pod_document("p", affinity=away)) == {"a": "node(s) didn't match pod anti-affinity rules"}
    assert refusals(*documents, pod_document("p", affinity=anti("web"))) == {}


def test_preferred_affinity_scales_the_best_node_to_twice_100() -> None:
    """Weights 60 and 20: 60 * 100 // 60 = 100 and 20 * 100 // 60 = 33, times weight 2."""
    preferences = [
        {"weight": weight, "preference": {"matchExpressions": [{"key": "disk", "operator": "In", "values": [disk]}]}}
        for weight, disk in ((60, "ssd"), (20, "hdd"))
    ]
    affinity = {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferences}}
    nodes = [node_document(disk, labels={"disk": disk}) for disk in ("ssd", "hdd", "tape")]
    scores = answer(run(*nodes, pod_document("p", affinity=affinity)), "p")["scores"]
    assert {name: parts["NodeAffinity"] for name, parts in scores.items()} == {"ssd": 200, "hdd": 66, "tape": 0}


def test_image_locality_scores_size_times_the_share_of_nodes() -> None:
    """1000 MiB on one of two nodes counts 500 MiB: 100 * (500 - 23) // (1000 - 23) = 48."""
    held = [{"names": ["web:latest"], "sizeBytes": 1000 * 2**20}]
    pod = pod_document("p", containers=[{"name": "c", "image": "web"}])
    scores = answer(run(node_document("a", images=held), node_document("b"), pod), "p")["scores"]
    assert {name: parts["ImageLocality"] for name, parts in scores.items()} == {"a": 48, "b": 0}


def test_a_service_switches_default_spreading_on() -> None:
    """Hosts a: 1 pod, b: 0. log(2 + 2) * 1 + 2 = 3.39 and 2, zones absent: rounded 3 and 2 -> 100*(3+2-3)//3 = 66, 100."""
    service = {"kind": "Service", "metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}}}
    held = pod_document("old", labels={"app": "web"}, nodeName="a")
    documents = [node_document("a"), node_document("b"), held, pod_document("p", labels={"app": "web"})]
    scores = answer(run(service, *documents), "p")["scores"]
    assert {name: parts["PodTopologySpread"] for name, parts in scores.items()} == {"a": 132, "b": 200}
    assert "PodTopologySpread" not in answer(run(*documents), "p")["scores"]["a"]


def test_a_replica_set_outside_the_input_is_told_by_its_template_hash_and_named() -> None:
    labels = {"app": "web", "pod-template-hash": "5d"}
    held = pod_document("old", labels=labels, nodeName="a", owner=("ReplicaSet", "web-5d"))
    placement = run(node_document("a"), node_document("b"), held, pod_document("p", labels=labels, owner=("ReplicaSet", "web-5d")))
    assert answer(placement, "p")["node"] == "b"
    assert any("ReplicaSet default/web-5d" in warning for warning in placement.warnings)


def test_the_queue_takes_priority_then_age() -> None:
    young = pod_document("young", cpu="3", created="2026-01-02T00:00:00Z")
    old = pod_document("old", cpu="3", created="2026-01-01T00:00:00Z")
    first = pod_document("first", cpu="3", created="2026-01-03T00:00:00Z", priority=5)
    placement = run(node_document("a", cpu="3"), node_document("b", cpu="3"), young, old, first)
    assert [item.pod.name for item in placement.pods] == ["first", "old", "young"]
    assert [item.node for item in placement.pods] == ["a", "b", None]


def test_preemption_evicts_the_fewest_of_the_lowest() -> None:
    """Node a would lose priority 5, node b priority 1: b. There 2 of 4 cores are free, 1 more is needed: one victim."""
    held = [
        pod_document("mid", cpu="4", nodeName="a", priority=5),
        pod_document("low1", cpu="1", nodeName="b", priority=1),
        pod_document("low2", cpu="1", nodeName="b", priority=0),
    ]
    placement = run(node_document("a"), node_document("b"), *held, pod_document("p", cpu="3", priority=10))
    found = answer(placement, "p")
    assert (found["node"], found["preempted"], found["total"]) == ("b", ["default/low2"], None)
    assert found["message"] == "0/2 nodes are available: 2 Insufficient cpu."


def test_following_a_preemption_takes_the_victims_away() -> None:
    held = [pod_document("low", cpu="3", nodeName="a"), pod_document("mid", cpu="1", nodeName="a", priority=4)]
    moved = read_objects([pod_document("p", cpu="2", nodeName="a", priority=9), pod_document("q", cpu="1", nodeName="a")])
    placement = place(read_objects([node_document("a"), *held]), moved, PlaceOptions(follow=True))
    assert answer(placement, "p")["preempted"] == ["default/low"]
    assert answer(placement, "q")["refused"] == {}


def test_a_pod_that_may_not_preempt_says_so() -> None:
    held = pod_document("low", cpu="4", nodeName="a")
    found = answer(run(node_document("a"), held, pod_document("p", priority=1, preemptionPolicy="Never")), "p")
    assert found["node"] is None
    assert found["message"].endswith("preemption: not eligible due to preemptionPolicy=Never.")


def test_a_disruption_budget_turns_preemption_to_another_node() -> None:
    budget = {
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "kept"},
        "spec": {"selector": {"matchLabels": {"app": "kept"}}},
        "status": {"disruptionsAllowed": 0},
    }
    held = [
        pod_document("kept", cpu="4", nodeName="a", labels={"app": "kept"}),
        pod_document("free", cpu="4", nodeName="b", priority=1),
    ]
    nodes = [node_document("a"), node_document("b")]
    pod = pod_document("p", cpu="4", priority=9)
    assert answer(run(*nodes, *held, pod), "p")["preempted"] == ["default/kept"]
    assert answer(run(*nodes, *held, pod, budget), "p")["preempted"] == ["default/free"]


def test_gated_pods_and_pods_of_another_scheduler_stay_with_a_reason() -> None:
    gated = pod_document("gated", schedulingGates=[{"name": "quota"}])
    other = pod_document("other", schedulerName="batch")
    placement = run(node_document("a"), gated, other)
    assert answer(placement, "gated")["message"] == "Scheduling is blocked due to non-empty scheduling gates: quota"
    assert answer(placement, "other")["message"] == "left to scheduler batch"


def test_what_is_not_modelled_is_named() -> None:
    claims = pod_document(
        "p",
        volumes=[{"name": "data", "persistentVolumeClaim": {"claimName": "d"}}],
        resourceClaims=[{"name": "gpu"}],
    )
    claims["status"] = {"nominatedNodeName": "a"}
    lost = pod_document("lost", nodeName="gone")
    text = "\n".join(run(node_document("a"), claims, lost, {"kind": "ConfigMap", "metadata": {"name": "c"}}).warnings)
    for part in ("volume data (persistentVolumeClaim)", "resourceClaim gpu", "nominated to a", "node gone", "1 ConfigMap"):
        assert part in text


def test_sampling_scores_only_as_many_feasible_nodes_as_the_real_default() -> None:
    """250 nodes: 50 - 250 // 125 = 48 %, 120 nodes; the next pod starts where this one stopped."""
    nodes = [node_document(f"n{i:03d}") for i in range(250)]
    placement = run(*nodes, pod_document("p"), pod_document("q"), percentage=0)
    assert sorted(answer(placement, "p")["scores"]) == [f"n{i:03d}" for i in range(120)]
    assert sorted(answer(placement, "q")["scores"]) == [f"n{i:03d}" for i in range(120, 240)]


def test_scoring_every_node_of_a_large_cluster_is_named_as_more_than_the_real_default() -> None:
    warnings = run(*(node_document(f"n{i}") for i in range(250)), pod_document("p")).warnings
    assert "all 250 feasible nodes are scored; the real default stops at 120 (--percentage 0)" in warnings


def test_random_ties_follow_the_seed() -> None:
    nodes = [node_document(f"n{i}") for i in range(8)]
    pods = [pod_document(f"p{i}") for i in range(6)]
    runs = [[item.node for item in run(*nodes, *pods, ties="random", seed=seed).pods] for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]


def test_a_pod_takes_the_preemption_policy_of_its_class_unless_it_has_its_own() -> None:
    """Admission writes the class's policy into the pod (plugin/pkg/admission/priority); seen with kube-scheduler 1.36.3."""
    ranks = [
        {"kind": "PriorityClass", "metadata": {"name": "low"}, "value": -5},
        {"kind": "PriorityClass", "metadata": {"name": "calm"}, "value": 50, "preemptionPolicy": "Never"},
        {"kind": "PriorityClass", "metadata": {"name": "usual"}, "value": 20, "preemptionPolicy": "Never", "globalDefault": True},
    ]
    held = pod_document("held", cpu="3", priorityClassName="low", nodeName="a")
    expected = {
        "calm": ({"priorityClassName": "calm"}, False),
        "default": ({}, False),
        "number": ({"priority": 50}, True),
        "own": ({"priorityClassName": "calm", "preemptionPolicy": "PreemptLowerPriority"}, True),
    }
    for name, (spec, leaves) in expected.items():
        found = answer(run(node_document("a"), held, *ranks, pod_document(name, cpu="2", **spec)), name)
        assert found["preempted"] == (["default/held"] if leaves else []), name
        assert leaves or found["message"].endswith("preemption: not eligible due to preemptionPolicy=Never."), name
    [wrong] = problems_of_class("Sometimes")
    assert wrong.place.endswith("preemptionPolicy")


def problems_of_class(policy: str) -> tuple[Problem, ...]:
    """What is wrong with a PriorityClass of this preemption policy."""
    with pytest.raises(InputError) as refused:
        read_objects([{"kind": "PriorityClass", "metadata": {"name": "odd"}, "value": 1, "preemptionPolicy": policy}])
    return refused.value.problems
