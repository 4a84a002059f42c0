"""Small legacy CUR tables for tests: rows with sensible defaults, written as csv."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from models.bill import BillPeriod, BillReport
from simulator.ingest.bills import import_bills
from simulator.ingest.store import open_store

DEFAULTS = {
    "bill/InvoiceId": "INV1",
    "bill/BillingEntity": "AWS",
    "bill/PayerAccountId": "000000000042",
    "bill/BillingPeriodStartDate": "2025-01-01T00:00:00Z",
    "bill/BillingPeriodEndDate": "2025-02-01T00:00:00Z",
    "lineItem/UsageAccountId": "000000000042",
    "lineItem/LineItemType": "Usage",
    "lineItem/UsageStartDate": "2025-01-01T00:00:00Z",
    "lineItem/UsageEndDate": "2025-01-01T01:00:00Z",
    "lineItem/ProductCode": "AmazonEC2",
    "lineItem/UsageType": "BoxUsage:m5.large",
    "lineItem/Operation": "RunInstances",
    "lineItem/UsageAmount": "1",
    "lineItem/CurrencyCode": "USD",
    "lineItem/UnblendedCost": "0.1",
    "lineItem/LineItemDescription": "",
    "product/instanceType": "",
    "pricing/publicOnDemandCost": "0.1",
}

SP = "arn:aws:savingsplans::000000000042:savingsplan/p1"
RI = "arn:aws:ec2:us-east-1:000000000042:reserved-instances/r1"


def row(**changes: Any) -> dict[str, str]:
    """One line item; keywords are outside names with `__` for the slash."""
    return {**DEFAULTS, **{name.replace("__", "/"): str(value) for name, value in changes.items()}}


def line(kind: str, cost: Any, **changes: Any) -> dict[str, str]:
    """One line item of a type at an unblended cost."""
    return row(lineItem__LineItemType=kind, lineItem__UnblendedCost=cost, **changes)


def table(rows: Sequence[Mapping[str, str]], *, newline: str = "\n", ids: bool = True) -> str:
    """The rows as csv text, columns in order of first appearance; every row gets its own line item id."""
    if ids:
        rows = [{"identity/LineItemId": f"id{n}", "identity/TimeInterval": f"t{n}", **item} for n, item in enumerate(rows)]
    names = list(dict.fromkeys(name for item in rows for name in item))
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, names, restval="", lineterminator=newline)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def write(path: Path, rows: Sequence[Mapping[str, str]], **options: Any) -> Path:
    """Write a csv bill."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(table(rows, **options), encoding="utf-8", newline="")
    return path


def load(*paths: Path | str, **options: Any) -> BillReport:
    """Import into a store in memory."""
    store = open_store(None)
    try:
        return import_bills(paths, store, **options)
    finally:
        store.close()


def only(report: BillReport) -> BillPeriod:
    """The one period of a report without refusals."""
    assert report.refused == ()
    (period,) = report.periods
    return period


def near(value: object, expected: float, tolerance: float = 1e-4) -> bool:
    """Whether a known amount is the expected one."""
    assert isinstance(value, Decimal | float | int), value
    return abs(float(value) - expected) < tolerance


def total(values: Iterable[object]) -> float:
    """Sum of known amounts."""
    return sum(float(value) for value in values)  # type: ignore[arg-type]
