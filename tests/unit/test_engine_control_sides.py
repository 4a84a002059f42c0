"""Data between the sides, rolling upgrades, burst pools of several types, procurement: from a scenario to its figures."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from control_runs import MINUTE, burst, owned, pods, run
from models.control import DataPart, UpgradePart
from models.demand import Demand
from models.errors import ScenarioError, UnknownName
from models.horizon import Horizon
from models.resources import ResourceAxes
from models.scenario import Scenario, parse_scenario
from models.units import MS_PER_H
from models.workload import Workload
from simulator import catalog
from simulator.engine.egress import data_of, stays_with
from simulator.engine.fleets import fleet_for
from simulator.engine.replicate import simulate
from simulator.engine.run import config_for
from simulator.engine.trace import PodShape, trace_of
from simulator.finance.opponents import SIDES, hybrid
from simulator.pipeline.planning import with_egress


def scenario(**changes: object) -> Scenario:
    return catalog.load_scenario("half-private-40").varied({key.replace("__", "."): value for key, value in changes.items()})


def demand(hours: int = 6, replicas: int = 30, **more: object) -> Demand:
    """Two Deployments of five-core pods, constant."""
    flat = np.full(hours, replicas, np.int64)
    workloads = tuple(Workload(name, "ns", 5000, 8192, flat, **more) for name in ("archive", "web"))  # type: ignore[arg-type]
    requests = np.stack([np.stack([flat * 5000, flat * 8192, flat], axis=1)] * 2, axis=1).astype(np.float64)
    return Demand(Horizon(datetime(2026, 1, 5, tzinfo=UTC), hours), ResourceAxes(), ("archive", "web"), requests, workloads, "requests")


# -- data


def test_every_pod_hour_away_from_its_data_is_counted_where_and_when_it_ran() -> None:
    """Four pods at home on the owned node, three on AWS from 61 s to minute 151, each moving 2 GB an hour."""
    kind = PodShape(1000, 1024, fixed_end=True, data=(("data/private", 2000),))
    trace = trace_of([kind], 4, np.full(7, MINUTE), np.full(7, 150 * MINUTE), np.zeros(7, np.int64))
    result = run(trace, [owned("own", 4, 1), burst("aws", 4, 1)], "karpenter")
    running = 150 - 1 / 60  # AWS pods start one second later, when their batch has ended
    assert result.egress_gb_h[:, 0].tolist() == [0.0] * 4
    assert result.egress_gb == pytest.approx(3 * 2.0 * running / 60, rel=1e-9)
    assert result.egress_gb_h[1, 1] == pytest.approx(3 * 2.0, rel=1e-12)
    assert result.egress_gb_h[:, 1].tolist() == pytest.approx((result.busy_pods_h[:, 1] * 2.0).tolist(), rel=1e-12)
    assert result.busy_extended_h == {}


def test_data_on_aws_is_paid_by_pods_on_owned_nodes() -> None:
    kind = PodShape(1000, 1024, fixed_end=True, data=(("data/aws", 500),))
    trace = trace_of([kind], 2, np.full(4, 0), np.full(4, 60 * MINUTE), np.zeros(4, np.int64))
    result = run(trace, [owned("own", 4, 1), burst("aws", 4, 1)], "grid")
    assert result.egress_gb_h[0].tolist() == [pytest.approx(2.0), 0.0]


def test_only_named_workloads_move_data_and_pods_with_much_data_stay() -> None:
    """Two nodes of 12 pods for 60 pods: without a rule some archives burst, below a threshold of theirs none does."""
    base = {"engine__data": [{"workloads": "*/archive", "gb_per_pod_h": 3.0}], "engine__failures": False}
    free = simulate(demand(), fleet_for(s := scenario(**base), {"prod-bm": 2}), s, replications=1).first
    assert free.egress_gb > 0
    kept = scenario(**base, engine__data_stays_above_gb_per_pod_h=2.0)
    result = simulate(demand(), fleet_for(kept, {"prod-bm": 2}), kept, replications=1).first
    assert result.egress_gb == 0.0
    assert result.busy_pods_h[:, 0].max() <= 24
    high = scenario(**base, engine__data_stays_above_gb_per_pod_h=5.0)
    assert simulate(demand(), fleet_for(high, {"prod-bm": 2}), high, replications=1).first.egress_gb == pytest.approx(free.egress_gb)
    assert free.conservation_error < 1e-6


def test_the_first_entry_that_names_a_workload_counts() -> None:
    parts = (DataPart(workloads="ns/a*", gb_per_pod_h=1.0), DataPart(workload_class="ml", side="aws", gb_per_pod_h=9.0))
    flat = np.ones(1, np.int64)
    archive, train = Workload("archive", "ns", 1, 1, flat, "ml"), Workload("train", "ns", 1, 1, flat, "ml")
    assert data_of(archive, parts) is parts[0]
    assert data_of(train, parts) is parts[1]
    assert data_of(Workload("web", "ns", 1, 1, flat), parts) is None
    assert (stays_with(parts[0], 0.5), stays_with(parts[1], 0.5), stays_with(parts[0], 1.0)) == ("private", "burst", "")


# -- rolling upgrades


@pytest.mark.parametrize(("pods_running", "served"), [(156, True), (157, False), (160, False)])
def test_a_rolling_upgrade_of_forty_hosts_serves_all_demand_only_with_a_spare_host(pods_running: int, served: bool) -> None:
    """Forty hosts of four pods: with 156 pods one host is spare; one pod more has nowhere to go while a host is away.

    Forty turns of 30 minutes from hour 1 on last 20 hours.
    """
    trace = pods([(0, 24 * 60, pods_running)], hours=24)
    part = UpgradePart(zone="own", start_hour=1, at_once=1, minutes_per_node=30)
    result = run(trace, [owned("own", 4, 40)], "grid", upgrades=(part,))
    assert result.upgrades == (("own", MS_PER_H, 21 * MS_PER_H),)
    assert bool(result.pending_cpu_h.sum() == 0.0) is served
    assert result.evictions_by["upgrade"] >= 150
    assert result.conservation_error < 1e-9
    assert result.node_hours.sum() == pytest.approx(40 * 24 - 40 * 0.5)


def test_an_upgrade_of_four_at_once_takes_a_quarter_of_the_time_and_four_spares() -> None:
    part = UpgradePart(zone="own", start_hour=1, at_once=4, minutes_per_node=30)
    for count, served in ((144, True), (145, False)):
        result = run(pods([(0, 12 * 60, count)], hours=12), [owned("own", 4, 40)], "grid", upgrades=(part,))
        assert result.upgrades == (("own", MS_PER_H, 6 * MS_PER_H),)
        assert bool(result.pending_cpu_h.sum() == 0.0) is served


def test_what_an_upgrade_displaces_may_burst() -> None:
    part = UpgradePart(zone="own", start_hour=1, minutes_per_node=30)
    result = run(pods([(0, 12 * 60, 8)], hours=12), [owned("own", 4, 2), burst("aws", 4, 4)], "karpenter", upgrades=(part,))
    assert result.burst_node_hours > 0.4
    assert result.pending_cpu_h.sum() < 0.01


# -- burst pools, procurement, idle reclaim, contradictions


def test_pools_of_a_scenario_become_types_with_prices_and_shares() -> None:
    pool = {"name": "flex", "instance_types": ["m5.2xlarge", "c5.4xlarge"], "max_nodes": 10, "spot_share": 0.3, "weight": 7}
    chosen = scenario(aws__pools=[pool])
    rented = {p.name: p for p in fleet_for(chosen, {"prod-bm": 1}).pools if not p.private}
    assert {name: p.max_nodes for name, p in rented.items()} == {
        "flex-m5.2xlarge": 7, "flex-m5.2xlarge-spot": 3, "flex-c5.4xlarge": 7, "flex-c5.4xlarge-spot": 3,
    }  # fmt: skip
    listed = catalog.on_demand_usd_per_h("m5.2xlarge", "ap-northeast-2")
    assert rented["flex-m5.2xlarge"].usd_per_h == listed
    assert rented["flex-m5.2xlarge-spot"].usd_per_h == pytest.approx(listed * 0.32)
    assert {p.group_max for p in rented.values()} == {10}
    config = config_for(fleet_for(chosen, {}), chosen)
    assert config.autoscaler == "karpenter"
    assert set(config.risks) == {"flex-m5.2xlarge-spot", "flex-c5.4xlarge-spot"}


def test_a_year_with_several_types_costs_less_than_with_one() -> None:
    pool = {"name": "flex", "instance_types": ["m5.4xlarge", "m5.2xlarge", "c5.4xlarge"], "max_nodes": 60}
    many, one = scenario(aws__pools=[pool]), scenario(engine__rules="real")
    cost = [simulate(demand(24), fleet_for(s, {"prod-bm": 3}), s, replications=1).first for s in (many, one)]
    assert 0 < cost[0].burst_usd < cost[1].burst_usd
    assert all(result.unplaced == 0 for result in cost)


def test_bought_nodes_stand_after_the_lead_time_and_existing_ones_from_the_start() -> None:
    zone = {"name": "prod-bm", "existing_nodes": 2, "lead_time_weeks": 1.0}
    chosen = scenario(zones=[zone], engine__procurement="lead_time")
    pools = fleet_for(chosen, {"prod-bm": 5}).pools
    assert [(p.name, p.nodes, p.from_hour) for p in pools if p.private] == [("prod-bm", 2, 0), ("prod-bm-bought", 3, 168)]
    assert [p.nodes for p in fleet_for(scenario(zones=[zone]), {"prod-bm": 5}).pools if p.private] == [5]
    result = simulate(demand(200), fleet_for(chosen, {"prod-bm": 5}), chosen, replications=1).first
    own = np.asarray(result.private)
    assert result.node_hours[10, own].sum() == pytest.approx(2.0)
    assert result.node_hours[180, own].sum() == pytest.approx(5.0)


def test_idle_servers_are_returned_to_the_pool_and_come_back_when_asked() -> None:
    """An Ironic zone of five servers that keeps one: reclaimed while idle, deployed again for the load."""
    zone = {"name": "iron", "kind": "ironic", "server": "c64m512", "min_nodes": 1}
    chosen = scenario(zones=[zone], engine__failures=False)
    assert [(p.nodes, p.max_nodes) for p in fleet_for(chosen, {"iron": 5}).pools if p.private] == [(1, 5)]
    quiet = demand(12, replicas=1)
    result = simulate(quiet, fleet_for(chosen, {"iron": 5}), chosen, replications=1).first
    assert result.node_hours[:, 0].sum() == pytest.approx(12.0)  # four of five servers are free for other clusters
    busy = simulate(demand(12, replicas=20), fleet_for(chosen, {"iron": 5}), chosen, replications=1).first
    assert busy.node_hours[:, 0].max() > 3


def test_contradictions_are_all_named_at_once() -> None:
    chosen = scenario(
        engine__autoscaler="cluster_autoscaler", engine__return_to_private="consolidation",
        engine__upgrades=[{"zone": "prod-bn", "start_hour": 1}], engine__karpenter={"budgets": [{"nodes": "1", "schedule": "soon"}]},
    )  # fmt: skip
    with pytest.raises(ScenarioError) as caught:
        config_for(fleet_for(chosen, {}), chosen)
    assert len(caught.value.problems) == 3
    with pytest.raises(ScenarioError, match="five fields"):
        bad = scenario(engine__karpenter={"budgets": [{"nodes": "1", "schedule": "soon", "duration_h": 2}]})
        config_for(fleet_for(bad, {}), bad)
    with pytest.raises(UnknownName):
        wrong = scenario(aws__pools=[{"name": "p", "instance_types": ["m5.4xlrge"]}])
        fleet_for(wrong, {})


def test_a_misspelt_field_of_a_pool_or_a_budget_is_refused_with_its_place() -> None:
    with pytest.raises(ScenarioError, match="spot_shares"):
        parse_scenario({"scenario": "x", "aws": {"pools": [{"name": "p", "instance_types": ["m5.4xlarge"], "spot_shares": 0.5}]}}, "x.yaml")
    with pytest.raises(ScenarioError, match="budgets"):
        parse_scenario({"scenario": "x", "engine": {"karpenter": {"budgets": [{"nodes": "half"}]}}}, "x.yaml")


def test_the_defaults_keep_the_simple_autoscaler() -> None:
    chosen = scenario()
    config = config_for(fleet_for(chosen, {"prod-bm": 3}), chosen)
    assert (config.autoscaler, config.consolidates, config.descheduler, dict(config.wait), config.upgrades) == ("grid", False, None, {}, ())


def test_what_pods_move_becomes_a_yearly_line_of_the_hybrid() -> None:
    """6 simulated hours stand for a year: x 1460, at the internet's price of 0.126 USD a gigabyte without a Direct Connect port."""
    chosen = scenario(engine__data=[{"workloads": "*", "gb_per_pod_h": 0.5}], engine__failures=False)
    outcome = simulate(demand(), fleet_for(chosen, {"prod-bm": 3}), chosen, replications=1)
    moved = outcome.first.egress_gb
    assert moved == pytest.approx(float(outcome.first.busy_pods_h[:, 1].sum()) * 0.5)
    case = with_egress(catalog.case(chosen, demand()), outcome)
    lines = {line.item: line.usd_per_year for line in hybrid(case, {"prod-bm": 3}).lines}
    assert lines[SIDES] == pytest.approx(moved * 1460 * 0.126)
    assert SIDES not in {line.item for line in hybrid(catalog.case(chosen, demand()), {"prod-bm": 3}).lines}
    over_link = scenario(parameters={**chosen.parameters, "direct_connect_ports": 2})
    assert catalog.case(over_link, demand()).egress_usd_per_gb == 0.042


def test_two_processes_give_the_bytes_of_one_with_every_control_process_on() -> None:
    pool = {"name": "flex", "instance_types": ["m5.4xlarge", "m5.2xlarge"], "max_nodes": 60, "spot_share": 0.5}
    chosen = scenario(
        aws__pools=[pool], engine__return_to_private="consolidation", engine__spot_interruptions_per_h=0.3,
        engine__upgrades=[{"zone": "prod-bm", "start_hour": 3}], engine__wait={"batch": {"policy": "cost", "factor": 0.1}},
    )  # fmt: skip
    fleet = fleet_for(chosen, {"prod-bm": 3})
    one, two = (simulate(demand(24), fleet, chosen, replications=2, workers=workers) for workers in (1, 2))
    for a, b in zip(one.runs, two.runs, strict=True):
        assert a.scale_log == b.scale_log
        assert a.evictions_by == b.evictions_by
        assert np.array_equal(a.wait_ms, b.wait_ms)
    assert one.runs[0].scale_log != one.runs[1].scale_log
    assert one.runs[0].evictions_by["upgrade"] > 0
    assert sum(one.runs[0].evictions_by.values()) == one.runs[0].evictions
