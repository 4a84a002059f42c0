"""CostStatement, CashFlow and Comparison: AWS only, private only, hybrid, in one form.

Two views are never mixed: a statement spreads purchases over their life (annuity); a cash flow takes them when they are paid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from models.costs import annuity
from models.price import PrivatePrices
from models.units import MONTHS_PER_YEAR
from models.unknown import Unknown
from models.zones import BomLine

LineKind = Literal["capital", "once", "operation", "staff", "aws"]


@dataclass(frozen=True, slots=True)
class CostLine:
    """One line of a statement: `usd_per_year` = quantity x unit_usd; `why` says where the quantity comes from."""

    item: str
    kind: LineKind
    quantity: float
    unit: str
    unit_usd: float
    why: str = ""

    @property
    def usd_per_year(self) -> float:
        """Yearly cost."""
        return self.quantity * self.unit_usd


@dataclass(frozen=True)
class CostStatement:
    """Yearly cost of one way to serve the demand, line by line, and the purchase list behind it.

    `standing_usd` is the price of the part of the list that already stands and is not bought again.
    """

    name: str
    lines: tuple[CostLine, ...]
    purchases: tuple[BomLine, ...] = ()
    standing_usd: float = 0.0

    @property
    def usd_per_year(self) -> float:
        """Sum of all lines."""
        return sum(line.usd_per_year for line in self.lines)

    @property
    def capex_usd(self) -> float:
        """Sum of all purchases beyond what already stands."""
        return max(self.purchases_usd - self.standing_usd, 0.0)

    @property
    def purchases_usd(self) -> float:
        """Sum of the whole purchase list."""
        return sum(line.usd for line in self.purchases)

    def of(self, *kinds: LineKind) -> float:
        """Yearly cost of the lines of these kinds."""
        return sum(line.usd_per_year for line in self.lines if line.kind in kinds)

    @property
    def cash_usd_per_year(self) -> float:
        """What is paid every year besides the purchases."""
        return self.of("operation", "staff", "aws")

    @property
    def once_usd(self) -> float:
        """What is paid once, at the start, besides the purchases."""
        return sum(line.quantity for line in self.lines if line.kind == "once")

    def with_lines(self, name: str, *lines: CostLine) -> CostStatement:
        """The same purchases under another name with more lines."""
        return replace(self, name=name, lines=(*self.lines, *lines))


@dataclass(frozen=True)
class CashFlow:
    """Costs paid, USD, float64 [months + 1]; month 0 is the day the servers are ready. Terminal value is a negative cost at the end."""

    name: str
    usd: NDArray[np.float64]

    @property
    def total_usd(self) -> float:
        """Undiscounted sum."""
        return float(self.usd.sum())

    def years(self) -> NDArray[np.float64]:
        """Sums per year: float64 [years + 1]; element 0 is month 0."""
        return np.concatenate((self.usd[:1], self.usd[1:].reshape(-1, MONTHS_PER_YEAR).sum(axis=1)))


@dataclass(frozen=True)
class Comparison:
    """Opponents side by side over one horizon. NPV, IRR and payback compare `chosen` with `opponent`.

    `saving_usd` : float64 [months + 1] = opponent's cost less the chosen plan's, month by month.
    `recovering_usd` : float64 [months + 1], the saving without servers bought again and without terminal value; paybacks read it.
    `billed_is_list` : no bill was given, so the list price stands in for AWS as billed.
    """

    statements: tuple[CostStatement, ...]
    flows: tuple[CashFlow, ...]
    chosen: str
    opponent: str
    saving_usd: NDArray[np.float64]
    recovering_usd: NDArray[np.float64]
    npv_usd: float
    irr: float | Unknown
    payback_months: float | Unknown
    discounted_payback_months: float | Unknown
    breakeven_nodes: int | Unknown
    breakeven_share: float
    billed_is_list: bool = False
    notes: tuple[str, ...] = ()

    def statement(self, name: str) -> CostStatement:
        """The statement of that name."""
        return next(item for item in self.statements if item.name == name)

    def flow(self, name: str) -> CashFlow:
        """The cash flow of that name."""
        return next(item for item in self.flows if item.name == name)

    def opponents_usd(self) -> dict[str, float]:
        """Undiscounted cost over the horizon by name."""
        return {flow.name: flow.total_usd for flow in self.flows}


@dataclass(frozen=True, slots=True)
class Driver:
    """One bar of a tornado: yearly cost of the chosen plan and the best number of nodes at both ends of a parameter's range.

    `turning_value` is where the best plan first changes by one node, Unknown when it does not within the range.
    """

    parameter: str
    unit: str
    confidence: str
    value: float
    low: float
    high: float
    cost_low_usd: float
    cost_high_usd: float
    nodes_low: int
    nodes_high: int
    turning_value: float | Unknown

    @property
    def swing_usd(self) -> float:
        """Width of the bar."""
        return abs(self.cost_high_usd - self.cost_low_usd)


def private_statement(name: str, purchases: Sequence[BomLine], prices: PrivatePrices, staff_fte: float) -> CostStatement:
    """Yearly cost of owning `purchases`: annuity, space, energy, support, maintenance, staff.

    Space is paid for peak kilowatts, energy for mean ones. 40 workers of the shipped case: 153,479.72 + 37,558.51 + 12,264 +
    37,125 + 49,024 = 289,451.23 USD a year, 379,673.45 with one person.
    """
    capex = sum(line.usd for line in purchases)
    peak_kw = sum(line.quantity * line.watts_each for line in purchases) / 1000.0
    mean_kw = mean_draw_kw(purchases, prices)
    supported = sum(line.quantity for line in purchases if line.supported)
    servers = sum(line.quantity for line in purchases if line.worker)
    years, rate = prices.life_years, prices.discount_rate_share
    factor = annuity(rate, years, 1.0, prices.residual_share)
    lines = [
        CostLine(
            "capital", "capital", capex, "USD bought", factor, f"annuity at {rate:.1%}, {years} years, residual {prices.residual_share:.0%}"
        ),
        CostLine("colocation", "operation", peak_kw, "kW peak", prices.colocation_usd_per_kw_month * MONTHS_PER_YEAR, "sum of peak watts"),
        CostLine("energy", "operation", mean_kw, "kW mean", prices.energy_usd_per_kw_year, "mean draw x PUE x 8,760 h x tariff"),
        CostLine(
            "operating-system support", "operation", supported, "servers", prices.os_support_usd_per_node_year, "every supported server"
        ),
        CostLine("hardware maintenance", "operation", capex, "USD bought", prices.hardware_maintenance_share_per_year, "share of price"),
    ]
    if staff_fte:
        lines.append(CostLine("staff", "staff", staff_fte, "FTE", prices.staff_usd_per_fte_year, "twelve months a year"))
    if prices.migration_usd_per_node:
        moved = servers * prices.migration_usd_per_node
        lines.append(
            CostLine("migration", "once", moved, "USD paid once", annuity(rate, years, 1.0), "labour and dual run of every server")
        )
    return CostStatement(name, tuple(lines), tuple(purchases))


def mean_draw_kw(purchases: Sequence[BomLine], prices: PrivatePrices) -> float:
    """Mean kilowatts at the wall: every line's peak times the share its kind draws on average."""
    return (
        sum(
            line.quantity * line.watts_each * (prices.worker_mean_draw_share if line.worker else prices.infrastructure_mean_draw_share)
            for line in purchases
        )
        / 1000.0
    )


