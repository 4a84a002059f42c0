"""`burstline plan`: how much to build, with reasons, range and risk."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from simulator.cli import json_option, print_json

EXAMPLE = """\b
Examples:
  burstline plan half-private-40
  burstline plan half-private-40 --override no-staff --out out/no-staff
  burstline plan my-case.yaml --currency KRW --language ko --json
"""


@click.command(epilog=EXAMPLE)
@click.argument("scenario", default="half-private-40")
@click.option("--override", help="One of the scenario's named overrides.")
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), default=Path("out/plan"), show_default=True, help="Folder to write to."
)
@click.option("--currency", type=click.Choice(["USD", "KRW"]), help="Currency of what is printed; files keep USD as well.")
@click.option("--language", type=click.Choice(["en", "ko"]), help="Language of reasons and report.")
@json_option
def command(
    scenario: str, override: str | None, out: Path, currency: str | None, language: Literal["en", "ko"] | None, as_json: bool
) -> None:
    """Plan SCENARIO, a shipped name or a YAML file; write plan.json and report.html."""
    from simulator.catalog import load_scenario
    from simulator.cli._bar import progress_bar
    from simulator.cli._plan_view import show_plan
    from simulator.pipeline.documents import plan_json, report_page
    from simulator.pipeline.planning import make_plan
    from simulator.record import to_json, write_text
    from simulator.wording import words

    chosen = load_scenario(scenario, override)
    changes = {"money.currency": currency, "language": language}
    chosen = chosen.varied({path: value for path, value in changes.items() if value})
    with progress_bar() as progress:
        planned = make_plan(chosen, progress=progress)
    write_text(out / "plan.json", to_json(planned.plan) + "\n")
    write_text(out / "report.html", report_page(planned, chosen.language))
    if as_json:
        print_json(plan_json(planned))
    else:
        show_plan(planned, chosen.language)
        click.echo(f"{words(chosen.language)['wrote']} {out / 'plan.json'}, {out / 'report.html'}")
