"""The same lines as FOCUS 1.2 rows, with the columns of the AWS export (57 of the specification and three of AWS), parquet.

Negation lines have no FOCUS row: covered usage is billed 0 and costs its commitment price. A recurring commitment fee
becomes a purchase (billed, effective 0) and, where part of it was not used, a usage row marked Unused. So the sum of
BilledCost is the sum of unblended cost and the sum of EffectiveCost that of amortised cost.
Format: https://focus.finops.org/focus-specification/v1-2/
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from simulator.ingest.synthetic.bill import EDP_SHARE
from simulator.ingest.synthetic.company import Company
from simulator.ingest.synthetic.cur2 import PAYER, coded, column, instance_ids
from simulator.ingest.synthetic.lines import ACCOUNT, EC2, PLAN, Lines, Period, availability_zone

_TEXT = pa.dictionary(pa.int32(), pa.string())
_TYPES = {"@": pa.timestamp("ms"), "#": pa.float64(), "%": pa.map_(pa.string(), pa.string()), "&": pa.map_(pa.string(), pa.float64())}
_NAMES = (
    "AvailabilityZone BilledCost# BillingAccountId BillingAccountName BillingAccountType BillingCurrency BillingPeriodEnd@ "
    "BillingPeriodStart@ CapacityReservationId CapacityReservationStatus ChargeCategory ChargeClass ChargeDescription ChargeFrequency "
    "ChargePeriodEnd@ ChargePeriodStart@ CommitmentDiscountCategory CommitmentDiscountId CommitmentDiscountName "
    "CommitmentDiscountQuantity# CommitmentDiscountStatus CommitmentDiscountType CommitmentDiscountUnit ConsumedQuantity# ConsumedUnit "
    "ContractedCost# ContractedUnitPrice# EffectiveCost# InvoiceId InvoiceIssuerName ListCost# ListUnitPrice# PricingCategory "
    "PricingCurrency PricingCurrencyContractedUnitPrice# PricingCurrencyEffectiveCost# PricingCurrencyListUnitPrice# PricingQuantity# "
    "PricingUnit ProviderName PublisherName RegionId RegionName ResourceId ResourceName ResourceType ServiceCategory ServiceName "
    "ServiceSubcategory SkuId SkuMeter SkuPriceDetails% SkuPriceId SubAccountId SubAccountName SubAccountType Tags% x_Discounts& "
    "x_Operation x_ServiceCode"
)
SCHEMA = pa.schema([(name.rstrip("@#%&"), _TYPES.get(name[-1], _TEXT)) for name in _NAMES.split()])

_CATEGORY = {"Tax": "Tax", "Credit": "Credit", "Refund": "Credit", "EdpDiscount": "Adjustment"}
_PURCHASES = ("SavingsPlanRecurringFee", "RIFee", "SavingsPlanUpfrontFee", "Fee")
_COVERED = ("SavingsPlanCoveredUsage", "DiscountedUsage")


def focus_tables(company: Company, period: Period, lines: Lines, generations: NDArray[np.int32]) -> list[pa.Table]:
    """One block as FOCUS rows: none for negations, two blocks for recurring commitment fees, one otherwise."""
    if lines.item_type == "SavingsPlanNegation":
        return []
    lines = _discounted(company, lines)
    common = _common(company, period, lines) | _resource(company, lines, generations)
    if lines.item_type not in ("SavingsPlanRecurringFee", "RIFee"):
        return [_table(common | _charge(lines), len(lines))]
    tables = [_table(common | _purchase(lines), len(lines))]
    unused = lines.effective > 0
    if unused.any():
        tables.append(_table(common | _unused(lines), len(lines)).filter(pa.array(unused)))
    return tables


def _discounted(company: Company, lines: Lines) -> Lines:
    """Every cost but the list cost includes an enterprise discount that CUR shows in net columns or in the discount map.

    `contracted` joins the columns: the negotiated price of the usage, without its commitment discount.
    """
    inside = lines.discountable and not company.extras.isdisjoint({"edp-net", "edp-map"})
    kept = 1.0 - EDP_SHARE if inside else 1.0
    contracted = (lines.listed if lines.item_type in _COVERED else lines.unblended) * kept
    columns = {**lines.columns, "contracted": contracted}
    return replace(lines, unblended=lines.unblended * kept, effective=lines.effective * kept, columns=columns)


def _table(values: dict[str, Any], rows: int) -> pa.Table:
    return pa.table([column(values.get(field.name), field.type, rows) for field in SCHEMA], schema=SCHEMA)


def _common(company: Company, period: Period, lines: Lines) -> dict[str, Any]:
    issuer = "Amazon Web Services, Inc." if lines.service.entity == "AWS" else "Example Software Ltd"
    exclusive = lines.end + np.timedelta64(1, "s") if lines.item_type == "RIFee" else lines.end
    return {
        "BillingAccountId": PAYER, "BillingAccountName": "Example Workspaces", "BillingAccountType": "Management account",
        "SubAccountId": ACCOUNT, "SubAccountName": "workspaces", "SubAccountType": "Member account",
        "BillingCurrency": lines.currency, "PricingCurrency": "USD",
        "BillingPeriodStart": np.datetime64(period.start.replace(tzinfo=None), "ms"),
        "BillingPeriodEnd": np.datetime64(period.end.replace(tzinfo=None), "ms"),
        "ChargePeriodStart": lines.start.astype("datetime64[ms]"), "ChargePeriodEnd": exclusive.astype("datetime64[ms]"),
        "ChargeDescription": lines.description, "ProviderName": "AWS", "PublisherName": issuer, "InvoiceIssuerName": issuer,
        "InvoiceId": None if period.open else f"{1_900_000_000 + 7 * int(period.name.replace('-', ''))}",
        "RegionId": company.region, "RegionName": "Asia Pacific (Seoul)",
        "ServiceCategory": lines.service.category, "ServiceSubcategory": lines.service.subcategory, "ServiceName": lines.service.name,
        "Tags": dict(lines.tags), "x_Operation": lines.operation or None, "x_ServiceCode": lines.service.code,
        **_commitment(lines),
    }  # fmt: skip


def _commitment(lines: Lines) -> dict[str, Any]:
    if not lines.commitment:
        return {}
    plan = "savingsplan" in lines.commitment
    spend = lines.effective if lines.item_type in _COVERED else lines.unblended
    return {
        "CommitmentDiscountId": lines.commitment, "CommitmentDiscountCategory": "Spend" if plan else "Usage",
        "CommitmentDiscountName": "Compute Savings Plan" if plan else "Standard reservation",
        "CommitmentDiscountType": "Compute Savings Plans" if plan else "Standard Reserved Instances",
        "CommitmentDiscountQuantity": spend if plan else lines.amount, "CommitmentDiscountUnit": "USD" if plan else "Hours",
    }  # fmt: skip


def _resource(company: Company, lines: Lines, generations: NDArray[np.int32]) -> dict[str, Any]:
    ids = instance_ids(company, lines, generations)
    if ids is None:
        return {}
    zones: list[str | None] = [availability_zone(company.region, slot) for slot in (0, 1)]
    return {"ResourceId": ids, "ResourceType": "Instance", "AvailabilityZone": coded(lines.slot % 2, zones)}


def _charge(lines: Lines) -> dict[str, Any]:
    """Usage, one-time purchases, taxes and adjustments: the row is what the line says."""
    covered = lines.item_type in _COVERED
    purchase = lines.item_type in _PURCHASES
    billed = np.zeros(len(lines)) if covered else lines.unblended
    listed = lines.listed if lines.unit or purchase else billed
    category = "Purchase" if purchase else _CATEGORY.get(lines.item_type, "Usage")
    upfront = purchase and bool(lines.commitment)
    money = _money(lines, billed, lines.effective, billed if upfront else listed, lines.columns["contracted"])
    frequency = "Usage-Based" if category == "Usage" else "Recurring" if lines.item_type == "Fee" and not upfront else "One-Time"
    priced = category in ("Usage", "Purchase")
    prices = _prices(lines, money, lines.amount) | _quantities(lines) if priced else {}
    return money | prices | {
        "ChargeCategory": category, "ChargeFrequency": frequency, "CommitmentDiscountStatus": "Used" if covered else None,
        "PricingCategory": _pricing_category(lines, category, covered),
    }  # fmt: skip


def _purchase(lines: Lines) -> dict[str, Any]:
    none = np.zeros(len(lines))
    money = _money(lines, lines.unblended, none, lines.unblended, lines.unblended)
    return money | _prices(lines, money, lines.amount) | _quantities(lines) | {
        "ChargeCategory": "Purchase", "ChargeFrequency": "Recurring", "PricingCategory": "Standard",
    }  # fmt: skip


def _unused(lines: Lines) -> dict[str, Any]:
    """The part of a commitment fee that nothing used: an effective cost without a bill or a list price."""
    none = np.zeros(len(lines))
    plan = "savingsplan" in lines.commitment
    quantity = lines.effective if plan else np.full(len(lines), lines.columns.get("reservation_unused_quantity", 0.0))
    money = _money(lines, none, lines.effective, none, none)
    return money | _prices(lines, money, np.ones(len(lines))) | {
        "ChargeCategory": "Usage", "ChargeFrequency": "Usage-Based", "PricingCategory": "Committed",
        "CommitmentDiscountStatus": "Unused", "CommitmentDiscountQuantity": quantity,
        "PricingQuantity": quantity, "PricingUnit": "USD" if plan else "Hours", **_sku(lines),
    }  # fmt: skip


def _money(lines: Lines, billed: Any, effective: Any, listed: Any, contracted: Any) -> dict[str, Any]:
    return {
        "BilledCost": billed * lines.fx, "EffectiveCost": effective * lines.fx, "ListCost": listed * lines.fx,
        "ContractedCost": contracted * lines.fx, "PricingCurrencyEffectiveCost": effective,
    }  # fmt: skip


def _prices(lines: Lines, money: dict[str, Any], quantity: Any) -> dict[str, Any]:
    """Unit prices, in billing and in pricing currency; cost = price x PricingQuantity."""
    found: dict[str, Any] = {}
    for kind in ("List", "Contracted"):
        price = money[f"{kind}Cost"] / quantity
        found |= {f"{kind}UnitPrice": price, f"PricingCurrency{kind}UnitPrice": price / lines.fx}
    return found


def _quantities(lines: Lines) -> dict[str, Any]:
    unit = {"Hrs": "Hours", "GB-Mo": "GB-Months"}.get(lines.unit, lines.unit) or "Units"
    consumed = {"ConsumedQuantity": lines.amount, "ConsumedUnit": unit} if lines.unit and lines.service is not PLAN else {}
    return consumed | {"PricingQuantity": lines.amount, "PricingUnit": unit} | _sku(lines)


def _sku(lines: Lines) -> dict[str, Any]:
    sku = f"{lines.service.code}:{lines.usage_type or 'monthly'}"
    details = {"InstanceType": "m5.4xlarge", "OperatingSystem": "Linux"} if lines.service is EC2 and lines.unit == "Hrs" else None
    return {
        "SkuId": sku,
        "SkuPriceId": f"{sku}:{lines.term or 'fee'}",
        "SkuMeter": lines.usage_type or "monthly",
        "SkuPriceDetails": details,
    }


def _pricing_category(lines: Lines, category: str, covered: bool) -> str | None:
    if category not in ("Usage", "Purchase"):
        return None
    return "Committed" if covered else "Dynamic" if lines.term == "Spot" else "Standard"
