"""The generated company's bills: every kind of line, the same money however it is written, and one FOCUS ledger out of it."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from bill_rows import RI, SP, line, load, near, only, row, write
from models.errors import BillingFormatError
from models.unknown import Unknown
from simulator.cli import group
from simulator.ingest.bills import import_bills, load_periods
from simulator.ingest.focus_columns import COLUMNS_1_2
from simulator.ingest.focus_out import write_focus
from simulator.ingest.focus_rules import check_focus
from simulator.ingest.store import open_store

EXTRAS = ("plain", "edp-lines", "edp-net", "edp-map", "split", "mixed-currency", "marketplace")


@pytest.fixture(scope="module")
def companies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two days of the shipped company, plain and with each extra."""
    found = {}
    for extra in EXTRAS:
        out = tmp_path_factory.mktemp("company") / extra
        options = [] if extra == "plain" else ["--with", extra]
        result = CliRunner().invoke(group, ["sample", "--out", str(out), "--days", "2", *options])
        assert result.exit_code == 0, result.output
        found[extra] = out / "bill"
    return found


@pytest.mark.parametrize("extra", [extra for extra in EXTRAS if extra != "mixed-currency"])
def test_cur2_and_focus_of_one_company_agree(companies: dict[str, Path], extra: str) -> None:
    cur2, focus = (only(load(companies[extra] / kind)) for kind in ("cur2", "focus"))
    assert (cur2.format, focus.format) == ("aws_cur2", "focus")
    assert near(cur2.invoice, float(focus.invoice))
    assert near(cur2.addressable, float(focus.addressable))  # type: ignore[arg-type]
    assert cur2.worker_hours == focus.worker_hours > 0
    assert dict(cur2.worker_hours_by_option) == dict(focus.worker_hours_by_option)
    assert set(dict(cur2.worker_hours_by_option)) == {"on_demand", "reserved", "savings_plan", "spot"}
    assert near(cur2.identity_error, 0)
    if cur2.discount_form not in ("net", "map"):  # FOCUS knows the discounted fee only
        assert near(cur2.unused_commitment, float(focus.unused_commitment))  # type: ignore[arg-type]


@pytest.mark.parametrize("extra", ["edp-lines", "edp-net", "edp-map"])
def test_a_discount_costs_the_same_in_every_form(companies: dict[str, Path], extra: str) -> None:
    period = only(load(companies[extra] / "cur2"))
    plain = only(load(companies["plain"] / "cur2"))
    assert period.discount_form == extra.removeprefix("edp-")
    assert near(period.invoice, float(only(load(companies[extra] / "focus")).invoice), 0.01)
    assert near(period.discounts, -4541.97, 0.01)
    assert float(period.addressable) == pytest.approx(0.95 * float(plain.addressable), rel=1e-6)  # type: ignore[arg-type]


def test_the_three_forms_of_a_discount_agree_to_the_cent(companies: dict[str, Path]) -> None:
    lines, net, mapped = (only(load(companies[extra] / "cur2")) for extra in ("edp-lines", "edp-net", "edp-map"))
    focus = only(load(companies["edp-net"] / "focus"))
    gross = lines.amortised - lines.discounts  # type: ignore[operator]  # the discount lines are cost of their own
    for other in (net, mapped):
        assert near(other.invoice, float(lines.invoice), 0.01)
        assert near(other.amortised, float(gross), 0.01)
        assert near(other.net_amortised, float(lines.net_amortised), 0.01)  # type: ignore[arg-type]
        assert near(other.net_amortised, float(focus.amortised), 0.01)  # type: ignore[arg-type]
        assert near(other.addressable, float(lines.addressable), 0.01)  # type: ignore[arg-type]


