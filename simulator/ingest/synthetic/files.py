"""Write the company to disk: bills in two formats, usage, a metrics scrape, a cluster snapshot and a manifest.

    OUT/bill/cur2/data/BILLING_PERIOD=2025-01/workspaces-00001.snappy.parquet    one file per UTC billing month
    OUT/bill/focus/data/BILLING_PERIOD=2025-01/workspaces-00001.snappy.parquet   the same charges
    OUT/bill/legacy-cur/20250101-20250201/..., OUT/bill/cur2-csv/data/...        the same as csv.gz, when asked for
    OUT/usage/usage.parquet, OUT/usage/exposition.prom
    OUT/cluster/nodes.yaml, OUT/cluster/pods.yaml
    OUT/manifest.json

The same seed, hours and extras give the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from models.errors import InputError, Problem
from models.usage import UsageHistory
from simulator.ingest.synthetic import cur2, focus
from simulator.ingest.synthetic.bill import bill_lines
from simulator.ingest.synthetic.cluster import exposition, nodes_yaml, pods_yaml
from simulator.ingest.synthetic.company import Company, usage_history, workers
from simulator.ingest.synthetic.cur_text import write_cur2_csv, write_legacy_cur
from simulator.ingest.synthetic.lines import Period, billing_periods
from simulator.ingest.synthetic.split import split_lines
from simulator.progress import SILENT, Progress
from simulator.record import sha256, to_json, write_text, writing

EXPORT = "workspaces-00001.snappy.parquet"
USAGE_SCHEMA = pa.schema(
    [
        ("hour", pa.timestamp("ms", tz="UTC")), ("namespace", pa.string()), ("workload", pa.string()),
        ("labels", pa.map_(pa.string(), pa.string())), ("pods", pa.float64()), ("cpu_request_m", pa.float64()),
        ("memory_request_mib", pa.float64()), ("cpu_usage_m", pa.float64()), ("memory_usage_mib", pa.float64()),
    ]
)  # fmt: skip


def write_company(out: Path, company: Company, progress: Progress = SILENT) -> dict[str, Any]:
    """Write every file below `out` and return the manifest's content."""
    _clear(out)
    periods = billing_periods(company.horizon)
    progress.stage("sample", len(periods) + 1)
    counts = workers(company)
    started = generations(counts)
    rows: dict[str, dict[str, int]] = {}
    for period in periods:
        rows[period.name] = _write_bills(out, company, period, counts, started)
        progress.advance()
    write_usage(out / "usage" / "usage.parquet", usage_history(company))
    write_text(out / "usage" / "exposition.prom", exposition(company))
    write_text(out / "cluster" / "nodes.yaml", nodes_yaml(company))
    write_text(out / "cluster" / "pods.yaml", pods_yaml(company))
    document = _manifest(out, company, periods, rows, int(counts.sum()))
    write_text(out / "manifest.json", to_json(document) + "\n")
    progress.advance()
    return document


def generations(counts: NDArray[np.int64]) -> NDArray[np.int32]:
    """How often the worker of each slot has been started up to each hour: int32 [hours, slots].

    >>> generations(np.array([1, 2, 1, 2])).tolist()
    [[1, 0], [1, 1], [1, 1], [1, 2]]
    """
    up = counts[:, None] > np.arange(counts.max(initial=0))
    starts = up & ~np.vstack([np.zeros_like(up[:1]), up[:-1]])
    return np.cumsum(starts, axis=0, dtype=np.int32)


