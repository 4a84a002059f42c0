"""Karpenter's consolidation: which nodes it removes or replaces because it can be cheaper. Pure functions of what it sees.

Empty nodes first; then the largest set of nodes, those first that save most for the pods they disturb, whose pods fit on
what remains and at most one cheaper node (found by bisection); then single nodes, the pools taking turns. Source:
kubernetes-sigs/karpenter pkg/controllers/disruption/{consolidation,emptiness,multinodeconsolidation,
singlenodeconsolidation,balanced}.go at 1.14.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from simulator.engine.autoscalers.binpacking import Vector
from simulator.engine.autoscalers.karpenter import Claim
from simulator.engine.autoscalers.karpenter_catalog import CAPACITY_TYPE, Catalog, Flags
from simulator.engine.autoscalers.karpenter_requirements import ANY, Allowed
from simulator.engine.kube.objects import Pod

MOST_AT_ONCE = 100
SPOT_CHOICES = 15
"""Cheaper spot types that a single spot node needs before it is replaced (MinInstanceTypesForSpotToSpotConsolidation)."""

NODE_COST = 1.0
"""What disturbing a node costs beside its pods (PerNodeBaseDisruptionCost)."""

BALANCED_K = 2
"""A Balanced pool accepts a move that saves at least 1/k of its cost for its share of the pool's disturbance."""

DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
SPOT = Allowed(frozenset(("spot",)))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What moving the pods of some nodes would take: claims to launch, and whether every running pod found a place."""

    claims: tuple[Claim, ...]
    fits: bool


Simulate = Callable[[Sequence["Candidate"]], Outcome]
"""Reschedules the pods of the given candidates without them."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A node that may be disrupted. counts : int64 [kinds], its pods; cost: `NODE_COST` and what evicting its pods costs."""

    row: int
    pool: str
    type: int
    price_usd_per_h: float
    counts: Vector
    cost: float
    spot: bool = False
    balanced: bool = False

    @property
    def empty(self) -> bool:
        """Whether no pod that costs anything has to move."""
        return self.cost <= NODE_COST

    @property
    def ratio(self) -> float:
        """What its removal saves for what it disturbs; higher goes first."""
        return self.price_usd_per_h / self.cost


@dataclass(frozen=True, slots=True)
class Command:
    """Nodes to remove, after `replacement` has been launched when there is one."""

    rows: tuple[int, ...]
    replacement: Claim | None = None


@dataclass(frozen=True, slots=True)
class Market:
    """What a decision on price needs. totals: pool -> (price of its nodes, cost of disturbing them), for Balanced pools."""

    catalog: Catalog
    spot_to_spot: bool = False
    totals: Mapping[str, tuple[float, float]] = field(default_factory=dict)


def eviction_cost(pod: Pod) -> float:
    """What evicting one pod costs: 1, more or less by its deletion cost and priority, within 10 of 0.

    >>> eviction_cost(Pod("p", priority=2**25))
    2.0
    """
    given = pod.annotations.get(DELETION_COST, "0")
    try:
        steered = float(given) / 2**27
    except ValueError:
        steered = 0.0
    return min(max(1.0 + steered + pod.priority / 2**25, -10.0), 10.0)


