"""Random control processes start, end, evict and cordon among sorted pods: compiled equals interpreted, every hour is conserved."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from models.fleet import Fleet, NodePool
from models.horizon import Horizon
from models.node import NodeShape
from models.units import MS_PER_H
from models.zones import Provisioning
from simulator.engine import kernels
from simulator.engine.config import Autoscaling, EngineConfig, FailureModel
from simulator.engine.environment import Story
from simulator.engine.run import Simulation, prepare
from simulator.engine.state import LOST, State
from simulator.engine.trace import PodShape, Trace, trace_of
from simulator.engine.twin import TwinState
from simulator.streams import Streams

HOURS = 8
HORIZON = Horizon(datetime(2026, 1, 5, tzinfo=UTC), HOURS)
GPU = {"nvidia.com/gpu": 4}


def random_trace(rng: np.random.Generator, pods: int) -> Trace:
    """Sorted pods and some forty dynamic slots: replicas without an end and jobs, some slow to stop."""
    shapes = [
        PodShape(
            cpu_m=int(rng.integers(1, 9)) * 500,
            memory_mib=int(rng.integers(1, 17)) * 512,
            extended="nvidia.com/gpu" if k == 3 else "",
            extended_count=int(k == 3),
            priority=int(rng.integers(0, 3)),
            fixed_end=bool(k % 2),
            grace_ms=(0, 0, 30_000, 600_000)[int(rng.integers(0, 4))],
        )
        for k in range(6)
    ]
    arrival = rng.integers(0, HOURS * 60, pods) * 60_000
    sorted_pods = trace_of(shapes[:4], HOURS, arrival, rng.integers(1, 240, pods) * 60_000, rng.integers(0, 4, pods))
    return sorted_pods.with_dynamic([(shape, int(rng.integers(3, 9))) for shape in shapes])


def random_fleet(rng: np.random.Generator) -> Fleet:
    return Fleet(
        (
            NodePool("metal", "a", "baremetal", NodeShape("big", 16_000, 65_536, max_pods=6, extended=GPU), 2, 2, True, 10),
            NodePool("steel", "a", "baremetal", NodeShape("mid", 8_000, 24_576, speed=0.8), 2, 2, True, 10, start_latency_ms=90_000),
            NodePool("cloud", "c", "aws", NodeShape("small", 4_000, 16_384, extended=GPU, speed=1.7), 0, int(rng.integers(1, 5)), False),
        )
    )


def chaos(simulation: Simulation, rng: np.random.Generator, told: list[list[int]]) -> Story:
    """At random minutes starts, ends, evicts and cordons; writes down what the engine tells about dynamic pods."""
    env, state = simulation.env, simulation.state
    first, last = state.trace.pods, state.placed.size
    while True:
        yield env.timeout(int(rng.integers(1, 20)) * 60_000)
        now = env.ms
        some = rng.permutation(np.arange(first, last))[: int(rng.integers(1, 12))]
        exists = state.placed[some] > kernels.UNSERVED
        exists &= state.placed[some] != kernels.ABSENT
        act = int(rng.integers(0, 5))
        if act <= 1:
            for p in some[~exists].tolist():
                fixed = state.shape_flags[state.shape[p]] & kernels.FIXED_END
                state.start_pods([p], now, None if fixed or p % 3 == 0 else int(rng.integers(1, 90)) * 60_000)
            env.control_changed()
        elif act == 2:
            state.end_pods(some, now)
        elif act == 3:
            running = np.flatnonzero(state.placed >= 0)
            state.evict(rng.permutation(running)[:5], now, keep_progress=bool(rng.integers(0, 2)))
            env.control_changed()
        else:
            state.cordon(int(rng.integers(0, state.layout.slots)), bool(rng.integers(0, 2)), now)
        told += state.drain_placed().tolist()


def finished(seed: int, kernel: type[State], tree: bool, pods: int) -> tuple[Simulation, list[list[int]]]:
    rng = np.random.default_rng(seed)
    trace, fleet = random_trace(rng, pods), random_fleet(rng)
    config = EngineConfig(
        ties=("lowest", "random")[seed % 2],
        provisioning={"cloud": Provisioning(65, 120, 3)},
        failures=FailureModel(per_year=2000.0, repair_p50_h=0.5, repair_p95_h=2.0),
        autoscaling=Autoscaling(scan_s=10.0, idle_s=300.0),
        tree=tree,
    )
    simulation = prepare(trace, fleet, config, Streams(seed), kernel=kernel)
    told: list[list[int]] = []
    simulation.env.process(chaos(simulation, rng, told))
    simulation.env.run(until=HOURS * MS_PER_H)
    return simulation, told


def fate(simulation: Simulation, told: list[list[int]]) -> dict[str, object]:
    state = simulation.state
    names = ("placed", "wait", "starts", "hour_cpu", "hour_memory", "hour_pods", "free_cpu", "free_memory", "free_pods", "free_extended")
    return {name: getattr(state, name).tolist() for name in names} | {"log": simulation.recorder.scale_log, "told": told}


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_compiled_and_interpreted_calls_decide_the_same(seed: int) -> None:
    tree = bool(seed % 3 == 0)
    assert fate(*finished(seed, State, tree, 80)) == fate(*finished(seed, TwinState, tree, 80))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_scan_and_tree_decide_the_same_with_dynamic_pods(seed: int) -> None:
    assert fate(*finished(seed, State, False, 400)) == fate(*finished(seed, State, True, 400))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_every_hour_is_conserved_and_nodes_hold_what_their_pods_ask_for(seed: int) -> None:
    simulation, told = finished(seed, State, False, 400)
    state = simulation.state
    result = simulation.recorder.result(HORIZON, simulation.order)
    assert result.conservation_error <= 1e-9
    assert result.wait_ms.size == result.pod_class.size > state.trace.pods
    for slot in range(state.layout.slots):
        pods = state.pods_on(slot)
        use = state.usage(slot)
        assert (use.pods, use.cpu_m) == (pods.size, int(state.shape_cpu[state.shape[pods]].sum()))
        assert use.memory_mib == int(state.shape_memory[state.shape[pods]].sum())
    assert all(slot >= LOST - 1 and pod >= state.trace.pods for pod, slot, _ in told)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_nobody_waits_while_a_node_has_room_for_the_head_of_its_queue(seed: int) -> None:
    """Departures, evictions and uncordoned nodes are all offered: at the horizon no head of a queue fits anywhere."""
    state = finished(seed, State, False, 400)[0].state
    shapes = state.shape_cpu.size
    for s in np.flatnonzero(state.head >= 0).tolist():
        fits = (state.free_cpu >= state.shape_cpu[s]) & (state.free_memory >= state.shape_memory[s]) & (state.free_pods > 0)
        if state.trace.shapes[s].extended:
            fits &= state.free_extended >= state.trace.shapes[s].extended_count
        fits &= state.tier[state.pool_of * shapes + s] >= 0
        assert not fits.any()
