"""A descheduler: every so often it evicts pods from burst nodes that owned nodes have room for; the scheduler takes them there.

As kubernetes-sigs/descheduler's RemovePodsViolatingNodeAffinity does for a preferred affinity to owned nodes, with its
limits on evictions of a node and in all. Room is counted as it is given away, so that no more pods are evicted than fit;
the real one looks at every pod by itself. Least filled nodes come first, so that they empty.
"""

from __future__ import annotations

import numpy as np

from models.control import DeschedulerPart
from models.units import MS_PER_S
from simulator.engine.environment import HybridEnvironment, Story
from simulator.engine.looks import Looks, next_pod_event
from simulator.engine.node_autoscalers.view import ClusterView
from simulator.engine.provisioning import Supply
from simulator.engine.wait_budget import NEVER

RANK = 2


class Descheduler:
    """The process and its grid."""

    def __init__(self, env: HybridEnvironment, supply: Supply, part: DeschedulerPart, *, event_driven: bool) -> None:
        self.env, self.supply, self._part = env, supply, part
        self._view = ClusterView(env.state, supply)
        pools = env.state.layout.pools
        self._burst = [q for q, pool in enumerate(pools) if not pool.private]
        self._owned = [q for q, pool in enumerate(pools) if pool.private]
        self._grid = Looks(env, round(part.interval_s * MS_PER_S), RANK, event_driven=event_driven)
        if self._burst and self._owned:
            env.process(self._story())

    def _story(self) -> Story:
        """Rounds on the grid, those left out that could find nothing."""
        evicted = 0
        while True:
            bursting = any(self.supply.up[q] for q in self._burst)
            until = 0 if evicted else next_pod_event(self.env.state) if bursting else NEVER
            yield from self._grid.sleep(until, waits=False)
            evicted = self._round()

    def _round(self) -> int:
        """Evict what fits on owned nodes; how many pods."""
        view, part, most = self._view, self._part, self._part.max_total
        owned, burst = view.open(view.standing(self._owned)), view.standing(self._burst)
        if not owned.size or not burst.size:
            return 0
        free, allowed = view.free(owned), view.allowed[view.pools_of(owned)]
        if not self._any_room(free, allowed):
            return 0
        chosen: list[int] = []
        filled = (view.offers[view.pools_of(burst)] - view.free(burst))[:, 0]
        for slot in burst[np.argsort(filled, kind="stable")].tolist():
            here = 0
            for pod in self.env.state.pods_on(slot).tolist():
                if (most is not None and len(chosen) >= most) or (part.max_per_node is not None and here >= part.max_per_node):
                    break
                kind = int(self.env.state.shape[pod])
                rows = np.flatnonzero(allowed[:, kind] & (free >= view.requests[kind]).all(axis=1))
                if rows.size:
                    free[rows[0]] -= view.requests[kind]
                    chosen.append(pod)
                    here += 1
        return self.supply.evict(np.array(chosen, np.int64), "descheduler") if chosen else 0

    def _any_room(
        self, free: np.ndarray[tuple[int, int], np.dtype[np.int64]], allowed: np.ndarray[tuple[int, int], np.dtype[np.bool_]]
    ) -> bool:
        """Whether any kind of pod fits on any owned node: most rounds end here."""
        return any(bool((allowed[:, k] & (free >= request).all(axis=1)).any()) for k, request in enumerate(self._view.requests))
