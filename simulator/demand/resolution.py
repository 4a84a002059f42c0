"""Resolution: hourly means are enough to size a fleet; daily means are refused, because they hide the peaks inside the day."""

from __future__ import annotations

import numpy as np

from models.errors import MetricsError, Problem
from simulator.demand.buckets import HOURS_PER_DAY, Floats


def is_daily(history: Floats) -> bool:
    """Whether the values change once a day, always at the same hour, on at least half of the days: daily data by the hour.

    >>> is_daily(np.repeat([1.0, 2.0, 3.0], 24)), is_daily(np.arange(72.0)), is_daily(np.ones(72))
    (True, False, False)
    """
    step = np.diff(history)
    changes = np.flatnonzero(~np.isnan(step) & (step != 0.0))
    days = len(history) / HOURS_PER_DAY
    return bool(changes.size >= max(2.0, days / 2)) and np.unique(changes % HOURS_PER_DAY).size == 1


def refuse_daily(history: Floats, place: str) -> None:
    """Raise `MetricsError` for daily data. history : float64 [hours], NaN = missing."""
    if is_daily(history):
        raise MetricsError(Problem(place, "daily values", "give hourly data; a daily mean hides the peaks that nodes are built for"))
