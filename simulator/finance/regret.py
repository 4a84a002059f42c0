"""Regret: what each candidate plan costs above the best one, future by future, and what knowing the future would be worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.case import Case
from simulator.finance.opponents import all_private_nodes, at_same_rate, hybrid

STEP = 0.2
GRID = 200  # large fleets are tried in steps of half a percent
Fleet = Mapping[str, int]


@dataclass(frozen=True)
class RegretTable:
    """`regret` : float64 [plans, futures], share of the best plan's yearly cost in that future.

    `minimax` is the plan whose worst regret is smallest. `evpi_usd` is the yearly cost of not knowing which of the futures comes,
    all equally likely: mean cost of the one best plan less the mean of every future's own best.
    """

    plans: tuple[tuple[str, int], ...]
    futures: tuple[str, ...]
    regret: NDArray[np.float64]
    minimax: str
    evpi_usd: float


def futures(case: Case) -> dict[str, Case]:
    """The case as expected, and with demand, AWS prices and server prices moved by a fifth."""
    name = case.zones[0].price_parameter
    server = case.parameters[name]
    found = {"as expected": case}
    for sign, word in ((-STEP, "lower"), (STEP, "higher")):
        found[f"demand {STEP:.0%} {word}"] = at_same_rate(case, case.scaled(1.0 + sign))
        found[f"AWS {STEP:.0%} {word}"] = at_same_rate(case, case, 1.0 + sign)
        found[f"servers {STEP:.0%} {word}"] = case.with_parameters(case.parameters.with_value(name, server * (1.0 + sign)))
    return found


def regret_table(case: Case, plans: Mapping[str, Fleet]) -> RegretTable:
    """Regret of `plans` (name -> nodes by zone) in every future, AWS at its best price throughout.

    The best plan of a future is the cheapest of these plans and of all numbers of nodes in the first zone.
    """
    zone, worlds = case.zones[0].part.name, list(futures(case).items())
    most = max(sum(all_private_nodes(world).values()) for _, world in worlds)
    counts = _costs(worlds, [{zone: n} if n else {} for n in range(0, most + 1, max(1, most // GRID))])
    chosen = _costs(worlds, list(plans.values()))
    every = np.concatenate((counts, chosen))
    best = every.min(axis=0)
    regret = chosen / np.where(best > 0, best, 1.0) - 1.0
    return RegretTable(
        plans=tuple((name, sum(fleet.values())) for name, fleet in plans.items()),
        futures=tuple(name for name, _ in worlds),
        regret=regret,
        minimax=list(plans)[int(np.argmin(regret.max(axis=1)))],
        evpi_usd=float(every.mean(axis=1).min() - best.mean()),
    )


def _costs(worlds: Sequence[tuple[str, Case]], fleets: Sequence[Fleet]) -> NDArray[np.float64]:
    """Yearly cost: float64 [fleets, futures]."""
    return np.array([[hybrid(world, fleet).usd_per_year for _, world in worlds] for fleet in fleets])
