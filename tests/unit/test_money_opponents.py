"""What the opponents of a plan cost: bills cheaper than the offer, unused commitments, growth, nodes that stand, other horizons."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import numpy as np
import pytest

from models.bill import BillPeriod, Charges, WorkerSeries
from models.costs import payback_periods
from models.errors import ScenarioError
from models.horizon import Horizon
from models.unknown import Unknown
from money_builders import company_demand_m, demand_of, shipped_case, with_zone
from plans import plan as some_plan
from simulator import catalog
from simulator.finance.cashflow import at_quarter
from simulator.finance.check import rule_check
from simulator.finance.comparison import compare_opponents, money
from simulator.finance.documents import finance_document, or_reason
from simulator.finance.ledger import ledger
from simulator.finance.opponents import BILLED_WHY, aws_opponents, best_rate, hybrid
from simulator.finance.regret import futures
from simulator.finance.report import finance_report
from simulator.finance.sensitivity import assumptions
from simulator.pipeline import money as pipeline_money
from simulator.pipeline.inputs import Inputs, _billed
from simulator.planner.recommend import nodes_at_arrival, recommend

LISTED = 923_585.056  # 978,374 worker-hours at 0.944
CHEAP = LISTED * 0.66  # a company that already has 34 % off


def compared(case):
    advice = recommend(case)
    return compare_opponents(case, advice.recommendation.by_zone, advice.steps)


@pytest.fixture(scope="module")
def cheap():
    return replace(shipped_case(), billed_usd_per_year=CHEAP)


def charges_of(*unused, currency="USD", hours=24):
    """Workers at 2 a hour and one commitment line a period."""
    empty = {
        "by_category": (),
        "worker_hours": 0.0,
        "rows_in": 0,
        "rows_used": 0,
        "rows_explained": 0,
        "provisional": False,
        "untagged_share": 0.0,
    }
    money_of = dict.fromkeys(("unblended", "amortised", "invoice", "addressable", "identity_error"), Decimal(0))
    periods = tuple(
        BillPeriod(period=f"2026-0{n}", format="aws_cur2", currency=currency, unused_commitment=amount, **money_of, **empty)
        for n, amount in enumerate(unused, start=1)
    )
    series = (WorkerSeries("m5.4xlarge", "on_demand"),)
    horizon = Horizon(datetime(2026, 1, 1, tzinfo=UTC), hours)
    return Charges(periods, currency, horizon, series, np.ones((hours, 1)), np.full((hours, 1), 2.0))


# --- AWS at its best ---------------------------------------------------------------------------------------------------


def test_best_is_the_bill_where_the_bill_is_cheaper_than_the_offer(cheap):
    billed, _, best = aws_opponents(cheap)
    assert best.usd_per_year == pytest.approx(billed.usd_per_year) == pytest.approx(CHEAP)
    assert "the bill's own rate" in best.lines[0].why
    assert best_rate(cheap).usd_per_h == pytest.approx(0.944 * 0.66)


def test_best_is_the_offer_where_the_bill_is_dearer():
    billed, _, best = aws_opponents(replace(shipped_case(), billed_usd_per_year=779_986.0))
    assert best.usd_per_year == pytest.approx(LISTED * 0.72)
    assert best.usd_per_year < billed.usd_per_year == 779_986.0
    assert best.lines[0].why == "list price less 28% commitment discount on every hour"


def test_burst_hours_pay_the_bills_rate_too(cheap):
    statement = hybrid(cheap, {"prod-bm": 40})
    assert statement.usd_per_year == pytest.approx(379_673.449581 + 310_068 * 0.944 * 0.66, abs=0.01)
    assert "the bill's own rate" in next(line.why for line in statement.lines if line.item == "AWS burst")
    assert hybrid(cheap, {}).usd_per_year == pytest.approx(CHEAP)


def test_cash_flow_and_rule_check_use_the_same_rate_as_the_statement(cheap):
    found = compared(cheap)
    assert found.flow("aws_best").total_usd == pytest.approx(5 * CHEAP)
    assert found.flow("hybrid").usd[1:].sum() == pytest.approx(5 * found.statement("hybrid").cash_usd_per_year)
    first = rule_check(cheap).dispatches[1]
    assert first.avoided_best_usd == pytest.approx((978_374 - 310_068) * 0.944 * 0.66)


def test_growth_prices_and_assumptions_keep_the_bills_rate_an_hour(cheap):
    grown = at_quarter(replace(cheap, scenario=cheap.scenario.varied({"demand.growth_share_per_year": 0.3})), 8)
    assert best_rate(grown).usd_per_h == pytest.approx(0.944 * 0.66)
    worlds = futures(cheap)
    assert best_rate(worlds["demand 20% higher"]).usd_per_h == pytest.approx(0.944 * 0.66)
    assert best_rate(worlds["AWS 20% lower"]).usd_per_h == pytest.approx(0.944 * 0.66 * 0.8)
    packing = next(a for a in assumptions(cheap) if a.name == "planner.packing_share")
    assert best_rate(packing.put(cheap, 0.70)).usd_per_h == pytest.approx(0.944 * 0.66)


# --- AWS as billed -----------------------------------------------------------------------------------------------------


def test_unused_commitments_are_part_of_the_billed_year():
    scenario = catalog.load_scenario("half-private-40")
    # 24 h of workers at 2 USD and 5 + 1 USD unused, 365 times
    assert _billed(scenario, charges_of(Decimal(5), Decimal(1))) == (pytest.approx((48 + 6) * 365), ())
    won = _billed(scenario, charges_of(Decimal(5), Decimal(1), currency="KRW"))
    assert won == (pytest.approx((48 + 6) * 365 / 1350), ())
    assert aws_opponents(replace(shipped_case(), billed_usd_per_year=1.0))[0].lines[0].why == BILLED_WHY


def test_a_bill_that_hides_its_unused_commitments_says_so():
    yearly, notes = _billed(catalog.load_scenario("half-private-40"), charges_of(Decimal(5), Unknown("no effective cost")))
    assert yearly == pytest.approx((48 + 5) * 365)
    assert "2026-02" in notes[0]
    assert "leaves it out" in notes[0]


def test_without_a_bill_the_comparison_says_that_list_price_stands_in():
    found = compared(shipped_case())
    assert found.billed_is_list
    assert any("No bill was given" in note for note in found.notes)
    assert not compared(replace(shipped_case(), billed_usd_per_year=CHEAP)).billed_is_list


# --- the first year, what stands, the horizon --------------------------------------------------------------------------


def test_statements_are_those_of_the_demand_at_the_first_arrival():
    case = shipped_case(demand__growth_share_per_year=0.3)
    advice = recommend(case)
    found = compare_opponents(case, advice.recommendation.by_zone, advice.steps)
    reason = next(reason for reason in advice.reasons if reason.key == "hybrid_less")
    assert found.statement("hybrid").usd_per_year == pytest.approx(reason.values["hybrid"])
    assert found.statement("aws_best").usd_per_year == pytest.approx(reason.values["alone"])
    assert found.flow("hybrid").usd[1] == pytest.approx(found.statement("hybrid").cash_usd_per_year / 12)
    assert found.flow("aws_best").usd[1] == pytest.approx(found.statement("aws_best").usd_per_year / 12)


@pytest.mark.parametrize(("standing", "capex"), [(0, 810_600), (30, 25 * 12_000 + 75 * 40 + 16_000), (90, 0)])
def test_capital_to_spend_is_what_the_first_orders_cost(standing, capex):
    """55 nodes beside 30 that stand: 25 servers, 75 optics, one more rack with two switches."""
    found = compared(with_zone(shipped_case(), existing_nodes=standing))
    assert money(found).capex_usd == capex == pytest.approx(found.flow("hybrid").usd[0])
    assert any("already stand" in note for note in found.notes) == (standing > 0)


def test_ledger_bills_the_capital_to_spend():
    case = with_zone(shipped_case(), existing_nodes=30)
    advice = recommend(case)
    curve = advice.screening.curve(case.demand.size)
    report = finance_report(case, advice.recommendation.by_zone, advice.steps, curve, nodes_at_arrival)
    bought = sum(charge.billed for charge in ledger(report) if charge.category == "Purchase")
    assert float(bought) == report.comparison.statement("hybrid").capex_usd
    assert finance_document(report)["statements"]["hybrid"]["capex_usd"] == 319_000


@pytest.mark.parametrize("years", [3, 5, 7, 10])
def test_payback_does_not_depend_on_the_horizon(years):
    found = compared(shipped_case(money__years=years))
    assert found.payback_months == pytest.approx(33.668229, abs=1e-6)


def test_payback_beyond_the_horizon_is_unknown():
    found = compared(shipped_case(money__years=1))
    assert isinstance(found.payback_months, Unknown)
    assert or_reason(found.payback_months, "") == "the outlay is not recovered within the horizon"


def test_payback_leaves_out_servers_bought_again_and_terminal_value():
    found = compared(shipped_case(money__years=7, parameters=shipped_case().scenario.parameters | {"residual_share": 0.1}))
    again, paid = found.recovering_usd - found.saving_usd, found.statement("hybrid").capex_usd
    assert again[60] == pytest.approx(0.9 * paid)
    assert again[84] == pytest.approx(-paid * (0.1 + 0.9 * 0.6))  # two of five years old
    assert np.flatnonzero(np.abs(again) > 1e-6).tolist() == [60, 84]


def test_payback_is_the_first_month_that_is_not_below_zero():
    assert payback_periods([-100, 50, 100, -80, 50]) == 1.5
    assert payback_periods([5.0, -10.0]) == 0.0
    assert isinstance(payback_periods([-1.0]), Unknown)
    assert isinstance(payback_periods([]), Unknown)


# --- words -------------------------------------------------------------------------------------------------------------


def test_the_rule_counts_the_peak_when_users_are_unknown():
    assert rule_check(shipped_case()).by_users
    unknown = replace(shipped_case(), users_peak=None)
    assert not rule_check(unknown).by_users
    assert rule_check(unknown).nodes == 40


def test_a_plan_of_another_scenario_is_refused(monkeypatch):
    scenario = catalog.load_scenario("half-private-40")
    monkeypatch.setattr(pipeline_money, "load_inputs", lambda *_: Inputs(demand_of(company_demand_m())))
    with pytest.raises(ScenarioError, match="a plan of another, not of half-private-40"):
        pipeline_money.finance(scenario, some_plan(scenario="another"))
