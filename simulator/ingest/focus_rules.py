"""The rules that FOCUS 1.2 puts on columns and values, checked over a whole file in one pass.

From the specification's column pages (https://focus.finops.org/focus-specification/v1-2/): which columns exist, which may be
null and when, allowed values, formats, and that list and contracted cost are unit price times quantity.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from models.errors import BillingFormatError, Problem
from simulator.ingest.focus_columns import COLUMNS_1_2
from simulator.ingest.store import scratch_connection
from simulator.ingest.tabular import damaged, open_table, text_literal

_NEVER_NULL = (
    *("BilledCost", "EffectiveCost", "ListCost", "ContractedCost", "BillingAccountId", "BillingAccountType", "BillingCurrency"),
    *("BillingPeriodStart", "BillingPeriodEnd", "ChargePeriodStart", "ChargePeriodEnd", "ChargeCategory", "ChargeFrequency"),
    *("InvoiceIssuerName", "ProviderName", "PublisherName", "ServiceCategory", "ServiceName", "ServiceSubcategory"),
)
_PRICED = ("PricingQuantity", "PricingUnit", "PricingCategory", "ListUnitPrice", "ContractedUnitPrice", "SkuId", "SkuPriceId")
_ALLOWED = {
    "ChargeCategory": ("Usage", "Purchase", "Tax", "Credit", "Adjustment"),
    "ChargeClass": ("Correction",),
    "ChargeFrequency": ("One-Time", "Recurring", "Usage-Based"),
    "PricingCategory": ("Standard", "Dynamic", "Committed", "Other"),
    "CommitmentDiscountCategory": ("Spend", "Usage"),
    "CommitmentDiscountStatus": ("Used", "Unused"),
    "CapacityReservationStatus": ("Used", "Unused"),
    "ServiceCategory": (
        *("AI and Machine Learning", "Analytics", "Business Applications", "Compute", "Databases", "Developer Tools", "Multicloud"),
        *("Identity", "Integration", "Internet of Things", "Management and Governance", "Media", "Migration", "Mobile"),
        *("Networking", "Security", "Storage", "Web", "Other"),
    ),
}
_NUMBERS = (
    *("BilledCost", "EffectiveCost", "ListCost", "ContractedCost", "ListUnitPrice", "ContractedUnitPrice", "PricingQuantity"),
    *("ConsumedQuantity", "CommitmentDiscountQuantity"),
)
_TIMES = ("BillingPeriodStart", "BillingPeriodEnd", "ChargePeriodStart", "ChargePeriodEnd")
_TOGETHER = (
    ("RegionName", "RegionId"),
    ("SubAccountName", "SubAccountId"),
    ("SubAccountType", "SubAccountId"),
    ("CapacityReservationStatus", "CapacityReservationId"),
    ("CommitmentDiscountCategory", "CommitmentDiscountId"),
    ("CommitmentDiscountType", "CommitmentDiscountId"),
    ("CommitmentDiscountQuantity", "CommitmentDiscountId"),
    ("CommitmentDiscountUnit", "CommitmentDiscountId"),
)
_TOLERANCE = 1e-4  # unit prices are written with 12 decimals


def check_focus(path: Path) -> list[Problem]:
    """Every broken rule with the number of rows that break it; an empty list for a ledger that keeps them all."""
    connection = scratch_connection()
    try:
        table = open_table(connection, [path], path.parent)
        labels = {column.label: table.text(column.label) for group in table.columns.values() for column in group}
        problems = _column_problems(path, list(labels))
        if any(name not in labels for name in COLUMNS_1_2):
            return problems
        rows = ", ".join(f"nullif({sql}, '') AS {name}" for name, sql in labels.items() if name in COLUMNS_1_2)
        counts = ", ".join(f"count_if({broken})" for broken in _RULES.values())
        found = connection.execute(f"SELECT {counts} FROM (SELECT {rows} FROM {table.relation})").fetchall()[0]
    except duckdb.Error as error:
        raise BillingFormatError(damaged([path], error)) from None
    finally:
        connection.close()
    broken = [
        Problem(str(path), f"{count} rows against: {rule}", "correct them") for rule, count in zip(_RULES, found, strict=True) if count
    ]
    return problems + broken


def _column_problems(path: Path, names: list[str]) -> list[Problem]:
    missing = [name for name in COLUMNS_1_2 if name not in names]
    strange = [name for name in names if name not in COLUMNS_1_2 and not name.startswith("x_")]
    problems = [Problem(str(path), f"no column {name}", "write every column of FOCUS 1.2") for name in missing]
    return problems + [Problem(str(path), f"column {name!r}", "own columns start with x_") for name in strange]


def _rules() -> dict[str, str]:
    plain = "ChargeClass IS NULL AND ChargeCategory IN ('Usage', 'Purchase')"
    rules = {f"{name} is never null": f"{name} IS NULL" for name in _NEVER_NULL}
    rules |= {f"{name} is given for usage and purchases": f"{plain} AND {name} IS NULL" for name in _PRICED}
    rules |= {f"{name} is null for tax": f"ChargeCategory = 'Tax' AND {name} IS NOT NULL" for name in _PRICED}
    rules |= {f"{name} has an allowed value": f"{name} NOT IN ({', '.join(map(text_literal, good))})" for name, good in _ALLOWED.items()}
    rules |= {f"{name} is a number": f"{name} IS NOT NULL AND NOT regexp_full_match({name}, '{_NUMBER}')" for name in _NUMBERS}
    rules |= {f"{name} is a UTC time": f"{name} IS NOT NULL AND NOT {_utc(name)}" for name in _TIMES}
    rules |= {f"{name} comes with {other}, and only then": f"({name} IS NULL) <> ({other} IS NULL)" for name, other in _TOGETHER}
    status = "(ChargeCategory = 'Usage' AND CommitmentDiscountId IS NOT NULL)"
    consumed = "(ChargeCategory = 'Usage' AND CommitmentDiscountStatus IS DISTINCT FROM 'Unused')"
    return rules | {
        "BillingCurrency is an ISO 4217 code": "NOT regexp_full_match(BillingCurrency, '[A-Z]{3}')",
        "periods start before they end": "BillingPeriodStart >= BillingPeriodEnd OR ChargePeriodStart > ChargePeriodEnd",
        "purchases are not usage-based": "ChargeCategory = 'Purchase' AND ChargeFrequency = 'Usage-Based'",
        "CommitmentDiscountStatus is given for usage of a commitment only": f"(CommitmentDiscountStatus IS NOT NULL) <> {status}",
        "ConsumedQuantity is given for usage only": f"(ConsumedQuantity IS NOT NULL AND NOT {consumed}) OR ({plain} AND {consumed} "
        "AND ConsumedQuantity IS NULL)",
        "ConsumedUnit comes with ConsumedQuantity": "(ConsumedUnit IS NULL) <> (ConsumedQuantity IS NULL)",
        "buying a commitment has no effective cost": "ChargeCategory = 'Purchase' AND CommitmentDiscountId IS NOT NULL AND "
        "TRY_CAST(EffectiveCost AS DOUBLE) <> 0",
        "a resource has a type": "(ResourceId IS NOT NULL OR ResourceName IS NOT NULL) AND ResourceType IS NULL",
        "Tags is a JSON object": "Tags IS NOT NULL AND NOT json_valid(Tags)",
        "ListCost is ListUnitPrice x PricingQuantity": _product("ListCost", "ListUnitPrice"),
        "ContractedCost is ContractedUnitPrice x PricingQuantity": _product("ContractedCost", "ContractedUnitPrice"),
    }


_NUMBER = r"-?\d+(\.\d+)?([eE][+-]?\d+)?"


def _utc(name: str) -> str:
    shape = r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z"
    return f"(regexp_full_match({name}, '{shape}') AND TRY_CAST({name} AS TIMESTAMP) IS NOT NULL)"


def _product(cost: str, price: str) -> str:
    given, product = f"TRY_CAST({cost} AS DOUBLE)", f"TRY_CAST({price} AS DOUBLE) * TRY_CAST(PricingQuantity AS DOUBLE)"
    return f"abs({given} - {product}) > {_TOLERANCE} + {_TOLERANCE} * abs({given})"


_RULES = _rules()
