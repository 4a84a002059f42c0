"""`burstline bill`: import bills, print the reconciliation, refuse what does not reconcile."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from simulator.cli import json_option, print_json

if TYPE_CHECKING:
    from models.bill import BillReport


@click.command()
@click.argument("paths", nargs=-1, required=True)
@click.option("--format", "format_name", help="Bill format by name; told by content when left out.")
@click.option("--store", type=click.Path(path_type=Path, dir_okay=False), help="Keep the bills in this file for later commands.")
@click.option("--currency", help="Convert every bill to this currency, with --rates.")
@click.option("--rates", "rates_file", type=click.Path(path_type=Path), help="YAML list of dated exchange rates.")
@json_option
def command(
    paths: tuple[str, ...],
    format_name: str | None,
    store: Path | None,
    currency: str | None,
    rates_file: Path | None,
    as_json: bool,
) -> None:
    """Import AWS bills from PATHS: files, folders of deliveries or s3:// addresses.

    Reads legacy CUR, CUR 2.0 and FOCUS, proves that each period adds up and refuses what does not, naming the rows.
    A period delivered again replaces the old one whole.

    Example: burstline bill ~/bills/2025 --store company.duckdb
    """
    from simulator.cli._bar import progress_bar
    from simulator.cli._bill_view import as_document, draw
    from simulator.ingest.bills import import_bills
    from simulator.ingest.currency import load_rates
    from simulator.ingest.store import open_store

    rates = load_rates(rates_file) if rates_file else None
    target = currency.upper() if currency else None
    connection = open_store(store)
    try:
        with progress_bar() as progress:
            report: BillReport = import_bills(paths, connection, format=format_name, currency=target, rates=rates, progress=progress)
    finally:
        connection.close()
    if as_json:
        print_json(as_document(report))
    else:
        draw(report)
    if report.refused:
        raise click.exceptions.Exit(2)
