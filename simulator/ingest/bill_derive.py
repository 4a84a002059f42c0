"""Groups become `bill_line` rows: derived columns, dated rates, and unused commitment told from fees where values are blank."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import duckdb

from simulator.ingest.bill_lines import KEY_TYPES, SUM_TYPES
from simulator.ingest.currency import Rates
from simulator.ingest.formats import BillFormat
from simulator.ingest.reconcile import PeriodHeader, kind_sql
from simulator.ingest.tabular import text_literal


def named(expressions: Mapping[str, str]) -> list[str]:
    """Items of a SELECT list."""
    return [sql if sql == name else f"{sql} AS {name}" for name, sql in expressions.items()]


def derive_lines(connection: duckdb.DuckDBPyConnection, form: BillFormat, headers: Sequence[PeriodHeader], rates: Rates | None) -> None:
    """Make the table `bill_stage` of `bill_line` rows from `raw_group`, which is dropped."""
    derived = form.derive()
    period = "strftime(period_start, '%Y-%m')"
    target = _by_period(headers, period, "currency")
    keys = [f"CAST({derived[name]} AS {kind}) AS {name}" for name, kind in KEY_TYPES.items()]
    sums = ["rows"]
    for name, kind in SUM_TYPES.items():
        if name != "rows":
            money = kind.startswith("DECIMAL") and name not in ("quantity", "billed")
            value = _converted(f"CAST({derived[name]} AS {kind})", headers, rates, period) if money else derived[name]
            sums.append(f"CAST({value} AS {kind}) AS {name}")
    bill = [f"{_by_period(headers, period, 'bill')} AS bill, {period} AS period, {target} AS currency"]
    facts = f"(SELECT *, {', '.join(named(form.facts()))} FROM raw_group)"
    connection.execute(f"CREATE OR REPLACE TEMP TABLE bill_stage AS SELECT {', '.join([*bill, *keys, *sums])} FROM {facts}").fetchall()
    connection.execute("DROP TABLE raw_group").fetchall()
    _unused_from_fees(connection)


def _by_period(headers: Sequence[PeriodHeader], period: str, field: str) -> str:
    cases = " ".join(f"WHEN {text_literal(header.period)} THEN {text_literal(getattr(header, field))}" for header in headers)
    return f"CASE {period} {cases} END"


def _converted(amount: str, headers: Sequence[PeriodHeader], rates: Rates | None, period: str) -> str:
    """SQL of an amount in the period's currency."""
    cases = [
        f"WHEN currency = {text_literal(source)} AND {period} = {text_literal(header.period)} THEN {amount} {factor}"
        for header in headers
        for source, factor in (rates.factors(header.currency, header.period) if rates else {}).items()
    ]
    return f"CASE {' '.join(dict.fromkeys(cases))} ELSE {amount} END" if cases else amount


def _unused_from_fees(connection: duckdb.DuckDBPyConnection) -> None:
    """Fill the unused part of fee rows whose commitment values are blank: fee - used, hour by hour, exact in total.

    Used cost of hours without a fee row is taken off the plan's largest fee row.
    """
    if not connection.execute("SELECT count(*) FROM bill_stage WHERE unused IS NULL").fetchall()[0][0]:
        return
    plan = f"bill, period, commitment, {kind_sql()}"
    connection.execute(f"""
        CREATE OR REPLACE TEMP TABLE plan_hour AS
        SELECT bill, period, commitment, {kind_sql()} AS kind, charge_start, sum(used) AS used,
            sum(fee) FILTER (unused IS NOT NULL) AS told_fee, sum(unused) AS told_unused
        FROM bill_stage WHERE used <> 0 OR fee <> 0 GROUP BY ALL""").fetchall()
    connection.execute(f"""
        CREATE OR REPLACE TEMP TABLE fee_row AS
        SELECT rowid AS id, bill, period, commitment, {kind_sql()} AS kind, charge_start, fee,
            row_number() OVER (PARTITION BY {plan}, charge_start ORDER BY fee DESC, usage_type, account, service, rowid) AS hour_rank,
            row_number() OVER (PARTITION BY {plan} ORDER BY fee DESC, charge_start, usage_type, account, service, rowid) AS plan_rank
        FROM bill_stage WHERE unused IS NULL""").fetchall()
    connection.execute("""
        UPDATE bill_stage SET unused = told.unused FROM (
            SELECT f.id, f.fee
                - CASE WHEN f.hour_rank = 1 THEN coalesce(h.used - coalesce(h.told_fee - h.told_unused, 0), 0) ELSE 0 END
                - CASE WHEN f.plan_rank = 1 THEN coalesce(rest.used, 0) ELSE 0 END AS unused
            FROM fee_row f
            LEFT JOIN plan_hour h USING (bill, period, commitment, kind, charge_start)
            LEFT JOIN (SELECT bill, period, commitment, kind, sum(used - coalesce(told_fee - told_unused, 0)) AS used FROM plan_hour p
                WHERE NOT EXISTS (SELECT 1 FROM fee_row x WHERE (x.bill, x.period, x.commitment, x.kind, x.charge_start)
                    = (p.bill, p.period, p.commitment, p.kind, p.charge_start)) GROUP BY ALL) rest
                USING (bill, period, commitment, kind)) told
        WHERE bill_stage.rowid = told.id""").fetchall()
    connection.execute(
        """UPDATE bill_stage SET amortised = unused,
            net_amortised = unused * CASE WHEN fee = 0 THEN 1 ELSE net_amortised::DOUBLE / fee::DOUBLE END WHERE amortised IS NULL"""
    ).fetchall()
    connection.execute("DROP TABLE plan_hour; DROP TABLE fee_row").fetchall()
