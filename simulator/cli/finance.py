"""`burstline finance`: AWS against private and hybrid: cash flow, NPV, break-even, sensitivity, workbook and ledger."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from simulator.cli import json_option, print_json


@click.command()
@click.argument("scenario")
@click.option("--plan", "plan_path", type=click.Path(path_type=Path), help="A plan.json; the scenario's own recommendation by default.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Write workbook.xlsx and focus.csv here.")
@click.option("--currency", type=click.Choice(["USD", "KRW"]), help="Currency to show; the scenario's by default.")
@click.option("--override", help="One of the scenario's named overrides.")
@click.option("--language", type=click.Choice(["en", "ko"]), help="Language of the tables; the scenario's by default.")
@json_option
def command(
    scenario: str,
    plan_path: Path | None,
    out: Path | None,
    currency: str | None,
    override: str | None,
    language: Literal["en", "ko"] | None,
    as_json: bool,
) -> None:
    """Compare the plan with every way to stay on AWS, over the scenario's years.

    Example: burstline finance half-private-40 --out out/finance
    """
    from simulator.catalog import load_scenario
    from simulator.cli._money import draw_finance
    from simulator.finance.documents import finance_document
    from simulator.finance.files import read_plan, write_files
    from simulator.pipeline.money import finance

    case = load_scenario(scenario, override)
    report = finance(case, read_plan(plan_path) if plan_path else None)
    shown = currency or case.money.currency
    files = write_files(out, report) if out else []
    if as_json:
        print_json(finance_document(report, shown) | {"files": files})
    else:
        draw_finance(report, shown, language or case.language)
        for path in files:
            click.echo(f"wrote {path}", err=True)
