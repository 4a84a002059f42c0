"""Two thousand damaged bills: never a traceback, never a dropped row, never a changed store when refused.

Slices of every public sample are damaged byte by byte (seeded) and cell by cell (hypothesis). What is still accepted must
hold every row and every cent that Python's own csv reader finds in it.
"""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from pathlib import Path

import duckdb
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.bill import BillReport
from simulator.ingest.bills import import_bills
from simulator.ingest.store import open_store
from simulator.ingest.tabular import NULL_TEXTS

pytestmark = pytest.mark.shared_data

BYTE_MUTATIONS = 170  # x 7 samples
CELL_MUTATIONS = 140  # x 6 text samples: 2,030 in all
SAMPLES = {
    "workshop.parquet": "aws-cur-2018-workshop/Oct2018-WorkshopCUR-00001.snappy.parquet",
    "nise.csv.gz": "synthetic-nise-eks/aws/eks/20250101-20250201/d5b3036e-935f-40df-a16b-dc68dfd20993/January-2025-eks.csv.gz",
    "anonymous.csv": "aws-cur-2023-anonymous-csv/sample-anonymous-aws-export-dataset.csv",
    "focus10.csv": "focus-1.0-sample/focus_sample.csv",
    "commitment.csv": "focus-spec-examples/commitment_discounts/"
    "one_hundred_percent_utilization_with_commitment_discount_flexibility_with_1_resource.csv",
    "saas.csv": "focus-spec-examples/saas/simple_saas_agreements_c.csv",
    "tokens.csv": "focus-spec-examples/saas/virtual_currency_pricing_model_b3.csv",
}
COSTS = ("lineItem/UnblendedCost", "BilledCost")
JUNK = (
    "",
    "x",
    "NaN",
    "inf",
    "1e400",
    "-1",
    "1,5",
    '"',
    "\x00",
    "2025-13-01",
    "2023-02-01T30:00:00Z",
    "𝟙",
    "\\N",
    "0x10",
    "KRW",
    "' OR 1=1 --",
)


