"""Screening of the shipped company: least-cost table, cost curve, optimum, range, limits and reasons."""

from __future__ import annotations

import re
from datetime import date

import numpy as np
import pytest

from models.errors import InfeasiblePlan, ScenarioError
from models.plan import Readings
from models.units import money_text
from money_builders import company_demand_m, shipped_case, with_zone
from simulator.finance.comparison import compare_opponents, money
from simulator.planner.readings import average_usd_per_node, least_cost_table, readings
from simulator.planner.recommend import nodes_at_arrival, recommend
from simulator.planner.screening import screen
from simulator.planner.steps import quarters_served
from simulator.sentences import sentence


@pytest.fixture(scope="module")
def case():
    return shipped_case()


@pytest.fixture(scope="module")
def advice(case):
    return recommend(case)


def test_readings_of_half_are_40_40_and_26(case):
    assert readings(case) == Readings(by_users_nodes=40, by_peak_nodes=40, by_worker_hours_nodes=26)


def test_least_cost_table_of_the_shipped_case(case):
    rows = {view.name: (view.on_demand_nodes, view.best_nodes) for view in least_cost_table(case)}
    assert rows == {"average_no_staff": (61, 40), "average_with_staff": (54, 23), "marginal": (72, 55)}


def test_marginal_cost_of_a_server_is_5921_dollars(case):
    # annuity 12,000 at 8 %, 5 years 3,005.48; 0.42 kW x 163.44 x 12 = 823.74; 0.2625 kW x 1.5 x 8,760 x 120 / 1,350 = 306.60; 825; 960
    assert least_cost_table(case)[2].usd_per_node_year == pytest.approx(3005.477 + 823.7376 + 306.60 + 825 + 960, abs=0.01)


def test_curve_gives_the_aws_left_beside_38_working_nodes(case):
    found = screen(case)
    assert found.nodes[38] == 40
    assert found.aws_worker_hours[0] == 978_374
    assert found.aws_worker_hours[38] == 310_068
    assert found.aws_usd_per_year[38] == pytest.approx(292_704.192 * 0.72)
    assert found.private_usd_per_year[38] == pytest.approx(379_673.45, abs=0.01)
    assert np.allclose(found.cost_usd_per_year, found.private_usd_per_year + found.aws_usd_per_year)


def test_pinned_dispatch_leaves_491_639_worker_hours():
    found = screen(shipped_case(planner__dispatch="pinned"))
    assert found.aws_worker_hours[38] == 491_639
    assert found.aws_worker_hours[75] == 491_639  # more nodes cannot serve users who are homed on AWS


def test_recommendation_is_55_by_marginal_cost_with_its_range(advice):
    assert advice.recommendation.private_nodes == 55
    assert advice.recommendation.by_zone == {"prod-bm": 55}
    low, high = advice.recommendation.range_1pct
    assert low <= 55 <= high


def test_every_capacity_outside_the_range_costs_more_than_one_percent_extra(advice):
    s = advice.screening
    low, high = s.range_1pct
    best = s.cost_usd_per_year.min()
    outside = (s.nodes < low) | (s.nodes > high)
    assert np.all(s.cost_usd_per_year[outside] > best * 1.01)


@pytest.mark.parametrize(
    ("changes", "nodes"),
    [
        ({"planner__staff_fte": 0}, 55),
        ({"planner__opponent": "on_demand"}, 72),
        ({"planner__objective": "average", "planner__staff_fte": 0}, 40),
        ({"planner__objective": "average"}, 23),
        ({"planner__objective": "by_users"}, 40),
        ({"planner__objective": "by_peak"}, 40),
        ({"planner__objective": "by_worker_hours"}, 26),
        ({"planner__dispatch": "pinned"}, 0),  # with one FTE the pinned split loses against AWS at 28 % off
    ],
)
def test_objective_and_policy_decide_the_number(changes, nodes):
    assert recommend(shipped_case(**changes)).recommendation.private_nodes == nodes


def test_private_first_wins_and_pinned_loses_against_discounted_aws():
    first, pinned = screen(shipped_case()), screen(shipped_case(planner__dispatch="pinned"))
    assert first.cost_usd_per_year[38] < first.cost_usd_per_year[0]  # 379,673 + 210,747 < 664,981
    assert pinned.cost_usd_per_year[38] > pinned.cost_usd_per_year[0]  # 379,673 + 334,157 > 664,981


def told(advice):
    return [sentence(reason, "en", lambda usd: money_text(usd, "USD", decimals=0)) for reason in advice.reasons]


