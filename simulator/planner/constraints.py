"""Families of limits and variables of the zone plan, one function each.

Symbols: n[z,p] working nodes of zone z in phase p; a[z,p] zone open; b[p] any zone open; e[p,h] AWS workers at demand point h.
"""

from __future__ import annotations

from dataclasses import dataclass

from simulator.planner.pooling import Points
from simulator.planner.problem import Problem

_NUDGE = 1e-6


@dataclass(frozen=True)
class ZoneOffer:
    """One zone: room of a node, yearly cost of a node and of opening the zone, spares, nodes that stand, most nodes with spares."""

    name: str
    room: float
    node_usd: float
    open_usd: float
    spare: int
    standing: int
    most: int | None


@dataclass(frozen=True)
class Phase:
    """Part of the horizon: its demand points and how many years it lasts."""

    points: Points
    years: float


def add_zones(problem: Problem, offers: list[ZoneOffer], phases: list[Phase], any_usd: float) -> None:
    """Columns n, a, b with their yearly cost; spares and fixed items are paid with a, staff and link with b.

    Zones that cost the same are filled in the scenario's order: each later one counts a millionth dearer.
    """
    for p, phase in enumerate(phases):
        problem.column(f"b[{p}]", any_usd * phase.years, high=1, integer=True)
        for number, offer in enumerate(offers):
            years = phase.years * (1.0 + _NUDGE * number)
            must = max(offer.standing - offer.spare, 0)
            problem.column(f"n[{offer.name},{p}]", offer.node_usd * years, low=must, integer=True)
            fixed = (offer.open_usd + offer.spare * offer.node_usd) * years
            problem.column(f"a[{offer.name},{p}]", fixed, high=1, integer=True)


def add_burst(problem: Problem, phases: list[Phase], worker_usd_per_year: float, most: int) -> None:
    """Columns e[p,h]: AWS workers at a demand point, at most the quota; each costs its share of the year."""
    for p, phase in enumerate(phases):
        for h, share in enumerate(phase.points.share):
            problem.column(f"e[{p},{h}]", worker_usd_per_year * float(share) * phase.years, high=most)


def meet_demand(problem: Problem, offers: list[ZoneOffer], phases: list[Phase], worker_room: float, pinned_share: float | None) -> None:
    """sum_z room_z n[z,p] + room e[p,h] >= D[p,h]; with pinned users also room e[p,h] >= (1 - share) D[p,h]."""
    for p, phase in enumerate(phases):
        for h, level in enumerate(phase.points.level):
            owned = {f"n[{offer.name},{p}]": offer.room for offer in offers}
            problem.row(f"demand[{p},{h}]", {**owned, f"e[{p},{h}]": worker_room}, low=float(level))
            if pinned_share is not None:
                problem.row(f"homed_on_aws[{p},{h}]", {f"e[{p},{h}]": worker_room}, low=(1.0 - pinned_share) * float(level))


def open_zones(problem: Problem, offers: list[ZoneOffer], phases: list[Phase], peak: float) -> None:
    """n[z,p] <= (limit - spare) a[z,p] and a[z,p] <= b[p]; without a limit, the nodes of the peak."""
    for p in range(len(phases)):
        for offer in offers:
            free = int(peak / offer.room) + 1
            most = free if offer.most is None else max(offer.most - offer.spare, 0)
            problem.row(f"open[{offer.name},{p}]", {f"n[{offer.name},{p}]": 1.0, f"a[{offer.name},{p}]": -float(most)}, high=0.0)
            problem.row(f"staffed[{offer.name},{p}]", {f"a[{offer.name},{p}]": 1.0, f"b[{p}]": -1.0}, high=0.0)


def only_add(problem: Problem, offers: list[ZoneOffer], phases: list[Phase]) -> None:
    """n[z,p] >= n[z,p-1]: nothing that was bought is given back."""
    for p in range(1, len(phases)):
        for offer in offers:
            problem.row(f"keep[{offer.name},{p}]", {f"n[{offer.name},{p}]": 1.0, f"n[{offer.name},{p - 1}]": -1.0}, low=0.0)
