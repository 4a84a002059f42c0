"""The twenty traps of a bill importer, one or more named tests each."""

from __future__ import annotations

import gzip
import json
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from bill_rows import RI, SP, line, load, near, only, row, table, write
from models.unknown import Unknown
from simulator.ingest.bills import import_bills, load_charges
from simulator.ingest.store import open_store


def manifest(folder: Path, assembly: str, keys: list[str], period: str = "20250101T000000.000Z") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "report-Manifest.json"
    document = {"assemblyId": assembly, "reportKeys": keys, "billingPeriod": {"start": period, "end": "20250201T000000.000Z"}}
    file.write_text(json.dumps(document), encoding="utf-8")
    return file


def test_trap_01_the_same_line_item_id_in_many_intervals_is_many_rows(tmp_path: Path) -> None:
    rows = [row(**{"identity/LineItemId": "same", "identity/TimeInterval": f"t{n}"}) for n in range(3)]
    period = only(load(write(tmp_path / "a.csv", rows, ids=False)))
    assert (period.rows_used, period.unblended) == (3, Decimal("0.3"))


def test_trap_01_a_line_item_given_twice_in_one_delivery_is_refused_by_id(tmp_path: Path) -> None:
    rows = [row(**{"identity/LineItemId": "same", "identity/TimeInterval": "t"}) for _ in range(2)]
    (refusal,) = load(write(tmp_path / "a.csv", rows, ids=False)).refused
    assert "1 line items given twice" in refusal.found
    assert "same" in refusal.found


def test_trap_02_only_the_newest_assembly_counts(tmp_path: Path) -> None:
    home = tmp_path / "cur/report/20250101-20250201"
    for assembly, cost in (("old", "1"), ("new", "2")):
        write(home / assembly / "report-1.csv", [row(lineItem__UnblendedCost=cost)])
        manifest(home / assembly, assembly, [f"cur/report/20250101-20250201/{assembly}/report-1.csv"])
    manifest(home, "new", ["cur/report/20250101-20250201/new/report-1.csv"])
    report = load(tmp_path)
    assert only(report).unblended == 2
    assert [Path(path).parent.name for path, _ in report.ignored] == ["old"]


def test_trap_02_a_missing_part_refuses_the_delivery(tmp_path: Path) -> None:
    home = tmp_path / "20250101-20250201"
    write(home / "report-1.csv", [row()])
    manifest(home, "", ["cur/20250101-20250201/report-1.csv", "cur/20250101-20250201/report-2.csv"])
    report = load(tmp_path)
    assert report.periods == ()
    assert report.refused[0].found == "a part that is not there: report-2.csv"


def test_trap_02_two_versions_without_a_manifest_are_refused(tmp_path: Path) -> None:
    for version in ("v1", "v2"):
        write(tmp_path / version / "report.csv", [row()])
    report = load(tmp_path)
    assert len(report.periods) == 1
    assert "gave already" in report.refused[0].found


