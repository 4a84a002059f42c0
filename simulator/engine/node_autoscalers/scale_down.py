"""Cluster Autoscaler's scale-down in a run: unneeded nodes are remembered, and go when they were so for long enough."""

from __future__ import annotations

import numpy as np

from models.units import MS_PER_S
from simulator.engine.autoscalers.cluster_autoscaler_flags import ScaleDownSettings
from simulator.engine.autoscalers.cluster_autoscaler_scale_down import Budget, View, due, judge, still_unneeded, utilisation
from simulator.engine.environment import HybridEnvironment
from simulator.engine.looks_kernels import any_below
from simulator.engine.node_autoscalers.view import ClusterView, Vector
from simulator.engine.wait_budget import NEVER


class ScaleDown:
    """What one run's autoscaler knows of nodes that may go; times in milliseconds."""

    def __init__(self, env: HybridEnvironment, view: ClusterView, settings: ScaleDownSettings) -> None:
        self.env, self.view, self.settings = env, view, settings
        self.added_ms: int | None = None
        self._deleted_ms: int | None = None
        self._unneeded: dict[int, int] = {}
        self._recheck: dict[int, int] = {}
        self._rows = np.arange(0)

    @property
    def watches(self) -> bool:
        """Whether any group is above its minimum."""
        return self.settings.enabled and bool(self._above())

    def _above(self) -> list[int]:
        """Groups whose target size is above their minimum."""
        pools, supply = self.env.state.layout.pools, self.view.supply
        return [q for q in self.view.elastic if supply.up[q] + supply.coming[q] > pools[q].nodes]

    def next_expiry(self, now: int) -> int:
        """When a loop could decide otherwise though nothing moved; NEVER when there is no such time."""
        unneeded = _ms(self.settings.unneeded_s)
        times = [since + unneeded + 1 for since in self._unneeded.values()] + list(self._recheck.values())
        times += [self.added_ms + _ms(self.settings.delay_after_add_s)] if self.added_ms is not None else []
        times += [self._deleted_ms + _ms(self.settings.delay_after_delete_s)] if self._deleted_ms is not None else []
        return min((time for time in times if time > now), default=NEVER)

    def look(self) -> bool:
        """Update what is unneeded and remove what was so for long enough; whether anything was removed."""
        now, pools = self.env.ms, self.env.state.layout.pools
        self._recheck = {slot: end for slot, end in self._recheck.items() if end > now}
        mine = self.view.standing([q for q in self._above() if not self.env.state.kept(q)])
        if not self._unneeded and not self._any_below(mine):
            return False
        slots = self.view.standing(range(len(pools)))
        sight = self._sight(slots)
        used = utilisation(sight.allocatable, sight.free)
        row = {slot: at for at, slot in enumerate(slots.tolist())}
        low = [row[slot] for slot in mine.tolist() if used[row[slot]] < self.settings.utilisation_threshold and slot not in self._recheck]
        verdict = judge(sight, self._ordered(low, sight, slots))
        self._recheck |= {int(slots[at]): now + _ms(self.settings.recheck_s) for at in verdict.stuck}
        self._unneeded = still_unneeded(self._unneeded, [int(slots[at]) for at in verdict.removable], now)
        return not self._cooling(now) and self._remove(sight, row)

    def _any_below(self, slots: Vector) -> bool:
        state = self.env.state
        free = (state.free_cpu, state.free_memory, state.pool_of, state.pool_cpu, state.pool_memory)
        return bool(slots.size) and bool(any_below(self.settings.utilisation_threshold, slots, *free))

    def _sight(self, slots: Vector) -> View:
        view, pools = self.view, self.view.pools_of(slots)
        home = np.isin(slots, view.open(slots))
        return View(
            view.offers[pools], view.free(slots), view.counts(slots), view.allowed[pools], home, view.requests, np.arange(slots.size)
        )

    def _ordered(self, low: list[int], sight: View, slots: Vector) -> list[int]:
        """Empty nodes, then those unneeded already, then the others by slot."""
        earlier = {slot: at for at, slot in enumerate(self._unneeded)}
        filled = sight.counts.sum(axis=1) > 0
        return sorted(low, key=lambda at: (bool(filled[at]), earlier.get(int(slots[at]), len(earlier)), at))

    def _cooling(self, now: int) -> bool:
        after_add = self.added_ms is not None and self.added_ms + _ms(self.settings.delay_after_add_s) > now
        deleted = self._deleted_ms
        return after_add or (deleted is not None and deleted + _ms(self.settings.delay_after_delete_s) > now)

    def _remove(self, sight: View, row: dict[int, int]) -> bool:
        pools, supply, state = self.env.state.layout.pools, self.view.supply, self.env.state
        names = {slot: pools[int(state.pool_of[slot])].name for slot in self._unneeded}
        spare = {pools[q].name: supply.up[q] + supply.coming[q] - pools[q].nodes for q in self.view.elastic}
        most = max(self._unneeded, default=-1) + 1
        empty = np.zeros(most, np.bool_)
        for slot in self._unneeded:
            empty[slot] = not sight.counts[row[slot]].any()
        groups = [names.get(slot, "") for slot in range(most)]
        budget = Budget(self.settings.deletions, self.settings.drains)
        gone, drained = due(self._unneeded, _ms(self.settings.unneeded_s), self.env.ms, groups, spare, empty, budget)
        for slot in (*gone, *drained):
            self._unneeded.pop(slot)
            self._deleted_ms = self.env.ms
            supply.give_back(int(state.pool_of[slot]), slot, "scale-down")
        return bool(gone or drained)


def _ms(seconds: float) -> int:
    return round(seconds * MS_PER_S)
