"""Queueing laws: the engine's long runs against closed forms, within 3 standard errors, 3 of which are less than 1 %.

Every figure is the mean of at least 20 replications; the first tenth of each run is warm-up. Expected values are written out,
and `simulator.engine.queueing` computes them from its own formulas. `queue_controls` takes part of the luck of the draw away.
`pytest -rP --log-level=INFO` shows expected and measured values.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from models.fleet import Fleet, NodePool
from models.node import NodeShape
from models.units import MS_PER_H
from queue_controls import (
    Estimate,
    beyond,
    beyond_expected,
    estimate,
    fast_server_expected,
    numbers_with_unlimited_nodes,
    waits_of_one_fast_server,
)
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

logger = logging.getLogger(__name__)
PODS = 100_000
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


Measured = tuple[Sequence[float | np.floating], Sequence[float | np.floating]]
"""Figures of one replication, and its controls."""


def replicated(measure: Callable[[np.random.Generator], Measured], runs: int = 20, known: NDArray[np.float64] | None = None) -> Estimate:
    """Estimates of the figures over independent replications; `known` expects the controls."""
    measured = [measure(Streams(11, r)("laws")) for r in range(runs)]
    figures = np.array([figures for figures, _ in measured])
    return estimate(figures) if known is None else estimate(figures, np.array([controls for _, controls in measured]), known)


def assert_agrees(found: Estimate, expected: Sequence[float]) -> None:
    """Within 3 standard errors, and these so small that an engine one per cent off would be seen."""
    for k, value in enumerate(expected):
        mean, error = found.mean[k], found.error[k] / value
        logger.info("expected %s, measured %.6g: %+.3f %%, standard error %.3f %%", value, mean, 100 * (mean / value - 1), 100 * error)
    assert np.all(3 * found.error <= 0.01 * np.asarray(expected)), (found, expected)
    assert np.all(np.abs(found.mean - expected) <= 3 * found.error), (found, expected)
    assert found.mean == pytest.approx(expected, rel=0.01)


def after_warm_up(trace: Trace) -> slice:
    return slice(int(trace.pods * WARM), None)


@pytest.mark.parametrize("service", ["exponential", "constant"])
@pytest.mark.parametrize(
    ("servers", "load", "lost", "runs"),
    [(10, 8, 0.12166106, 40), (40, 36, 0.06536953, 60), (40, 40, 0.11615598, 40), (100, 90, 0.02695738, 120)],
)
def test_erlang_b_gives_the_share_that_bursts_for_any_service_time(servers: int, load: float, lost: float, runs: int, service: str) -> None:
    assert erlang_b(servers, load) == pytest.approx(lost, abs=5e-9)

    def measure(rng: np.random.Generator) -> Measured:
        trace = random_trace(rng, PODS, [load], [UNIT], service)  # type: ignore[arg-type]
        kept = after_warm_up(trace)
        slots = run(trace, fleet_of(servers, 1_000)).last_slots()
        return [np.mean(slots[kept] == 1)], beyond(numbers_with_unlimited_nodes(trace)[kept], servers)

    assert_agrees(replicated(measure, runs, beyond_expected(servers, load)), [lost])


@pytest.mark.parametrize(("servers", "load", "mean", "variance"), [(10, 8, 0.973289, 1.985661), (40, 36, 2.353303, 8.336473)])
def test_wilkinson_gives_mean_and_variance_of_the_burst(servers: int, load: float, mean: float, variance: float) -> None:
    assert overflow_moments(servers, load) == pytest.approx((mean, variance), abs=1e-6)

    def measure(rng: np.random.Generator) -> Measured:
        trace = random_trace(rng, PODS, [load], [UNIT])
        kept = after_warm_up(trace)
        burst = run(trace, fleet_of(servers, 1_000)).last_slots() == 1
        found = time_moments(trace.arrival_ms[burst], (trace.arrival_ms + trace.duration_ms)[burst])
        return list(found), beyond(numbers_with_unlimited_nodes(trace)[kept], servers)

    assert_agrees(replicated(measure, 60, beyond_expected(servers, load)), [mean, variance])


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
    ("servers", "load", "waits", "mean_wait", "tail", "runs"),
    [
        (5, 4, 0.55411255, 0.55411255, (), 40),
        (10, 8, 0.40918015, 0.20459008, (1.05107, 1.85579), 80),
        (40, 36, 0.41156248, 0.10289062, (0.52698, 0.92934), 320),
        (100, 90, 0.21694048, 0.02169405, (), 420),
    ],
)
def test_erlang_c_gives_the_share_that_waits_the_wait_and_its_percentiles(
    servers: int, load: float, waits: float, mean_wait: float, tail: tuple[float, ...], runs: int
) -> None:
    assert erlang_c(servers, load) == pytest.approx(waits, abs=5e-9)
    assert erlang_c(servers, load) / (servers - load) == pytest.approx(mean_wait, abs=5e-9)
    shares = (0.95, 0.99)[: len(tail)]
    assert [wait_quantile(servers, load, share) for share in shares] == pytest.approx(tail, abs=5e-6)

    def measure(rng: np.random.Generator) -> Measured:
        trace = random_trace(rng, PODS, [load], [UNIT])
        kept = after_warm_up(trace)
        found, fast = run(trace, fleet_of(servers)).wait[kept] / MEAN_SERVICE_MS, waits_of_one_fast_server(trace, servers)[kept]
        figures, controls = ([np.mean(w > 0), w.mean(), *np.percentile(w, [100 * share for share in shares])] for w in (found, fast))
        return figures, [*controls, *beyond(numbers_with_unlimited_nodes(trace)[kept], servers)[:2]]

    known = np.concatenate([fast_server_expected(servers, load)[: 2 + len(tail)], beyond_expected(servers, load)[:2]])
    assert_agrees(replicated(measure, runs, known), [waits, mean_wait, *tail])


@pytest.mark.parametrize(
    ("service", "squared_variation", "queue", "runs"),
    [("constant", 0.0, 1.6, 60), ("exponential", 1.0, 3.2, 160), ("hyperexponential", 4.0, 8.0, 280)],
)
def test_pollaczek_khinchine_gives_the_queue_before_one_server(service: str, squared_variation: float, queue: float, runs: int) -> None:
    assert pollaczek_khinchine(0.8, squared_variation) == pytest.approx(queue, abs=1e-9)
    moments = 3 if squared_variation else 1

    def measure(rng: np.random.Generator) -> Measured:
        trace = random_trace(rng, PODS, [0.8], [UNIT], service)  # type: ignore[arg-type]
        state = run(trace, fleet_of(1))
        hours = state.hour_pods.reshape(trace.hours + 1, 2, -1)[int(trace.hours * WARM) : trace.hours, 1].sum(axis=1)
        stay = trace.duration_ms / MEAN_SERVICE_MS
        gap = trace.arrival_ms[-1] / trace.pods / MEAN_SERVICE_MS * 0.8
        return [hours.mean() / MS_PER_H], [gap, stay.mean(), np.mean(stay**2)][:moments]

    known = np.array([1.0, 1.0, 1.0 + squared_variation])[:moments]  # the control is the draw's own load
    assert_agrees(replicated(measure, runs, known), [queue])


def test_unlimited_nodes_hold_a_poisson_number_of_pods() -> None:
    below = []

    def measure(rng: np.random.Generator) -> Measured:
        trace = random_trace(rng, PODS, [32.0], [UNIT])
        slots = run(trace, fleet_of(1_000)).last_slots()
        assert np.all(slots[trace.arrival_ms + trace.duration_ms < trace.hours * MS_PER_H] == 0)
        number, lasting = numbers_in_time(trace.arrival_ms, trace.arrival_ms + trace.duration_ms)
        below.append([np.average(number <= n, weights=lasting) for n in (41, 42, 45, 46, 50, 51)])
        mean = float(np.average(number, weights=lasting))
        return [mean, float(np.average(number**2, weights=lasting)) - mean**2], []

    assert_agrees(replicated(measure, 200), [32.0, 32.0])
    p = np.mean(below, axis=0)  # the percentiles 95, 99 and 99.9 are 42, 46 and 51
    assert p[0] < 0.95 <= p[1]
    assert p[2] < 0.99 <= p[3]
    assert p[4] < 0.999 <= p[5]


def test_a_system_that_starts_empty_fills_like_m_m_infinity() -> None:
    copies = 2_000  # independent systems side by side; after one mean service 32 (1 - 1/e) = 20.227858 each

    def measure(rng: np.random.Generator) -> Measured:
        trace = random_trace(rng, 40 * copies, [32.0 * copies], [UNIT])
        state = State(trace, fleet_of(200_000), POLICIES["default"], "1.36", tie_seed=0)
        state.join(0, 0, state.layout.pools[0].shape)
        state.advance(MEAN_SERVICE_MS, False)
        return [state.present[0] / copies], []

    assert_agrees(replicated(measure), [20.227858])


@pytest.mark.parametrize(("service", "amplitude", "lag_h"), [("exponential", 37.749077, 2.543068), ("constant", 46.775777, 1.5)])
def test_a_day_cycle_of_arrivals_comes_out_smaller_and_later(service: str, amplitude: float, lag_h: float) -> None:
    """32 + 16 sin(2 pi t / 24) arrivals an hour that stay 3 h: mean 96; the hourly counters show the wave."""
    copies, days = 20, 33

    def measure(rng: np.random.Generator) -> Measured:
        points = np.sort(rng.random(rng.poisson(48 * copies * 24 * days))) * 24 * days
        kept = points[rng.random(points.size) < (32 + 16 * np.sin(2 * np.pi * points / 24)) / 48]
        stay = np.full(kept.size, 3.0) if service == "constant" else rng.exponential(3.0, kept.size)
        ms = [np.maximum((x * MS_PER_H).astype(np.int64), 1) for x in (kept, stay)]
        trace = trace_of([UNIT], 24 * days, ms[0], ms[1], np.zeros(kept.size, np.int64))
        hours = run(trace, fleet_of(100_000)).hour_pods.reshape(24 * days + 1, 2, -1)[72 : 24 * days, 0].sum(axis=1) / MS_PER_H / copies
        wave = np.mean(hours * np.exp(-2j * np.pi * (np.arange(72, 24 * days) + 0.5) / 24)) * 2
        smoothed = np.sin(np.pi / 24) / (np.pi / 24)  # an hour's mean flattens the wave
        return [hours.mean(), abs(wave) / smoothed, (-np.angle(wave * 1j) * 24 / (2 * np.pi)) % 24], []

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

    def measure(rng: np.random.Generator) -> Measured:
        trace = random_trace(rng, PODS, loads, shapes)
        state = run(trace, fleet_of(capacity, 10_000))
        kept, slots = after_warm_up(trace), state.last_slots()
        lost = [np.mean(slots[kept][trace.shape[kept] == k] == 1) for k in range(len(sizes))]
        hours = state.hour_cpu.reshape(trace.hours + 1, 3, -1)[int(trace.hours * WARM) : trace.hours, 0].sum(axis=1)
        return [*lost, hours.mean() / MS_PER_H / 1000], []

    assert_agrees(replicated(measure, 240), [*blocked, busy])


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


def test_nodes_split_a_pool_of_mixed_sizes_and_the_gap_to_kaufman_roberts_is_measured() -> None:
    """The same GPU mix on 8 nodes of 8: the law of one pool does not hold any more. The sign of the gap is nobody's law."""
    loads, sizes = (10.0, 4.0, 3.0, 3.0), (1, 2, 4, 8)
    shapes = [PodShape(1000 * size, 1, workload_class="batch") for size in sizes]
    one_pool = kaufman_roberts(64, loads, sizes)[0]

    def measure(rng: np.random.Generator) -> Measured:
        trace = random_trace(rng, PODS, loads, shapes)
        slots = run(trace, fleet_of(64, 10_000, nodes=8)).last_slots()
        kept = after_warm_up(trace)
        assert np.all(slots >= 0)  # served by the pool or by the burst behind it, never dropped
        return [np.mean(slots[kept][trace.shape[kept] == k] >= 8) for k in range(len(sizes))], []

    found = replicated(measure, 40)
    logger.info("blocking on 8 nodes of 8: %s, in one pool of 64: %s", found.mean, one_pool)
    gap = (found.mean - one_pool) / found.error
    assert np.all(np.abs(gap) > 3), gap  # the size of the nodes is felt by every class
    assert np.all((found.mean > 0) & (found.mean < 1))
