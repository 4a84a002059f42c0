"""How long pods hold their place: generations of different speed, start latency, grace periods; several extended resources."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models.errors import MetricsError
from models.fleet import Fleet, NodePool
from models.node import NodeShape
from models.units import MS_PER_H
from simulator.engine import kernels
from simulator.engine.lives import lives
from simulator.engine.policies import POLICIES
from simulator.engine.state import ENDED, State
from simulator.engine.trace import PodShape, Trace, trace_of

MINUTE = 60_000
NODE = NodeShape("n3", 3000, 16_484)
WEB = PodShape(1000, 1024, fixed_end=True)
JOB = PodShape(2000, 2048, workload_class="batch")


def pods(shape: PodShape, minutes: list[float], lasting: list[float], hours: int = 4) -> Trace:
    times = np.array(minutes) * MINUTE, np.array(lasting) * MINUTE
    return trace_of([shape], hours, times[0].astype(int), times[1].astype(int), np.zeros(len(minutes), int))


def cluster(trace: Trace, *pools: NodePool) -> State:
    state = State(trace, Fleet(pools), POLICIES["default"], "1.36", tie_seed=0)
    for slot in range(state.layout.slots):
        state.join(slot, 0, state.layout.pools[state.pool_of[slot]].shape)
    return state


def pool(name: str = "own", nodes: int = 1, speed: float = 1.0, latency_ms: int = 0, priority: int = 0, **extended: int) -> NodePool:
    shape = replace(NODE, speed=speed, extended=extended)
    return NodePool(name, name, "x", shape, nodes, nodes, True, priority, start_latency_ms=latency_ms)


def test_a_job_takes_its_duration_over_the_speed_of_its_node() -> None:
    """10 min of work: 5 min on the node of speed 2, 10 / 0.8 = 12.5 min on the older one."""
    state = cluster(pods(JOB, [0, 0], [10, 10]), pool("new", speed=2.0, priority=1), pool("old", speed=0.8))
    state.advance(4 * MS_PER_H, 0)
    assert lives(state).end_ms.tolist() == [5 * MINUTE, 12.5 * MINUTE]
    assert state.last_slots().tolist() == [0, 1]


def test_a_replica_keeps_its_end_whatever_the_speed_and_the_latency() -> None:
    state = cluster(pods(WEB, [0], [10]), pool(speed=2.0, latency_ms=90_000))
    state.advance(4 * MS_PER_H, 0)
    assert lives(state).end_ms.tolist() == [10 * MINUTE]
    assert state.hour_cpu.sum() == 1000 * 10 * MINUTE


def test_a_start_latency_comes_before_the_work_and_holds_the_place() -> None:
    """90 s of latency and 10 min at speed 2: 1.5 + 5 min; the second job waits that long and takes as long again."""
    state = cluster(pods(JOB, [0, 0], [10, 10]), pool(speed=2.0, latency_ms=90_000))
    state.advance(4 * MS_PER_H, 0)
    assert lives(state).end_ms.tolist() == [6.5 * MINUTE, 13 * MINUTE]
    assert state.wait.tolist() == [0, 6.5 * MINUTE]


def test_progress_that_is_kept_counts_as_work_done_at_the_node_s_speed() -> None:
    """10 min of work, 2 min at speed 2 do 4: moved to the node of speed 1 it needs 6 more."""
    state = cluster(pods(JOB, [0], [10]).with_dynamic([(JOB, 1)]), pool("new", speed=2.0, priority=1), pool("old"))
    state.advance(2 * MINUTE, 0)
    state.cordon(0, True, 2 * MINUTE)
    state.evict([0], 2 * MINUTE, keep_progress=True)
    state.advance(MS_PER_H, 0)
    assert lives(state).end_ms.tolist() == [8 * MINUTE]


def test_a_replica_holds_its_place_for_its_grace_period_and_that_is_demand() -> None:
    """Ends at minute 10, gone at 10.5; the pod that waits for the place starts then; 1000 m x (10.5 + 9.5) min."""
    slow = replace(WEB, cpu_m=2000, grace_ms=30_000)
    state = cluster(pods(slow, [0, 1], [10, 19]), pool())
    state.advance(4 * MS_PER_H, 0)
    assert state.wait.tolist() == [0, 9.5 * MINUTE]
    found = lives(state)
    assert found.end_ms.tolist() == [10.5 * MINUTE, 20.5 * MINUTE]
    assert state.hour_cpu.sum() == 2000 * int((found.end_ms - found.begin_ms).sum())


def test_a_job_that_is_done_needs_no_grace_but_an_evicted_one_leaves_after_it() -> None:
    """Evicted at minute 4 with 30 s of grace: it starts over at 4.5 and ends at 14.5."""
    slow = replace(JOB, grace_ms=30_000)
    state = cluster(pods(slow, [0], [10]), pool())
    state.advance(4 * MINUTE, 0)
    assert state.evict([0], 4 * MINUTE) == 1
    assert state.evict([0], 4 * MINUTE) == 0
    assert state.pods_on(0).tolist() == [0]
    state.advance(4 * MS_PER_H, 0)
    assert lives(state).end_ms.tolist() == [14.5 * MINUTE]


def test_a_dynamic_pod_ends_after_its_grace_and_its_slot_is_busy_until_then() -> None:
    state = cluster(pods(WEB, [], []).with_dynamic([(replace(WEB, grace_ms=30_000), 1)]), pool())
    state.start_pods([0], 0)
    state.drain_placed()
    assert state.end_pods([0], 0) == 1
    with pytest.raises(ValueError, match="cannot be started"):
        state.start_pods([0], 0)
    assert state.advance(MS_PER_H, kernels.WATCH_CHANGED) == kernels.DYNAMIC_CHANGED
    assert state.drain_placed().tolist() == [[0, ENDED, 30_000]]
    assert state.start_pods([0], 30_000) == 1


def test_a_node_that_is_lost_ends_the_grace_of_its_pods() -> None:
    """Replica ended at minute 10, its node lost at 10.1: gone, not queued again; the evicted one queues at once."""
    slow = replace(WEB, grace_ms=30_000)
    state = cluster(pods(slow, [0, 0], [10, 60]), pool(nodes=1))
    state.advance(10 * MINUTE, 0)
    state.evict([1], 10 * MINUTE)
    assert state.leave(0, 10 * MINUTE + 6_000) == 1
    assert (state.clock[kernels.WAITING], lives(state).end_ms[0]) == (1, 10 * MINUTE + 6_000)


def test_an_evicted_replica_whose_deployment_shrinks_meanwhile_does_not_come_back() -> None:
    slow = replace(WEB, grace_ms=30_000)
    state = cluster(pods(slow, [0], [10]), pool())
    state.advance(10 * MINUTE - 5_000, 0)
    state.evict([0], 10 * MINUTE - 5_000)
    state.advance(MS_PER_H, 0)
    assert state.clock[kernels.WAITING] == 0
    assert lives(state).end_ms.tolist() == [10 * MINUTE + 25_000]


def test_a_negative_grace_period_is_refused() -> None:
    with pytest.raises(MetricsError, match="grace period of -1 ms"):
        pods(replace(WEB, grace_ms=-1), [0], [1])


def test_a_pod_may_ask_for_several_extended_resources_and_needs_room_for_each() -> None:
    """NodeResourcesFit asks for every resource: four GPUs but two fast network ports carry two pods; the third waits."""
    both = replace(WEB, cpu_m=500, extended="gpu", extended_count=1, more_extended=(("rdma", 1),))
    trace = pods(both, [0, 0, 0], [10, 20, 25])
    state = cluster(trace, pool("plain", nodes=1, gpu=4, priority=1), pool("fast", gpu=4, rdma=2))
    state.advance(15 * MINUTE, 0)
    assert state.last_slots().tolist() == [1, 1, 1]
    assert state.wait.tolist() == [0, 0, 10 * MINUTE]
    assert state.free_extended.reshape(2, 2)[:, 1].tolist() == [2, 0]
