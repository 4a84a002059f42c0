"""The kernel's choice under constraints is among the best of the explaining scheduler, which equals the recorded kube-scheduler.

Every plug-in of the default profile takes part: node selector and affinity, taints, host ports, extended resources, topology
spread, inter-pod affinity and anti-affinity, free room and balance (kubernetes/kubernetes pkg/scheduler/framework/plugins).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from models.fleet import Fleet, NodePool
from models.node import NodeShape
from simulator.engine import kernels
from simulator.engine.constraints import Constraints, node_of, pod_of
from simulator.engine.kube.cluster_state import Cluster
from simulator.engine.kube.objects import (
    CPU,
    HOSTNAME,
    MEMORY,
    PODS,
    ZONE,
    HostPort,
    Node,
    NodeTerm,
    Pod,
    PodTerm,
    PreferredNodeTerm,
    Requirement,
    Selector,
    Spread,
    Toleration,
    WeightedPodTerm,
)
from simulator.engine.kube.plugins import Settings
from simulator.engine.kube.scheduler import Decision, decide
from simulator.engine.layout import eligible
from simulator.engine.policies import POLICIES
from simulator.engine.state import State
from simulator.engine.trace import PodShape, trace_of
from simulator.engine.twin import TwinState

MIB = 1024 * 1024
APPS = ("web", "db", "cache")
KEYS = (HOSTNAME, ZONE, "rack")


def some(rng: np.random.Generator, share: float) -> bool:
    return bool(rng.random() < share)


def random_selector(rng: np.random.Generator) -> Selector:
    app = APPS[int(rng.integers(0, 3))]
    return Selector.of({"app": app}) if some(rng, 0.8) else Selector((Requirement("tier", "Exists"),))


def random_term(rng: np.random.Generator) -> PodTerm:
    return PodTerm(KEYS[int(rng.integers(0, 3))], random_selector(rng), frozenset({("default", "other")[int(some(rng, 0.2))]}))


def random_rules(rng: np.random.Generator) -> Constraints:
    zones = NodeTerm((Requirement(ZONE, "In", ("z0", "z1")),))
    fast = NodeTerm((Requirement("disk", "In", ("ssd",)),))
    labels = (("app", APPS[int(rng.integers(0, 3))]), *([("tier", "front")] if some(rng, 0.3) else []))
    spreads = tuple(
        Spread(
            max_skew=int(rng.integers(1, 4)),
            topology_key=KEYS[int(rng.integers(0, 3))],
            hard=some(rng, 0.5),
            selector=random_selector(rng),
            min_domains=int(rng.integers(1, 4)),
            honor_affinity=some(rng, 0.7),
            honor_taints=some(rng, 0.3),
        )
        for _ in range(int(rng.integers(0, 3)))
    )
    return Constraints(
        labels=labels,
        namespace=("default", "other")[int(some(rng, 0.15))],
        node_selector=(("disk", "ssd"),) if some(rng, 0.1) else (),
        required=(zones, fast) if some(rng, 0.15) else None,
        preferred=(PreferredNodeTerm(int(rng.integers(1, 100)), zones), PreferredNodeTerm(7, fast)) if some(rng, 0.3) else (),
        affinity=tuple(random_term(rng) for _ in range(int(some(rng, 0.15)) * int(rng.integers(1, 3)))),
        anti_affinity=tuple(random_term(rng) for _ in range(int(some(rng, 0.2)))),
        preferred_pods=tuple(
            WeightedPodTerm(int(rng.integers(-100, 101)), random_term(rng)) for _ in range(int(some(rng, 0.4)) * int(rng.integers(1, 3)))
        ),
        spreads=spreads if some(rng, 0.5) else (),
        default_spread=random_selector(rng) if some(rng, 0.2) else None,
        tolerations=(Toleration("dedicated", "Exists"),) if some(rng, 0.3) else (),
        ports=(HostPort("0.0.0.0", "TCP", 8080 + int(rng.integers(0, 2))),) if some(rng, 0.1) else (),
    )


def random_shapes(rng: np.random.Generator) -> list[PodShape]:
    shapes = []
    for k in range(int(rng.integers(2, 7))):
        gpu = k == 0 and some(rng, 0.5)
        shapes.append(
            PodShape(
                cpu_m=int(rng.integers(1, 9)) * 250,
                memory_mib=int(rng.integers(1, 9)) * 256,
                extended="gpu" if gpu else "",
                extended_count=int(gpu),
                more_extended=(("rdma", 1),) if gpu and some(rng, 0.5) else (),
                rules=random_rules(rng) if some(rng, 0.8) else None,
            )
        )
    return shapes


def random_fleet(rng: np.random.Generator) -> Fleet:
    pools = []
    for k in range(int(rng.integers(2, 6))):
        labels = {"disk": ("ssd", "hdd")[int(rng.integers(0, 2))]} | ({"rack": f"r{int(rng.integers(0, 3))}"} if some(rng, 0.7) else {})
        taints = [name for name, share in (("dedicated=x:NoSchedule", 0.2), ("slow:PreferNoSchedule", 0.3)) if some(rng, share)]
        shape = NodeShape(f"n{k}", 4000 * int(rng.integers(1, 4)), 16_384, max_pods=8, extended={"gpu": 2, "rdma": 1} if k == 0 else {})
        nodes = int(rng.integers(1, 4))
        pools.append(NodePool(f"p{k}", f"z{int(rng.integers(0, 3))}", "x", shape, nodes, nodes, True, labels=labels, taints=tuple(taints)))
    return Fleet(tuple(pools))


def same_nodes(state: State) -> list[Node]:
    """The cluster as the explaining scheduler sees it, rows as slots."""
    nodes = []
    for slot in range(state.layout.slots):
        pool = state.layout.pools[state.pool_of[slot]]
        shape, common = pool.shape, node_of(pool)
        room = {CPU: shape.schedulable_cpu_m, MEMORY: shape.schedulable_memory_mib * MIB, PODS: shape.schedulable_pods, **shape.extended}
        nodes.append(Node(f"node-{slot}", room, {**common.labels, HOSTNAME: f"node-{slot}"}, common.taints))
    return nodes


def same_pod(shape: PodShape, number: int) -> Pod:
    pod = pod_of(shape.rules, (name for name, _ in shape.all_extended))
    requests = {CPU: shape.cpu_m, MEMORY: shape.memory_mib * MIB, **dict(shape.all_extended)}
    return replace(pod, name=f"pod-{number}", requests=requests, scored={CPU: shape.cpu_m, MEMORY: shape.memory_mib * MIB})


def random_case(seed: int, kernel: type[State], **options: object) -> tuple[State, np.random.Generator]:
    rng = np.random.default_rng(seed)
    none = np.zeros(0, int)
    trace = trace_of(random_shapes(rng), 2, none, none, none)
    trace = trace.with_dynamic([(shape, 12) for shape in trace.shapes])
    version = ("1.35", "1.36")[seed % 2]
    state = kernel(trace, random_fleet(rng), POLICIES["default"], version, tie_seed=0, tree=False, **options)
    for slot in range(state.layout.slots):
        state.join(slot, 0, state.layout.pools[state.pool_of[slot]].shape)
    return state, rng


def decision(cluster: Cluster, pod: Pod, shape: PodShape, seed: int, **options: int) -> Decision:
    default = shape.rules.default_spread if shape.rules else None
    return decide(cluster, pod, Settings(kubernetes_minor=35 + seed % 2, default_selectors=lambda _: default), **options)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 1_000_000))
def test_every_choice_is_the_first_of_the_best_nodes_of_the_explaining_scheduler(seed: int) -> None:
    state, rng = random_case(seed, State)
    cluster = Cluster(same_nodes(state))
    bound: dict[int, tuple[Pod, int]] = {}
    for p in rng.permutation(state.placed.size).tolist():
        shape = state.trace.shapes[state.shape[p]]
        pod = same_pod(shape, p)
        found = decision(cluster, pod, shape, seed)
        assert (state.start_pods([p], 0) == 1) == bool(found.best.size)
        if found.best.size:
            slot = int(state.placed[p])
            assert slot == found.best[0]
            bound[p] = pod, slot
            cluster.add(pod, slot)
        else:
            state.end_pods([p], 0)
        if bound and some(rng, 0.3):
            gone = list(bound)[int(rng.integers(0, len(bound)))]
            state.end_pods([gone], 0)
            cluster.remove(*bound.pop(gone))


def finished(seed: int, kernel: type[State], **options: object) -> dict[str, object]:
    """Starts, ends, evictions, lost nodes and cordons in one instant after the other, with queues that stay."""
    state, rng = random_case(seed, kernel, **options)
    told = []
    for now in range(40):
        state.advance(now, 0)
        act, some_pods = int(rng.integers(0, 6)), rng.permutation(state.placed.size)[:5]
        free = (state.placed[some_pods] <= kernels.UNSERVED) | (state.placed[some_pods] == kernels.ABSENT)
        slot = int(rng.integers(0, state.layout.slots))
        if act <= 2:
            state.start_pods(some_pods[free], now)
        elif act == 3:
            state.end_pods(some_pods, now)
        elif act == 4:
            state.evict(some_pods[~free], now)
        elif state.free_cpu[slot] < 0:
            state.join(slot, now, state.layout.pools[state.pool_of[slot]].shape)
        else:
            (state.leave(slot, now) if some(rng, 0.5) else state.cordon(slot, some(rng, 0.5), now))
        told += state.drain_placed().tolist()
    return {"told": told, "matching": state.matching.tolist(), "placed": state.placed.tolist(), "free": state.free_extended.tolist()}


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1_000_000))
def test_the_interpreted_twin_decides_the_same(seed: int) -> None:
    assert finished(seed, State) == finished(seed, TwinState)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 1_000_000))
def test_no_head_of_a_queue_has_a_node_after_any_event_and_counts_are_those_of_the_pods(seed: int) -> None:
    """Departures, evictions and lost nodes elsewhere may help a pod with constraints: none that could run is left waiting."""
    state, rng = random_case(seed, State)
    for now in range(30):
        state.advance(now, 0)
        some_pods = rng.permutation(state.placed.size)[:6]
        free = (state.placed[some_pods] <= kernels.UNSERVED) | (state.placed[some_pods] == kernels.ABSENT)
        if some(rng, 0.6):
            state.start_pods(some_pods[free], now)
        else:
            state.end_pods(some_pods, now)
        cluster = Cluster(same_nodes(state))
        for slot in range(state.layout.slots):
            for p in state.pods_on(slot).tolist():
                cluster.add(same_pod(state.trace.shapes[state.shape[p]], p), slot)
        for p in state.head[state.head >= 0].tolist():
            shape = state.trace.shapes[state.shape[p]]
            assert not decision(cluster, same_pod(shape, p), shape, seed).best.size


def test_eligible_follows_selector_taints_and_required_affinity() -> None:
    pool = NodePool("p", "z0", "x", NodeShape("n", 4000, 8192), 1, 1, True, labels={"disk": "ssd"}, taints=("dedicated=x:NoSchedule",))
    shape = PodShape(100, 128)
    tolerant = Constraints(tolerations=(Toleration("dedicated", "Equal", "x", "NoSchedule"),))
    assert not eligible(shape, pool)
    assert eligible(replace(shape, rules=tolerant), pool)
    assert eligible(replace(shape, rules=replace(tolerant, node_selector=((ZONE, "z0"), ("disk", "ssd")))), pool)
    assert not eligible(replace(shape, rules=replace(tolerant, node_selector=(("disk", "hdd"),))), pool)
    assert not eligible(replace(shape, rules=replace(tolerant, required=(NodeTerm((Requirement("disk", "NotIn", ("ssd",)),)),))), pool)


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 1_000_000))
def test_percentage_of_nodes_to_score_examines_the_nodes_of_the_explaining_scheduler(seed: int) -> None:
    """numFeasibleNodesToFind and the round-robin start of schedule_one.go: of 230 nodes 112 (50 - 230 // 125 = 49 %)."""
    rng = np.random.default_rng(seed)
    percentage = (0, 60)[seed % 2]
    none = np.zeros(0, int)
    shapes = [PodShape(int(rng.integers(1, 9)) * 250, 512, rules=random_rules(rng) if k % 2 else None) for k in range(4)]
    trace = trace_of(shapes, 2, none, none, none).with_dynamic([(shape, 20) for shape in shapes])
    pools = (
        NodePool("a", "z0", "x", NodeShape("n", 4000, 16_384), 150, 150, True, labels={"disk": "ssd", "rack": "r"}),
        NodePool("b", "z1", "x", NodeShape("n", 8000, 16_384), 80, 80, True, labels={"disk": "hdd"}),
    )
    state = State(trace, Fleet(pools), POLICIES["default"], "1.36", tie_seed=0, percentage=percentage)
    for slot in range(state.layout.slots):
        state.join(slot, 0, pools[state.pool_of[slot]].shape)
    cluster, start = Cluster(same_nodes(state)), 0
    for p in rng.permutation(state.placed.size).tolist():
        shape = state.trace.shapes[state.shape[p]]
        found = decision(cluster, same_pod(shape, p), shape, 1, percentage=percentage, start=start)
        state.start_pods([p], 0)
        start = (start + found.examined) % len(cluster)
        if found.best.size:
            assert int(state.placed[p]) == found.best[0]
            cluster.add(same_pod(shape, p), int(state.placed[p]))
        else:
            assert state.end_pods([p], 0) == 0
