"""The company's lines as AWS Data Exports CUR 2.0 (table COST_AND_USAGE_REPORT, hourly, with resource ids), parquet.

Column names, order and types are those of real exports with resources and split cost data included. Columns that the
company never fills are there and null, as in a real file.
Format: https://docs.aws.amazon.com/cur/latest/userguide/table-dictionary-cur2.html
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from simulator.ingest.synthetic.bill import EDP_SHARE, edp_discount
from simulator.ingest.synthetic.company import Company
from simulator.ingest.synthetic.lines import ACCOUNT, Lines, Period, availability_zone, named_bits

PAYER = "111122223333"
_TEXT = pa.dictionary(pa.int32(), pa.string())
_TIME = pa.timestamp("ms")
_NUMBER = pa.float64()
_WORDS = pa.map_(pa.string(), pa.string())
_AMOUNTS = pa.map_(pa.string(), pa.float64())

_GROUPS: tuple[tuple[str, str], ...] = (
    ("bill_", "bill_type billing_entity billing_period_end_date@ billing_period_start_date@ invoice_id invoicing_entity "
              "payer_account_id payer_account_name"),
    ("", "cost_category% discount& discount_bundled_discount# discount_total_discount# identity_line_item_id identity_time_interval"),
    ("line_item_", "availability_zone blended_cost# blended_rate currency_code legal_entity line_item_description line_item_type "
                   "net_unblended_cost# net_unblended_rate normalization_factor# normalized_usage_amount# operation product_code "
                   "resource_id tax_type unblended_cost# unblended_rate usage_account_id usage_account_name usage_amount# "
                   "usage_end_date@ usage_start_date@ usage_type"),
    ("pricing_", "currency lease_contract_length offering_class public_on_demand_cost# public_on_demand_rate purchase_option "
                 "rate_code rate_id term unit"),
    ("", "product%"),
    ("product_", "comment fee_code fee_description from_location from_location_type from_region_code instance_family instance_type "
                 "instancesku location location_type operation pricing_unit product_family region_code servicecode sku to_location "
                 "to_location_type to_region_code usagetype"),
    ("reservation_", "amortized_upfront_cost_for_usage# amortized_upfront_fee_for_billing_period# availability_zone effective_cost# "
                     "end_time modification_status net_amortized_upfront_cost_for_usage# net_amortized_upfront_fee_for_billing_period# "
                     "net_effective_cost# net_recurring_fee_for_usage# net_unused_amortized_upfront_fee_for_billing_period# "
                     "net_unused_recurring_fee# net_upfront_value# normalized_units_per_reservation number_of_reservations "
                     "recurring_fee_for_usage# reservation_a_r_n start_time subscription_id total_reserved_normalized_units "
                     "total_reserved_units units_per_reservation unused_amortized_upfront_fee_for_billing_period# "
                     "unused_normalized_unit_quantity# unused_quantity# unused_recurring_fee# upfront_value#"),
    ("", "resource_tags%"),
    ("savings_plan_", "amortized_upfront_commitment_for_billing_period# end_time instance_type_family "
                      "net_amortized_upfront_commitment_for_billing_period# net_recurring_commitment_for_billing_period# "
                      "net_savings_plan_effective_cost# offering_type payment_option purchase_term "
                      "recurring_commitment_for_billing_period# region savings_plan_a_r_n savings_plan_effective_cost# "
                      "savings_plan_rate# start_time total_commitment_to_date# used_commitment#"),
    ("split_line_item_", "actual_usage# net_split_cost# net_unused_cost# parent_resource_id public_on_demand_split_cost# "
                         "public_on_demand_unused_cost# reserved_usage# split_cost# split_usage# split_usage_ratio# unused_cost#"),
)  # fmt: skip
_TYPES = {"@": _TIME, "#": _NUMBER, "%": _WORDS, "&": _AMOUNTS}
SCHEMA = pa.schema(
    [
        (prefix + name.rstrip("@#%&"), _TYPES.get(name[-1], _TEXT))
        for prefix, names in _GROUPS
        for name in names.split()
    ]
)  # fmt: skip

_NET_TWINS = {
    "reservation_amortized_upfront_cost_for_usage": "reservation_net_amortized_upfront_cost_for_usage",
    "reservation_amortized_upfront_fee_for_billing_period": "reservation_net_amortized_upfront_fee_for_billing_period",
    "reservation_effective_cost": "reservation_net_effective_cost",
    "reservation_recurring_fee_for_usage": "reservation_net_recurring_fee_for_usage",
    "reservation_unused_amortized_upfront_fee_for_billing_period": "reservation_net_unused_amortized_upfront_fee_for_billing_period",
    "reservation_unused_recurring_fee": "reservation_net_unused_recurring_fee",
    "reservation_upfront_value": "reservation_net_upfront_value",
    "savings_plan_amortized_upfront_commitment_for_billing_period": "savings_plan_net_amortized_upfront_commitment_for_billing_period",
    "savings_plan_recurring_commitment_for_billing_period": "savings_plan_net_recurring_commitment_for_billing_period",
    "savings_plan_savings_plan_effective_cost": "savings_plan_net_savings_plan_effective_cost",
}


def cur2_table(company: Company, period: Period, number: int, lines: Lines, generations: NDArray[np.int32]) -> pa.Table:
    """One block as rows of the export. `number` is the block's place in the period, which makes line ids unique.

    generations : int32 [hours, slots], how often a worker slot was started, which makes instance ids.
    """
    values = _common(period, lines) | _service(company, lines) | dict(lines.columns)
    values |= _costs(company, lines) | _discounts(company, lines)
    values.setdefault("identity_line_item_id", _line_ids(company, period, number, lines))
    if "line_item_resource_id" not in lines.columns:
        values["line_item_resource_id"] = instance_ids(company, lines, generations)
    return pa.table([column(values.get(field.name), field.type, len(lines)) for field in SCHEMA], schema=SCHEMA)


def column(value: Any, kind: pa.DataType, rows: int) -> pa.Array:
    """An arrow column from one value for all rows, an array, an arrow array, or None for nulls."""
    if value is None or (isinstance(value, dict) and not value):
        return pa.nulls(rows, kind)
    if isinstance(value, pa.Array):
        return value
    if isinstance(value, np.ndarray):
        return pa.array(value, type=kind)
    if pa.types.is_dictionary(kind):
        return pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, dtype=np.int32)), pa.array([value], pa.string()))
    if pa.types.is_map(kind):
        return pa.array([list(value.items())], type=kind).take(pa.array(np.zeros(rows, dtype=np.int32)))
    return pa.array(np.full(rows, value), type=kind)


def coded(codes: NDArray[Any], texts: list[str | None]) -> pa.DictionaryArray:
    """A text column from codes into `texts`; a code of -1 is null."""
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32), mask=codes < 0), pa.array(texts, pa.string()))


def instance_ids(company: Company, lines: Lines, generations: NDArray[np.int32]) -> pa.DictionaryArray | None:
    """EC2 instance id of every row's worker; None for lines without a worker."""
    if lines.slot[0] < 0:
        return None
    key = lines.slot.astype(np.uint64) * np.uint64(1 << 20) + generations[lines.hour, lines.slot].astype(np.uint64)
    found, codes = np.unique(key, return_inverse=True)
    return coded(codes, [f"i-0{int(bits):016x}" for bits in named_bits(company.seed, "instance", found)])


