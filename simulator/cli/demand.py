"""`burstline demand`: the hourly demand behind a bill or a cluster, and where it goes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from models.unknown import Unknown
from simulator.cli import json_option, print_json
from simulator.wording_tables import Say, speaker

if TYPE_CHECKING:
    from models.scenario import Scenario
    from simulator.demand.forecast import Forecast
    from simulator.demand.report import DemandReport
    from simulator.pipeline.inputs import Inputs


@click.command()
@click.argument("scenario", default="half-private-40")
@click.option("--override", help="Named override of the scenario.")
@click.option("--figure", type=click.Path(dir_okay=False, path_type=Path), help="Write the figure to this HTML file.")
@click.option("--language", type=click.Choice(["en", "ko"]), help="Language of the tables; the scenario's by default.")
@json_option
def command(scenario: str, override: str | None, figure: Path | None, language: str | None, as_json: bool) -> None:
    """Rebuild the hourly demand of SCENARIO: worker hours, three readings of half, right-sizing, forecast.

    SCENARIO is a shipped name or a YAML file.

    \b
    Example:
      burstline demand half-private-40 --figure demand.html
    """
    from simulator.catalog import load_scenario
    from simulator.cli._bar import progress_bar
    from simulator.pipeline.inputs import load_inputs

    chosen = load_scenario(scenario, override)
    if language is not None:
        chosen = chosen.varied({"language": language})
    with progress_bar() as progress:
        given = load_inputs(chosen, progress)
    report = _report(chosen, given)
    if figure is not None:
        from simulator.demand.figure import figure_html
        from simulator.record import write_text

        write_text(figure, figure_html(report, chosen.scenario))
    if as_json:
        print_json(_document(chosen, report))
    else:
        _show(chosen, report)


def _report(scenario: Scenario, given: Inputs) -> DemandReport:
    from simulator import catalog
    from simulator.demand.report import demand_report
    from simulator.demand.worker_hours import supply_of

    case, supply = catalog.case(scenario, given.demand), None
    if given.charges is not None and given.demand.source == "requests":
        agents = {"daemonset_cpu_m": scenario.aws.daemonset_cpu_m, "daemonset_memory_mib": scenario.aws.daemonset_memory_mib}
        shapes = {name: catalog.instance(name, **agents) for name in catalog.instance_names()}
        supply = supply_of(given.charges, shapes, given.demand, case.packing)
    return demand_report(case, given.demand, given.usage, supply)


def _document(scenario: Scenario, report: DemandReport) -> dict[str, Any]:
    return {
        "scenario": scenario.scenario,
        "source": report.demand.source,
        "start": report.demand.horizon.start,
        "hours": report.demand.horizon.hours,
        "binding": report.axis,
        "peak": report.peak,
        "mean": report.mean,
        "load_factor": report.load_factor,
        "mean_week": report.week,
        "readings": report.readings,
        "implied_premium": report.implied_premium,
        "served_share": report.served_share,
        "worker_hours": _hours(report.workers),
        "worker_hours_left": {name: _hours(hours) for name, hours in report.left.items()},
        "supply": report.supply,
        "right_sizing": report.right_sizes,
        "forecast": _forecast(report.forecast),
        "notes": report.notes,
    }


def _hours(hours: Any) -> dict[str, Any]:
    return {
        "total": hours.total,
        "peak": hours.peak,
        "mean": hours.mean,
        "hours_running": hours.hours_running,
        "on_demand_list_usd": hours.usd,
    }


def _forecast(ahead: Forecast | Unknown) -> dict[str, Any]:
    if isinstance(ahead, Unknown):
        return {"unknown": ahead.reason}
    return {
        "from": ahead.horizon.start,
        "hours": ahead.horizon.hours,
        "bucket_h": ahead.bucket_h,
        "growth_share_per_year": ahead.growth_share_per_year,
        "quantiles": {f"p{round(share * 100):02d}": values for share, values in ahead.quantiles.items()},
        "capacity_by_premium": {
            f"{premium:g}": {"capacity": advice.capacity, "regret": advice.regret, "members": advice.members}
            for premium, advice in ahead.advice.items()
        },
        "outages_replaced": ahead.outages_replaced,
        "hours_lost": ahead.hours_lost,
        "warnings": ahead.warnings,
    }


def _show(scenario: Scenario, report: DemandReport) -> None:
    from rich.console import Console

    console, say, horizon = Console(), speaker(scenario.language), report.demand.horizon
    head = {"name": scenario.scenario, "hours": horizon.hours, "start": horizon.start}
    console.print(say("{name}: {hours:,} hours from {start:%Y-%m-%d %H:%M} UTC", **head))
    tables = [_totals(report, say), _readings(scenario, report, say), _workers(scenario, report, say)]
    for table in (*tables, _right_sizing(report, say), _ahead(report, say)):
        if table.row_count:
            console.print(table)
    warnings = (str(report.forecast),) if isinstance(report.forecast, Unknown) else report.forecast.warnings
    for note in (*report.notes, *warnings):
        console.print(say("note: {text}", text=note))


def _table(title: str, *columns: str) -> Any:
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for index, name in enumerate(columns):
        table.add_column(name, justify="left" if index == 0 else "right")
    return table


def _totals(report: DemandReport, say: Say) -> Any:
    table = _table(say("Requests"), *map(say, ("resource", "peak", "mean", "load factor")), "")
    for axis, peak in report.peak.items():
        binding = say("binds") if axis == report.axis else ""
        table.add_row(axis, f"{peak:,.0f}", f"{report.mean[axis]:,.0f}", f"{report.load_factor[axis]:.3f}", binding)
    return table


def _readings(scenario: Scenario, report: DemandReport, say: Say) -> Any:
    share = scenario.demand.build_share
    title = say("Private nodes, three readings of {share:.0%} (spares included)", share=share)
    table = _table(title, say("reading"), say("nodes"))
    names = ("of the users", "of the peak", "of the worker hours, filled first")
    half = report.readings
    for name, nodes in zip(names, (half.by_users_nodes, half.by_peak_nodes, half.by_worker_hours_nodes), strict=True):
        table.add_row(say(name), say("no users known") if nodes is None else f"{nodes:,}")
    return table


def _workers(scenario: Scenario, report: DemandReport, say: Say) -> Any:
    columns = ("view", "hours", "peak", "mean", "at list price, USD")
    table = _table(say("{worker} worker hours", worker=scenario.aws.worker), *map(say, columns))
    beside = report.readings.by_peak_nodes - scenario.zones[0].spare_nodes
    rows = {say("all on AWS"): report.workers}
    rows |= {say("beside {nodes} private, " + name.replace("_", " "), nodes=beside): hours for name, hours in report.left.items()}
    for name, hours in rows.items():
        table.add_row(name, f"{hours.total:,}", f"{hours.peak:,}", f"{hours.mean:,.1f}", f"{hours.usd:,.0f}")
    return table


def _right_sizing(report: DemandReport, say: Say) -> Any:
    columns = ("workload", "class", "cpu m", "advised", "memory MiB", "advised")
    table = _table(say("Right-sizing (advice; nodes are counted from requests)"), *map(say, columns))
    for size in report.right_sizes:
        cpu = (f"{size.cpu_m:,}", str(size.advised_cpu_m))
        table.add_row(size.workload, say(size.workload_class), *cpu, f"{size.memory_mib:,}", str(size.advised_memory_mib))
    return table


def _ahead(report: DemandReport, say: Say) -> Any:
    ahead = report.forecast
    if isinstance(ahead, Unknown):
        return _table("")
    weeks = ahead.horizon.hours / 168
    title = say("Capacity for the next {weeks:.0f} weeks", weeks=weeks)
    table = _table(title, say("AWS / private price"), report.axis, say("back-tested regret"))
    for premium, advice in ahead.advice.items():
        regret = say("not tested") if advice.regret is None else f"{advice.regret:.2%}"
        table.add_row(f"{premium:g}", f"{advice.capacity:,.0f}", regret)
    return table
