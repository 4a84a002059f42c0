"""Line items given twice: found in text, packed text and parquet, at any size when asked, told when not looked for."""

from __future__ import annotations

import gzip
from pathlib import Path

import duckdb
import pytest

from bill_rows import load, only, row, table
from simulator.ingest import bill_groups, bill_import, inflate
from simulator.ingest.formats import Options

ROWS = [{**row(), "identity/LineItemId": f"id{n % 199}", "identity/TimeInterval": "t"} for n in range(200)]


def dressed(folder: Path, name: str, rows: list[dict[str, str]]) -> Path:
    """The rows as csv, csv.gz or parquet."""
    text, file = table(rows, ids=False), folder / name
    if name.endswith(".gz"):
        file.write_bytes(gzip.compress(text.encode()))
        return file
    (folder / "a.csv").write_text(text, encoding="utf-8")
    if name.endswith(".parquet"):
        source = f"read_csv('{folder / 'a.csv'}', all_varchar=true, hive_partitioning=false)"
        duckdb.connect().execute(f"COPY (SELECT * FROM {source}) TO '{file}' (FORMAT parquet)").fetchall()
    return file


@pytest.fixture
def blocks_of_few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = inflate.blocks
    monkeypatch.setattr(inflate, "blocks", lambda file, folder: whole(file, folder, 4_000))
    monkeypatch.setattr(inflate, "_READ_BYTES", 128)
    monkeypatch.setattr(bill_groups, "_PACKED_BYTES", 0)


@pytest.mark.usefixtures("blocks_of_few_rows")
@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.parquet"])
@pytest.mark.parametrize("most", [1_000, 60])
def test_a_line_item_given_twice_is_found_in_any_dress_and_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, most: int
) -> None:
    for module in (bill_groups, bill_import):
        monkeypatch.setattr(module, "DUPLICATE_CHECK_ROWS", most)
    (refusal,) = load(dressed(tmp_path, name, ROWS), options=Options(all_duplicates=True)).refused
    assert refusal.found == "1 line items given twice (same id and time interval): id0"
    assert only(load(dressed(tmp_path, name, ROWS[:199]), options=Options(all_duplicates=True))).rows_in == 199


@pytest.mark.usefixtures("blocks_of_few_rows")
@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.parquet"])
def test_above_the_size_it_is_told_that_nobody_looked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for module in (bill_groups, bill_import):
        monkeypatch.setattr(module, "DUPLICATE_CHECK_ROWS", 60)
    told = "line items given twice were not looked for in 200 rows, more than 60 (--all-duplicates does)"
    assert told in only(load(dressed(tmp_path, name, ROWS))).notes
    monkeypatch.setattr(bill_import, "DUPLICATE_CHECK_ROWS", 200)
    monkeypatch.setattr(bill_groups, "DUPLICATE_CHECK_ROWS", 200)
    assert "1 line items given twice" in load(dressed(tmp_path, name, ROWS)).refused[0].found
