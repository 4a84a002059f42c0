"""Cash flow, NPV, payback, break-even, sensitivity and ledger of the shipped case."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import numpy as np
import pytest

from models.costs import monthly_rate, present_value
from models.plan import Step
from models.statement import CashFlow
from models.unknown import Unknown
from money_builders import shipped_case, with_zone
from simulator.finance.cashflow import Batch, batches, fleet_by_quarter, renew
from simulator.finance.comparison import compare_opponents, money
from simulator.finance.documents import finance_document
from simulator.finance.ledger import ledger
from simulator.finance.opponents import all_private_nodes, breakeven_share, hybrid
from simulator.finance.report import finance_report
from simulator.finance.sensitivity import top_drivers
from simulator.planner.recommend import nodes_at_arrival, recommend


def plan_of(case):
    advice = recommend(case)
    return advice.recommendation.by_zone, advice.steps


def compared(case):
    return compare_opponents(case, *plan_of(case))


def reported(case):
    advice = recommend(case)
    curve = advice.screening.curve(case.demand.size)
    return finance_report(case, advice.recommendation.by_zone, advice.steps, curve, nodes_at_arrival)


@pytest.fixture(scope="module")
def forty():
    """The rule's 40 nodes of the private cost check."""
    return compared(shipped_case(planner__objective="by_users"))


@pytest.fixture(scope="module")
def report():
    return reported(shipped_case())


def test_five_year_cash_of_every_opponent(forty):
    cash = forty.opponents_usd()
    running = 379_673.449581 - 153_479.723561  # everything but the annuity of capital
    assert cash["aws_on_demand"] == pytest.approx(5 * 923_585.056)
    assert cash["aws_best"] == pytest.approx(5 * 923_585.056 * 0.72)
    assert cash["hybrid"] == pytest.approx(612_800 + 5 * (running + 292_704.192 * 0.72), abs=0.1)


def test_npv_discounts_the_monthly_saving_at_the_effective_monthly_rate(forty):
    rate = monthly_rate(0.08)
    monthly = (923_585.056 * 0.72 - (379_673.449581 - 153_479.723561) - 292_704.192 * 0.72) / 12
    wanted = -612_800 + sum(monthly / (1 + rate) ** k for k in range(1, 61))
    assert forty.npv_usd == pytest.approx(wanted, abs=0.05)


def test_payback_is_capital_over_the_monthly_cash_saving(forty):
    monthly = (923_585.056 * 0.72 - 226_193.72602 - 292_704.192 * 0.72) / 12
    assert forty.payback_months == pytest.approx(612_800 / monthly, rel=1e-6)
    assert forty.discounted_payback_months > forty.payback_months


def test_irr_makes_the_present_value_zero(forty):
    rate = (1 + forty.irr) ** (1 / 12) - 1
    assert present_value(rate, forty.saving_usd) == pytest.approx(0, abs=1e-3)


def test_money_of_a_plan_names_all_four_ways(forty):
    found = money(forty)
    assert found.capex_usd == 612_800
    assert found.hybrid_usd_per_year == pytest.approx(379_673.45 + 210_747.02, abs=0.01)
    assert found.aws_best_usd_per_year == pytest.approx(664_981.24, abs=0.01)
    assert found.npv_usd == forty.npv_usd


def test_all_private_is_75_working_and_3_spare():
    assert all_private_nodes(shipped_case()) == {"prod-bm": 78}


def test_break_even_nodes_is_the_first_number_that_does_not_lose(forty):
    case = shipped_case(planner__objective="by_users")
    n, best = forty.breakeven_nodes, 923_585.056 * 0.72
    assert hybrid(case, {"prod-bm": n}).usd_per_year <= best
    assert hybrid(case, {"prod-bm": n - 1}).usd_per_year > best
    assert forty.breakeven_share == breakeven_share(case) == pytest.approx(5_920.815 / (62_820 / 15_540 * 0.67968 * 8760), rel=1e-6)


def test_no_number_of_nodes_pays_under_pinned_dispatch():
    found = compared(shipped_case(planner__dispatch="pinned"))
    assert isinstance(found.breakeven_nodes, Unknown)
    assert isinstance(found.payback_months, Unknown)
    assert isinstance(found.irr, Unknown)
    assert found.npv_usd == 0  # the plan builds nothing
    assert money(found).payback_months is None


def test_a_bill_replaces_the_list_price_as_the_billed_opponent():
    case = replace(shipped_case(), billed_usd_per_year=756_989.0)
    found = compared(case)
    assert found.statement("aws_as_billed").usd_per_year == 756_989.0
    assert not any("No bill" in note for note in found.notes)


def test_servers_are_bought_again_at_the_end_of_their_life_and_credited_at_the_horizon():
    flow = np.zeros(61)
    renew(flow, Batch(0, 1000.0), 48, 0.1)
    # after 48 months again, less the 100 that the old ones bring; at 60 the new ones are 12 of 48 months old
    assert flow[0] == 0
    assert flow[48] == 900
    assert flow[60] == pytest.approx(-(100 + 900 * 36 / 48))


def test_longer_life_than_the_horizon_leaves_a_worth():
    flow = np.zeros(61)
    renew(flow, Batch(0, 1000.0), 84, 0.0)
    assert flow[60] == pytest.approx(-1000 * 24 / 84)


def test_later_orders_are_paid_when_they_arrive():
    case = shipped_case()
    steps = tuple(
        Step(order_on=date(2026, 1, 5), arrive_on=arrives, zone="prod-bm", shape="c64m512", nodes=nodes)
        for arrives, nodes in ((date(2026, 3, 2), 40), (date(2027, 3, 2), 10))
    )
    fleets = fleet_by_quarter(case, steps)
    assert [fleet["prod-bm"] for fleet in fleets[:5]] == [40, 40, 40, 40, 50]
    first, second = batches(case, fleets)
    assert (first.month, first.usd) == (0, 612_800)
    # ten servers, thirty optics, one more rack with two switches
    assert (second.month, second.usd) == (12, 10 * 12_000 + 30 * 40 + 2 * 8_000)


