"""Cash flow: what every opponent takes from the bank month by month, growth, price changes, refresh and terminal value included."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.case import Case
from models.plan import Step
from models.statement import CashFlow
from models.units import MONTHS_PER_YEAR
from simulator.finance.opponents import BEST, HYBRID, all_private_nodes, at_same_rate, aws_opponents, hybrid, private_only

DAYS_PER_YEAR = 365.0
MONTHS_PER_QUARTER = 3
Fleet = Mapping[str, int]


@dataclass(frozen=True)
class Batch:
    """Servers and gear bought together: paid in `month`, price in USD."""

    month: int
    usd: float


def quarters(case: Case) -> range:
    """Quarters of the horizon."""
    return range(case.scenario.money.years * MONTHS_PER_YEAR // MONTHS_PER_QUARTER)


def at_quarter(case: Case, quarter: int) -> Case:
    """The case in a quarter after the first servers are ready: demand grown, AWS prices changed."""
    lead = max(zone.part.lead_time_weeks for zone in case.zones) * 7 / DAYS_PER_YEAR
    growth = (1.0 + case.scenario.demand.growth_share_per_year) ** (lead + quarter / 4.0)
    change = (1.0 + case.prices.aws.price_change_share_per_year) ** (quarter // 4)
    if growth == 1.0 and change == 1.0:
        return case
    return at_same_rate(case, case.scaled(growth), change)


def fleet_by_quarter(case: Case, steps: Sequence[Step]) -> list[dict[str, int]]:
    """Nodes by zone in every quarter, from the steps' arrival dates; quarter 0 begins when the first order is ready."""
    standing = {zone.part.name: zone.part.existing_nodes for zone in case.zones if zone.part.existing_nodes}
    if not steps:
        return [dict(standing) for _ in quarters(case)]
    start = min(step.arrive_on for step in steps)
    fleets = []
    for quarter in quarters(case):
        fleet = dict(standing)
        for step in steps:
            if (step.arrive_on - start).days <= quarter * DAYS_PER_YEAR / 4.0:
                fleet[step.zone] = fleet.get(step.zone, 0) + step.nodes
        fleets.append(fleet)
    return fleets


def aws_flow(case: Case, name: str) -> CashFlow:
    """AWS paid by the month."""
    yearly = [next(s for s in aws_opponents(at_quarter(case, q)) if s.name == name).usd_per_year for q in quarters(case)]
    return CashFlow(name, _monthly(yearly))


def hybrid_flow(case: Case, steps: Sequence[Step]) -> CashFlow:
    """The plan's own flow: purchases when they arrive, running cost and AWS by the month, commitments that it strands."""
    fleets = fleet_by_quarter(case, steps)
    flow = owned_flow(case, HYBRID, fleets, lambda at, fleet: hybrid(at, fleet).cash_usd_per_year)
    return CashFlow(HYBRID, flow.usd + stranded(case, fleets))


def stranded(case: Case, fleets: Sequence[Fleet]) -> NDArray[np.float64]:
    """Promised AWS spend that the hybrid no longer uses, by month: float64 [months + 1]; only leaving AWS strands it."""
    promised = case.prices.commitment
    lost = np.zeros(len(fleets) * MONTHS_PER_QUARTER + 1)
    for quarter, fleet in enumerate(fleets):
        burst = hybrid(at_quarter(case, quarter), fleet).of("aws") / MONTHS_PER_YEAR
        for month in range(quarter * MONTHS_PER_QUARTER + 1, (quarter + 1) * MONTHS_PER_QUARTER + 1):
            lost[month] = max(promised.usd_in_month(month) - burst, 0.0)
    return lost


def private_flow(case: Case) -> CashFlow:
    """Everything owned from the first month on, grown with the demand."""
    fleets: list[dict[str, int]] = []
    for quarter in quarters(case):
        wanted = all_private_nodes(at_quarter(case, quarter))
        before = fleets[-1] if fleets else {}
        fleets.append({zone: max(count, before.get(zone, 0)) for zone, count in wanted.items()})
    name = private_only(case).name
    fte = case.scenario.planner.staff_fte
    return owned_flow(case, name, fleets, lambda at, fleet: at.private_statement(name, fleet, fte).cash_usd_per_year)


def owned_flow(case: Case, name: str, fleets: Sequence[Fleet], cash: Callable[[Case, Fleet], float]) -> CashFlow:
    """Purchases, refresh, terminal value and running cost of a fleet that changes by the quarter."""
    flow = _monthly([cash(at_quarter(case, q), fleet) for q, fleet in enumerate(fleets)])
    for batch in batches(case, fleets):
        flow[batch.month] += batch.usd
    flow += renewals(case, fleets)
    flow[0] += case.private_statement(name, fleets[0], 0.0).once_usd if fleets else 0.0
    return CashFlow(name, flow)


def renewals(case: Case, fleets: Sequence[Fleet]) -> NDArray[np.float64]:
    """Servers bought again at the end of their life, less the terminal value, by month: float64 [months + 1]."""
    flow, prices = np.zeros(len(fleets) * MONTHS_PER_QUARTER + 1), case.prices.private
    for batch in batches(case, fleets):
        renew(flow, batch, prices.life_years * MONTHS_PER_YEAR, prices.residual_share)
    return flow


def batches(case: Case, fleets: Sequence[Fleet]) -> list[Batch]:
    """What is bought when: the growth of the purchase list from quarter to quarter; what already stands is sunk."""
    standing = {zone.part.name: zone.part.existing_nodes for zone in case.zones}
    paid, bought = _price(case, standing), []
    for quarter, fleet in enumerate(fleets):
        price = _price(case, fleet)
        if price > paid:
            bought.append(Batch(quarter * MONTHS_PER_QUARTER, price - paid))
            paid = price
    return bought


def renew(flow: NDArray[np.float64], batch: Batch, life: int, residual_share: float) -> None:
    """Buy a batch again at the end of each life, and credit what it is worth when the horizon ends.

    Worth falls in a straight line from price to residual; a batch at the end of its life is worth its residual.
    """
    end = flow.size - 1
    month = batch.month
    while month + life < end:
        month += life
        flow[month] += batch.usd * (1.0 - residual_share)
    left = 1.0 - (end - month) / life
    flow[end] -= batch.usd * (residual_share + (1.0 - residual_share) * left)


def saving(best: CashFlow, chosen: CashFlow) -> NDArray[np.float64]:
    """What the chosen plan saves against its opponent, month by month: float64 [months + 1]."""
    return best.usd - chosen.usd


def all_flows(case: Case, steps: Sequence[Step]) -> tuple[CashFlow, ...]:
    """Cash flows of all opponents, in the order of the statements."""
    aws = tuple(aws_flow(case, statement.name) for statement in aws_opponents(case))
    return (*aws, private_flow(case), hybrid_flow(case, steps))


def opponent_flow(flows: Sequence[CashFlow]) -> CashFlow:
    """The flow that a plan must beat: AWS at its best."""
    return next(flow for flow in flows if flow.name == BEST)


def _price(case: Case, fleet: Fleet) -> float:
    return sum(line.usd for line in case.purchases(fleet))


def _monthly(yearly_by_quarter: Sequence[float]) -> NDArray[np.float64]:
    """A flow whose months 1.. carry a twelfth of the yearly amount of their quarter; month 0 is empty."""
    months = np.repeat(np.asarray(yearly_by_quarter, dtype=np.float64), MONTHS_PER_QUARTER) / MONTHS_PER_YEAR
    return np.concatenate(([0.0], months))
