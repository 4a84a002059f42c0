"""The grouping query of a bill that lies in Athena: its answer holds what the import would have read from the rows themselves.

Rows are grouped by every key that the import looks at, by the hours of node and commitment rows, and by which of their
costs are empty: sums over rows whose gaps are alike lose nothing, so every rule that looks at one row ("this cost, else
that one") gives the same over a group. `burstline_source_rows` says how many rows a group stands for.

The text keeps to what Athena's engine 3 (Trino) and duckdb both read, but for `element_at` and `json_parse`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from simulator.ingest.aws_lines import REQUIRED
from simulator.ingest.bill_lines import SOURCE_ROWS
from simulator.ingest.formats import Options
from simulator.ingest.tabular import NULL_TEXTS, letters, quoted, text_literal

UNREADABLE = "burstline_unreadable_rows"
TAG, TAGGED = "burstline_tag", "burstline_tagged"
STARTS = "bill/BillingPeriodStartDate"

_KEYS = (
    *("bill/InvoiceId", "bill/BillingEntity", "bill/PayerAccountId", STARTS, "lineItem/UsageAccountId"),
    *("lineItem/LineItemType", "lineItem/ProductCode", "lineItem/UsageType", "lineItem/Operation", "lineItem/CurrencyCode"),
    *("product/instanceType", "product/regionCode", "product/region", "savingsPlan/SavingsPlanARN", "reservation/ReservationARN"),
)
_SUMS = (
    *("lineItem/UsageAmount", "lineItem/UnblendedCost", "lineItem/NetUnblendedCost", "pricing/publicOnDemandCost"),
    *("savingsPlan/SavingsPlanEffectiveCost", "savingsPlan/TotalCommitmentToDate", "savingsPlan/UsedCommitment"),
    *("savingsPlan/AmortizedUpfrontCommitmentForBillingPeriod", "savingsPlan/RecurringCommitmentForBillingPeriod"),
    *("savingsPlan/NetSavingsPlanEffectiveCost", "savingsPlan/NetRecurringCommitmentForBillingPeriod"),
    *("savingsPlan/NetAmortizedUpfrontCommitmentForBillingPeriod", "reservation/EffectiveCost"),
    *("reservation/AmortizedUpfrontCostForUsage", "reservation/RecurringFeeForUsage"),
    *("reservation/AmortizedUpfrontFeeForBillingPeriod", "reservation/UnusedAmortizedUpfrontFeeForBillingPeriod"),
    *("reservation/UnusedRecurringFee", "reservation/NetEffectiveCost", "reservation/NetAmortizedUpfrontFeeForBillingPeriod"),
    *("reservation/NetUnusedAmortizedUpfrontFeeForBillingPeriod", "reservation/NetUnusedRecurringFee"),
)
_HOURLY_TYPES = ("DiscountedUsage", "SavingsPlanCoveredUsage", "SavingsPlanNegation", "SavingsPlanRecurringFee")
_NODES = ("BoxUsage", "SpotUsage", "DedicatedUsage")
_PLAN_REFUND = "Refund for one-time fee for Savings Plan"
_DISCOUNTS = ("total_discount", "edp_discount", "private_rate_discount", "bundled_discount")


@dataclass(frozen=True)
class CatalogTable:
    """A table of the data catalog: Hive types by column, partition columns among them. `tag_keys`: what a tag map holds."""

    database: str
    name: str
    types: Mapping[str, str]
    partitions: frozenset[str] = frozenset()
    tag_keys: tuple[str, ...] = field(default=())

    def all(self, name: str) -> list[str]:
        """The columns with these letters, in the table's order."""
        return [column for column in self.types if letters(column) == letters(name)]

    def first(self, name: str) -> str | None:
        """The column with these letters."""
        return next(iter(self.all(name)), None)

    def missing(self) -> list[str]:
        """Required columns that the table lacks."""
        return [name for name in REQUIRED if not self.all(name)]

    @property
    def is_cur2(self) -> bool:
        """Whether tags come as one map (CUR 2.0)."""
        return bool(self.all("resource_tags") or self.all("bill_payer_account_name"))

    @property
    def place(self) -> str:
        """The table as a FROM clause names it."""
        return f"{quoted(self.database)}.{quoted(self.name)}"


def grouping_query(table: CatalogTable, period: str, options: Options) -> str:
    """Athena's SQL of one billing period ("2025-01"), grouped."""
    grouped = [
        f"{sql} AS {quoted(name)}" for name, sql in {**_keys(table), **_tags(table, options), "burstline_given": _given(table)}.items()
    ]
    sums = sum_columns(table)
    texts = [column for name in _SUMS for column in table.all(name)[:1] if _is_text(table, column)]
    bad = " OR ".join(f"({_word(column)} IS NOT NULL AND {_money(table, column)} IS NULL)" for column in texts) or "1 = 0"
    counted = [f"count(*) AS {SOURCE_ROWS}", f"count(CASE WHEN {bad} THEN 1 END) AS {UNREADABLE}"]
    summed = [f"{sql} AS {quoted(name)}" for name, sql in sums.items()]
    by = ", ".join(str(number) for number in range(1, len(grouped) + 1))
    return f"SELECT {', '.join([*grouped, *counted, *summed])} FROM {table.place} WHERE {_where(table, period)} GROUP BY {by}"