def test_busy_sentence_names_the_nodes_on_both_sides_of_the_break_even(advice):
    sentence = next(text for text in told(advice) if text.startswith("Each of the first"))
    k, breakeven, last, next_node = re.findall(r"first (\d+) .*break-even ([\d.]+)%.*works in ([\d.]+)%, .*work in ([\d.]+)%", sentence)[0]
    s = advice.screening
    assert int(k) == s.optimum == 53
    assert float(breakeven) == round(100 * s.breakeven_busy_share, 1)
    assert float(last) == round(100 * np.mean(company_demand_m() > 52 * 62_820 * 0.85), 1)
    assert float(next_node) == round(100 * np.mean(company_demand_m() > 53 * 62_820 * 0.85), 1)
    assert float(next_node) < float(breakeven) < float(last)


def test_reasons_print_the_other_readings_beside_the_answer(advice):
    text = " ".join(told(advice))
    assert "40 nodes carry 50% of the users" in text
    assert "26 serve 50% of the worker hours" in text
    assert "55, 40 and 23 nodes cost least" in text
    assert "USD 5,921 a year at the margin, USD 7,236 on average without staff and USD 9,492 with 1 FTE" in text
    low, high = advice.recommendation.range_1pct
    assert f"Anything from {low} to {high} nodes" in text


def test_hybrid_sentence_carries_the_saving(advice):
    s = advice.screening
    saving = s.cost_usd_per_year[0] - s.cost_usd_per_year[53]
    assert any(f"USD {saving:,.0f} less than AWS alone" in text for text in told(advice))


def test_order_is_placed_today_and_ready_after_the_lead_time(advice):
    (step,) = advice.steps
    assert (step.order_on, step.arrive_on, step.nodes) == (date(2026, 1, 5), date(2026, 3, 2), 55)  # 8 weeks = 56 days


def test_growth_orders_again_and_never_removes():
    found = recommend(shipped_case(demand__growth_share_per_year=0.2))
    assert found.steps[0].nodes == found.recommendation.private_nodes
    assert found.recommendation.private_nodes > 55 - 1
    assert len(found.steps) > 4
    assert all(step.nodes > 0 and step.arrive_on > step.order_on for step in found.steps)


def test_decline_takes_one_order_sized_for_the_pooled_hours_of_its_life():
    case = shipped_case(demand__growth_share_per_year=-0.1)
    found = recommend(case)
    (step,) = found.steps
    assert step.nodes == found.recommendation.private_nodes == nodes_at_arrival(case)["prod-bm"] == 45
    pooled = np.concatenate([company_demand_m() * 0.9 ** (56 / 365 + quarter / 4) for quarter in range(20)])  # 8 weeks' lead, 5 years
    s, room = found.screening, 62_820 * 0.85
    assert np.mean(pooled > 42 * room) > s.breakeven_busy_share > np.mean(pooled > 43 * room)  # 43 working, 2 spare
    assert s.aws_worker_hours[0] == round(sum(np.ceil(pooled / (15_540 * 0.85) - 1e-9)) / 20)
    assert any("shrink by 10% a year" in text and "all 5 years" in text for text in told(found))


@pytest.mark.parametrize("growth", [-0.3, -0.2, -0.1])
def test_decline_recommends_nothing_that_loses_money(growth):
    case = shipped_case(demand__growth_share_per_year=growth)
    found = recommend(case)
    assert money(compare_opponents(case, found.recommendation.by_zone, found.steps)).npv_usd >= 0


def test_decline_of_thirty_percent_builds_nothing_where_the_arrival_day_alone_would_ask_for_52():
    found = recommend(shipped_case(demand__growth_share_per_year=-0.3))
    assert (found.recommendation.private_nodes, found.steps) == (0, ())
    assert recommend(shipped_case(company_demand_m() * 0.7 ** (56 / 365))).recommendation.private_nodes == 52


def test_horizon_of_decline_ends_with_the_servers_life():
    case = shipped_case(demand__growth_share_per_year=-0.1, money__years=8)
    assert quarters_served(case) == 4 * case.prices.private.life_years == 20
    assert quarters_served(shipped_case(demand__growth_share_per_year=-0.1, money__years=3)) == 12
    assert quarters_served(shipped_case()) == quarters_served(shipped_case(demand__growth_share_per_year=0.2)) == 1


def test_existing_nodes_are_not_ordered_again(case):
    found = recommend(with_zone(case, existing_nodes=30))
    assert found.recommendation.private_nodes >= 55
    assert sum(step.nodes for step in found.steps) == found.recommendation.private_nodes - 30


