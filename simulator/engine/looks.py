"""When a process that looks on a time grid looks next, without the looks that cannot see anything new.

Polling looks at every grid point. Event-driven, a process sleeps until pods or nodes change or a time of its own comes, and
looks at the first grid point at which polling would have seen that: a departure or a control event at its own instant
when that is a grid point, an arrival strictly after it (arrivals come after the control events of their instant).
"""

from __future__ import annotations

from simulator.engine.environment import HybridEnvironment, Story
from simulator.engine.kernels import HEAPED, NEXT_ARRIVAL, NEXT_DEPARTURE
from simulator.engine.state import State
from simulator.engine.wait_budget import NEVER


class Looks:
    """The grid of one process; `rank` orders the looks of several processes at one instant."""

    def __init__(self, env: HybridEnvironment, grid_ms: int, rank: int, *, event_driven: bool) -> None:
        self.env, self._grid, self._rank, self._event_driven = env, grid_ms, rank, event_driven

    def after(self, now: int) -> int:
        """First grid point strictly after `now`."""
        return (now // self._grid + 1) * self._grid

    def at_or_after(self, when: int) -> int:
        """First grid point at or after `when`."""
        return -(-when // self._grid) * self._grid

    def at(self, when: int) -> Story:
        """To `when`, after everything else of that instant but looks of higher rank."""
        yield self.env.last_at(when, self._rank)
        self.env.looking(self._rank)

    def sleep(self, until: int, *, waits: bool) -> Story:
        """To the next look: the first grid point from `until` on, earlier when nodes change, or (`waits`) when a pod begins to wait."""
        env, started = self.env, self.env.ms
        soonest = self.after(started)
        if not self._event_driven or until <= soonest:
            yield from self.at(soonest)
            return
        change = env.first_wait() if waits else env.next_change()
        if until >= NEVER:
            yield change
        else:
            yield change | env.last_at(self.at_or_after(until), self._rank)
            if not change.triggered:
                env.stop_watching() if waits else env.forget(change)
                env.looking(self._rank)
                return
        on_grid = change.value == "control" and env.ms % self._grid == 0 and env.ms > started and env.change_phase < self._rank
        yield from self.at(env.ms if on_grid else self.after(env.ms))


def next_pod_event(state: State) -> int:
    """First instant from which a look can see a pod come or go; now where control processes start pods at will."""
    if state.trace.dynamic.size:
        return 0
    clock, shift = state.clock, state.trace.shift
    i, d = int(clock[NEXT_ARRIVAL]), int(clock[NEXT_DEPARTURE])
    arrival = int(state.arrival[i]) + 1 if i < state.trace.pods else NEVER
    departure = int(state.trace.departure[d]) >> shift if d < state.trace.pods else NEVER
    late = int(state.heap[0]) >> shift if clock[HEAPED] > 0 else NEVER
    return min(arrival, departure, late)
