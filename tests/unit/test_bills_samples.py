"""Public bills import to the totals published beside them, or are refused with the reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from bill_rows import load, near, only, total
from models.bill import BillReport
from models.unknown import Unknown

pytestmark = pytest.mark.shared_data


@pytest.fixture(scope="module")
def workshop(shared_data: Path) -> BillReport:
    return load(shared_data / "billing/aws-cur-2018-workshop")


@pytest.fixture(scope="module")
def nise(shared_data: Path) -> BillReport:
    return load(shared_data / "billing/synthetic-nise-eks")


@pytest.mark.parametrize(
    ("at", "unblended", "amortised", "hours", "rows", "upfront"),
    [(0, 4064.483132, 4195.957109, 15_941.778, 119_307, 131.473973), (1, 3505.326968, 3632.559846, 16_591.227, 124_340, 127.232877)],
)
def test_workshop_months_add_up(
    workshop: BillReport, at: int, unblended: float, amortised: float, hours: float, rows: int, upfront: float
) -> None:
    period = workshop.periods[at]
    assert near(period.unblended, unblended, 1e-6)
    assert near(period.amortised, amortised, 1e-6)
    assert near(period.upfront_amortised, upfront, 1e-6)
    assert near(period.identity_error, 0, 1e-5)
    assert near(period.worker_hours, hours, 1e-3)
    assert (period.rows_in, period.rows_used, period.rows_explained) == (rows, rows, 0)


def test_workshop_hours_by_purchase_option(workshop: BillReport) -> None:
    october, november = (dict(period.worker_hours_by_option) for period in workshop.periods)
    assert {name: round(hours, 3) for name, hours in october.items()} == {"on_demand": 8490.480, "reserved": 6177.501, "spot": 1273.798}
    assert {name: round(hours, 3) for name, hours in november.items()} == {"on_demand": 9870.054, "reserved": 4275.0, "spot": 2446.173}


def test_workshop_unused_reservations(workshop: BillReport) -> None:
    october, november = (period.unused_commitment for period in workshop.periods)
    assert near(october, 22.336986 + 26.658574, 1e-5)
    assert near(november, 21.616438 + 21.600000, 1e-5)


def test_workshop_reservations_spend_what_they_cost(workshop: BillReport) -> None:
    # October: RI effective 232.253796 + unused 48.995560 = recurring fees 149.775379 + amortised upfront 131.473973
    october = workshop.periods[0].commitments
    assert near(total(cost.used for cost in october), 232.253796, 1e-5)
    assert near(total(cost.fee for cost in october), 149.775379 + 131.473973, 1e-5)
    assert all(near(cost.residual, 0, 1e-5) for cost in october)


def test_workshop_untagged_rows_are_shown(workshop: BillReport) -> None:
    october = workshop.periods[0]
    assert (october.tag_key, round(float(october.untagged_share), 2)) == ("cost_center", 0.71)  # type: ignore[arg-type]


def test_generated_savings_plan_month_finds_its_unused_part(nise: BillReport) -> None:
    january, february = nise.periods
    for period, total_usd, unused in ((january, 2749.184, 148.8), (february, 2483.392, 134.4)):
        assert near(period.unblended, total_usd)
        assert near(period.amortised, total_usd)
        assert near(period.unused_commitment, unused)
    assert (january.worker_hours, february.worker_hours) == (4464, 4032)


def test_generated_empty_month_is_refused_and_other_tables_left_aside(nise: BillReport) -> None:
    (refusal,) = nise.refused
    assert "20250301-20250401" in refusal.place
    assert "empty month" in refusal.found
    assert {Path(path).suffix for path, _ in nise.ignored} == {".yml", ".json", ".gz"}


def test_daily_csv_without_closed_month(shared_data: Path) -> None:
    period = only(load(shared_data / "billing/aws-cur-2023-anonymous-csv"))
    assert near(period.unblended, 1.68230869740, 1e-9)
    assert near(period.amortised, 1.68230869740, 1e-9)
    assert near(dict(period.by_category)["tax"], 0.08, 1e-9)
    assert near(period.list_cost, 3.3561726949, 1e-8)
    assert period.provisional


def test_rounded_focus_sample_says_that_it_cannot_be_amortised(shared_data: Path) -> None:
    report = load(shared_data / "billing/focus-1.0-sample")
    assert report.refused == ()
    assert near(total(p.unblended for p in report.periods), 20.52022672899, 1e-9)
    assert near(total(p.effective_as_written for p in report.periods), 14.97651418586, 1e-9)
    assert near(total(p.list_cost for p in report.periods), 20.39090575119, 1e-9)
    assert near(report.periods[0].contracted, 14.97626039326, 1e-9)
    september = report.periods[0]
    assert isinstance(september.amortised, Unknown)
    assert "rounded to whole units on all 942 rows of AWS" in september.amortised.reason
    assert "columns that the specification does not have: Id" in september.notes
    assert any("AvailabilityZone" in note for note in september.notes)
    assert any("6 rows without ContractedCost" in note for note in september.notes)


@pytest.mark.parametrize(("name", "row"), [("purchase_scenario_2", 3), ("purchase_scenario_3", 4)])
def test_focus_example_with_thirty_o_clock_is_refused_by_row(shared_data: Path, name: str, row: int) -> None:
    file = shared_data / f"billing/focus-spec-examples/commitment_discounts/commitment_discount_{name}.csv"
    report = load(file)
    (refusal,) = report.refused
    assert refusal.place.startswith(f"{file}: row {row} ")
    assert "ChargePeriodEnd" in refusal.found
    assert report.periods == ()


FOCUS_EXAMPLES = {
    "commitment_discounts/commitment_discount_purchase_scenario_1": (8760, 0),
    "commitment_discounts/commitment_discount_usage_scenario_1": (0, 1),
    "commitment_discounts/commitment_discount_usage_scenario_3": (0, 1),
    "commitment_discounts/commitment_discount_usage_scenario_4": (0.5, 1.5),
    "commitment_discounts/one_hundred_percent_utilization_with_commitment_discount_flexibility_with_1_resource": (2.75, 2.75),
    "commitment_discounts/zero_percent_utilization_without_commitment_discount_flexibility": (3.5, 3.5),
    "saas/saas_spend_agreements_a1": (1200, 1200),  # 48 + 120 + 60 + 972
    "saas/saas_spend_agreements_b2": (1200, 1200),
    "saas/simple_saas_agreements_c": (35_800, 35_800),  # "$10,100.00 " + "$13,000.00 " + "$12,700.00 "
    "saas/virtual_currency_pricing_model_a1": (200_000, 0),
    "saas/virtual_currency_pricing_model_b3": (0, 495),  # byte order mark, dates like 4/2/25
}


@pytest.mark.parametrize("name", sorted(FOCUS_EXAMPLES))
def test_focus_examples_give_their_cash_and_effective_cost(shared_data: Path, name: str) -> None:
    report = load(shared_data / f"billing/focus-spec-examples/{name}.csv")
    billed, effective = FOCUS_EXAMPLES[name]
    assert report.refused == ()
    assert near(total(p.unblended for p in report.periods), billed, 1e-9)
    assert near(total(p.amortised for p in report.periods), effective, 1e-9)
    assert near(total(p.identity_error for p in report.periods), 0, 1e-9)


@pytest.mark.parametrize("name", ["SavingsPlan.csv", "30_day_EC2_RI_Rec.csv"])
def test_a_console_export_is_no_bill(shared_data: Path, name: str) -> None:
    report = load(shared_data / "billing/aws-recommendations" / name)
    assert report.periods == ()
    assert "no known bill format" in report.refused[0].found
