"""When a control loop that polls would look next, without running the looks that cannot see anything new.

A loop looks at grid points: `interval` after the end of the last look, each look taking `busy`. Event-driven, it sleeps
until something changed or until its own next expiry, and then looks at the grid point at which polling would have
looked; a trigger makes it look at once, or at the end of the look that polling would be busy with. Looks come after
everything else of their millisecond. So both ways look at the same things at the same times.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import simpy
from simpy.events import EventPriority

Story = Generator[simpy.Event, Any, None]
"""What a simpy process yields."""

LATE = EventPriority(2)
"""Priority after simpy's normal events (1) of the same time."""


class Late(simpy.Event):
    """A timeout that fires after all other events of its time."""

    def __init__(self, env: simpy.Environment, delay_ms: int) -> None:
        super().__init__(env)
        self._ok, self._value = True, None
        env.schedule(self, priority=LATE, delay=delay_ms)


class Polling:
    """Waits for one loop. Call `begin` when a look starts, `note` on every change, `trigger` for a change that cannot wait."""

    def __init__(self, env: simpy.Environment, interval_ms: int, busy_ms: int, *, event_driven: bool) -> None:
        self.env, self.interval_ms, self.busy_ms, self.event_driven = env, interval_ms, busy_ms, event_driven
        self.looked_ms = -1
        self.looks = 0
        self._changed = self._triggered = False
        self._wake = env.event()

    def begin(self) -> None:
        """A look starts now."""
        self.looked_ms = int(self.env.now)
        self.looks += 1
        self._changed = self._triggered = False

    def note(self) -> None:
        """Something that the loop looks at has changed."""
        self._changed = True
        if not self._wake.triggered:
            self._wake.succeed()

    def trigger(self) -> None:
        """Something has changed that starts a look at once."""
        self._triggered = True
        self.note()

    def wait(self, next_expiry: Callable[[], int | None]) -> Story:
        """From the end of a look to the start of the next; `next_expiry` is when a look could differ without any change."""
        first = int(self.env.now) + self.interval_ms
        point = first
        while not self._triggered:
            idle = self.event_driven and not self._changed
            expiry = next_expiry() if idle else None
            target = self._grid(first, max(point, expiry)) if expiry is not None else None if idle else point
            self._wake = self.env.event()
            yield self._wake if target is None else self._wake | Late(self.env, target - int(self.env.now))
            if target is not None and self.env.now >= target and not self._triggered:
                return
            point = self._grid(first, max(int(self.env.now), first))
        yield from self._finish_skipped(first)

    def _grid(self, first: int, time: int) -> int:
        """First grid point at or after `time`."""
        step = self.interval_ms + self.busy_ms
        return first + -(-(time - first) // step) * step

    def _finish_skipped(self, first: int) -> Story:
        """A trigger inside a look that was skipped waits for that look's end."""
        into = (int(self.env.now) - first) % (self.interval_ms + self.busy_ms)
        if self.env.now > first and 0 < into < self.busy_ms:
            yield self.env.timeout(self.busy_ms - into)
