"""The compiled kernel, its interpreted twin, the scan and the tree decide the same on random clusters and traces."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.fleet import Fleet, NodePool
from models.horizon import Horizon
from models.node import NodeShape
from models.units import MS_PER_H
from models.zones import Provisioning
from simulator.engine.config import Autoscaling, CloudRisk, EngineConfig, FailureModel
from simulator.engine.run import Simulation, prepare
from simulator.engine.state import State
from simulator.engine.trace import PodShape, Trace, trace_of
from simulator.engine.twin import TwinState
from simulator.streams import Streams

HOURS = 12
HORIZON = Horizon(datetime(2026, 1, 5, tzinfo=UTC), HOURS)


def random_trace(rng: np.random.Generator, pods: int) -> Trace:
    shapes = [
        PodShape(
            cpu_m=int(rng.integers(1, 9)) * 500,
            memory_mib=int(rng.integers(1, 17)) * 512,
            extended="nvidia.com/gpu" if k % 4 == 3 else "",
            extended_count=int(rng.integers(1, 3)) if k % 4 == 3 else 0,
            priority=int(rng.integers(0, 3)),
            workload_class=("service", "batch", "ml")[k % 3],
            home=("any", "any", "private", "burst")[int(rng.integers(0, 4))],
            fixed_end=bool(k % 2),
        )
        for k in range(int(rng.integers(1, 7)))
    ]
    arrival = rng.integers(0, HOURS * MS_PER_H // 60_000, pods) * 60_000  # whole minutes: many events share an instant
    duration = rng.integers(1, 240, pods) * 60_000
    return trace_of(shapes, HOURS, arrival, duration, rng.integers(0, len(shapes), pods))


def random_fleet(rng: np.random.Generator) -> Fleet:
    gpu = {"nvidia.com/gpu": 4}
    pools = [
        NodePool("metal", "a", "baremetal", NodeShape("big", 16_000, 65_536, max_pods=6, extended=gpu), 3, 3, True, 10),
        NodePool("steel", "a", "baremetal", NodeShape("mid", 8_000, 24_576), 2, 2, True, 10, from_hour=int(rng.integers(0, 4))),
        NodePool("iron", "b", "ironic", NodeShape("iron", 8_000, 32_768), 1, int(rng.integers(1, 4)), True, 5),
        NodePool("cloud", "c", "aws", NodeShape("small", 4_000, 16_384, extended=gpu), 0, int(rng.integers(0, 8)), False),
    ]
    return Fleet(tuple(pools[: int(rng.integers(1, 5))]))


def wide_fleet(rng: np.random.Generator) -> Fleet:
    """Two to six pools of 1 to 40 nodes: some end within a vector, at its edge or at the end of the cluster."""
    sizes = rng.integers(1, 41, int(rng.integers(2, 7)))
    shapes = [NodeShape(f"n{k}", 2_000 * (k + 1), 8_192 * (6 - k), max_pods=3, extended={"nvidia.com/gpu": 1}) for k in range(sizes.size)]
    return Fleet(
        tuple(NodePool(f"p{k}", "a", "x", shapes[k], int(n), int(n), k % 2 == 0, int(rng.integers(0, 2))) for k, n in enumerate(sizes))
    )


def finished(trace: Trace, fleet: Fleet, config: EngineConfig, kernel: type[State]) -> Simulation:
    simulation = prepare(trace, fleet, config, Streams(7), kernel=kernel)
    simulation.env.run(until=HOURS * MS_PER_H)
    return simulation


def fate(simulation: Simulation) -> dict[str, object]:
    state = simulation.state
    return {
        "placed": state.placed.tolist(),
        "wait": state.wait.tolist(),
        "starts": state.starts.tolist(),
        "hour_cpu": state.hour_cpu.tolist(),
        "hour_pods": state.hour_pods.tolist(),
        "free": state.free_cpu.tolist(),
        "scale_log": simulation.recorder.scale_log,
        "failures": simulation.recorder.failures,
    }


def random_config(rng: np.random.Generator, tree: bool) -> EngineConfig:
    return EngineConfig(
        kubernetes_version=("1.35", "1.36")[int(rng.integers(0, 2))],
        policy=("default", "most_allocated", "pack")[int(rng.integers(0, 3))],
        ties=("lowest", "random")[int(rng.integers(0, 2))],
        provisioning={"cloud": Provisioning(65, 120, 3), "iron": Provisioning(720, 1500, 1, 300, 600, 1, 0.8)},
        failures=FailureModel(per_year=400.0, repair_p50_h=0.5, repair_p95_h=2.0),
        cloud=CloudRisk(insufficient_share=0.2, retry_s=95.0, interruptions_per_h=0.3),
        autoscaling=Autoscaling(scan_s=10.0, idle_s=300.0, patience_s=(0.0, 125.0)[int(rng.integers(0, 2))]),
        tree=tree,
        preemption=bool(rng.integers(0, 2)),
    )


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_compiled_and_interpreted_kernels_decide_the_same_with_failures_and_autoscaler(seed: int) -> None:
    rng = np.random.default_rng(seed)
    trace, fleet = random_trace(rng, 150), random_fleet(rng)
    config = random_config(rng, tree=bool(seed % 2))
    assert fate(finished(trace, fleet, config, State)) == fate(finished(trace, fleet, config, TwinState))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_scan_and_tree_decide_the_same(seed: int) -> None:
    rng = np.random.default_rng(seed)
    trace, fleet = random_trace(rng, 1500), random_fleet(rng)
    state = rng.bit_generator.state
    by_scan = fate(finished(trace, fleet, random_config(rng, tree=False), State))
    rng.bit_generator.state = state
    assert by_scan == fate(finished(trace, fleet, random_config(rng, tree=True), State))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_scan_and_tree_decide_the_same_where_vectors_reach_into_other_pools(seed: int) -> None:
    rng = np.random.default_rng(seed)
    trace, fleet = random_trace(rng, 1500), wide_fleet(rng)
    config = EngineConfig(policy=("default", "most_allocated", "pack")[seed % 3], kubernetes_version=("1.35", "1.36")[seed // 3 % 2])
    fates = [fate(finished(trace, fleet, replace(config, tree=tree), State)) for tree in (False, True)]
    assert fates[0] == fates[1]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_every_hour_is_conserved_and_node_states_add_up(seed: int) -> None:
    rng = np.random.default_rng(seed)
    trace, fleet = random_trace(rng, 1500), random_fleet(rng)
    simulation = finished(trace, fleet, random_config(rng, tree=False), State)
    result = simulation.recorder.result(HORIZON, simulation.order)
    assert result.conservation_error <= 1e-9
    assert result.node_state_h.sum(axis=(0, 2)).tolist() == pytest.approx([pool.max_nodes * HOURS for pool in fleet.pools], abs=1e-9)
    for q, pool in enumerate(fleet.pools):
        room = result.node_hours[:, q] * pool.shape.schedulable_cpu_m / 1000
        assert np.all(result.busy_cpu_h[:, q] <= room + 1e-9)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_an_event_driven_autoscaler_writes_the_log_of_a_polling_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    trace, fleet = random_trace(rng, 1500), random_fleet(rng)
    base = random_config(rng, tree=False)
    logs = []
    for event_driven in (False, True):
        config = replace(base, autoscaling=replace(base.autoscaling, event_driven=event_driven))
        logs.append(finished(trace, fleet, config, State))
    polling, driven = logs
    assert fate(driven) == fate(polling)
    assert driven.autoscaler.looks <= polling.autoscaler.looks
