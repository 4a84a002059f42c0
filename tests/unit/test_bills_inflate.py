"""Packed bills in blocks: every record once, whatever stands in quotes, and the same answer as reading them whole."""

from __future__ import annotations

import csv
import gzip
import io
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bill_rows import load, only, row, table
from simulator.ingest import bill_groups, inflate
from simulator.ingest.inflate import NotInBlocks, blocks

CELLS = st.text(alphabet='ab",\n\r', max_size=6)


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=40), size=st.integers(1, 200), cut=st.integers(0, 500))
def test_blocks_hold_whole_records_in_order(
    rows: list[tuple[str, str]], size: int, cut: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    out = io.StringIO(newline="")
    csv.writer(out, quoting=csv.QUOTE_ALL).writerows(rows)
    text = out.getvalue().encode()
    folder = tmp_path_factory.mktemp("blocks")
    (folder / "a.gz").write_bytes(gzip.compress(text[:cut]) + gzip.compress(text[cut:]))
    pieces = [block.read_bytes() for block in blocks(folder / "a.gz", folder, size)]
    assert b"".join(pieces) == text
    found = [tuple(record) for piece in pieces for record in csv.reader(io.StringIO(piece.decode(), newline=""))]
    assert found == rows
    assert [file.name for file in folder.iterdir()] == ["a.gz"]


def test_a_stream_that_is_cut_short_or_damaged_is_not_for_blocks(tmp_path: Path) -> None:
    packed = gzip.compress(table([row()] * 50).encode())
    for content in (packed[:-9], packed[:40] + b"\xff" * 40 + packed[80:], packed + b"rubbish"):
        (tmp_path / "a.gz").write_bytes(content)
        with pytest.raises(NotInBlocks):
            list(blocks(tmp_path / "a.gz", tmp_path))


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Blocks of a few records, and how many there were."""
    seen: list[int] = []

    def few(file: Path, folder: Path, size: int = 4_000) -> object:
        for block in blocks(file, folder, size):
            seen.append(block.stat().st_size)
            yield block

    monkeypatch.setattr(inflate, "blocks", few)
    monkeypatch.setattr(inflate, "_READ_BYTES", 128)
    monkeypatch.setattr(bill_groups, "_PACKED_BYTES", 0)
    return seen


def test_a_bill_in_blocks_is_the_bill_read_whole(tmp_path: Path, small_blocks: list[int]) -> None:
    told = {"lineItem__LineItemDescription": 'two\nlines, "quoted"', "resourceTags/user:team": "a"}
    rows = [row(lineItem__UnblendedCost=f"0.{n:03d}", lineItem__UsageAmount="1", **(told if n % 3 else {})) for n in range(200)]
    text = table(rows).encode()
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(text[:5_000]) + gzip.compress(text[5_000:]))
    (tmp_path / "b.csv").write_bytes(text)
    packed, plain = only(load(tmp_path / "a.csv.gz")), only(load(tmp_path / "b.csv"))
    assert len(small_blocks) > 5
    assert packed.unblended == sum(Decimal(n) for n in range(200)) / 1000
    assert (packed.rows_in, packed.worker_hours, packed.untagged_share) == (200, 200, 67 / 200)
    assert packed == type(packed)(**{**vars(plain), "place": packed.place})


def test_packed_parts_may_differ_in_columns(tmp_path: Path, small_blocks: list[int]) -> None:
    first = table([{**row(**{"resourceTags/user:team": "a"}), "identity/LineItemId": f"a{n}"} for n in range(30)], ids=False)
    second = table([{**row(), "identity/LineItemId": f"b{n}", "product/newThing": "y"} for n in range(30)], ids=False)
    (tmp_path / "part-1.csv.gz").write_bytes(gzip.compress(first.encode()))
    (tmp_path / "part-2.csv").write_bytes(second.encode())
    period = only(load(tmp_path))
    assert (period.rows_in, period.unblended, period.untagged_share) == (60, Decimal(6), 0.5)


def test_what_is_wrong_in_a_packed_bill_is_told_as_if_read_whole(tmp_path: Path, small_blocks: list[int]) -> None:
    lines = table([row() for _ in range(100)]).splitlines(keepends=True)
    lines[80] = lines[80].rstrip("\n") + ",too,many\n"
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress("".join(lines).encode()))
    (refusal,) = load(tmp_path / "a.csv.gz").refused
    assert refusal.place.endswith("a.csv.gz: line 81")
    assert refusal.found == "a row with another number of columns than the header"
