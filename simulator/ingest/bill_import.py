"""One delivery of a bill into the store: read once, check, derive, reconcile, then replace its periods in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb

from models.bill import BillPeriod
from models.errors import BillingFormatError, Problem
from simulator.ingest.bill_derive import derive_lines
from simulator.ingest.bill_groups import DUPLICATE_CHECK_ROWS, count_repeated, read_groups, row_relation
from simulator.ingest.bill_lines import BILL_KEYS, KEY_TYPES, SUM_TYPES
from simulator.ingest.currency import Rates
from simulator.ingest.deliveries import Delivery
from simulator.ingest.formats import FORMATS, BillFormat, Grouping, Options
from simulator.ingest.reconcile import PeriodHeader, faults_of, reconcile
from simulator.ingest.store import transaction
from simulator.ingest.tabular import Table, damaged, open_table, text_literal
from simulator.ingest.text_header import NoBill

_NAMED_ROWS = 5


@dataclass(frozen=True)
class Staged:
    """A delivery that was read, checked and reconciled but not yet written; its rows wait in the table `bill_stage`."""

    delivery: Delivery
    headers: tuple[PeriodHeader, ...]
    periods: tuple[BillPeriod, ...]


def stage(
    connection: duckdb.DuckDBPyConnection,
    delivery: Delivery,
    scratch: Path,
    *,
    format_name: str | None = None,
    options: Options | None = None,
    rates: Rates | None = None,
    currency: str | None = None,
) -> Staged:
    """Read a delivery into `bill_stage`. Raises `BillingFormatError` with every problem; nothing of it is stored then."""
    table = open_table(connection, delivery.files, scratch)
    name = format_name or recognise(table, delivery.place)
    form = FORMATS[name]
    missing = form.missing(table)
    if missing:
        found = f"a {form.title} table without {', '.join(missing)}"
        raise BillingFormatError(Problem(f"{delivery.place}: header", found, "export these columns too"))
    try:
        choice = options or Options()
        grouping = form.group(connection, table, choice)
        read_groups(connection, table, grouping, scratch, all_duplicates=choice.all_duplicates)
        unlooked = _refuse_bad_rows(connection, delivery, table, grouping, choice)
        headers = _headers(connection, delivery, name, form, replace(grouping, notes=(*grouping.notes, *unlooked)), rates, currency)
        derive_lines(connection, form, headers, rates)
    except duckdb.OutOfMemoryException:
        raise BillingFormatError(
            Problem(delivery.place, "a bill too large for the free memory and disk", "free some, or give its months one by one")
        ) from None
    except (duckdb.BinderException, duckdb.CatalogException, duckdb.ParserException):
        raise
    except duckdb.Error as error:
        raise BillingFormatError(damaged(delivery.files, error)) from None
    periods = tuple(reconcile(connection, "bill_stage", header) for header in headers)
    problems = []
    for header, period in zip(headers, periods, strict=True):
        for fault in faults_of(connection, "bill_stage", header, period):
            rows = f"strftime(period_start, '%Y-%m') = {text_literal(header.period)} AND ({fault.rows or grouping.suspect})"
            where = _name_rows(connection, table, grouping, where=rows)
            problems.append(Problem(f"{delivery.place}: {header.period}{where}", fault.found, fault.mend))
    if problems:
        raise BillingFormatError(problems)
    return Staged(delivery, headers, periods)


def commit(connection: duckdb.DuckDBPyConnection, staged: Staged) -> None:
    """Replace the staged periods whole: all of them or, if killed, none.

    A stored period is the same one when it shares a payer account, so a bill of more accounts replaces those of each.
    """
    columns = ", ".join([*BILL_KEYS, *KEY_TYPES, *SUM_TYPES])
    with transaction(connection):
        for header in staged.headers:
            same = "period = ? AND list_has_any(string_split(bill, ','), string_split(?, ','))"
            for table in ("bill_line", "bill_period", "bill_source"):
                connection.execute(f"DELETE FROM {table} WHERE {same}", [header.period, header.bill]).fetchall()
            connection.execute(
                "INSERT INTO bill_period VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    header.bill,
                    header.period,
                    header.currency,
                    header.format,
                    header.place,
                    header.tag_key,
                    header.rows_in,
                    header.doubt,
                    list(header.notes),
                ],
            ).fetchall()
            for file in staged.delivery.files:
                row = [header.bill, header.period, str(file), file.stat().st_size]
                connection.execute("INSERT INTO bill_source VALUES (?, ?, ?, ?)", row).fetchall()
        connection.execute(f"INSERT INTO bill_line ({columns}) SELECT {columns} FROM bill_stage").fetchall()
    connection.execute("DROP TABLE IF EXISTS bill_stage").fetchall()


def recognise(table: Table, place: str) -> str:
    """The format that is surest of the table; below 0.6 nobody is, and the file is refused."""
    scores = sorted(((form.sniff(table), name) for name, form in FORMATS.items()), reverse=True)
    if not scores or scores[0][0] < 0.6:
        near = f"; nearest is {scores[0][1]} at {scores[0][0]:.0%}" if scores and scores[0][0] > 0.2 else ""
        found = f"columns of no known bill format{near}"
        raise NoBill(Problem(place, found, f"give one of {', '.join(FORMATS.names())} (--format)"))
    return scores[0][1]


def _refuse_bad_rows(
    connection: duckdb.DuckDBPyConnection, delivery: Delivery, table: Table, grouping: Grouping, options: Options
) -> list[str]:
    """Refuse rows that cannot be, and line items given twice. Returns notes of what was not looked for."""
    rows, bad = connection.execute("SELECT coalesce(sum(rows), 0), coalesce(sum(bad), 0) FROM raw_group").fetchall()[0]
    if not rows:
        raise BillingFormatError(Problem(delivery.place, "a header without rows: an empty month", "leave it out, or fetch it again"))
    problems = []
    if bad:
        counts = ", ".join(f"count_if({check.sql})" for check in grouping.checks)
        for number, count in enumerate(connection.execute(f"SELECT {counts} FROM {row_relation(table.relation, grouping)}").fetchall()[0]):
            if count:
                check = grouping.checks[number]
                where = _name_rows(connection, table, grouping, check=number)
                problems.append(Problem(f"{delivery.place}{where}", f"{check.found} ({count} rows)", check.mend))
    is_looked_for = options.all_duplicates or rows <= DUPLICATE_CHECK_ROWS
    if not problems and grouping.duplicate_key and is_looked_for:
        repeated = count_repeated(connection, table, grouping.duplicate_key)
        if repeated:
            name = grouping.reads["row_name"]
            which = f"SELECT {name} FROM {table.relation} GROUP BY {name}, {grouping.duplicate_key} HAVING count(*) > 1"
            names = connection.execute(f"SELECT * FROM ({which}) ORDER BY 1 LIMIT {_NAMED_ROWS}").fetchall()
            found = f"{repeated} line items given twice (same id and time interval): {', '.join(row[0] for row in names)}"
            problems.append(Problem(delivery.place, found, "give each part once, of the newest delivery only"))
    if problems:
        raise BillingFormatError(problems)
    if is_looked_for or not grouping.duplicate_key:
        return []
    return [f"line items given twice were not looked for in {rows:,} rows, more than {DUPLICATE_CHECK_ROWS:,} (--all-duplicates does)"]


def _name_rows(
    connection: duckdb.DuckDBPyConnection, table: Table, grouping: Grouping, *, check: int | None = None, where: str = ""
) -> str:
    """': row 3 (id), row 7 (id) and more': the first data rows, counted from 1 in each file's own order.

    Rows that fail a check, or that satisfy `where`, SQL over the rows of the grouping.
    """
    places = table.numbered()
    connection.execute("SET preserve_insertion_order=true").fetchall()
    told: list[str] = []
    try:
        for place, relation in places:
            query = f"""SELECT file_row, row_name FROM {row_relation(relation, grouping, "file_row")}
                WHERE {where if check is None else grouping.checks[check].sql} ORDER BY file_row LIMIT {_NAMED_ROWS + 1}"""
            prefix = "" if len(places) == 1 else f"{Path(place).name} "
            told += [f"{prefix}row {row}" + (f" ({name})" if name else "") for row, name in connection.execute(query).fetchall()]
    finally:
        connection.execute("SET preserve_insertion_order=false").fetchall()
    if not told:
        return ""
    return ": " + ", ".join(told[:_NAMED_ROWS]) + (" and more" if len(told) > _NAMED_ROWS else "")


def _headers(
    connection: duckdb.DuckDBPyConnection,
    delivery: Delivery,
    name: str,
    form: BillFormat,
    grouping: Grouping,
    rates: Rates | None,
    currency: str | None,
) -> tuple[PeriodHeader, ...]:
    found = connection.execute(
        """SELECT list_sort(list(DISTINCT payer)), strftime(period_start, '%Y-%m') AS period, sum(rows)::BIGINT,
            list_sort(list(DISTINCT currency)) FROM raw_group GROUP BY period ORDER BY period"""
    ).fetchall()
    doubts = _texts(connection, form.doubts())
    remarks = _texts(connection, form.remarks())
    headers, problems = [], []
    for payers, period, rows, currencies in found:
        target = currency or currencies[0]
        unconverted = [name for name in currencies if name != target]
        if unconverted and (rates is None or (currency is None and len(currencies) > 1)):
            problems.append(_mixed(connection, delivery, period, currencies))
            continue
        for foreign in unconverted:
            if rates is not None and (problem := rates.missing(foreign, target, period)):
                problems.append(problem)
        headers.append(
            PeriodHeader(
                bill=",".join(payers),
                period=period,
                currency=target,
                format=name,
                place=delivery.place,
                tag_key=grouping.tag_key,
                rows_in=rows,
                doubt="; ".join(doubts.get(period, ())),
                notes=(*grouping.notes, *remarks.get(period, ())),
            )
        )
    if delivery.expected_period and not problems:
        strange = sorted({header.period for header in headers} - {delivery.expected_period})
        if strange:
            found_text = f"rows of {', '.join(strange)} in a delivery of {delivery.expected_period}"
            problems.append(Problem(delivery.place, found_text, "fetch the delivery again; its manifest and its parts disagree"))
    if problems:
        raise BillingFormatError(problems)
    return tuple(headers)


def _mixed(connection: duckdb.DuckDBPyConnection, delivery: Delivery, period: str, currencies: Sequence[str]) -> Problem:
    counts = connection.execute(
        """SELECT currency, sum(rows)::BIGINT, sum(unblended) FROM raw_group WHERE strftime(period_start, '%Y-%m') = ?
            GROUP BY ALL ORDER BY 1""",
        [period],
    ).fetchall()
    parts = ", ".join(f"{rows} rows of {total:.2f} {name}" for name, rows, total in counts)
    most = max(counts, key=lambda row: row[1])[0]
    mend = f"give --currency {most} and --rates FILE with dated rates; currencies are never added up"
    return Problem(f"{delivery.place}: {period}", f"costs in {' and '.join(currencies)} ({parts})", mend)


def _texts(connection: duckdb.DuckDBPyConnection, query: str | None) -> dict[str, tuple[str, ...]]:
    result: dict[str, tuple[str, ...]] = {}
    for period, text in connection.execute(query).fetchall() if query else ():
        result[period] = (*result.get(period, ()), text)
    return result
