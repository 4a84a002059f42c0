"""Bill ingest: import against the bare duckdb query of the same columns, peak memory, csv.gz against inflating it, a real month.

The import runs in a process of its own, whose peak resident memory is measured (VmHWM). Ratios are medians of interleaved
runs on one machine; the data are seeded by row number, 13 columns, a fleet of 240 node types and hours beside other services.
"""

from __future__ import annotations

import gzip
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb

from simulator.ingest.bills import import_bills
from simulator.ingest.store import open_store

RUNS = 5
RATIO_TARGET = 1.2
MONTH_TARGET = 3.0
MEMORY_TARGET_MIB = 512.0
MONTH = Path(__file__).resolve().parents[3] / "shared/data/billing/aws-cur-2018-workshop/Nov2018-WorkshopCUR-00001.snappy.parquet"
KEYS = (
    *("bill_billing_period_start_date", "line_item_usage_start_date", "line_item_usage_end_date", "line_item_line_item_type"),
    *("line_item_product_code", "line_item_usage_type", "product_instance_type", "line_item_currency_code", "line_item_usage_account_id"),
)
CHILD = """
import sys, time, json
from pathlib import Path
from simulator.ingest.bills import import_bills
from simulator.ingest.store import open_store
before = time.perf_counter()
with open_store(sys.argv[2]) as store:
    report = import_bills([sys.argv[1]], store)
seconds = time.perf_counter() - before
assert not report.refused, report.refused
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(json.dumps([report.periods[0].rows_in, seconds, int(peak.split()[1]) / 1024]))
"""


def rows(scale: str) -> list[dict[str, Any]]:
    """Each ratio; `full` takes 50 M rows of parquet and 10 M of csv.gz, any other scale a thousandth.

    Targets stand on the plain query (hourly sums of EC2 usage by instance type and term) and on GNU gzip; two harder yardsticks,
    a query of every column the import needs and Python's own gzip, are told beside them.
    """
    many, packed = (50_000_000, 10_000_000) if scale == "full" else (50_000, 10_000)
    runs = RUNS if scale == "full" else 2
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = [*_parquet(folder, many, runs), *_gzip(folder, packed, runs)]
        return found + (_month(runs) if MONTH.is_file() else [])


def _parquet(folder: Path, count: int, runs: int) -> list[dict[str, Any]]:
    file = folder / "bill.parquet"
    _generate(file, count, "FORMAT parquet, COMPRESSION zstd")
    sums = "sum(line_item_usage_amount::DECIMAL(38,16)), sum(line_item_unblended_cost::DECIMAL(38,16)), count(*)"
    keys = ", ".join(KEYS)
    same = f"CREATE OR REPLACE TEMP TABLE bare AS SELECT {keys}, {sums} FROM '{file}' GROUP BY {keys}"
    narrow = f"""CREATE OR REPLACE TEMP TABLE bare AS SELECT line_item_usage_start_date, product_instance_type, pricing_term,
        sum(line_item_usage_amount), sum(line_item_unblended_cost) FROM '{file}'
        WHERE line_item_product_code = 'AmazonEC2' AND contains(line_item_usage_type, 'BoxUsage') GROUP BY ALL"""
    ours, bare, least, peaks = [], [], [], []
    for run in range(runs):
        ours.append(_imported(file, folder / f"store-{run}.duckdb", peaks))
        bare.append(_query(same))
        least.append(_query(narrow))
    size = f"{count / 1e6:g} M rows of parquet"
    return [
        _row(f"import / bare query of hourly EC2 sums, {size}", _ratio(ours, least), "x", RATIO_TARGET),
        _row(f"import / bare query of all the import's columns, {size} (told, no target)", _ratio(ours, bare), "x", float("inf")),
        _row(f"import of {size}, peak memory", max(peaks), "MiB", MEMORY_TARGET_MIB),
    ]


def _gzip(folder: Path, count: int, runs: int) -> list[dict[str, Any]]:
    file = folder / "bill.csv.gz"
    _generate(file, count, "FORMAT csv, HEADER, COMPRESSION gzip")
    peaks: list[float] = []
    ours, gnu, python = [], [], []
    for run in range(runs):
        ours.append(_imported(file, folder / f"gz-{run}.duckdb", peaks))
        gnu.append(_timed(lambda: subprocess.run(["gzip", "-dc", str(file)], stdout=subprocess.DEVNULL, check=True)))
        python.append(_timed(lambda: _inflate(file)))
    size = f"{count / 1e6:g} M rows of csv.gz"
    return [
        _row(f"import / inflating it with gzip -dc, {size}", _ratio(ours, gnu), "x", RATIO_TARGET),
        _row(f"import / inflating it with Python's gzip, {size} (told, no target)", _ratio(ours, python), "x", float("inf")),
    ]


