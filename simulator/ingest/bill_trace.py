"""Trace: the source rows behind a number of the store, by reading the files again.

A total of the reconciliation is a sum over `bill_line` rows with some keys (period, category, service, instance type, ...). The same keys
are told for every row of the source files by the same rules, and those that match are listed with file and row number. Their count and
cost are set beside the store's: files that were changed since the import do not pass unnoticed.

Example: `category=tax` of a bill with 12 tax rows lists file and number of each and says 12 rows, 0.08, as in the store.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

from models.errors import BillingFormatError, InputError, Problem, UnknownName
from models.unknown import Unknown
from simulator.ingest.bill_derive import named
from simulator.ingest.bill_groups import rows_alone
from simulator.ingest.bill_lines import BILLS_DDL, BILLS_VERSION, KEY_TYPES
from simulator.ingest.formats import FORMATS, Options
from simulator.ingest.store import ensure_part
from simulator.ingest.tabular import damaged, open_table, text_literal

TRACE_KEYS = ("period", "category", *(name for name in KEY_TYPES if name not in ("charge_start", "charge_end", "category")), "hour")
"""What a trace may ask for; `hour` ("2025-01-01T05", UTC) is the first hour of rows whose hours are kept."""

_SHOWN = ("account", "line_type", "category", "service", "usage_type", "instance_type")


@dataclass(frozen=True)
class TracedRow:
    """One source row: `row` counts the data rows of its file from 1. Money in `currency`, as billed.

    amortised is Unknown where only the whole plan or reservation tells it.
    """

    file: str
    row: int
    name: str
    period: str
    keys: tuple[tuple[str, str], ...]
    currency: str
    quantity: Decimal
    unblended: Decimal
    amortised: Decimal | Unknown


@dataclass(frozen=True)
class Trace:
    """Source rows that match `where`: the first of them, and count and billed cost by currency of all, beside the store's."""

    where: tuple[tuple[str, str], ...]
    rows: tuple[TracedRow, ...]
    count: int
    unblended: tuple[tuple[str, Decimal], ...]
    stored_count: int
    stored_unblended: tuple[tuple[str, Decimal], ...]

    @property
    def agrees(self) -> bool:
        """Whether the files still hold what the store was filled from."""
        return (self.count, self.unblended) == (self.stored_count, self.stored_unblended)


def parse_trace(texts: Sequence[str]) -> dict[str, str]:
    """`key=value` pairs, several of them in a text divided by commas. Raises `InputError` with every wrong one."""
    problems, where = [], {}
    for pair in (part for text in texts for part in re.split(r",(?=\s*\w+=)", text)):
        key, sign, value = pair.partition("=")
        name = {"kind": "category", "type": "instance_type"}.get(key.strip(), key.strip())
        if not sign:
            problems.append(Problem(f"--trace {pair!r}", "no key=value", "write for instance service=AmazonEC2,category=tax"))
        elif name not in TRACE_KEYS:
            problems += UnknownName("key of a bill row", key.strip(), TRACE_KEYS).problems
        else:
            where[name] = value.strip()
    if problems:
        raise InputError(problems)
    return where


def trace(store: duckdb.DuckDBPyConnection, where: Mapping[str, str], *, limit: int = 20) -> Trace:
    """The source rows of the store's bills that match `where`, the first `limit` of them by file and row.

    Raises `InputError` when a source file is gone or nothing in the store matches.
    """
    ensure_part(store, "bills", BILLS_VERSION, BILLS_DDL, read_only=True)
    stored = store.execute(f"""SELECT billed_currency, sum(rows)::BIGINT, sum(billed) FROM bill_line
        WHERE {_condition(where, "period")} GROUP BY ALL ORDER BY 1""").fetchall()
    if not stored:
        raise InputError(_nothing(store, where))
    rows: list[TracedRow] = []
    found: dict[str, tuple[int, Decimal]] = {}
    store.execute("SET preserve_insertion_order=true").fetchall()
    try:
        for source in _sources(store, where):
            more, sums = _traced(store, source, where, limit - len(rows))
            rows += more
            for currency, count, amount in sums:
                before = found.get(currency, (0, Decimal(0)))
                found[currency] = before[0] + count, before[1] + amount
    finally:
        store.execute("SET preserve_insertion_order=false").fetchall()
    return Trace(
        where=tuple(where.items()),
        rows=tuple(rows),
        count=sum(count for count, _ in found.values()),
        unblended=tuple((currency, found[currency][1]) for currency in sorted(found)),
        stored_count=sum(count for _, count, _ in stored),
        stored_unblended=tuple((currency, amount) for currency, _, amount in stored),
    )


@dataclass(frozen=True)
class _Source:
    """Files of one delivery and the (period, payers) that the store holds from them."""

    format: str
    files: tuple[Path, ...]
    periods: tuple[tuple[str, str], ...]


