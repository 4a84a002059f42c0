"""Horizon: a first UTC hour and a number of hours; hour h covers [start + h, start + h + 1)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Horizon:
    """`start` is tz-aware UTC on a whole hour; `hours` is the number of hours."""

    start: datetime
    hours: int

    def __post_init__(self) -> None:
        if self.start.tzinfo is None:
            raise ValueError("Horizon.start must carry a time zone")
        object.__setattr__(self, "start", self.start.astimezone(UTC))
        if self.start.minute or self.start.second or self.start.microsecond:
            raise ValueError(f"Horizon.start must be a whole hour, not {self.start}")
        if self.hours < 0:
            raise ValueError("Horizon.hours must not be negative")

    @property
    def end(self) -> datetime:
        """First instant after the horizon."""
        return self.start + timedelta(hours=self.hours)

    def index(self, when: datetime) -> int:
        """Hour number that covers `when`; may lie outside [0, hours)."""
        return int((when - self.start).total_seconds() // 3600)

    def at(self, hour: int) -> datetime:
        """Start of hour `hour`."""
        return self.start + timedelta(hours=hour)

    def times(self) -> NDArray[np.datetime64]:
        """Start of every hour: datetime64[s] [hours], UTC."""
        first = np.datetime64(self.start.replace(tzinfo=None), "s")
        return first + np.arange(self.hours) * np.timedelta64(3600, "s")