def sum_columns(table: CatalogTable) -> dict[str, str]:
    """The summed columns of the answer: name -> SQL."""
    return {**{column: f"sum({_money(table, column)})" for name in _SUMS for column in table.all(name)[:1]}, **_discount(table)}


def repeats_query(table: CatalogTable, period: str) -> str | None:
    """How many rows repeat the line item and interval of another; None when the table cannot tell.

    A table whose folder holds several versions of one month doubles it.
    """
    names = ("identity/LineItemId", "identity/TimeInterval", "splitLineItem/ParentResourceId", "lineItem/ResourceId")
    columns = [table.first(name) for name in names]
    if columns[0] is None or columns[1] is None:
        return None
    keys = ", ".join(quoted(column) for column in columns if column)
    rows = f"SELECT count(*) AS n FROM {table.place} WHERE {_where(table, period)} GROUP BY {keys} HAVING count(*) > 1"
    return f"SELECT coalesce(sum(n - 1), 0) AS repeated FROM ({rows}) AS again"


def tag_keys_query(table: CatalogTable, period: str) -> str | None:
    """The keys of the tag map; None where the column types say them, or there is no map."""
    column = table.first("resource_tags")
    if column is None or table.types[column].startswith("struct"):
        return None
    keys = f"UNNEST(map_keys({_map(table, column)})) AS tags(tag_key)"
    return f"SELECT DISTINCT tag_key FROM {table.place} CROSS JOIN {keys} WHERE {_where(table, period)} ORDER BY tag_key"


def struct_keys(table: CatalogTable) -> tuple[str, ...]:
    """The fields of a tag column that is a struct of texts."""
    column = table.first("resource_tags")
    match = re.fullmatch(r"struct<(.*)>", table.types[column]) if column else None
    return tuple(part.split(":", 1)[0].strip("`") for part in match[1].split(",")) if match and match[1] else ()


def chosen_tag(table: CatalogTable, options: Options) -> tuple[str, list[str]]:
    """The tag key by which worker hours are split and SQL of its values; chosen as in the import of files."""
    for key in options.tag_keys:
        spelt = [value for name, value in _user_tags(table) if letters(name) in (letters(key), "user" + letters(key))]
        if spelt:
            return key, spelt
    return "", []


def _user_tags(table: CatalogTable) -> list[tuple[str, str]]:
    """Every user tag: its name and SQL of its value."""
    column = table.first("resource_tags")
    if column is not None:
        user = [key for key in table.tag_keys if not letters(key).startswith("aws")]
        return [(key, _map_value(table, column, key)) for key in user]
    tags = [name for name in table.types if letters(name).startswith("resourcetagsuser")]
    return [(letters(re.sub(r"_1$", "", name)).removeprefix("resourcetags"), f"nullif({quoted(name)}, '')") for name in tags]


def _tags(table: CatalogTable, options: Options) -> dict[str, str]:
    """The chosen tag, in full where hours are kept, and whether a row has any user tag."""
    _, spelt = chosen_tag(table, options)
    any_tag = f"CASE WHEN {_coalesced(value for _, value in _user_tags(table))} <> '' THEN 'x' ELSE '' END"
    if not spelt:
        return {TAGGED: any_tag}
    tag = _coalesced(spelt)
    return {TAG: f"CASE WHEN {_hourly(table)} THEN {tag} WHEN {tag} <> '' THEN 'x' ELSE '' END", TAGGED: any_tag}


def _coalesced(values: Iterable[str]) -> str:
    given = list(values)
    return f"coalesce({', '.join([*given, chr(39) * 2])})" if given else "''"


def _keys(table: CatalogTable) -> dict[str, str]:
    keys = {column: quoted(column) for name in _KEYS for column in table.all(name)}
    first, last = (_named(table, name) for name in ("lineItem/UsageStartDate", "lineItem/UsageEndDate"))
    kept = f"({_hourly(table)} OR {quoted(first)} > {quoted(last)})"
    period = _named(table, STARTS)
    alike = len({_kind(table, name) for name in (first, last, period)}) == 1
    for name in (first, last):
        own, instead = (quoted(name), quoted(period)) if alike else (f"CAST({quoted(text)} AS VARCHAR)" for text in (name, period))
        keys[name] = f"CASE WHEN {kept} THEN {own} ELSE {instead} END"
    zone, regions = table.first("lineItem/AvailabilityZone"), [*table.all("product/regionCode"), *table.all("product/region")]
    if zone:
        known = _coalesced(f"nullif({quoted(name)}, '')" for name in regions)
        keys[zone] = f"CASE WHEN {known} = '' THEN {quoted(zone)} ELSE '' END"
    if text := table.first("lineItem/LineItemDescription"):
        keys[text] = f"CASE WHEN {quoted(text)} LIKE '{_PLAN_REFUND}%' THEN '{_PLAN_REFUND}' ELSE '' END"
    if parent := table.first("splitLineItem/ParentResourceId"):
        keys[parent] = f"CASE WHEN coalesce({quoted(parent)}, '') <> '' THEN 'x' ELSE '' END"
    return keys


