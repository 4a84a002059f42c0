"""The zone plan (mixed-integer): equal to the closed forms where those apply, certified, and it opens only what pays."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest

from models.errors import InfeasiblePlan
from money_builders import company_demand_m, shipped_case, with_zone
from simulator import catalog
from simulator.planner import closed_forms as cf
from simulator.planner.constraints import Phase, ZoneOffer, add_burst, add_zones, meet_demand, only_add, open_zones
from simulator.planner.optimise import plan_zones, solve
from simulator.planner.pooling import Points, pool
from simulator.planner.problem import Problem
from simulator.planner.recommend import recommend
from simulator.planner.screening import screen


def noisy_case(**changes):
    """The shipped company with a tenth of noise on every hour, so that pooling has something to pool."""
    noise = np.random.Generator(np.random.PCG64(5)).lognormal(0.0, 0.1, 8760)
    return shipped_case(company_demand_m() * noise, **changes)


def two_zones(case, **second):
    zones = case.scenario.model_dump(mode="json")["zones"]
    scenario = case.scenario.varied({"zones": [zones[0], {**zones[0], "name": "second", **second}]})
    return replace(case, scenario=scenario, zones=tuple(catalog.zone_build(part, case.parameters) for part in scenario.zones))


def test_one_zone_gets_what_the_closed_form_gives():
    found = plan_zones(shipped_case())
    assert found.nodes == ({"prod-bm": 55},)
    assert found.gap < 1e-6


def test_pooled_means_bound_the_cost_from_below_and_the_gap_is_proven():
    case = noisy_case()
    found = plan_zones(case, points=48)
    assert found.lower_usd <= found.upper_usd
    assert found.gap <= 0.005
    every_hour = plan_zones(case, points=9000)
    assert found.lower_usd <= every_hour.upper_usd * (1 + 1e-4)
    assert every_hour.upper_usd <= found.upper_usd * (1 + 1e-4)


def test_more_points_tighten_the_bound():
    case = noisy_case()
    gaps = [plan_zones(case, points=points).gap for points in (6, 24, 192)]
    assert gaps[0] > gaps[1] > gaps[2] or gaps[2] < 1e-4


def test_growth_adds_nodes_and_never_takes_any_back():
    found = plan_zones(shipped_case(demand__growth_share_per_year=0.2))
    counts = [nodes["prod-bm"] for nodes in found.nodes]
    assert len(counts) == 5
    assert counts == sorted(counts)
    assert counts[0] < counts[-1]


def test_decline_keeps_one_block_as_isotonic_regression_does():
    """Blocks {10..40}, {5..35}, {20..80} of `methodology` 2.5: add-only 20, 20, 40 at premium 2, mean cost 45."""
    blocks = [np.array([10.0, 20, 30, 40]), np.array([5.0, 15, 25, 35]), np.array([20.0, 40, 60, 80])]
    offers = [ZoneOffer("z", 1.0, 1.0, 0.0, 0, 0, None)]
    phases = [Phase(pool(block, 10), 1.0) for block in blocks]
    problem = Problem()
    add_zones(problem, offers, phases, 0.0)
    add_burst(problem, phases, 2.0, 1000)
    meet_demand(problem, offers, phases, 1.0, None)
    open_zones(problem, offers, phases, 80.0)
    only_add(problem, offers, phases)
    found = solve(problem)
    assert found.bound / 3 == pytest.approx(45.0)
    capacity = [found.values[problem.columns[f"n[z,{p}]"]] for p in range(3)]
    cost = np.mean([cf.capacity_cost(block, c, 1.0, 0.0, 2.0) for block, c in zip(blocks, capacity, strict=True)])
    assert cost == pytest.approx(45.0)


def test_a_second_zone_with_its_own_fixed_items_stays_closed():
    case = two_zones(shipped_case())
    assert plan_zones(case).nodes == ({"prod-bm": 55},)
    found = recommend(case)
    assert found.recommendation.by_zone == {"prod-bm": 55}
    assert [reason.values["name"] for reason in found.reasons if reason.key == "zone_stays_closed"] == ["second"]


def test_a_zone_that_is_full_opens_the_next_when_the_quota_forces_it():
    case = two_zones(with_zone(shipped_case(aws__max_nodes=20), max_nodes=40))
    nodes = plan_zones(case).nodes[0]
    assert nodes["prod-bm"] == 40
    assert nodes["second"] > 2


def test_cheaper_metal_is_opened_instead_of_the_first_zone():
    case = two_zones(shipped_case(), server="c192m768")
    found = plan_zones(case)
    assert set(found.nodes[0]) == {"second"}  # 35,000 / 192 threads beats 12,000 / 64
    assert set(recommend(case).recommendation.by_zone) == {"second"}


def test_pinned_dispatch_with_one_person_opens_nothing_and_without_it_does():
    assert plan_zones(shipped_case(planner__dispatch="pinned")).nodes == ({},)
    assert plan_zones(shipped_case(planner__dispatch="pinned", planner__staff_fte=0)).nodes[0]["prod-bm"] > 20


def test_limits_that_contradict_each_other_are_named():
    case = with_zone(shipped_case(aws__max_nodes=10), max_nodes=5)
    with pytest.raises(InfeasiblePlan, match=r"aws\.max_nodes"):
        plan_zones(case)


def test_plan_is_never_dearer_than_the_rule():
    case = noisy_case()
    rule = screen(case)
    wanted = plan_zones(case, points=9000)
    assert abs(wanted.nodes[0]["prod-bm"] - int(rule.nodes[rule.optimum])) <= 1


def test_pooling_keeps_the_mean_the_peak_and_all_hours():
    demand = company_demand_m() * np.random.Generator(np.random.PCG64(1)).uniform(0.9, 1.1, 8760)
    found = pool(demand, 48)
    assert found.level.size <= 48
    assert found.share.sum() == pytest.approx(1.0)
    assert np.dot(found.level, found.share) == pytest.approx(demand.mean())
    assert found.level[-1] == demand.max()
    assert np.all(np.diff(found.level) > 0)


def test_several_futures_are_planned_for_together():
    """Half of the futures double the demand: the plan is that of the pooled hours, as the closed form says."""
    case = shipped_case()
    futures = np.stack([case.demand, 2 * case.demand])
    pooled = replace(case, demand=futures.ravel())
    found = plan_zones(case, futures=[futures])
    assert found.nodes[0]["prod-bm"] == int(screen(pooled).nodes[screen(pooled).optimum])
    assert found.gap < 1e-6


def test_model_text_names_every_column_and_row():
    problem = Problem()
    offers = [ZoneOffer("bm", 53.0, 5000.0, 30000.0, 2, 0, 40)]
    phases = [Phase(Points(np.array([100.0, 200.0]), np.array([0.75, 0.25])), 5.0)]
    add_zones(problem, offers, phases, 90000.0)
    add_burst(problem, phases, 6000.0, 400)
    meet_demand(problem, offers, phases, 13.0, None)
    open_zones(problem, offers, phases, 200.0)
    assert problem.to_lp() == (
        "minimise\n"
        "  450000 b[0] + 25000 n[bm,0] + 200000 a[bm,0] + 22500 e[0,0] + 7500 e[0,1]\n"
        "subject to\n"
        "  demand[0,0]: 53 n[bm,0] + 13 e[0,0] >= 100\n"
        "  demand[0,1]: 53 n[bm,0] + 13 e[0,1] >= 200\n"
        "  open[bm,0]: 1 n[bm,0] - 38 a[bm,0] <= 0\n"
        "  staffed[bm,0]: 1 a[bm,0] - 1 b[0] <= 0\n"
        "bounds\n"
        "  0 <= b[0] <= 1\n"
        "  0 <= n[bm,0] <= inf\n"
        "  0 <= a[bm,0] <= 1\n"
        "  0 <= e[0,0] <= 400\n"
        "  0 <= e[0,1] <= 400\n"
        "integer\n"
        "  b[0] n[bm,0] a[bm,0]\n"
        "end\n"
    )


def test_names_are_used_once_and_must_exist():
    problem = Problem()
    problem.column("x", 1.0)
    with pytest.raises(ValueError, match="column x exists"):
        problem.column("x", 1.0)
    with pytest.raises(ValueError, match="unknown columns"):
        problem.row("r", {"y": 1.0})


def test_the_solver_leaves_standard_output_alone(capfd):
    plan_zones(shipped_case())
    os.write(1, b"after\n")
    assert capfd.readouterr().out == "after\n"
