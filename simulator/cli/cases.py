"""`burstline cases`: the shipped cases, listed or run."""

from __future__ import annotations

import click

from simulator.cli import json_option, print_json


@click.group()
def command() -> None:
    """The shipped cases."""


@command.command("list", epilog="\b\nExample:\n  burstline cases list\n")
@json_option
def list_cases(as_json: bool) -> None:
    """List every case with its named overrides."""
    from simulator.catalog import load_scenario, scenario_names

    cases = [load_scenario(name) for name in scenario_names()]
    rows = [{"name": case.scenario, "title": case.title.get("en", ""), "overrides": sorted(case.overrides)} for case in cases]
    if as_json:
        print_json({"cases": rows})
        return
    for row in rows:
        click.echo(f"{row['name']}: {row['title']}\n  overrides: {', '.join(row['overrides']) or 'none'}")


@command.command(epilog="\b\nExample:\n  burstline cases run half-private-40 --override pinned\n")
@click.argument("name")
@click.option("--override", help="One of the case's named overrides.")
@json_option
def run(name: str, override: str | None, as_json: bool) -> None:
    """Plan a case."""
    from simulator.catalog import load_scenario
    from simulator.cli._bar import progress_bar
    from simulator.cli._plan_view import show_plan
    from simulator.pipeline.documents import plan_json
    from simulator.pipeline.planning import make_plan

    chosen = load_scenario(name, override)
    with progress_bar() as progress:
        planned = make_plan(chosen, progress=progress)
    if as_json:
        print_json(plan_json(planned))
    else:
        show_plan(planned, chosen.language)
