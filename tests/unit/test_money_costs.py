"""Private cost check, AWS left and avoided, and published money oracles."""

from __future__ import annotations

import numpy as np
import pytest

from models.costs import internal_rate, payback_periods, present_value, straight_line
from models.price import PrivatePrices
from models.statement import private_statement
from models.unknown import Unknown
from money_builders import shipped_case
from simulator.finance.opponents import aws_opponents, hybrid, yearly_worker_hours


@pytest.fixture(scope="module")
def case():
    return shipped_case()


def lines_of(statement):
    return {line.item: round(line.usd_per_year, 2) for line in statement.lines}


def test_private_cost_check_is_289_451_23_without_staff(case):
    statement = case.private_statement("private", {"prod-bm": 40}, 0.0)
    assert statement.capex_usd == 612_800  # 480,000 + 24,000 + 60,000 + 32,000 + 12,000 + 4,800
    assert lines_of(statement) == {
        "capital": 153_479.72,  # annual annuity, 8 %, 5 years, no residual
        "colocation": 37_558.51,  # 19.15 kW x 163.44 x 12
        "energy": 12_264.00,  # 10.5 kW x 1.5 x 8,760 x 120 / 1,350
        "operating-system support": 37_125.00,  # 45 x 825
        "hardware maintenance": 49_024.00,  # 8 % of 612,800
    }
    assert round(statement.usd_per_year, 2) == 289_451.23


def test_private_cost_check_is_379_673_45_with_one_person(case):
    statement = case.private_statement("private", {"prod-bm": 40}, 1.0)
    assert lines_of(statement)["staff"] == 90_222.22  # 10.15 M KRW x 12 / 1,350
    assert round(statement.usd_per_year, 2) == 379_673.45


def test_cost_lines_sum_to_the_total_and_kinds_partition_it(case):
    statement = case.private_statement("private", {"prod-bm": 40}, 1.0)
    assert sum(line.quantity * line.unit_usd for line in statement.lines) == pytest.approx(statement.usd_per_year)
    kinds = ("capital", "once", "operation", "staff", "aws")
    assert sum(statement.of(kind) for kind in kinds) == pytest.approx(statement.usd_per_year)


@pytest.mark.parametrize(
    ("dispatch", "hours", "left", "avoided", "avoided_at_28"),
    [("pinned", 491_639, 464_107, 459_480, 330_820), ("private_first", 310_068, 292_704, 630_880, 454_230)],
)
def test_aws_left_and_avoided_beside_forty_nodes(dispatch, hours, left, avoided, avoided_at_28):
    case = shipped_case(planner__dispatch=dispatch)
    everything = yearly_worker_hours(case, 0.0)
    remaining = yearly_worker_hours(case, 38 * case.room(case.zones[0]))
    assert (everything, remaining) == (978_374, hours)
    assert remaining * 0.944 == pytest.approx(left, abs=0.5)
    assert (everything - remaining) * 0.944 == pytest.approx(avoided, abs=5)
    assert (everything - remaining) * 0.944 * 0.72 == pytest.approx(avoided_at_28, abs=5)


def test_all_users_on_aws_cost_923_585_on_demand_and_28_percent_less_at_best(case):
    billed, listed, best = aws_opponents(case)
    assert round(listed.usd_per_year) == 923_585
    assert best.usd_per_year == pytest.approx(923_585.056 * 0.72)
    assert billed.usd_per_year == listed.usd_per_year  # no bill given
    assert "no bill" in billed.lines[0].why


def test_hybrid_is_the_private_side_and_the_aws_left(case):
    statement = hybrid(case, {"prod-bm": 40})
    assert statement.usd_per_year == pytest.approx(379_673.45 + 292_704.192 * 0.72, abs=0.01)


def test_link_costs_appear_when_the_scenario_has_a_link():
    case = shipped_case(parameters={"direct_connect_ports": 2, "egress_gb_per_burst_node_h": 1})
    lines = {line.item: line.usd_per_year for line in hybrid(case, {"prod-bm": 40}).lines}
    assert lines["Direct Connect ports"] == pytest.approx(2 * 0.30 * 8760)
    assert lines["data over the link"] == pytest.approx(310_068 * 0.042)


def test_nothing_owned_costs_nothing_but_aws(case):
    statement = hybrid(case, {})
    assert statement.capex_usd == 0
    assert statement.of("capital", "operation", "staff") == 0


