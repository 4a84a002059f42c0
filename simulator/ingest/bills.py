"""Bills: import deliveries into the store and read `Charges` back."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
from numpy.typing import NDArray

from models.bill import BillPeriod, BillRefusal, BillReport, Charges, PurchaseOption, WorkerSeries
from models.errors import BillingFormatError, InputError, Problem
from models.horizon import Horizon
from simulator.ingest.bill_import import commit, stage
from simulator.ingest.bill_lines import BILLS_DDL, BILLS_VERSION
from simulator.ingest.currency import Rates
from simulator.ingest.deliveries import Found, find_deliveries
from simulator.ingest.formats import FORMATS, Options
from simulator.ingest.reconcile import PeriodHeader, reconcile
from simulator.ingest.store import ensure_part
from simulator.ingest.text_header import NoBill
from simulator.progress import SILENT, Progress


@dataclass(frozen=True)
class ImportChoice:
    """How to import: a format by name or None to tell it by content; the currency to convert to with dated rates."""

    format: str | None = None
    currency: str | None = None
    rates: Rates | None = None
    options: Options = field(default_factory=Options)


def import_bills(
    paths: Sequence[Path | str],
    store: duckdb.DuckDBPyConnection,
    *,
    format: str | None = None,
    currency: str | None = None,
    rates: Rates | None = None,
    options: Options | None = None,
    progress: Progress = SILENT,
) -> BillReport:
    """Import every delivery under `paths` (files, folders, `s3://` and `athena://` addresses). Whole deliveries are refused, never parts.

    A period that is already in the store is replaced whole. Refused deliveries are told in the report and leave the
    store as it was; the others are imported.
    """
    if format is not None:
        FORMATS[format]
    ensure_part(store, "bills", BILLS_VERSION, BILLS_DDL)
    choice = ImportChoice(format, currency, rates, options or Options())
    with tempfile.TemporaryDirectory(prefix="burstline-") as folder:
        scratch = Path(folder)
        return _import_found(store, _find(paths, scratch, choice.options), scratch, choice, progress)


def load_periods(store: duckdb.DuckDBPyConnection) -> tuple[BillPeriod, ...]:
    """Every period of the store, reconciled anew from its rows, by period and bill."""
    return tuple(reconcile(store, "bill_line", header) for header in _stored_headers(store))


def load_charges(store: duckdb.DuckDBPyConnection) -> Charges:
    """Worker hours and their effective cost by hour from all periods of the store.

    Rows of several hours are spread evenly over them. Raises `InputError` when the store holds no bill, bills of
    different currencies, or no EC2 node rows.
    """
    ensure_part(store, "bills", BILLS_VERSION, BILLS_DDL, read_only=True)
    periods = load_periods(store)
    if not periods:
        raise InputError(Problem("store", "no bill", "import one first: burstline bill PATH --store FILE"))
    currencies = sorted({period.currency for period in periods})
    if len(currencies) > 1:
        mend = "import them into one currency with --currency and --rates"
        raise InputError(Problem("store", f"bills in {' and '.join(currencies)}", mend))
    rows = store.execute(_WORKER_ROWS).fetchall()
    if not rows:
        raise InputError(Problem("store", "a bill without EC2 node rows", "import a bill with hourly EC2 line items"))
    return _charges(periods, rows)


_WORKER_ROWS = """
    SELECT instance_type, purchase_option, region, tag, date_trunc('hour', charge_start) AS first,
        greatest(1, ceil(date_diff('second', date_trunc('hour', charge_start), charge_end) / 3600.0))::BIGINT AS hours,
        sum(quantity)::DOUBLE AS quantity, sum(coalesce(amortised, 0))::DOUBLE AS cost
    FROM bill_line WHERE worker GROUP BY ALL ORDER BY ALL"""


def _charges(periods: tuple[BillPeriod, ...], rows: Sequence[tuple[str, PurchaseOption, str, str, datetime, int, float, float]]) -> Charges:
    start = min(row[4] for row in rows)
    end = max(row[4] + timedelta(hours=row[5]) for row in rows)
    horizon = Horizon(start.replace(tzinfo=UTC), round((end - start).total_seconds() / 3600))
    keys = sorted({row[:4] for row in rows})
    column = {key: number for number, key in enumerate(keys)}
    hours = np.zeros((horizon.hours, len(keys)))
    cost = np.zeros_like(hours)
    for kind, option, region, tag, first, length, quantity, amount in rows:
        at = round((first - start).total_seconds() / 3600)
        series = column[kind, option, region, tag]
        hours[at : at + length, series] += quantity / length
        cost[at : at + length, series] += amount / length
    return Charges(
        periods=periods,
        currency=periods[0].currency,
        horizon=horizon,
        series=tuple(WorkerSeries(*key) for key in keys),
        worker_hours=_frozen(hours),
        worker_cost=_frozen(cost),
    )


def _frozen(array: NDArray[np.float64]) -> NDArray[np.float64]:
    array.setflags(write=False)
    return array


def _find(paths: Sequence[Path | str], scratch: Path, options: Options) -> Found:
    remote = [str(path) for path in paths if "://" in str(path)]
    local = [Path(path) for path in paths if "://" not in str(path)]
    found = find_deliveries(local)
    problems = list(found.problems)
    fetched = {}
    for number, address in enumerate(remote):
        try:
            fetched[_fetch(address, scratch / f"remote-{number}", options)] = address
        except BillingFormatError as error:
            problems += [(address, problem) for problem in error.problems]
    more = find_deliveries(list(fetched))
    more = replace(more, deliveries=tuple(replace(one, place=fetched.get(Path(one.place), one.place)) for one in more.deliveries))
    return Found((*found.deliveries, *more.deliveries), (*problems, *more.problems), (*found.ignored, *more.ignored))


def _fetch(address: str, folder: Path, options: Options) -> Path:
    if address.startswith("s3://"):
        from simulator.ingest import s3

        return s3.fetch(address, folder)
    if address.startswith("athena://"):
        from simulator.ingest import athena

        return athena.fetch(address, folder, options=options)
    raise BillingFormatError(
        Problem(address, "an address of no known kind", "give a path, s3://bucket/prefix or athena://database.table/YYYY-MM")
    )


def _import_found(store: duckdb.DuckDBPyConnection, found: Found, scratch: Path, choice: ImportChoice, progress: Progress) -> BillReport:
    refused = [BillRefusal(path, problem.place, problem.found, problem.mend) for path, problem in found.problems]
    strangers: list[BillRefusal] = []
    done: dict[tuple[str, str], str] = {}
    periods: list[tuple[str, str, BillPeriod]] = []
    progress.stage("bills", len(found.deliveries))
    for delivery in found.deliveries:
        try:
            staged = stage(
                store,
                delivery,
                scratch,
                format_name=choice.format,
                options=choice.options,
                rates=choice.rates,
                currency=choice.currency,
            )
            _refuse_twice(done, staged.headers, delivery.place)
            commit(store, staged)
            periods += [(header.period, header.bill, period) for header, period in zip(staged.headers, staged.periods, strict=True)]
        except BillingFormatError as error:
            told = [BillRefusal(delivery.place, p.place, p.found, p.mend) for p in error.problems]
            (strangers if isinstance(error, NoBill) and delivery.loose else refused).extend(told)
        progress.advance()
    if not periods and not refused:
        refused, strangers = strangers, []
    ignored = (*found.ignored, *((stranger.path, stranger.found) for stranger in strangers))
    ordered = sorted(periods, key=lambda item: item[:2])
    return BillReport(tuple(period for *_, period in ordered), tuple(refused), ignored)


def _refuse_twice(done: dict[tuple[str, str], str], headers: Sequence[PeriodHeader], place: str) -> None:
    """Two deliveries of one period in one import: which is right cannot be known here."""
    given = {(payer, header.period): place for header in headers for payer in header.bill.split(",")}
    twice = sorted({(period, done[payer, period]) for payer, period in given if (payer, period) in done})
    mend = "give one delivery per period, or the folder with its manifest; --format chooses one"
    problems = [Problem(place, f"{period} of the same account, which {earlier} gave already", mend) for period, earlier in twice]
    if problems:
        raise BillingFormatError(problems)
    done.update(given)


def _stored_headers(store: duckdb.DuckDBPyConnection) -> list[PeriodHeader]:
    rows = store.execute(
        """SELECT bill, period, currency, format, place, tag_key, rows_in, doubt, notes FROM bill_period ORDER BY period, bill"""
    ).fetchall()
    return [
        PeriodHeader(bill, period, currency, name, place, tag_key, rows_in, doubt, tuple(notes))
        for bill, period, currency, name, place, tag_key, rows_in, doubt, notes in rows
    ]
