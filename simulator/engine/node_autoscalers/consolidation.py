"""Karpenter's consolidation of a run's burst nodes: which go or are replaced because it can be cheaper. Pure functions.

Empty nodes first; then the largest set of nodes, those first that save most for what they disturb, whose pods fit on what
remains and at most one cheaper node (by bisection); then single nodes, the groups taking turns. Source:
kubernetes-sigs/karpenter pkg/controllers/disruption at 1.14; the same rule as `autoscalers.karpenter_consolidation`, on
a run's types.
"""

from __future__ import annotations

from collections import Counter
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
    """A node that may be disrupted. `type` indexes the offers; counts : int64 [kinds], its pods; `price` USD an hour."""

    slot: int
    group: int
    type: int
    counts: Vector
    pods: int
    price: float

    @property
    def ratio(self) -> float:
        """What its removal saves for what it disturbs, the node and every pod counting 1; higher goes first."""
        return self.price / (1 + self.pods)


def best_first(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Candidates in the order they are tried."""
    return sorted(candidates, key=lambda candidate: (-candidate.ratio, candidate.slot))


def in_turns(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Candidates of all groups in turns, each group's own best first."""
    place: Counter[int] = Counter()
    keys = []
    for candidate in best_first(candidates):
        keys.append((place[candidate.group], candidate.group, candidate))
        place[candidate.group] += 1
    return [candidate for _, _, candidate in sorted(keys, key=lambda key: key[:2])]


@dataclass(frozen=True)
class Command:
    """Nodes to remove, after `replacement` has been launched when there is one."""

    slots: tuple[int, ...]
    replacement: Claim | None = None


def within_budgets(candidates: Sequence[Candidate], budgets: Mapping[int, int]) -> list[Candidate]:
    """The best candidates of each group, as many as its budget allows."""
    left, chosen = dict(budgets), []
    for candidate in best_first(candidates):
        if left.get(candidate.group, 0) > 0:
            left[candidate.group] -= 1
            chosen.append(candidate)
    return chosen


def several_nodes(candidates: Sequence[Candidate], offers: Offers, simulate: Simulate) -> Command | None:
    """Bisection for the most candidates, from the first on, that can go together; two at least."""
    low, high, found = 1, min(len(candidates) - 1, MOST_AT_ONCE), None
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
    return next((command for candidate in in_turns(candidates) if (command := remove([candidate], offers, simulate))), None)


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
    spot = claim.types & offers.spot
    cheaper = (spot if spot.any() else claim.types) & (offers.price < prices.sum())
    if len(candidates) > 1:
        same = prices[claim.types[mine]]
        cheaper &= offers.price < (same.min() if same.size else np.inf)
    return Command(slots, replace(claim, types=cheaper)) if cheaper.any() else None