def test_a_limit_that_binds_is_named_and_priced(case):
    found = recommend(with_zone(case, max_nodes=45))
    assert found.recommendation.private_nodes == 45
    limit = next(item for item in found.limits if item.name == "zones.prod-bm.max_nodes")
    free = screen(case)
    assert limit.binding
    savings = [(free.cost_usd_per_year[43] - free.cost_usd_per_year[k]) / (k - 43) for k in range(44, 54)]
    assert limit.shadow_price == pytest.approx(max(savings))
    assert limit.shadow_price >= free.cost_usd_per_year[43] - free.cost_usd_per_year[44]
    assert any("The limit zones.prod-bm.max_nodes binds" in text for text in told(found))


def test_a_limit_on_a_rack_step_has_a_price_although_the_next_node_saves_nothing(case):
    free = screen(case)
    steps = [k for k in range(1, free.optimum - 1) if free.cost_usd_per_year[k + 1] > free.cost_usd_per_year[k]]
    last = max(k for k in steps if free.cost_usd_per_year[free.optimum] < free.cost_usd_per_year[k])
    limit = recommend(with_zone(case, max_nodes=int(free.nodes[last]))).limits[0]
    average = (free.cost_usd_per_year[last] - free.cost_usd_per_year[free.optimum]) / (free.optimum - last)
    assert limit.binding
    assert limit.shadow_price >= average > 0


def test_a_limit_that_a_fixed_cost_makes_idle_does_not_bind():
    found = recommend(with_zone(shipped_case(planner__staff_fte=5), max_nodes=45))
    assert found.recommendation.private_nodes == 0
    assert not found.limits[0].binding


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"planner__staff_fte": 5},
        {"aws__commitment_discount_share": 0.6},
        {"aws__max_nodes": 0},
        {"planner__staff_fte": 5, "aws__max_nodes": 200},
    ],
)
def test_range_holds_exactly_the_feasible_capacities_within_one_percent(changes):
    found = recommend(shipped_case(**changes))
    s = found.screening
    feasible = np.arange(s.nodes.size) >= s.floor
    within = s.nodes[feasible & (s.cost_usd_per_year <= 1.01 * s.cost_usd_per_year[feasible].min())]
    assert found.recommendation.range_1pct == (within[0], within[-1])
    assert np.array_equal(within, s.nodes[(s.nodes >= within[0]) & (s.nodes <= within[-1])])


def test_nothing_and_a_fleet_can_cost_nearly_the_same_while_all_between_costs_more():
    found = recommend(shipped_case(planner__staff_fte=2))
    s = found.screening
    within = set(s.nodes[s.cost_usd_per_year <= 1.01 * s.cost_usd_per_year.min()])
    assert within == {node for low, high in s.runs_1pct for node in range(low, high + 1)} == {0, *range(52, 61)}
    assert (found.recommendation.private_nodes, found.recommendation.range_1pct) == (0, (0, 0))
    assert any("also, past a step of racks or fixed items: 52-60 nodes" in text for text in told(found))


@pytest.mark.parametrize("changes", [{"planner__staff_fte": 5}, {"aws__commitment_discount_share": 0.6}])
def test_when_nothing_pays_the_range_is_nothing_and_the_reasons_say_why(changes):
    found = recommend(shipped_case(**changes))
    s = found.screening
    assert (found.recommendation.private_nodes, found.recommendation.range_1pct) == (0, (0, 0))
    text = " ".join(told(found))
    best = s.cost_usd_per_year[1:].min()
    assert "Each of the first" not in text
    assert f"best hybrid costs USD {best:,.0f} a year, USD {best - s.cost_usd_per_year[0]:,.0f} above AWS alone" in text
    assert f"at the margin {s.optimum} working nodes would pay for themselves, but not for the fixed items" in text
    assert "nodes cost least" not in text


def test_a_server_dearer_than_aws_at_all_hours_is_said_so(case):
    found = recommend(case.with_parameters(case.parameters.with_value("server_usd", 200_000.0)))
    assert found.recommendation.private_nodes == found.screening.optimum == 0
    assert any("even when it works in every hour" in text for text in told(found))


def test_a_first_node_that_works_too_little_is_said_so():
    found = recommend(shipped_case(np.where(np.arange(8760) < 500, 1e5, 0.0)))
    assert found.recommendation.private_nodes == 0
    assert any("even the first node would work in 5.7% of hours, its break-even is 24.6%" in text for text in told(found))  # 500 / 8,760


def test_no_node_for_no_share_is_the_answer_to_another_question():
    found = recommend(shipped_case(planner__objective="by_peak", demand__build_share=0))
    assert found.working == 0
    assert any("No private node answers the question" in text for text in told(found))


