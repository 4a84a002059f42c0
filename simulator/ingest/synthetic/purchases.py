"""How the company's worker hours are bought: reserved, Savings Plan, spot, on demand, and the fees behind them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.ingest.synthetic.lines import ACCOUNT, EC2, HOUR, PLAN, TERM_H, Floats, Lines, Span, availability_zone, node_tags, single


def worker_lines(span: Span) -> list[Lines]:
    """One line per worker and hour, by purchase option; the half-covered slot has two lines that add up to its hour."""
    bought = span.company.purchases
    whole, part = int(bought.savings_plan), bought.savings_plan % 1.0
    slots = np.arange(span.counts.sum()) - np.repeat(np.cumsum(span.counts) - span.counts, span.counts)
    hour = np.repeat(np.arange(span.hours), span.counts)
    reserved = slots < bought.reserved
    covered = ~reserved & (slots < bought.reserved + whole + (part > 0))
    split = covered & (part > 0) & (slots == bought.reserved + whole)
    rest = ~reserved & ~covered
    spot = rest & ((slots - bought.reserved - whole) % bought.spot_every == bought.spot_every - 1)
    share = np.where(split, part, 1.0)
    demand_rows = rest & ~spot | split
    left = np.where(split, 1.0 - part, 1.0)
    return [
        block
        for block in (
            _reserved_usage(span, hour[reserved], slots[reserved]),
            _plan_usage(span, hour[covered], slots[covered], share[covered]),
            _spot_usage(span, hour[spot], slots[spot]),
            _on_demand_usage(span, hour[demand_rows], slots[demand_rows], left[demand_rows]),
        )
        if len(block)
    ]


def _worker_block(span: Span, hour: NDArray[np.int64], slot: NDArray[np.int64], amount: Floats, **given: Any) -> Lines:
    company, worker = span.company, span.company.worker
    start = span.times[hour]
    values: dict[str, Any] = {
        "service": EC2, "usage_type": f"APN2-BoxUsage:{worker}", "operation": "RunInstances", "unit": "Hrs",
        "term": "OnDemand", "tags": node_tags(),
        "description": f"${company.purchases.on_demand_usd_per_h} per On Demand Linux {worker} Instance Hour",
    } | given  # fmt: skip
    return Lines(start=start, end=start + HOUR, amount=amount, slot=slot, hour=hour + span.first, **values)


def _on_demand_usage(span: Span, hour: NDArray[np.int64], slot: NDArray[np.int64], amount: Floats) -> Lines:
    cost = amount * span.company.purchases.on_demand_usd_per_h
    return _worker_block(span, hour, slot, amount, item_type="Usage", unblended=cost, effective=cost, listed=cost)


def _spot_usage(span: Span, hour: NDArray[np.int64], slot: NDArray[np.int64]) -> Lines:
    worker, amount = span.company.worker, np.ones(len(slot))
    cost = amount * span.company.purchases.spot_usd_per_h
    return _worker_block(
        span, hour, slot, amount, item_type="Usage", unblended=cost, effective=cost, term="Spot",
        listed=amount * span.company.purchases.on_demand_usd_per_h, operation="RunInstances:SV003",
        usage_type=f"APN2-SpotUsage:{worker}",
        description=f"{worker} Linux/UNIX Spot Instance-hour in Asia Pacific (Seoul) in VPC Zone #3",
    )  # fmt: skip


def _reserved_usage(span: Span, hour: NDArray[np.int64], slot: NDArray[np.int64]) -> Lines:
    bought, amount = span.company.purchases, np.ones(len(slot))
    upfront = amount * bought.reserved_usd_per_h * bought.upfront_share
    recurring = amount * bought.reserved_usd_per_h * (1.0 - bought.upfront_share)
    return _worker_block(
        span, hour, slot, amount, item_type="DiscountedUsage", term="Reserved", commitment=span.reserved_arn,
        unblended=np.zeros(len(slot)), effective=upfront + recurring, listed=amount * bought.on_demand_usd_per_h,
        description=f"{span.company.worker} Linux reserved instance applied",
        columns=_reservation(span) | {
            "reservation_effective_cost": upfront + recurring,
            "reservation_amortized_upfront_cost_for_usage": upfront,
            "reservation_recurring_fee_for_usage": recurring,
        },
    )  # fmt: skip


def _plan_usage(span: Span, hour: NDArray[np.int64], slot: NDArray[np.int64], amount: Floats) -> Lines:
    bought = span.company.purchases
    listed, effective = amount * bought.on_demand_usd_per_h, amount * bought.savings_plan_usd_per_h
    return _worker_block(
        span, hour, slot, amount, item_type="SavingsPlanCoveredUsage", commitment=span.plan_arn,
        unblended=listed, effective=effective, listed=listed,
        columns=_plan(span) | {
            "savings_plan_savings_plan_rate": bought.savings_plan_usd_per_h,
            "savings_plan_savings_plan_effective_cost": effective,
        },
    )  # fmt: skip


def plan_lines(span: Span) -> list[Lines]:
    """Negations, the hourly fee and, at the start of a term, the upfront fee."""
    bought = span.company.purchases
    if not bought.savings_plan:
        return []
    covered = np.clip(span.counts.astype(np.float64) - bought.reserved, 0.0, bought.savings_plan)
    return [*_negations(span), _plan_fee(span, covered), *([_plan_upfront(span)] if span.renewal else [])]


def _negations(span: Span) -> Iterator[Lines]:
    """Minus the covered usage, one line an hour and availability zone."""
    bought = span.company.purchases
    for zone in (0, 1):
        slots = np.arange(bought.reserved, int(np.ceil(bought.reserved + bought.savings_plan)))
        room = np.clip(bought.reserved + bought.savings_plan - slots, 0.0, 1.0) * (slots % 2 == zone)
        amount = (span.counts[:, None] > slots) @ room
        some = np.flatnonzero(amount > 0)
        minus = -amount[some] * bought.on_demand_usd_per_h
        if some.size:
            yield _worker_block(
                span, some, np.full(some.size, -1), amount[some], item_type="SavingsPlanNegation", commitment=span.plan_arn,
                unblended=minus, effective=np.zeros(some.size), listed=np.zeros(some.size), tags={},
                description=f"SavingsPlanNegation used by AccountId : {ACCOUNT} and UsageSku : M5X4LARGELINUXAP",
                columns=_plan(span) | {"line_item_availability_zone": availability_zone(span.company.region, zone)},
            )  # fmt: skip


def _plan_fee(span: Span, covered: Floats) -> Lines:
    bought = span.company.purchases
    commitment = bought.savings_plan * bought.savings_plan_usd_per_h
    used = covered * bought.savings_plan_usd_per_h
    recurring = np.full(span.hours, commitment * (1.0 - bought.upfront_share))
    return Lines(
        item_type="SavingsPlanRecurringFee", service=PLAN, usage_type="ComputeSP:1yrPartialUpfront", operation="", unit="Hrs",
        description="1 year Partial Upfront Compute Savings Plan", commitment=span.plan_arn,
        start=span.times, end=span.times + HOUR, amount=np.ones(span.hours), unblended=recurring,
        effective=np.maximum(commitment - used, 0.0), listed=np.zeros(span.hours), slot=np.full(span.hours, -1),
        hour=np.arange(span.first, span.last),
        columns=_plan(span) | {
            "savings_plan_total_commitment_to_date": commitment,
            "savings_plan_used_commitment": used,
            "savings_plan_amortized_upfront_commitment_for_billing_period": commitment * bought.upfront_share,
            "savings_plan_recurring_commitment_for_billing_period": recurring,
        },
    )  # fmt: skip


def _plan_upfront(span: Span) -> Lines:
    bought = span.company.purchases
    paid = bought.savings_plan * bought.savings_plan_usd_per_h * bought.upfront_share * TERM_H
    return single(
        span, "SavingsPlanUpfrontFee", PLAN, "1 year Partial Upfront Compute Savings Plan, upfront fee", paid, effective=0.0,
        usage_type="ComputeSP:1yrPartialUpfront", commitment=span.plan_arn, columns=_plan(span),
    )  # fmt: skip


def reservation_lines(span: Span) -> list[Lines]:
    """The monthly fee with what was left unused and, at the start of a term, the upfront fee."""
    bought = span.company.purchases
    if not bought.reserved:
        return []
    usage_type = f"APN2-HeavyUsage:{span.company.worker}"
    rate = bought.reserved_usd_per_h
    total = float(bought.reserved * span.hours)
    unused = total - float(np.minimum(span.counts, bought.reserved).sum())
    upfront, recurring = rate * bought.upfront_share, rate * (1.0 - bought.upfront_share)
    fee = single(
        span, "RIFee", EC2, f"USD {recurring:.5f} hourly fee per Linux/UNIX, {span.company.worker} instance",
        total * recurring, effective=unused * rate, usage_type=usage_type, operation="RunInstances", term="Reserved",
        amount=total, commitment=span.reserved_arn, through=span.last,
        columns=_reservation(span) | {
            "reservation_amortized_upfront_fee_for_billing_period": total * upfront,
            "reservation_unused_amortized_upfront_fee_for_billing_period": unused * upfront,
            "reservation_unused_recurring_fee": unused * recurring,
            "reservation_unused_quantity": unused,
            "reservation_unused_normalized_unit_quantity": unused * 32.0,
            "reservation_upfront_value": bought.reserved * TERM_H * upfront,
            "reservation_total_reserved_units": f"{total:.0f}",
            "reservation_total_reserved_normalized_units": f"{total * 32:.0f}",
        },
    )  # fmt: skip
    if not span.renewal:
        return [fee]
    bought_upfront = single(
        span, "Fee", EC2, f"Sign up charge for {bought.reserved} x {span.company.worker}, 1 year Partial Upfront",
        bought.reserved * TERM_H * upfront, effective=0.0, usage_type=usage_type, operation="RunInstances", term="Reserved",
        amount=float(bought.reserved), commitment=span.reserved_arn,
        columns=_reservation(span) | {"reservation_upfront_value": bought.reserved * TERM_H * upfront},
    )  # fmt: skip
    return [fee, bought_upfront]


def _plan(span: Span) -> dict[str, Any]:
    return {
        "savings_plan_savings_plan_a_r_n": span.plan_arn, "savings_plan_offering_type": "ComputeSavingsPlans",
        "savings_plan_payment_option": "Partial Upfront", "savings_plan_purchase_term": "1yr",
        "savings_plan_start_time": _zulu(span.term_start), "savings_plan_end_time": _zulu(span.term_end),
        "savings_plan_region": "Any",
    }  # fmt: skip


def _reservation(span: Span) -> dict[str, Any]:
    return {
        "reservation_reservation_a_r_n": span.reserved_arn, "reservation_subscription_id": "2764819305",
        "reservation_number_of_reservations": str(span.company.purchases.reserved),
        "reservation_normalized_units_per_reservation": "32", "reservation_units_per_reservation": "1",
        "reservation_start_time": _zulu(span.term_start), "reservation_end_time": _zulu(span.term_end),
        "reservation_modification_status": "Original", "pricing_lease_contract_length": "1yr",
        "pricing_offering_class": "standard", "pricing_purchase_option": "Partial Upfront",
    }  # fmt: skip


def _zulu(when: datetime) -> str:
    return f"{when:%Y-%m-%dT%H:%M:%S.000Z}"
