"""Readings and the least-cost table: what "half" means three ways, and what costs least under three views of a node's price."""

from __future__ import annotations

from models.case import Case
from models.dispatch import nodes_for, nodes_for_served_share
from models.plan import Readings
from models.statement import CostView
from simulator.planner.screening import find_rule


def readings(case: Case) -> Readings:
    """The three readings of "half" on the first zone's nodes, spares included.

    by users: the homed users' own peak, None when users are not known; by peak: that share of the peak; by worker hours: the
    fewest nodes that serve that share of all demanded hours when filled first. Shipped case: 40, 40, 26.
    """
    zone, share = case.zones[0], case.scenario.demand.build_share
    room, spare = case.room(zone), zone.part.spare_nodes
    return Readings(
        by_users_nodes=None if case.users_peak is None else nodes_for(case.users_peak, room) + spare,
        by_peak_nodes=nodes_for(share * float(case.demand.max(initial=0.0)), room) + spare,
        by_worker_hours_nodes=nodes_for_served_share(case.demand, room, share) + spare,
    )


def reference_nodes(case: Case) -> int:
    """Nodes at which average costs are taken: the by-users reading, or by peak when users are not known."""
    half = readings(case)
    return max(half.by_peak_nodes if half.by_users_nodes is None else half.by_users_nodes, 1)


def average_usd_per_node(case: Case, nodes: int, staff_fte: float) -> float:
    """Whole private cost of `nodes` in the first zone, divided by them."""
    return case.private_statement("average", {case.zones[0].part.name: nodes}, staff_fte).usd_per_year / nodes


def staffed_fte(case: Case) -> float:
    """Staff of the view with staff: the scenario's own, and one person where it has none."""
    return case.scenario.planner.staff_fte if case.scenario.planner.staff_fte > 0 else 1.0


def least_cost_table(case: Case) -> tuple[CostView, ...]:
    """What costs least at average cost without and with staff, and at marginal cost; on demand and at the best commitment.

    Averages are taken at `reference_nodes`. Shipped case: 61/40, 54/23, 72/55.
    """
    reference = reference_nodes(case)
    views: tuple[tuple[str, float | None], ...] = (
        ("average_no_staff", average_usd_per_node(case, reference, 0.0)),
        ("average_with_staff", average_usd_per_node(case, reference, staffed_fte(case))),
        ("marginal", None),
    )
    return tuple(_view(case, name, usd) for name, usd in views)


def _view(case: Case, name: str, usd: float | None) -> CostView:
    nodes = {}
    for opponent in ("on_demand", "best_commitment"):
        found = find_rule(case.with_scenario(case.scenario.varied({"planner.opponent": opponent})), usd)
        nodes[opponent] = int(found.nodes[found.optimum])
    price = found.slots[-1].usd_per_year if usd is None and found.slots else usd or 0.0
    return CostView(name, price, nodes["on_demand"], nodes["best_commitment"])