def test_trap_03_a_header_alone_is_an_empty_month(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text(table([row()]).splitlines()[0] + "\n", encoding="utf-8")
    assert "empty month" in load(file).refused[0].found


def test_trap_03_an_empty_part_beside_a_full_one_is_fine(tmp_path: Path) -> None:
    full = write(tmp_path / "part-1.csv", [row()])
    (tmp_path / "part-2.csv").write_text(full.read_text(encoding="utf-8").splitlines()[0] + "\n", encoding="utf-8")
    assert only(load(tmp_path)).rows_in == 1


def test_trap_04_column_order_and_missing_optional_columns_do_not_matter(tmp_path: Path) -> None:
    optional = (
        "product/instanceType",
        "pricing/publicOnDemandCost",
        "lineItem/Operation",
        "lineItem/LineItemDescription",
        "bill/InvoiceId",
    )
    bare = {name: value for name, value in sorted(row().items()) if name not in optional}
    period = only(load(write(tmp_path / "a.csv", [bare])))
    assert (period.unblended, period.worker_hours) == (Decimal("0.1"), 1)
    assert isinstance(period.list_cost, Unknown)


def test_trap_04_columns_may_drift_between_parts(tmp_path: Path) -> None:
    write(tmp_path / "part-1.csv", [row(**{"resourceTags/user:team": "a"})])
    write(tmp_path / "part-2.csv", [row(**{"identity/LineItemId": "x", "product/newThing": "y"})])
    period = only(load(tmp_path))
    assert (period.rows_in, period.unblended, period.untagged_share) == (2, Decimal("0.2"), 0.5)


@pytest.mark.parametrize("nothing", ["", "NULL", "\\N", "None", "null"])
def test_trap_05_every_spelling_of_nothing(tmp_path: Path, nothing: str) -> None:
    period = only(load(write(tmp_path / "a.csv", [row(product__instanceType=nothing, pricing__publicOnDemandCost=nothing)])))
    assert period.worker_hours_by_type == (("m5.large", 1.0),)


def test_trap_05_text_in_a_list_price_is_told_not_summed(tmp_path: Path) -> None:
    period = only(load(write(tmp_path / "a.csv", [row(pricing__publicOnDemandCost="convertible")])))
    assert isinstance(period.list_cost, Unknown)
    assert "1 usage rows" in period.list_cost.reason


@pytest.mark.parametrize("text", ["n/a", "1_000", "1,000"])
def test_trap_05_text_in_a_cost_is_refused_by_row(tmp_path: Path, text: str) -> None:
    (refusal,) = load(write(tmp_path / "a.csv", [row(), row(lineItem__UnblendedCost=text)])).refused
    assert refusal.place.endswith("a.csv: row 2 (id1)")
    assert "no number in lineItem/UnblendedCost" in refusal.found


def test_trap_05_exponents_and_leading_zeros_survive(tmp_path: Path) -> None:
    store = open_store(None)
    report = import_bills(
        [write(tmp_path / "a.csv", [row(lineItem__UnblendedCost="1.81E-8", lineItem__UsageAccountId="011254002932")])], store
    )
    assert only(report).unblended == Decimal("0.0000000181")
    assert store.execute("SELECT account FROM bill_line").fetchall() == [("011254002932",)]


def test_trap_06_a_million_tiny_costs_add_up_exactly(tmp_path: Path) -> None:
    # 300,000 x 0.1 = 30,000 exactly; a float sum gives 30000.000000056
    file = tmp_path / "a.parquet"
    connection = duckdb.connect()
    names = ", ".join(f"'{value}' AS \"{name}\"" for name, value in row().items())
    connection.execute(f"COPY (SELECT {names} FROM range(300000)) TO '{file}' (FORMAT parquet)").fetchall()
    assert only(load(file)).unblended == Decimal(30_000)


def test_trap_07_period_long_rows_are_not_put_in_the_hour_of_their_start(tmp_path: Path) -> None:
    month = {"lineItem__UsageStartDate": "2025-01-01T00:00:00Z", "lineItem__UsageEndDate": "2025-01-31T23:59:59Z"}
    rows = [
        row(),
        line("Tax", "9", lineItem__UsageType="", **month),
        line(
            "RIFee",
            "7.44",
            reservation__ReservationARN=RI,
            reservation__UnusedRecurringFee="7.44",
            reservation__EffectiveCost="",
            lineItem__UsageType="HeavyUsage:m5.large",
            **month,
        ),
    ]
    store = open_store(None)
    import_bills([write(tmp_path / "a.csv", rows)], store)
    charges = load_charges(store)
    assert charges.horizon.hours == 1
    assert charges.worker_cost.sum() == pytest.approx(0.1)


def test_trap_08_a_month_without_invoice_is_provisional(tmp_path: Path) -> None:
    open_month = only(load(write(tmp_path / "a.csv", [row(bill__InvoiceId=""), row()])))
    closed = only(load(write(tmp_path / "b.csv", [row()])))
    assert (open_month.provisional, closed.provisional) == (True, False)


def test_trap_09_credits_refunds_tax_and_support_are_shown_and_leave_the_run_rate(tmp_path: Path) -> None:
    rows = [
        row(lineItem__UnblendedCost="100"),
        line("Credit", "-40"),
        line("Refund", "-5"),
        line("Tax", "10"),
        line("Fee", "7", lineItem__ProductCode="AWSSupportBusiness", lineItem__UsageType="Dollar"),
    ]
    period = only(load(write(tmp_path / "a.csv", rows)))
    assert dict(period.by_category) == {"compute": 100, "credit": -40, "refund": -5, "tax": 10, "support": 7}
    assert period.invoice == 72
    assert period.addressable == 100
    assert dict(period.bridge) == {
        "invoice": 72,
        "less tax": -10,
        "less credit": 40,
        "less refund": 5,
        "less support": -7,
        "less services that do not move": 0,
        "commitments from cash to effective cost": 0,
    }


NET = {"lineItem__NetUnblendedCost": "90"}
MAP = {"discount__EdpDiscount": "-10"}


@pytest.mark.parametrize(
    ("rows", "form", "invoice"),
    [
        ([row(lineItem__UnblendedCost="100"), line("EdpDiscount", "-10")], "lines", 90),
        ([row(lineItem__UnblendedCost="100", **NET)], "net", 90),
        ([row(lineItem__UnblendedCost="100", **MAP)], "map", 90),
        ([row(lineItem__UnblendedCost="100", **NET, **MAP)], "net", 90),
        ([row(lineItem__UnblendedCost="100", **NET, **MAP), line("EdpDiscount", "-10", lineItem__NetUnblendedCost="0")], "lines", 90),
        ([row(lineItem__UnblendedCost="100")], "none", 100),
    ],
)
def test_trap_10_private_discounts_are_counted_once(tmp_path: Path, rows: list[dict[str, str]], form: str, invoice: int) -> None:
    period = only(load(write(tmp_path / "a.csv", rows)))
    assert (period.discount_form, period.invoice) == (form, invoice)
    assert period.addressable == invoice


def test_trap_10_the_published_day_of_two_discounts(tmp_path: Path) -> None:
    # 394 gross - 28.18 EDP - 49.20 private rate = 316.62
    rows = [row(lineItem__UnblendedCost="394"), line("EdpDiscount", "-28.18"), line("PrivateRateDiscount", "-49.20")]
    period = only(load(write(tmp_path / "a.csv", rows)))
    assert period.amortised == Decimal("316.62")
    assert period.discounts == Decimal("-77.38")


def test_trap_11_currencies_are_never_added_up(tmp_path: Path) -> None:
    (refusal,) = load(write(tmp_path / "a.csv", [row(), row(lineItem__CurrencyCode="NOK", lineItem__UnblendedCost="9")])).refused
    assert "1 rows of 9.00 NOK, 1 rows of 0.10 USD" in refusal.found


def test_trap_12_blended_cost_is_never_used(tmp_path: Path) -> None:
    period = only(load(write(tmp_path / "a.csv", [row(lineItem__BlendedCost="999")])))
    assert period.unblended == period.amortised == Decimal("0.1")


PLAN = {"savingsPlan__SavingsPlanARN": SP}


def test_trap_13_list_price_leaves_out_negation_rows(tmp_path: Path) -> None:
    rows = [
        line(
            "SavingsPlanCoveredUsage",
            "1",
            savingsPlan__SavingsPlanARN=SP,
            savingsPlan__SavingsPlanEffectiveCost="0.7",
            pricing__publicOnDemandCost="1",
        ),
        line("SavingsPlanNegation", "-1", savingsPlan__SavingsPlanARN=SP, pricing__publicOnDemandCost="1"),
        line("SavingsPlanRecurringFee", "0.7", savingsPlan__SavingsPlanARN=SP, lineItem__ProductCode="ComputeSavingsPlans"),
    ]
    period = only(load(write(tmp_path / "a.csv", rows)))
    assert period.list_cost == 1


def test_trap_14_marketplace_rows_are_a_separate_invoice_that_stays(tmp_path: Path) -> None:
    seller = {"bill__BillingEntity": "AWS Marketplace", "lineItem__ProductCode": "abc123"}
    period = only(load(write(tmp_path / "a.csv", [row(), row(lineItem__UnblendedCost="5", **seller)])))
    assert dict(period.by_category)["marketplace"] == 5
    assert period.addressable == Decimal("0.1")
    assert period.worker_hours == 1


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2025-01-01T09:00:00+09:00", "2025-01-01T10:00:00+09:00"),
        ("2025-01-01 00:00:00 +0000 UTC", "2025-01-01 00:59:59 +0000 UTC"),
        ("2025-01-01 00:00:00+00:00", "2025-01-01 01:00:00+00:00"),
        ("2025-01-01T00:00:00.000Z", "2025-01-01T01:00:00.000Z"),
    ],
)
def test_trap_15_hours_are_utc_whatever_zone_they_are_written_in(tmp_path: Path, start: str, end: str) -> None:
    store = open_store(None)
    import_bills([write(tmp_path / "a.csv", [row(lineItem__UsageStartDate=start, lineItem__UsageEndDate=end)])], store)
    charges = load_charges(store)
    assert (charges.horizon.start.isoformat(), charges.horizon.hours) == ("2025-01-01T00:00:00+00:00", 1)


