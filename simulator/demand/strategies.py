"""Strategies: rules that turn history into a capacity. Simple ones to be measured against, and ours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from simulator.demand.buckets import HOURS_PER_DAY, Floats
from simulator.demand.combine import advise_many, capacity_at

COMMIT_DISCOUNT = 0.28
COMMIT_DAYS, RECENT_DAYS = 60, 28


@dataclass(frozen=True)
class Strategy:
    """`capacities(history, horizon_h, premiums)` gives one capacity per price ratio and sees nothing after the origin.

    `unit_cost(premium)` is the price of an owned hour in units of the private one: 1, or more for a cloud commitment.
    """

    name: str
    capacities: Callable[[Floats, int, tuple[float, ...]], tuple[float, ...]]
    unit_cost: Callable[[float], float] = lambda premium: 1.0

    def cost(self, capacity: float, demand: Floats, premium: float) -> float:
        """Mean cost an hour in units of one private hour."""
        return self.unit_cost(premium) * capacity + premium * float(np.mean(np.maximum(demand - capacity, 0.0)))


def _fixed(rule: Callable[[Floats], float]) -> Callable[[Floats, int, tuple[float, ...]], tuple[float, ...]]:
    return lambda history, horizon_h, premiums: (rule(_known(history)),) * len(premiums)


def _quantile(days: int | None) -> Callable[[Floats, int, tuple[float, ...]], tuple[float, ...]]:
    def capacities(history: Floats, horizon_h: int, premiums: tuple[float, ...]) -> tuple[float, ...]:
        seen = _known(history if days is None else history[-days * HOURS_PER_DAY :])
        return tuple(capacity_at(seen, premium) for premium in premiums)

    return capacities


def _commit(history: Floats, horizon_h: int, premiums: tuple[float, ...]) -> tuple[float, ...]:
    seen = _known(history[-COMMIT_DAYS * HOURS_PER_DAY :])
    return (capacity_at(seen, 1.0 / (1.0 - COMMIT_DISCOUNT)),) * len(premiums)


def _ours(history: Floats, horizon_h: int, premiums: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(advice.capacity for advice in advise_many(history, horizon_h, premiums))


def _known(history: Floats) -> Floats:
    return history[~np.isnan(history)]


OURS = "ours"
STRATEGIES: tuple[Strategy, ...] = (
    Strategy("peak", _fixed(lambda seen: float(seen.max()))),
    Strategy("p95", _fixed(lambda seen: float(np.quantile(seen, 0.95)))),
    Strategy("mean", _fixed(lambda seen: float(seen.mean()))),
    Strategy("half_peak", _fixed(lambda seen: 0.5 * float(seen.max()))),
    Strategy("half_mean", _fixed(lambda seen: 0.5 * float(seen.mean()))),
    Strategy("all_cloud", _fixed(lambda seen: 0.0)),
    Strategy("cloud_commit", _commit, lambda premium: premium * (1.0 - COMMIT_DISCOUNT)),
    Strategy("newsvendor_all", _quantile(None)),
    Strategy("newsvendor_28d", _quantile(RECENT_DAYS)),
    Strategy(OURS, _ours),
)
