"""Karpenter's provisioning: which nodes it launches for pods that wait, decided as the real program does.

Pods are taken by falling size. Each goes to a node that exists, else to the claim with the fewest pods that can still
take it, else to a new claim of the first pool (by weight) that can. A claim can take a pod while any instance type still
holds everything; at the end the cheapest offering among the types that remain is launched. Source:
kubernetes-sigs/karpenter pkg/controllers/provisioning/scheduling at 1.14.

Amounts are int64 vectors over `Kinds.axes`; `types` index the rows of a `Catalog`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from simulator.engine.autoscalers.binpacking import Kinds, Matrix, Vector, fill
from simulator.engine.kube.objects import Node, Taint

Flags = NDArray[np.bool_]
NO_LIMIT = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class Catalog:
    """Instance types. capacity, allocatable : int64 [types, axes]."""

    names: tuple[str, ...]
    capacity: Matrix
    allocatable: Matrix


@dataclass(frozen=True, slots=True)
class Pool:
    """A NodePool: which types it may launch (bool [types]), at what price (float64 [types]) and as what capacity type.

    limits : int64 [axes], NO_LIMIT where none; budget_share: part of the pool's nodes that may be disrupted at once.
    """

    name: str
    weight: int
    usable: Flags
    price: NDArray[np.float64]
    capacity_type: tuple[str, ...]
    limits: Vector
    node: Node
    taints: tuple[Taint, ...] = ()
    when_empty_only: bool = False
    consolidate_after_ms: int | None = 0
    budget_share: float = 0.1
    budget_nodes: int | None = None
    expire_after_ms: int | None = None

    def budget(self, nodes: int) -> int:
        """Nodes that may be disrupted at once; a percentage is rounded up."""
        share = int(np.ceil(nodes * self.budget_share - 1e-9))
        return share if self.budget_nodes is None else min(share, self.budget_nodes)


@dataclass(slots=True)
class Claim:
    """A node about to be launched. types : bool [types] that still hold it; requests : int64 [axes]; counts : int64 [kinds]."""

    pool: Pool
    types: Flags
    requests: Vector
    counts: Vector

    def cheapest(self) -> int:
        """The type that is launched: lowest price, then catalog order."""
        return int(np.argmin(np.where(self.types, self.pool.price, np.inf)))


@dataclass(frozen=True, slots=True)
class Existing:
    """Nodes that pods may go to, in the order they are tried.

    free : int64 [nodes, axes]; allowed, liked : bool [nodes, kinds], by hard rules, and by preferences as well.
    """

    free: Matrix
    allowed: Flags
    liked: Flags


@dataclass(frozen=True, slots=True)
class Provisioning:
    """Claims to launch, pods placed on nodes that exist (int64 [nodes, kinds]) and pods left (int64 [kinds])."""

    claims: tuple[Claim, ...]
    placed: Matrix
    left: Vector


@dataclass(slots=True)
class _Round:
    """One scheduling round in progress; `remaining` is what each pool's limits still allow."""

    kinds: Kinds
    catalog: Catalog
    pools: Sequence[Pool]
    remaining: list[Vector]
    claims: list[Claim] = field(default_factory=list)

    def add(self, kind: int, *, strict: bool) -> bool:
        """One pod to a claim, an open one or a new one; `strict` keeps preferences, which only pool labels can meet."""
        request = self.kinds.requests[kind]
        for claim in sorted(self.claims, key=lambda claim: int(claim.counts.sum())):
            if not self._takes(claim.pool, kind, strict):
                continue
            types = claim.types & (self.catalog.allocatable >= claim.requests + request).all(axis=1)
            if types.any():
                claim.types, claim.requests = types, claim.requests + request
                claim.counts[kind] += 1
                return True
        return any(self._takes(pool, kind, strict) and self._open(at, kind) for at, pool in enumerate(self.pools))

    def _open(self, at: int, kind: int) -> bool:
        pool, request = self.pools[at], self.kinds.requests[kind]
        within = (self.catalog.capacity <= self.remaining[at]).all(axis=1)
        types = pool.usable & within & (self.catalog.allocatable >= request).all(axis=1)
        if not types.any():
            return False
        largest = self.catalog.capacity[types].max(axis=0)
        self.remaining[at] = np.where(self.remaining[at] == NO_LIMIT, NO_LIMIT, self.remaining[at] - largest)
        counts = np.zeros(len(self.kinds.pods), dtype=np.int64)
        counts[kind] = 1
        self.claims.append(Claim(pool, types, request.copy(), counts))
        return True

    def _takes(self, pool: Pool, kind: int, strict: bool) -> bool:
        pod = self.kinds.pods[kind]
        liked = not strict or all(term.term.matches(pool.node) for term in pod.preferred)
        return liked and bool(self.kinds.allowed(pool.node)[kind])


def provision(
    counts: Vector, kinds: Kinds, existing: Existing, pools: Sequence[Pool], catalog: Catalog, used: Sequence[Vector]
) -> Provisioning:
    """Where `counts` pods of each kind go, and what has to be launched for them.

    used : capacity that each pool's nodes have now, int64 [axes], in the order of `pools`.
    """
    ranked = sorted(range(len(pools)), key=lambda at: (-pools[at].weight, pools[at].name))
    remaining = [np.where(pools[at].limits == NO_LIMIT, NO_LIMIT, pools[at].limits - used[at]) for at in ranked]
    trial = _Round(kinds, catalog, [pools[at] for at in ranked], remaining)
    free = existing.free.copy()
    placed, left = np.zeros((len(free), len(counts)), dtype=np.int64), np.zeros_like(counts)
    for kind in by_size(kinds):
        for strict in (True, False) if kinds.pods[kind].preferred else (False,):
            flags = existing.liked if strict else existing.allowed
            rows = np.flatnonzero(flags[:, kind])
            waiting = int(counts[kind] - placed[:, kind].sum() - sum(claim.counts[kind] for claim in trial.claims))
            taken = fill(free[rows], kinds.requests[kind], waiting)
            free[rows] -= taken[:, None] * kinds.requests[kind]
            placed[rows, kind] += taken
            for _ in range(waiting - int(taken.sum())):
                if not trial.add(int(kind), strict=strict):
                    break
        left[kind] = counts[kind] - placed[:, kind].sum() - sum(claim.counts[kind] for claim in trial.claims)
    return Provisioning(tuple(trial.claims), placed, left)


def by_size(kinds: Kinds) -> Vector:
    """Kinds by falling cpu, then memory: int64 [kinds]."""
    return np.lexsort((-kinds.requests[:, 1], -kinds.requests[:, 0]))
