"""From a number of the store to its rows: file and row number of each, as many and as dear as the store says."""

from __future__ import annotations

import zipfile
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from bill_rows import RI, SP, line, row, table, write
from models.errors import InputError
from models.unknown import Unknown
from simulator.ingest.bill_lines import KEY_TYPES
from simulator.ingest.bill_trace import parse_trace, trace
from simulator.ingest.bills import import_bills
from simulator.ingest.store import open_store

LATER = {"lineItem__UsageStartDate": "2025-01-01T05:00:00Z", "lineItem__UsageEndDate": "2025-01-01T06:00:00Z"}


def stored(*paths: Path) -> duckdb.DuckDBPyConnection:
    store = open_store(None)
    assert import_bills(paths, store).refused == ()
    return store


def places(store: duckdb.DuckDBPyConnection, text: str, **options: int) -> list[tuple[str, int]]:
    found = trace(store, parse_trace([text]), **options)
    assert found.agrees
    return [(Path(item.file).name, item.row) for item in found.rows]


@pytest.fixture
def company(tmp_path: Path) -> duckdb.DuckDBPyConnection:
    write(tmp_path / "part-1.csv", [row(), line("Tax", "1.5", lineItem__UsageType=""), row(lineItem__UsageType="BoxUsage:c5.large")])
    second = [row(**LATER), line("Tax", "0.5", lineItem__UsageType=""), row(lineItem__ProductCode="AmazonS3", lineItem__UsageType="x")]
    write(tmp_path / "part-2.csv", [{**item, "identity/LineItemId": f"b{n}", "product/new": "y"} for n, item in enumerate(second)])
    return stored(tmp_path)


def test_a_category_leads_to_its_rows_in_every_part(company: duckdb.DuckDBPyConnection) -> None:
    assert places(company, "period=2025-01,category=tax") == [("part-1.csv", 2), ("part-2.csv", 2)]
    found = trace(company, {"category": "tax"}, limit=1)
    assert (len(found.rows), found.count, found.unblended) == (1, 2, (("USD", Decimal(2)),))
    assert (found.rows[0].name, found.rows[0].unblended) == ("id1", Decimal("1.5"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("worker=true,type=m5.large", [("part-1.csv", 1), ("part-2.csv", 1)]),
        ("worker=true,hour=2025-01-01T05", [("part-2.csv", 1)]),
        ("service=AmazonS3", [("part-2.csv", 3)]),
        ("kind=compute,purchase_option=on_demand", [("part-1.csv", 1), ("part-1.csv", 3), ("part-2.csv", 1)]),
    ],
)
def test_any_key_of_a_row_may_be_asked_for(company: duckdb.DuckDBPyConnection, text: str, expected: list[tuple[str, int]]) -> None:
    assert places(company, text) == expected


def test_parquet_and_zip_rows_are_found_too(tmp_path: Path) -> None:
    text = table([row(), line("Credit", "-1"), row(lineItem__LineItemDescription="two\nlines"), line("Credit", "-2")])
    (tmp_path / "a.csv").write_text(text, encoding="utf-8", newline="")
    source = f"read_csv('{tmp_path / 'a.csv'}', all_varchar=true, hive_partitioning=false)"
    duckdb.connect().execute(f"COPY (SELECT * FROM {source}) TO '{tmp_path / 'a.parquet'}' (FORMAT parquet)").fetchall()
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("report-1.csv", text)
    for name in ("a.csv", "a.parquet", "a.zip"):
        assert places(stored(tmp_path / name), "category=credit") == [(name, 2), (name, 4)]


def test_every_group_of_a_bill_with_commitments_is_its_rows(tmp_path: Path) -> None:
    plan = {"savingsPlan__SavingsPlanARN": SP}
    rows = [
        row(),
        line("SavingsPlanCoveredUsage", "2", savingsPlan__SavingsPlanEffectiveCost="1.5", **plan),
        line("SavingsPlanNegation", "-2", **plan),
        line("SavingsPlanRecurringFee", "1.7", lineItem__ProductCode="ComputeSavingsPlans", lineItem__UsageType="x:NoUpfront", **plan),
        line("DiscountedUsage", "0", reservation__ReservationARN=RI, reservation__EffectiveCost="0.4"),
        line("RIFee", "0.5", reservation__ReservationARN=RI, reservation__UnusedRecurringFee="0.1", lineItem__UsageType="HeavyUsage:m5"),
        row(lineItem__Operation="EKSPod-EC2", splitLineItem__ParentResourceId="i-1"),
        line("SomethingNew", "3"),
    ]
    store = stored(write(tmp_path / "a.csv", rows))
    for name in KEY_TYPES:
        if name in ("charge_start", "charge_end"):
            continue
        counts = 0
        for (value,) in store.execute(f"SELECT DISTINCT CAST({name} AS VARCHAR) FROM bill_line ORDER BY 1").fetchall():
            found = trace(store, {name: value})
            assert found.agrees, (name, value, found)
            counts += found.count
        assert counts == len(rows)
    (fee,) = trace(store, {"line_type": "SavingsPlanRecurringFee"}).rows
    assert isinstance(fee.amortised, Unknown)
    assert [item.amortised for item in trace(store, {"line_type": "DiscountedUsage"}).rows] == [Decimal("0.4")]


@pytest.mark.shared_data
def test_the_tax_of_the_public_bill_is_its_twelve_rows(shared_data: Path) -> None:
    store = stored(shared_data / "billing/aws-cur-2023-anonymous-csv/sample-anonymous-aws-export-dataset.csv")
    found = trace(store, {"category": "tax"})
    assert (found.count, found.unblended, found.agrees) == (12, (("USD", Decimal("0.08")),), True)


def test_a_replaced_period_leads_to_the_rows_that_count(tmp_path: Path) -> None:
    store = stored(write(tmp_path / "old.csv", [row(), row()]))
    import_bills([write(tmp_path / "new.csv", [row(lineItem__UnblendedCost="5")])], store)
    assert places(store, "service=AmazonEC2") == [("new.csv", 1)]


def test_a_source_that_changed_or_went_is_told(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", [row()])
    store = stored(file)
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("0.1", "0.2"), encoding="utf-8")
    assert not trace(store, {"service": "AmazonEC2"}).agrees
    file.write_text(text + "\n", encoding="utf-8")
    with pytest.raises(InputError, match="has changed since its import"):
        trace(store, {"service": "AmazonEC2"})
    file.unlink()
    with pytest.raises(InputError, match="not there any more"):
        trace(store, {"service": "AmazonEC2"})


def test_a_value_may_hold_commas() -> None:
    assert parse_trace(["tag=a,b, period=2025-01"]) == {"tag": "a,b", "period": "2025-01"}


def test_what_cannot_be_asked_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError) as wrong:
        parse_trace(["servce=AmazonEC2", "category"])
    mends = [problem.mend for problem in wrong.value.problems]
    assert mends == ["did you mean service?", "write for instance service=AmazonEC2,category=tax"]
    store = stored(write(tmp_path / "a.csv", [row()]))
    with pytest.raises(InputError, match="service is one of 'AmazonEC2'"):
        trace(store, {"period": "2025-01", "service": "EC2"})