def _sources(store: duckdb.DuckDBPyConnection, where: Mapping[str, str]) -> list[_Source]:
    only = f"period = {text_literal(where['period'])}" if "period" in where else "true"
    found = store.execute(f"""SELECT format, files, list({{'period': period, 'bill': bill}} ORDER BY period, bill) FROM (
            SELECT p.format, p.period, p.bill, list({{'path': s.path, 'bytes': s.bytes}} ORDER BY s.path) AS files
            FROM bill_period p JOIN bill_source s USING (bill, period) WHERE {only} GROUP BY ALL)
        GROUP BY ALL ORDER BY files""").fetchall()
    problems, sources = [], []
    for form, files, periods in found:
        for file in files:
            path = Path(file["path"])
            if not path.is_file():
                problems.append(Problem(str(path), "a source that is not there any more", "fetch it again and import the bill from there"))
            elif path.stat().st_size != file["bytes"]:
                problems.append(Problem(str(path), "a source that has changed since its import", "import the bill again"))
        sources.append(_Source(form, tuple(Path(file["path"]) for file in files), tuple((p["period"], p["bill"]) for p in periods)))
    if problems:
        raise InputError(problems)
    return sources


def _traced(
    store: duckdb.DuckDBPyConnection, source: _Source, where: Mapping[str, str], limit: int
) -> tuple[list[TracedRow], list[tuple[str, int, Decimal]]]:
    form = FORMATS[source.format]
    derived = form.derive()
    period = "strftime(period_start, '%Y-%m')"
    held = " OR ".join(
        f"({period} = {text_literal(month)} AND list_contains(string_split({text_literal(bill)}, ','), payer))"
        for month, bill in source.periods
    )
    columns = {name: f"CAST({derived[name]} AS {kind})" for name, kind in KEY_TYPES.items()}
    columns |= {name: f"CAST({derived[name]} AS DECIMAL(38,16))" for name in ("billed", "quantity", "amortised")}
    with tempfile.TemporaryDirectory(prefix="burstline-") as folder:
        table = open_table(store, source.files, Path(folder))
        grouping = form.group(store, table, Options())
        unions = []
        for place, relation in table.numbered():
            alone = f"SELECT *, {', '.join(named(form.facts()))} FROM ({rows_alone(table, grouping, relation, 'file_row')})"
            items = [f"{text_literal(place)} AS file", "file_row", "row_name", f"{period} AS period", *named(columns)]
            unions.append(f"SELECT {', '.join(items)} FROM ({alone}) WHERE {held}")
        matching = f"({' UNION ALL '.join(unions)}) WHERE {_condition(where, 'period')}"
        try:
            sums = store.execute(
                f"SELECT billed_currency, count(*), sum(billed) FROM {matching} GROUP BY ALL ORDER BY 1"  # bounded memory
            ).fetchall()
            shown = f"""file, file_row, row_name, period, billed_currency, quantity, billed, amortised, {", ".join(_SHOWN)}"""
            rows = store.execute(f"SELECT {shown} FROM {matching} ORDER BY file, file_row LIMIT {max(0, limit)}").fetchall()
        except duckdb.Error as error:
            raise BillingFormatError(damaged(source.files, error)) from None
    return [_row(row) for row in rows], sums


def _row(row: tuple[Any, ...]) -> TracedRow:
    file, number, name, period, currency, quantity, billed, amortised, *keys = row
    told: Decimal | Unknown = Unknown("told by the fees of the whole commitment") if amortised is None else amortised
    pairs = tuple((key, value) for key, value in zip(_SHOWN, keys, strict=True) if value)
    return TracedRow(file, number, name, period, pairs, currency, quantity, billed, told)


def _condition(where: Mapping[str, str], period: str) -> str:
    """SQL over columns named as in `bill_line`."""
    terms = []
    for key, value in where.items():
        if key == "hour":
            terms.append(f"(charge_end IS NOT NULL AND strftime(charge_start, '%Y-%m-%dT%H') = {text_literal(value[:13])})")
        else:
            terms.append(f"CAST({period if key == 'period' else key} AS VARCHAR) = {text_literal(value)}")
    return " AND ".join(terms) or "true"


def _nothing(store: duckdb.DuckDBPyConnection, where: Mapping[str, str]) -> list[Problem]:
    """What the store holds instead, by the first key that excludes everything."""
    held: dict[str, str] = {}
    for key, value in where.items():
        before = _condition(held, "period")
        held[key] = value
        if key != "hour" and not store.execute(f"SELECT 1 FROM bill_line WHERE {_condition(held, 'period')} LIMIT 1").fetchall():
            query = f"SELECT DISTINCT CAST({key} AS VARCHAR) FROM bill_line WHERE {before} ORDER BY 1 LIMIT 12"
            values = ", ".join(repr(row[0]) for row in store.execute(query).fetchall())
            return [Problem(f"--trace {key}={value}", "no row of the store", f"{key} is one of {values or 'nothing: the store is empty'}")]
    return [Problem("--trace", f"no row of the store with {', '.join(f'{k}={v}' for k, v in where.items())}", "ask for less at once")]