@pytest.mark.parametrize("told", [True, False])
def test_unused_commitment_is_scaled_by_net_over_gross_fee(tmp_path: Path, told: bool) -> None:
    # fee 1.00 recurring + 0.70 upfront = 1.70, net 0.90 + 0.63 = 1.53; used 1.50, net 1.35
    # unused 0.20 x 1.53 / 1.70 = 0.18, so net used + net unused = 1.35 + 0.18 = the net fee
    plan = {"savingsPlan__SavingsPlanARN": SP, "lineItem__ProductCode": "AmazonEC2"}
    covered = {"savingsPlan__SavingsPlanEffectiveCost": "1.5", "savingsPlan__NetSavingsPlanEffectiveCost": "1.35"}
    fee = {
        "lineItem__ProductCode": "ComputeSavingsPlans",
        "lineItem__NetUnblendedCost": "0.9",
        "savingsPlan__RecurringCommitmentForBillingPeriod": "1.0",
        "savingsPlan__AmortizedUpfrontCommitmentForBillingPeriod": "0.7",
        "savingsPlan__NetRecurringCommitmentForBillingPeriod": "0.9",
        "savingsPlan__NetAmortizedUpfrontCommitmentForBillingPeriod": "0.63",
        "savingsPlan__TotalCommitmentToDate": "1.7" if told else "",
        "savingsPlan__UsedCommitment": "1.5" if told else "",
    }
    rows = [
        line("SavingsPlanCoveredUsage", "2", **plan, **covered),
        line("SavingsPlanNegation", "-2", **plan),
        line("SavingsPlanRecurringFee", "1.0", **{**plan, **fee}),
    ]
    period = only(load(write(tmp_path / "a.csv", rows)))
    assert near(period.amortised, 1.70, 1e-9)
    assert near(period.net_amortised, 1.53, 1e-9)
    assert near(period.invoice, 0.9, 1e-9)


def test_every_plan_and_reservation_spends_its_fee(companies: dict[str, Path]) -> None:
    period = only(load(companies["plain"] / "cur2"))
    assert {cost.kind for cost in period.commitments} == {"savings_plan", "reservation"}
    assert all(near(cost.residual, 0, 1e-9) and cost.used > 0 for cost in period.commitments)


def test_split_rows_change_no_total(companies: dict[str, Path]) -> None:
    split, plain = (only(load(companies[name] / "cur2")) for name in ("split", "plain"))
    assert split.rows_explained > split.rows_used == plain.rows_used
    assert (split.unblended, split.amortised, split.worker_hours) == (plain.unblended, plain.amortised, plain.worker_hours)


def test_mixed_currencies_need_a_dated_rate(companies: dict[str, Path], tmp_path: Path) -> None:
    (refusal,) = load(companies["mixed-currency"] / "cur2").refused
    assert "costs in KRW and USD" in refusal.found
    rates = tmp_path / "rates.yaml"
    rates.write_text("- {month: 2025-01, from: KRW, to: USD, rate: 0.00069, source: test}\n", encoding="utf-8")
    arguments = ["bill", str(companies["mixed-currency"] / "cur2"), "--currency", "usd", "--rates", str(rates), "--json"]
    result = CliRunner().invoke(group, arguments)
    assert result.exit_code == 0, result.stderr
    (period,) = json.loads(result.stdout)["periods"]
    assert period["currency"] == "USD"
    assert any("billed in another currency" in note for note in period["notes"])


def test_both_formats_in_one_folder_need_a_choice(companies: dict[str, Path]) -> None:
    assert "gave already" in load(companies["plain"]).refused[0].found
    report = load(companies["plain"] / "cur2", format="aws_cur2")
    assert only(report).format == "aws_cur2"


def test_the_ledger_out_adds_up_and_keeps_the_rules(companies: dict[str, Path], tmp_path: Path) -> None:
    store = open_store(None)
    period = only(import_bills([companies["marketplace"] / "cur2"], store))
    rows = write_focus(store, tmp_path / "ledger.csv")
    again = only(load(tmp_path / "ledger.csv"))
    assert rows == again.rows_in
    assert check_focus(tmp_path / "ledger.csv") == []
    assert near(again.unblended, float(period.unblended), 1e-6)
    assert near(again.amortised, float(period.amortised), 1e-6)  # type: ignore[arg-type]
    assert near(again.addressable, float(period.addressable), 1e-6)  # type: ignore[arg-type]
    assert again.worker_hours == period.worker_hours
    assert near(again.unused_commitment, float(period.unused_commitment), 1e-6)  # type: ignore[arg-type]