def marginal_usd_per_year(purchases: Sequence[BomLine], prices: PrivatePrices) -> float:
    """What one more worker server costs a year: annuity, space, energy, support and maintenance of that server alone.

    Shipped case: 3,005.48 + 823.74 + 306.60 + 825 + 960 = 5,920.82 USD.
    """
    worker = next(line for line in purchases if line.worker)
    one = BomLine(worker.item, 1, worker.unit_usd, worker.watts_each, worker.supported, worker.why, worker=True)
    return private_statement("one more server", [one], prices, 0.0).usd_per_year


@dataclass(frozen=True)
class CostCurve:
    """What every number of owned nodes costs a year: int64 and float64 arrays [capacities], as the screening tier finds them."""

    nodes: NDArray[np.int64]
    busy_share: NDArray[np.float64]
    aws_worker_hours: NDArray[np.float64]
    private_usd: NDArray[np.float64]
    aws_usd: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class CostView:
    """One row of the least-cost table: a yearly cost of a node, and the nodes (with spares) that cost least under it."""

    name: str
    usd_per_node_year: float
    on_demand_nodes: int
    best_nodes: int


@dataclass(frozen=True, slots=True)
class DispatchCheck:
    """What AWS still takes under one dispatch, and what it no longer takes; worker-hours and USD a year."""

    dispatch: str
    worker_hours: float
    left_usd: float
    avoided_usd: float
    avoided_best_usd: float
    saving_usd: float


@dataclass(frozen=True)
class RuleCheck:
    """The private cost of the rule's own number of nodes, and both ways to dispatch it. `saving_usd` counts one `fte`.

    `by_users`: the nodes carry the homed users' own peak; users are not known otherwise, and a share of the peak stands in.
    """

    nodes: int
    by_users: bool
    capex_usd: float
    without_staff: CostStatement
    fte: float
    with_staff_usd_per_year: float
    dispatches: tuple[DispatchCheck, ...]
