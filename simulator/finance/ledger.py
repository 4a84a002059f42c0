"""The ledger: every charge of the hybrid's horizon, private cost beside AWS, cash and spread cost kept apart.

A purchase is billed once with effective cost 0 and returns as monthly depreciation, billed 0; everything else is billed and
effective alike. Quantities, prices and money are DECIMAL.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Literal

from models.statement import CostLine
from models.units import MONTHS_PER_YEAR
from simulator.finance.cashflow import MONTHS_PER_QUARTER, at_quarter, fleet_by_quarter, stranded
from simulator.finance.opponents import hybrid
from simulator.finance.report import FinanceReport

CENT_PART = Decimal("0.000001")
_PRICE_PART = Decimal("0.0000000001")


@dataclass(frozen=True, slots=True)
class Charge:
    """One month of one item. `list_price` is what a unit costs without any discount; `zone` is a private zone, or None on AWS."""

    month: date
    item: str
    zone: str | None
    category: Literal["Purchase", "Usage"]
    frequency: Literal["One-Time", "Recurring", "Usage-Based"]
    quantity: Decimal
    unit: str
    price: Decimal
    list_price: Decimal
    billed: Decimal
    effective: Decimal

    @property
    def provider(self) -> str:
        """Who sends the bill."""
        return "AWS" if self.zone is None else "Private"


def ledger(report: FinanceReport) -> list[Charge]:
    """All charges in order of month, provider and item."""
    start = _first_month(report)
    charges = [*_purchases(report, start), *_running(report, start)]
    return sorted(charges, key=lambda c: (c.month, c.provider, c.item, c.category))


def month_after(month: date, offset: int = 1) -> date:
    """First day of the month `offset` months later.

    >>> month_after(date(2026, 11, 1), 3)
    datetime.date(2027, 2, 1)
    """
    number = month.year * MONTHS_PER_YEAR + month.month - 1 + offset
    return date(number // MONTHS_PER_YEAR, number % MONTHS_PER_YEAR + 1, 1)


def _first_month(report: FinanceReport) -> date:
    """The month in which the first servers are ready, or today's."""
    first = min((step.arrive_on for step in report.steps), default=report.case.scenario.as_of)
    return first.replace(day=1)


def _purchases(report: FinanceReport, start: date) -> Iterator[Charge]:
    """Each purchase line of each order: billed in its month, depreciated in a straight line to its residual over its life."""
    prices, months = report.case.prices.private, report.case.scenario.money.years * MONTHS_PER_YEAR
    life, kept = prices.life_years * MONTHS_PER_YEAR, 1.0 - prices.residual_share
    for offset, zone, item, usd in _bought(report):
        for again in range(offset, months, life):
            price = usd if again == offset else usd * kept
            yield _charge(month_after(start, again), item, zone, "Purchase", "One-Time", 1.0, "order", price)
            for month in range(again, min(again + life, months)):
                yield _charge(month_after(start, month), item, zone, "Usage", "Recurring", 1.0, "months", usd * kept / life, billed=False)


def _bought(report: FinanceReport) -> Iterator[tuple[int, str, str, float]]:
    """(month, zone, item, USD) of everything bought: growth of the purchase list from quarter to quarter, item by item."""
    case = report.case
    before = _by_item(report, {zone.part.name: zone.part.existing_nodes for zone in case.zones})
    for quarter, fleet in enumerate(fleet_by_quarter(case, report.steps)):
        for (zone, item), usd in _by_item(report, fleet).items():
            extra = usd - before.get((zone, item), 0.0)
            if extra > 0:
                yield quarter * MONTHS_PER_QUARTER, zone, item, extra
                before[zone, item] = usd


def _by_item(report: FinanceReport, fleet: Mapping[str, int]) -> dict[tuple[str, str], float]:
    found: dict[tuple[str, str], float] = {}
    for zone in report.case.zones:
        name = zone.part.name
        for line in zone.purchases(fleet.get(name, 0)):
            found[name, line.item] = found.get((name, line.item), 0.0) + line.usd
    return found


def _running(report: FinanceReport, start: date) -> Iterator[Charge]:
    """Every line that is paid by the month, and what is paid once at the start."""
    case = report.case
    fleets = fleet_by_quarter(case, report.steps)
    home = case.zones[0].part.name
    for quarter, fleet in enumerate(fleets):
        at = at_quarter(case, quarter)
        lines = [line for line in hybrid(at, fleet).lines if line.kind in ("operation", "staff", "aws")]
        for offset in range(quarter * MONTHS_PER_QUARTER, (quarter + 1) * MONTHS_PER_QUARTER):
            for line in lines:
                yield _of_line(month_after(start, offset), line, home, at.on_demand_usd_per_h)
    for month, usd in enumerate(stranded(case, fleets)):
        if usd:
            yield _charge(month_after(start, month - 1), "AWS unused commitment", None, "Usage", "Recurring", 1.0, "months", float(usd))
    once = hybrid(case, fleets[0]).once_usd if fleets else 0.0
    if once:
        yield _charge(start, "migration", home, "Usage", "One-Time", 1.0, "move", once)


def _of_line(month: date, line: CostLine, home: str, on_demand_usd_per_h: float) -> Charge:
    """A twelfth of a yearly line; AWS workers count hours, everything else months of its quantity."""
    if line.kind == "aws":
        hours = line.quantity / MONTHS_PER_YEAR
        return _charge(month, line.item, None, "Usage", "Usage-Based", hours, "Hours", line.unit_usd, listed=on_demand_usd_per_h)
    zone = None if line.item in ("Direct Connect ports", "data over the link", "data between the sides") else home
    return _charge(month, line.item, zone, "Usage", "Recurring", line.quantity, line.unit, line.unit_usd / MONTHS_PER_YEAR)


def _charge(
    month: date,
    item: str,
    zone: str | None,
    category: Literal["Purchase", "Usage"],
    frequency: Literal["One-Time", "Recurring", "Usage-Based"],
    quantity: float,
    unit: str,
    price: float,
    *,
    listed: float | None = None,
    billed: bool = True,
) -> Charge:
    """One charge; a purchase has no effective cost, depreciation is not billed."""
    amount, unit_price = _exact(quantity, CENT_PART), _exact(price, _PRICE_PART)
    cost = (amount * unit_price).quantize(CENT_PART)
    nothing = Decimal(0).quantize(CENT_PART)
    return Charge(
        month=month,
        item=item,
        zone=zone,
        category=category,
        frequency=frequency,
        quantity=amount,
        unit=unit,
        price=unit_price,
        list_price=unit_price if listed is None else _exact(listed, _PRICE_PART),
        billed=cost if billed else nothing,
        effective=nothing if category == "Purchase" else cost,
    )


def _exact(value: float, part: Decimal) -> Decimal:
    return Decimal(repr(value)).quantize(part)
