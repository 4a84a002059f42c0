"""The node autoscaler: looks on a time grid, orders nodes for pods that wait, returns nodes that stayed empty.

Looking at every grid point of a year costs millions of looks that do nothing. The event-driven process sleeps until a
look can matter and then looks at the same grid point that polling would have acted on, so both write the same log:

- pods that new nodes could help wait, and a node can still be ordered: every grid point;
- otherwise the first grid point after such a pod begins to wait (an arrival comes after the control events of its
  instant, so strictly after), or at which a control event changed the nodes;
- and the first grid point at which an empty node may have been empty for long enough.
"""

from __future__ import annotations

import numpy as np

from models.units import MS_PER_S
from simulator.engine.config import Autoscaling
from simulator.engine.environment import HybridEnvironment, Story
from simulator.engine.kernels import WAITING_HELPABLE
from simulator.engine.provisioning import Supply
from simulator.engine.wait_budget import NEVER, WaitBudget


class Autoscaler:
    """One autoscaler over every pool that can grow, filled in order of the pools' priority."""

    def __init__(self, env: HybridEnvironment, supply: Supply, settings: Autoscaling, budget: WaitBudget) -> None:
        self.env, self.supply, self._budget = env, supply, budget
        self._grid = round(settings.scan_s * MS_PER_S)
        self._idle = round(settings.idle_s * MS_PER_S)
        pools = env.state.layout.pools
        self._elastic = [q for q, pool in enumerate(pools) if pool.max_nodes > pool.nodes]
        self._out = np.zeros(max(env.state.layout.slots, 1), np.int64)
        self.looks = 0
        if self._elastic:
            env.process(self._driven() if settings.event_driven else self._polling())

    def _after(self, now: int) -> int:
        """First grid point strictly after `now`."""
        return (now // self._grid + 1) * self._grid

    def _polling(self) -> Story:
        """Looks at every grid point."""
        while True:
            yield self.env.last_at(self._after(self.env.ms))
            self._look()

    def _driven(self) -> Story:
        """Sleeps until a look can matter."""
        env, expires = self.env, NEVER
        while True:
            soonest = self._after(env.ms)
            if env.state.clock[WAITING_HELPABLE] > 0 and any(self.supply.orderable(q) for q in self._elastic):
                yield env.last_at(soonest)
            else:
                yield from self._sleep(max(soonest, -(-expires // self._grid) * self._grid))
            expires = self._look()

    def _sleep(self, until: int) -> Story:
        """Until `until`, or the grid point that belongs to whatever happens first."""
        env, started = self.env, self.env.ms
        watch = env.first_wait()
        if until >= NEVER:
            yield watch
        else:
            yield watch | env.last_at(until)
            if not watch.triggered:
                env.stop_watching()
                return
        if watch.value == "control" and env.ms % self._grid == 0 and env.ms > started and env.change_phase < 0:
            yield env.last_at(env.ms)
        else:
            yield env.last_at(self._after(env.ms))

    def _look(self) -> int:
        """Order and return nodes; when the next empty node expires at the latest, or NEVER."""
        self.looks += 1
        self.env.looking(0)
        state, supply = self.env.state, self.supply
        if state.clock[WAITING_HELPABLE] > 0:
            left, _ = self._budget.ready(self.env.ms)
            for q in self._elastic:
                for _ in range(state.worth(q, left, supply.coming[q], supply.orderable(q))):
                    supply.order(q)
        return min((self._return_idle(q) for q in self._elastic), default=NEVER)

    def _return_idle(self, q: int) -> int:
        """Return empty nodes of pool q above its minimum, highest slot first; when the next may go at the latest."""
        state, supply, now = self.env.state, self.supply, self.env.ms
        surplus = supply.up[q] - state.layout.pools[q].nodes
        if surplus <= 0:
            return NEVER
        found, following = state.idle(q, now, self._idle, self._out)
        for slot in self._out[:found][::-1][:surplus].tolist():
            supply.give_back(q, slot)
        return min(following, now + self._idle)