def test_trap_16_a_day_long_row_fills_its_true_hours(tmp_path: Path) -> None:
    store = open_store(None)
    day = row(lineItem__UsageEndDate="2025-01-02T00:00:00Z", lineItem__UsageAmount="24", lineItem__UnblendedCost="2.4")
    import_bills([write(tmp_path / "a.csv", [day])], store)
    charges = load_charges(store)
    assert charges.worker_hours[:, 0].tolist() == [1.0] * 24
    assert charges.worker_cost[:, 0].tolist() == pytest.approx([0.1] * 24)


def test_trap_17_case_variants_of_a_tag_are_one_and_untagged_rows_are_shown(tmp_path: Path) -> None:
    tags = [{"resourceTags/user:Team": "a"}, {"resourceTags/user:team": "b"}, {"resourceTags/aws:createdBy": "c"}, {}]
    period = only(load(write(tmp_path / "a.csv", [row(**tag) for tag in tags])))
    assert period.worker_hours_by_tag == (("", 2.0), ("a", 1.0), ("b", 1.0))
    assert (period.tag_key, period.untagged_share, period.bare_share) == ("team", 0.5, 0.5)


def test_trap_18_unused_commitment_is_found_without_commitment_columns(tmp_path: Path) -> None:
    rows = [
        line("SavingsPlanCoveredUsage", "2", savingsPlan__SavingsPlanEffectiveCost="1.5", savingsPlan__TotalCommitmentToDate=""),
        line("SavingsPlanNegation", "-2"),
        line("SavingsPlanRecurringFee", "1.7", lineItem__ProductCode="ComputeSavingsPlans", lineItem__UsageType="ComputeSP:3yrNoUpfront"),
    ]
    period = only(load(write(tmp_path / "a.csv", rows)))
    assert period.unused_commitment == Decimal("0.2")
    assert period.amortised == Decimal("1.7")
    assert any("1 fee rows without commitment values" in note for note in period.notes)