PRIVATE = {
    "BilledCost": "120",
    "EffectiveCost": "2",
    "ListCost": "120",
    "ContractedCost": "120",
    "BillingAccountId": "site-1",
    "BillingAccountType": "Scenario",
    "BillingCurrency": "USD",
    "BillingPeriodStart": "2025-01-01T00:00:00Z",
    "BillingPeriodEnd": "2025-02-01T00:00:00Z",
    "ChargePeriodStart": "2025-01-01T00:00:00Z",
    "ChargePeriodEnd": "2025-02-01T00:00:00Z",
    "ChargeCategory": "Purchase",
    "ChargeFrequency": "One-Time",
    "InvoiceIssuerName": "Private",
    "ProviderName": "Private",
    "PublisherName": "Private",
    "ServiceCategory": "Compute",
    "ServiceName": "Private capacity",
    "ServiceSubcategory": "Other (Compute)",
    "PricingQuantity": "1",
    "PricingUnit": "order",
    "PricingCategory": "Standard",
    "ListUnitPrice": "120",
    "ContractedUnitPrice": "120",
    "SkuId": "server",
    "SkuPriceId": "server/once",
    "Tags": "{}",
}


def private(path: Path, **changes: str) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS_1_2, restval="")
        writer.writeheader()
        writer.writerow({**PRIVATE, **changes})
    return path


def test_private_rows_stand_beside_aws_rows_in_one_ledger(tmp_path: Path) -> None:
    bill = write(tmp_path / "a.csv", [row(lineItem__UnblendedCost="5")])
    ledger = tmp_path / "ledger.csv"
    result = CliRunner().invoke(
        group, ["bill", str(bill), "--focus", str(ledger), "--beside", str(private(tmp_path / "own.csv")), "--json"]
    )
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["ledger_rows"] == 2
    with ledger.open(encoding="utf-8", newline="") as file:
        found = {item["ProviderName"]: (item["BilledCost"], item["EffectiveCost"]) for item in csv.DictReader(file)}
    assert found == {"AWS": ("5", "5"), "Private": ("120", "2")}


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"ProviderName": ""}, "ProviderName is never null"),
        ({"ChargeCategory": "Gift"}, "ChargeCategory has an allowed value"),
        ({"ChargePeriodStart": "1/1/25"}, "ChargePeriodStart is a UTC time"),
        ({"BilledCost": "$120"}, "BilledCost is a number"),
        ({"ChargeFrequency": "Usage-Based"}, "purchases are not usage-based"),
        ({"ListUnitPrice": "100"}, "ListCost is ListUnitPrice x PricingQuantity"),
        ({"PricingUnit": ""}, "PricingUnit is given for usage and purchases"),
        ({"ConsumedQuantity": "1", "ConsumedUnit": "h"}, "ConsumedQuantity is given for usage only"),
        ({"CommitmentDiscountId": "p"}, "buying a commitment has no effective cost"),
        ({"RegionId": "r"}, "RegionName comes with RegionId, and only then"),
        ({"BillingCurrency": "usd"}, "BillingCurrency is an ISO 4217 code"),
        ({"Tags": "{"}, "Tags is a JSON object"),
    ],
)
def test_a_ledger_that_breaks_a_rule_is_not_written(tmp_path: Path, changes: dict[str, str], rule: str) -> None:
    store = open_store(None)
    import_bills([write(tmp_path / "a.csv", [row()])], store)
    with pytest.raises(BillingFormatError) as raised:
        write_focus(store, tmp_path / "ledger.csv", [private(tmp_path / "own.csv", **changes)])
    assert f"1 rows against: {rule}" in [problem.found for problem in raised.value.problems]
    assert not (tmp_path / "ledger.csv").exists()


def test_a_bill_without_effective_cost_makes_no_ledger(tmp_path: Path) -> None:
    store = open_store(None)
    import_bills([write(tmp_path / "a.csv", [line("DiscountedUsage", "0")])], store)
    with pytest.raises(BillingFormatError, match="without a known effective cost"):
        write_focus(store, tmp_path / "ledger.csv")


def test_a_bill_without_the_columns_to_amortise_says_so(tmp_path: Path) -> None:
    period = only(load(write(tmp_path / "a.csv", [row(), line("DiscountedUsage", "0"), line("RIFee", "7")])))
    assert isinstance(period.amortised, Unknown)
    assert period.amortised.reason == "2 rows lack the columns or values that their effective cost needs"
    assert isinstance(period.addressable, Unknown)
    assert float(period.unblended) == pytest.approx(7.1)


