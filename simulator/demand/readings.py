"""The three readings of "half", kept apart: half of the users, of the peak, of the worker hours; each its own question.

They differ in general. By users and by peak agree only when all users share one profile; by worker hours asks how few
nodes, filled first, serve half of all demanded hours.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.case import schedulable
from models.demand import Demand
from models.dispatch import nodes_for, nodes_for_served_share, served_share
from models.node import NodeShape
from models.plan import Readings
from models.unknown import Unknown
from simulator.demand.profile import users_of


def readings(demand: Demand, private: NodeShape, *, packing_share: float, build_share: float, spare_nodes: int) -> Readings:
    """Private nodes, spares included, under each reading, in the resource that binds on `private`.

    by_users is None when no workload says how many users it has.
    """
    axis = demand.binding_axis(private)
    node = schedulable(private, axis) * packing_share
    total = demand.total(axis)
    users_peak = users_peak_demand(demand, axis, build_share)
    return Readings(
        by_users_nodes=None if isinstance(users_peak, Unknown) else nodes_for(users_peak, node) + spare_nodes,
        by_peak_nodes=nodes_for(build_share * float(total.max(initial=0.0)), node) + spare_nodes,
        by_worker_hours_nodes=nodes_for_served_share(total, node, build_share) + spare_nodes,
    )


def users_peak_demand(demand: Demand, axis: str, build_share: float) -> float | Unknown:
    """Peak of the joint demand of the first `build_share` of the users, teams taken whole in order, the last one split.

    Teams, not a slice of every team, because a team has one home; with one profile the order does not matter.
    """
    users = users_of(demand)
    if not users.sum():
        return Unknown("no workload carries a users label")
    return float((demand.requests[:, :, demand.axes.index(axis)] @ _moved(users, build_share)).max(initial=0.0))


def implied_premium(demand_m: NDArray[np.float64], capacity_m: float) -> float | Unknown:
    """Price ratio AWS / private at which this capacity would be the best: 1 / share of hours with demand above it.

    >>> implied_premium(np.array([1.0, 2.0, 3.0, 4.0]), 2.0)
    2.0
    """
    above = float(np.mean(demand_m > capacity_m))
    return 1.0 / above if above > 0 else Unknown("demand never exceeds this capacity")


def share_served(demand: Demand, private: NodeShape, nodes: int, packing_share: float) -> float:
    """Part of all demanded hours that `nodes` serve when filled first."""
    axis = demand.binding_axis(private)
    return served_share(demand.total(axis), nodes * schedulable(private, axis) * packing_share)


def _moved(users: NDArray[np.int64], share: float) -> NDArray[np.float64]:
    """Share of each class that moves: 1 for whole teams, the rest for the one at the border."""
    wanted = share * float(users.sum())
    before = np.cumsum(users) - users
    moved = np.clip(wanted - before, 0.0, users)
    return np.asarray(moved / np.maximum(users, 1))
