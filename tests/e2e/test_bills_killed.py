"""kill -9 at any moment of an import: the store is as before or as after, never in between."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pytest

from simulator.ingest.bills import import_bills, load_periods
from simulator.ingest.store import open_store

KILLS = 5


def month(path: Path, rows: int, cost: float) -> Path:
    """A month of `rows` node rows in hourly groups, so that its commit is long enough to be hit."""
    duckdb.connect().execute(
        f"""COPY (SELECT 'id' || i AS identity_line_item_id, 't' || i AS identity_time_interval, 'INV' AS bill_invoice_id,
            '42' AS bill_payer_account_id, TIMESTAMP '2025-01-01' AS bill_billing_period_start_date, 'Usage' AS line_item_line_item_type,
            TIMESTAMP '2025-01-01' + INTERVAL (i % 744) HOUR AS line_item_usage_start_date,
            TIMESTAMP '2025-01-01' + INTERVAL (i % 744 + 1) HOUR AS line_item_usage_end_date, 'AmazonEC2' AS line_item_product_code,
            'BoxUsage:m5.' || (i % 97) AS line_item_usage_type, 1.0 AS line_item_usage_amount, 'USD' AS line_item_currency_code,
            {cost} AS line_item_unblended_cost FROM range({rows}) t(i)) TO '{path}' (FORMAT parquet)"""
    ).fetchall()
    return path


@pytest.fixture(scope="module")
def months(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("months")
    return month(folder / "before.parquet", 10_000, 1.0), month(folder / "after.parquet", 30_000, 2.0)


def test_a_killed_import_leaves_the_store_before_or_after(months: tuple[Path, Path], tmp_path: Path) -> None:
    before, after = months
    path = tmp_path / "s.duckdb"
    with open_store(path) as store:
        assert import_bills([before], store).refused == ()
    whole = _run(path, after)
    started = time.perf_counter()
    assert whole.wait() == 0
    span = time.perf_counter() - started
    assert _totals(path) == (30_000, 60_000.0)
    seen = set()
    for step in range(KILLS):
        with open_store(path) as store:
            import_bills([before], store)
        process = _run(path, after)
        time.sleep(span * (0.3 + 0.7 * step / (KILLS - 1)))
        process.kill()
        process.wait()
        seen.add(_totals(path))
    assert seen <= {(10_000, 10_000.0), (30_000, 60_000.0)}


def _run(store: Path, bill: Path) -> subprocess.Popen[bytes]:
    code = "import sys; from simulator.cli import main; sys.argv = ['burstline', 'bill', *sys.argv[1:]]; main()"
    command = [sys.executable, "-c", code, str(bill), "--store", str(store), "--json"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _totals(path: Path) -> tuple[int, float]:
    with open_store(path) as store:
        (period,) = load_periods(store)
        sources = store.execute("SELECT count(*) FROM bill_source").fetchall()[0][0]
    assert sources == 1
    return period.rows_in, float(period.unblended)