def _common(period: Period, lines: Lines) -> dict[str, Any]:
    start, end = _milliseconds(lines.start), _milliseconds(lines.end)
    _, where, codes = np.unique(lines.start, return_index=True, return_inverse=True)
    texts: list[str | None] = [f"{a}Z/{b}Z" for a, b in zip(lines.start[where].astype(str), lines.end[where].astype(str), strict=True)]
    return {
        "bill_bill_type": "Purchase" if lines.item_type in ("Fee", "SavingsPlanUpfrontFee") else "Anniversary",
        "bill_billing_entity": lines.service.entity,
        "bill_invoicing_entity": "Amazon Web Services, Inc." if lines.service.entity == "AWS" else "Example Software Ltd",
        "bill_billing_period_start_date": np.datetime64(period.start.replace(tzinfo=None), "ms"),
        "bill_billing_period_end_date": np.datetime64(period.end.replace(tzinfo=None), "ms"),
        "bill_invoice_id": None if period.open else f"{1_900_000_000 + 7 * int(period.name.replace('-', ''))}",
        "bill_payer_account_id": PAYER,
        "bill_payer_account_name": "Example Workspaces",
        "line_item_usage_account_id": ACCOUNT,
        "line_item_usage_account_name": "workspaces",
        "line_item_legal_entity": "Amazon Web Services, Inc.",
        "line_item_usage_start_date": start,
        "line_item_usage_end_date": end,
        "identity_time_interval": coded(codes, texts),
        "resource_tags": dict(lines.tags),
        "cost_category": {"business_unit": "software"} if lines.tags else None,
    }


