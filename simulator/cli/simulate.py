"""`burstline simulate`: the discrete-event run of a fleet, with waits, utilisation and burst by zone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from simulator.cli import json_option, print_json

EXAMPLE = """\b
Examples:
  burstline simulate half-private-40 --replications 3
  burstline simulate half-private-40 --plan out/demo/plan.json --json
  burstline simulate half-private-40 --nodes prod-bm=36 --hours 336
  burstline simulate half-private-40 --hours 336 --series run.om.gz --figure run.html
"""


@click.command(epilog=EXAMPLE)
@click.argument("scenario", default="half-private-40")
@click.option("--override", help="Named override of the scenario.")
@click.option("--plan", type=click.Path(path_type=Path), help="Private nodes from this plan.json.")
@click.option("--nodes", multiple=True, metavar="ZONE=N", help="Private nodes by zone; without it and --plan: half of the peak.")
@click.option("--replications", type=click.IntRange(min=1), help="Runs with other failures and delays; the scenario's by default.")
@click.option("--hours", type=click.IntRange(min=1), help="Only the first hours.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=Path("out/simulate"), show_default=True, help="Folder.")
@click.option(
    "--series",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the run as Prometheus would have scraped it, OpenMetrics.",
)
@click.option("--figure", type=click.Path(path_type=Path, dir_okay=False), help="Write the timeline of the busiest week to this HTML file.")
@click.option("--language", type=click.Choice(["en", "ko"]), help="Language of tables and figure; the scenario's by default.")
@json_option
def command(
    scenario: str,
    override: str | None,
    plan: Path | None,
    nodes: tuple[str, ...],
    replications: int | None,
    hours: int | None,
    out: Path,
    series: Path | None,
    figure: Path | None,
    language: str | None,
    as_json: bool,
) -> None:
    """Simulate SCENARIO's private fleet, filled first, with AWS behind it; write outcome.json and hourly tables.

    SCENARIO is a shipped name or a YAML file.
    """
    from time import perf_counter

    from simulator.catalog import load_scenario
    from simulator.cli._bar import progress_bar
    from simulator.engine.fleets import fleet_for
    from simulator.engine.replicate import simulate
    from simulator.engine.summary import summary, write_outcome
    from simulator.pipeline.inputs import load_demand

    chosen = load_scenario(scenario, override)
    if language is not None:
        chosen = chosen.varied({"language": language})
    if hours is not None:
        chosen = chosen.varied({"engine.horizon_hours": hours})
    with progress_bar() as progress:
        demand = load_demand(chosen, progress)
        fleet = fleet_for(chosen, _private_nodes(chosen, demand, plan, nodes))
        start = perf_counter()
        outcome = simulate(demand, fleet, chosen, replications=replications or chosen.engine.replications, progress=progress)
        wall_s = perf_counter() - start
    files = [*write_outcome(outcome, out), *_further_files(outcome.first, fleet, chosen.language, series, figure)]
    platform = _platform(chosen, demand)
    document = summary(outcome) | {"wall_s": round(wall_s, 3), "files": [str(path) for path in files]} | platform
    if as_json:
        print_json(document)
    else:
        from simulator.cli._simulate_view import show_outcome

        show_outcome(document, {pool.name: pool.nodes for pool in fleet.pools if pool.private}, chosen.language)


def _platform(scenario: Any, demand: Any) -> dict[str, Any]:
    """What the mesh and further DaemonSets cost, where the scenario speaks of them or of workloads of its own."""
    if not scenario.workloads and scenario.platform == type(scenario.platform)():
        return {}
    from simulator import catalog
    from simulator.engine.workloads.platform import platform_document

    parameters = catalog.parameters(scenario.parameters)
    bare = catalog.zone_build(scenario.zones[0], parameters).node
    return {"platform": platform_document(demand, scenario, bare, parameters)}


def _further_files(run: Any, fleet: Any, language: Any, series: Path | None, figure: Path | None) -> list[Path]:
    """What was asked for beside the outcome: the series export and the timeline."""
    files = []
    if series is not None:
        from simulator.engine.series import write_series

        files.append(write_series(run, fleet, series))
    if figure is not None:
        from simulator.cli._simulate_view import timeline_html
        from simulator.record import write_text

        write_text(figure, timeline_html(run, language))
        files.append(figure)
    return files


def _private_nodes(scenario: Any, demand: Any, plan: Path | None, nodes: tuple[str, ...]) -> dict[str, int]:
    """Nodes by zone: as told, as planned, or the half-of-peak reading in the first zone."""
    from models.errors import Problem, ScenarioError
    from simulator.catalog import case
    from simulator.demand.readings import readings
    from simulator.export.planfile import read_plan

    if plan is not None and nodes:
        raise ScenarioError(Problem("--nodes", "nodes beside --plan", "give one of the two"))
    if plan is not None:
        return dict(read_plan(plan).recommendation.by_zone)
    if nodes:
        return dict(_zone_nodes(text) for text in nodes)
    zone, share = scenario.zones[0], scenario.demand.build_share
    built = case(scenario, demand).zones[0].node
    half = readings(demand, built, packing_share=scenario.planner.packing_share, build_share=share, spare_nodes=zone.spare_nodes)
    return {zone.name: half.by_peak_nodes}


def _zone_nodes(text: str) -> tuple[str, int]:
    from models.errors import Problem, ScenarioError

    zone, _, number = text.partition("=")
    if not number.isdigit():
        raise ScenarioError(Problem("--nodes", repr(text), "write ZONE=N, for example prod-bm=36"))
    return zone, int(number)
