"""Inputs: the bill and the usage that a scenario names, read into one demand; the shipped company where it names none."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import duckdb

from models.bill import Charges
from models.demand import Demand
from models.errors import InputError, Problem, ScenarioError
from models.scenario import Scenario
from models.units import HOURS_PER_YEAR
from models.unknown import Unknown
from models.usage import UsageHistory
from simulator import __version__, catalog
from simulator.demand.profile import demand_from_usage, with_assumed_pods
from simulator.demand.worker_hours import demand_from_charges
from simulator.progress import SILENT, Progress
from simulator.record import sha256, writing


@dataclass(frozen=True)
class Inputs:
    """`billed_usd_per_year`: amortised worker charges of the bill and its unused commitments, scaled to 8,760 h.

    None without a bill in USD or KRW.
    """

    demand: Demand
    charges: Charges | None = None
    usage: UsageHistory | None = None
    billed_usd_per_year: float | None = None
    hashes: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def load_inputs(scenario: Scenario, progress: Progress = SILENT) -> Inputs:
    """Read what the scenario names, in this order: its store, its bills and usage, or the shipped company.

    The demand holds what its workloads are expected to ask for, and a mesh's proxies, too.
    """
    inputs = _measured_inputs(scenario, progress)
    if scenario.demand.measured and not scenario.workloads and scenario.platform.mesh == "none":
        return inputs
    from simulator.engine.workloads.expected import with_workloads

    demand = with_workloads(inputs.demand, scenario, catalog.parameters(scenario.parameters))
    if scenario.demand.measured:
        return replace(inputs, demand=demand)
    return Inputs(demand, hashes=inputs.hashes)


def _measured_inputs(scenario: Scenario, progress: Progress) -> Inputs:
    data = scenario.data
    if data.store and (data.bills or data.usage):
        found = f"a store beside {' and '.join(name for name in ('bills', 'usage') if getattr(data, name))}"
        raise ScenarioError(Problem("data", found, "name the store alone, or the files alone"))
    if data.store:
        return _from_store(scenario, Path(data.store), {data.store: sha256(_existing(data.store))})
    if data.bills or data.usage:
        return _from_files(scenario, progress)
    return _from_store(scenario, shipped_store(scenario.seed, progress), {"shipped company": f"seed {scenario.seed}"})


def inputs_key(scenario: Scenario) -> str:
    """Text that is equal for scenarios that read the same inputs."""
    demand, planner = scenario.demand, scenario.planner
    own = (demand.measured, scenario.workloads, scenario.platform)
    pods = (demand.history, demand.assumed_pod_cpu_m, demand.assumed_pod_memory_mib, planner.packing_share)
    return repr(
        (scenario.data, scenario.seed, scenario.aws.daemonset_cpu_m, scenario.aws.daemonset_memory_mib, scenario.parameters, pods, own)
    )


def load_demand(scenario: Scenario, progress: Progress = SILENT) -> Demand:
    """The demand alone."""
    return load_inputs(scenario, progress).demand


def shipped_store(seed: int, progress: Progress = SILENT) -> Path:
    """The store of the shipped company, generated and imported once per seed, version and store layout, kept in the user's cache."""
    from simulator.ingest.bill_lines import BILLS_VERSION
    from simulator.ingest.usage_store import VERSION as USAGE_VERSION

    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    path = root / "burstline" / f"company-{__version__}-{BILLS_VERSION}.{USAGE_VERSION}-{seed}.duckdb"
    if not path.exists():
        from simulator.ingest.synthetic.company import Company
        from simulator.ingest.synthetic.files import write_company

        with tempfile.TemporaryDirectory(prefix="burstline-") as folder, writing(path) as temporary:
            temporary.unlink()
            sample = Path(folder) / "sample"
            write_company(sample, Company(seed=seed), progress)
            fill_store(temporary, (str(sample / "bill" / "cur2"),), str(sample / "usage" / "usage.parquet"), progress)
    return path


def fill_store(path: Path | None, bills: tuple[str, ...], usage: str | None, progress: Progress) -> None:
    """Import bills and one usage file into a store; a refused bill stops everything with all its problems."""
    from simulator.ingest.bills import import_bills
    from simulator.ingest.store import open_store
    from simulator.ingest.usage_file import import_files
    from simulator.ingest.usage_files import FileOptions
    from simulator.ingest.usage_store import open_usage

    if bills:
        with open_store(path) as connection:
            report = import_bills(bills, connection, progress=progress)
        if report.refused:
            raise InputError([Problem(f"{item.path}: {item.place}", item.found, item.mend) for item in report.refused])
    if usage:
        with open_usage(path) as connection:
            import_files(connection, [Path(usage)], FileOptions(), progress)


