"""FOCUS 1.0 to 1.3 (focus.finops.org): BilledCost is cash, EffectiveCost is amortised.

AWS writes it as FOCUS_1_2_AWS with the extra columns x_ServiceCode, x_UsageType and x_Operation. The specification's own
samples are not clean; what they break (text `NULL`, dates like 5/1/25, costs like "$10,100.00 ", whole-dollar effective
cost, shifted columns) is read where it is plain what was meant, and told.

FOCUS 1.3 names the provider in ServiceProviderName and may split a charge over what used it (AllocatedMethodId, ...). Such
allocated rows replace the charge they split and add up to it, so they count; where the charge is in the file too (equal
dimensions, equal billed and effective cost), they are explained and only the charge counts.
"""

from __future__ import annotations

from collections.abc import Mapping

import duckdb

from simulator.ingest import focus_lines
from simulator.ingest.bill_lines import ODD_END
from simulator.ingest.focus_columns import COLUMN_LETTERS
from simulator.ingest.formats import FORMATS, Check, Grouping, Options
from simulator.ingest.formats.aws_cur2 import map_keys, map_value
from simulator.ingest.tabular import Table, in_time, letters, no_number, no_time, text_literal

_REQUIRED = ("BilledCost", "BillingPeriodStart", "ChargePeriodStart", "ChargePeriodEnd", "ChargeCategory")
_SURE = (*_REQUIRED, "EffectiveCost", "ChargeFrequency", "PricingCategory")


class Focus:
    """Rows of the FinOps cost and usage specification."""

    title = "FOCUS 1.0-1.3"

    def sniff(self, table: Table) -> float:
        """Sure when the specification's column names are there."""
        return 0.95 * sum(table.has(name) for name in _SURE) / len(_SURE)

    def missing(self, table: Table) -> list[str]:
        """Required columns that the table lacks."""
        return [name for name in _REQUIRED if not table.has(name)]

    def group(self, connection: duckdb.DuckDBPyConnection, table: Table, options: Options) -> Grouping:
        """Keys and sums; hours are kept for EC2 node rows and rows of a commitment.

        What is prepaid: one-time purchases are bought upfront; covered usage less the recurring fees of the period is what
        of it is amortised.
        """
        tag, tag_key, bare = _tags(connection, table, options)
        return Grouping(
            reads=_reads(table, tag, bare) | {"repeats": _repeats(connection, table)},
            rows=_ROWS,
            keys=_KEYS,
            sums=_sums(table),
            checks=_checks(table),
            fine=_fine(table),
            tag_key=tag_key,
            suspect=_ODD_EFFECTIVE,
            notes=_notes(table),
        )

    def facts(self) -> Mapping[str, str]:
        """SQL of category and the other facts that columns share."""
        return focus_lines.FACTS

    def derive(self) -> Mapping[str, str]:
        """SQL of every `bill_line` column."""
        return focus_lines.DERIVED

    def doubts(self) -> str | None:
        """Effective cost that is empty, or whole units where billed cost is not, tells nothing about amortisation."""
        return """
            SELECT strftime(period_start, '%Y-%m'),
                   'EffectiveCost is rounded to whole units on all ' || sum(rows) || ' rows of ' || provider
                   || ' (' || sum(effective) || ' against ' || sum(unblended) || ' billed)'
            FROM raw_group GROUP BY period_start, provider
            HAVING sum(odd_effective) > 0 AND sum(whole_effective) = sum(rows) AND sum(whole_billed) < sum(rows)
            UNION ALL
            SELECT strftime(period_start, '%Y-%m'), 'EffectiveCost is empty in ' || sum(effective_missing) || ' rows of ' || provider
            FROM raw_group GROUP BY period_start, provider HAVING sum(effective_missing) > 0"""

    def remarks(self) -> str | None:
        """Rules of the specification that rows break without harm to the totals."""
        hits = " UNION ALL ".join(
            f"SELECT strftime(period_start, '%Y-%m') AS period, sum({name}) || '{text}' AS note FROM raw_group "
            f"GROUP BY period_start HAVING sum({name}) > 0"
            for name, text in _HITS.items()
        )
        return f"SELECT period, note FROM ({hits}) ORDER BY period, note"


_HITS = {
    "odd_az": " rows hold a number in AvailabilityZone: columns of the source are shifted",
    "contracted_missing": " rows without ContractedCost",
    "odd_category": " rows spell ChargeCategory otherwise than the specification",
    "odd_frequency": " rows spell ChargeFrequency otherwise than the specification",
    "outside_period": " rows have a charge period outside their billing period",
}


