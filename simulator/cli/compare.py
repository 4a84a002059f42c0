"""`burstline compare`: bare metal, OpenStack VM, Ironic and AWS side by side, for one scenario or several."""

from __future__ import annotations

from typing import Literal

import click

from simulator.cli import json_option, print_json


@click.command()
@click.argument("scenarios", nargs=-1, required=True)
@click.option("--override", help="One of the scenarios' named overrides, for all of them.")
@click.option("--language", type=click.Choice(["en", "ko"]), help="Language of the table; the first scenario's by default.")
@json_option
def command(scenarios: tuple[str, ...], override: str | None, language: Literal["en", "ko"] | None, as_json: bool) -> None:
    """Place the built share of each scenario's demand on every zone kind and compare servers, money, speed and use.

    Example: burstline compare half-private-40
    """
    from simulator.catalog import load_scenario
    from simulator.cli._money import draw_placements
    from simulator.pipeline.money import compare

    chosen = [load_scenario(name, override) for name in scenarios]
    found = compare(chosen)
    if as_json:
        print_json(found)
    else:
        draw_placements(found, language or chosen[0].language)