def _existing(name: str) -> Path:
    path = Path(name)
    if not path.is_file():
        raise ScenarioError(
            Problem(f"data.store: {name}", "no such file", "write it with `burstline bill --store` and `burstline usage --store`")
        )
    return path


def _from_files(scenario: Scenario, progress: Progress) -> Inputs:
    data = scenario.data
    usage = data.usage
    if usage and usage.startswith(("http://", "https://")):
        raise ScenarioError(
            Problem(
                "data.usage", usage, "import it first: `burstline usage --prometheus URL --store FILE`, then name the store in data.store"
            )
        )
    named = [name for name in (*data.bills, *([usage] if usage else [])) if Path(name).is_file()]
    with tempfile.TemporaryDirectory(prefix="burstline-") as folder:
        store = Path(folder) / "inputs.duckdb"
        fill_store(store, data.bills, usage, progress)
        return _from_store(scenario, store, {name: sha256(Path(name)) for name in sorted(named)})


def _from_store(scenario: Scenario, path: Path, hashes: Mapping[str, str]) -> Inputs:
    charges, usage = _charges(path), _usage(path)
    if charges is None and usage is None:
        raise ScenarioError(Problem(str(path), "neither a bill nor usage", "import one with `burstline bill` or `burstline usage`"))
    by_bill = scenario.demand.history == "bill" or usage is None
    if by_bill and charges is None:
        raise ScenarioError(Problem("demand.history", "'bill', but no bill was imported", "import one, or set demand.history to requests"))
    demand = _demand_of_bill(scenario, charges) if by_bill and charges is not None else demand_from_usage(_given(usage))
    billed, notes = _billed(scenario, charges)
    return Inputs(demand, charges, usage, billed, hashes, (*demand.notes, *notes))


def _given(usage: UsageHistory | None) -> UsageHistory:
    if usage is None:
        raise ScenarioError(
            Problem("demand.history", "'requests', but no usage was imported", "import usage, or set demand.history to bill")
        )
    return usage


def _charges(path: Path) -> Charges | None:
    from simulator.ingest.bills import load_charges
    from simulator.ingest.store import open_store

    with open_store(path, read_only=True) as connection:
        return load_charges(connection) if _holds(connection, "bill_line") else None


def _usage(path: Path) -> UsageHistory | None:
    from simulator.ingest.store import open_store
    from simulator.ingest.usage_store import load_usage

    with open_store(path, read_only=True) as connection:
        held = _holds(connection, "usage")
    return load_usage(path) if held else None


def _holds(connection: duckdb.DuckDBPyConnection, table: str) -> bool:
    return bool(connection.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = ?", [table]).fetchall())


def _demand_of_bill(scenario: Scenario, charges: Charges) -> Demand:
    aws = scenario.aws
    shapes = {
        name: catalog.instance(name, daemonset_cpu_m=aws.daemonset_cpu_m, daemonset_memory_mib=aws.daemonset_memory_mib)
        for name in catalog.instance_names()
    }
    demand = demand_from_charges(charges, shapes, scenario.planner.packing_share)
    return with_assumed_pods(demand, scenario.demand.assumed_pod_cpu_m, scenario.demand.assumed_pod_memory_mib)


def _billed(scenario: Scenario, charges: Charges | None) -> tuple[float | None, tuple[str, ...]]:
    """USD a year: worker charges and unused commitment, both amortised; a note when some of the bill's money cannot be used."""
    if charges is None or charges.horizon.hours == 0:
        return None, ()
    unused = [period.unused_commitment for period in charges.periods]
    known = sum(float(amount) for amount in unused if not isinstance(amount, Unknown))
    silent = [period.period for period in charges.periods if isinstance(period.unused_commitment, Unknown)]
    notes = (f"The bill does not say what commitments left unused in {', '.join(silent)}: AWS as billed leaves it out.",) if silent else ()
    yearly = (float(charges.worker_cost.sum()) + known) * HOURS_PER_YEAR / charges.horizon.hours
    if charges.currency == "USD":
        return yearly, notes
    if charges.currency == "KRW":
        return yearly / catalog.parameters(scenario.parameters)["krw_per_usd"], notes
    return None, (f"The bill is in {charges.currency}: import it with a dated rate to compare its money.",)
