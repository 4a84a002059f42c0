"""Pods that control processes start and end, and nodes they cordon, drain and ask about: exact places, waits and counters."""

from __future__ import annotations

import numpy as np
import pytest

from models.errors import MetricsError
from models.fleet import Fleet, NodePool
from models.node import NodeShape
from models.units import MS_PER_H
from simulator.engine import kernels
from simulator.engine.lives import lives
from simulator.engine.policies import POLICIES
from simulator.engine.state import ENDED, LOST, State, Usage
from simulator.engine.trace import PodShape, Trace, trace_of

MINUTE = 60_000
NODE = NodeShape("n3", 3000, 16_484)
WEB = PodShape(1000, 1024, fixed_end=True)
JOB = PodShape(2000, 2048, workload_class="batch")


def none(hours: int = 4) -> Trace:
    """A trace without sorted pods."""
    return trace_of([WEB], hours, np.zeros(0, int), np.zeros(0, int), np.zeros(0, int))


def cluster(trace: Trace, nodes: int, standing: int | None = None) -> State:
    """Nodes of 3 schedulable cores, the first `standing` of them up."""
    pool = NodePool("own", "own", "x", NODE, nodes, nodes, True)
    state = State(trace, Fleet((pool,)), POLICIES["default"], "1.36", tie_seed=0)
    for slot in range(nodes if standing is None else standing):
        state.join(slot, 0, NODE)
    return state


def test_slots_follow_the_sorted_pods_and_share_equal_shapes() -> None:
    trace = trace_of([WEB], 2, np.arange(5), np.ones(5, int), np.zeros(5, int)).with_dynamic([(JOB, 2), (WEB, 3)])
    assert (trace.pods, trace.shapes, trace.dynamic.tolist()) == (5, (WEB, JOB), [1, 1, 0, 0, 0])
    more = trace.with_dynamic([(JOB, 1)])
    assert more.dynamic.tolist() == [1, 1, 0, 0, 0, 1]
    assert (more.departure >> more.shift).tolist() == (trace.arrival_ms + trace.duration_ms).tolist()
    assert more.shift == 4  # 11 pods: numbers up to 10


def test_a_dynamic_shape_without_requests_is_refused() -> None:
    with pytest.raises(MetricsError, match="no cpu or no memory request"):
        none().with_dynamic([(PodShape(0, 1024), 1)])


def test_started_pods_spread_at_once_and_those_without_room_wait_for_the_next_end() -> None:
    """Three schedulable cores a node hold three pods; seven pods on two nodes: one waits until the third ends."""
    state = cluster(none().with_dynamic([(WEB, 7)]), 2)
    assert state.usage(0).of_cpu_m == 3000
    state.advance(10 * MINUTE, 0)
    assert state.start_pods(np.arange(7), 10 * MINUTE) == 6
    assert state.drain_placed().tolist() == [[p, p % 2, 10 * MINUTE] for p in range(6)]
    state.advance(15 * MINUTE, 0)
    assert state.end_pods([2], 15 * MINUTE) == 1
    assert state.drain_placed().tolist() == [[6, 0, 15 * MINUTE]]
    assert state.wait[6] == 5 * MINUTE
    assert state.pods_on(0).tolist() == [0, 4, 6]


def test_a_slot_used_again_counts_each_of_its_lives() -> None:
    state = cluster(none().with_dynamic([(WEB, 1)]), 1, standing=0)
    state.start_pods([0], 0)
    state.advance(6 * MINUTE, 0)
    state.end_pods([0], 6 * MINUTE)
    state.join(0, 6 * MINUTE, NODE)
    state.advance(20 * MINUTE, 0)
    state.start_pods([0], 20 * MINUTE)
    state.advance(4 * MS_PER_H, 0)
    found = lives(state)
    assert found.begin_ms.tolist() == [0, 20 * MINUTE]
    assert found.end_ms.tolist() == [6 * MINUTE, 4 * MS_PER_H]
    assert found.wait_ms.tolist() == [-1, 0]


def test_a_waiting_pod_in_the_middle_of_a_queue_leaves_it_and_may_join_again_at_its_end() -> None:
    state = cluster(none().with_dynamic([(JOB, 4)]), 1)  # a node holds one job
    state.start_pods([0, 1, 2, 3], 0)
    assert state.end_pods([2], 0) == 0
    state.start_pods([2], 0)
    order = []
    for _ in range(4):
        order += state.pods_on(0).tolist()
        state.end_pods(state.pods_on(0), 0)
    assert order == [0, 1, 3, 2]


