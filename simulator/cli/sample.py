"""`burstline sample`: write the shipped company to disk."""

from __future__ import annotations

from pathlib import Path

import click

from simulator.cli import json_option, print_json

EXTRA_NAMES = ("edp-lines", "edp-net", "edp-map", "split", "mixed-currency", "marketplace", "legacy-cur", "cur2-csv")


@click.command()
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), default=Path("out/sample"), show_default=True, help="Folder to write."
)
@click.option("--days", type=click.IntRange(1, 3650), help="Length in days; a year by default.")
@click.option("--hours", type=click.IntRange(1, 87600), help="Length in hours, instead of --days.")
@click.option("--seed", type=click.IntRange(0), default=40, show_default=True, help="Names and ids; amounts do not depend on it.")
@click.option(
    "--with",
    "extras",
    type=click.Choice(EXTRA_NAMES),
    multiple=True,
    help="What no public bill holds, or the bill as text; may be repeated.",
)
@json_option
def command(out: Path, days: int | None, hours: int | None, seed: int, extras: tuple[str, ...], as_json: bool) -> None:
    """Generate the shipped company: a year of bills, usage and a cluster snapshot.

    1,000 developers in five teams on AWS, as CUR 2.0 and FOCUS 1.2 bills, hourly usage, one metrics scrape and a
    snapshot of nodes and pods. The same seed gives the same bytes.

    \b
    Example:
      burstline sample --out company --days 30
      burstline bill company/bill/cur2
    """
    from typing import cast

    from simulator.cli._bar import progress_bar
    from simulator.ingest.synthetic.company import Company, Extra
    from simulator.ingest.synthetic.files import write_company

    if days and hours:
        raise click.UsageError("give --days or --hours, not both")
    if sum(extra.startswith("edp-") for extra in extras) > 1:
        raise click.UsageError("choose one of edp-lines, edp-net and edp-map")
    length = hours or (days * 24 if days else 8760)
    company = Company(seed=seed, hours=length, extras=frozenset(cast(tuple[Extra, ...], extras)))
    with progress_bar() as progress:
        manifest = write_company(out, company, progress)
    if as_json:
        print_json({"out": str(out), **manifest})
    else:
        _show(out, manifest)


def _show(out: Path, manifest: dict[str, object]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("billing month", "hours", "of", "CUR 2.0 rows", "FOCUS rows", "")
    for period in manifest["periods"]:  # type: ignore[attr-defined]
        rows, state = period["rows"], "open" if period["open"] else ""
        table.add_row(period["period"], str(period["hours"]), str(period["of_hours"]), f"{rows['cur2']:,}", f"{rows['focus']:,}", state)
    console = Console()
    console.print(table)
    console.print(f"{manifest['worker_hours']:,} worker hours, seed {manifest['seed']}, written to {out}")