def _service(company: Company, lines: Lines) -> dict[str, Any]:
    worker = company.worker if "BoxUsage" in lines.usage_type or "HeavyUsage" in lines.usage_type else None
    product = {"product_name": lines.service.name, "region": company.region}
    if worker:
        product |= {"vcpu": "16", "memory": "64 GiB", "operating_system": "Linux", "tenancy": "Shared", "pre_installed_sw": "NA"}
    size = 32.0 if worker and lines.item_type != "SavingsPlanNegation" else None
    slots = lines.slot
    zones: list[str | None] = [availability_zone(company.region, slot) for slot in (0, 1)]
    return {
        "line_item_line_item_type": lines.item_type,
        "line_item_product_code": lines.service.code,
        "line_item_usage_type": lines.usage_type or None,
        "line_item_operation": lines.operation or None,
        "line_item_line_item_description": lines.description,
        "line_item_currency_code": lines.currency,
        "line_item_availability_zone": coded(slots % 2, zones) if slots[0] >= 0 else None,
        "line_item_usage_amount": lines.amount,
        "line_item_normalization_factor": size,
        "line_item_normalized_usage_amount": None if size is None else lines.amount * size,
        "pricing_currency": lines.currency,
        "pricing_term": lines.term or None,
        "pricing_unit": lines.unit or None,
        "product": product,
        "product_instance_type": worker,
        "product_instance_family": "General purpose" if worker else None,
        "product_location": "Asia Pacific (Seoul)" if lines.service.family else None,
        "product_location_type": "AWS Region" if lines.service.family else None,
        "product_operation": lines.operation or None,
        "product_product_family": lines.service.family or None,
        "product_region_code": company.region,
        "product_servicecode": lines.service.code,
        "product_usagetype": lines.usage_type or None,
    }


def _costs(company: Company, lines: Lines) -> dict[str, Any]:
    """Money columns, in the line's currency. Spot rows carry no public on-demand cost, as in real exports."""
    rate = float(lines.unblended[0] / lines.amount[0]) if lines.unit else None
    listed = None if not lines.unit else np.zeros(len(lines)) if lines.term == "Spot" else lines.listed * lines.fx
    return {
        "line_item_unblended_cost": lines.unblended * lines.fx,
        "line_item_unblended_rate": None if rate is None else f"{abs(rate) * lines.fx:.10f}",
        "line_item_blended_cost": None if lines.item_type == "EdpDiscount" else lines.unblended * lines.fx,
        "line_item_blended_rate": None if rate is None else f"{abs(rate) * lines.fx:.10f}",
        "pricing_public_on_demand_cost": listed,
    }


def _discounts(company: Company, lines: Lines) -> dict[str, Any]:
    """The enterprise discount in the form asked for: net columns, or the discount map; lines are blocks of their own."""
    discount = edp_discount(company, lines) * lines.fx
    if "edp-map" in company.extras and discount.any():
        keys = pa.array(["edp_discount", "total_discount"] * len(lines))
        offsets = pa.array(np.arange(0, 2 * len(lines) + 1, 2, dtype=np.int32))
        return {"discount": pa.MapArray.from_arrays(offsets, keys, pa.array(np.repeat(discount, 2))), "discount_total_discount": discount}
    if "edp-net" not in company.extras:
        return {}
    kept = 1.0 - EDP_SHARE if lines.discountable else 1.0
    twins = {net: lines.columns[plain] * kept for plain, net in _NET_TWINS.items() if plain in lines.columns}
    return twins | {"line_item_net_unblended_cost": lines.unblended * lines.fx + discount}


def _line_ids(company: Company, period: Period, number: int, lines: Lines) -> pa.DictionaryArray:
    """One id per worker slot and block: an id repeats over hours and is unique together with its time interval."""
    slots, codes = np.unique(lines.slot, return_inverse=True)
    keys = (slots + 1).astype(np.uint64) + np.uint64(number << 32)
    return coded(codes, [f"{int(bits):016x}" for bits in named_bits(company.seed, f"line {period.name}", keys)])


def _milliseconds(times: NDArray[np.datetime64]) -> NDArray[np.datetime64]:
    return times.astype("datetime64[ms]")
