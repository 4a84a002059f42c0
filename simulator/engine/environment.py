"""HybridEnvironment: simpy's clock in integer milliseconds, with the compiled kernel running pods between its events."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, Literal

import simpy
from simpy.events import URGENT, EventPriority

from simulator.engine.kernels import CHANGED, NOW, REACHED, WAITING_HELPABLE, WATCH_CHANGED, WOKEN, WOKEN_BEFORE
from simulator.engine.state import State

LAST = 9
"""Priority of an event that comes after every other control event of its instant; looks of several processes rank from here."""

_simpy_step = simpy.Environment.step

Story = Generator[simpy.Event, Any, None]
"""What a control process is: the events it waits for, one after the other."""

Cause = Literal["arrival", "control"]


class HybridEnvironment(simpy.Environment):
    """Before simpy's next event, pods run up to its instant: departures at that instant, then the event, then arrivals."""

    def __init__(self, state: State) -> None:
        super().__init__(0)
        self.state = state
        self.crossings = 0
        self._run_pods = state.advance
        self._reached: float = -1
        self._watcher: simpy.Event | None = None
        self._listeners: list[simpy.Event] = []
        self._heard: Callable[[], None] | None = None
        self.changes = 0
        self.change_phase = -1
        self._looked = (-1, -1)
        self._unwatched = True

    @property
    def ms(self) -> int:
        """The present, in milliseconds since the horizon's start."""
        return int(self._now)

    def step(self) -> None:
        """Run pods to the next control event, then process it."""
        upcoming = self._queue[0][0] if self._queue else 0
        if self._unwatched:
            if upcoming > self._reached:
                self.crossings += 1
                self._run_pods(upcoming, 0)
                self._reached = upcoming
            _simpy_step(self)
            return
        if upcoming > self._reached:
            self.crossings += 1
            watch = (self._watcher is not None) + (WATCH_CHANGED if self._heard is not None else 0)
            code = self._run_pods(upcoming, watch)
            if code == REACHED:
                self._reached = upcoming
            else:
                reached = self._reached = int(self.state.clock[NOW])
                if code in (WOKEN, WOKEN_BEFORE):
                    self._wake("arrival" if code == WOKEN else "control", reached - self.ms)
                else:
                    self._pass(reached - self.ms)
        if self._watcher is None:
            self._process()
            return
        none_waited = self.state.clock[WAITING_HELPABLE] == 0
        self._process()
        if none_waited and self.state.clock[WAITING_HELPABLE] > 0:
            self.control_changed()

    def _process(self) -> None:
        """simpy's next event, and what it did to dynamic pods told on."""
        _simpy_step(self)
        if self._heard is not None and self.state.clock[CHANGED] > 0:
            self._heard()

    def listen_to_pods(self, heard: Callable[[], None]) -> None:
        """Call `heard` at every instant in which dynamic pods found or lost a node or ended; one listener."""
        self._heard = heard
        self._unwatched = False

    def _pass(self, delay_ms: int) -> None:
        """An event that does nothing, so that the clock stops at its instant."""
        event = self.event()
        event._ok, event._value = True, None
        self.schedule(event, priority=URGENT, delay=delay_ms)

    def first_wait(self) -> simpy.Event:
        """An event that fires when a pod that new nodes could help begins to wait, or when `control_changed` is called.

        Its value is the cause; there is one watcher at a time.
        """
        self._watcher = self.event()
        self._unwatched = False
        return self._watcher

    def stop_watching(self) -> None:
        """The watcher has woken by other means."""
        self._watcher = None
        self._unwatched = self._heard is None

    def next_change(self) -> simpy.Event:
        """An event that fires at the next control event that changes nodes; any number may be waited for."""
        event = self.event()
        self._listeners.append(event)
        return event

    def forget(self, event: simpy.Event) -> None:
        """Nobody waits for this `next_change` any more."""
        if not event.triggered:
            self._listeners.remove(event)

    def control_changed(self) -> None:
        """A control event changed what watchers may want to know: a node joined, left or became orderable, pods were moved."""
        self.changes += 1
        when, rank = self._looked
        self.change_phase = rank if when == self.ms else -1
        if self._watcher is not None:
            self._wake("control", 0)
        listeners, self._listeners = self._listeners, []
        for event in listeners:
            event.succeed("control")

    def _wake(self, cause: Cause, delay_ms: int) -> None:
        event, self._watcher = self._watcher, None
        self._unwatched = self._heard is None
        assert event is not None
        event._ok, event._value = True, cause
        self.schedule(event, priority=URGENT, delay=delay_ms)

    def looking(self, rank: int) -> None:
        """A look of this rank begins: what changes from here on in this instant, looks of lower ranks have not seen."""
        self._looked = (self.ms, rank)

    def last_at(self, when_ms: int, rank: int = 0) -> simpy.Event:
        """An event at `when_ms` that comes after the other control events of that instant; lower ranks come first."""
        event = self.event()
        event._ok, event._value = True, "time"
        self.schedule(event, priority=EventPriority(LAST + rank), delay=when_ms - self.ms)
        return event