def _month(runs: int) -> list[dict[str, Any]]:
    read = f"CREATE OR REPLACE TEMP TABLE bare AS SELECT * FROM '{MONTH}'"
    ours, bare = [], []
    for _ in range(runs):
        with open_store(None) as store:
            ours.append(_timed(lambda: import_bills([MONTH], store)))
        bare.append(_query(read))
    return [_row("import / reading it with duckdb, a real month of 124 k x 126", _ratio(ours, bare), "x", MONTH_TARGET)]


def _generate(file: Path, count: int, form: str) -> None:
    connection = duckdb.connect()
    connection.execute("SET memory_limit='2GB'").fetchall()
    connection.execute("SET enable_progress_bar=false").fetchall()
    connection.execute("SET preserve_insertion_order=false").fetchall()
    families, sizes = "['m5', 'c5', 'r5', 'm6i', 'c6i']", "['large', 'xlarge', '2xlarge', '4xlarge']"
    instance = f"({families})[1 + (b % 5)::INT] || '.' || ({sizes})[1 + (c % 4)::INT]"
    connection.execute(
        f"""COPY (SELECT md5(i::VARCHAR) AS identity_line_item_id, 'INV1' AS bill_invoice_id,
            TIMESTAMP '2025-01-01' AS bill_billing_period_start_date,
            TIMESTAMP '2025-01-01' + INTERVAL (i * 744 // {count}) HOUR AS line_item_usage_start_date,
            TIMESTAMP '2025-01-01' + INTERVAL (i * 744 // {count} + 1) HOUR AS line_item_usage_end_date,
            'Usage' AS line_item_line_item_type,
            CASE WHEN a < 3 THEN 'AmazonEC2' ELSE (['AmazonS3', 'AmazonRDS', 'AWSGlue', 'AWSLambda'])[1 + (b % 4)::INT] END
                AS line_item_product_code,
            CASE WHEN a < 3 THEN 'APN2-BoxUsage:' || {instance} ELSE 'APN2-Requests-Tier' || (c % 40) END AS line_item_usage_type,
            CASE WHEN a < 3 THEN {instance} ELSE '' END AS product_instance_type,
            CASE WHEN a < 3 THEN 'OnDemand' ELSE '' END AS pricing_term,
            'USD' AS line_item_currency_code, '1234567890' || (10 + c % 12) AS line_item_usage_account_id,
            (1 + b % 100) / 100.0::DOUBLE AS line_item_usage_amount, (c % 1000003 / 1e7)::DOUBLE AS line_item_unblended_cost
            FROM (SELECT i, (hash(i) >> 20) % 10 AS a, (hash(i + 1) >> 20) % 100000 AS b, (hash(i + 2) >> 20) % 100000 AS c
                FROM range({count}) t(i))) TO '{file}' ({form})"""
    ).fetchall()
    connection.close()


def _imported(file: Path, store: Path, peaks: list[float]) -> float:
    done = subprocess.run([sys.executable, "-c", CHILD, str(file), str(store)], capture_output=True, text=True, check=True)
    _, seconds, peak = json.loads(done.stdout)
    peaks.append(peak)
    return float(seconds)


def _query(sql: str) -> float:
    with open_store(None) as connection:
        return _timed(lambda: connection.execute(sql).fetchall())


def _timed(work: Callable[[], object]) -> float:
    before = time.perf_counter()
    work()
    return time.perf_counter() - before


def _inflate(file: Path) -> int:
    size = 0
    with gzip.open(file) as stream:
        while block := stream.read(1 << 18):
            size += len(block)
    return size


def _ratio(ours: list[float], theirs: list[float]) -> float:
    return statistics.median(ours) / statistics.median(theirs)


def _row(name: str, measured: float, unit: str, target: float) -> dict[str, Any]:
    known = target != float("inf")
    return {"name": name, "measured": measured, "unit": unit, "target": target if known else None, "passed": measured <= target}
