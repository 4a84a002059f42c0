"""Whole runs: the pinned half, supply and autoscaling by the clock, determinism, and what a summary says."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from models.demand import Demand
from models.errors import MetricsError, UnknownName
from models.fleet import Fleet, NodePool
from models.horizon import Horizon
from models.node import NodeShape
from models.outcome import NODE_STATES, Interval, RunResult
from models.resources import ResourceAxes
from models.units import MS_PER_H
from models.workload import Workload
from models.zones import Provisioning
from simulator import catalog
from simulator.engine.config import Autoscaling, CloudRisk, EngineConfig, FailureModel
from simulator.engine.fleets import fleet_for
from simulator.engine.provisioning import lognormal_s
from simulator.engine.replicate import replicate, simulate
from simulator.engine.run import pinned_holds, run_once
from simulator.engine.summary import summary, write_outcome
from simulator.engine.trace import DemandRules, PodShape, trace_from_demand, trace_of
from simulator.streams import Streams

WEEKDAY = "06 05 05 05 05 06 08 12 30 62 78 80 56 74 80 80 79 74 55 40 30 22 15 09"
WEEKEND = "04 03 03 03 03 03 04 05 07 10 12 12 10 11 12 12 12 11 09 08 07 06 05 04"


def company(days: int = 14) -> Demand:
    """The shipped case's calendar: five teams of 200 developers, 5 vCPU while active."""
    percent = " ".join(WEEKDAY if day % 7 < 5 else WEEKEND for day in range(days)).split()
    active = 2 * np.array(percent, dtype=np.int64)
    workloads = tuple(Workload(f"workspace-{k}", f"team-{k}", 5000, 8192, active, users=200) for k in range(5))
    requests = np.stack([np.stack([active * 5000, active * 8192, active], axis=1)] * 5, axis=1).astype(np.float64)
    return Demand(
        Horizon(datetime(2025, 1, 5, 15, tzinfo=UTC), days * 24),
        ResourceAxes(),
        tuple(w.name for w in workloads),
        requests,
        workloads,
        "requests",
    )


def small_pool(nodes: int, most: int, *, private: bool = False, name: str = "pool", from_hour: int = 0) -> NodePool:
    """Nodes of 4 cores for pods of 1 core."""
    return NodePool(name, name, "x", NodeShape("n4", 4000, 16_484), nodes, most, private, from_hour=from_hour)


def pods_at(minutes: list[float], last_minutes: float, hours: int = 4, *, fixed_end: bool = False):  # type: ignore[no-untyped-def]
    arrival = np.array(minutes) * 60_000
    return trace_of(
        [PodShape(1000, 1024, fixed_end=fixed_end)],
        hours,
        arrival,
        np.full(arrival.size, last_minutes * 60_000),
        np.zeros(arrival.size, int),
    )


def run(trace, pool: NodePool, **settings) -> RunResult:  # type: ignore[no-untyped-def]
    config = EngineConfig(ties="lowest", **settings)
    return run_once(trace, Fleet((pool,)), config, Streams(1), horizon=Horizon(datetime(2026, 1, 5, tzinfo=UTC), trace.hours))


def test_the_pinned_half_holds_at_36_nodes_and_fails_at_35() -> None:
    """400 pods of 5 vCPU at the peak; 62.82 schedulable vCPU take 12 (60 / 62.82 = 0.955); 34 x 12 = 408, 33 x 12 = 396."""
    demand, server = company(), catalog.server("c64m512")
    assert server.schedulable_cpu_m == 62_820
    for version in ("1.35", "1.36"):
        holds, packing = pinned_holds(demand, server, 36, 2, 0.5, version)
        assert holds
        assert packing == pytest.approx(60 / 62.82, abs=1e-12)
        assert pinned_holds(demand, server, 35, 2, 0.5, version) == (False, pytest.approx(60 / 62.82, abs=1e-12))


