"""The company's bill, month by month: worker hours, volumes, transfer, support, credit, refund and tax."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from decimal import ROUND_HALF_EVEN, Decimal

import numpy as np

from simulator.ingest.synthetic.company import Company, replicas, workers
from simulator.ingest.synthetic.lines import (
    EBS,
    EC2,
    EKS,
    HOUR,
    MARKETPLACE,
    SUPPORT,
    TERM_H,
    TRANSFER,
    Floats,
    Lines,
    Period,
    Service,
    Span,
    node_tags,
    single,
)
from simulator.ingest.synthetic.purchases import plan_lines, reservation_lines, worker_lines

VOLUME_GB = 100.0
GP3_USD_PER_GB_MONTH = 0.0912
EGRESS_GB_PER_USER_H, EGRESS_USD_PER_GB = 0.03, 0.126
CROSS_AZ_GB_PER_USER_H, CROSS_AZ_USD_PER_GB = 0.2, 0.01
EKS_USD_PER_H = 0.10
MARKETPLACE_USD_PER_MONTH = 450.0
CREDIT_USD, CREDIT_MONTHS, REFUND_USD = -2000.0, 3, -312.40
SUPPORT_TIERS = ((10_000.0, 0.10), (80_000.0, 0.07), (250_000.0, 0.05), (float("inf"), 0.03))
SUPPORT_LEAST_USD = 100.0
TAX_SHARE = 0.10
EDP_SHARE = 0.05
KRW_PER_USD = 1350.0


def bill_lines(company: Company, period: Period) -> list[Lines]:
    """Every line of one billing period, block by block."""
    counts, active = workers(company), replicas(company).sum(axis=1)
    times = company.horizon.times().astype("datetime64[s]")
    blocks: list[Lines] = []
    for first, last in _terms(period):
        hours = slice(first, last)
        span = Span(company, period, first, last, counts[hours], active[hours], times[hours])
        blocks += [*worker_lines(span), *plan_lines(span), *reservation_lines(span), *_other_usage(span)]
    if "marketplace" in company.extras:
        blocks.append(_monthly(company, period, "Usage", MARKETPLACE, "Log shipper, monthly subscription", MARKETPLACE_USD_PER_MONTH))
    blocks += _after_usage(company, period, blocks)
    if "mixed-currency" in company.extras:
        blocks = [replace(b, currency="KRW", fx=KRW_PER_USD) if b.service is TRANSFER else b for b in blocks]
    return blocks


def edp_discount(company: Company, lines: Lines) -> Floats:
    """Enterprise discount of each line, negative, in USD; zero where the agreement does not reach.

    Covered usage and its negation cancel, so that the discount of a Savings Plan is that of its fees.
    """
    cancels = lines.item_type in ("SavingsPlanCoveredUsage", "SavingsPlanNegation")
    reaches = lines.discountable and not cancels and any(extra.startswith("edp-") for extra in company.extras)
    return -EDP_SHARE * lines.unblended if reaches else np.zeros(len(lines))


def support_usd(spend_usd: float) -> float:
    """Business support: 10 % of the first 10,000 USD of a month, 7 % to 80,000, 5 % to 250,000, 3 % above; at least 100.

    >>> round(support_usd(100_000), 2), support_usd(500)
    (6900.0, 100.0)
    """
    total, lower = 0.0, 0.0
    for upper, share in SUPPORT_TIERS:
        total, lower = total + max(0.0, min(spend_usd, upper) - lower) * share, upper
    return max(total, SUPPORT_LEAST_USD)


def _terms(period: Period) -> Iterator[tuple[int, int]]:
    first = period.first
    while first < period.last:
        last = min(period.last, (first // TERM_H + 1) * TERM_H)
        yield first, last
        first = last


def _other_usage(span: Span) -> list[Lines]:
    """Volumes, data transfer and the control plane: one line an hour each, without a resource."""
    gb_month = span.counts.astype(np.float64) * (VOLUME_GB / span.period.month_hours)
    users = span.active.astype(np.float64)
    return [
        _hourly(span, EBS, "APN2-EBS:VolumeUsage.gp3", "CreateVolume-Gp3", "GB-Mo", gb_month, GP3_USD_PER_GB_MONTH, node_tags()),
        _hourly(span, TRANSFER, "APN2-DataTransfer-Out-Bytes", "RunInstances", "GB", users * EGRESS_GB_PER_USER_H, EGRESS_USD_PER_GB),
        _hourly(
            span, TRANSFER, "APN2-DataTransfer-Regional-Bytes", "InterZone-Out", "GB",
            users * CROSS_AZ_GB_PER_USER_H, CROSS_AZ_USD_PER_GB,
        ),
        _hourly(span, EKS, "APN2-AmazonEKS-Hours:perCluster", "CreateOperation", "Hours", np.ones(span.hours), EKS_USD_PER_H, node_tags()),
    ]  # fmt: skip


def _hourly(
    span: Span, service: Service, usage_type: str, operation: str, unit: str, amount: Floats, rate: float,
    tags: Mapping[str, str] | None = None,
) -> Lines:  # fmt: skip
    cost = amount * rate
    return Lines(
        "Usage", service, usage_type, operation, f"${rate} per {unit} - {usage_type}", unit, span.times, span.times + HOUR, amount,
        cost, cost, cost, np.full(span.hours, -1), np.arange(span.first, span.last), "OnDemand", tags=tags or {},
    )  # fmt: skip


def _after_usage(company: Company, period: Period, usage: list[Lines]) -> list[Lines]:
    """Support on the month's charges, credit, refund, enterprise discount as lines, and tax on all of it."""
    spend = sum(float(block.unblended.sum()) for block in usage if block.service.entity == "AWS")
    after = [_monthly(company, period, "Fee", SUPPORT, "AWS Support (Business), on the month's charges", cents(support_usd(spend)))]
    if period.number < CREDIT_MONTHS:
        after.append(_monthly(company, period, "Credit", EC2, "Migration Acceleration Program credit", CREDIT_USD))
    if period.number == 0:
        after.append(_monthly(company, period, "Refund", EC2, "EBS service level refund", REFUND_USD))
    charged = usage + after
    discount = _by_product(charged, lambda block: float(edp_discount(company, block).sum()))
    if "edp-lines" in company.extras:
        after += [_monthly(company, period, "EdpDiscount", s, "Enterprise Discount Program", cents(v)) for s, v in discount.values() if v]
    due = _by_product(charged, lambda block: float(block.unblended.sum()))
    for code, (service, value) in due.items():
        tax = cents((value + discount[code][1]) * TAX_SHARE)
        if tax:
            after.append(_monthly(company, period, "Tax", service, f"Tax for product code {code}", tax))
    return after


def _by_product(blocks: list[Lines], value: Callable[[Lines], float]) -> dict[str, tuple[Service, float]]:
    sums: dict[str, tuple[Service, float]] = {}
    for block in blocks:
        service, total = sums.get(block.service.code, (block.service, 0.0))
        sums[block.service.code] = service, total + value(block)
    return sums


def _monthly(company: Company, period: Period, item_type: str, service: Service, description: str, usd: float) -> Lines:
    counts = np.zeros(period.last - period.first, dtype=np.int64)
    times = company.horizon.times().astype("datetime64[s]")[period.first : period.last]
    span = Span(company, period, period.first, period.last, counts, counts, times)
    lines = single(span, item_type, service, description, usd, effective=usd, usage_type="", through=period.last)
    columns = {"line_item_tax_type": "VAT"} if item_type == "Tax" else {}
    has_list = item_type in ("Usage", "Fee")
    return replace(lines, columns=columns, discountable=False, listed=lines.unblended if has_list else np.zeros(1))


def cents(value: float) -> float:
    """Round half to even at two decimals, as an invoice line."""
    return float(Decimal(repr(value)).quantize(Decimal("0.01"), rounding=ROUND_HALF_EVEN))