def _hourly(table: CatalogTable) -> str:
    kind, usage = (quoted(_named(table, name)) for name in ("lineItem/LineItemType", "lineItem/UsageType"))
    nodes = " OR ".join(f"strpos(coalesce({usage}, ''), '{name}') > 0" for name in _NODES)
    return f"(coalesce({kind}, '') IN ({', '.join(map(text_literal, _HOURLY_TYPES))}) OR {nodes})"


def _given(table: CatalogTable) -> str:
    """Which costs a row has: '1' or '0' for each."""
    columns = [column for name in _SUMS for column in table.all(name)[:1]]
    return " || ".join(f"CASE WHEN {_money(table, column)} IS NULL THEN '0' ELSE '1' END" for column in columns)


def _money(table: CatalogTable, column: str) -> str:
    if _is_text(table, column):
        return f"TRY_CAST({_word(column)} AS DECIMAL(38, 16))"
    return f"CAST({quoted(column)} AS DECIMAL(38, 16))"


def _word(column: str) -> str:
    """The text, NULL for the spellings of nothing."""
    return f"CASE WHEN {quoted(column)} NOT IN ({', '.join(map(text_literal, NULL_TEXTS))}) THEN {quoted(column)} END"


def _discount(table: CatalogTable) -> dict[str, str]:
    """What discounts a row carries beside its cost, as one positive amount; the total where it is given, else its parts."""
    total, *parts = (_discount_part(table, name) for name in _DISCOUNTS)
    apart = " + ".join(f"coalesce({part}, CAST(0 AS DECIMAL(38, 16)))" for part in parts if part)
    amounts = [text for text in (total, apart) if text]
    if not amounts:
        return {}
    return {"discount_total_discount": f"sum(abs(coalesce({', '.join([*amounts, 'CAST(0 AS DECIMAL(38, 16))'])})))"}


def _discount_part(table: CatalogTable, name: str) -> str | None:
    if column := table.first(f"discount/{name}"):
        return _money(table, column)
    column = table.first("discount")
    return f"TRY_CAST({_map_value(table, column, name)} AS DECIMAL(38, 16))" if column else None


def _map(table: CatalogTable, column: str) -> str:
    if _is_text(table, column):
        return f"CAST(json_parse(nullif({quoted(column)}, '')) AS MAP(VARCHAR, VARCHAR))"
    return quoted(column)


def _map_value(table: CatalogTable, column: str, key: str) -> str:
    if table.types[column].startswith("struct"):
        return (
            f"nullif(CAST({quoted(column)}.{quoted(key)} AS VARCHAR), '')" if f"{key}:" in table.types[column] else "CAST(NULL AS VARCHAR)"
        )
    return f"nullif(CAST(element_at({_map(table, column)}, {text_literal(key)}) AS VARCHAR), '')"


def _where(table: CatalogTable, period: str) -> str:
    """The rows of a period: by the partition where the table has one, else by the period's own first hour.

    Rows without a period are asked for too, so that the import refuses them instead of not seeing them.
    """
    year, month = period.split("-")
    if "billing_period" in table.partitions:
        return f"{quoted('billing_period')} = {text_literal(period)}"
    if {"year", "month"} <= table.partitions:
        return f"{_is_number(table, 'year', year)} AND {_is_number(table, 'month', month)}"
    column = _named(table, STARTS)
    if _is_text(table, column):
        own = f"substr({quoted(column)}, 1, 7) = {text_literal(period)} OR coalesce({quoted(column)}, '') = ''"
    else:
        after = f"{int(year) + int(month) // 12:04d}-{int(month) % 12 + 1:02d}"
        first, last = (f"TIMESTAMP '{text}-01 00:00:00'" for text in (period, after))
        own = f"{quoted(column)} >= {first} AND {quoted(column)} < {last} OR {quoted(column)} IS NULL"
    return f"({own})"


def _is_number(table: CatalogTable, column: str, value: str) -> str:
    if _is_text(table, column):
        spelt = sorted({value, str(int(value))})
        return f"{quoted(column)} IN ({', '.join(map(text_literal, spelt))})"
    return f"{quoted(column)} = {int(value)}"


def _named(table: CatalogTable, name: str) -> str:
    column = table.first(name)
    assert column is not None, name  # `missing` is asked first
    return column


def _kind(table: CatalogTable, column: str) -> str:
    return "text" if _is_text(table, column) else table.types[column]


def _is_text(table: CatalogTable, column: str) -> bool:
    return re.match(r"string|varchar|char", table.types[column]) is not None
