"""The whole chain on the shipped case: generate, ingest, simulate, recommend, price, export, record."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.scenario import Scenario
from simulator import catalog
from simulator.engine.summary import summary
from simulator.export.bundle import export_bundle, write_bundle
from simulator.finance.workbook import write_workbook
from simulator.ingest.synthetic.company import Company
from simulator.ingest.synthetic.files import write_company
from simulator.pipeline.documents import report_page
from simulator.pipeline.inputs import fill_store, load_inputs
from simulator.pipeline.planning import Planned, make_plan, money_report
from simulator.progress import SILENT, Progress
from simulator.record import Stopwatch, run_record, sha256, to_json, write_text

CASE = "half-private-40"


@dataclass(frozen=True)
class Demo:
    """The plan, the simulation's summary, what was written and how long each stage took."""

    planned: Planned
    simulated: Mapping[str, Any]
    files: tuple[Path, ...]
    seconds: Mapping[str, float]


def run_demo(out: Path, progress: Progress = SILENT) -> Demo:
    """Write plan.json, report.html, workbook.xlsx, manifests/ and record.json below `out`."""
    watch = Stopwatch(time.perf_counter)
    scenario = catalog.load_scenario(CASE)
    with tempfile.TemporaryDirectory(prefix="burstline-") as folder:
        planned = _plan(scenario, Path(folder), watch, progress)
    progress.stage("documents", 3)
    with watch.stage("documents"):
        files = write_documents(planned, out, progress)
    inputs = {"scenario": CASE, **planned.inputs.hashes}
    hashes = {str(path.relative_to(out)): sha256(path) for path in files}
    write_text(out / "record.json", to_json(run_record(inputs=inputs, seed=scenario.seed, seconds=watch.seconds, files=hashes)) + "\n")
    return Demo(planned, summary(planned.outcome), (*files, out / "record.json"), watch.seconds)


def _plan(scenario: Scenario, folder: Path, watch: Stopwatch, progress: Progress) -> Planned:
    sample, store = folder / "sample", folder / "inputs.duckdb"
    with watch.stage("sample"):
        write_company(sample, Company(seed=scenario.seed), progress)
    with watch.stage("ingest"):
        fill_store(store, (str(sample / "bill" / "cur2"),), str(sample / "usage" / "usage.parquet"), progress)
        inputs = load_inputs(scenario.varied({"data.store": str(store)}), progress)
    with watch.stage("plan"):
        return make_plan(scenario, inputs, progress)


def write_documents(planned: Planned, out: Path, progress: Progress = SILENT) -> tuple[Path, ...]:
    """The plan's files below `out`; sorted paths, the same bytes for the same plan."""
    write_text(out / "plan.json", to_json(planned.plan) + "\n")
    write_text(out / "report.html", report_page(planned, planned.scenario.language))
    progress.advance()
    write_workbook(out / "workbook.xlsx", money_report(planned))
    progress.advance()
    bundle = export_bundle(planned.plan)
    write_bundle(bundle, out / "manifests")
    progress.advance()
    manifests = (out / "manifests" / file.path for file in bundle.files)
    return (out / "plan.json", out / "report.html", out / "workbook.xlsx", *sorted(manifests))
