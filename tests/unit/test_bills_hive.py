"""Hive and Athena text without a header: read with the columns that the manifest or create-table.sql beside it names."""

from __future__ import annotations

import gzip
import json
import re
from decimal import Decimal
from pathlib import Path

import pytest

from bill_rows import load, only, row
from simulator.ingest.bill_trace import trace
from simulator.ingest.bills import import_bills
from simulator.ingest.store import open_store
from simulator.ingest.table_definition import columns_of_manifest, columns_of_statement

ROWS = [row(product__instanceType="\\N", lineItem__LineItemDescription='"quoted" and 5" long'), row(lineItem__UnblendedCost="0.2")]
NAMES = list(ROWS[0])
SNAKE = [re.sub("([A-Z])", r"_\1", name.replace("/", "_")).lower().replace("__", "_") for name in NAMES]
STATEMENT = f"""-- made by AWS
CREATE EXTERNAL TABLE IF NOT EXISTS cur.report(
{", ".join(f"`{name}` STRING COMMENT 'a, b (c)'" for name in SNAKE)}
)
PARTITIONED BY (year STRING, month STRING)
ROW FORMAT SERDE 'x' LOCATION 's3://bucket/prefix/'"""


def part(file: Path, delimiter: str = "\x01", rows: list[dict[str, str]] = ROWS) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(delimiter.join(item[name] for name in NAMES) + "\n" for item in rows)
    file.write_bytes(gzip.compress(text.encode()) if file.suffix == ".gz" else text.encode())
    return file


@pytest.mark.parametrize("name", ["000000_0", "000000_0.gz"])
@pytest.mark.parametrize("delimiter", ["\x01", "\t"])
def test_create_table_sql_names_the_columns(tmp_path: Path, name: str, delimiter: str) -> None:
    (tmp_path / "report-create-table.sql").write_text(STATEMENT, encoding="utf-8")
    rows = ROWS if delimiter == "\x01" else [row(product__instanceType="\\N"), ROWS[1]]
    part(tmp_path / "report/year=2025/month=1" / name, delimiter, rows)
    part(tmp_path / "report/year=2025/month=1" / f"1{name}", delimiter, [row(lineItem__UnblendedCost="0.7")])
    period = only(load(tmp_path))
    assert (period.rows_in, period.unblended, period.worker_hours) == (3, Decimal("1.0"), 3)
    assert only(load(tmp_path / "report/year=2025/month=1" / name)).unblended == Decimal("0.3")


def test_a_manifest_names_the_columns(tmp_path: Path) -> None:
    part(tmp_path / "cur-1.txt")
    columns = [dict(zip(("category", "name"), name.split("/"), strict=True)) for name in NAMES]
    document = {"reportKeys": ["cur-1.txt"], "columns": columns, "billingPeriod": {"start": "20250101T000000.000Z"}}
    (tmp_path / "cur-Manifest.json").write_text(json.dumps(document), encoding="utf-8")
    assert only(load(tmp_path)).unblended == Decimal("0.3")


def test_rows_of_a_file_without_a_header_are_counted_from_its_first_line(tmp_path: Path) -> None:
    (tmp_path / "report-create-table.sql").write_text(STATEMENT, encoding="utf-8")
    bad = [*ROWS, row(lineItem__UnblendedCost="x")]
    (refusal,) = load(part(tmp_path / "000000_0", rows=bad)).refused
    assert refusal.place.endswith("000000_0: row 3")
    store = open_store(None)
    import_bills([part(tmp_path / "000000_0")], store)
    assert [item.row for item in trace(store, {"category": "compute"}).rows] == [1, 2]


@pytest.mark.parametrize("statement", ["", "SELECT 1", STATEMENT.replace("`bill_invoice_id` STRING COMMENT 'a, b (c)', ", "")])
def test_without_a_definition_that_fits_it_is_refused(tmp_path: Path, statement: str) -> None:
    (tmp_path / "report-create-table.sql").write_text(statement, encoding="utf-8")
    (refusal,) = load(part(tmp_path / "000000_0")).refused
    assert refusal.found == f"{len(NAMES)} values where column names should be"
    assert "create-table.sql" in refusal.mend


def test_a_definition_does_not_hide_a_header(tmp_path: Path) -> None:
    (tmp_path / "report-create-table.sql").write_text(STATEMENT, encoding="utf-8")
    names = dict(zip(NAMES, SNAKE, strict=True))
    assert only(load(part(tmp_path / "000000_0", rows=[names, *ROWS]))).rows_in == 2


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"columns": 3}', '{"columns": [1]}', '{"columns": [{"category": "x"}]}', "\ud800"])
def test_what_is_no_manifest_names_nothing(text: str) -> None:
    assert columns_of_manifest(text) == ()


def test_statements_with_nested_types_and_comments() -> None:
    text = """/* old: CREATE TABLE x (no int) */ create table "c" ("a" decimal(10,2), b struct<x:int,y:array<int>>, -- c int
        `d e` map<string,string> comment 'it''s (d, e)') stored as textfile"""
    assert columns_of_statement(text) == ("a", "b", "d e")
    assert columns_of_statement("CREATE TABLE x (") == ()
