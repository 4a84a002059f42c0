"""Closed forms of how much to own: quantile rule, regret, screening curve, add-only phases, failure headroom.

Symbols: `fixed` = cost of a built node-hour, used or not; `variable` = cost that arises only when the node works; `rent` = AWS cost
of the same work; premium U = (rent - variable) / fixed; break-even busy share b = 1 / U.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.unknown import Unknown

Array = NDArray[np.float64]
_DUST = 1e-12  # a quantile that meets a step of the distribution exactly takes the smaller capacity


def premium(fixed: float, variable: float, rent: float) -> float:
    """U = (rent - variable) / fixed: how much dearer an hour of work is on AWS than an owned hour.

    >>> premium(0.8, 0.2, 2.0)
    2.25
    """
    if fixed <= 0:
        raise ValueError("fixed must be positive")
    return (rent - variable) / fixed


def breakeven_busy_share(fixed: float, variable: float, rent: float) -> float:
    """b = 1 / U: the share of hours a node must work to be worth owning; infinite when AWS is never dearer.

    >>> round(breakeven_busy_share(0.8, 0.2, 2.0), 6)
    0.444444
    """
    ratio = premium(fixed, variable, rent)
    return 1.0 / ratio if ratio > 0 else math.inf


def optimal_capacity(demand: Array, u: float) -> float:
    """Smallest c with P(demand <= c) >= 1 - 1/U; 0 when U <= 1. Demand in whole nodes gives whole nodes.

    >>> optimal_capacity(np.arange(1.0, 101.0), 2.25)
    56.0
    """
    if u <= 1.0 or demand.size == 0:
        return 0.0
    return float(np.quantile(demand, max(1.0 - 1.0 / u - _DUST, 0.0), method="inverted_cdf"))


def capacity_cost(demand: Array, capacity: float, fixed: float, variable: float, rent: float) -> float:
    """Mean cost per hour: fixed c + variable E[min(D, c)] + rent E[(D - c)+].

    >>> round(capacity_cost(np.arange(1.0, 101.0), 56, 0.8, 0.2, 2.0), 9)
    72.72
    """
    served = np.minimum(demand, capacity)
    return fixed * capacity + variable * float(served.mean()) + rent * float((demand - served).mean())


def pinball(demand: Array, capacity: float, quantile: float) -> float:
    """E[q (D - c)+ + (1 - q)(c - D)+]: in units of `fixed`, cost(c) = E[D] + U x pinball at q = 1 - 1/U (variable 0).

    >>> pinball(np.array([0.0, 10.0]), 5.0, 0.5)
    2.5
    """
    gap = demand - capacity
    return float(np.mean(np.maximum(quantile * gap, (quantile - 1.0) * gap)))


def implied_premium(demand: Array, capacity: float) -> float:
    """The premium at which `capacity` would be right: 1 / P(D > c); infinite when it is never exceeded.

    >>> implied_premium(np.array([1.0, 2.0, 3.0, 4.0]), 2.0)
    2.0
    """
    exceeded = float(np.mean(demand > capacity))
    return 1.0 / exceeded if exceeded > 0 else math.inf


def flat_regret(u: float, density: float, off_by: float, best_cost: float) -> float:
    """Relative regret near the optimum: U g(c*) (dc)^2 / (2 cost*), with g the demand density at c*.

    Uniform demand on [0, 1], U 2, c* 0.5, cost 0.75, off by 0.1:

    >>> round(flat_regret(2.0, 1.0, 0.1, 0.75), 6)
    0.013333
    """
    return u * density * off_by**2 / (2.0 * best_cost)


@dataclass(frozen=True, slots=True)
class Offer:
    """One way to serve a unit of demand: `fixed` per hour held, `variable` per hour worked."""

    name: str
    fixed: float
    variable: float


def breakeven_share(a: Offer, b: Offer) -> float | Unknown:
    """Busy share at which both offers cost the same: (fixed_a - fixed_b) / (variable_b - variable_a).

    >>> breakeven_share(Offer("own", 1.0, 0.0), Offer("rent", 0.0, 2.0))
    0.5
    """
    if a.variable == b.variable:
        return Unknown(f"{a.name} and {b.name} cost the same for every hour worked")
    return (a.fixed - b.fixed) / (b.variable - a.variable)


def lower_envelope(offers: Sequence[Offer]) -> list[tuple[float, Offer]]:
    """Screening curve: (from which busy share on, cheapest offer), shares ascending from 0.

    >>> rent, spot, own = Offer("rent", 0.0, 2.0), Offer("plan", 1.4, 0.0), Offer("own", 1.0, 0.1)
    >>> [(round(share, 4), offer.name) for share, offer in lower_envelope([rent, spot, own])]
    [(0.0, 'rent'), (0.5263, 'own')]
    """
    share, envelope = 0.0, []
    current = min(offers, key=lambda o: (o.fixed, o.variable))
    while True:
        envelope.append((share, current))
        rivals = [
            ((offer.fixed - current.fixed) / (current.variable - offer.variable), offer.variable, offer)
            for offer in offers
            if offer.variable < current.variable
        ]
        ahead = [rival for rival in rivals if share <= rival[0] < 1.0]
        if not ahead:
            return envelope
        share, _, current = min(ahead, key=lambda rival: rival[:2])


def phased_capacity(blocks: Sequence[Array], u: float) -> Array:
    """Add-only optimum c_1 <= ... <= c_K of sum_k fixed c_k + rent E_k(D - c_k)+: float64 [phases].

    Isotonic quantile regression: neighbours that would shrink are merged and take the quantile of their pooled demand.

    >>> phased_capacity([np.array([10., 20, 30, 40]), np.array([5., 15, 25, 35]), np.array([20., 40, 60, 80])], 2.0).tolist()
    [20.0, 20.0, 40.0]
    """
    merged: list[tuple[list[Array], float]] = []
    for block in blocks:
        pool = [np.asarray(block, dtype=np.float64)]
        level = optimal_capacity(pool[0], u)
        while merged and merged[-1][1] > level:
            earlier, _ = merged.pop()
            pool = earlier + pool
            level = _pooled_quantile(pool, u)
        merged.append((pool, level))
    return np.array([level for pool, level in merged for _ in pool])


def _pooled_quantile(pool: Sequence[Array], u: float) -> float:
    """Quantile of blocks that weigh the same, whatever their length."""
    values = np.concatenate(pool)
    weights = np.concatenate([np.full(block.size, 1.0 / block.size) for block in pool]) / len(pool)
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order])
    wanted = 1.0 - 1.0 / u if u > 1.0 else 0.0
    if wanted <= 0.0:
        return 0.0
    return float(values[order][np.searchsorted(reached, wanted - _DUST)])


def up_share(needed: int, extra: int, availability: float) -> float:
    """P(at least `needed` of needed + extra nodes are up), independent failures only.

    >>> [round(up_share(40, k, 0.99), 6) for k in range(3)]
    [0.668972, 0.93656, 0.991416]
    """
    total = needed + extra
    return math.fsum(math.comb(total, k) * availability**k * (1.0 - availability) ** (total - k) for k in range(needed, total + 1))


def headroom(needed: int, availability: float, target: float) -> int:
    """Least extra nodes so that `needed` are up with probability >= target.

    >>> headroom(40, 0.99, 0.99), headroom(40, 0.995, 0.998)
    (2, 2)
    """
    if not 0.0 < availability <= 1.0 or not 0.0 <= target < 1.0:
        raise ValueError("availability must lie in (0, 1] and target in [0, 1)")
    extra = 0
    while up_share(needed, extra, availability) < target:
        extra += 1
    return extra


def cvar_capacity(demand: Array, u: float, alpha: float) -> tuple[float, float]:
    """(capacity, value) that minimise the mean of the worst 1 - alpha of costs c + U (D - c)+, in units of `fixed`.

    The cost is piecewise linear with kinks at the demands, so one of them (or 0) is best.

    >>> demand = np.array([20.0] * 3 + [40.0] * 5 + [60.0] * 2)
    >>> cvar_capacity(demand, 2.0, 0.5), cvar_capacity(demand, 2.0, 0.8)
    ((40.0, 56.0), (60.0, 60.0))
    """
    kinks = np.unique(np.concatenate(([0.0], demand)))
    values = [_worst_mean(c + u * np.maximum(demand - c, 0.0), alpha) for c in kinks]
    best = int(np.argmin(np.round(values, 9)))
    return float(kinks[best]), float(values[best])


def _worst_mean(costs: Array, alpha: float) -> float:
    """Mean of the worst 1 - alpha of equally likely costs; the scenario at the edge counts in part."""
    ordered = np.sort(costs)[::-1]
    weight = np.clip((1.0 - alpha) * costs.size - np.arange(costs.size), 0.0, 1.0)
    return float(np.dot(ordered, weight) / ((1.0 - alpha) * costs.size))


def online_reservation_cost(busy: NDArray[np.bool_], on_demand: float, fee: float, discount: float, term: int) -> float:
    """Cost of one unit served without forecast: rent, and reserve once the rent of the last `term` hours would reach fee / (1 - discount).

    A reservation costs `fee`, lasts `term` hours and makes an hour of work cost discount x on_demand. The rule never costs more than
    (2 - discount) times the best plan in hindsight (Wang, Li, Liang, arxiv.org/abs/1305.5608).

    >>> online_reservation_cost(np.ones(4, dtype=bool), 1.0, 2.0, 0.0, 10)
    3.0
    """
    cost, reserved_until = 0.0, 0
    rented: list[int] = []
    for hour in np.flatnonzero(busy):
        if hour >= reserved_until:
            rented = [past for past in rented if past > hour - term]
            if (len(rented) + 1) * on_demand >= fee / (1.0 - discount) - _DUST:
                cost, reserved_until, rented = cost + fee, int(hour) + term, []
            else:
                cost += on_demand
                rented.append(int(hour))
                continue
        cost += discount * on_demand
    return cost