def test_replicas_become_pods_that_leave_newest_first() -> None:
    """2, 3, 1 replicas: the third pod lives one hour, the second two, the first until the end."""
    workload = Workload("w", "n", 1000, 1024, np.array([2, 3, 1, 1]))
    demand = Demand(Horizon(datetime(2026, 1, 5, tzinfo=UTC), 4), ResourceAxes(), ("w",), np.zeros((4, 1, 3)), (workload,), "requests")
    trace = trace_from_demand(demand, Streams(1))
    assert (trace.arrival_ms // MS_PER_H).tolist() == [0, 0, 1]
    assert (trace.duration_ms // MS_PER_H).tolist() == [4, 2, 1]
    assert (trace.asked_cpu_ms() // MS_PER_H).tolist() == [2000, 3000, 1000, 1000]


def test_a_bill_without_workloads_is_refused() -> None:
    demand = Demand(Horizon(datetime(2026, 1, 5, tzinfo=UTC), 1), ResourceAxes(), (), np.zeros((1, 0, 3)), (), "bill")
    with pytest.raises(MetricsError, match="no workloads"):
        trace_from_demand(demand, Streams(1))


def test_bad_pods_are_all_named_at_once() -> None:
    with pytest.raises(MetricsError) as caught:
        trace_of([PodShape(0, 1)], 1, np.array([-1]), np.array([0]), np.array([0]))
    assert len(caught.value.problems) == 3


def test_pinned_users_never_cross() -> None:
    demand = company(2)
    trace = trace_from_demand(demand, Streams(1), DemandRules(pinned_share=0.5))
    homes = np.array([shape.home for shape in trace.shapes])[trace.shape]
    assert set(homes) == {"private", "burst"}
    assert np.sum(homes == "private") == np.sum(homes == "burst") == trace.pods / 2


def test_a_pod_that_finds_no_room_waits_for_the_look_and_the_launch() -> None:
    """It arrives at 00:01:03; the next look is at 00:01:10; the launch takes 65 s exactly: a wait of 72 s.

    The node is empty from 135 s + 30 min = 1935 s on; ten minutes later is 2535 s, the next look 2540 s.
    """
    times = {"pool": Provisioning(65, 65, 10)}
    result = run(pods_at([1.05], 30), small_pool(0, 5), provisioning=times, autoscaling=Autoscaling(10, 600))
    assert result.wait_ms.tolist() == [72_000]
    assert result.scale_log == ((70_000, 1, "pool"), (2_540_000, -1, "pool"))
    assert result.scale_out_s["pool"].tolist() == [65.0]


def test_a_waiting_budget_gives_owned_nodes_time_to_free_up() -> None:
    """The node frees up 30 min after minute 1; a pod of minute 20 that may wait 15 min never needs a new node."""
    times = {"pool": Provisioning(65, 65, 10)}
    trace = pods_at([1.0] * 4 + [20.0], 30)
    patient = run(trace, small_pool(1, 3), provisioning=times, autoscaling=Autoscaling(10, 600, patience_s=900.0))
    hasty = run(trace, small_pool(1, 3), provisioning=times, autoscaling=Autoscaling(10, 600))
    assert patient.scale_log == ()
    assert patient.wait_ms.tolist()[-1] == 11 * 60_000
    assert hasty.wait_ms.tolist()[-1] == 75_000
    rushed = run(trace, small_pool(1, 3), provisioning=times, autoscaling=Autoscaling(10, 600, patience_s=300.0))
    assert rushed.wait_ms.tolist()[-1] == 365_000


def test_a_queue_is_worth_as_many_nodes_as_its_pods_fill() -> None:
    """Nine pods of 1 core on nodes that hold four (4 x 1 GiB of 15.9 GiB): three nodes in one look, never more than the maximum."""
    assert sum(change > 0 for _, change, _ in run(pods_at([1.0] * 9, 30), small_pool(0, 5)).scale_log) == 3
    assert sum(change > 0 for _, change, _ in run(pods_at([1.0] * 9, 30), small_pool(0, 2)).scale_log) == 2


def test_deployments_queue_for_their_limit_and_servers_are_cleaned_before_their_next_life() -> None:
    """Three servers, one deployment at a time of 10 min: ready 10, 20 and 30 min after the look at 00:01:10."""
    times = {"pool": Provisioning(600, 600, 1, clean_p50_s=300, clean_p95_s=300)}
    result = run(pods_at([1.05] * 12, 60), small_pool(0, 3), provisioning=times)
    assert result.scale_out_s["pool"].tolist() == [600.0, 1200.0, 1800.0]
    hours = dict(zip(NODE_STATES, result.node_state_h.sum(axis=(0, 1)), strict=True))
    assert hours["provisioning"] == pytest.approx((600 + 1200 + 1800) / 3600)
    assert hours["cleaning"] == pytest.approx((300 + 600 + 900 - 300 - 600) / 3600, abs=0.2)
    assert sum(hours.values()) == pytest.approx(3 * 4)


def test_a_failed_first_attempt_takes_one_more_deployment() -> None:
    times = {"pool": Provisioning(600, 600, 9, first_attempt_share=0.0)}
    assert run(pods_at([1.05], 60), small_pool(0, 1), provisioning=times).scale_out_s["pool"].tolist() == [1200.0]


def test_a_cloud_without_capacity_is_asked_again_when_its_refusal_has_aged() -> None:
    """Always refused: looks at 70 s, then at the first grid point 180 s after each refusal, 250, 430, ... for two hours."""
    result = run(pods_at([1.05], 30, hours=2), small_pool(0, 5), cloud=CloudRisk(insufficient_share=1.0, retry_s=180.0))
    orders = [ms // 1000 for ms, change, _ in result.scale_log if change > 0]
    assert orders[:3] == [70, 250, 430]
    assert result.orders_refused == len(orders)
    assert result.unplaced == 1
    assert result.node_hours.sum() == 0


def test_spot_nodes_are_taken_back_together_and_their_jobs_start_over() -> None:
    risk = CloudRisk(interruptions_per_h=1.0, co_interruption_share=1.0)
    result = run(pods_at([1.0] * 8, 60, hours=24), small_pool(0, 4), cloud=risk)
    assert result.interruptions >= 2
    assert result.evictions >= 2
    assert result.unplaced == 0
    assert result.conservation_error < 1e-9
    paid = result.node_state_h[:, 0, NODE_STATES.index("cleaning")].sum()
    assert paid == pytest.approx(result.interruptions * 120 / 3600, abs=1e-6)


def test_a_build_step_stands_from_its_hour() -> None:
    result = run(pods_at([1.0], 600, hours=6), small_pool(2, 2, private=True, from_hour=3))
    assert result.node_hours[:, 0].tolist() == [0, 0, 0, 2, 2, 2]
    assert result.wait_ms.tolist() == [3 * MS_PER_H - 60_000]


def test_a_failed_node_s_pods_wait_and_a_job_starts_over() -> None:
    """Certain failures, half an hour of repair: the only node is away as long as the pods wait."""
    model = FailureModel(per_year=20_000, repair_p50_h=0.5, repair_p95_h=0.5)
    result = run(pods_at([1.0] * 3, 10, hours=24), small_pool(1, 1, private=True), failures=model)
    down = result.node_state_h[:, 0, NODE_STATES.index("down")].sum()
    assert result.failures > 10
    assert down == pytest.approx(0.5 * result.failures, abs=0.5)
    assert result.evictions > 0
    assert result.conservation_error < 1e-9


def test_a_replica_that_waits_past_its_end_was_never_placed() -> None:
    result = run(pods_at([1.0] * 5, 30, fixed_end=True), small_pool(1, 1, private=True))
    assert sorted(result.wait_ms.tolist()) == [-1, 0, 0, 0, 0]
    assert result.unplaced == 1
    assert result.conservation_error < 1e-9
    assert result.pending_cpu_h.sum() == pytest.approx(0.5)


def test_private_nodes_fill_before_burst_nodes_and_order_is_the_fleet_s() -> None:
    scenario = catalog.load_scenario("half-private-40")
    fleet = fleet_for(scenario, {"prod-bm": 40})
    outcome = simulate(company(3), fleet, scenario, replications=1)
    result = outcome.first
    assert result.pools == ("prod-bm", "burst")
    grows = np.diff(result.busy_cpu_h[:, 1], prepend=0) > 0
    assert grows.any()
    assert np.all(result.busy_cpu_h[grows, 0] == pytest.approx(40 * 60))  # 12 pods of 5 cores each
    assert result.packing_share["prod-bm"] == pytest.approx(60 / 62.82, abs=1e-9)
    assert result.conservation_error < 1e-9
    with pytest.raises(UnknownName, match="prod-bn"):
        fleet_for(scenario, {"prod-bn": 1})


def test_two_processes_give_the_bytes_of_one() -> None:
    scenario = catalog.load_scenario("half-private-40").varied({"engine.horizon_hours": 72})
    fleet = fleet_for(scenario, {"prod-bm": 30})
    one = simulate(company(3), fleet, scenario, replications=2, workers=1)
    two = simulate(company(3), fleet, scenario, replications=2, workers=2)
    assert json.dumps(summary(one)) == json.dumps(summary(two))
    for a, b in zip(one.runs, two.runs, strict=True):
        assert np.array_equal(a.wait_ms, b.wait_ms)
        assert a.scale_log == b.scale_log
    assert not np.array_equal(one.runs[0].wait_ms, one.runs[1].wait_ms)


class Impatient:
    """A shell whose user stops on the second simulated day."""

    def __init__(self) -> None:
        self.days = 0

    def stage(self, name: str, total: int) -> None:
        assert (name, total) == ("simulate", 28)

    def advance(self, steps: int = 1) -> None:
        self.days += steps
        if self.days >= 2:
            raise KeyboardInterrupt


@pytest.mark.parametrize("workers", [1, 2])
def test_a_shell_stops_a_run_cleanly(workers: int) -> None:
    scenario = catalog.load_scenario("half-private-40")
    trace = trace_from_demand(company(), Streams(1))
    with pytest.raises(KeyboardInterrupt):
        replicate(
            trace, fleet_for(scenario, {"prod-bm": 30}), EngineConfig(), 1, company().horizon, 2, progress=Impatient(), workers=workers
        )


def test_a_summary_has_its_keys_and_files_and_repeats_its_bytes(tmp_path: Path) -> None:
    scenario = catalog.load_scenario("half-private-40")
    outcome = simulate(company(3), fleet_for(scenario, {"prod-bm": 30}), scenario, replications=2)
    document = summary(outcome)
    assert set(document["zones"]["prod-bm"]) == {"node_hours", "utilisation", "pods_placed", "failures", "kwh"}
    assert {"pending_s", "burst_node_hours", "failures", "conservation_error", "pods"} <= set(document)
    assert document["zones"]["prod-bm"]["node_hours"] == pytest.approx(72 * 30, rel=0.01)
    texts = [[path.read_bytes() for path in write_outcome(outcome, tmp_path / name)] for name in ("a", "b")]
    assert texts[0] == texts[1]
    table = pq.read_table(tmp_path / "a" / "hourly.parquet").to_pydict()
    assert len(table["hour"]) == 72 * 2
    assert sum(table["nodes_up"]) == pytest.approx(outcome.first.node_hours.sum())


def test_an_interval_needs_two_replications() -> None:
    assert Interval.of([4.0]) == Interval(4.0, 0.0)
    wide = Interval.of([1.0, 3.0])  # 12.706205 x sqrt(2) / sqrt(2)
    assert wide.half_width == pytest.approx(12.706205)


def test_a_log_normal_goes_through_its_median_and_p95() -> None:
    rng = Streams(3)("x")
    draws = np.array([lognormal_s(rng, 65.0, 120.0) for _ in range(40_000)])
    assert np.percentile(draws, [50, 95]) == pytest.approx([65.0, 120.0], rel=0.02)
