"""The zone plan: which zones to open and how many nodes each gets in every phase, solved to a certified gap."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array

from models.case import Case
from models.errors import InfeasiblePlan
from models.units import HOURS_PER_YEAR
from simulator.planner.constraints import Phase, ZoneOffer, add_burst, add_zones, meet_demand, only_add, open_zones
from simulator.planner.pooling import pool
from simulator.planner.problem import Problem
from simulator.planner.screening import check_limits, opponent_usd_per_h
from simulator.planner.steps import grown, lead_days

POINTS = 192
_GAP = 1e-7
_DAYS = 365.0


@dataclass(frozen=True)
class ZonePlan:
    """nodes[p] by zone, spares included; costs over the horizon. `lower` holds for every plan, `upper` is this plan's cost on all hours."""

    nodes: tuple[dict[str, int], ...]
    lower_usd: float
    upper_usd: float
    problem: Problem

    @property
    def gap(self) -> float:
        """Certified distance from the best plan, share of its cost."""
        return max(self.upper_usd - self.lower_usd, 0.0) / max(self.upper_usd, 1e-300)


def plan_zones(case: Case, *, futures: Sequence[NDArray[np.float64]] | None = None, points: int = POINTS) -> ZonePlan:
    """Least cost over the money horizon, one phase a year (one in all without growth); InfeasiblePlan names limits in conflict.

    Nodes cost their marginal server, zones what their first node needs besides, staff and link come with any zone, AWS the opponent's
    price for fractions of a worker. `futures` gives every phase (one year each) its own equally likely scenario-hours, any shape, in
    the demand's unit; the plan is then the one with the least expected cost.
    """
    check_limits(case)
    demands = phase_demands(case) if futures is None else [(np.ravel(hours), 1.0) for hours in futures]
    offers, any_usd = zone_offers(case)
    phases = [Phase(pool(demand, points), years) for demand, years in demands]
    problem = build(case, offers, phases, any_usd)
    found = solve(problem)
    nodes = [
        {o.name: round(found.values[problem.columns[f"n[{o.name},{p}]"]]) for o in offers} for p in range(len(phases))
    ]  # fmt: skip
    upper = sum(plan_cost(case, offers, any_usd, demand, years, count) for (demand, years), count in zip(demands, nodes, strict=True))
    owned = tuple({o.name: count[o.name] + o.spare for o in offers if count[o.name]} for count in nodes)
    return ZonePlan(owned, found.bound, upper, problem)


def with_zones_worth_opening(case: Case) -> Case:
    """The case without the zones that the zone plan leaves closed all the time; zones with nodes stay, and all stay when none opens."""
    if len(case.zones) == 1:
        return case
    opened = {name for nodes in plan_zones(case).nodes for name in nodes}
    kept = tuple(zone for zone in case.zones if zone.part.name in opened or zone.part.existing_nodes)
    return replace(case, zones=kept) if opened else case


def phase_demands(case: Case) -> list[tuple[NDArray[np.float64], float]]:
    """(hourly demand, years) of every phase: the year that begins when the first order is ready, and each one after it."""
    years = case.scenario.money.years
    if not case.scenario.demand.growth_share_per_year:
        return [(case.demand, float(years))]
    return [(grown(case, lead_days(case) + year * _DAYS).demand, 1.0) for year in range(years)]


def zone_offers(case: Case) -> tuple[list[ZoneOffer], float]:
    """Offers of all zones and the yearly cost that any private zone brings along."""
    prices = case.prices.private
    offers = []
    for zone in case.zones:
        part, node = zone.part, zone.marginal_usd_per_year(prices)
        opening = case.private_statement("", {part.name: 1}, 0.0).usd_per_year - zone.marginal_usd_per_year(prices) * zone.per_server
        offers.append(ZoneOffer(part.name, case.room(zone), node, opening, part.spare_nodes, part.existing_nodes, part.max_nodes))
    staff = case.scenario.planner.staff_fte * prices.staff_usd_per_fte_year
    return offers, staff + case.prices.link.ports_usd_per_year


def build(case: Case, offers: list[ZoneOffer], phases: list[Phase], any_usd: float) -> Problem:
    """The whole model."""
    problem, planner = Problem(), case.scenario.planner
    peak = max(float(phase.points.level[-1]) for phase in phases)
    add_zones(problem, offers, phases, any_usd)
    add_burst(problem, phases, opponent_usd_per_h(case) * HOURS_PER_YEAR, case.scenario.aws.max_nodes)
    meet_demand(problem, offers, phases, case.worker_room, case.scenario.demand.build_share if planner.dispatch == "pinned" else None)
    open_zones(problem, offers, phases, peak)
    only_add(problem, offers, phases)
    return problem


@dataclass(frozen=True)
class Found:
    """Column values and the proven lower bound."""

    values: NDArray[np.float64]
    bound: float


def solve(problem: Problem) -> Found:
    """Solve with HiGHS to a relative gap of 1e-7; InfeasiblePlan when no values satisfy all rows."""
    entries = [(r, problem.columns[name], value) for r, (terms, _, _) in enumerate(problem.rows.values()) for name, value in terms.items()]
    r, c, v = zip(*entries, strict=True)
    matrix = csr_array((v, (r, c)), shape=(len(problem.rows), len(problem.columns)))
    limits = LinearConstraint(matrix, [low for _, low, _ in problem.rows.values()], [high for _, _, high in problem.rows.values()])
    bounds = Bounds(np.array(problem.low), np.array(problem.high))
    whole = np.array(problem.integer, dtype=int)
    with _solver_output_on_stderr():
        found = milp(problem.cost, constraints=limits, bounds=bounds, integrality=whole, options={"mip_rel_gap": _GAP})
    if found.x is None:
        names = sorted({name.split("[")[0] for name in problem.rows} | {"aws.max_nodes"})
        raise InfeasiblePlan(names, f"the solver found no plan ({found.message})")
    bound = found.mip_dual_bound if found.mip_dual_bound is not None else found.fun
    return Found(np.asarray(found.x), float(bound))


@contextmanager
def _solver_output_on_stderr() -> Iterator[None]:
    """HiGHS prints a line of its own on the process's stdout now and then; results must stay alone there."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        ctypes.CDLL(None).fflush(None)
        os.dup2(kept, 1)
        os.close(kept)


def plan_cost(
    case: Case, offers: list[ZoneOffer], any_usd: float, demand: NDArray[np.float64], years: float, nodes: dict[str, int]
) -> float:
    """Cost of a phase on every hour, in the model's own terms: fractions of AWS workers, marginal servers, opened zones."""
    room = sum(offer.room * nodes[offer.name] for offer in offers)
    planner, share = case.scenario.planner, case.scenario.demand.build_share
    served = np.minimum(demand * (share if planner.dispatch == "pinned" else 1.0), room)
    workers = float(np.mean(demand - served)) / case.worker_room
    own = sum(o.node_usd * (nodes[o.name] + o.spare) + o.open_usd for o in offers if nodes[o.name])
    return years * (own + (any_usd if any(nodes.values()) else 0.0) + workers * opponent_usd_per_h(case) * HOURS_PER_YEAR)
