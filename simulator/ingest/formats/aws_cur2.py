"""AWS CUR 2.0 (Data Exports, table COST_AND_USAGE_REPORT): a fixed schema in snake case with maps.

Documented at docs.aws.amazon.com/cur/latest/userguide/table-dictionary-cur2.html. `resource_tags`, `cost_category`,
`product` and `discount` are maps: parquet maps, or JSON text in csv.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

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
            bare = aws_lines.grouping(table, tag="''", tag_key="", bare="true", mapped_discount=_discount(table))
            return replace(bare, reads={**bare.reads, **_of_product(table)})
        keys = map_keys(connection, table, "resource_tags")
        user = [key for key in keys if not letters(key).startswith("aws")]
        spelt = {name: [key for key in user if letters(key) in (letters(name), "user" + letters(name))] for name in options.tag_keys}
        chosen = next((name for name in options.tag_keys if spelt[name]), "")
        grouping = aws_lines.grouping(
            table,
            tag=_first_of(table, spelt.get(chosen, [])),
            tag_key=chosen,
            bare=f"{_first_of(table, user)} = ''",
            mapped_discount=_discount(table),
        )
        return replace(grouping, reads={**grouping.reads, **_of_product(table)})

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


_PAIR_KEYS, _PAIR_VALUES = ("key", "name"), ("value",)
"""How lists of tags call their two fields."""


def map_keys(connection: duckdb.DuckDBPyConnection, table: Table, column: str) -> list[str]:
    """Every key that a column of tags holds, sorted. It may be a map, a struct, a list of key and value, or one of these as JSON text."""
    name, shape = _shaped(table, column)
    if shape == "map":
        keys = f"map_keys({name})"
    elif shape == "struct":
        keys = f"json_keys(to_json({name}))"
    elif shape == "pairs":
        keys = f"[CAST(pair[{text_literal(_field(table, column, _PAIR_KEYS))}] AS VARCHAR) FOR pair IN {name}]"
    elif shape == "json":
        pairs = f"[{_of_json('pair', _PAIR_KEYS)} FOR pair IN {_json_list(name)}]"
        plain = f"json_keys(CASE WHEN json_valid({name}) AND json_type({name}) = 'OBJECT' THEN {name} ELSE '{{}}' END)"
        keys = f"CASE WHEN starts_with({name}, '[') THEN {pairs} ELSE {plain} END"
    else:
        return []
    found = connection.execute(f"SELECT DISTINCT unnest({keys}) AS key FROM {table.relation} ORDER BY key").fetchall()
    return [row[0] for row in found if row[0]]


def map_value(table: Table, column: str, key: str) -> str:
    """SQL of one value of a column of tags as text, NULL where it is absent or empty."""
    name, shape = _shaped(table, column)
    if shape == "pairs":
        mine = f"pair[{text_literal(_field(table, column, _PAIR_KEYS))}] = {text_literal(key)}"
        value = f"CAST([pair FOR pair IN {name} IF {mine}][1][{text_literal(_field(table, column, _PAIR_VALUES))}] AS VARCHAR)"
    elif shape == "json":
        path = text_literal('$."' + key.replace('"', '\\"') + '"')
        mine = f"{_of_json('pair', _PAIR_KEYS)} = {text_literal(key)}"
        pair = f"[pair FOR pair IN {_json_list(name)} IF {mine}][1]"
        value = f"""CASE WHEN starts_with({name}, '[') THEN {_of_json(pair, _PAIR_VALUES)}
            WHEN json_valid({name}) THEN json_extract_string({name}, {path}) END"""
    else:
        value = f"CAST({name}[{text_literal(key)}] AS VARCHAR)"
    return f"nullif({value}, '')"


def _shaped(table: Table, column: str) -> tuple[str, str]:
    """SQL name of a column of tags and its shape: map, struct, pairs, json, or '' for none that is known."""
    only = table.columns[letters(column)][0]
    if only.type in ("VARCHAR", "JSON"):
        return quoted(only.name), "json"
    if only.type.startswith("STRUCT(") and only.type.endswith("[]"):
        is_pairs = _field(table, column, _PAIR_KEYS) and _field(table, column, _PAIR_VALUES)
        return quoted(only.name), "pairs" if is_pairs else ""
    return quoted(only.name), next((shape for shape in ("map", "struct") if only.type.startswith(f"{shape.upper()}(")), "")


def _field(table: Table, column: str, names: tuple[str, ...]) -> str:
    """The first of `names` that a list of structs has as a field, as written; '' for none."""
    fields = re.findall(r'[(,] ?"?(\w+)"? ', table.columns[letters(column)][0].type)
    return next((field for name in names for field in fields if field.lower() == name), "")


def _json_list(name: str) -> str:
    return f"CAST(json_extract(CASE WHEN json_valid({name}) THEN {name} ELSE '[]' END, '$[*]') AS JSON[])"


def _of_json(value: str, fields: tuple[str, ...]) -> str:
    spelt = [spelling for field in fields for spelling in (field, field.title())]
    return f"coalesce({', '.join(f'json_extract_string({value}, {text_literal(one)})' for one in spelt)})"


def _first_of(table: Table, keys: list[str]) -> str:
    values = ", ".join(map_value(table, "resource_tags", key) for key in keys)
    return f"coalesce({values}, '')" if keys else "''"


def _of_product(table: Table) -> dict[str, str]:
    """Reads of region and instance type from the map of product attributes, where they have no column of their own."""
    if not table.has("product") or not _shaped(table, "product")[1]:
        return {}
    places = {
        "region": (("product_region_code", "product_region"), ("region_code", "region"), (table.text("line_item_availability_zone"),)),
        "instance_type": (("product_instance_type",), ("instance_type",), ()),
    }
    found = {}
    for name, (columns, keys, others) in places.items():
        if not table.first(*columns):
            values = [*(map_value(table, "product", key) for key in keys), *others, "''"]
            found[name] = f"coalesce({', '.join(values)})"
    return found


def _discount(table: Table) -> str:
    if table.has("discount_total_discount"):
        return f"-abs({table.money('discount_total_discount')})"
    if not table.has("discount"):
        return "0"
    parts = [f"TRY_CAST({map_value(table, 'discount', key)} AS DECIMAL(38,16))" for key in _DISCOUNT_KEYS]
    return f"-abs(coalesce({parts[0]}, {' + '.join(f'coalesce({part}, 0)' for part in parts[1:])}))"


_DISCOUNT_KEYS = ("total_discount", "edp_discount", "private_rate_discount", "bundled_discount")

FORMATS.register("aws_cur2", Cur2())
