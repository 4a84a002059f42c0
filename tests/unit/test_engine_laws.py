"""Queueing laws: the engine's long runs against closed forms, within 3 standard errors and 1 %.

Every figure is the mean of 20 replications; the first tenth of each run is warm-up. Expected values are written out,
and `simulator.engine.queueing` computes them from its own formulas.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from models.fleet import Fleet, NodePool
from models.node import NodeShape
from models.units import MS_PER_H
from simulator.engine.policies import POLICIES
from simulator.engine.queueing import (
    MEAN_SERVICE_MS,
    erlang_b,
    erlang_c,
    kaufman_roberts,
    overflow_moments,
    pollaczek_khinchine,
    random_trace,
    wait_quantile,
)
from simulator.engine.state import State
from simulator.engine.trace import PodShape, Trace, trace_of
from simulator.streams import Streams

REPLICATIONS = 20
WARM = 0.1
UNIT = PodShape(1000, 1, workload_class="batch")


def fleet_of(*sizes: int, nodes: int = 1) -> Fleet:
    """Pools of `nodes` equal nodes that hold `size` units in all, filled in this order."""
    pools = [
        NodePool(f"p{k}", "z", "x", NodeShape("n", size * 1000 // nodes, 10_000_000, max_pods=1_000_000, eviction_memory_mib=0),
                 nodes, nodes, True, len(sizes) - k)
        for k, size in enumerate(sizes)
    ]  # fmt: skip
    return Fleet(tuple(pools))


def run(trace: Trace, fleet: Fleet) -> State:
    state = State(trace, fleet, POLICIES["default"], "1.36", tie_seed=0)
    for slot in range(state.layout.slots):
        state.join(slot, 0, state.layout.pools[state.pool_of[slot]].shape)
    state.advance(trace.hours * MS_PER_H, False)
    return state


def replicated(measure: Callable[[np.random.Generator], NDArray[np.float64]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard error over replications of a vector of measurements."""
    values = np.array([measure(Streams(11, r)("laws")) for r in range(REPLICATIONS)])
    return values.mean(axis=0), values.std(axis=0, ddof=1) / math.sqrt(REPLICATIONS)


def assert_agrees(found: tuple[NDArray[np.float64], NDArray[np.float64]], expected: list[float], relative: float = 0.01) -> None:
    mean, error = found
    assert np.all(np.abs(mean - expected) <= 3 * error), (mean, expected, error)
    assert mean == pytest.approx(expected, rel=relative)


def after_warm_up(trace: Trace) -> slice:
    return slice(int(trace.pods * WARM), None)


@pytest.mark.parametrize("service", ["exponential", "constant"])
@pytest.mark.parametrize(
    ("servers", "load", "lost", "pods"),
    [(10, 8, 0.12166106, 60_000), (40, 36, 0.06536953, 150_000), (40, 40, 0.11615598, 100_000), (100, 90, 0.02695738, 400_000)],
)
def test_erlang_b_gives_the_share_that_bursts_for_any_service_time(servers: int, load: float, lost: float, pods: int, service: str) -> None:
    assert erlang_b(servers, load) == pytest.approx(lost, abs=5e-9)

    def measure(rng: np.random.Generator) -> NDArray[np.float64]:
        trace = random_trace(rng, pods, [load], [UNIT], service)  # type: ignore[arg-type]
        slots = run(trace, fleet_of(servers, 1_000)).last_slots()
        return np.array([np.mean(slots[after_warm_up(trace)] == 1)])

    assert_agrees(replicated(measure), [lost])


@pytest.mark.parametrize(("servers", "load", "mean", "variance"), [(10, 8, 0.973289, 1.985661), (40, 36, 2.353303, 8.336473)])
def test_wilkinson_gives_mean_and_variance_of_the_burst(servers: int, load: float, mean: float, variance: float) -> None:
    assert overflow_moments(servers, load) == pytest.approx((mean, variance), abs=1e-6)

    def measure(rng: np.random.Generator) -> NDArray[np.float64]:
        trace = random_trace(rng, 400_000, [load], [UNIT])
        burst = run(trace, fleet_of(servers, 1_000)).last_slots() == 1
        return np.array(time_moments(trace.arrival_ms[burst], (trace.arrival_ms + trace.duration_ms)[burst]))

    assert_agrees(replicated(measure), [mean, variance])


