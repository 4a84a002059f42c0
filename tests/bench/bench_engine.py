"""Benchmark of the engine: every ratio has both sides in one run; hourly counters and per-class statistics are on.

One-process rows compare processor seconds, so that neighbours on the machine weigh on both sides alike; the rows about
processes and cold starts compare wall seconds.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import simpy

sys.path.insert(0, str(Path(__file__).parent))

from engine_workloads import c_s, first_pods, kernel_s, mixed_fleet, mixed_trace, replay_s, simpy_s, spread_out, standing

from models.fleet import Fleet, NodePool
from models.horizon import Horizon
from models.node import NodeShape
from models.units import HOURS_PER_YEAR, MS_PER_H
from models.zones import Provisioning
from simulator.engine.config import Autoscaling, EngineConfig, FailureModel
from simulator.engine.environment import HybridEnvironment
from simulator.engine.processes import Helpers
from simulator.engine.replicate import replicate
from simulator.engine.run import prepare
from simulator.engine.trace import PodShape, Trace, trace_of
from simulator.streams import Streams

Row = dict[str, Any]
RUNS = 5
SIZES = {40: (1_000_000, 20_000, 150), 250: (500_000, 5_000, 200), 1000: (400_000, 1_200, 500), 5000: (300_000, 300, 2000)}
FLOOR = {40: 12, 250: 35, 1000: 40, 5000: 40}
PEERS = {"OpenDC": {40: 51_100, 250: 42_500, 1000: 14_700, 5000: 5_170}, "CloudSim Plus": {40: 24_300, 250: 7_670, 1000: 1_270}}
RULED = {40: 100_000, 250: 50_000, 1000: 20_000}
RULED_AT_MOST = {40: 25, 250: 50, 1000: 200}
VERSIONS = ("1.35", "1.36")
COUNTED = ("placed", "present", "area", "starts", "last_departure", "hour_cpu", "hour_memory", "hour_pods")


def row(name: str, measured: float, unit: str, target: float, at_least: bool) -> Row:
    """One line of the table."""
    passed = measured >= target if at_least else measured <= target
    return {
        "name": name,
        "measured": round(measured, 4),
        "unit": unit,
        "target": f"{'>=' if at_least else '<='} {target:g}",
        "passed": passed,
    }


def median_s(work: Callable[[], float], runs: int = RUNS) -> float:
    """Median of what `work` measured."""
    return statistics.median(work() for _ in range(runs))


def rows(scale: str) -> list[Row]:
    """Every row; `scale` "small" shrinks the sizes for a smoke run."""
    small = scale == "small"
    found: list[Row] = []
    for nodes, (pods, few, target) in SIZES.items():
        if not small or nodes <= 250:
            found += placement_rows(nodes, pods // 50 if small else pods, few // 20 if small else few, target, 1 if small else RUNS)
    found += rule_rows({40: 2_000} if small else RULED, 1 if small else RUNS)
    found += crossing_rows(20_000 if small else 2_000_000, 1 if small else RUNS)
    found += autoscaler_rows(24 * 14 if small else HOURS_PER_YEAR)
    found += process_rows(24 * 7 if small else HOURS_PER_YEAR)
    found += cold_start_rows(1 if small else RUNS)
    return found


def placement_rows(nodes: int, pods: int, few: int, target: float, runs: int) -> Iterator[Row]:
    """Rows 1 to 3 and the peers: kernel against SimPy, against the replay floor, against C, against published rates."""
    fleet = mixed_fleet(nodes)
    trace = mixed_trace(fleet, pods)
    prefix = first_pods(trace, few)
    for version in VERSIONS:
        kernel_s(prefix, fleet, version)
        per_pod = median_s(lambda v=version: kernel_s(trace, fleet, v)[0], runs) / pods
        slow, where = simpy_s(prefix, fleet, version)
        same = float(np.mean(kernel_s(prefix, fleet, version)[1].last_slots() == np.array(where)))
        name = f"{nodes} nodes, {version}"
        yield row(f"kernel / SimPy process per pod, {name}", slow / few / per_pod, "x", target, True)
        yield row(f"same node as SimPy, {name}", 100 * same, "%", 100, True)
        floor = median_s(lambda v=version: replay_s(kernel_s(trace, fleet, v)[1]), min(runs, 3)) / pods
        yield row(f"kernel / replay of known placements, {name}", per_pod / floor, "x", FLOOR[nodes], False)
        for peer, rates in PEERS.items():
            if nodes in rates:
                yield row(f"kernel / {peer}'s published pods per second, {name}", 1 / per_pod / rates[nodes], "x", 50, True)
        if version == "1.35" and nodes <= 1000:
            yield from c_rows(mixed_trace(fleet, pods, 0.6), fleet, nodes, runs)


def c_rows(trace: Trace, fleet: Fleet, nodes: int, runs: int) -> Iterator[Row]:
    """Row 3: the scan in numba against the scan in C, turn by turn, both with every counter, which must come out equal.

    The load lets no pod wait, which the C code does not know.
    """
    if c_s(first_pods(trace, 1000), fleet) is None:
        return
    in_numba, in_c, same = [], [], True
    for _ in range(runs):
        state = standing(trace, fleet, "1.35", tree=False)
        start = time.process_time()
        state.advance(trace.hours * MS_PER_H, False)
        in_numba.append(time.process_time() - start)
        seconds, rival = c_s(trace, fleet)
        in_c.append(seconds)
        same = same and all(np.array_equal(getattr(state, name), getattr(rival, name)) for name in COUNTED)
    yield row(f"numba / C, scan, {nodes} nodes", statistics.median(in_numba) / statistics.median(in_c), "x", 1.3, False)
    yield row(f"same nodes and counters as C, {nodes} nodes", 100.0 * same, "%", 100, True)


def rule_rows(sizes: dict[int, int], runs: int) -> Iterator[Row]:
    """What constraints and preemption cost: pods that spread softly over nodes and zones, and an option that nobody needs."""
    for nodes, pods in sizes.items():
        fleet = mixed_fleet(nodes)
        trace = mixed_trace(fleet, pods)
        spread = spread_out(trace)
        kernel_s(first_pods(trace, 100), fleet, "1.36", preemption=True)
        plain = median_s(lambda t=trace, f=fleet: kernel_s(t, f, "1.36")[0], runs)
        ruled = median_s(lambda t=spread, f=fleet: kernel_s(t, f, "1.36")[0], min(runs, 3))
        ready = median_s(lambda t=trace, f=fleet: kernel_s(t, f, "1.36", preemption=True)[0], runs)
        yield row(f"pod with two soft spread constraints / plain pod, {nodes} nodes", ruled / plain, "x", RULED_AT_MOST[nodes], False)
        yield row(f"preemption on, none needed / off, {nodes} nodes", ready / plain, "x", 1.15, False)


def crossing_rows(pods: int, runs: int) -> Iterator[Row]:
    """Row 4: one control event per 100 pods, against the kernel alone."""
    fleet = mixed_fleet(40)
    trace = mixed_trace(fleet, pods)
    end = trace.hours * MS_PER_H

    def clock(env: simpy.Environment, gaps: list[int]) -> Iterator[simpy.Event]:
        for gap in gaps:
            yield env.timeout(gap)

    def hybrid() -> float:
        state = standing(trace, fleet, "1.36")
        env = HybridEnvironment(state)
        for k in range(100):
            gaps = np.random.default_rng(k).exponential(end * 100 / (pods / 100), pods // 10_000 * 2) + 1
            env.process(clock(env, gaps.astype(int).tolist()))
        start = time.process_time()
        env.run(until=end)
        return time.process_time() - start

    alone, crossed = zip(*((kernel_s(trace, fleet, "1.36")[0], hybrid()) for _ in range(runs)), strict=True)
    ratio = statistics.median(crossed) / statistics.median(alone)
    yield row("kernel with a control event per 100 pods / kernel alone", ratio, "x", 1.25, False)


def year_trace(hours: int, per_hour: float = 92.0) -> Trace:
    """Pods of about 2 h with a day and week cycle, 800 thousand a year."""
    rng = np.random.default_rng(3)
    at = np.sort(rng.random(int(per_hour * hours * 1.6))) * hours
    busy = (0.6 + 0.4 * np.sin((at % 24 - 8) / 24 * 2 * np.pi)) * np.where((at / 24).astype(int) % 7 >= 5, 0.6, 1.0)
    at = at[rng.random(at.size) < busy * 0.95]
    lasting = np.maximum(rng.lognormal(np.log(2 * MS_PER_H) - 0.5, 1.0, at.size), 1000).astype(np.int64)
    shapes = [PodShape(c, m, workload_class="batch") for c in (250, 500, 1000, 2000) for m in (512, 1024, 2048, 4096)]
    return trace_of(shapes, hours, (at * MS_PER_H).astype(np.int64), lasting, rng.integers(0, len(shapes), at.size))


def year_fleet() -> Fleet:
    """Ten private nodes and up to forty on AWS."""
    shape = NodeShape("n16", 16_000, 65_536, eviction_memory_mib=0)
    return Fleet((NodePool("own", "own", "x", shape, 10, 10, True, 10), NodePool("aws", "aws", "aws", shape, 0, 40, False)))


def autoscaler_rows(hours: int) -> Iterator[Row]:
    """Row 5: an autoscaler that looks every 10 s against one that sleeps through looks that cannot matter."""
    trace, fleet = year_trace(hours), year_fleet()
    seconds, logs = {}, {}
    for event_driven in (True, False):
        config = EngineConfig(
            provisioning={"aws": Provisioning(180, 180, 100)}, autoscaling=Autoscaling(10, 600, event_driven=event_driven)
        )
        run = prepare(trace, fleet, config, Streams(1))
        start = time.process_time()
        run.env.run(until=hours * MS_PER_H)
        seconds[event_driven] = time.process_time() - start
        logs[event_driven] = (run.recorder.scale_log, run.state.wait.tobytes(), run.state.placed.tobytes())
    yield row("polling / event-driven autoscaler", seconds[False] / seconds[True], "x", 10, True)
    yield row("same scale log, waits and placements", 100.0 * (logs[True] == logs[False]), "%", 100, True)


def process_rows(hours: int) -> Iterator[Row]:
    """Row 9: replications on two processes against one, with a helper that runs already, and with its start."""
    trace, fleet = year_trace(hours), year_fleet()
    config = EngineConfig(provisioning={"aws": Provisioning(65, 120, 100)}, failures=FailureModel(1.0), autoscaling=Autoscaling(10, 600))
    horizon = Horizon(datetime(2026, 1, 1, tzinfo=UTC), hours)

    def wall(**options: Any) -> float:
        start = time.perf_counter()
        replicate(trace, fleet, config, 1, horizon, 24, **options)
        return time.perf_counter() - start

    one = wall(workers=1)
    with Helpers(1) as helpers:
        helpers.ready()
        warm = wall(helpers=helpers)
    yield row("one process / two, 24 replications of a year", one / warm, "x", 1.8, True)
    yield row("the same with the start of the second process", one / wall(workers=2), "x", 1.5, True)


_COLD = """
import numpy as np
from simulator.engine.state import State
from simulator.engine.policies import POLICIES
from simulator.engine.trace import PodShape, trace_of
from models.fleet import Fleet, NodePool
from models.node import NodeShape
pool = NodePool("a", "a", "x", NodeShape("n", 4000, 8192), 1, 1, True)
trace = trace_of([PodShape(1000, 1024)], 2, np.array([5]), np.array([1000]), np.array([0]))
state = State(trace, Fleet((pool,)), POLICIES["default"], "1.36", tie_seed=0)
state.join(0, 0, pool.shape)
state.advance(3_600_000, False)
"""


def cold_start_rows(runs: int) -> Iterator[Row]:
    """Row 6: a new process up to the first advance, compiled code from the cache, against importing numpy and numba."""

    def process(code: str) -> float:
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        return time.perf_counter() - start

    process(_COLD)
    bare = median_s(lambda: process("import numpy, numba"), runs)
    yield row("cold start to the first advance / import of numpy and numba", median_s(lambda: process(_COLD), runs) / bare, "x", 3.5, False)
