"""Back-test: what the advice would have cost on the past, origin by origin, beside the best capacity in hindsight."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from models.errors import MetricsError, Problem
from simulator.demand.buckets import HOURS_PER_DAY, HOURS_PER_WEEK, Floats, buckets
from simulator.demand.combine import capacity_at, cost
from simulator.demand.members import level_path
from simulator.demand.strategies import OURS, STRATEGIES, Strategy
from simulator.progress import SILENT, Progress

PREMIUMS = (1.5, 2.0, 3.0, 4.0)
HARM = 0.02
LEAST_NO_HARM = 0.85
TIE = 0.001


@dataclass(frozen=True, slots=True)
class Regret:
    """One strategy's advice at one origin of one series for one price ratio; `regret` 0.01 = 1 % above hindsight."""

    series: str
    strategy: str
    origin_h: int
    premium: float
    capacity: float
    regret: float


@dataclass(frozen=True)
class Regrets:
    """All cases of a back-test."""

    cases: tuple[Regret, ...]

    def of(self, strategy: str) -> Floats:
        """Regrets of one strategy, in case order."""
        return np.array([case.regret for case in self.cases if case.strategy == strategy])

    def median(self, strategy: str = OURS) -> float:
        """Median regret."""
        return float(np.median(self.of(strategy)))

    def p90(self, strategy: str = OURS) -> float:
        """Regret that nine of ten cases stay below."""
        return float(np.quantile(self.of(strategy), 0.9))

    def no_harm(self) -> float:
        """Share of cases in which ours is at most two points worse than the better newsvendor rule."""
        better = np.minimum(self.of("newsvendor_all"), self.of("newsvendor_28d"))
        return float(np.mean(self.of(OURS) <= better + HARM))


@dataclass(frozen=True, slots=True)
class Split:
    """History [0, origin) and the truth [origin, origin + ahead), in hours."""

    origin: int
    ahead: int


def rolling(hours: int, *, first: int, step: int, ahead: int) -> tuple[Split, ...]:
    """Origins from `first` in steps, each with `ahead` hours of truth after it.

    >>> [split.origin for split in rolling(156 * 168, first=52 * 168, step=13 * 168, ahead=26 * 168)][-1] // 168
    130
    """
    return tuple(Split(origin, ahead) for origin in range(first, hours - ahead + 1, step))


def halves(hours: int) -> tuple[Split, ...]:
    """The first half as history, the second as truth."""
    return (Split(hours // 2, hours - hours // 2),)


def backtest_series(
    series: Mapping[str, Floats],
    splits: Mapping[str, Sequence[Split]],
    *,
    premiums: tuple[float, ...] = PREMIUMS,
    strategies: Sequence[Strategy] = STRATEGIES,
    progress: Progress = SILENT,
) -> Regrets:
    """Every strategy on every split of every series; strategies receive slices and cannot look ahead."""
    progress.stage("back-test", sum(len(splits[name]) for name in series))
    cases: list[Regret] = []
    for name, values in series.items():
        for split in splits[name]:
            cases += _cases(name, values, split, premiums, strategies)
            progress.advance()
    return Regrets(tuple(cases))


def _cases(
    name: str, values: Floats, split: Split, premiums: tuple[float, ...], strategies: Sequence[Strategy]
) -> Iterator[Regret]:  # fmt: skip
    history, truth = values[: split.origin], values[split.origin : split.origin + split.ahead]
    truth = truth[~np.isnan(truth)]
    best = {premium: cost(capacity_at(truth, premium), truth, premium) for premium in premiums}
    for strategy in strategies:
        for premium, capacity in zip(premiums, strategy.capacities(history, split.ahead, premiums), strict=True):
            if best[premium] > 0:
                regret = strategy.cost(capacity, truth, premium) / best[premium] - 1.0
                yield Regret(name, strategy.name, split.origin, premium, capacity, regret)


def interval_coverage(series: Mapping[str, Floats], splits: Mapping[str, Sequence[Split]], nominal: float) -> float:
    """Share of future bucket means inside the central `nominal` interval of the level forecast."""
    inside: list[bool] = []
    for name, values in series.items():
        for split in splits[name]:
            source = buckets(values[: split.origin])
            count = split.ahead // source.size_h
            truth = values[split.origin : split.origin + count * source.size_h].reshape(count, source.size_h).mean(axis=1)
            path = level_path(source, count)
            low, high = path.quantile((1.0 - nominal) / 2.0), path.quantile((1.0 + nominal) / 2.0)
            inside += ((truth >= low) & (truth <= high)).tolist()
    return float(np.mean(inside))


def own_splits(hours: int) -> tuple[Split, ...]:
    """Origins for a back-test on one's own past: a quarter of the history ahead, at most 26 weeks, up to six origins.

    Refuses less than four weeks, where nothing can be left out and learned from at once.
    """
    if hours < 4 * HOURS_PER_WEEK:
        raise MetricsError(Problem("history", f"{hours / HOURS_PER_DAY:.1f} days", "give at least four weeks to back-test on"))
    ahead = min(26 * HOURS_PER_WEEK, hours // 4 // HOURS_PER_DAY * HOURS_PER_DAY)
    step = max(HOURS_PER_DAY, (hours // 2 - ahead) // 5 // HOURS_PER_DAY * HOURS_PER_DAY)
    return rolling(hours, first=hours - ahead - (hours // 2 - ahead) // step * step, step=step, ahead=ahead)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a back-test or benchmark: what was measured against which target; a rate of regret in per cent."""

    name: str
    measured: float
    unit: str
    target: float | None
    passed: bool | None


def rows(regrets: Regrets, most_regret: float) -> tuple[Row, ...]:
    """Our median and p90, the share of cases without harm, and every simple rule's median.

    A rule passes when ours is not worse than it by more than a tenth of a point.
    """
    ours, harmless = regrets.median(), regrets.no_harm()
    found = [
        Row(f"{OURS}, median regret", 100 * ours, "%", 100 * most_regret, ours <= most_regret),
        Row(f"{OURS}, p90 regret", 100 * regrets.p90(), "%", None, None),
        Row("cases within 2 points of the better newsvendor rule", harmless, "share", LEAST_NO_HARM, harmless >= LEAST_NO_HARM),
    ]
    for name in dict.fromkeys(case.strategy for case in regrets.cases if case.strategy != OURS):
        median = regrets.median(name)
        found.append(Row(f"{name}, median regret", 100 * median, "%", 100 * ours, median >= ours - TIE))
    return tuple(found)
