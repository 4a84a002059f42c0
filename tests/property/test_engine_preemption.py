"""Preemption in the kernel against the explaining scheduler's (DefaultPreemption): the same node and the same victims.

Source of the rules: kubernetes/kubernetes pkg/scheduler/framework/preemption and plugins/defaultpreemption.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.fleet import Fleet, NodePool
from models.node import NodeShape
from simulator.engine import kernels
from simulator.engine.constraints import Constraints, node_of, pod_of
from simulator.engine.kube.cluster_state import Cluster
from simulator.engine.kube.objects import CPU, HOSTNAME, MEMORY, PODS, HostPort, Node, Pod, PodTerm, Selector, Spread
from simulator.engine.kube.plugins import Settings
from simulator.engine.kube.preemption import preempt
from simulator.engine.kube.scheduler import decide
from simulator.engine.lives import lives
from simulator.engine.policies import POLICIES
from simulator.engine.state import LOST, State
from simulator.engine.trace import PodShape, Trace, trace_of
from simulator.engine.twin import TwinState

MIB = 1024 * 1024
MINUTE = 60_000
NODE = NodeShape("n4", 4000, 16_384, max_pods=6, extended={"gpu": 2})
NONE = np.zeros(0, int)


def pool(nodes: int, name: str = "own") -> NodePool:
    return NodePool(name, "z0" if name == "own" else "z1", "x", NODE, nodes, nodes, True)


def cluster(trace: Trace, *pools: NodePool, kernel: type[State] = State, preemption: bool = True) -> State:
    state = kernel(trace, Fleet(pools), POLICIES["default"], "1.36", tie_seed=0, preemption=preemption)
    for slot in range(state.layout.slots):
        state.join(slot, 0, state.layout.pools[state.pool_of[slot]].shape)
    return state


def random_rules(rng: np.random.Generator) -> Constraints | None:
    """Anti-affinity, affinity, hard spread or a host port, so that victims may be in the way by other things than room."""
    app = Selector.of({"app": "a"})
    labels = (("app", "ab"[int(rng.integers(0, 2))]),)
    hostname = PodTerm(HOSTNAME, app, frozenset({"default"}))
    zone = PodTerm("topology.kubernetes.io/zone", app, frozenset({"default"}))
    match int(rng.integers(0, 8)):
        case 0:
            return Constraints(labels=labels, anti_affinity=(hostname,))
        case 1:
            return Constraints(labels=labels, affinity=((zone, hostname)[int(rng.integers(0, 2))],))
        case 2:
            return Constraints(labels=labels, spreads=(Spread(1, HOSTNAME, hard=True, selector=app),))
        case 3:
            return Constraints(labels=labels, ports=(HostPort("0.0.0.0", "TCP", 80),))
        case 4:
            return Constraints(labels=labels)
    return None


def random_trace(rng: np.random.Generator) -> Trace:
    shapes = [
        PodShape(
            cpu_m=int(rng.integers(1, 9)) * 500,
            memory_mib=int(rng.integers(1, 9)) * 512,
            extended="gpu" if k == 0 else "",
            extended_count=int(k == 0),
            priority=int(rng.integers(0, 5)) * 10 - 10,
            preempts=bool(rng.random() < 0.85),
            rules=random_rules(rng),
        )
        for k in range(6)
    ]
    shapes = list(dict.fromkeys(shapes))
    if len({shape.priority for shape in shapes}) == 1:
        shapes[0] = replace(shapes[0], priority=100)
    trace = trace_of(shapes, 2, NONE, NONE, NONE)
    return trace.with_dynamic([(shape, 15) for shape in trace.shapes])


def same_nodes(state: State) -> list[Node]:
    nodes = []
    for slot in range(state.layout.slots):
        common, shape = node_of(state.layout.pools[state.pool_of[slot]]), state.layout.pools[state.pool_of[slot]].shape
        room = {CPU: shape.schedulable_cpu_m, MEMORY: shape.schedulable_memory_mib * MIB, PODS: shape.schedulable_pods, **shape.extended}
        nodes.append(Node(f"node-{slot:03}", room, {**common.labels, HOSTNAME: f"node-{slot:03}"}, common.taints))
    return nodes


def same_pod(state: State, p: int) -> Pod:
    shape = state.trace.shapes[state.shape[p]]
    requests = {CPU: shape.cpu_m, MEMORY: shape.memory_mib * MIB, **dict(shape.all_extended)}
    began = int(state.began[p]) if state.began.size and state.began[p] >= 0 else 0
    return replace(
        pod_of(shape.rules, (name for name, _ in shape.all_extended)),
        name=f"pod-{p:04}",
        requests=requests,
        scored={CPU: shape.cpu_m, MEMORY: shape.memory_mib * MIB},
        priority=shape.priority,
        preemption_policy="PreemptLowerPriority" if shape.preempts else "Never",
        started=f"{began:08}",
    )


def mirrored(state: State) -> Cluster:
    found = Cluster(same_nodes(state))
    for slot in range(state.layout.slots):
        for p in state.pods_on(slot).tolist():
            found.add(same_pod(state, p), slot)
    return found


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 1_000_000))
def test_a_pod_without_a_node_takes_the_node_of_the_explaining_scheduler_s_preemption(seed: int) -> None:
    """One pod a millisecond, so that starts differ; those that find nothing leave, victims too: no queue disturbs the next."""
    rng = np.random.default_rng(seed)
    state = cluster(random_trace(rng), pool(int(rng.integers(1, 4))), pool(int(rng.integers(0, 3)), "other"))
    for now, p in enumerate(rng.permutation(state.placed.size).tolist()):
        state.advance(now, 0)
        before = mirrored(state)
        pod = same_pod(state, p)
        found = decide(before, pod, Settings())
        runs = state.placed >= 0
        state.start_pods([p], now)
        if found.best.size:
            assert int(state.placed[p]) == found.best[0]
            continue
        wanted = preempt(before, pod, found.verdict, Settings()).candidate
        if wanted is None:
            assert state.placed[p] == kernels.PENDING
            assert np.array_equal(runs, state.placed >= 0)
            state.end_pods([p], now)
            continue
        assert int(state.placed[p]) == wanted.row
        moved = [int(q) for q, slot, _ in state.drain_placed().tolist() if q != p and (slot == LOST or state.began[q] == now)]
        first = {f"default/pod-{q:04}" for q in moved}
        assert {victim.key for victim in wanted.victims} <= first
        state.end_pods(
            [q for q in np.flatnonzero(state.placed <= kernels.PENDING).tolist() if state.placed[q] >= kernels.PENDING_REST], now
        )
        state.drain_placed()


def fate(seed: int, kernel: type[State]) -> dict[str, object]:
    rng = np.random.default_rng(seed)
    trace = random_trace(rng)
    number = 60
    arrival = rng.integers(0, 100, number) * MINUTE
    sorted_pods = trace_of(trace.shapes, 2, arrival, rng.integers(1, 60, number) * MINUTE, rng.integers(0, len(trace.shapes), number))
    state = cluster(sorted_pods.with_dynamic([(shape, 3) for shape in trace.shapes]), pool(2), pool(1, "other"), kernel=kernel)
    codes = []
    for minute in range(0, 120, 5):
        while True:
            codes += [state.advance(minute * MINUTE, 3), int(state.clock[kernels.NOW])]
            if codes[-2] == kernels.REACHED:
                break
        waiting = np.flatnonzero(state.placed[number:] == kernels.ABSENT)[:3] + number
        state.start_pods(waiting, minute * MINUTE, None if minute % 2 else 30 * MINUTE)
    found = lives(state)
    return {
        "codes": codes,
        "placed": state.placed.tolist(),
        "told": state.drain_placed().tolist(),
        "ends": found.end_ms.tolist(),
        "cpu": state.hour_cpu.tolist(),
        "preempted": int(state.clock[kernels.PREEMPTED]),
    }


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 1_000_000))
def test_the_interpreted_twin_preempts_the_same(seed: int) -> None:
    assert fate(seed, State) == fate(seed, TwinState)


def test_the_victim_of_lowest_priority_goes_then_the_latest_start_and_it_queues_again() -> None:
    """Three full nodes: priority 5 on the first, 1 on the others; of those two the later started one leaves."""
    high, middle, low = (PodShape(4000, 1024, priority=priority, workload_class="batch") for priority in (9, 5, 1))
    trace = trace_of([high, middle, low], 4, NONE, NONE, NONE).with_dynamic([(middle, 1), (low, 2), (high, 1)])
    state = cluster(trace, pool(3))
    state.start_pods([0], 0)
    state.start_pods([1], 0)
    state.advance(MINUTE, 0)
    state.start_pods([2], MINUTE)
    state.drain_placed()
    state.advance(2 * MINUTE, 0)
    assert state.start_pods([3], 2 * MINUTE) == 1
    assert state.drain_placed().tolist() == [[2, LOST, 2 * MINUTE], [3, 2, 2 * MINUTE]]
    assert (state.clock[kernels.PREEMPTED], state.clock[kernels.EVICTIONS], state.clock[kernels.WAITING]) == (1, 1, 1)
    state.advance(3 * MINUTE, 0)
    state.end_pods([3], 3 * MINUTE)
    assert state.drain_placed().tolist() == [[2, 2, 3 * MINUTE]]


@pytest.mark.parametrize(("preemption", "preempts", "waits"), [(True, True, 0), (True, False, 1), (False, True, 1)])
def test_preemption_is_an_option_and_a_policy_of_the_pod(preemption: bool, preempts: bool, waits: int) -> None:
    """preemptionPolicy Never (PreemptNever in core/v1): the pod waits although a lower one runs."""
    high, low = PodShape(4000, 1024, priority=9, preempts=preempts), PodShape(4000, 1024, priority=1)
    trace = trace_of([low, high], 2, np.array([0, MINUTE]), np.array([90, 10]) * MINUTE, np.array([0, 1]))
    state = cluster(trace, pool(1), preemption=preemption)
    state.advance(2 * MINUTE, 0)
    assert (state.placed[1] == kernels.PENDING) == bool(waits)
    state.advance(MINUTE * 120, 0)
    ends = lives(state).end_ms.tolist()
    assert ends == ([MINUTE * 101, MINUTE * 11] if not waits else [MINUTE * 90, MINUTE * 100])


def test_a_pod_that_preempts_at_its_arrival_wakes_who_watches_for_waiting_pods() -> None:
    """The victim waits and a new node could help it: advance returns at the arrival's millisecond, the rest comes after."""
    high, low = PodShape(4000, 1024, priority=9), PodShape(4000, 1024, priority=1)
    trace = trace_of([low, high], 2, np.array([0, MINUTE]), np.array([90, 10]) * MINUTE, np.array([0, 1]))
    grows = replace(pool(1), max_nodes=2)
    state = State(trace, Fleet((grows,)), POLICIES["default"], "1.36", tie_seed=0, preemption=True)
    state.join(0, 0, NODE)
    assert state.advance(10 * MINUTE, kernels.WATCH_WAITING) == kernels.WOKEN
    assert (state.clock[kernels.NOW], state.clock[kernels.WAITING]) == (MINUTE, 1)
    state.join(1, 2 * MINUTE, NODE)
    assert state.last_slots().tolist() == [1, 0]


