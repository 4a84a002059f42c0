"""A scenario's curve on the engine's clock: steps in milliseconds since the horizon's start."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from datetime import timedelta
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from models.horizon import Horizon
from models.scenario_workloads import DAY_H, CurvePart
from models.units import MS_PER_H

QUARTER_MS = MS_PER_H // 4
"""No time zone changes its clock at anything finer."""


@dataclass(frozen=True)
class Steps:
    """A value that changes at `times_ms` (rising, the first 0)."""

    times_ms: tuple[int, ...]
    values: tuple[float, ...]

    @classmethod
    def of(cls, changes: list[tuple[int, float]], times: float = 1.0) -> Steps:
        """Steps from (ms, value) pairs in order, equal neighbours joined; 0 before the first."""
        kept = [(0, 0.0)] if not changes or changes[0][0] > 0 else []
        for when, value in changes:
            if not kept or kept[-1][1] != value * times:
                kept.append((when, value * times))
        return cls(tuple(when for when, _ in kept), tuple(value for _, value in kept))

    def at(self, ms: int) -> float:
        """The value at an instant; a change counts from its own instant on."""
        return self.values[max(bisect_right(self.times_ms, ms) - 1, 0)]

    def next_after(self, ms: int) -> int | None:
        """The next change strictly after an instant."""
        position = bisect_right(self.times_ms, ms)
        return self.times_ms[position] if position < len(self.times_ms) else None

    def last_until(self, ms: int) -> int:
        """The last change up to and at an instant."""
        return self.times_ms[max(bisect_right(self.times_ms, ms) - 1, 0)]

    def hourly_max(self, hours: int) -> NDArray[np.float64]:
        """The largest value of every hour: float64 [hours]."""
        out = np.array([self.at(h * MS_PER_H) for h in range(hours)], np.float64)
        for when, value in zip(self.times_ms, self.values, strict=True):
            h = when // MS_PER_H
            if h < hours:
                out[h] = max(out[h], value)
        return out


def steps_of(part: CurvePart, horizon: Horizon, times: float = 1.0) -> Steps:
    """The curve over a horizon. A day of 24 or a week of 168 values, Monday first, repeats by the local clock."""
    if part.steps:
        return Steps.of([(round(hour * MS_PER_H), value) for hour, value in part.steps], times)
    zone, found = ZoneInfo(part.time_zone), []
    for quarter in range(horizon.hours * 4):
        local = (horizon.start + timedelta(minutes=15 * quarter)).astimezone(zone)
        hour = local.hour if len(part.by_hour) == DAY_H else local.weekday() * DAY_H + local.hour
        found.append((quarter * QUARTER_MS, part.by_hour[hour]))
    return Steps.of(found, times)