def test_zones_without_room_are_said_so(case):
    found = recommend(with_zone(case, max_nodes=2))
    assert found.recommendation.private_nodes == 0
    assert any("allow no working node beside their spares" in text for text in told(found))


def test_busy_sentence_stays_away_from_answers_that_it_does_not_explain():
    for changes in ({"aws__max_nodes": 0}, {"planner__objective": "by_users"}, {"planner__objective": "average"}):
        assert not any("break-even" in text for text in told(recommend(shipped_case(**changes))))


def test_quota_that_demands_a_few_nodes_builds_what_then_costs_least():
    found = recommend(shipped_case(planner__staff_fte=5, aws__max_nodes=200))
    s = found.screening
    assert 0 < s.floor < found.working
    assert s.cost_usd_per_year[found.working] == s.cost_usd_per_year[s.floor :].min()
    assert found.limits[-1].binding  # without the quota nothing would be built


@pytest.mark.parametrize(("staff", "named"), [(0, "1"), (0.5, "0.5"), (2, "2")])
def test_view_with_staff_names_its_staff(staff, named):
    found = recommend(shipped_case(planner__staff_fte=staff))
    reference = shipped_case(planner__staff_fte=float(named))
    assert found.views[1].usd_per_node_year == pytest.approx(average_usd_per_node(reference, 40, float(named)))
    assert any(f"with {named} FTE" in text for text in told(found))


def test_more_standing_nodes_than_the_zone_allows_contradict_each_other(case):
    with pytest.raises(InfeasiblePlan, match=r"max_nodes and zones\.prod-bm\.existing_nodes"):
        recommend(with_zone(case, max_nodes=10, existing_nodes=12))


def test_a_small_aws_quota_forces_more_own_nodes(case):
    found = recommend(shipped_case(aws__max_nodes=20))
    peak_left = 4_000_000 - (found.recommendation.private_nodes - 2) * 62_820 * 0.85
    assert np.ceil(peak_left / (15_540 * 0.85)) <= 20
    assert next(item for item in found.limits if item.name == "aws.max_nodes").binding
    with pytest.raises(InfeasiblePlan, match=r"aws\.max_nodes"):
        recommend(with_zone(shipped_case(aws__max_nodes=20), max_nodes=10))


def test_users_unknown_refuses_the_by_users_question(case):
    from dataclasses import replace

    unknown = replace(shipped_case(planner__objective="by_users"), users_peak=None)
    with pytest.raises(ScenarioError, match="by_users"):
        recommend(unknown)
    assert readings(unknown).by_users_nodes is None


def test_zero_demand_builds_nothing_and_costs_nothing():
    found = recommend(shipped_case(np.zeros(8760)))
    assert found.recommendation.private_nodes == 0
    assert found.steps == ()
    assert found.screening.cost_usd_per_year[0] == 0


def test_endless_aws_price_owns_the_whole_peak():
    from dataclasses import replace

    found = recommend(replace(shipped_case(), on_demand_usd_per_h=1e6))
    assert found.working == 75  # ceil(4,000 / 53.397)


def test_doubling_demand_doubles_the_working_nodes_of_the_rule():
    small, large = screen(shipped_case()), screen(shipped_case(company_demand_m(users=2000)))
    assert abs(large.optimum - 2 * small.optimum) <= 1


def test_two_zones_fill_in_merit_order(case):
    from dataclasses import replace

    from simulator import catalog

    scenario = case.scenario.model_dump(mode="json")
    first = {**scenario["zones"][0], "max_nodes": 20}
    second = {**scenario["zones"][0], "name": "large-bm", "server": "c192m768"}
    varied = case.scenario.varied({"zones": [first, second]})
    both = replace(case, scenario=varied, zones=tuple(catalog.zone_build(part, case.parameters) for part in varied.zones))
    found = recommend(both)
    assert set(found.recommendation.by_zone) <= {"prod-bm", "large-bm"}
    s = found.screening
    per_room = [slot.usd_per_year / slot.room for slot in s.slots]
    assert per_room == sorted(per_room)
    assert found.recommendation.by_zone.get("prod-bm", 0) <= 20


def test_unverified_parameters_are_listed_unless_the_scenario_sets_them(advice):
    assert "server_usd" in advice.unverified
    assert "residual_share" not in advice.unverified  # set by the scenario
    assert any(f"{len(advice.unverified)} values are unverified" in text for text in told(advice))


def test_short_form_agrees_with_the_recommendation(case, advice):
    assert nodes_at_arrival(case) == advice.recommendation.by_zone
