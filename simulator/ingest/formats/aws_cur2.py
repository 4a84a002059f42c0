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
    """Every key that a column of tags holds, sorted: a map, a struct, a list of key and value, or any of them as JSON text."""
    name, shape = _shaped(table, column)
    if shape == "struct":
        keys = f"json_keys(to_json({name}))"
    elif shape == "pairs":
        keys = f"list_transform({name}, pair -> pair.{_pair(table, column)[0]})"
    elif shape == "map":
        keys = f"map_keys({name})"
    elif shape == "json":
        pairs = f"list_transform(CAST(json_extract({name}, '$[*]') AS JSON[]), pair -> {_first_json('pair', _PAIR_KEYS)})"
        keys = f"CASE {_json_type(name)} WHEN 'OBJECT' THEN json_keys({name}) WHEN 'ARRAY' THEN {pairs} END"
    else:
        return []
    found = connection.execute(f"SELECT DISTINCT unnest({keys}) AS key FROM {table.relation} ORDER BY key").fetchall()
    return [row[0] for row in found if row[0] is not None]


def map_value(table: Table, column: str, key: str) -> str:
    """SQL of one map value as text, NULL where it is absent or empty."""
    name, shape = _shaped(table, column)
    path = text_literal('$."' + key.replace('"', '\\"') + '"')
    if shape == "struct":
        value = f"CAST({name}[{text_literal(key)}] AS VARCHAR)"
    elif shape == "pairs":
        one, other = _pair(table, column)
        value = f"CAST(list_filter({name}, pair -> pair.{one} = {text_literal(key)})[1].{other} AS VARCHAR)"
    elif shape == "map":
        value = f"CAST({name}[{text_literal(key)}] AS VARCHAR)"
    else:
        mine = f"pair -> {_first_json('pair', _PAIR_KEYS)} = {text_literal(key)}"
        pair = f"list_filter(CAST(json_extract({name}, '$[*]') AS JSON[]), {mine})[1]"
        value = f"""CASE {_json_type(name)} WHEN 'OBJECT' THEN json_extract_string({name}, {path})
            WHEN 'ARRAY' THEN {_first_json(pair, _PAIR_VALUES)} END"""
    return f"nullif({value}, '')"


_PAIR_KEYS, _PAIR_VALUES = ("key", "Key", "name", "Name"), ("value", "Value")
"""How lists of tags call their two fields."""


def _shaped(table: Table, column: str) -> tuple[str, str]:
    """SQL name of a column of tags and its shape: map, struct, pairs, json or ''."""
    only = table.columns[letters(column)][0]
    name, kind = quoted(only.name), only.type
    if kind in ("VARCHAR", "JSON"):
        return name, "json"
    if kind.startswith("MAP("):
        return name, "map"
    if kind.startswith("STRUCT("):
        return name, "pairs" if kind.endswith("[]") and _pair(table, column) else "struct"
    return name, ""


def _json_type(name: str) -> str:
    return f"(CASE WHEN json_valid({name}) THEN json_type({name}) END)"


def _first_json(value: str, fields: tuple[str, ...]) -> str:
    return f"coalesce({', '.join(f'json_extract_string({value}, {text_literal(field)})' for field in fields)})"


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
