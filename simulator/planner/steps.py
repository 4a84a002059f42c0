"""Build steps: what to order when, so that each order is ready for the quarter that it must serve."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, timedelta

from models.case import Case
from models.plan import Step

DAYS_PER_YEAR = 365
QUARTER_DAYS = 91


def grown(case: Case, days: float) -> Case:
    """The case with its demand grown for `days` at the scenario's yearly rate."""
    return case.scaled((1.0 + case.scenario.demand.growth_share_per_year) ** (days / DAYS_PER_YEAR))


def lead_days(case: Case) -> int:
    """Order to ready of the slowest zone, whole days."""
    return max(round(zone.part.lead_time_weeks * 7) for zone in case.zones)


def build_steps(case: Case, size: Callable[[Case], Mapping[str, int]]) -> tuple[Step, ...]:
    """Orders over the money horizon; `size` gives nodes by zone for a demand.

    An order covers the quarter in which it arrives and no later one, and nothing is ever removed: with growth likely, sizing one
    order for a server's whole life over-builds. Nodes that already stand are not ordered again.
    """
    owned = {zone.part.name: zone.part.existing_nodes for zone in case.zones}
    quarters = case.scenario.money.years * 4 if case.scenario.demand.growth_share_per_year else 1
    steps: list[Step] = []
    for quarter in range(quarters):
        wait = quarter * QUARTER_DAYS
        wanted = size(grown(case, lead_days(case) + wait))
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