def test_residual_value_lowers_the_annuity():
    case = shipped_case(parameters={"residual_share": 0.1})
    prices = case.parameters.fill(PrivatePrices)
    capital = private_statement("x", case.purchases({"prod-bm": 40}), prices, 0.0).lines[0].usd_per_year
    # (612,800 x 1.08^5 - 61,280) x 0.08 / (1.08^5 - 1)
    assert capital == pytest.approx((612_800 * 1.08**5 - 61_280) * 0.08 / (1.08**5 - 1))


def test_krw_view_multiplies_the_dollars_at_the_rate_without_rounding(case):
    statement = case.private_statement("private", {"prod-bm": 40}, 1.0)
    staff = next(line for line in statement.lines if line.item == "staff")
    assert staff.usd_per_year * 1350 == pytest.approx(121_800_000, abs=1e-6)  # 10.15 M x 12, to the won


# --- published oracles -----------------------------------------------------------------------------------------------


def test_payback_ignores_amortisation_in_the_gpu_case():
    capex = 8 * 35_000 * 1.4
    monthly = 8 * 4.5 * 400 - 8 * 0.7 * 1.4 * 0.12 * 400 - 3_000  # cloud hours saved less power and fixed cost
    assert payback_periods([-capex] + [monthly] * 48) == pytest.approx(35.56, abs=0.005)
    yearly = [-capex] + [monthly * 12] * 4
    assert present_value(0.08, yearly) == pytest.approx(46_141.92, abs=0.005)
    assert internal_rate(yearly) == pytest.approx(0.1318, abs=5e-5)


def test_37signals_plan_saves_1_46_million_a_year():
    yearly = 2_300_000 - 840_000
    assert yearly == 1_460_000
    assert present_value(0.0, [0] + [yearly] * 5) == pytest.approx(7_300_000)


def test_ahrefs_saves_408_million_over_thirty_months():
    saved = (17_557 - 1_550) * 850 * 30
    assert saved == pytest.approx(408.18e6, rel=1e-4)


def test_petronella_pays_back_in_two_months():
    # 5,550 USD a month saved at a 1.98-month payback means 10,989 USD of outlay
    assert payback_periods([-10_989] + [5_550] * 12) == pytest.approx(1.98)


def test_irr_is_unknown_when_none_or_several_exist():
    assert isinstance(internal_rate([-100, -50]), Unknown)
    several = internal_rate([-100, 230, -132])  # both 10 % and 20 %
    assert isinstance(several, Unknown)
    assert several.reason.startswith("2 rates")
    assert present_value(0.1, [-100, 230, -132]) == pytest.approx(0, abs=1e-9)


def test_irr_of_a_loss_is_negative_not_unknown():
    assert internal_rate([-100, 50]) == pytest.approx(-0.5)


def test_straight_line_depreciation_ends_at_the_residual():
    assert 612_800 - straight_line(612_800, 30_640, 5).sum() == pytest.approx(30_640)


@pytest.mark.shared_data
def test_savings_plans_export_of_aws_is_reproduced(shared_data):
    import pandas as pd

    table = pd.read_csv(shared_data / "billing/aws-recommendations/SavingsPlan.csv")
    assert len(table) == 13
    saving = table["Estimated monthly savings amount"]
    roi = saving / (table["Hourly commitment to purchase"] * 730) * 100
    share = saving / (table["Current average hourly On-Demand spend"] * 730) * 100
    assert np.allclose(roi, table["Estimated ROI"], atol=5e-3)
    assert np.allclose(share, table["Estimated savings percentage"], atol=5e-3)


@pytest.mark.shared_data
def test_reserved_instance_export_breaks_even_as_aws_says(shared_data):
    import pandas as pd

    table = pd.read_csv(shared_data / "billing/aws-recommendations/30_day_EC2_RI_Rec.csv").head(5)
    upfront, saving = table["Upfront Cost"].to_numpy(float), table["Estimated Monthly Savings"].to_numpy(float)
    found = [payback_periods([-u] + [s + u / 12] * 24) for u, s in zip(upfront, saving, strict=True)]
    assert found == pytest.approx([6.964551, 7.068641, 7.936258, 9.549990, 7.887090], abs=1e-6)
