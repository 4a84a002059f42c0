"""Forecast: hourly history -> levels with quantiles, members with their back-tested regret, and capacities by price ratio.

History shorter than two weeks is used with a warning; data that is constant inside every day is daily data in disguise
and refused, because the hours inside a day decide how many nodes are worth owning.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from models.errors import MetricsError, Problem
from models.horizon import Horizon
from simulator.demand.buckets import HOURS_PER_DAY, Floats, buckets, without_outages
from simulator.demand.combine import Advice, advise_many
from simulator.demand.members import MEMBERS, Member, level_path
from simulator.demand.resolution import refuse_daily

PREMIUMS = (1.5, 2.0, 3.0, 4.0)
SHARES = (0.05, 0.1, 0.5, 0.9, 0.95)
MOST_REGRET = 0.10
LEAST_H, TWO_WEEKS_H = 2 * HOURS_PER_DAY, 14 * HOURS_PER_DAY


@dataclass(frozen=True)
class Forecast:
    """Demand ahead, in the unit of the history.

    quantiles : share -> float64 [buckets], mean demand of each future bucket of `bucket_h` hours
    advice    : price ratio AWS / private -> capacity with the members behind it
    growth_share_per_year : change of the median level over the first year ahead (or the whole, if shorter), per year
    """

    horizon: Horizon
    bucket_h: int
    quantiles: Mapping[float, Floats]
    advice: Mapping[float, Advice]
    growth_share_per_year: float
    outages_replaced: int
    hours_lost: int
    warnings: tuple[str, ...] = field(default=())


def forecast(
    history: Floats, past: Horizon, horizon_h: int, *, premiums: Sequence[float] = PREMIUMS, members: Sequence[Member] = MEMBERS
) -> Forecast:  # fmt: skip
    """Forecast `horizon_h` hours after `past`.

    history : float64 [past.hours], NaN = missing. Raises `MetricsError` for daily data, or without two days of hours.
    """
    problem = too_short(history)
    if problem is not None:
        raise MetricsError(problem)
    refuse_daily(history, "history")
    cleaned = without_outages(history)
    source = buckets(cleaned)
    lost = int(np.isnan(cleaned).sum() - np.isnan(history).sum())
    path = level_path(source, -(-horizon_h // source.size_h))
    advice = dict(zip(premiums, advise_many(cleaned, horizon_h, premiums, members), strict=True))
    middle = path.quantile(0.5)
    now = float(source.level_of(np.array([np.median(source.y[-5:])]))[0])
    years = len(middle) * source.size_h / (365 * HOURS_PER_DAY)
    return Forecast(
        horizon=Horizon(past.end, horizon_h),
        bucket_h=source.size_h,
        quantiles={share: path.quantile(share) for share in SHARES},
        advice=advice,
        growth_share_per_year=(float(middle[-1]) / now) ** (1.0 / years) - 1.0 if now > 0 else 0.0,
        outages_replaced=source.replaced,
        hours_lost=lost,
        warnings=_warnings(history, advice, source.replaced, lost),
    )


def too_short(history: Floats) -> Problem | None:
    """What to tell when the history is under two days; None when a forecast can be made."""
    known = int(np.count_nonzero(~np.isnan(history)))
    if known >= LEAST_H:
        return None
    return Problem("history", f"{known} hours of demand", "give at least two days, better a year")


def _warnings(history: Floats, advice: Mapping[float, Advice], replaced: int, lost: int) -> tuple[str, ...]:
    found = []
    if len(history) < TWO_WEEKS_H:
        found.append(f"only {len(history) / HOURS_PER_DAY:.1f} days of history: under two weeks, do not size from this")
    if replaced:
        found.append(f"{replaced} weeks or days far below their neighbours were taken out of the level")
    if lost:
        found.append(f"{lost} hours next to zero were taken as outages, not as demand")
    poor = [premium for premium, one in advice.items() if one.regret is not None and one.regret > MOST_REGRET]
    if poor:
        ratios = ", ".join(f"{premium:g}" for premium in poor)
        found.append(f"back-tested regret above {MOST_REGRET:.0%} at price ratio {ratios}: no advice from this history")
    return tuple(found)
