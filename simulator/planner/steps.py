"""Build steps: what to order when, so that each order is ready for the quarter that it must serve."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date, timedelta

import numpy as np

from models.case import Case
from models.plan import Step

DAYS_PER_YEAR = 365
QUARTER_DAYS = 91


def grown(case: Case, days: float) -> Case:
    """The case with its demand grown for `days` at the scenario's yearly rate."""
    return case.scaled((1.0 + case.scenario.demand.growth_share_per_year) ** (days / DAYS_PER_YEAR))


def quarters_served(case: Case) -> int:
    """Quarters whose demand counts for an order: 1, or, when demand shrinks, those of the horizon within a server's life."""
    if case.scenario.demand.growth_share_per_year >= 0:
        return 1
    return 4 * min(case.scenario.money.years, case.prices.private.life_years)


def to_serve(case: Case, wait_days: int = 0) -> Case:
    """The case that an order placed `wait_days` from now must suit: the demand of the day it arrives.

    When demand shrinks, nothing of the order can be given back: it must suit all its life, so the hours of every quarter served count
    alike. A node is then worth owning when it works in more than its break-even share of the pooled hours (the quantile rule on the
    pooled distribution), and the growth that the demand now holds is taken out of the scenario.
    """
    first = lead_days(case) + wait_days
    quarters = [grown(case, first + quarter * DAYS_PER_YEAR / 4.0) for quarter in range(quarters_served(case))]
    if len(quarters) == 1:
        return quarters[0]
    steady = case.scenario.varied({"demand.growth_share_per_year": 0.0})
    return replace(quarters[0], demand=np.concatenate([quarter.demand for quarter in quarters])).with_scenario(steady)


def lead_days(case: Case) -> int:
    """Order to ready of the slowest zone, whole days."""
    return max(round(zone.part.lead_time_weeks * 7) for zone in case.zones)


def build_steps(case: Case, size: Callable[[Case], Mapping[str, int]]) -> tuple[Step, ...]:
    """Orders over the money horizon; `size` gives nodes by zone for a demand.

    An order covers the quarter in which it arrives and no later one, and nothing is ever removed: with growth likely, sizing one
    order for a server's whole life over-builds. Demand that shrinks takes one order, sized for its life (`to_serve`). Nodes that
    already stand are not ordered again.
    """
    owned = {zone.part.name: zone.part.existing_nodes for zone in case.zones}
    quarters = case.scenario.money.years * 4 if case.scenario.demand.growth_share_per_year > 0 else 1
    steps: list[Step] = []
    for quarter in range(quarters):
        wait = quarter * QUARTER_DAYS
        wanted = size(to_serve(case, wait))
        for zone in case.zones:
            part = zone.part
            extra = wanted.get(part.name, 0) - owned[part.name]
            if extra <= 0:
                continue
            owned[part.name] += extra
            ordered = _later(case.scenario.as_of, wait)
            arrives = _later(ordered, round(part.lead_time_weeks * 7))
            steps.append(Step(order_on=ordered, arrive_on=arrives, zone=part.name, shape=zone.node.name, nodes=extra))
    return tuple(steps)


def _later(day: date, days: int) -> date:
    return day + timedelta(days=days)
