"""`burstline bill`: import bills, print the reconciliation, refuse what does not reconcile."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from simulator.cli import json_option, print_json

if TYPE_CHECKING:
    from models.bill import BillReport


@click.command()
@click.argument("paths", nargs=-1)
@click.option("--format", "format_name", help="Bill format by name; told by content when left out.")
@click.option("--store", type=click.Path(path_type=Path, dir_okay=False), help="Keep the bills in this file for later commands.")
@click.option("--currency", help="Convert every bill to this currency, with --rates.")
@click.option("--rates", "rates_file", type=click.Path(path_type=Path), help="YAML list of dated exchange rates.")
@click.option("--focus", type=click.Path(path_type=Path, dir_okay=False), help="Write the bills as one FOCUS 1.2 ledger (csv).")
@click.option("--beside", type=click.Path(path_type=Path), multiple=True, help="FOCUS file to join to the ledger; may be repeated.")
@click.option("--trace", "traced", multiple=True, metavar="KEY=VALUE,...", help="List the source rows behind a number, e.g. category=tax.")
@click.option("--trace-rows", default=20, show_default=True, type=click.IntRange(min=0), help="List at most this many of them.")
@click.option("--all-duplicates", is_flag=True, help="Look for line items given twice in bills above 5 million rows too (slow).")
@click.option("--cross-check", is_flag=True, help="Compare the totals with Cost Explorer (one paid request).")
@json_option
def command(
    paths: tuple[str, ...],
    format_name: str | None,
    store: Path | None,
    currency: str | None,
    rates_file: Path | None,
    focus: Path | None,
    beside: tuple[Path, ...],
    traced: tuple[str, ...],
    trace_rows: int,
    all_duplicates: bool,
    cross_check: bool,
    as_json: bool,
) -> None:
    """Import AWS bills from PATHS: files, folders of deliveries, s3://bucket/prefix or
    athena://database.table/YYYY-MM.

    Reads legacy CUR, CUR 2.0 and FOCUS, proves that each period adds up and refuses what does not, naming the rows.
    A period delivered again replaces the old one whole. With --trace and --store alone, nothing is imported: the files
    that the store was filled from are read again.

    \b
    Example:
      burstline bill ~/bills/2025 --store company.duckdb
      burstline bill ~/bills/2025 --focus ledger.csv --beside out/focus.csv
      burstline bill --store company.duckdb --trace "period=2025-01,category=tax"
    """
    from simulator.cli._bar import progress_bar
    from simulator.cli._bill_view import as_document, draw
    from simulator.ingest.bill_trace import parse_trace, trace
    from simulator.ingest.bills import import_bills
    from simulator.ingest.cost_explorer import cross_check as compare
    from simulator.ingest.currency import load_rates
    from simulator.ingest.focus_out import write_focus
    from simulator.ingest.formats import Options
    from simulator.ingest.store import open_store

    if not paths and not (traced and store):
        raise click.UsageError("Missing argument 'PATHS...'.")
    where = parse_trace(traced)
    rates = load_rates(rates_file) if rates_file else None
    target = currency.upper() if currency else None
    connection = open_store(store, read_only=not paths)
    try:
        with progress_bar() as progress:
            report: BillReport = import_bills(
                paths,
                connection,
                format=format_name,
                currency=target,
                rates=rates,
                options=Options(all_duplicates=all_duplicates),
                progress=progress,
            )
        found = trace(connection, where, limit=trace_rows) if traced else None
        rows = write_focus(connection, focus, beside) if focus else None
    finally:
        connection.close()
    checks = compare(report.periods) if cross_check else ()
    if as_json:
        print_json(as_document(report, checks, rows, found))
    else:
        draw(report, checks, found)
    if report.refused:
        raise click.exceptions.Exit(2)
