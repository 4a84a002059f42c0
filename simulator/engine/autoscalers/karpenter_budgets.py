"""Disruption budgets of a NodePool: how many of its nodes may be disrupted at once, by reason and by the clock.

Source: kubernetes-sigs/karpenter pkg/apis/v1/nodepool.go (Budget.GetAllowedDisruptions, IsActive) at 1.14.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

ALIASES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
WEEKDAYS = (0, 6)
RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), WEEKDAYS)
NAMES = {
    **{name: at for at, name in enumerate(("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), start=1)},
    **{name: at for at, name in enumerate(("sun", "mon", "tue", "wed", "thu", "fri", "sat"))},
}
NO_MOST = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Cron:
    """A schedule of minutes in UTC; `either` means that day of month or day of week is enough, as both were given."""

    fields: tuple[frozenset[int], ...]
    either: bool

    @classmethod
    def of(cls, text: str) -> Cron:
        """Five fields of minute, hour, day, month and weekday, or a name such as @daily; ValueError when it is neither."""
        parts = ALIASES.get(text.strip(), text).split()
        if len(parts) != len(RANGES):
            raise ValueError(f"{text!r} is no schedule of five fields")
        fields = tuple(_field(part, low, high) for part, (low, high) in zip(parts, RANGES, strict=True))
        return cls(fields, not parts[2].startswith(("*", "?")) and not parts[4].startswith(("*", "?")))

    def hits(self, at: datetime) -> bool:
        """Whether the minute of `at` is on the schedule."""
        minute, hour, day, month, weekday = self.fields
        days = (at.day in day, (at.weekday() + 1) % 7 in weekday)
        return at.minute in minute and at.hour in hour and at.month in month and (any(days) if self.either else all(days))


@dataclass(frozen=True, slots=True)
class Budget:
    """`nodes` or `share` of the pool's nodes (the other None), for `reasons` (none: all), while the schedule is open."""

    nodes: int | None = None
    share: float | None = None
    reasons: frozenset[str] = frozenset()
    schedule: Cron | None = None
    duration: timedelta = timedelta()

    def active(self, now: datetime) -> bool:
        """Whether a window that began within `duration` before `now` is open; always without a schedule."""
        if self.schedule is None:
            return True
        minute = now.replace(second=0, microsecond=0)
        back = math.ceil(self.duration / timedelta(minutes=1))
        starts = (minute - timedelta(minutes=step) for step in range(back + 1))
        return any(self.schedule.hits(start) and start + self.duration > now for start in starts)

    def most(self, nodes: int) -> int:
        """Nodes of `nodes` that may be disrupted at once; a share is rounded up.

        >>> Budget(share=0.1).most(11), Budget(nodes=5).most(2)
        (2, 5)
        """
        if self.share is not None:
            return math.ceil(nodes * self.share - 1e-9)
        return NO_MOST if self.nodes is None else self.nodes


DEFAULT = (Budget(share=0.1),)
"""What a pool without `budgets` has."""


def allowance(budgets: Sequence[Budget], nodes: int, reason: str, now: datetime) -> int:
    """The smallest budget that is about `reason` (Empty, Underutilized or Drifted) and open now."""
    open_now = (budget for budget in budgets if (not budget.reasons or reason in budget.reasons) and budget.active(now))
    return min((budget.most(nodes) for budget in open_now), default=NO_MOST)


def utc(text: str) -> datetime:
    """A moment written as ISO 8601; UTC where no zone is given."""
    found = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def _field(text: str, low: int, high: int) -> frozenset[int]:
    """One field of a schedule: lists, ranges and steps; Sunday is 0 or 7."""
    week = high == WEEKDAYS[1]
    found: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        if first in ("*", "?"):
            begin, end = low, high
        else:
            begin = _number(first)
            end = _number(last) if last else high if step else begin
        if not low <= begin <= end <= high + week or (step and int(step) < 1):
            raise ValueError(f"{part!r} is not within {low}-{high}")
        found |= set(range(begin, end + 1, int(step or 1)))
    return frozenset(value % 7 for value in found) if week else frozenset(found)


def _number(text: str) -> int:
    return NAMES[text.lower()] if text.lower() in NAMES else int(text)
