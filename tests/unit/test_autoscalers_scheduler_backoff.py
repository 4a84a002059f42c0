"""When the replay's scheduler looks again: the back-off of an empty cluster, and nodes that appear closed."""

from __future__ import annotations

from dataclasses import replace

import pytest
import simpy

from simulator.engine.autoscalers.binpacking import Kinds
from simulator.engine.autoscalers.replay_backoff import back_at_ms
from simulator.engine.autoscalers.replay_rows import Latencies
from simulator.engine.autoscalers.replay_world import World
from simulator.engine.kube.objects import CPU, MEMORY, PODS, Node, Pod
from simulator.streams import Streams

EXACT = Latencies(first_pod=10, refuse=10, refuse_kind=0, bind=1, spread=0.0, pace=0.0)
"""A pod is made at 10 ms and refused at 20 ms."""


def node(name: str, cpu_m: int = 4000) -> Node:
    return Node(name, {CPU: cpu_m, MEMORY: 8 * 2**30, PODS: 110})


def world_of(*pods: Pod) -> tuple[World, list[int]]:
    """A world, and the milliseconds at which a refused pod asks for a node."""
    world, told = World(simpy.Environment(), Kinds.of(pods), Streams(0), EXACT), list[int]()
    world.on_refused = lambda pod: told.append(world.now)
    world._wall_ms = 300  # so whole seconds of the wall clock lie at 700, 1700, 2700 ...
    return world, told


ONE = Pod("a", requests={CPU: 1000, MEMORY: 2**30})


@pytest.mark.parametrize(
    ("now_ms", "errors", "expected_ms"),
    [
        (20, 1, 1700),  # ends at 1.02 s, in the second from 0.7 to 1.7 s
        (720, 1, 2700),  # ends at 1.72 s
        (20, 2, 2700),  # 2 s: ends at 2.02 s
        (20, 4, 8700),  # 8 s
        (20, 5, 10700),  # 10 s at most, not 16
        (20, 60, 10700),
    ],
)
def test_back_off_doubles_to_ten_seconds_and_lasts_to_the_end_of_a_second(now_ms: int, errors: int, expected_ms: int) -> None:
    assert back_at_ms(now_ms, errors, 300) == expected_ms


def test_a_pod_refused_by_an_empty_cluster_is_not_woken_by_the_first_node() -> None:
    """The closed node of 500 ms is seen at 1700 ms, 10 ms for the refusal; the ready one of 1800 ms at once."""
    world, told = world_of(ONE)
    world.follow(0, 1)
    world.env.run(until=500)
    row = world.add_node(node("n"), "g")
    world.env.run(until=1800)
    assert told == [20, 1710]
    world.make_ready(row)
    world.env.run(until=1801)
    assert world.bound_pods() == 1


def test_a_ready_node_does_not_shorten_the_back_off_of_an_empty_cluster() -> None:
    world, _ = world_of(ONE)
    world.follow(0, 1)
    world.env.run(until=500)
    world.make_ready(world.add_node(node("n"), "g"))
    world.env.run(until=1700)
    assert world.bound_pods() == 0
    world.env.run(until=1702)
    assert world.bound_pods() == 1


def test_a_second_refusal_by_an_empty_cluster_says_nothing_new() -> None:
    """Refused at 20, at 1710 and, 2 s after that, beyond the second that ends at 4700."""
    world, told = world_of(ONE)
    world.follow(0, 1)
    world.env.run(until=4720)
    assert told == [20]
    assert world.live[0][0].attempts == 3


def test_a_second_refusal_by_an_empty_cluster_takes_no_time() -> None:
    """Refused at 20 and 30, both are refused again in the millisecond 1700; the node of 1705 comes too late for either."""
    world, _ = world_of(ONE)
    world.follow(0, 2)
    world.env.run(until=1705)
    assert [pod.errors for pod in world.live[0]] == [2, 2]
    world.make_ready(world.add_node(node("n"), "g"))
    world.env.run(until=4700)
    assert world.bound_pods() == 0
    world.env.run(until=4702)
    assert world.bound_pods() == 2


def test_pods_are_placed_in_no_time_when_a_binding_takes_the_scheduler_none() -> None:
    world = World(simpy.Environment(), Kinds.of([ONE]), Streams(0), replace(EXACT, bind=0))
    world.add_node(node("n"), "g")
    world.follow(0, 4)
    world.env.run(until=100)
    world.make_ready(0)
    world.env.run(until=101)
    assert world.bound_pods() == 4


def test_a_closed_node_wakes_no_pod_that_only_closed_nodes_refused() -> None:
    world, told = world_of(ONE)
    world.add_node(node("first"), "g")
    world.follow(0, 1)
    world.env.run(until=100)
    world.add_node(node("second"), "g")
    world.env.run(until=5000)
    assert told == [20]


def test_a_closed_node_wakes_a_pod_that_an_open_one_refused() -> None:
    world, told = world_of(ONE)
    world.make_ready(world.add_node(node("small", cpu_m=500), "g"))
    world.follow(0, 1)
    world.env.run(until=100)
    world.add_node(node("second"), "g")
    world.env.run(until=5000)
    assert told == [20, 110]


def test_a_node_is_shown_when_it_is_said_to_be() -> None:
    world, told = world_of(ONE)
    world.make_ready(world.add_node(node("small", cpu_m=500), "g"))
    world.follow(0, 1)
    world.env.run(until=100)
    world.add_node(node("second"), "g", seen=False)
    world.env.run(until=150)
    world.show_nodes()
    world.env.run(until=5000)
    assert told == [20, 160]
