"""The ledger: the hybrid's months as FOCUS rows, private cost beside AWS; cash in BilledCost, spread cost in EffectiveCost.

FOCUS 1.2 column names; a purchase bills once with effective cost 0 and returns as monthly depreciation (billed 0), as the data-centre
mapping of the specification has it. Money is DECIMAL, every amount rounded once to 1e-6.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import date
from decimal import Decimal
from io import StringIO
from pathlib import Path

from models.statement import CostLine
from models.units import MONTHS_PER_YEAR
from simulator.finance.cashflow import MONTHS_PER_QUARTER, at_quarter, fleet_by_quarter
from simulator.finance.opponents import hybrid
from simulator.finance.report import FinanceReport
from simulator.record import write_text

CURRENCY = "USD"
_EXACT = Decimal("0.000001")


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """One charge; field names are FOCUS columns."""

    BilledCost: Decimal
    EffectiveCost: Decimal
    ListCost: Decimal
    ContractedCost: Decimal
    BillingCurrency: str
    BillingPeriodStart: str
    BillingPeriodEnd: str
    ChargePeriodStart: str
    ChargePeriodEnd: str
    ChargeCategory: str
    ChargeFrequency: str
    ChargeDescription: str
    ConsumedQuantity: Decimal
    ConsumedUnit: str
    ProviderName: str
    PublisherName: str
    InvoiceIssuerName: str
    RegionId: str
    ResourceId: str
    ServiceCategory: str
    ServiceName: str
    SubAccountId: str


def ledger(report: FinanceReport) -> list[LedgerRow]:
    """All charges of the horizon, month by month: purchases and their depreciation, running lines, AWS burst."""
    start = _first_month(report)
    rows = list(_purchases(report, start))
    rows += list(_running(report, start))
    return sorted(rows, key=lambda row: (row.ChargePeriodStart, row.ServiceName, row.ResourceId, row.ChargeCategory))


def write_ledger(path: Path, rows: Sequence[LedgerRow]) -> None:
    """CSV with the FOCUS header, atomically."""
    names = [f.name for f in fields(LedgerRow)]
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([[str(getattr(row, name)) for name in names] for row in rows])
    write_text(path, text.getvalue())


def _first_month(report: FinanceReport) -> date:
    """The month in which the first servers are ready, or today's."""
    first = min((step.arrive_on for step in report.steps), default=report.case.scenario.as_of)
    return first.replace(day=1)


def _month(start: date, offset: int) -> date:
    month = start.year * MONTHS_PER_YEAR + start.month - 1 + offset
    return date(month // MONTHS_PER_YEAR, month % MONTHS_PER_YEAR + 1, 1)


def _purchases(report: FinanceReport, start: date) -> Iterator[LedgerRow]:
    """Each purchase line of each order: billed in its month, depreciated in a straight line to its residual over its life."""
    prices, months = report.case.prices.private, report.case.scenario.money.years * MONTHS_PER_YEAR
    life = prices.life_years * MONTHS_PER_YEAR
    for offset, item, usd in _bought(report):
        for again in range(offset, months, life):
            price = usd if again == offset else usd * (1.0 - prices.residual_share)
            yield _row(report, _month(start, again), item, (price, 0.0), ("Purchase", "One-Time"), (1.0, "order"))
            monthly = usd * (1.0 - prices.residual_share) / life
            for month in range(again, min(again + life, months)):
                yield _row(report, _month(start, month), item, (0.0, monthly), ("Usage", "Recurring"), (1.0, "months"))


def _bought(report: FinanceReport) -> Iterator[tuple[int, str, float]]:
    """(month, item, USD) of everything bought: growth of the purchase list from quarter to quarter, item by item."""
    case = report.case
    before = _by_item(report, {zone.part.name: zone.part.existing_nodes for zone in case.zones})
    for quarter, fleet in enumerate(fleet_by_quarter(case, report.steps)):
        now = _by_item(report, fleet)
        for item, usd in now.items():
            extra = usd - before.get(item, 0.0)
            if extra > 0:
                yield quarter * MONTHS_PER_QUARTER, item, extra
                before[item] = usd


def _by_item(report: FinanceReport, fleet: dict[str, int]) -> dict[str, float]:
    found: dict[str, float] = {}
    for zone in report.case.zones:
        for line in zone.purchases(fleet.get(zone.part.name, 0)):
            found[f"{zone.part.name}: {line.item}"] = found.get(f"{zone.part.name}: {line.item}", 0.0) + line.usd
    return found


def _running(report: FinanceReport, start: date) -> Iterator[LedgerRow]:
    """Every line that is paid by the month."""
    case = report.case
    fleets = fleet_by_quarter(case, report.steps)
    for quarter, fleet in enumerate(fleets):
        statement = hybrid(at_quarter(case, quarter), fleet)
        for offset in range(quarter * MONTHS_PER_QUARTER, (quarter + 1) * MONTHS_PER_QUARTER):
            for line in statement.lines:
                if line.kind in ("operation", "staff", "aws"):
                    yield _line_row(report, _month(start, offset), line)
    once = hybrid(case, fleets[0]).once_usd if fleets else 0.0
    if once:
        yield _row(report, start, "migration", (once, once), ("Usage", "One-Time"), (1.0, "move"))


def _line_row(report: FinanceReport, month: date, line: CostLine) -> LedgerRow:
    usd, quantity = line.usd_per_year / MONTHS_PER_YEAR, line.quantity / MONTHS_PER_YEAR if line.kind == "aws" else line.quantity
    frequency = "Usage-Based" if line.kind == "aws" else "Recurring"
    return _row(report, month, line.item, (usd, usd), ("Usage", frequency), (quantity, line.unit))


def _row(
    report: FinanceReport, month: date, item: str, cost: tuple[float, float], charge: tuple[str, str], used: tuple[float, str]
) -> LedgerRow:
    """One charge: cost = (billed, effective), charge = (category, frequency), used = (quantity, unit)."""
    aws = item.startswith(("AWS", "Direct Connect", "data over"))
    provider = "AWS" if aws else report.case.scenario.export.cluster
    begin, end = f"{month.isoformat()}T00:00:00Z", f"{_month(month, 1).isoformat()}T00:00:00Z"
    exact_billed, exact_effective = (Decimal(repr(value)).quantize(_EXACT) for value in cost)
    return LedgerRow(
        BilledCost=exact_billed,
        EffectiveCost=exact_effective,
        ListCost=max(exact_billed, exact_effective),
        ContractedCost=max(exact_billed, exact_effective),
        BillingCurrency=CURRENCY,
        BillingPeriodStart=begin,
        BillingPeriodEnd=end,
        ChargePeriodStart=begin,
        ChargePeriodEnd=end,
        ChargeCategory=charge[0],
        ChargeFrequency=charge[1],
        ChargeDescription=item,
        ConsumedQuantity=Decimal(repr(used[0])).quantize(_EXACT),
        ConsumedUnit=used[1],
        ProviderName=provider,
        PublisherName=provider,
        InvoiceIssuerName=provider,
        RegionId=report.case.scenario.aws.region if aws else report.case.zones[0].part.name,
        ResourceId=item,
        ServiceCategory="Compute",
        ServiceName="AmazonEC2" if aws else "Private capacity",
        SubAccountId=report.case.scenario.scenario,
    )
