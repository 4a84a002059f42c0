"""Forecast members: each turns hourly history into the distribution of hourly demand over a horizon, and nothing more.

Only one quantile of the future decides a static capacity, so a member returns equally likely demand values, not paths.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.special import stdtrit
from scipy.stats import theilslopes

from simulator.demand.buckets import HOURS_PER_DAY, HOURS_PER_WEEK, Buckets, Floats, bucket_hours, buckets, robust_sd

GRID = 400
_SHARES = (np.arange(99) + 0.5) / 99
_SEASON = {HOURS_PER_WEEK: 52, HOURS_PER_DAY: 7, 1: 24}
_PHI = {HOURS_PER_WEEK: 0.98, HOURS_PER_DAY: 0.97, 1: 0.0}
_RATIO_HOURS = {HOURS_PER_WEEK: 8 * HOURS_PER_WEEK, HOURS_PER_DAY: 28 * HOURS_PER_DAY, 1: 1}
RECENT_H = 28 * HOURS_PER_DAY
_CAP = np.log(4.0)
LEAST_FREEDOM = 1.2


class Member(Protocol):
    """A forecast member; models from outside (statsforecast, Prophet) fit behind the same two lines."""

    @property
    def name(self) -> str:
        """How the member is called in tables."""
        ...

    def demand(self, history: Floats, horizon_h: int) -> Floats | None:
        """Equally likely hourly demand values over the next `horizon_h` hours; None when the history is too short.

        history : float64 [hours], NaN = missing, ends at the origin.
        """
        ...


@dataclass(frozen=True)
class LevelMember:
    """Robust level, damped Theil-Sen drift, spread that grows with a power of time, and the recent shape inside a bucket."""

    name: str = "level"

    def demand(self, history: Floats, horizon_h: int) -> Floats | None:
        """Levels over all buckets and quantiles, times the ratios hour / level of the last weeks."""
        if np.count_nonzero(~np.isnan(history)) < HOURS_PER_DAY:
            return None
        path = level_path(buckets(history), -(-horizon_h // bucket_hours(len(history))))
        levels = quantile_grid(path.level(_SHARES).ravel())
        ratios = quantile_grid(shape_ratios(history, path.source.size_h))
        return np.multiply.outer(levels, ratios).ravel()


@dataclass(frozen=True)
class LevelPath:
    """Forecast of bucket levels on the log scale: centre and spread per future bucket, float64 [buckets].

    The spread is estimated from overlapping changes, so a short history knows it badly: quantiles are Student's with
    n^2 / 100 degrees of freedom for n buckets (1.2 at least), a rule fitted to the coverage of intervals on public series.
    """

    source: Buckets
    centre: Floats
    sigma: Floats

    def level(self, shares: Floats) -> Floats:
        """Demand level not exceeded with each probability: float64 [buckets, shares]."""
        freedom = max(LEAST_FREEDOM, len(self.source.y) ** 2 / 100.0)
        y = self.centre[:, None] + self.sigma[:, None] * stdtrit(freedom, shares)
        return self.source.level_of(np.clip(y, 0.0, self.source.y.max() + _CAP))

    def quantile(self, share: float) -> Floats:
        """Demand level of each future bucket that is not exceeded with probability `share`."""
        return self.level(np.array([share]))[:, 0]


def level_path(source: Buckets, ahead: int) -> LevelPath:
    """Level, drift and spread `ahead` buckets into the future."""
    y, steps = source.y, np.arange(1, ahead + 1, dtype=np.float64)
    hourly = source.size_h == 1
    level = float(np.mean(y[-24:]) if hourly else np.median(y[-5:]))
    return LevelPath(source, level + _drift(source, steps), _sigma(y, steps))


def _drift(source: Buckets, steps: Floats) -> Floats:
    """lambda mu (1 - phi^j) / (1 - phi): the slope counts as far as its 95 % interval says that it is one."""
    phi = _PHI[source.size_h]
    y = source.y[-_SEASON[HOURS_PER_WEEK] :] if source.size_h == HOURS_PER_WEEK else source.y
    if source.size_h == 1 or len(y) < 3:
        return np.zeros(len(steps))
    slope, _, low, high = theilslopes(y, alpha=0.95)
    if slope == 0.0:
        return np.zeros(len(steps))
    trust = max(0.0, 1.0 - ((high - low) / 2.0 / (2.0 * abs(slope))) ** 2)
    if low <= 0.0 <= high:
        trust /= 2.0
    return np.asarray(trust * slope * (1.0 - phi**steps) / (1.0 - phi))


def _sigma(y: Floats, steps: Floats) -> Floats:
    """e^a j^b, fitted to the spread of k-step changes for k = 1 .. n/3; b in 0.05 .. 0.6."""
    lags = np.arange(1, max(1, len(y) // 3) + 1)
    usable = lags[lags < len(y)]
    if not usable.size:
        return np.full(len(steps), 0.001)
    spread = np.log([max(robust_sd(y[k:] - y[:-k]), 0.001) for k in usable])
    power = float(np.clip(np.polyfit(np.log(usable), spread, 1)[0], 0.05, 0.6)) if usable.size > 1 else 0.05
    scale = float(np.median(spread - power * np.log(usable)))
    return np.asarray(np.exp(scale) * steps**power)


def shape_ratios(history: Floats, size_h: int) -> Floats:
    """Ratios hour / bucket level of the last 8 weeks (28 days): the shape inside a bucket; {1} for hourly buckets."""
    span = min(_RATIO_HOURS[size_h], len(history) // size_h * size_h)
    recent = history[len(history) - span :].reshape(-1, size_h)
    level = np.nanmean(np.where(np.isnan(recent).all(axis=1, keepdims=True), 0.0, recent), axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratios = (recent / level).ravel()
    ratios = ratios[np.isfinite(ratios)]
    return ratios if ratios.size else np.ones(1)


@dataclass(frozen=True)
class SeasonalMember:
    """Seasonal naive: the same hours one season ago (52 weeks, 7 days or 24 hours), repeated as often as needed."""

    name: str = "seasonal"

    def demand(self, history: Floats, horizon_h: int) -> Floats | None:
        """The horizon's hours of one season before; None without a full season."""
        size = bucket_hours(len(history))
        season = _SEASON[size] * size
        if len(history) < season:
            return None
        values = np.resize(history[len(history) - season :], horizon_h)
        return _known(values)


@dataclass(frozen=True)
class EmpiricalMember:
    """The demand seen so far: all of it, or the last `hours`."""

    name: str
    hours: int | None = None

    def demand(self, history: Floats, horizon_h: int) -> Floats | None:
        """Past hours as they were."""
        return _known(history if self.hours is None else history[-self.hours :])


MEMBERS: tuple[Member, ...] = (
    LevelMember(),
    SeasonalMember(),
    EmpiricalMember("history"),
    EmpiricalMember("last 28 days", RECENT_H),
)


def quantile_grid(values: Floats, points: int = GRID) -> Floats:
    """`points` equally likely quantiles of the values."""
    return np.asarray(np.quantile(values, (np.arange(points) + 0.5) / points))


def _known(values: Floats) -> Floats | None:
    values = values[~np.isnan(values)]
    return values if values.size else None
