"""Bills as nobody here has seen them: spellings of FOCUS providers, dress of numbers and times, column sets. Read right or refused."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from bill_rows import line, load, only, row, write

FOCUS = {
    "BilledCost": "1.5",
    "EffectiveCost": "1.5",
    "BillingPeriodStart": "2025-01-01T00:00:00Z",
    "ChargePeriodStart": "2025-01-01T00:00:00Z",
    "ChargePeriodEnd": "2025-01-01T01:00:00Z",
    "ChargeCategory": "Usage",
    "ChargeFrequency": "Usage-Based",
    "PricingCategory": "Standard",
    "BillingCurrency": "USD",
    "ProviderName": "AWS",
    "PublisherName": "AWS",
    "InvoiceIssuerName": "AWS",
    "ServiceName": "Amazon Elastic Compute Cloud",
    "x_UsageType": "BoxUsage:m5.large",
    "ConsumedQuantity": "1",
}


def focus(
    path: Path, *rows: dict[str, str], delimiter: str = ",", newline: str = "\n", mark: str = "", name: Callable[[str], str] = str
) -> Path:
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter, lineterminator=newline, quoting=csv.QUOTE_ALL)
    writer.writerow([name(column) for column in FOCUS])
    writer.writerows([{**FOCUS, **changes}.values() for changes in rows])
    path.write_text(mark + out.getvalue(), encoding="utf-8", newline="")
    return path


@pytest.mark.parametrize("name", [str.lower, str.upper, str.strip, lambda text: f" {text} "])
@pytest.mark.parametrize(
    ("delimiter", "newline", "mark"), [(",", "\n", ""), (";", "\r\n", "\ufeff"), ("|", "\r\n", ""), ("\t", "\n", "\ufeff")]
)
def test_focus_in_any_dress(tmp_path: Path, name: Callable[[str], str], delimiter: str, newline: str, mark: str) -> None:
    period = only(load(focus(tmp_path / "f.csv", {}, delimiter=delimiter, newline=newline, mark=mark, name=name)))
    assert (period.format, period.unblended, period.worker_hours) == ("focus", Decimal("1.5"), 1)


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2025-01-01T00:00:00.000000000Z", "2025-01-01T01:00:00.000000000Z"),
        ("2025-01-01 00:00:00 UTC", "2025-01-01 01:00:00 UTC"),
        ("2025-01-01T00:00:00.000+00:00", "2025-01-01T01:00:00.000+00:00"),
        ("2024-12-31T19:00:00-05:00", "2024-12-31T20:00:00-05:00"),
        ("2025-01-01T00:00Z", "2025-01-01T01:00Z"),
        ("01/01/2025 00:00:00", "01/01/2025 01:00:00"),
        ("2025-01-01 00:00:00", "2025-01-01 01:00:00"),
    ],
)
def test_times_of_every_provider_are_the_same_hour(tmp_path: Path, start: str, end: str) -> None:
    from simulator.ingest.bills import import_bills
    from simulator.ingest.store import open_store

    store = open_store(None)
    assert only(import_bills([focus(tmp_path / "f.csv", {"ChargePeriodStart": start, "ChargePeriodEnd": end})], store)).rows_in == 1
    assert store.execute("SELECT charge_start::VARCHAR, charge_end::VARCHAR FROM bill_line").fetchall() == [
        ("2025-01-01 00:00:00", "2025-01-01 01:00:00")
    ]


def test_allowed_values_in_another_case_are_taken_for_them_and_told(tmp_path: Path) -> None:
    rows = ({"ChargeCategory": "usage", "PricingCategory": "DYNAMIC"}, {"ChargeCategory": "TAX"}, {"ChargeCategory": "Gift"})
    period = only(load(focus(tmp_path / "f.csv", *rows)))
    assert dict(period.by_category) == {"compute": Decimal("1.5"), "tax": Decimal("1.5"), "unknown": Decimal("1.5")}
    assert period.worker_hours_by_option == (("spot", 1.0),)
    assert "2 rows spell ChargeCategory otherwise than the specification" in period.notes


@pytest.mark.parametrize(
    ("text", "value"), [("1,234.50", "1234.5"), ("$10,100.00 ", "10100"), ("-1,000,000", "-1000000"), (" 1.5 ", "1.5")]
)
def test_thousands_are_read(tmp_path: Path, text: str, value: str) -> None:
    assert only(load(focus(tmp_path / "f.csv", {"BilledCost": text, "EffectiveCost": text}))).unblended == Decimal(value)


@pytest.mark.parametrize("text", ["1,5", "1.234,50", "0,12", "12,34", "(1.50)", "€1.5", "1,2345", "1_000", "$1_000"])
def test_what_could_be_another_amount_is_refused(tmp_path: Path, text: str) -> None:
    for delimiter in ",;":
        refusal = load(focus(tmp_path / "f.csv", {}, {"BilledCost": text, "EffectiveCost": text}, delimiter=delimiter)).refused[0]
        assert refusal.place.endswith("f.csv: row 2")
        assert (refusal.found, refusal.mend) == ("no number in BilledCost (1 rows)", "write numbers like 1234.5, with a decimal point")


def test_between_semicolons_a_comma_may_be_the_decimal_sign_and_is_refused(tmp_path: Path) -> None:
    changes = {"BilledCost": "1,234", "EffectiveCost": "1,234"}
    assert only(load(focus(tmp_path / "f.csv", changes))).unblended == 1234
    assert load(focus(tmp_path / "f.csv", changes, delimiter=";")).refused[0].found == "no number in BilledCost (1 rows)"


@pytest.mark.parametrize("nothing", ["", "NULL", "null", "None", "\\N"])
def test_an_empty_effective_cost_is_unknown_not_zero(tmp_path: Path, nothing: str) -> None:
    period = only(load(focus(tmp_path / "f.csv", {}, {"EffectiveCost": nothing})))
    assert period.unblended == 3
    assert str(period.amortised).startswith("unknown (EffectiveCost is empty in 1 rows")


@pytest.mark.parametrize("order", [sorted, lambda names: sorted(names, reverse=True)])
def test_legacy_columns_in_any_order_with_strangers_between(tmp_path: Path, order: Callable[[list[str]], list[str]]) -> None:
    item = row(**{"foo/bar": "x", "lineItem/Unheard": "y", "reservation/NewThing": "1", "splitLineItem/SplitCost": ""})
    period = only(load(write(tmp_path / "a.csv", [{name: item[name] for name in order(list(item))}])))
    assert (period.unblended, period.worker_hours) == (Decimal("0.1"), 1)


@pytest.mark.parametrize(
    "tags",
    ['{"user_team": "a', "", "{}", "[]", "NULL", '[{"k": "team", "v": "a"}]', "3", '{"te\\"st": "a"}', '{"user_team": null}'],
)
def test_tags_that_are_no_map_leave_rows_untagged(tmp_path: Path, tags: str) -> None:
    period = only(load(write(tmp_path / "a.csv", [row(resource_tags=tags), row(resource_tags='{"user_team": "b"}')])))
    assert (period.format, period.rows_in) == ("aws_cur2", 2)
    assert dict(period.worker_hours_by_tag) == {"": 1.0, "b": 1.0}


@pytest.mark.parametrize("kind", ["SavingsPlanRecurringFee", "SavingsPlanCoveredUsage", "SavingsPlanNegation", "DiscountedUsage"])
@pytest.mark.parametrize("lacks", ["lineItem/UsageEndDate", "lineItem/UsageStartDate"])
def test_a_commitment_row_without_its_hours_is_refused_by_row(tmp_path: Path, kind: str, lacks: str) -> None:
    """Its cost belongs to hours; without an end it would silently stand for one."""
    odd = {**line(kind, "1", lineItem__ProductCode="ComputeSavingsPlans", lineItem__UsageType="ComputeSP:1yrNoUpfront"), lacks: ""}
    (refusal,) = load(write(tmp_path / "a.csv", [row(), odd])).refused
    assert refusal.found == "a commitment row without its hours (1 rows)"
    assert refusal.place.endswith(": row 2 (id1)")


def test_a_reservations_fee_for_the_whole_period_needs_no_end(tmp_path: Path) -> None:
    fee = line("RIFee", "7", lineItem__UsageType="HeavyUsage:m5.large", lineItem__UsageEndDate="", reservation__UnusedRecurringFee="7")
    assert only(load(write(tmp_path / "a.csv", [row(), fee]))).rows_used == 2
