"""Old servers: failures by age, energy by zone, and what they cost against new ones (case D4)."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import numpy as np
import pytest
from click.testing import CliRunner

from models.energy import energy_by_hour_kwh, power_by_hour_w, power_w
from models.errors import ScenarioError
from models.fleet import Fleet, NodePool
from models.generations import failures_at
from models.horizon import Horizon
from models.node import NodeShape
from models.outcome import NODE_STATES, Outcome, RunResult
from models.units import MS_PER_H
from simulator import catalog
from simulator.cli.finance import command as finance
from simulator.engine.config import EngineConfig, FailureModel
from simulator.engine.fleets import fleet_for
from simulator.engine.run import config_for, run_once
from simulator.engine.summary import hourly_columns, pending_columns, summary
from simulator.engine.trace import PodShape, trace_of
from simulator.streams import Streams

OLD = NodeShape("old", 10_000, 65_536, eviction_memory_mib=0, watts_idle=150, watts_peak=420, speed=0.5)
NEW = NodeShape("new", 10_000, 65_536, eviction_memory_mib=0, watts_idle=100, watts_peak=300)
RENTED = NodeShape("rented", 10_000, 65_536, eviction_memory_mib=0)


def run_on(shape: NodeShape, pods: list[tuple[int, int, int]], hours: int = 4, config: EngineConfig | None = None) -> RunResult:
    """`pods` are (millicores, first hour, hours) services on one node of `shape`."""
    shapes = [PodShape(cpu, 1024, fixed_end=True) for cpu, _, _ in pods]
    begin, lasting = (np.array([pod[k] for pod in pods]) * MS_PER_H for k in (1, 2))
    trace = trace_of(shapes, hours, begin, lasting, np.arange(len(pods)))
    fleet = Fleet((NodePool("own", "seoul", "x", shape, 1, 1, True),))
    return run_once(trace, fleet, config or EngineConfig(), Streams(1), horizon=Horizon(datetime(2026, 1, 5, tzinfo=UTC), hours))


def test_power_is_a_straight_line_from_idle_to_peak() -> None:
    assert [power_w(150, 420, share) for share in (0.0, 0.5, 1.0)] == [150, 285, 420]
    assert 15 * 60 * power_w(100, 200, 0.5) + 5 * 60 * power_w(100, 200, 0.0) == 15 * 60 * 150 + 5 * 60 * 100  # with a pause for repair
    assert 10 * 60 * power_w(100, 200, 0.5) + 5 * 60 * power_w(100, 200, 1.0) == 150_000  # two tasks, one at full speed
    assert 3.5 * power_w(0.4, 1.0, 10 / 30) + 6.5 * power_w(0.4, 1.0, 0) == pytest.approx(4.7)  # a VM of 10 of 30 cores: 1 + 2 + 0.5 s


def test_energy_follows_the_requested_cores_hour_by_hour() -> None:
    run = run_on(OLD, [(5000, 1, 2), (5000, 2, 1)])
    assert power_by_hour_w(run)[:, 0].tolist() == [150, 285, 420, 150]  # idle, half, full, idle
    assert energy_by_hour_kwh(run).sum() == pytest.approx(1.005)
    assert summary(Outcome((run,)))["zones"]["seoul"]["kwh"] == pytest.approx(1.005)
    assert hourly_columns(run)["kwh"].tolist() == pytest.approx([0.15, 0.285, 0.42, 0.15])
    assert energy_by_hour_kwh(run_on(RENTED, [(5000, 1, 2)])).sum() == 0.0


def test_a_server_under_repair_draws_nothing() -> None:
    config = EngineConfig(failures=FailureModel(per_year=8760.0, repair_p50_h=5.0, repair_p95_h=5.0))  # it fails within an hour or so
    run = run_on(OLD, [(1000, 0, 48)], 48, config)
    up, down = (run.node_state_h[:, 0, NODE_STATES.index(name)] for name in ("up", "down"))
    assert run.failures == run.pool_failures[0] > 3
    assert down.sum() > 20
    assert up + down == pytest.approx(np.ones(48))
    assert power_by_hour_w(run)[:, 0] == pytest.approx(150 * up + 270 * run.busy_cpu_h[:, 0] / 10)


def test_hourly_tables_add_up_by_pool_class_and_state() -> None:
    run = run_on(NEW, [(6000, 0, 3), (6000, 1, 2), (2000, 1, 1)])
    columns, waiting = hourly_columns(run), pending_columns(run)
    for what in ("requested_cores", "requested_memory_mib", "pods"):
        assert sum(columns[f"{what}_{name}"] for name in run.classes) == pytest.approx(columns[what])
    assert sum(columns[f"nodes_{name}"] for name in NODE_STATES) == pytest.approx(np.ones(4))
    assert sum(waiting[f"pending_cores_{name}"] for name in run.classes) == pytest.approx(waiting["pending_cores"])
    assert columns["requested_cores"] + waiting["pending_cores"] == pytest.approx(waiting["asked_cores"])
    assert waiting["pending_cores"].tolist() == [0, 6, 6, 0]  # the second pod of 6 cores never finds room


def test_failures_by_age_reach_the_engine_zone_by_zone() -> None:
    young = catalog.load_scenario("half-private-40")
    old = young.varied({"zones.0.age_years": 7.0})
    fleet = fleet_for(old, {"prod-bm": 10})
    assert config_for(fleet, young).pool_failures == {}
    # 0.04 x (1 + 1.71 x (7 - 5) / (10.25 - 5))
    assert config_for(fleet, old).pool_failures["prod-bm"].per_year == pytest.approx(0.04 * (1 + 1.71 * 2 / 5.25))
    assert failures_at(0.04, 4.0, catalog.parameters({})) == 0.04
    assert config_for(fleet, old.varied({"engine.failures": False})).pool_failures == {}


def test_old_servers_fail_more_often_than_new_ones_beside_them() -> None:
    fleet = Fleet((NodePool("old", "old", "x", OLD, 200, 200, True), NodePool("new", "new", "x", NEW, 200, 200, True)))
    trace = trace_of([PodShape(100, 100)], 8760, np.array([0]), np.array([1000]), np.array([0]))
    config = EngineConfig(failures=FailureModel(1.0, 1.0, 1.0), pool_failures={"old": FailureModel(3.0, 1.0, 1.0)})
    run = run_once(trace, fleet, config, Streams(1), horizon=Horizon(datetime(2026, 1, 5, tzinfo=UTC), 8760))
    old, new = run.pool_failures.tolist()
    assert old == pytest.approx(600, abs=4 * 600**0.5)  # Poisson: 200 servers, 3 a year each
    assert new == pytest.approx(200, abs=4 * 200**0.5)
    assert run.failures == old + new


def asked(*overrides: str) -> dict[str, object]:
    result = CliRunner().invoke(finance, ["placement", "--override", "reused-2019", "--json", *overrides])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)["generations"][0]  # type: ignore[no-any-return]


def test_seven_year_old_servers_cost_less_capital_and_more_power_and_failures() -> None:
    found = asked()
    old, new = found["old"], found["new"]
    assert (found["zone"], found["age_years"]) == ("prod", 7.0)
    assert (old["servers"], new["servers"]) == (20, 15)  # 0.75 of the speed
    assert (old["capex_usd"], new["capex_usd"]) == (0, 15 * 12_000)
    watts = 191 + (404 - 191) * (0.625 * 420 - 150) / (420 - 150)
    assert old["energy_kwh_per_year"] == pytest.approx(20 * watts / 1000 * 8760 * 1.58)
    assert old["energy_kwh_per_year"] > 1.4 * new["energy_kwh_per_year"]
    assert old["failures_per_year"] == pytest.approx(20 * 0.04 * (1 + 1.71 * 2 / 5.25))
    assert new["failures_per_year"] == pytest.approx(15 * 0.04)
    assert old["failure_usd_per_year"] > new["failure_usd_per_year"]
    assert "every age" in found["crossover_age_years"]["unknown"]  # on these prices it pays to keep them


def test_the_crossover_is_the_first_age_at_which_new_servers_cost_less() -> None:
    from simulator.catalog import case, load_scenario
    from simulator.finance.generations import generations
    from simulator.pipeline.inputs import load_demand

    scenario = load_scenario("placement", "reused-2019").varied(
        {"parameters": {"failure_repair_usd": 3000, "server_down_failures_per_year": 0.08, "ageing_factor": 4.0, "server_usd": 8000,
                        "colocation_usd_per_kw_month": 450, "energy_krw_per_kwh": 155, "third_party_maintenance_usd_per_year": 500}}
    )  # fmt: skip
    found = generations(case(scenario, load_demand(scenario)))[0]
    later = [(age, old, new) for age, old, new in found.years if old > new]
    assert found.crossover_age == later[0][0]
    assert 7 < found.crossover_age < 22
    assert all(age < found.crossover_age for age, old, new in found.years if old <= new)
    assert all(b[1] > a[1] for a, b in zip(found.years, found.years[1:], strict=False))  # old servers get dearer every year


DGX = {"name": "dgx-a100", "threads": 256, "memory_gib": 1024, "extended": {"nvidia.com/gpu": 8}, "watts_idle": 1500, "watts_peak": 6500}


def test_every_gpu_adds_its_failures_to_the_server_s() -> None:
    farm = catalog.load_scenario("half-private-40").varied({"zones.0.own_server": DGX})
    fleet = fleet_for(farm, {"prod-bm": 4})
    assert config_for(fleet, farm).pool_failures["prod-bm"].per_year == pytest.approx(0.04 + 8 * 0.106)
    assert config_for(fleet, farm.varied({"engine.failures": False})).pool_failures == {}


@pytest.mark.parametrize(("racks", "rack_kw", "most"), [(8, 10.0, 8), (8, 14.0, 16), (0, 10.0, 0)])
def test_the_power_of_the_racks_limits_the_servers(racks: int, rack_kw: float, most: int) -> None:
    """Case G8: eight racks of 10 kW hold one server of 6.5 kW each."""
    part = catalog.load_scenario("half-private-40").varied(
        {"zones.0.own_server": DGX, "zones.0.racks": racks, "zones.0.rack_kw": rack_kw}
    ).zones[0]  # fmt: skip
    assert catalog.zone_build(part, catalog.parameters({})).part.max_nodes == most
    fewer = part.model_copy(update={"max_nodes": 3})
    assert catalog.zone_build(fewer, catalog.parameters({})).part.max_nodes == min(3, most)


def test_a_server_that_no_rack_can_feed_is_refused() -> None:
    part = catalog.load_scenario("half-private-40").varied({"zones.0.own_server": DGX, "zones.0.racks": 8}).zones[0]
    with pytest.raises(ScenarioError, match="6500 W in a rack of 6 kW"):
        catalog.zone_build(part, catalog.parameters({}))


def test_a_plan_stays_within_its_racks() -> None:
    from simulator.catalog import case, load_scenario
    from simulator.pipeline.inputs import load_demand
    from simulator.planner.recommend import recommend

    scenario = load_scenario("half-private-40").varied({"zones.0.racks": 2, "zones.0.rack_kw": 4.2})
    advice = recommend(case(scenario, load_demand(scenario)))
    assert advice.recommendation.by_zone["prod-bm"] == 20  # 2 racks of 10 servers of 420 W
    assert any(limit.name == "zones.prod-bm.max_nodes" and limit.binding for limit in advice.limits)
