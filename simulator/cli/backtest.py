"""`burstline backtest`: what the advice would have cost on the user's own past."""

from __future__ import annotations

from typing import Any

import click

from simulator.cli import json_option, print_json


@click.command()
@click.argument("scenario", default="half-private-40")
@click.option("--override", help="Named override of the scenario.")
@json_option
def command(scenario: str, override: str | None, as_json: bool) -> None:
    """Back-test the advice on the demand of SCENARIO, beside simple rules.

    Regret is the cost above the best capacity in hindsight, over up to six origins and four price ratios AWS / private.

    \b
    Example:
      burstline backtest half-private-40
    """
    from simulator.catalog import case, load_scenario
    from simulator.cli._bar import progress_bar
    from simulator.demand.backtest import backtest_series, own_splits, rows
    from simulator.demand.forecast import MOST_REGRET
    from simulator.pipeline.inputs import load_inputs

    chosen = load_scenario(scenario, override)
    with progress_bar() as progress:
        demand = load_inputs(chosen, progress).demand
        total = demand.total(case(chosen, demand).axis)
        splits = own_splits(demand.horizon.hours)
        found = rows(backtest_series({chosen.scenario: total}, {chosen.scenario: splits}, progress=progress), MOST_REGRET)
    if as_json:
        print_json({"scenario": chosen.scenario, "origins": [split.origin for split in splits], "ahead_h": splits[0].ahead, "rows": found})
    else:
        _show(chosen.scenario, found)


def _show(name: str, found: Any) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("", "measured", "unit", "target", "", title=f"Back-test of {name}", title_justify="left")
    for row in found:
        target = "" if row.target is None else f"{row.target:.2f}"
        verdict = "" if row.passed is None else "ok" if row.passed else "not met"
        table.add_row(row.name, f"{row.measured:.2f}", row.unit, target, verdict)
    Console().print(table)
