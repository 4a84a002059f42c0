"""Comparing fleets: common random numbers, monotonicity, scaling, empty demand."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from models.fleet import Fleet, NodePool
from models.horizon import Horizon
from models.node import NodeShape
from models.units import MS_PER_H
from simulator.engine.config import EngineConfig, FailureModel
from simulator.engine.queueing import random_trace
from simulator.engine.run import prepare, run_once
from simulator.engine.trace import PodShape, trace_of
from simulator.streams import Streams

NODE = NodeShape("n4", 4000, 100_000, eviction_memory_mib=0)
UNIT = PodShape(1000, 1, workload_class="batch")
START = datetime(2026, 1, 5, tzinfo=UTC)


def fleet(private: int, cloud: int = 300) -> Fleet:
    return Fleet(
        (
            NodePool("own", "own", "x", NODE, private, private, True, 10),
            NodePool("cloud", "cloud", "aws", NODE, cloud, cloud, False),
        )
    )


def burst_ms(trace, private: int, config: EngineConfig, seed: int) -> int:  # type: ignore[no-untyped-def]
    """Pod-milliseconds that ran in the cloud."""
    run = prepare(trace, fleet(private), config, Streams(seed))
    run.env.run(until=trace.hours * MS_PER_H)
    return int(run.state.hour_pods.reshape(trace.hours + 1, 3, -1)[:, 1].sum())


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), private=st.integers(1, 9))
def test_one_more_node_never_raises_the_burst_of_pods_of_one_size(seed: int, private: int) -> None:
    trace = random_trace(Streams(seed)("pods"), 2_000, [32.0], [UNIT])
    config = EngineConfig(ties="lowest")
    bursts = [burst_ms(trace, nodes, config, seed) for nodes in (private, private + 1)]
    assert bursts[1] <= bursts[0]


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_a_node_s_failures_do_not_depend_on_how_many_nodes_there_are(seed: int) -> None:
    """Common random numbers: the first nodes fail and return at the same instants in a larger fleet."""
    trace = trace_of([UNIT], 24 * 60, np.array([0]), np.array([1000]), np.array([0]))
    config = EngineConfig(failures=FailureModel(per_year=50.0))
    horizon = Horizon(START, trace.hours)
    small, large = (run_once(trace, Fleet(fleet(n).pools[:1]), config, Streams(seed), horizon=horizon) for n in (3, 4))
    assert small.failures <= large.failures
    lost = [3 * trace.hours - small.node_hours.sum(), 4 * trace.hours - large.node_hours.sum()]
    assert lost[0] <= lost[1] + 1e-9


def test_common_random_numbers_shrink_the_error_of_a_difference() -> None:
    """Burst of 38 against 39 servers over 20 pairs: the same pods give at most a fifth of the variance of other pods."""
    pairs = []
    for r in range(20):
        trace = random_trace(Streams(3, r)("pods"), 4_000, [36.0], [UNIT])
        config = EngineConfig(ties="lowest")
        pairs.append([burst_ms(trace, nodes, config, r) / MS_PER_H for nodes in (9, 10)])
    values = np.array(pairs)
    common = np.var(values[:, 0] - values[:, 1], ddof=1)
    independent = np.var(values[:, 0], ddof=1) + np.var(values[:, 1], ddof=1)
    assert independent / common >= 5


def test_doubling_demand_and_nodes_doubles_the_busy_table_of_full_hours() -> None:
    """Every pod twice and every node twice: with pods that fill whole nodes the hourly counters double exactly."""
    whole = PodShape(4000, 1, workload_class="batch")
    trace = random_trace(Streams(8)("pods"), 1_000, [5.0], [whole])
    twice = trace_of([whole], trace.hours, np.repeat(trace.arrival_ms, 2), np.repeat(trace.duration_ms, 2), np.repeat(trace.shape, 2))
    config, horizon = EngineConfig(ties="lowest"), Horizon(START, trace.hours)
    single = run_once(trace, fleet(6), config, Streams(1), horizon=horizon)
    double = run_once(twice, Fleet((fleet(12).pools[0], fleet(0, 600).pools[1])), config, Streams(1), horizon=horizon)
    assert np.allclose(double.busy_cpu_h, 2 * single.busy_cpu_h, rtol=0, atol=1e-9)


def test_no_demand_leaves_only_standing_nodes() -> None:
    none = np.zeros(0, np.int64)
    result = run_once(trace_of([UNIT], 24, none, none, none), fleet(2, 0), EngineConfig(), Streams(1), horizon=Horizon(START, 24))
    assert result.pods == 0
    assert result.node_hours[:, 0].tolist() == [2.0] * 24
    assert result.pending_s() == {"p50": 0.0, "p95": 0.0, "p99": 0.0}
    assert result.conservation_error == 0.0
