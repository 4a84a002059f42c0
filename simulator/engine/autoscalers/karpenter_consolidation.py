"""Karpenter's consolidation: which nodes it removes or replaces because it can be cheaper. Pure functions of what it sees.

Empty nodes first; then the largest set of nodes, cheapest to disrupt first, whose pods fit on what remains and at most
one cheaper node (found by bisection); then single nodes. Source: kubernetes-sigs/karpenter pkg/controllers/disruption
at 1.14.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from simulator.engine.autoscalers.binpacking import Vector
from simulator.engine.autoscalers.karpenter import Claim, Provisioning

MOST_AT_ONCE = 100

Simulate = Callable[[Sequence["Candidate"]], Provisioning]
"""Reschedules the pods of the given candidates without them; `left` counts only pods that run now."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A node that may be disrupted. counts : int64 [kinds], its pods; `cost` orders candidates, least first."""

    row: int
    pool: str
    type: int
    price_usd_per_h: float
    counts: Vector
    cost: float
    spot: bool = False

    @property
    def empty(self) -> bool:
        """Whether no pod has to move."""
        return not self.counts.any()


@dataclass(frozen=True, slots=True)
class Command:
    """Nodes to remove, after `replacement` has been launched when there is one."""

    rows: tuple[int, ...]
    replacement: Claim | None = None


def within_budgets(candidates: Sequence[Candidate], budgets: dict[str, int]) -> list[Candidate]:
    """Candidates by falling ease of disruption, as many of each pool as its budget allows."""
    left, chosen = dict(budgets), []
    for candidate in sorted(candidates, key=lambda candidate: candidate.cost):
        if left.get(candidate.pool, 0) > 0:
            left[candidate.pool] -= 1
            chosen.append(candidate)
    return chosen


def empty_nodes(candidates: Sequence[Candidate]) -> Command | None:
    """All empty nodes at once."""
    rows = tuple(candidate.row for candidate in candidates if candidate.empty)
    return Command(rows) if rows else None


def several_nodes(candidates: Sequence[Candidate], simulate: Simulate) -> Command | None:
    """Bisection for the most candidates, from the first on, that can go together; two at least."""
    low, high, found = 1, min(len(candidates), MOST_AT_ONCE) - 1, None
    while low <= high:
        middle = (low + high) // 2
        command = remove(candidates[: middle + 1], simulate)
        if command is None:
            high = middle - 1
        else:
            found, low = command, middle + 1
    return found


def one_node(candidates: Sequence[Candidate], simulate: Simulate) -> Command | None:
    """The first candidate that can go or be replaced by something cheaper."""
    return next((command for candidate in candidates if (command := remove([candidate], simulate))), None)


def remove(candidates: Sequence[Candidate], simulate: Simulate) -> Command | None:
    """The command that removes `candidates`, None when their pods do not fit or nothing cheaper takes them."""
    rows = tuple(candidate.row for candidate in candidates)
    result = simulate(candidates)
    if result.left.any() or len(result.claims) > 1:
        return None
    if not result.claims:
        return Command(rows)
    claim = result.claims[0]
    if all(candidate.spot for candidate in candidates) and "spot" in claim.pool.capacity_type:
        return None  # spot is not replaced by spot: the feature gate SpotToSpotConsolidation is off by default
    ceiling = sum(candidate.price_usd_per_h for candidate in candidates)
    cheaper = claim.types & (claim.pool.price < ceiling)
    if len(candidates) > 1:
        cheaper &= claim.pool.price < _cheapest_kept(candidates, claim)
    return Command(rows, Claim(claim.pool, cheaper, claim.requests, claim.counts)) if cheaper.any() else None


def _cheapest_kept(candidates: Sequence[Candidate], claim: Claim) -> float:
    """Price of the cheapest candidate whose own type could replace all: keeping it would do, so only less counts."""
    same = [candidate.price_usd_per_h for candidate in candidates if claim.types[candidate.type]]
    return min(same, default=float(np.inf))
