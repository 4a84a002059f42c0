"""Rules of Cluster Autoscaler 1.36 that flags, limits, budgets and GPUs bring in, each with its number."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from models.errors import InputError
from simulator.engine.autoscalers.cluster_autoscaler import NodeGroup, ScaleUpSettings, unhealthy
from simulator.engine.autoscalers.cluster_autoscaler_balance import Ratios, share, similar
from simulator.engine.autoscalers.cluster_autoscaler_flags import read_groups
from simulator.engine.autoscalers.cluster_autoscaler_growth import grow
from simulator.engine.autoscalers.cluster_autoscaler_limits import Limits
from simulator.engine.autoscalers.cluster_autoscaler_scale_down import View, judge
from simulator.engine.autoscalers.replay import Replay, replay
from simulator.engine.kube.objects import HOSTNAME, ZONE, Node, Pod, PodTerm, Selector, Taint

GIB = 2**30
HOLDS = {"cpu": 4000, "memory": 16 * GIB, "pods": 110}
GROUP: dict[str, Any] = {"allocatable": {"cpu": "4", "memory": "16Gi", "pods": "110"}, "max": 9}


def group(name: str, most: int = 9, **labels: str) -> NodeGroup:
    return NodeGroup(name, Node(name, HOLDS, labels), most)


def pods(count: int, cpu_m: int = 2000, name: str = "web", **more: Any) -> list[Pod]:
    return [Pod(f"{name}-{at}", {"cpu": cpu_m, "memory": GIB}, labels={"app": name}, **more) for at in range(count)]


def up(**more: Any) -> ScaleUpSettings:
    return ScaleUpSettings(template_overhead={}, **more)


# limits and shares


def test_cores_total_caps_a_scale_up_at_whole_nodes() -> None:
    # 10 pods of 2 cpu on 4 cpu need 5 nodes; 14 cores allow 3 (12), the fourth would make 16.
    found = grow(pods(10), [group("g")], settings=up(limits=Limits({"cpu": 14})))
    assert found.nodes_after == {"g": 3}
    assert len(found.left) == 4


def test_nodes_that_stand_count_for_the_limits() -> None:
    old = Node("old", {"cpu": 7500, "memory": GIB, "pods": 110})  # counts as 8 cores
    full = [Pod("full", {"cpu": 7500}, node="old")]
    assert grow(pods(10), [group("g")], [old], full, up(limits=Limits({"cpu": 14}))).nodes_after == {"g": 1}


def test_max_nodes_total_counts_every_node_of_the_cluster() -> None:
    old = [Node(f"old-{at}", {"cpu": 0, "memory": GIB, "pods": 0}) for at in range(2)]
    assert grow(pods(10), [group("g")], old, settings=up(max_nodes_total=5)).nodes_after == {"g": 3}


def test_balancing_shares_a_scale_up_among_similar_groups() -> None:
    groups = [group("a", **{ZONE: "z1"}), group("b", **{ZONE: "z2"}), group("c", pool="other")]
    found = grow(pods(12), groups, settings=up(balance=Ratios(), expanders=("least-nodes",)))
    (first, *_) = found.plans
    grown = {plan.group: plan.after for plan in first.plans}
    assert grown in ({"a": 3, "b": 3}, {"c": 6})  # c is like neither; a tie of options is drawn
    alone = grow(pods(12), groups[:2], settings=up(balance=Ratios()))
    assert alone.nodes_after == {"a": 3, "b": 3}


def test_similar_groups_lend_their_room_to_the_estimate() -> None:
    small = [group("a", 2), group("b", 2)]
    assert len(grow(pods(8), small, settings=up(balance=Ratios())).plans) == 1  # 4 nodes in one scale-up
    assert len(grow(pods(8), small, settings=up()).plans) == 2


def test_what_makes_two_groups_similar() -> None:
    node = Node("n", {"cpu": 4000, "memory": 1000}, {"pool": "x"})
    assert similar(node, {}, Node("m", {"cpu": 4000, "memory": 990}, {"pool": "x", HOSTNAME: "m", ZONE: "z"}), {}, Ratios())
    assert not similar(node, {}, Node("m", {"cpu": 4000, "memory": 980}, {"pool": "x"}), {}, Ratios())  # 2 % of memory > 1.5 %
    assert not similar(node, {}, Node("m", {"cpu": 4001, "memory": 1000}, {"pool": "x"}), {}, Ratios())
    assert not similar(node, {}, Node("m", {"cpu": 4000, "memory": 1000}, {"pool": "y"}), {}, Ratios())
    assert not similar(node, {}, Node("m", {"cpu": 4000, "memory": 1000}, {"pool": "x"}), {"cpu": 400}, Ratios())  # 10 % less free
    assert similar(node, {}, Node("m", {"cpu": 1}, {"pool": "x"}), {}, Ratios(labels=("pool",)))
    assert similar(node, {}, Node("m", {"cpu": 4000, "memory": 1000}, {"pool": "y"}), {}, Ratios(ignored=("pool",)))


def test_sharing_fills_the_smallest_first() -> None:
    # oracle: nodegroupset/balancing_processor_test.go, TestBalanceSingleGroup and TestBalanceUpToMaxSize
    assert share(3, [("ng1", 1, 10)]) == [("ng1", 1, 4, 10)]
    assert share(4, [("ng1", 1, 10), ("ng2", 3, 10), ("ng3", 5, 10)]) == [("ng1", 1, 4, 10), ("ng2", 3, 4, 10)]
    assert sorted(share(100, [("ng1", 1, 1), ("ng2", 1, 3), ("ng3", 1, 10)])) == [("ng2", 1, 3, 3), ("ng3", 1, 10, 10)]


# who grows nothing, and what the picture of a new node is


def test_expendable_pods_and_pods_of_daemon_sets_grow_nothing() -> None:
    mine = [*pods(2, name="low", priority=-11), *pods(2, name="each", owner=("DaemonSet", "agent")), *pods(1, name="edge", priority=-10)]
    found = grow(mine, [group("g")], settings=up())
    assert found.nodes_after == {"g": 1}
    assert found.left == ("default/each-0", "default/each-1", "default/low-0", "default/low-1")


def test_expendable_pods_that_run_make_room() -> None:
    node = Node("n", HOLDS)
    low = [Pod("low", {"cpu": 4000}, node="n", priority=-20)]
    assert grow(pods(2), [group("g")], [node], low, up()).plans == ()


def test_a_group_with_a_node_is_seen_as_that_node_with_its_daemon_pods() -> None:
    """Two pods of 2 cpu fit 4 cpu, one fits beside a DaemonSet pod of 500m: 4 pods need 4 more nodes, not 2."""
    node = Node("g-1", HOLDS, {"placement.burstline.dev/zone": "g"})
    running = [Pod("agent", {"cpu": 500}, node="g-1", owner=("DaemonSet", "agent")), Pod("full", {"cpu": 3500}, node="g-1")]
    found = grow(pods(4), [group("g")], [node], running, up())
    assert found.plans[0].rows() == [["g", 1, 5, 9]]


def test_pods_that_stand_keep_others_away_from_their_node() -> None:
    term = PodTerm(HOSTNAME, Selector.of({"app": "web"}), frozenset({"default"}))
    node = Node("n", HOLDS, {HOSTNAME: "n"})
    lone = [Pod("lone", {"cpu": 100}, labels={"app": "lone"}, anti_affinity=(term,), node="n")]
    assert grow(pods(1), [group("g")], [node], lone, up()).nodes_after == {"g": 1}
    assert grow(pods(1), [group("g")], [node], (), up()).nodes_after == {"g": 0}


def test_a_cluster_full_of_nodes_that_are_not_ready_halts() -> None:
    down = [Node(f"n{at}", {"cpu": 0}, taints=(Taint("node.kubernetes.io/not-ready", ""),)) for at in range(4)]
    assert unhealthy(down, up()) == "4 of 4 nodes are not ready, more than max-total-unready-percentage: nothing grows or shrinks"
    assert unhealthy(down[:3], up()) is None  # three are put up with
    assert unhealthy([*down, *(Node(f"r{at}", {}) for at in range(5))], up()) is None  # 4 of 9 are 44 %
    assert grow(pods(1), [group("g")], down, settings=up()).plans == ()


# flags


def test_flags_are_read_however_they_are_spelled() -> None:
    ways: list[Any] = [
        {"--expander": "least-nodes", "scan_interval": 5, "--max-nodes-total": 7, "scale-down-enabled": False},
        ["--expander=least-nodes", "--scan-interval=5s", "--max-nodes-total=7", "--scale-down-enabled=false"],
        {"expander": ["least-nodes"], "scan-interval": "5", "max-nodes-total": "7", "scale-down-enabled": "f"},
    ]
    read = [read_groups({"groups": {"g": GROUP}, "flags": flags}, "file") for flags in ways]
    assert read[0].down == read[1].down == read[2].down
    assert read[0].up == read[1].up == read[2].up
    assert (read[0].down.scan_interval_s, read[0].up.max_nodes_total, read[0].down.enabled) == (5.0, 7, False)


def test_defaults_are_those_of_the_real_program() -> None:
    down = read_groups({"groups": {"g": GROUP}}, "file").down
    assert (down.delete_delay_s, down.unneeded_s, down.recheck_s, down.delay_after_failure_s) == (5.0, 600.0, 300.0, 180.0)
    usual = {"parallel-scale-up": "false", "scale-up-from-zero": True, "skip-nodes-with-system-pods": "true", "v": 4}
    assert read_groups({"groups": {"g": GROUP}, "flags": usual}, "file").warnings == ()


@pytest.mark.parametrize(
    ("flags", "finding"),
    [
        ({"expander": "grpc"}, "what a server of one's own answers is not known here"),
        ({"expander": "random,least-waste"}, "nothing may follow random"),
        ({"expander": "priority,priority"}, "priority stands twice"),
        ({"cores-total": "8"}, "<min>:<max>"),
        ({"scan-interval": "0s"}, "give a number above zero"),
        ({"balance-similar-node-groups": "true", "balancing-label": "a", "balancing-ignore-label": "b"}, "does not start with both"),
        ("--expander=random", "as a list of --name=value"),
    ],
)
def test_what_the_program_would_not_start_with_is_refused(flags: Any, finding: str) -> None:
    with pytest.raises(InputError, match=finding):
        read_groups({"groups": {"g": GROUP}, "flags": flags}, "file")


def test_groups_as_a_list_priorities_as_text_and_a_missing_pod_count() -> None:
    bare = {"name": "g", "allocatable": {"cpu": 4, "memory": "16Gi"}, "max": "9", "labels": {"rack": 1}, "taints": None}
    file = read_groups({"groups": [bare], "expander": "priority", "priorities": "10:\n  - g\n"}, "file")
    assert file.groups[0].node.allocatable["pods"] == 110
    assert file.groups[0].node.labels["rack"] == "1"
    assert file.up.priorities == {10: ("g",)}
    assert file.warnings == ("file: groups.g.allocatable does not say how many pods a node takes: 110, the kubelet's default",)
    damaged = read_groups({"groups": [bare], "expander": "priority", "priorities": {"10": "g"}}, "file")
    assert damaged.up.priorities is None
    assert "a list of patterns belongs to each priority" in damaged.warnings[0]


def test_groups_that_only_their_names_keep_apart_are_told() -> None:
    flags = {"balance-similar-node-groups": True}
    warned = read_groups({"groups": {"a": GROUP, "b": GROUP}, "flags": flags}, "file").warnings
    assert warned == ("file: groups a and b are not balanced, they differ by placement.burstline.dev/zone (balancing-ignore-label)",)
    ignored = {**flags, "balancing-ignore-label": "placement.burstline.dev/zone"}
    assert read_groups({"groups": {"a": GROUP, "b": GROUP}, "flags": ignored}, "file").warnings == ()


# replays


def run(replicas: list[int], flags: dict[str, Any] | None = None, shape: dict[str, Any] | None = None, **more: Any) -> Replay:
    usual = {
        "scan-interval": "1s",
        "scale-down-unneeded-time": "5s",
        "scale-down-delay-after-add": "5s",
        "node-delete-delay-after-taint": "0s",
    }
    return replay(
        {
            "flags": {**usual, **(flags or {})},
            "groups": {"one": GROUP},
            "shapes": {"web": shape or {"cpu": "1", "memory": "1Gi"}},
            "replicas_by_second": {"web": replicas},
            **more,
        }
    )


def test_minimum_sizes_are_reached_only_when_asked_for() -> None:
    groups = {"one": {**GROUP, "min": 2}}
    assert run([0] * 10, groups=groups).nodes_at_end() == {"one": 0}
    found = run([0] * 10, {"enforce-node-group-min-size": True}, groups=groups)
    assert [up["plan"] for up in found.scale_ups] == [[["one", 0, 2, 9]]]


def test_pods_that_ask_for_a_gpu_wait_half_a_minute_for_more() -> None:
    gpus = {"one": {**GROUP, "allocatable": {**GROUP["allocatable"], "nvidia.com/gpu": "4"}}}
    plain = run([1] * 45, groups=gpus).scale_ups[0]["second"]
    asking = run([1] * 45, shape={"cpu": "1", "nvidia.com/gpu": "1"}, groups=gpus).scale_ups[0]["second"]
    assert plain < 5.0
    assert 29.0 <= asking < 34.0


def test_a_node_with_gpus_is_used_as_far_as_its_gpus_are() -> None:
    """Three of four GPUs asked, a twelfth of the cpu: not under one half, so the node stays; without GPUs it would go."""
    flags = {"scale-down-utilization-threshold": "0.9", "scale-down-gpu-utilization-threshold": "0.5"}
    gpus = {"one": {**GROUP, "allocatable": {"cpu": "36", "memory": "64Gi", "pods": "110", "nvidia.com/gpu": "4"}, "max": 1}}
    busy = View(
        np.array([[36_000, 64]]), np.array([[33_000, 61]]), np.array([[3]]), np.ones((1, 1), bool), np.ones(1, bool),
        np.array([[1000, 1]]), np.arange(1),
    )  # fmt: skip
    assert judge(busy, [0]).stuck == (0,)  # no other home anyway
    found = run([4] * 40 + [3] * 60, flags, {"cpu": "1", "nvidia.com/gpu": "1"}, groups=gpus)
    assert found.scale_downs == ()
    empty = run([4] * 40 + [0] * 30, flags, {"cpu": "1", "nvidia.com/gpu": "1"}, groups=gpus)
    assert len(empty.scale_downs) == 1


def shrink(budget: dict[str, Any] | None) -> Replay:
    """Ten pods of 2 cpu on nodes of 4, then four: nodes with one pod each could be merged."""
    more = {"pod_disruption_budgets": [{"selector": {"matchLabels": {"app": "web"}}, **budget}]} if budget else {}
    flags = {"scale-down-utilization-threshold": "0.6", "unremovable-node-recheck-timeout": "5s"}
    return run([10] * 25 + [4] * 60, flags, {"cpu": "1900m", "memory": "1Gi"}, **more)


def test_a_budget_that_lets_no_pod_go_keeps_nodes_with_pods() -> None:
    free, bound = shrink(None), shrink({"minAvailable": "100%"})
    drained = [set(row[1:2]) for row in (free.rows[-1], bound.rows[-1])]
    assert drained[0] == {2}
    assert bound.rows[-1][1] >= free.rows[-1][1]
    assert bound.rows[-1][-2:] == (4, 0)
    assert all(row[-2] >= 4 for row in bound.rows if row[0] > 30)  # nobody was evicted


def test_a_budget_of_one_lets_nodes_go_one_after_the_other() -> None:
    found = shrink({"maxUnavailable": 1})
    assert found.rows[-1][1:] == (2, 4, 0)
    assert all(row[-2] >= 3 for row in found.rows if row[0] > 30)


def test_a_budget_holds_a_node_back_in_simulation() -> None:
    two = np.ones((2, 1), bool)
    view = View(
        np.full((2, 2), 10_000), np.full((2, 2), 8_000), np.array([[1], [1]]), two, np.ones(2, bool), np.array([[2000, 1]]), np.arange(2)
    )
    assert judge(view, [0], spare=[((0,), 1)]).removable == (0,)
    assert judge(view, [0], spare=[((0,), 0)]).stuck == (0,)


def test_no_more_nodes_are_looked_at_than_could_be_deleted() -> None:
    # planner, unneededNodesLimit: with 2 deletions at once at most 0 + 2 + 2 nodes in the first loop
    many = View(
        np.full((9, 2), 10_000), np.full((9, 2), 10_000), np.zeros((9, 1), int), np.ones((9, 1), bool), np.ones(9, bool),
        np.array([[2000, 1]]), np.arange(9),
    )  # fmt: skip
    assert judge(many, list(range(9)), most=4).removable == (0, 1, 2, 3)


def test_shapes_with_rules_run_in_a_replay() -> None:
    keep = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
        {"labelSelector": {"matchLabels": {"app": "web"}}, "topologyKey": HOSTNAME}]}}  # fmt: skip
    found = run([3] * 30, shape={"cpu": "100m", "affinity": keep})
    assert found.nodes_at_end() == {"one": 3}
    assert found.rows[-1][-2:] == (3, 0)
    assert "what keeps pods apart is not modelled there" in found.warnings[-1]


def test_a_budget_about_no_shape_is_named() -> None:
    budget = {"selector": {"matchLabels": {"app": "wep"}}, "maxUnavailable": 1}
    assert run([0] * 3, pod_disruption_budgets=[budget]).warnings == ("input: pod_disruption_budgets[0] is about no shape",)


def test_a_single_decision_may_be_replayed_with_its_recorded_keys() -> None:
    """30 pods of 5 cpu on 15 cpu less 100m: two on each of 15 nodes; all wait before the program starts."""
    case = {
        "case": "one-shape-exact", "groups": {"general": {"allocatable": {"cpu": "15", "memory": "60Gi", "pods": "110"}, "max": 300}},
        "priorities": None, "expander": "least-waste", "pods": {"a": {"cpu": "5", "memory": "10Gi", "count": 30}},
        "plans": [[["general", 0, 15, 300]]], "nodes_after": {"general": 15}, "nodes_with_pods": 12, "pending_after": 0,
    }  # fmt: skip
    found = replay(case)
    assert [up["plan"] for up in found.scale_ups] == case["plans"]
    assert found.scale_ups[0]["second"] > 8.0
    assert found.rows[-1][1:] == (15, 30, 0)
    assert found.warnings == ()