def numbers_in_time(start: NDArray[np.int64], end: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How many intervals overlap, and for how long, between warm-up and the last start."""
    times = np.concatenate([start, end])
    order = np.argsort(times, kind="stable")
    number = np.cumsum(np.concatenate([np.ones(start.size), -np.ones(end.size)])[order])[:-1]
    return number, np.diff(times[order]) * ((times[order][:-1] > start[-1] * WARM) & (times[order][:-1] < start[-1]))


def time_moments(start: NDArray[np.int64], end: NDArray[np.int64]) -> tuple[float, float]:
    """Time-weighted mean and variance of the number of intervals that overlap."""
    number, lasting = numbers_in_time(start, end)
    mean = float(np.average(number, weights=lasting))
    return mean, float(np.average(number**2, weights=lasting)) - mean**2


@pytest.mark.parametrize(
    ("servers", "load", "waits", "mean_wait", "pods"),
    [
        (5, 4, 0.55411255, 0.55411255, 500_000),
        (10, 8, 0.40918015, 0.20459008, 500_000),
        (40, 36, 0.41156248, 0.10289062, 500_000),
        (100, 90, 0.21694048, 0.02169405, 600_000),
    ],
)
def test_erlang_c_gives_the_share_that_waits_and_the_wait(servers: int, load: float, waits: float, mean_wait: float, pods: int) -> None:
    assert erlang_c(servers, load) == pytest.approx(waits, abs=5e-9)
    assert erlang_c(servers, load) / (servers - load) == pytest.approx(mean_wait, abs=5e-9)

    def measure(rng: np.random.Generator) -> NDArray[np.float64]:
        trace = random_trace(rng, pods, [load], [UNIT])
        wait = run(trace, fleet_of(servers)).wait[after_warm_up(trace)]
        return np.array([np.mean(wait > 0), wait.mean() / MEAN_SERVICE_MS])

    assert_agrees(replicated(measure), [waits, mean_wait], relative=0.02 if servers >= 40 else 0.01)


@pytest.mark.parametrize(("servers", "load", "p95", "p99"), [(10, 8, 1.05107, 1.85579), (40, 36, 0.52698, 0.92934)])
def test_percentiles_of_the_wait(servers: int, load: float, p95: float, p99: float) -> None:
    assert [wait_quantile(servers, load, share) for share in (0.95, 0.99)] == pytest.approx([p95, p99], abs=5e-6)

    def measure(rng: np.random.Generator) -> NDArray[np.float64]:
        trace = random_trace(rng, 400_000, [load], [UNIT])
        wait = run(trace, fleet_of(servers)).wait[after_warm_up(trace)]
        return np.percentile(wait, [95, 99]) / MEAN_SERVICE_MS

    assert_agrees(replicated(measure), [p95, p99], relative=0.02)


@pytest.mark.parametrize(
    ("service", "squared_variation", "queue", "pods"),
    [("constant", 0.0, 1.6, 100_000), ("exponential", 1.0, 3.2, 300_000), ("hyperexponential", 4.0, 8.0, 800_000)],
)
def test_pollaczek_khinchine_gives_the_queue_before_one_server(service: str, squared_variation: float, queue: float, pods: int) -> None:
    assert pollaczek_khinchine(0.8, squared_variation) == pytest.approx(queue, abs=1e-9)

    def measure(rng: np.random.Generator) -> NDArray[np.float64]:
        trace = random_trace(rng, pods, [0.8], [UNIT], service)  # type: ignore[arg-type]
        state = run(trace, fleet_of(1))
        hours = state.hour_pods.reshape(trace.hours + 1, 2, -1)[int(trace.hours * WARM) : trace.hours, 1].sum(axis=1)
        return np.array([hours.mean() / MS_PER_H])

    assert_agrees(replicated(measure), [queue], relative=0.015)


def test_unlimited_nodes_hold_a_poisson_number_of_pods() -> None:
    below = []

    def measure(rng: np.random.Generator) -> NDArray[np.float64]:
        trace = random_trace(rng, 200_000, [32.0], [UNIT])
        slots = run(trace, fleet_of(1_000)).last_slots()
        assert np.all(slots[trace.arrival_ms + trace.duration_ms < trace.hours * MS_PER_H] == 0)
        number, lasting = numbers_in_time(trace.arrival_ms, trace.arrival_ms + trace.duration_ms)
        below.append([np.average(number <= n, weights=lasting) for n in (41, 42, 45, 46, 50, 51)])
        mean = float(np.average(number, weights=lasting))
        return np.array([mean, float(np.average(number**2, weights=lasting)) - mean**2])

    assert_agrees(replicated(measure), [32.0, 32.0])
    p = np.mean(below, axis=0)  # the percentiles 95, 99 and 99.9 are 42, 46 and 51
    assert p[0] < 0.95 <= p[1]
    assert p[2] < 0.99 <= p[3]
    assert p[4] < 0.999 <= p[5]


def test_a_system_that_starts_empty_fills_like_m_m_infinity() -> None:
    copies = 2_000  # independent systems side by side; after one mean service 32 (1 - 1/e) = 20.227858 each

    def measure(rng: np.random.Generator) -> NDArray[np.float64]:
        trace = random_trace(rng, 40 * copies, [32.0 * copies], [UNIT])
        state = State(trace, fleet_of(200_000), POLICIES["default"], "1.36", tie_seed=0)
        state.join(0, 0, state.layout.pools[0].shape)
        state.advance(MEAN_SERVICE_MS, False)
        return np.array([state.count[0] / copies])

    assert_agrees(replicated(measure), [20.227858])


@pytest.mark.parametrize(("service", "amplitude", "lag_h"), [("exponential", 37.749077, 2.543068), ("constant", 46.775777, 1.5)])
def test_a_day_cycle_of_arrivals_comes_out_smaller_and_later(service: str, amplitude: float, lag_h: float) -> None:
    """32 + 16 sin(2 pi t / 24) arrivals an hour that stay 3 h: mean 96; the hourly counters show the wave."""
    copies, days = 20, 33

    def measure(rng: np.random.Generator) -> NDArray[np.float64]:
        points = np.sort(rng.random(rng.poisson(48 * copies * 24 * days))) * 24 * days
        kept = points[rng.random(points.size) < (32 + 16 * np.sin(2 * np.pi * points / 24)) / 48]
        stay = np.full(kept.size, 3.0) if service == "constant" else rng.exponential(3.0, kept.size)
        ms = [np.maximum((x * MS_PER_H).astype(np.int64), 1) for x in (kept, stay)]
        trace = trace_of([UNIT], 24 * days, ms[0], ms[1], np.zeros(kept.size, np.int64))
        hours = run(trace, fleet_of(100_000)).hour_pods.reshape(24 * days + 1, 2, -1)[72 : 24 * days, 0].sum(axis=1) / MS_PER_H / copies
        wave = np.mean(hours * np.exp(-2j * np.pi * (np.arange(72, 24 * days) + 0.5) / 24)) * 2
        smoothed = np.sin(np.pi / 24) / (np.pi / 24)  # an hour's mean flattens the wave
        return np.array([hours.mean(), abs(wave) / smoothed, (-np.angle(wave * 1j) * 24 / (2 * np.pi)) % 24])

    assert_agrees(replicated(measure), [96.0, amplitude, lag_h])


@pytest.mark.parametrize(
    ("capacity", "loads", "sizes", "blocked", "busy"),
    [
        (20, (5, 2), (1, 4), [0.03256534, 0.16565113], 11.511964),
        (64, (10, 4, 3, 3), (1, 2, 4, 8), [0.02416857, 0.04937850, 0.10279164, 0.22017791], 46.845517),
    ],
)
def test_kaufman_roberts_gives_the_blocking_of_mixed_sizes(
    capacity: int, loads: tuple[float, ...], sizes: tuple[int, ...], blocked: list[float], busy: float
) -> None:
    formula, mean_busy = kaufman_roberts(capacity, loads, sizes)
    assert formula == pytest.approx(blocked, abs=5e-9)
    assert mean_busy == pytest.approx(busy, abs=5e-7)
    shapes = [PodShape(1000 * size, 1, workload_class="batch") for size in sizes]

    def measure(rng: np.random.Generator) -> NDArray[np.float64]:
        trace = random_trace(rng, 400_000, loads, shapes)
        state = run(trace, fleet_of(capacity, 10_000))
        kept, slots = after_warm_up(trace), state.last_slots()
        lost = [np.mean(slots[kept][trace.shape[kept] == k] == 1) for k in range(len(sizes))]
        hours = state.hour_cpu.reshape(trace.hours + 1, 3, -1)[int(trace.hours * WARM) : trace.hours, 0].sum(axis=1)
        return np.array([*lost, hours.mean() / MS_PER_H / 1000])

    assert_agrees(replicated(measure), [*blocked, busy])


def test_little_s_law_is_exact_on_a_drained_run() -> None:
    trace = random_trace(Streams(5)("laws"), 50_000, [20.0, 10.0], [UNIT, PodShape(2000, 1, workload_class="ml")])
    long = Trace(**{**vars(trace), "hours": trace.hours + 48})
    state = run(long, fleet_of(38))
    pods_ms = state.hour_pods.reshape(long.hours + 1, 2, -1)[: long.hours].sum(axis=0)
    for shape, name in enumerate(("batch", "ml")):
        mine = trace.shape == shape
        column = ("service", "batch", "ml").index(name)
        assert pods_ms[0, column] == trace.duration_ms[mine].sum()
        assert pods_ms[1, column] == state.wait[mine].sum()


def test_splitting_a_pool_into_nodes_changes_nothing_for_pods_of_one_size() -> None:
    trace = random_trace(Streams(6)("laws"), 30_000, [36.0], [UNIT])
    whole, split = run(trace, fleet_of(40)), run(trace, fleet_of(40, nodes=10))
    assert np.array_equal(whole.wait, split.wait)
    assert np.array_equal(whole.hour_pods, split.hour_pods)
