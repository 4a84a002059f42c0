"""Karpenter's consolidation of a run's burst nodes: which go or are replaced because it can be cheaper. Pure functions.

Empty nodes first; then the largest set of nodes, cheapest to disrupt first, whose pods fit on what remains and at most
one cheaper node (by bisection); then single nodes. Source: kubernetes-sigs/karpenter pkg/controllers/disruption at 1.14;
the same rule as `autoscalers.karpenter_consolidation`, on a run's types.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from simulator.engine.node_autoscalers.schedule import Claim, Offers, Round
from simulator.engine.node_autoscalers.view import Vector

MOST_AT_ONCE = 100

Simulate = Callable[[Sequence["Candidate"]], Round]
"""Reschedules the candidates' pods without them; `left` counts only pods that run now."""


@dataclass(frozen=True)
class Candidate:
    """A node that may be disrupted. `type` indexes the offers; counts : int64 [kinds], its pods; `cost` orders, least first."""

    slot: int
    group: int
    type: int
    counts: Vector
    cost: float
    empty: bool = False


@dataclass(frozen=True)
class Command:
    """Nodes to remove, after `replacement` has been launched when there is one."""

    slots: tuple[int, ...]
    replacement: Claim | None = None


def within_budgets(candidates: Sequence[Candidate], budgets: Mapping[int, int]) -> list[Candidate]:
    """Candidates by falling ease of disruption, as many of each group as its budget allows."""
    left, chosen = dict(budgets), []
    for candidate in sorted(candidates, key=lambda candidate: (candidate.cost, candidate.slot)):
        if left.get(candidate.group, 0) > 0:
            left[candidate.group] -= 1
            chosen.append(candidate)
    return chosen


def several_nodes(candidates: Sequence[Candidate], offers: Offers, simulate: Simulate) -> Command | None:
    """Bisection for the most candidates, from the first on, that can go together; two at least."""
    low, high, found = 1, min(len(candidates), MOST_AT_ONCE) - 1, None
    while low <= high:
        middle = (low + high) // 2
        command = remove(candidates[: middle + 1], offers, simulate)
        if command is None:
            high = middle - 1
        else:
            found, low = command, middle + 1
    return found


def one_node(candidates: Sequence[Candidate], offers: Offers, simulate: Simulate) -> Command | None:
    """The first candidate that can go or be replaced by something cheaper."""
    return next((command for candidate in candidates if (command := remove([candidate], offers, simulate))), None)


def remove(candidates: Sequence[Candidate], offers: Offers, simulate: Simulate) -> Command | None:
    """The command that removes `candidates`, None when their pods do not fit or nothing cheaper takes them."""
    slots = tuple(candidate.slot for candidate in candidates)
    result = simulate(candidates)
    if result.left.any() or len(result.claims) > 1:
        return None
    if not result.claims:
        return Command(slots)
    claim = result.claims[0]
    mine = [candidate.type for candidate in candidates]
    if offers.spot[mine].all() and (claim.types & offers.spot).any():
        return None  # spot is not replaced by spot: the feature gate SpotToSpotConsolidation is off by default
    prices = offers.price[mine]
    cheaper = claim.types & (offers.price < prices.sum())
    if len(candidates) > 1:
        same = prices[claim.types[mine]]
        cheaper &= offers.price < (same.min() if same.size else np.inf)
    return Command(slots, replace(claim, types=cheaper)) if cheaper.any() else None