def test_trap_19_gzip_members_crlf_mark_and_quoted_newlines(tmp_path: Path) -> None:
    text = "\ufeff" + table([row(lineItem__LineItemDescription='two\r\nlines, "quoted"'), row()], newline="\r\n")
    cut = text.rindex("\r\n", 0, len(text) - 2) + 2
    file = tmp_path / "a.csv.gz"
    file.write_bytes(gzip.compress(text[:cut].encode()) + gzip.compress(text[cut:].encode()))
    assert only(load(file)).rows_in == 2


def test_trap_20_impossible_hours_are_refused_by_row(tmp_path: Path) -> None:
    rows = [row(), row(lineItem__UsageEndDate="2025-01-01T30:00:00Z"), row(lineItem__UsageEndDate="2024-12-31T23:00:00Z")]
    places = {refusal.place.rpartition(": ")[2]: refusal.found for refusal in load(write(tmp_path / "a.csv", rows)).refused}
    assert places["row 2 (id1)"].startswith("no possible time in lineItem/UsageEndDate")
    assert places["row 3 (id2)"].startswith("hours that end before they start")


def test_trap_20_effective_cost_that_contradicts_itself_is_refused_by_row(tmp_path: Path) -> None:
    file = tmp_path / "focus.csv"
    header = (
        "BilledCost,EffectiveCost,BillingPeriodStart,ChargePeriodStart,ChargePeriodEnd,ChargeCategory,ChargeFrequency,"
        "PricingCategory,BillingCurrency"
    )
    plain = "{},{},2025-01-01T00:00:00Z,2025-01-01T00:00:00Z,2025-01-01T01:00:00Z,Usage,Usage-Based,Standard,USD"
    file.write_text("\n".join([header, plain.format("1.5", "1.5"), plain.format("2.5", "0.25")]) + "\n", encoding="utf-8")
    (refusal,) = load(file).refused
    assert refusal.place == f"{file}: 2025-01: row 2"
    assert near(-2.25, float(refusal.found.split("off by ")[1].split()[0]))
