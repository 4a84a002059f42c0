"""`burstline scenario`: the scenario's JSON schema and a check of a file."""

from __future__ import annotations

import click

from simulator.cli import json_option, print_json


@click.group()
def command() -> None:
    """Scenario files: their schema, and whether one is valid."""


@command.command()
@json_option
def schema(as_json: bool) -> None:
    """Print the JSON schema of a scenario (it is JSON either way).

    Example: burstline scenario schema > scenario.schema.json
    """
    from models.scenario import Scenario

    print_json(Scenario.model_json_schema())


@command.command()
@click.argument("scenario")
@click.option("--override", help="One of the scenario's named overrides.")
@json_option
def check(scenario: str, override: str | None, as_json: bool) -> None:
    """Validate a scenario and its overrides and print it with every default filled in.

    Example: burstline scenario check my-case.yaml
    """
    import yaml

    from simulator.catalog import load_scenario

    chosen = load_scenario(scenario, override)
    for name in chosen.overrides:
        chosen.override(name)
    document = chosen.model_dump(mode="json")
    if as_json:
        print_json(document)
    else:
        click.echo(yaml.safe_dump(document, sort_keys=False, allow_unicode=True), nl=False)