def test_standing_nodes_are_sunk():
    case = with_zone(shipped_case(planner__objective="by_users"), existing_nodes=20)
    nodes, steps = plan_of(case)
    found = compare_opponents(case, nodes, steps)
    assert found.flow("hybrid").usd[0] == pytest.approx(20 * 12_000 + 60 * 40 + 2 * 8_000)


def test_falling_aws_prices_lower_the_value_of_building():
    falling = shipped_case(parameters={"aws_price_change_share_per_year": -0.05})
    assert compared(falling).npv_usd < compared(shipped_case()).npv_usd
    aws = compared(falling).flow("aws_best").years()
    assert aws[2] / aws[1] == pytest.approx(0.95)


def test_leaving_aws_strands_what_was_promised_until_it_ends():
    """40 USD/h promised for 18 months; the hybrid uses none of it beyond its own burst."""
    promised = shipped_case(
        planner__objective="by_users",
        parameters=shipped_case().scenario.parameters | {"aws_committed_usd_per_h": 40, "aws_commitment_months_left": 18},
    )
    free, bound = compared(shipped_case(planner__objective="by_users")), compared(promised)
    burst = 292_704.192 * 0.72 / 12
    lost = bound.flow("hybrid").usd - free.flow("hybrid").usd
    assert lost[1:19] == pytest.approx(np.full(18, 40 * 730 - burst))
    assert np.all(lost[19:] == 0)
    assert bound.npv_usd < free.npv_usd
    assert bound.flow("aws_best").usd.tolist() == free.flow("aws_best").usd.tolist()  # staying uses it


def test_growth_raises_every_way():
    grown = compared(shipped_case(demand__growth_share_per_year=0.2)).flow("aws_on_demand").years()
    assert grown[2] / grown[1] == pytest.approx(1.2, abs=0.005)


def test_flow_sums_by_year_keep_the_total():
    flow = CashFlow("x", np.arange(61.0))
    assert flow.years().sum() == flow.total_usd
    assert flow.years().size == 6


def test_tornado_names_the_widest_drivers_first(report):
    swings = [driver.swing_usd for driver in report.drivers]
    assert swings == sorted(swings, reverse=True)
    assert report.drivers[0].parameter == "server_usd"
    assert len({driver.parameter for driver in report.drivers[:5]}) == 5
    assert top_drivers(report.drivers).count("USD a year") == 5


def test_turning_value_is_where_the_plan_changes(report):
    driver = next(d for d in report.drivers if d.parameter == "server_usd")
    case = report.case
    beside = [driver.turning_value + (driver.value - driver.turning_value) * step for step in (0.0, 0.01)]
    plans = [nodes_at_arrival(case.with_parameters(case.parameters.with_value("server_usd", value))) for value in beside]
    assert plans[0] != {"prod-bm": 55}
    assert plans[1] == {"prod-bm": 55}


def test_a_driver_that_changes_nothing_has_no_turning_value(report):
    driver = next(d for d in report.drivers if d.parameter == "l4_pair_usd")
    assert isinstance(driver.turning_value, Unknown)
    assert driver.cost_high_usd > driver.cost_low_usd


def test_ledger_bills_what_the_cash_flow_pays(report):
    billed = sum(charge.billed for charge in ledger(report))
    # residual is 0 and life is the horizon, so nothing is credited at the end
    assert float(billed) == pytest.approx(report.comparison.flow("hybrid").total_usd, abs=0.05)


def test_ledger_spreads_each_purchase_over_its_life(report):
    charges = [charge for charge in ledger(report) if charge.item == "worker server c64m512"]
    bought = [charge for charge in charges if charge.category == "Purchase"]
    assert [charge.billed for charge in bought] == [Decimal("660000.000000")]  # 55 x 12,000
    assert all(charge.effective == 0 for charge in bought)
    used = [charge for charge in charges if charge.category == "Usage"]
    assert len(used) == 60
    assert {charge.effective for charge in used} == {Decimal("11000.000000")}
    assert all(charge.billed == 0 for charge in used)


def test_ledger_holds_aws_beside_private_in_one_table(report):
    charges = ledger(report)
    assert {charge.provider for charge in charges} == {"AWS", "Private"}
    months = sorted({charge.month for charge in charges})
    assert len(months) == 60
    assert months[0] == date(2026, 3, 1)


def test_won_are_dollars_times_the_rate_never_rounded_through_cents(report):
    usd, krw = finance_document(report), finance_document(report, "KRW")
    assert krw["npv_krw"] == usd["npv_usd"] * 1350
    assert krw["opponents"]["hybrid"] == usd["opponents"]["hybrid"] * 1350
    assert "npv_usd" not in krw
    staff = next(line for line in report.comparison.statement("hybrid").lines if line.item == "staff")
    assert staff.usd_per_year * 1350 == pytest.approx(121_800_000, abs=1e-6)


def test_document_has_the_promised_keys(report):
    document = finance_document(report)
    promised = {"ledger_rows", "opponents", "npv_usd", "irr", "payback_months", "breakeven_nodes", "breakeven_share", "currency"}
    assert promised <= set(document)
    assert document["ledger_rows"] == len(ledger(report))
    assert set(document["opponents"]) == {"aws_as_billed", "aws_on_demand", "aws_best", "private", "hybrid"}
    assert document["stranded_usd"] == 0
    assert document["top_drivers"] == [d.parameter for d in report.drivers[:5]]