def _tags(connection: duckdb.DuckDBPyConnection, table: Table, options: Options) -> tuple[str, str, str]:
    """SQL of the chosen tag, its key, and SQL of rows without any user tag; allocated rows have tags of their own too."""
    columns = [name for name in ("Tags", "AllocatedTags") if table.has(name)]
    mine = [(column, key) for column in columns for key in map_keys(connection, table, column) if not letters(key).startswith("aws")]
    spelt = {
        name: [(column, key) for column, key in mine if letters(key) in (letters(name), "user" + letters(name))]
        for name in options.tag_keys
    }
    chosen = next((name for name in options.tag_keys if spelt[name]), "")
    return _first_of(table, spelt.get(chosen, [])), chosen, f"{_first_of(table, mine)} = ''"


def _first_of(table: Table, places: list[tuple[str, str]]) -> str:
    values = ", ".join(map_value(table, column, key) for column, key in places)
    return f"coalesce({values}, '')" if places else "''"


_SHARED = (
    *("BillingAccountId", "SubAccountId", "BillingPeriodStart", "ChargePeriodStart", "ChargePeriodEnd", "ChargeCategory"),
    *("ChargeDescription", "CommitmentDiscountId", "CommitmentDiscountStatus", "ResourceId", "ServiceName", "SkuId", "SkuPriceId"),
)


def _repeats(connection: duckdb.DuckDBPyConnection, table: Table) -> str:
    """SQL: an allocated row whose whole charge is in the file as well."""
    if not table.has("AllocatedMethodId"):
        return "false"
    part = f"({table.text('AllocatedMethodId')} <> '')"
    if not connection.execute(f"SELECT bool_or({part}) AND NOT bool_and({part}) FROM {table.relation}").fetchall()[0][0]:
        return "false"
    charge = f"hash({', '.join(table.text(name) for name in _SHARED)})"
    costs = {name: f"coalesce({table.money(name, symbols=True)}, 0)" for name in ("BilledCost", "EffectiveCost")}
    same = " AND ".join(f"abs(sum(CASE WHEN part THEN {name} ELSE -{name} END)) <= 0.000001" for name in costs)
    rows = (
        f"SELECT {charge} AS charge, {part} AS part, {', '.join(f'{sql} AS {name}' for name, sql in costs.items())} FROM {table.relation}"
    )
    twice = f"SELECT charge FROM ({rows}) GROUP BY charge HAVING bool_or(part) AND NOT bool_and(part) AND {same}"
    return f"({part} AND {charge} IN ({twice}))"


def _reads(table: Table, tag: str, bare: str) -> dict[str, str]:
    return {
        "payer": table.text("BillingAccountId"),
        "period_start": table.time("BillingPeriodStart"),
        "account": table.text("SubAccountId", "BillingAccountId"),
        "provider": table.text("ProviderName", "ServiceProviderName", "HostProviderName", "PublisherName"),
        "publisher": table.text("PublisherName", "ServiceProviderName"),
        "issuer": table.text("InvoiceIssuerName"),
        "currency": f"upper({table.text('BillingCurrency')})" if table.has("BillingCurrency") else "'USD'",
        "charge_category": _spelt(table, "ChargeCategory"),
        "frequency": _spelt(table, "ChargeFrequency"),
        "written_category": table.text("ChargeCategory"),
        "written_frequency": table.text("ChargeFrequency"),
        "description": f"lower({table.text('ChargeDescription')})",
        "began": table.time("ChargePeriodStart"),
        "ended": table.time("ChargePeriodEnd"),
        "service": table.text("x_ServiceCode", "ServiceName"),
        "service_name": f"lower({table.text('ServiceName')})",
        "service_category": table.text("ServiceCategory"),
        "usage_type": table.text("x_UsageType", "SkuMeter"),
        "operation": table.text("x_Operation"),
        "region": table.text("RegionId"),
        "pricing_category": _spelt(table, "PricingCategory"),
        "commitment": table.text("CommitmentDiscountId"),
        "commitment_type": table.text("CommitmentDiscountType"),
        "commitment_status": _spelt(table, "CommitmentDiscountStatus"),
        "provisional": f"({table.text('InvoiceId')} = '')" if table.has("InvoiceId") else "false",
        "zone": table.text("AvailabilityZone"),
        "user_tag": tag,
        "bare": bare,
        "row_name": table.text("AllocatedResourceId", "ResourceId", "SkuPriceId", "ChargeDescription"),
        **{name: table.money(column, symbols=True) for name, column in _MONEY.items()},
        **{f"given_{name}": table.given(column) for name, column in (_MONEY | _TIMES).items()},
    }


_VALUES = {
    "ChargeCategory": ("Usage", "Purchase", "Tax", "Credit", "Adjustment"),
    "ChargeFrequency": ("One-Time", "Recurring", "Usage-Based"),
    "PricingCategory": ("Standard", "Dynamic", "Committed", "Other"),
    "CommitmentDiscountStatus": ("Used", "Unused"),
}
"""Allowed values of the specification; another case of one is taken for it."""


def _listed(name: str) -> str:
    return ", ".join(map(text_literal, _VALUES[name]))


