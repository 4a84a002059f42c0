"""The rules of Cluster Autoscaler written out once more, pod by pod, against the ones on arrays; limits that always hold."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.engine.autoscalers.binpacking import Kinds, estimate
from simulator.engine.autoscalers.binpacking_pods import estimate_pods
from simulator.engine.autoscalers.cluster_autoscaler import NodeGroup, ScaleUpSettings
from simulator.engine.autoscalers.cluster_autoscaler_balance import Ratios, share
from simulator.engine.autoscalers.cluster_autoscaler_growth import grow
from simulator.engine.autoscalers.cluster_autoscaler_limits import Limits
from simulator.engine.autoscalers.expanders import EXPANDERS, Option, choose
from simulator.engine.autoscalers.replay import replay
from simulator.engine.kube.objects import HOSTNAME, HostPort, Node, Pod, PodTerm, Selector

GIB = 2**30


def packed(pods: list[tuple[int, int, bool]], cpu: int, memory: int, most_pods: int, room: int) -> tuple[int, int]:
    """estimator/binpacking_estimator.go, pod by pod: (nodes, pods placed). A pod is (cpu, memory, keeps others of its kind off)."""
    groups: dict[tuple[int, int, bool], int] = {}
    for pod in pods:
        groups[pod] = groups.get(pod, 0) + 1
    order = sorted(groups, key=lambda pod: -(pod[0] / cpu + pod[1] / memory))
    nodes: list[list[tuple[int, int, bool]]] = []

    def fits(node: list[tuple[int, int, bool]], pod: tuple[int, int, bool]) -> bool:
        used = (sum(p[0] for p in node) + pod[0], sum(p[1] for p in node) + pod[1])
        return used[0] <= cpu and used[1] <= memory and len(node) < most_pods and not (pod[2] and pod in node)

    placed, more = 0, True
    for kind in order:
        left = groups[kind]
        while left and (node := next((node for node in nodes if fits(node, kind)), None)) is not None:
            node.append(kind)
            left, placed = left - 1, placed + 1
        while left and more:
            if nodes and fits(nodes[-1], kind):
                nodes[-1].append(kind)
                left, placed = left - 1, placed + 1
                continue
            if nodes and not nodes[-1]:
                break
            if len(nodes) >= room:
                more = False
                break
            nodes.append([])
            if not fits(nodes[-1], kind):
                break
            nodes[-1].append(kind)
            left, placed = left - 1, placed + 1
    return len([node for node in nodes if node]), placed


shapes = st.lists(
    st.tuples(st.integers(50, 5000), st.integers(100, 20000), st.booleans(), st.integers(1, 9)),
    min_size=1, max_size=5, unique_by=lambda shape: shape[:2],
)  # fmt: skip


def distinct(found: list[tuple[int, int, bool, int]], cpu: int, memory: int) -> bool:
    scores = [shape[0] / cpu + shape[1] / memory for shape in found]
    return len(set(scores)) == len(scores)


@settings(max_examples=80, deadline=None)
@given(found=shapes, room=st.integers(0, 20), most_pods=st.integers(1, 12))
def test_estimate_equals_the_rule_pod_by_pod(found: list[tuple[int, int, bool, int]], room: int, most_pods: int) -> None:
    if not distinct(found, 4000, 16000):
        return
    pods = [(cpu, memory, False) for cpu, memory, _, count in found for _ in range(count)]
    node = np.array([4000, 16000, most_pods])
    requests = np.array([[cpu, memory, 1] for cpu, memory, _, _ in found])
    ours = estimate(node, node, requests, np.array([count for *_, count in found]), room)
    assert (ours.nodes, int(ours.placed.sum())) == packed(pods, 4000, 16000, most_pods, room)


@settings(max_examples=25, deadline=None)
@given(found=shapes, room=st.integers(0, 12), port=st.booleans())
def test_estimate_with_filters_equals_the_rule_pod_by_pod(found: list[tuple[int, int, bool, int]], room: int, port: bool) -> None:
    if not distinct(found, 4000, 16000):
        return
    pods = [(cpu, memory, alone) for cpu, memory, alone, count in found for _ in range(count)]

    def rules(name: str, at: int, alone: bool) -> dict[str, Any]:
        if not alone:
            return {}
        mine = Selector.of({"app": name})
        return (
            {"ports": (HostPort("0.0.0.0", "TCP", 8000 + at),)}
            if port
            else {"anti_affinity": (PodTerm(HOSTNAME, mine, frozenset({"default"})),)}
        )

    kinds = Kinds.of(
        [
            Pod(f"k{at}", {"cpu": cpu, "memory": memory}, labels={"app": f"k{at}"}, **rules(f"k{at}", at, alone))
            for at, (cpu, memory, alone, _) in enumerate(found)
        ]
    )
    node = Node("g", {"cpu": 4000, "memory": 16000, "pods": 8})
    ours = estimate_pods(node, {}, kinds, np.array([count for *_, count in found]), room, [], [])
    assert (ours.nodes, int(ours.placed.sum())) == packed(pods, 4000, 16000, 8, room)


options = st.lists(
    st.builds(
        Option, group=st.sampled_from("abcdef"), nodes=st.integers(1, 5), pods=st.integers(1, 6), cpu_m=st.integers(1, 9000),
        memory_bytes=st.integers(1, 9000), node_cpu_m=st.just(2000), node_memory_bytes=st.just(3000),
    ),
    min_size=1, max_size=6, unique_by=lambda option: option.group,
)  # fmt: skip


@settings(max_examples=80, deadline=None)
@given(found=options, chain=st.permutations(["least-waste", "most-pods", "least-nodes", "priority"]), seed=st.integers(0, 9))
def test_a_chain_of_expanders_equals_sorting_by_each_in_turn(found: list[Option], chain: list[str], seed: int) -> None:
    priorities = {10: ["[abc]"], 50: ["[bd]"]}

    def rank(option: Option, name: str) -> float:
        if name == "least-waste":
            free = (
                (option.nodes * 2000 - option.cpu_m) / (option.nodes * 2000),
                (option.nodes * 3000 - option.memory_bytes) / (option.nodes * 3000),
            )
            return round(sum(free), 9)
        if name == "priority":
            return -max([key for key, patterns in priorities.items() if option.group in patterns[0]], default=0)
        return {"most-pods": -option.pods, "least-nodes": option.nodes}[name]

    best = min(tuple(rank(option, name) for name in chain) for option in found)
    chosen = choose(found, chain, priorities, np.random.default_rng(seed))
    assert tuple(rank(chosen, name) for name in chain) == best
    assert set(chain) < set(EXPANDERS)


@settings(max_examples=80, deadline=None)
@given(nodes=st.integers(0, 30), groups=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=5))
def test_sharing_adds_every_node_that_there_is_room_for_and_evens_sizes(nodes: int, groups: list[tuple[int, int]]) -> None:
    named = [(str(at), size, size + more) for at, (size, more) in enumerate(groups)]
    after = {name: size for name, size, _ in named} | {name: to for name, _, to, _ in share(nodes, named)}
    assert sum(after.values()) - sum(size for _, size, _ in named) == min(nodes, sum(most - size for _, size, most in named))
    grown = [after[name] for name, size, _ in named if after[name] > size]
    for name, _, most in named:
        assert after[name] <= most
        if after[name] < most and grown:
            assert max(grown) <= after[name] + 1  # nobody grows past a smaller group that has room


@settings(max_examples=12, deadline=None)
@given(found=shapes, cores=st.integers(0, 40), total=st.integers(1, 12), balance=st.booleans(), expander=st.sampled_from(sorted(EXPANDERS)))
def test_growth_keeps_every_limit(found: list[tuple[int, int, bool, int]], cores: int, total: int, balance: bool, expander: str) -> None:
    groups = [NodeGroup(name, Node(name, {"cpu": 4000, "memory": 16000, "pods": 8}), most) for name, most in (("a", 3), ("b", 5))]
    pods = [Pod(f"p{at}-{n}", {"cpu": c, "memory": m}, labels={"app": f"p{at}"}) for at, (c, m, _, k) in enumerate(found) for n in range(k)]
    up = ScaleUpSettings((expander,), None, {}, max_nodes_total=total, limits=Limits({"cpu": cores}), balance=Ratios() if balance else None)
    for course, _ in grow(pods, groups, settings=up).shares:
        sizes = {"a": 0, "b": 0}
        for plan in (plan for scale_up in course for plan in scale_up.plans):
            assert plan.before == sizes[plan.group]
            assert plan.before < plan.after <= plan.maximum
            sizes[plan.group] = plan.after
        assert sum(sizes.values()) <= total
        assert sum(sizes.values()) * 4 <= max(cores, 0) or not any(sizes.values())


curves = st.lists(st.integers(0, 20), min_size=2, max_size=4).map(lambda steps: [n for n in steps for _ in range(20)])


@settings(max_examples=10, deadline=None)
@given(web=curves, api=curves, least=st.integers(0, 2), seed=st.integers(0, 99), drains=st.integers(1, 3))
def test_shrinking_keeps_minimum_and_maximum_and_leaves_no_pod_without_a_home(
    web: list[int], api: list[int], least: int, seed: int, drains: int
) -> None:
    run = replay(
        {
            "flags": {
                "scan-interval": "1s", "scale-down-unneeded-time": "5s", "scale-down-delay-after-add": "5s",
                "max-drain-parallelism": drains,
                "node-delete-delay-after-taint": "0s", "enforce-node-group-min-size": True,
            },
            "groups": {"one": {"allocatable": {"cpu": "10", "memory": "40Gi", "pods": "20"}, "min": least, "max": 6}},
            "shapes": {"web": {"cpu": "2", "memory": "4Gi"}, "api": {"cpu": "3", "memory": "6Gi"}},
            "replicas_by_second": {"web": [*web, *web[-1:] * 40], "api": [*api, *api[-1:] * 40]},
        },
        seed,
    )  # fmt: skip
    sizes = [row[1] for row in run.rows]
    assert max(sizes) <= 6
    reached = next((at for at, size in enumerate(sizes) if size >= least), len(sizes))
    assert min(sizes[reached:], default=least) >= least
    # whoever ran before an eviction runs again at the end, unless the group is at its maximum
    assert run.rows[-1][-1] == 0 or sizes[-1] == 6