def best_first(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Candidates in the order they are tried."""
    return sorted(candidates, key=lambda candidate: -candidate.ratio)


def within_budgets(candidates: Sequence[Candidate], budgets: Mapping[str, int]) -> list[Candidate]:
    """The best candidates of each pool, as many as its budget allows."""
    left, chosen = dict(budgets), []
    for candidate in best_first(candidates):
        if left.get(candidate.pool, 0) > 0:
            left[candidate.pool] -= 1
            chosen.append(candidate)
    return chosen


def empty_nodes(candidates: Sequence[Candidate]) -> Command | None:
    """All empty nodes at once."""
    rows = tuple(candidate.row for candidate in candidates if candidate.empty)
    return Command(rows) if rows else None


def several_nodes(candidates: Sequence[Candidate], simulate: Simulate, market: Market) -> Command | None:
    """Bisection for the most candidates, from the first on, that can go together; two at least."""
    low, high, found = 1, min(len(candidates) - 1, MOST_AT_ONCE), None
    while low <= high:
        middle = (low + high) // 2
        command = remove(candidates[: middle + 1], simulate, market)
        if command is None:
            high = middle - 1
        else:
            found, low = command, middle + 1
    return found


def one_node(candidates: Sequence[Candidate], simulate: Simulate, market: Market) -> Command | None:
    """The first candidate that can go or be replaced by something cheaper."""
    for candidate in candidates:
        if _worth(market, (candidate,), candidate.price_usd_per_h):
            command = remove((candidate,), simulate, market)
            if command is not None:
                return command
    return None


def in_turns(candidates: Sequence[Candidate], pools: Sequence[str]) -> list[Candidate]:
    """Candidates of all pools in turns, each pool's own best first."""
    ranked = {pool: [candidate for candidate in best_first(candidates) if candidate.pool == pool] for pool in pools}
    longest = max(map(len, ranked.values()), default=0)
    return [ranked[pool][at] for at in range(longest) for pool in pools if at < len(ranked[pool])]


def remove(candidates: Sequence[Candidate], simulate: Simulate, market: Market) -> Command | None:
    """What removing these candidates takes: nothing, or one cheaper node; None when it does not work or does not pay."""
    rows, outcome = tuple(candidate.row for candidate in candidates), simulate(candidates)
    if not outcome.fits or len(outcome.claims) > 1:
        return None
    price = sum(candidate.price_usd_per_h for candidate in candidates)
    if not outcome.claims:
        return Command(rows) if _worth(market, candidates, price) else None
    claim = _cheaper(outcome.claims[0], candidates, price, market)
    if claim is None:
        return None
    least = min(market.catalog.types[int(at)].cheapest(claim.requirements) for at in np.flatnonzero(claim.types))
    return Command(rows, claim) if _worth(market, candidates, price - least) else None


def _cheaper(claim: Claim, candidates: Sequence[Candidate], price: float, market: Market) -> Claim | None:
    """The claim without the types that would not save anything, None when none is left."""
    catalog, allowed = market.catalog, claim.requirements.get(CAPACITY_TYPE, ANY)
    may_be_spot = allowed.has("spot")
    from_spot = may_be_spot and all(candidate.spot for candidate in candidates)
    if from_spot and not market.spot_to_spot:
        return None
    if from_spot:
        claim = replace(claim, requirements={**claim.requirements, CAPACITY_TYPE: SPOT})
    ceiling = min(price, _cheapest_kept(candidates, claim)) if len(candidates) > 1 else price
    types = _below(claim, ceiling, catalog)
    if from_spot and len(candidates) == 1:
        if int(types.sum()) < SPOT_CHOICES:
            return None
        kept = catalog.cheapest_first(types, claim.requirements)[:SPOT_CHOICES]
        types = np.isin(np.arange(len(types)), kept)
    if not types.any() or not catalog.varied(types, claim.requirements):
        return None
    requirements = {**claim.requirements, CAPACITY_TYPE: SPOT} if may_be_spot and allowed.has("on-demand") else claim.requirements
    return replace(claim, types=types, requirements=requirements)


def _below(claim: Claim, ceiling: float, catalog: Catalog) -> Flags:
    """Types of the claim whose dearest offering costs less than `ceiling`: bool [types]."""
    cheap = [bool(held) and catalog.types[at].worst(claim.requirements) < ceiling for at, held in enumerate(claim.types)]
    return np.array(cheap, dtype=np.bool_)


def _cheapest_kept(candidates: Sequence[Candidate], claim: Claim) -> float:
    """Price of the cheapest candidate whose own type could replace all: keeping it would do, so only less counts."""
    same = [candidate.price_usd_per_h for candidate in candidates if claim.types[candidate.type]]
    return min(same, default=float("inf"))


def _worth(market: Market, candidates: Sequence[Candidate], saved_usd_per_h: float) -> bool:
    """Whether every Balanced pool finds the saving worth the disturbance; other pools take any."""
    price = sum(candidate.price_usd_per_h for candidate in candidates)
    for pool in {candidate.pool for candidate in candidates if candidate.balanced}:
        mine = [candidate for candidate in candidates if candidate.pool == pool]
        whole, disturbance = market.totals[pool]
        share = sum(candidate.price_usd_per_h for candidate in mine) / price if price > 0 and len(mine) < len(candidates) else 1.0
        if whole <= 0 or disturbance <= 0:
            return False
        saved, cost = saved_usd_per_h * share / whole, sum(candidate.cost for candidate in mine) / disturbance
        if saved <= 0 or saved / cost < 1.0 / BALANCED_K:
            return False
    return True
