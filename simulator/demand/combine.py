"""Combine members by what their advice would have cost, not by forecast error: only one quantile decides a capacity.

Cost of owning `c` while demand is D, in units of the cost of one owned hour: c + U E[(D - c)+]; U = price ratio AWS /
private. Regret = cost / cost of the best capacity in hindsight - 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simulator.demand.buckets import HOURS_PER_DAY, Floats, without_outages
from simulator.demand.members import MEMBERS, Member

REGRET_SCALE = 0.02
ORIGINS = 4
LEAST_BEFORE_SHARE = 0.4


@dataclass(frozen=True, slots=True)
class MemberAdvice:
    """One member's capacity, its mean back-tested regret (None when it could not be back-tested) and its weight."""

    name: str
    capacity: float
    regret: float | None
    weight: float


@dataclass(frozen=True)
class Advice:
    """Capacity by the weighted members; `regret` is the weighted back-tested regret."""

    capacity: float
    members: tuple[MemberAdvice, ...]

    @property
    def regret(self) -> float | None:
        """Weighted mean of the members' back-tested regrets; None without any back-test."""
        tested = [(member.weight, member.regret) for member in self.members if member.regret is not None]
        total = sum(weight for weight, _ in tested)
        return sum(weight * regret for weight, regret in tested) / total if total > 0 else None


def capacity_at(demand: Floats, premium: float) -> float:
    """Best capacity for equally likely demand values: the 1 - 1/U quantile, the smaller one on a tie; 0 when U <= 1.

    >>> capacity_at(np.array([10.0, 20.0, 30.0, 40.0]), 2.0), capacity_at(np.array([1.0]), 1.0)
    (20.0, 0.0)
    """
    if premium <= 1.0 or not demand.size:
        return 0.0
    place = int(np.ceil((1.0 - 1.0 / premium) * demand.size - 1e-9)) - 1
    return float(np.partition(demand, max(place, 0))[max(place, 0)])


def cost(capacity: float, demand: Floats, premium: float) -> float:
    """Mean cost an hour in units of one owned hour.

    >>> cost(20.0, np.array([10.0, 20.0, 30.0, 40.0]), 2.0)
    35.0
    """
    return capacity + premium * float(np.mean(np.maximum(demand - capacity, 0.0)))


def regret(capacity: float, demand: Floats, premium: float) -> float:
    """Cost above the best capacity in hindsight, as a share; 0 when nothing is demanded and nothing built."""
    best = cost(capacity_at(demand, premium), demand, premium)
    return cost(capacity, demand, premium) / best - 1.0 if best > 0 else capacity


def advise(history: Floats, horizon_h: int, premium: float, members: Sequence[Member] = MEMBERS) -> Advice:
    """Capacity for the next `horizon_h` hours at one price ratio.

    history : float64 [hours], NaN = missing, ends at the origin. Back-tests at up to four origins inside it.
    """
    return advise_many(history, horizon_h, (premium,), members)[0]


def advise_many(
    history: Floats, horizon_h: int, premiums: Sequence[float], members: Sequence[Member] = MEMBERS
) -> tuple[Advice, ...]:  # fmt: skip
    """`advise` for several price ratios, sharing the members' work."""
    history = without_outages(history)
    futures = [(member, member.demand(history, horizon_h)) for member in members]
    usable = [(member, future) for member, future in futures if future is not None]
    if not usable:
        raise ValueError("no member can forecast from this history")
    past = backtest(history, horizon_h, premiums, [member for member, _ in usable])
    return tuple(_weigh(usable, past[index], premium) for index, premium in enumerate(premiums))


def backtest(
    history: Floats, horizon_h: int, premiums: Sequence[float], members: Sequence[Member]
) -> list[dict[str, float]]:  # fmt: skip
    """Mean regret of each member over the inner origins, one dict by name for each premium; untested members are absent."""
    seen: list[dict[str, list[float]]] = [{} for _ in premiums]
    for origin, ahead in inner_origins(len(history), horizon_h):
        truth = history[origin : origin + ahead]
        truth = truth[~np.isnan(truth)]
        if not truth.size:
            continue
        for member in members:
            future = member.demand(history[:origin], ahead)
            if future is None:
                continue
            for index, premium in enumerate(premiums):
                seen[index].setdefault(member.name, []).append(regret(capacity_at(future, premium), truth, premium))
    return [{name: float(np.mean(values)) for name, values in found.items()} for found in seen]


def inner_origins(hours: int, horizon_h: int) -> list[tuple[int, int]]:
    """Up to four origins for back-tests inside a history, and the hours ahead of each, in whole days where there are any.

    The horizon is the one asked for, at most a quarter of the history; origins step back by half of it and leave two
    fifths of the history before them, because a member that starves there says little about what it does with all of it.

    >>> inner_origins(24 * 80, 24 * 365)
    [(1440, 480), (1200, 480), (960, 480)]
    """
    unit = HOURS_PER_DAY if hours >= 4 * HOURS_PER_DAY else 1
    ahead = min(horizon_h, hours // 4) // unit * unit
    step = max(unit, ahead // 2 // unit * unit)
    found = [(hours - ahead - back * step, ahead) for back in range(ORIGINS)] if ahead else []
    return [(origin, ahead) for origin, ahead in found if origin >= LEAST_BEFORE_SHARE * hours]


def _weigh(usable: Sequence[tuple[Member, Floats]], past: dict[str, float], premium: float) -> Advice:
    known = [past[member.name] for member, _ in usable if member.name in past]
    least = min(known, default=0.0)
    weights = [float(np.exp(-(past[m.name] - least) / REGRET_SCALE)) if m.name in past else 0.0 if known else 1.0 for m, _ in usable]
    total = sum(weights)
    advices = tuple(
        MemberAdvice(member.name, capacity_at(future, premium), past.get(member.name), weight / total)
        for (member, future), weight in zip(usable, weights, strict=True)
    )
    return Advice(sum(member.weight * member.capacity for member in advices), advices)