@pytest.fixture(scope="module")
def slices(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Thirty rows of each sample, in its own dress."""
    folder = tmp_path_factory.mktemp("slices")
    found = {}
    for name, path in SAMPLES.items():
        source = shared_data / "billing" / path
        if name.endswith(".parquet"):
            target = folder / name
            duckdb.connect().execute(
                f"COPY (SELECT * FROM '{source}' WHERE line_item_line_item_type = 'Usage' LIMIT 30) TO '{target}' (FORMAT parquet)"
            ).fetchall()
            found[name] = target.read_bytes()
        else:
            raw = gzip.decompress(source.read_bytes()) if name.endswith(".gz") else source.read_bytes()
            found[name] = _head(raw)
    return found


def _head(raw: bytes) -> bytes:
    header, *rows = (record for record in csv.reader(io.StringIO(raw.decode("utf-8"), newline="")) if record)
    at = header.index("lineItem/LineItemType") if "lineItem/LineItemType" in header else None
    records = [header, *[row for row in rows if at is None or row[at] in ("Usage", "Tax")][:30]]
    out = io.StringIO(newline="")
    csv.writer(out).writerows(records)
    return out.getvalue().encode()


@pytest.fixture
def store() -> Iterator[duckdb.DuckDBPyConnection]:
    connection = open_store(None)
    connection.execute("SET threads=1").fetchall()
    yield connection
    connection.close()


def imported(store: duckdb.DuckDBPyConnection, folder: Path, name: str, content: bytes) -> BillReport:
    """Import one damaged file and check what must hold whatever it contains."""
    file = folder / name
    file.write_bytes(gzip.compress(content, 1) if name.endswith(".gz") else content)
    before = _state(store)
    report = import_bills([file], store)
    assert bool(report.periods) != bool(report.refused)
    if report.refused:
        assert _state(store) == before
        assert all(refusal.place and refusal.found and refusal.mend for refusal in report.refused)
    for period in report.periods:
        assert period.rows_in == period.rows_used + period.rows_explained
    if report.periods and not name.endswith(".parquet"):
        rows, cost = _by_hand(content)
        assert sum(period.rows_in for period in report.periods) == rows
        assert abs(sum(period.unblended for period in report.periods) - cost) < Decimal("1e-9")
    return report


def _state(store: duckdb.DuckDBPyConnection) -> list[tuple[object, ...]]:
    if not store.execute("SELECT 1 FROM information_schema.tables WHERE table_name = 'bill_line'").fetchall():
        return [(0, None)]
    return store.execute("SELECT coalesce(sum(rows), 0)::BIGINT, sum(billed) FROM bill_line").fetchall()


def _by_hand(content: bytes) -> tuple[int, Decimal]:
    header, *rows = [record for record in csv.reader(io.StringIO(content.decode("utf-8-sig", "replace"), newline="")) if record]
    at = next(number for number, name in enumerate(header) if name in COSTS)
    costs = [record[at].replace("$", "").replace(",", "").strip() for record in rows]
    return len(rows), sum((Decimal(cost) for cost in costs if cost not in NULL_TEXTS), Decimal(0))


def damaged(rng: np.random.Generator, content: bytes) -> bytes:
    """One to three damages of bytes: flips, cuts, insertions, deletions, repeats."""
    data = bytearray(content)
    for _ in range(rng.integers(1, 4)):
        at = int(rng.integers(0, len(data)))
        match rng.integers(0, 6):
            case 0:
                data[at] ^= 1 << int(rng.integers(0, 8))
            case 1:
                data = data[:at] or data
            case 2:
                data[at:at] = rng.integers(0, 256, size=int(rng.integers(1, 9)), dtype=np.uint8).tobytes()
            case 3:
                del data[at : at + int(rng.integers(1, 60))]
                data = data or bytearray(b"x")
            case 4:
                data[at:at] = data[at : at + int(rng.integers(1, 400))]
            case _:
                data[at : at + 1] = rng.choice(np.frombuffer(b'",\n\r\x00\t;', dtype=np.uint8), size=1).tobytes()
    return bytes(data)


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_damaged_bytes_never_break_or_lose(slices: dict[str, bytes], store: duckdb.DuckDBPyConnection, tmp_path: Path, name: str) -> None:
    rng = np.random.default_rng([2026, *name.encode()])
    assert imported(store, tmp_path, name, slices[name]).refused == ()
    refused = 0
    for _ in range(BYTE_MUTATIONS):
        refused += bool(imported(store, tmp_path, name, damaged(rng, slices[name])).refused)
    assert 0 < refused <= BYTE_MUTATIONS


@pytest.mark.parametrize("name", sorted(set(SAMPLES) - {"workshop.parquet"}))
def test_damaged_cells_never_break_or_lose(slices: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    records = list(csv.reader(io.StringIO(slices[name].decode("utf-8-sig"), newline="")))
    width, height = len(records[0]), len(records)
    folder = tmp_path_factory.mktemp("cells")
    store = open_store(None)
    store.execute("SET threads=1").fetchall()
    cells = st.lists(
        st.tuples(st.integers(0, height - 1), st.integers(0, width - 1), st.one_of(st.sampled_from(JUNK), st.text(max_size=8))),
        min_size=1,
        max_size=3,
    )

    @settings(max_examples=CELL_MUTATIONS, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None)
    @given(cells=cells, drop_row=st.booleans(), drop_column=st.booleans(), at=st.integers(0, 10_000))
    def check(cells: list[tuple[int, int, str]], drop_row: bool, drop_column: bool, at: int) -> None:
        changed = [list(record) for record in records]
        for row, column, text in cells:
            changed[row][column] = text
        if drop_column:
            changed = [record[: at % width] + record[at % width + 1 :] for record in changed]
        if drop_row:
            del changed[at % height]
        out = io.StringIO(newline="")
        csv.writer(out).writerows(changed)
        try:
            content = out.getvalue().encode()
        except UnicodeEncodeError:
            content = out.getvalue().encode("utf-8", "replace")
        imported(store, folder, name, content)

    try:
        check()
    finally:
        store.close()


def test_the_check_by_hand_finds_a_lost_row(tmp_path: Path) -> None:
    rows, cost = _by_hand(b"BilledCost,x\n1.5,a\n\n2.5,b\n")
    assert (rows, cost) == (2, Decimal(4))
    with pytest.raises(InvalidOperation):
        _by_hand(b"BilledCost,x\nabc,a\n")
