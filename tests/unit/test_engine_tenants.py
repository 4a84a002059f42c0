"""Tenants in a run, and VMs that steal time from each other (cases A1 and A2)."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from models.demand import Demand
from models.horizon import Horizon
from models.resources import ResourceAxes
from models.scenario import Scenario, parse_scenario
from models.workload import Workload
from simulator import catalog
from simulator.engine.fleets import fleet_for
from simulator.engine.replicate import simulate
from simulator.engine.run import config_for, rules_for, run_once
from simulator.engine.tenants import tenants_of
from simulator.engine.trace import trace_from_demand
from simulator.streams import Streams

HOURS = 24
HORIZON = Horizon(datetime(2026, 1, 5, tzinfo=UTC), HOURS)


def demand_of(*workloads: Workload) -> Demand:
    axes = ResourceAxes()
    amount = np.stack([np.outer(w.replicas, [w.cpu_m, w.memory_mib, 1]) for w in workloads], axis=1).astype(np.float64)
    return Demand(HORIZON, axes, tuple(w.name for w in workloads), amount, workloads, "requests")


def service(name: str, replicas: list[int], cpu_m: int = 10_000) -> Workload:
    return Workload(name, name, cpu_m, 1024, np.array(replicas, np.int64))


def scenario_of(**zone: object) -> Scenario:
    part = {"name": "prod", "spare_nodes": 0, **zone}
    return parse_scenario({"scenario": "tenants", "zones": [part], "engine": {"failures": False, "replications": 1}}, "tenants")


def in_turn() -> Demand:
    """Two businesses of 12 pods of 10 cores, one by day, one by night: two servers of 6 such pods each would do for both."""
    return demand_of(service("day", [12] * 12 + [0] * 12), service("night", [0] * 12 + [12] * 12))


def test_pods_of_a_tenant_run_only_on_its_own_nodes_or_on_aws() -> None:
    scenario = scenario_of(tenants=2, tenancy="own_nodes")
    fleet = fleet_for(scenario, {"prod": 2})
    assert [(pool.name, pool.nodes) for pool in fleet.pools] == [("prod-t1", 1), ("prod-t2", 1), ("burst", 0)]
    assert fleet.pools[0].taints == ("placement.burstline.dev/tenant=t1:NoSchedule",)
    run = simulate(in_turn(), fleet, scenario, replications=1).first
    day, night = slice(1, 11), slice(13, 23)
    assert np.all(run.busy_pods_h[day, 0] == 6)  # a server of 62.82 cores holds 6 pods of 10
    assert np.all(run.busy_pods_h[day, 1] == 0)  # the other one stands idle: its owner sleeps
    assert np.all(run.busy_pods_h[night, 1] == 6)
    assert np.all(run.busy_pods_h[night, 0] == 0)
    assert np.all(run.busy_pods_h[day, 2] == 6)  # the rest bursts
    assert run.conservation_error < 1e-9


def test_shared_nodes_serve_whoever_comes() -> None:
    shared = scenario_of(tenants=2, tenancy="shared")
    for scenario in (shared, scenario_of(tenants=2)):
        fleet = fleet_for(scenario, {"prod": 2})
        assert [pool.name for pool in fleet.pools] == ["prod", "burst"]
        run = simulate(in_turn(), fleet, scenario, replications=1).first
        assert np.all(run.busy_pods_h[1:11, 0] == 12)
        assert run.burst_node_hours == 0
    own = scenario_of(tenants=2, tenancy="own_cluster")
    split = simulate(in_turn(), fleet_for(own, {"prod": 2}), own, replications=1).first
    assert split.burst_node_hours > 0  # the same two servers, split: peaks that do not meet are paid twice


def test_a_workload_is_split_where_there_are_more_tenants_than_workloads() -> None:
    scenario = scenario_of(tenants=4, tenancy="own_nodes")
    trace = trace_from_demand(demand_of(service("one", [10] * HOURS)), Streams(1), rules_for(scenario))
    assert np.bincount(trace.shape).tolist() == [3, 3, 2, 2]
    assert tenants_of(scenario_of(tenants=4)).count == 1


def test_clusters_of_their_own_need_masters_of_their_own() -> None:
    """Case A1: N workers on bare metal are N + 3 servers and an L4 pair; k clusters are 3 k masters."""

    def bought(**zone: object) -> dict[str, float]:
        scenario = scenario_of(**zone)
        build = catalog.zone_build(scenario.zones[0], catalog.parameters({}))
        return {line.item: line.quantity for line in build.purchases(20)}

    one = bought()
    assert one["worker server c64m512"] + one["master server"] == 20 + 3
    assert one["L4 appliance"] == 2
    assert bought(tenants=5)["master server"] == 15
    assert bought(tenants=5, tenancy="own_cluster")["master server"] == 15
    assert bought(tenants=5, tenancy="own_nodes")["master server"] == 3
    assert bought(tenants=5, tenancy="shared")["master server"] == 3


@pytest.mark.parametrize(("overcommit", "steal"), [(1.0, 0.0), (4.0, 0.375)])
def test_steal_of_overcommitted_vms_lengthens_what_jobs_take(overcommit: float, steal: float) -> None:
    """Case A2: 1 - 1 / (4 x 0.4) = 0.375 of the time is stolen; a VM of a quarter of its host loses 7.8 % to KVM."""
    vm = {"kind": "openstack_vm", "vm": "k8s.16c64g", "overcommit": overcommit}
    scenario = scenario_of(**vm)
    jobs = Workload("jobs", "ci", 1000, 512, np.array([40] + [0] * (HOURS - 1), np.int64), "batch")
    fleet = fleet_for(scenario, {"prod": 8})
    speed = fleet.pools[0].shape.speed
    assert speed == pytest.approx((1 - 0.078) * (1 - steal), abs=1e-3)
    trace = trace_from_demand(demand_of(jobs), Streams(1), rules_for(scenario))
    run = run_once(trace, fleet, config_for(fleet, scenario), Streams(1), horizon=HORIZON)
    core_hours = run.busy_cpu_h.sum()
    assert core_hours == pytest.approx(40 / speed, rel=1e-6)  # forty one-hour jobs hold their core for longer
    assert run.burst_node_hours == 0
