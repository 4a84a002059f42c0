"""A scheduling round of Karpenter over a run's kinds: what new nodes pods need, and which pools offer them.

Every pool of the run that may grow is a type on offer (an instance type as spot or on demand); pools of one group are the
offers of one NodePool. The rule is that of `autoscalers.karpenter`; pods of a run have no wishes, spread or affinity.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.fleet import NodePool
from simulator.engine.node_autoscalers.schedule_kernels import schedule
from simulator.engine.node_autoscalers.view import ClusterView, Matrix, Vector

Flags = NDArray[np.bool_]
NO_LIMIT = int(np.iinfo(np.int64).max)


@dataclass(frozen=True)
class Offers:
    """What may be launched. `types` are pools of the run, in catalog order; `groups` the NodePools in the order they are tried.

    allocatable : int64 [types, axes]; price : float64 [types]; spot : bool [types]; member : bool [groups, types];
    takes : bool [groups, kinds]; group_of : int64 [types]
    """

    types: tuple[int, ...]
    groups: tuple[str, ...]
    allocatable: Matrix
    price: NDArray[np.float64]
    spot: Flags
    member: Flags
    takes: Flags
    group_of: Vector

    @classmethod
    def of(cls, view: ClusterView) -> Offers:
        """The elastic pools of a run. An owned pool that may grow costs nothing; a rented one without a price costs most."""
        pools = view.state.layout.pools
        types = tuple(view.elastic)
        weight = {name: max(_weight(pools[q]) for q in types if group(pools[q]) == name) for name in {group(pools[q]) for q in types}}
        groups = tuple(sorted(weight, key=lambda name: (*(-part for part in weight[name]), name)))
        member = np.array([[group(pools[q]) == name for q in types] for name in groups], np.bool_).reshape(len(groups), len(types))
        takes = np.array([view.allowed[[q for q in types if group(pools[q]) == name]].any(axis=0) for name in groups], np.bool_)
        return cls(
            types,
            groups,
            view.offers[list(types)],
            np.array([_price(pools[q]) for q in types], np.float64),
            np.array([pools[q].spot for q in types], np.bool_),
            member,
            takes.reshape(len(groups), view.allowed.shape[1]),
            member.argmax(axis=0).astype(np.int64) if types else np.zeros(0, np.int64),
        )


@dataclass(frozen=True)
class Claim:
    """A node about to be launched. types : bool [types] that hold it; requests : int64 [axes]."""

    group: int
    types: Flags
    requests: Vector

    def cheapest(self, offers: Offers) -> int:
        """The type that is launched: least price, then catalog order."""
        held = np.flatnonzero(self.types)
        return int(held[np.argmin(offers.price[held])])


@dataclass(frozen=True)
class Round:
    """Claims, pods placed on given nodes (int64 [nodes, kinds]) and pods left (int64 [kinds])."""

    claims: tuple[Claim, ...]
    placed: Matrix
    left: Vector


def group(pool: NodePool) -> str:
    """The NodePool that a pool of the run belongs to."""
    return pool.group or pool.name


def _weight(pool: NodePool) -> tuple[int, int]:
    return int(pool.private), pool.priority if pool.private else pool.weight


def _price(pool: NodePool) -> float:
    if pool.private:
        return 0.0
    return float("inf") if pool.usd_per_h is None else pool.usd_per_h


def run_round(wanted: Vector, view: ClusterView, offers: Offers, free: Matrix, allowed: Flags, room: Vector, most: int = 2**31) -> Round:
    """Where `wanted` pods of each kind go: to nodes with `free` room (rows in order), else to new nodes.

    free : int64 [nodes, axes]; allowed : bool [nodes, kinds]; room : int64 [types] nodes that each type can still launch.
    Beyond `most` claims the round stops; its `left` is then not zero.
    """
    groups, types, kinds = len(offers.groups), len(offers.types), wanted.size
    group_room = np.array([_group_room(offers, view, room, g) for g in range(groups)], np.int64)
    claims = int(min(group_room.sum(), wanted.sum()))
    pool_of, asked = np.zeros(claims, np.int64), np.zeros((claims, view.requests.shape[1]), np.int64)
    flags, counts = np.zeros((claims, types), np.bool_), np.zeros((claims, kinds), np.int64)
    placed, left = np.zeros((len(free), kinds), np.int64), np.zeros(kinds, np.int64)
    remaining = np.full((groups, view.requests.shape[1]), NO_LIMIT, np.int64)
    made = schedule(
        view.by_size, view.requests, wanted, free.copy(), allowed, offers.allocatable, offers.allocatable, offers.member & (room > 0),
        offers.takes, remaining, group_room, NO_LIMIT, most, pool_of, flags, asked, counts, placed, left,
    )  # fmt: skip
    found = tuple(Claim(int(pool_of[c]), flags[c], asked[c]) for c in range(min(made, claims)))
    return Round(found, placed, left)


def _group_room(offers: Offers, view: ClusterView, room: Vector, g: int) -> int:
    """Nodes that a group can still launch: what its types have, within its maximum."""
    members = np.flatnonzero(offers.member[g])
    return min(int(room[members].sum()), view.group_room(offers.types[members[0]]))