def test_a_plan_that_does_not_spend_its_fee_is_refused_naming_the_rows(tmp_path: Path) -> None:
    plan = {"savingsPlan__SavingsPlanARN": SP}
    total = {"savingsPlan__TotalCommitmentToDate": "1.7", "savingsPlan__UsedCommitment": "1.5"}
    fee = {**total, "lineItem__ProductCode": "ComputeSavingsPlans", "savingsPlan__RecurringCommitmentForBillingPeriod": "1.7"}
    rows = [
        row(),
        line("SavingsPlanCoveredUsage", "2", savingsPlan__SavingsPlanEffectiveCost="1.0", **plan),
        line("SavingsPlanNegation", "-2", **plan),
        line("SavingsPlanRecurringFee", "1.7", **plan, **fee),
    ]
    (refusal,) = load(write(tmp_path / "a.csv", rows)).refused
    assert refusal.place.endswith(": 2025-01: row 2 (id1), row 4 (id3)")
    assert "fee 1.700000" in refusal.found
    assert "used 1.000000, unused 0.200000" in refusal.found


def test_a_lost_negation_row_is_refused_naming_the_usage(tmp_path: Path) -> None:
    plan = {"savingsPlan__SavingsPlanARN": SP}
    fee = {"lineItem__ProductCode": "ComputeSavingsPlans"}
    rows = [
        line("SavingsPlanCoveredUsage", "2", savingsPlan__SavingsPlanEffectiveCost="1.5", **plan),
        line("SavingsPlanRecurringFee", "1.5", **plan, **fee),
    ]
    (refusal,) = load(write(tmp_path / "a.csv", rows)).refused
    assert "BoxUsage:m5.large at 2.000000, its SavingsPlanNegation at 0.000000" in refusal.found


def test_upfront_fees_are_cash_now_and_cost_over_the_term(tmp_path: Path) -> None:
    # 8,760 paid upfront for a year of 8,760 h: 744 of it belongs to January, of which 700 were used
    month = {"lineItem__UsageEndDate": "2025-01-31T23:59:59Z", "lineItem__UsageType": "HeavyUsage:m5.large"}
    unused = {
        "reservation__UnusedAmortizedUpfrontFeeForBillingPeriod": "44",
        "reservation__AmortizedUpfrontFeeForBillingPeriod": "744",
    }
    rows = [
        line("Fee", "8760", reservation__ReservationARN=RI, lineItem__UsageType="HeavyUsage:m5.large"),
        line("RIFee", "0", reservation__ReservationARN=RI, **month, **unused),
        line("DiscountedUsage", "0", reservation__ReservationARN=RI, reservation__EffectiveCost="700", lineItem__UsageAmount="700"),
    ]
    period = only(load(write(tmp_path / "a.csv", rows)))
    assert (period.unblended, period.amortised, period.identity_error) == (8760, 744, 0)
    assert (period.upfront_bought, period.upfront_amortised, period.unused_commitment) == (8760, 744, 44)
    assert dict(period.bridge)["commitments from cash to effective cost"] == 744 - 8760


def test_a_refunded_plan_fee_is_taken_off_what_was_bought_but_other_refunds_stay(tmp_path: Path) -> None:
    rows = [
        line("SavingsPlanUpfrontFee", "1000", lineItem__ProductCode="ComputeSavingsPlans"),
        line("Refund", "-1000", lineItem__LineItemDescription="Refund for one-time fee for Savings Plan ID: p1"),
        line("Refund", "-3", lineItem__ProductCode="ComputeSavingsPlans", lineItem__LineItemDescription="EDP refund"),
    ]
    period = only(load(write(tmp_path / "a.csv", rows)))
    assert (period.upfront_bought, period.amortised, period.unblended) == (0, -3, -3)


def test_net_columns_fall_back_row_by_row(tmp_path: Path) -> None:
    rows = [
        row(lineItem__UnblendedCost="10", lineItem__NetUnblendedCost="9"),
        row(lineItem__UnblendedCost="10", lineItem__NetUnblendedCost=""),
    ]
    period = only(load(write(tmp_path / "a.csv", rows)))
    assert (period.amortised, period.net_amortised, period.invoice) == (20, 19, 19)


def test_unknown_line_types_are_kept_and_flagged(tmp_path: Path) -> None:
    period = only(load(write(tmp_path / "a.csv", [row(), line("SolarSurcharge", "3")])))
    assert dict(period.by_category)["unknown"] == 3
    assert any("1 rows of unknown line types are kept at unblended cost 3.000000" in note for note in period.notes)


def test_what_is_stored_reconciles_again(companies: dict[str, Path], tmp_path: Path) -> None:
    with open_store(tmp_path / "s.duckdb") as store:
        told = import_bills([companies["plain"] / "cur2"], store).periods
    with open_store(tmp_path / "s.duckdb", read_only=True) as store:
        assert load_periods(store) == told
