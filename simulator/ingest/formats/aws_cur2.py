"""AWS CUR 2.0 (Data Exports, table COST_AND_USAGE_REPORT): a fixed schema in snake case with maps.

Documented at docs.aws.amazon.com/cur/latest/userguide/table-dictionary-cur2.html. `resource_tags`, `cost_category`,
`product` and `discount` are maps: parquet maps, or JSON text in csv.
"""

from __future__ import annotations

from collections.abc import Mapping

import duckdb

from simulator.ingest import aws_lines
from simulator.ingest.formats import FORMATS, Grouping, Options
from simulator.ingest.tabular import Table, letters, quoted, text_literal


class Cur2:
    """Line items with maps for tags and discounts."""

    title = "AWS CUR 2.0"

    def sniff(self, table: Table) -> float:
        """Sure when the line item columns come with a map of tags or the names that only this schema has."""
        known = sum(table.has(name) for name in aws_lines.REQUIRED) / len(aws_lines.REQUIRED)
        own = table.has("resource_tags") or table.has("bill_payer_account_name")
        return known * (0.95 if own else 0.5)

    def missing(self, table: Table) -> list[str]:
        """Required columns that the table lacks."""
        return [name for name in aws_lines.REQUIRED if not table.has(name)]

    def group(self, connection: duckdb.DuckDBPyConnection, table: Table, options: Options) -> Grouping:
        """Keys and sums with the tag key found in this bill's map."""
        if not table.has("resource_tags"):
            return aws_lines.grouping(table, tag="''", tag_key="", bare="true", mapped_discount=_discount(table))
        keys = map_keys(connection, table, "resource_tags")
        user = [key for key in keys if not letters(key).startswith("aws")]
        spelt = {name: [key for key in user if letters(key) in (letters(name), "user" + letters(name))] for name in options.tag_keys}
        chosen = next((name for name in options.tag_keys if spelt[name]), "")
        return aws_lines.grouping(
            table,
            tag=_first_of(table, spelt.get(chosen, [])),
            tag_key=chosen,
            bare=f"{_first_of(table, user)} = ''",
            mapped_discount=_discount(table),
        )

    def facts(self) -> Mapping[str, str]:
        """The AWS rules."""
        return aws_lines.facts()

    def derive(self) -> Mapping[str, str]:
        """The AWS rules."""
        return aws_lines.derive()

    def doubts(self) -> str | None:
        """None: what cannot be amortised is counted row by row."""
        return None

    def remarks(self) -> str | None:
        """Unknown line types are told by the reconciliation."""
        return None


def map_keys(connection: duckdb.DuckDBPyConnection, table: Table, column: str) -> list[str]:
    """Every key that a map column holds, sorted; maps may be parquet maps or JSON text."""
    only = table.columns[letters(column)][0]
    name = quoted(only.name)
    if only.type == "VARCHAR":
        keys = f"json_keys(CASE WHEN json_valid({name}) AND json_type({name}) = 'OBJECT' THEN {name} ELSE '{{}}' END)"
    elif only.type.startswith("MAP"):
        keys = f"map_keys({name})"
    else:
        return []
    found = connection.execute(f"SELECT DISTINCT unnest({keys}) AS key FROM {table.relation} ORDER BY key").fetchall()
    return [row[0] for row in found]


def map_value(table: Table, column: str, key: str) -> str:
    """SQL of one map value as text, NULL where it is absent or empty."""
    only = table.columns[letters(column)][0]
    name = quoted(only.name)
    if only.type == "VARCHAR":
        path = text_literal('$."' + key.replace('"', '\\"') + '"')
        return f"nullif(CASE WHEN json_valid({name}) THEN json_extract_string({name}, {path}) END, '')"
    return f"nullif(CAST({name}[{text_literal(key)}] AS VARCHAR), '')"


def _first_of(table: Table, keys: list[str]) -> str:
    values = ", ".join(map_value(table, "resource_tags", key) for key in keys)
    return f"coalesce({values}, '')" if keys else "''"


def _discount(table: Table) -> str:
    if table.has("discount_total_discount"):
        return f"-abs({table.money('discount_total_discount')})"
    if not table.has("discount"):
        return "0"
    parts = [f"TRY_CAST({map_value(table, 'discount', key)} AS DECIMAL(38,16))" for key in _DISCOUNT_KEYS]
    return f"-abs(coalesce({parts[0]}, {' + '.join(f'coalesce({part}, 0)' for part in parts[1:])}))"


_DISCOUNT_KEYS = ("total_discount", "edp_discount", "private_rate_discount", "bundled_discount")

FORMATS.register("aws_cur2", Cur2())