def _spelt(table: Table, name: str) -> str:
    """SQL of a column of allowed values, spelt as in the specification."""
    text = table.text(name)
    others = " ".join(f"WHEN lower({text}) = {text_literal(value.lower())} THEN {text_literal(value)}" for value in _VALUES[name])
    return f"CASE WHEN {text} IN ('', {_listed(name)}) THEN {text} {others} ELSE {text} END"


_MONEY = {
    "billed": "BilledCost",
    "effective": "EffectiveCost",
    "listed": "ListCost",
    "contracted": "ContractedCost",
    "quantity": "ConsumedQuantity",
}
_TIMES = {"began": "ChargePeriodStart", "ended": "ChargePeriodEnd", "period_start": "BillingPeriodStart"}
_ROWS = {"hourly": focus_lines.HOURLY}
_PLAIN_KEYS = (
    *("payer", "period_start", "account", "provider", "currency", "charge_category", "service", "service_category", "usage_type"),
    *("operation", "region", "pricing_category", "commitment", "commitment_type", "commitment_status", "provisional", "repeats"),
    *("publisher", "issuer"),
)
_KEYS = {
    **{name: name for name in _PLAIN_KEYS},
    "charge_start": "CASE WHEN hourly THEN began ELSE period_start END",
    "charge_end": ODD_END,
    "support": "contains(service_name, 'support')",
    "free": "(coalesce(billed, 0) = 0)",
    "recurring": "(frequency = 'Recurring')",
    "returned": "contains(description, 'refund')",
    "tag": "CASE WHEN hourly THEN user_tag ELSE '' END",
}
_ODD_EFFECTIVE = "(charge_category <> 'Purchase' AND commitment = '' AND coalesce(billed, 0) <> 0 AND abs(effective - billed) > 0.000001)"


def _sums(table: Table) -> dict[str, str]:
    return {
        "unblended": "sum(billed)",
        "effective": "sum(effective)",
        "list_cost": "sum(listed)",
        "contracted": "sum(contracted)",
        "quantity": "sum(quantity)",
        "untagged_rows": "count_if(user_tag = '')",
        "bare_rows": "count_if(bare)",
        "effective_missing": "count_if(effective IS NULL)",
        "unpriced_rows": "count_if(listed IS NULL)",
        "odd_effective": f"count_if({_ODD_EFFECTIVE})",
        "whole_effective": "count_if(effective = round(effective))",
        "whole_billed": "count_if(billed = round(billed))",
        "odd_az": "count_if(TRY_CAST(zone AS DOUBLE) IS NOT NULL)",
        "contracted_missing": "count_if(contracted IS NULL)" if table.has("ContractedCost") else "0",
        "odd_category": "count_if(written_category <> charge_category)",
        "odd_frequency": f"count_if(written_frequency NOT IN ('', {_listed('ChargeFrequency')}))",
        "outside_period": "count_if(began < period_start AND charge_category = 'Usage')",
    }


def _checks(table: Table) -> tuple[Check, ...]:
    mend = "correct the row at its source"
    return (
        *(
            Check(no_number(name), f"no number in {column}", "write numbers like 1234.5, with a decimal point")
            for name, column in _MONEY.items()
            if table.has(column)
        ),
        *(Check(no_time(name), f"no possible time in {column}", mend) for name, column in _TIMES.items()),
        Check("(NOT given_billed)", "no value in BilledCost", mend),
        Check("(NOT given_period_start)", "no billing period", mend),
        Check("(NOT (given_began AND given_ended))", "no charge period", mend),
        Check("coalesce(ended < began, false)", "hours that end before they start", mend),
        *((Check("(currency = '')", "no currency", mend),) if table.has("BillingCurrency") else ()),
    )


def _fine(table: Table) -> str:
    times = f"{in_time('began', 'ended')} AND {in_time('period_start', 'period_start')}"
    others = [f"NOT {no_number(name)}" for name, column in _MONEY.items() if name != "billed" and table.has(column)]
    return " AND ".join(("billed IS NOT NULL", times, "currency <> ''", *others))


def _notes(table: Table) -> tuple[str, ...]:
    notes = []
    if not table.has("BillingCurrency"):
        notes.append("no BillingCurrency column: read as USD")
    if not table.has("EffectiveCost"):
        notes.append("no EffectiveCost column")
    unknown = sorted(column.label for group in table.columns.values() for column in group if not _is_known(column.label))
    if unknown:
        notes.append(f"columns that the specification does not have: {', '.join(unknown)}")
    stamp = table.columns[letters("ChargePeriodStart")][0]
    if stamp.type == "TIMESTAMP":
        notes.append("charge periods without a zone are read as UTC")
    return tuple(notes)


def _is_known(name: str) -> bool:
    return name.lower().startswith("x_") or letters(name) in COLUMN_LETTERS


FORMATS.register("focus", Focus())
