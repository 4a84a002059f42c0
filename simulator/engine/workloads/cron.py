"""Cron schedules: five fields in a time zone, strict, with the times that they name.

The grammar and the daylight-saving rules are those of CronJobs: github.com/robfig/cron v3, standard parser. A day matches when both day
fields match, or either of them when neither holds a `*` or `?` (a step such as `*/2` restricts). A local time that the clock skips is
left out, one that it shows twice counts twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from models.errors import Problem, ScenarioError

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
MACROS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day of month", 1, 31), ("month", 1, 12), ("day of week", 0, 6))
FARTHEST_YEARS = 5
_RANGE = re.compile(r"(\*|\?|[a-z0-9]+)(?:-([a-z0-9]+))?(?:/(\d+))?")


@dataclass(frozen=True)
class CronSchedule:
    """Minutes, hours, days, months and weekdays (0 is Sunday) that match; `both_days`: a day matches both day fields."""

    text: str
    zone: ZoneInfo
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    both_days: bool

    def matches_day(self, day: datetime) -> bool:
        """Whether a local date matches."""
        if day.month not in self.months:
            return False
        by_date, by_weekday = day.day in self.days, (day.weekday() + 1) % 7 in self.weekdays
        return by_date and by_weekday if self.both_days else by_date or by_weekday

    def after(self, when: datetime) -> datetime | None:
        """First time strictly after `when` (tz-aware), in UTC; None when none comes within five years (30 February)."""
        return next(self.times(when, when + timedelta(days=366 * FARTHEST_YEARS)), None)

    def times(self, after: datetime, until: datetime) -> Iterator[datetime]:
        """Every time in (after, until], in UTC and rising order."""
        local = after.astimezone(self.zone)
        day = local.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None, fold=0)
        last = until.astimezone(self.zone).replace(tzinfo=None)
        while day <= last:
            if self.matches_day(day):
                for moment in self._of_day(day):
                    if after < moment <= until:
                        yield moment
            day += timedelta(days=1)

    def _of_day(self, day: datetime) -> list[datetime]:
        """The times of one local date in UTC."""
        found = set()
        for hour in self.hours:
            for minute in self.minutes:
                for fold in (0, 1):
                    wall = day.replace(hour=hour, minute=minute, fold=fold, tzinfo=self.zone)
                    moment = wall.astimezone(UTC)
                    if moment.astimezone(self.zone).replace(tzinfo=None, fold=0) == wall.replace(tzinfo=None, fold=0):
                        found.add(moment)
        return sorted(found)


def parse_cron(text: str, time_zone: str, place: str) -> CronSchedule:
    """A schedule such as `0 22 * * mon-fri`. Raises ScenarioError that names every wrong field of it.

    >>> parse_cron("*/20 8-9 * * *", "UTC", "example").after(datetime(2026, 1, 5, 9, 40, tzinfo=UTC)).isoformat()
    '2026-01-06T08:00:00+00:00'
    """
    words = MACROS.get(text.strip().lower(), text).lower().split()
    if len(words) != len(FIELDS):
        mend = f"write five fields ({', '.join(name for name, _, _ in FIELDS)}), or one of {', '.join(sorted(MACROS))}"
        raise ScenarioError(Problem(place, repr(text), mend))
    problems: list[Problem] = []
    sets: list[frozenset[int]] = []
    for word, (name, low, high) in zip(words, FIELDS, strict=True):
        try:
            sets.append(_field(word, name, low, high))
        except ValueError as error:
            problems.append(Problem(f"{place}: {name}", repr(word), str(error)))
    if problems:
        raise ScenarioError(problems)
    minutes, hours, days, months, weekdays = sets
    both_days = any(part in ("*", "?", "*/1") for word in (words[2], words[4]) for part in word.split(","))
    schedule = CronSchedule(text, ZoneInfo(time_zone), minutes, hours, days, months, weekdays, both_days)
    if schedule.after(datetime(2024, 1, 1, tzinfo=UTC)) is None:
        raise ScenarioError(Problem(place, repr(text), "name a date that exists"))
    return schedule


def _field(word: str, name: str, low: int, high: int) -> frozenset[int]:
    values: set[int] = set()
    for part in word.split(","):
        match = _RANGE.fullmatch(part)
        if match is None:
            raise ValueError("write a number, a range a-b, a step such as */15, or a list of them")
        first, last, step = match.groups()
        every = int(step) if step else 1
        if every < 1:
            raise ValueError("a step is at least 1")
        if first in "*?":
            if last:
                raise ValueError("a range has numbers on both sides")
            begin, end = low, high
        else:
            begin = _number(first, name, low, high)
            end = _number(last, name, low, high) if last else high if step else begin
        if end < begin:
            raise ValueError(f"the range runs backwards; write {end}-{begin}, or two ranges")
        values |= set(range(begin, end + 1, every))
    return frozenset(values)


def _number(word: str, name: str, low: int, high: int) -> int:
    names = {"month": MONTHS, "day of week": DAYS}.get(name, ())
    if word in names:
        return names.index(word) + low
    if not word.isdigit() or not low <= int(word) <= high:
        known = f", or {names[0]} to {names[-1]}" if names else ""
        raise ValueError(f"{name} lies in {low}..{high}{known}")
    return int(word)