def test_a_job_ends_after_its_duration_and_wakes_who_listens_at_that_millisecond() -> None:
    """Job 0 runs 0..5 min, job 1 waits for it and runs 5..12 min."""
    state = cluster(none().with_dynamic([(JOB, 2)]), 1)
    state.start_pods([0, 1], 0, [5 * MINUTE, 7 * MINUTE])
    state.drain_placed()
    assert state.advance(MS_PER_H, kernels.WATCH_CHANGED) == kernels.DYNAMIC_CHANGED
    assert state.clock[kernels.NOW] == 5 * MINUTE
    assert state.drain_placed().tolist() == [[0, ENDED, 5 * MINUTE], [1, 0, 5 * MINUTE]]
    assert state.advance(MS_PER_H, kernels.WATCH_CHANGED) == kernels.DYNAMIC_CHANGED
    assert state.drain_placed().tolist() == [[1, ENDED, 12 * MINUTE]]
    assert state.advance(MS_PER_H, kernels.WATCH_CHANGED) == kernels.REACHED


def test_a_wake_up_comes_after_every_departure_of_its_instant_and_before_its_arrivals() -> None:
    """Two sorted pods end at minute 9; a dynamic pod takes the first one's room, a sorted pod arrives at that instant."""
    sorted_pods = trace_of([WEB], 2, np.array([0, 0, 0, 9]) * MINUTE, np.array([9, 9, 60, 60]) * MINUTE, np.zeros(4, int))
    state = cluster(sorted_pods.with_dynamic([(WEB, 1)]), 1)
    state.advance(MINUTE, 0)
    assert state.start_pods([4], MINUTE) == 0
    assert state.advance(MS_PER_H, kernels.WATCH_CHANGED) == kernels.DYNAMIC_CHANGED
    assert state.clock[kernels.NOW] == 9 * MINUTE
    assert state.pods_on(0).tolist() == [2, 4]
    assert state.wait[4] == 8 * MINUTE


def test_an_evicted_job_starts_over_or_keeps_its_progress() -> None:
    """Evicted after 4 of 10 min and placed again at once: it ends at 14 min, or at 10 min with its progress kept."""
    for keep, end in ((False, 14), (True, 10)):
        state = cluster(none().with_dynamic([(JOB, 1)]), 1)
        state.start_pods([0], 0, 10 * MINUTE)
        state.advance(4 * MINUTE, 0)
        assert state.evict([0], 4 * MINUTE, keep_progress=keep) == 1
        assert state.pods_on(0).tolist() == [0]
        state.advance(MS_PER_H, 0)
        assert lives(state).end_ms.tolist() == [end * MINUTE]
        assert state.clock[kernels.EVICTIONS] == 1


def test_a_cordoned_node_keeps_its_pods_takes_no_new_ones_and_opens_to_the_queue_again() -> None:
    state = cluster(none().with_dynamic([(WEB, 3)]), 1)
    state.start_pods([0], 0)
    state.cordon(0, True, 0)
    state.cordon(0, True, 0)
    assert (state.cordoned(0), state.start_pods([1, 2], 0), state.pods_on(0).tolist()) == (True, 0, [0])
    offers = (NODE.schedulable_cpu_m, NODE.schedulable_memory_mib, NODE.schedulable_pods)
    assert state.usage(0) == Usage(1000, 1024, 1, *offers)
    assert state.evict([0], 0) == 1
    assert state.pods_on(0).size == 0
    state.drain_placed()
    state.cordon(0, False, 0)
    assert (state.cordoned(0), state.drain_placed().tolist()) == (False, [[0, 0, 0], [1, 0, 0], [2, 0, 0]])


def test_an_empty_cordoned_node_is_idle_and_a_lost_one_forgets_that_it_was_cordoned() -> None:
    state = cluster(none().with_dynamic([(WEB, 1)]), 1)
    state.cordon(0, True, 0)
    out = np.zeros(1, np.int64)
    assert state.idle(0, 5 * MINUTE, MINUTE, out) == (1, 1 << 61)
    assert state.leave(0, 5 * MINUTE) == 0
    assert (state.cordoned(0), state.usage(0).share) == (False, 0.0)
    state.join(0, 6 * MINUTE, NODE)
    assert state.start_pods([0], 6 * MINUTE) == 1
    assert state.usage(0).share == pytest.approx(1000 / NODE.schedulable_cpu_m)


def test_a_lost_node_puts_dynamic_pods_on_the_list() -> None:
    state = cluster(none().with_dynamic([(WEB, 1)]), 1)
    state.start_pods([0], 0)
    state.drain_placed()
    assert state.leave(0, 0) == 1
    assert state.drain_placed().tolist() == [[0, LOST, 0]]
    assert state.drain_placed().shape == (0, 3)


def test_misused_numbers_are_programming_errors() -> None:
    state = cluster(trace_of([WEB], 2, np.zeros(1, int), np.ones(1, int), np.zeros(1, int)).with_dynamic([(WEB, 2), (JOB, 1)]), 1)
    for pods, lasting in (([0], None), ([4], None), ([1, 1], None), ([1], 5), ([3], 0)):
        with pytest.raises(ValueError, match=r"dynamic pods are numbered|cannot be started|at least 1 ms"):
            state.start_pods(pods, 0, lasting)
    state.start_pods([1], 0)
    with pytest.raises(ValueError, match="exists"):
        state.start_pods([1], 0)
