"""Cases for the tests about money and sizing: the shipped company's demand, written out from its calendar."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from models.case import Case
from models.demand import Demand
from models.horizon import Horizon
from models.resources import ResourceAxes
from simulator import catalog

WEEKDAY = [6, 5, 5, 5, 5, 6, 8, 12, 30, 62, 78, 80, 56, 74, 80, 80, 79, 74, 55, 40, 30, 22, 15, 9]
WEEKEND = [4, 3, 3, 3, 3, 3, 4, 5, 7, 10, 12, 12, 10, 11, 12, 12, 12, 11, 9, 8, 7, 6, 5, 4]


def company_demand_m(users: int = 1000, cpu_m: int = 5000) -> np.ndarray:
    """Requested millicores by hour: users x active per cent x 5 vCPU, 365 days from a Monday."""
    active = np.array([share for day in range(365) for share in (WEEKDAY if day % 7 < 5 else WEEKEND)])
    return active * float(users * cpu_m) / 100.0


def demand_of(requests_m: np.ndarray) -> Demand:
    """A demand that only asks for CPU, one class."""
    table = np.zeros((requests_m.size, 1, 3))
    table[:, 0, 0] = requests_m
    start = Horizon(datetime(2025, 1, 5, 15, tzinfo=UTC), requests_m.size)
    return Demand(start, ResourceAxes(), ("all",), table, (), "requests")


def shipped_case(demand_m: np.ndarray | None = None, **changes: Any) -> Case:
    """The shipped scenario with dotted overrides spelled with __ for dots: planner__staff_fte=0."""
    scenario = catalog.load_scenario("half-private-40").varied({key.replace("__", "."): value for key, value in changes.items()})
    demand = company_demand_m() if demand_m is None else demand_m
    return catalog.case(scenario, demand_of(demand), users_peak=float(demand.max(initial=0.0)) * scenario.demand.build_share)


def with_zone(case: Case, **changes: Any) -> Case:
    """The case with its first zone changed."""
    scenario = case.scenario.varied({f"zones.0.{key}": value for key, value in changes.items()})
    part = scenario.zones[0]
    zone = catalog.zone_build(part, case.parameters)
    return replace(case, scenario=scenario, zones=(zone, *case.zones[1:]))
