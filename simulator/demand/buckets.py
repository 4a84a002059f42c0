"""Buckets: hourly demand summed up to weeks, days or hours that end at the origin, with a guard against outages."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

HOURS_PER_DAY, HOURS_PER_WEEK = 24, 168
WEEKLY_FROM_H, DAILY_FROM_H = 182 * HOURS_PER_DAY, 7 * HOURS_PER_DAY
LEAST_FULL_SHARE = 0.95
LOST_SHARE, MOST_LOST_SHARE = 0.02, 0.10
_MAD_TO_SD = 1.4826

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Buckets:
    """levels : float64 [buckets], mean demand of each bucket, oldest first; y : the same on a log scale, guarded.

    `y = log1p(100 x level / mean level)`; `size_h` is 168, 24 or 1; `replaced` counts outages that the guard took out.
    """

    size_h: int
    levels: Floats
    y: Floats
    mean_level: float
    replaced: int

    def level_of(self, y: Floats) -> Floats:
        """Back from the log scale to demand."""
        return np.expm1(y) / 100.0 * self.mean_level


def bucket_hours(hours: int) -> int:
    """Bucket size for a history: weeks from 182 days, days from 7 days, else hours.

    Days from 7 days on, because hourly levels between one and two weeks nearly doubled the regret on public traces.

    >>> bucket_hours(24 * 182), bucket_hours(24 * 7), bucket_hours(24 * 6)
    (168, 24, 1)
    """
    return HOURS_PER_WEEK if hours >= WEEKLY_FROM_H else HOURS_PER_DAY if hours >= DAILY_FROM_H else 1


def buckets(history: Floats) -> Buckets:
    """Buckets of a history (float64 [hours], NaN = missing) that end at its last hour; those under 95 % full are dropped."""
    size = bucket_hours(len(history))
    whole = history[len(history) % size :].reshape(-1, size)
    counted = np.count_nonzero(~np.isnan(whole), axis=1)
    kept = whole[counted >= LEAST_FULL_SHARE * size]
    if not kept.size:
        raise ValueError("no bucket of the history is full enough to forecast from")
    levels = np.nanmean(kept, axis=1)
    mean_level = float(levels.mean())
    y, replaced = guard(np.log1p(100.0 * levels / mean_level) if mean_level > 0 else np.zeros(len(levels)))
    return Buckets(size, levels, y, mean_level, replaced)


def guard(y: Floats, window: int = 3) -> tuple[Floats, int]:
    """Outage guard: a value far below the median of its neighbours (three on each side) becomes that median.

    Downward only: y_i < med_i - 4 max(1.4826 MAD_i + 0.001, 0.02). Growth and peaks are left as they are.

    >>> values, count = guard(np.array([4.6, 4.6, 4.6, 0.1, 4.6, 4.6, 4.6]))
    >>> values.tolist() == [4.6] * 7, count
    (True, 1)
    """
    if len(y) < 2:
        return y, 0
    padded = np.pad(y, window, constant_values=np.nan)
    around = np.lib.stride_tricks.sliding_window_view(padded, 2 * window + 1)
    median = np.nanmedian(around, axis=1)
    spread = _MAD_TO_SD * np.nanmedian(np.abs(around - median[:, None]), axis=1) + 0.001
    low = y < median - 4.0 * np.maximum(spread, 0.02)
    return np.where(low, median, y), int(low.sum())


def without_outages(history: Floats) -> Floats:
    """History with lost hours as NaN: under 2 % of the median of their hour of the day, at most a tenth of all hours.

    More than a tenth is a habit (weekends off), not an outage, and stays. Every member then sees the same cleaned past.

    >>> found = without_outages(np.r_[np.ones(240), np.zeros(24), np.ones(24)])
    >>> int(np.isnan(found).sum())
    24
    """
    days = -(-len(history) // HOURS_PER_DAY)
    table = np.full(days * HOURS_PER_DAY, np.nan)
    table[len(table) - len(history) :] = history
    by_hour = table.reshape(days, HOURS_PER_DAY)
    some = ~np.isnan(by_hour).all(axis=0)
    usual = np.zeros(HOURS_PER_DAY)
    usual[some] = np.nanmedian(by_hour[:, some], axis=0)
    lost = (by_hour < LOST_SHARE * usual).ravel()[len(table) - len(history) :]
    return np.where(lost, np.nan, history) if 0 < lost.sum() <= MOST_LOST_SHARE * len(history) else history


def robust_sd(values: Floats) -> float:
    """1.4826 x median absolute deviation from the median."""
    return _MAD_TO_SD * float(np.median(np.abs(values - np.median(values))))