def write_usage(path: Path, usage: UsageHistory) -> None:
    """Hourly requests and use per workload, one row per workload and hour, hours first."""
    hours, count = usage.pods.shape
    cpu, memory = usage.axes.index("cpu_m"), usage.axes.index("memory_mib")
    labels = pa.array([sorted(key.labels.items()) for key in usage.keys], USAGE_SCHEMA.field("labels").type)
    turn = pa.array(np.tile(np.arange(count, dtype=np.int32), hours))
    columns = [
        pa.array(np.repeat(usage.horizon.times().astype("datetime64[ms]"), count)).cast(USAGE_SCHEMA.field("hour").type),
        pa.array([key.namespace for key in usage.keys]).take(turn),
        pa.array([key.workload for key in usage.keys]).take(turn),
        labels.take(turn),
        *(pa.array(values.ravel()) for values in (
            usage.pods, usage.requests[:, :, cpu], usage.requests[:, :, memory], usage.usage[:, :, cpu], usage.usage[:, :, memory])),
    ]  # fmt: skip
    _write_parquet(path, USAGE_SCHEMA, [pa.table(columns, schema=USAGE_SCHEMA)])


def _clear(out: Path) -> None:
    """Remove the files of an earlier sample, so that months of another length cannot stay behind; touch nothing else."""
    manifest = out / "manifest.json"
    if manifest.is_file():
        for entry in _listed(manifest):
            (out / entry).unlink(missing_ok=True)
    elif out.is_dir() and any(out.iterdir()):
        raise InputError(Problem(str(out), "a folder that holds other files", "give an empty or new folder"))
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(Problem(str(out), str(error.strerror), "give a folder that can be written")) from None


def _listed(manifest: Path) -> list[str]:
    try:
        entries = [str(entry["path"]) for entry in json.loads(manifest.read_text(encoding="utf-8"))["files"]]
    except (ValueError, KeyError, TypeError):
        raise InputError(Problem(str(manifest), "a manifest of something else", "give an empty or new folder")) from None
    if any(Path(entry).is_absolute() or ".." in Path(entry).parts for entry in entries):
        raise InputError(Problem(str(manifest), "paths outside its folder", "give an empty or new folder"))
    return entries


def _write_bills(
    out: Path, company: Company, period: Period, counts: NDArray[np.int64], started: NDArray[np.int32]
) -> dict[str, int]:  # fmt: skip
    blocks = bill_lines(company, period)
    split = split_lines(company, period, counts, started) if "split" in company.extras else []
    rows = [cur2.cur2_table(company, period, number, block, started) for number, block in enumerate(blocks + split)]
    charges = [table for block in blocks for table in focus.focus_tables(company, period, block, started)]
    place = Path("data") / f"BILLING_PERIOD={period.name}" / EXPORT
    _write_parquet(out / "bill" / "cur2" / place, cur2.SCHEMA, rows)
    _write_parquet(out / "bill" / "focus" / place, focus.SCHEMA, charges)
    if "legacy-cur" in company.extras:
        write_legacy_cur(out / "bill" / "legacy-cur", company, period, rows)
    if "cur2-csv" in company.extras:
        write_cur2_csv(out / "bill" / "cur2-csv", period, rows)
    return {"cur2": sum(map(len, rows)), "focus": sum(map(len, charges))}


def _write_parquet(path: Path, schema: pa.Schema, tables: Iterable[pa.Table]) -> None:
    with writing(path) as temporary, pq.ParquetWriter(temporary, schema, compression="snappy", store_schema=False) as writer:
        for table in tables:
            writer.write_table(table)


def _manifest(
    out: Path, company: Company, periods: tuple[Period, ...], rows: dict[str, dict[str, int]], worker_hours: int
) -> dict[str, Any]:  # fmt: skip
    files = sorted(path for path in out.rglob("*") if path.is_file() and path.name != "manifest.json")
    return {
        "seed": company.seed,
        "start": company.horizon.start,
        "hours": company.hours,
        "extras": sorted(company.extras),
        "worker_hours": worker_hours,
        "periods": [
            {"period": p.name, "hours": p.last - p.first, "of_hours": round(p.month_hours), "open": p.open, "rows": rows[p.name]}
            for p in periods
        ],
        "note": "months are UTC months: the first and the last are partial; an open month is not invoiced yet",
        "files": [{"path": path.relative_to(out).as_posix(), "sha256": sha256(path)} for path in files],
    }