def test_a_pod_that_queues_again_after_its_grace_wakes_before_the_control_events_of_that_instant() -> None:
    """Evicted at minute 1 with 30 s of grace from a cordoned node: at 1.5 min it waits, and a new node could help it."""
    slow = PodShape(4000, 1024, grace_ms=30_000)
    trace = trace_of([slow], 2, np.array([0, 90_000]), np.array([60, 1]) * MINUTE, np.zeros(2, int))
    state = State(trace, Fleet((replace(pool(1), max_nodes=2),)), POLICIES["default"], "1.36", tie_seed=0)
    state.join(0, 0, NODE)
    state.advance(MINUTE, 0)
    state.cordon(0, True, MINUTE)
    state.evict([0], MINUTE)
    assert state.advance(10 * MINUTE, kernels.WATCH_WAITING) == kernels.WOKEN_BEFORE
    assert (state.clock[kernels.NOW], state.clock[kernels.WAITING], state.placed[1]) == (90_000, 1, kernels.ABSENT)


def test_company_that_arrives_lets_a_waiting_dynamic_pod_in_and_wakes_its_controller() -> None:
    """InterPodAffinity: the pod waits for a pod of app a in its zone; one arrives at minute 1."""
    near = PodTerm("topology.kubernetes.io/zone", Selector.of({"app": "a"}), frozenset({"default"}))
    lonely = PodShape(500, 512, rules=Constraints(labels=(("app", "b"),), affinity=(near,)))
    company = PodShape(500, 512, rules=Constraints(labels=(("app", "a"),)))
    trace = trace_of([company], 2, np.array([MINUTE]), np.array([MINUTE]), np.zeros(1, int)).with_dynamic([(lonely, 1)])
    state = cluster(trace, pool(1))
    assert state.start_pods([1], 0) == 0
    assert state.advance(10 * MINUTE, kernels.WATCH_CHANGED) == kernels.DYNAMIC_CHANGED
    assert state.drain_placed().tolist() == [[1, 0, MINUTE]]


def test_equal_priorities_leave_the_fast_path_as_it_is() -> None:
    trace = trace_of([PodShape(1000, 1024, priority=7)], 2, np.zeros(2, int), np.ones(2, int), np.zeros(2, int))
    state = cluster(trace, pool(1))
    assert (state.setup[kernels.PREEMPTION], state.setup[kernels.PREEMPT_AT]) == (0, 0)
