"""`burstline bill` as a person runs it: the JSON document, exit codes, one clear message per bad file, nothing written half."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from bill_rows import line, row, table, write
from models.errors import InputError
from simulator.cli import group
from simulator.ingest.bills import load_charges, load_periods
from simulator.ingest.store import open_store

KEYS = {
    "period",
    "format",
    "unblended_usd",
    "amortised_usd",
    "invoice_usd",
    "addressable_usd",
    "worker_hours",
    "rows_in",
    "rows_used",
    "rows_explained",
    "identity_error_usd",
}


def bill(*arguments: object) -> Result:
    return CliRunner().invoke(group, ["bill", *map(str, arguments)])


def document(*arguments: object, code: int = 0) -> dict[str, Any]:
    result = bill(*arguments, "--json")
    assert result.exit_code == code, result.output
    parsed: dict[str, Any] = json.loads(result.stdout)
    return parsed


def test_json_has_the_documented_keys(tmp_path: Path) -> None:
    told = document(write(tmp_path / "a.csv", [row(), row(lineItem__UnblendedCost="0.2")]))
    (period,) = told["periods"]
    assert set(period) >= KEYS
    assert period["period"] == "2025-01"
    assert period["unblended_usd"] == pytest.approx(0.3)
    assert told["currency"] == "USD"
    assert told["refused"] == []


def test_money_keys_end_in_the_currency_of_the_bill(tmp_path: Path) -> None:
    told = document(write(tmp_path / "a.csv", [row(lineItem__CurrencyCode="CNY")]))
    assert told["currency"] == "CNY"
    assert told["periods"][0]["unblended_cny"] == pytest.approx(0.1)


def test_table_shows_the_bridge_and_the_identity(tmp_path: Path) -> None:
    result = bill(write(tmp_path / "a.csv", [row(), line("Tax", "0.01", lineItem__ProductCode="AmazonEC2", lineItem__UsageType="")]))
    assert result.exit_code == 0
    for text in ("identity error", "less tax", "addressable", "rows in", "0.110000 USD"):
        assert text in result.stdout


def test_refused_files_give_exit_code_2_and_good_ones_are_still_imported(tmp_path: Path) -> None:
    good = write(tmp_path / "good.csv", [row()])
    bad = tmp_path / "bad.csv"
    bad.write_text("a,b\n1,2\n", encoding="utf-8")
    told = document(good, bad, code=2)
    assert [period["period"] for period in told["periods"]] == ["2025-01"]
    assert set(told["refused"][0]) == {"path", "place", "found", "mend"}
    assert told["refused"][0]["path"] == str(bad)


def test_store_keeps_periods_and_worker_hours_for_later_commands(tmp_path: Path) -> None:
    store = tmp_path / "company.duckdb"
    document(write(tmp_path / "a.csv", [row(), row(lineItem__UsageAmount="2")]), "--store", store)
    connection = open_store(store, read_only=True)
    charges = load_charges(connection)
    assert charges.worker_hours.sum() == 3
    assert [period.period for period in load_periods(connection)] == ["2025-01"]


def months(folder: Path, count: int, currency: str = "USD") -> Path:
    """One bill of several months, the number of the month as its cost."""
    rows = []
    for number in range(count):
        start = f"{2020 + number // 12}-{number % 12 + 1:02}-01T0"
        times = {"bill__BillingPeriodStartDate": f"{start}0:00:00Z", "lineItem__UsageStartDate": f"{start}0:00:00Z"}
        cost = {"lineItem__UsageEndDate": f"{start}1:00:00Z", "lineItem__UnblendedCost": number + 1}
        rows.append(row(**times, **cost, lineItem__CurrencyCode=currency))
    rows[-1]["bill/InvoiceId"] = ""
    return write(folder / f"{currency}.csv", rows)


def test_many_periods_are_a_row_each(tmp_path: Path) -> None:
    told = bill(months(tmp_path, 60)).stdout.splitlines()
    assert told[0].split() == ["60", "bills,", "reconciled,", "in", "USD", "(aws_cur_legacy)"]
    assert told[1].split() == ["period", "invoice", "cash", "amortised", "addressable", "worker", "h", "rows"]
    table = [line.split() for line in told[2:63]]
    for number, cells in enumerate(table[:60]):
        name = f"{2020 + number // 12}-{number % 12 + 1:02}{'*' if number == 59 else ''}"
        assert cells == [name, *[f"{number + 1}.00"] * 4, "1.0", "1"]
    assert table[60] == ["sum", *["1,830.00"] * 4, "60.0", "60"]  # 60 x 61 / 2
    assert told[63] == "* provisional: not invoiced yet"
    assert max(map(len, told)) <= 80


def test_many_periods_of_two_currencies_have_no_sum(tmp_path: Path) -> None:
    first, second = months(tmp_path, 3), months(tmp_path, 3, "KRW")
    second.write_text(second.read_text(encoding="utf-8").replace("000000000042", "000000000043"), encoding="utf-8")
    told = bill(first, second).stdout
    assert "6 bills, reconciled, in KRW and USD" in told
    assert "3.00 KRW" in told
    assert "sum" not in told


def test_a_note_of_many_periods_is_told_once(tmp_path: Path) -> None:
    told = bill(months(tmp_path, 3)).stdout
    assert told.count("provisional: rows without an invoice id") == 1
    fees = [line("DiscountedUsage", "0", bill__BillingPeriodStartDate=f"2025-0{n}-01T00:00:00Z") for n in (1, 2, 3)]
    told = bill(write(tmp_path / "fees.csv", fees)).stdout
    assert told.count("amortised cost is unknown") == 1
    assert "2025-01 and 2 more: amortised cost is unknown" in told


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("empty.csv", b"", "an empty file"),
        ("cut.csv.gz", gzip.compress(table([row()] * 5000).encode())[:-40], "cut short"),
        ("cut.parquet", b"PAR1" + b"\0" * 40, "parquet file that is cut short or damaged"),
        ("broken.zip", b"PK\x03\x04" + b"\0" * 40, "zip file that is damaged"),
        ("latin.csv", table([row(lineItem__LineItemDescription="naïve")]).encode("latin-1"), "not UTF-8"),
        ("short.csv", (table([row()]) + "1,2,3\n").encode(), "another number of columns"),
        ("wrong.csv", b"identity/LineItemId,lineItem/UsageType\n1,BoxUsage\n", "no known bill format"),
        ("headed.csv", table([row()]).splitlines()[0].encode() + b"\n", "empty month"),
        ("mixed.csv", table([row(), row(lineItem__CurrencyCode="KRW")]).encode(), "costs in KRW and USD"),
    ],
)
def test_bad_input_is_one_clear_message(tmp_path: Path, name: str, content: bytes, found: str) -> None:
    file, store = tmp_path / name, tmp_path / "store.duckdb"
    file.write_bytes(content)
    result = bill(file, "--store", store)
    assert result.exit_code == 2
    assert found in result.stderr
    assert str(file) in result.stderr
    assert "Traceback" not in result.output
    assert load_periods(open_store(store)) == ()


def test_a_bill_without_its_cost_column_names_the_column(tmp_path: Path) -> None:
    item = {name: value for name, value in row().items() if name != "lineItem/CurrencyCode"}
    told = document(write(tmp_path / "a.csv", [item]), code=2)
    assert "without lineItem/CurrencyCode" in told["refused"][0]["found"]


@pytest.mark.parametrize("path", ["nowhere.csv", "empty"])
def test_paths_without_a_bill(tmp_path: Path, path: str) -> None:
    (tmp_path / "empty").mkdir()
    told = document(tmp_path / path, code=2)
    assert told["refused"][0]["found"] in ("no such file or folder", "a folder without a bill")


def test_an_unknown_format_offers_near_names(tmp_path: Path) -> None:
    result = bill(write(tmp_path / "a.csv", [row()]), "--format", "focuss")
    assert result.exit_code != 0
    assert "did you mean focus" in str(result.exception)


def test_a_store_that_is_no_store_is_refused(tmp_path: Path) -> None:
    store = tmp_path / "notes.txt"
    store.write_text("hello", encoding="utf-8")
    result = bill(write(tmp_path / "a.csv", [row()]), "--store", store)
    assert "not a store" in str(result.exception)
    assert store.read_text(encoding="utf-8") == "hello"


def test_trace_lists_the_rows_behind_a_number_on_import_and_from_the_store(tmp_path: Path) -> None:
    file, store = write(tmp_path / "a.csv", [row(), line("Tax", "0.01"), line("Tax", "0.02")]), tmp_path / "s.duckdb"
    told = document(file, "--store", store, "--trace", "category=tax", "--trace-rows", 1)["trace"]
    assert (told["count"], told["unblended_usd"], told["agrees_with_store"]) == (2, pytest.approx(0.03), True)
    assert [(item["file"], item["row"], item["name"]) for item in told["rows"]] == [(str(file), 2, "id1")]
    later = bill("--store", store, "--trace", "category=tax")
    assert later.exit_code == 0
    assert "2 rows of 0.030000 USD, as in the store" in later.stdout
    assert document("--store", store, "--trace", "category=tax")["periods"] == []


def test_trace_tells_what_it_cannot_find(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", [row()])
    for text, mend in (("categori=tax", "did you mean category?"), ("category=tax", "category is one of 'compute'")):
        error = bill(file, "--trace", text).exception
        assert isinstance(error, InputError)
        assert [problem.mend for problem in error.problems] == [mend]
    assert bill("--trace", "category=tax").exit_code == 2
    assert bill().exit_code == 2
