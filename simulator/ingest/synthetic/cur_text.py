"""The CUR 2.0 tables of a month as text: gzip csv of the same export, and the legacy report with its own column names.

    cur2-csv    data/BILLING_PERIOD=2025-01/workspaces-00001.csv.gz                          maps as JSON text
    legacy-cur  20250101-20250201/ASSEMBLY/workspaces-1.csv.gz, workspaces-Manifest.json     one column per map key

The legacy report has a column only for what the month holds, so its columns change from month to month; the identity,
bill and line item groups are always there. Formats: https://docs.aws.amazon.com/cur/latest/userguide/data-dictionary.html
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from simulator.ingest.synthetic.company import Company
from simulator.ingest.synthetic.lines import Period, uuid
from simulator.record import to_json, write_text, writing

NAME = "workspaces"
_GROUPS = {
    "split_line_item_": "splitLineItem",
    "line_item_": "lineItem",
    "savings_plan_": "savingsPlan",
    "identity_": "identity",
    "bill_": "bill",
    "pricing_": "pricing",
    "product_": "product",
    "reservation_": "reservation",
    "discount_": "discount",
}
_MAPS = ("product", "resource_tags", "cost_category", "discount")
_ALWAYS = ("identity/", "bill/", "lineItem/")
_ONLY_CUR2 = ("bill_payer_account_name", "line_item_usage_account_name")
_LOWER_PRICING = ("currency", "public_on_demand_cost", "public_on_demand_rate", "term", "unit")


def write_cur2_csv(folder: Path, period: Period, tables: Sequence[pa.Table]) -> None:
    """The month's export as csv.gz, with maps as JSON text."""
    path = folder / "data" / f"BILLING_PERIOD={period.name}" / f"{NAME}-00001.csv.gz"
    _write_csv(path, [pa.table({name: _text(table[name]) for name in table.column_names}) for table in tables])


def write_legacy_cur(folder: Path, company: Company, period: Period, tables: Sequence[pa.Table]) -> None:
    """The month as a legacy report that keeps versions: one assembly, and its manifest there and in the month's folder."""
    month = folder / f"{period.start:%Y%m%d}-{period.end:%Y%m%d}"
    assembly = uuid(company.seed, "assembly", period.number)
    flat = _legacy(tables)
    _write_csv(month / assembly / f"{NAME}-1.csv.gz", flat)
    columns = [dict(zip(("category", "name"), name.split("/", 1), strict=True)) for name in flat[0].column_names]
    manifest = {
        "assemblyId": assembly,
        "account": "111122223333",
        "columns": columns,
        "charset": "UTF-8",
        "compression": "GZIP",
        "contentType": "text/csv",
        "reportName": NAME,
        "billingPeriod": {"start": f"{period.start:%Y%m%dT%H%M%S.000Z}", "end": f"{period.end:%Y%m%dT%H%M%S.000Z}"},
        "bucket": "example-bills",
        "reportKeys": [f"reports/{NAME}/{month.name}/{assembly}/{NAME}-1.csv.gz"],
    }
    for place in (month, month / assembly):
        write_text(place / f"{NAME}-Manifest.json", to_json(manifest) + "\n")


def legacy_name(column: str) -> str:
    """The legacy name of a CUR 2.0 column.

    >>> legacy_name("line_item_usage_start_date"), legacy_name("savings_plan_savings_plan_a_r_n"), legacy_name("product_instance_type")
    ('lineItem/UsageStartDate', 'savingsPlan/SavingsPlanARN', 'product/instanceType')
    """
    prefix = next(prefix for prefix in _GROUPS if column.startswith(prefix))
    return f"{_GROUPS[prefix]}/{_cased(prefix, column.removeprefix(prefix))}"


def _cased(prefix: str, name: str) -> str:
    camel = "".join(word[:1].upper() + word[1:] for word in name.split("_"))
    lower = (prefix == "product_" and name != "product_name") or (prefix == "pricing_" and name in _LOWER_PRICING)
    return camel[:1].lower() + camel[1:] if lower else camel


def _key_name(column: str, key: str) -> str:
    """The legacy column of one key of a map."""
    if column == "product" or column == "discount":
        return legacy_name(f"{column}_{key}")
    if column == "cost_category":
        return f"costCategory/{key}"
    if key.startswith("aws_eks_"):
        return f"resourceTags/aws:eks:{key.removeprefix('aws_eks_').replace('_', '-')}"
    return f"resourceTags/{key.replace('_', ':', 1)}"


def _legacy(tables: Sequence[pa.Table]) -> list[pa.Table]:
    """The tables with legacy columns, the same in each, groups and names in order."""
    flat = [_flattened(table) for table in tables]
    filled = {name for columns in flat for name, values in columns.items() if values.null_count < len(values)}
    names = {name for columns in flat for name in columns if name in filled or (name.startswith(_ALWAYS) and "/Net" not in name)}
    order = sorted(names, key=lambda name: (not name.startswith("identity/"), not name.startswith("bill/"), name))
    return [
        pa.table({name: columns[name] if name in columns else pa.nulls(len(table), pa.string()) for name in order})
        for table, columns in zip(tables, flat, strict=True)
    ]


def _flattened(table: pa.Table) -> dict[str, pa.Array]:
    """One text column per column and map key; keys that have a column of their own already are left to it."""
    columns: dict[str, pa.Array] = {}
    for name in table.column_names:
        if name not in _MAPS and name not in _ONLY_CUR2:
            columns[legacy_name(name)] = _text(table[name])
    for name in _MAPS:
        rows = [dict(pairs or ()) for pairs in table[name].to_pylist()]
        for key in sorted({key for row in rows for key in row}):
            values = [row.get(key) for row in rows]
            columns.setdefault(_key_name(name, key), pa.array([None if value is None else str(value) for value in values], pa.string()))
    return columns


def _text(values: pa.ChunkedArray) -> pa.ChunkedArray | pa.Array:
    """A column as csv shows it: seconds of a time, JSON of a map."""
    if pa.types.is_timestamp(values.type):
        return pc.strftime(values.cast(pa.timestamp("s")), format="%Y-%m-%dT%H:%M:%SZ")
    if not pa.types.is_map(values.type):
        return values.cast(pa.string())
    shown = [None if pairs is None else json.dumps(dict(pairs), separators=(",", ":"), sort_keys=True) for pairs in values.to_pylist()]
    return pa.array(shown, pa.string())


def _write_csv(path: Path, tables: Sequence[pa.Table]) -> None:
    schema = tables[0].schema
    with (
        writing(path) as temporary,
        temporary.open("wb") as file,
        gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0, compresslevel=6) as packed,
        pacsv.CSVWriter(packed, schema) as writer,
    ):
        for table in tables:
            writer.write_table(table.cast(schema))
