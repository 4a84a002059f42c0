"""Supply: nodes are ordered, deployed with a limit on how many at one time, returned, cleaned and ordered again."""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Callable

import numpy as np
import simpy
from numpy.typing import NDArray

from models.units import MS_PER_H, MS_PER_S
from models.zones import Provisioning
from simulator.engine.config import CloudRisk, EngineConfig
from simulator.engine.environment import HybridEnvironment, Story
from simulator.engine.recorder import NodeState, Recorder
from simulator.engine.state import State
from simulator.streams import Streams

Z95 = 1.6448536269514722
"""Standard normal quantile of 0.95."""

AT_ONCE = Provisioning(0.0, 0.0, 1_000_000)


def lognormal_s(rng: np.random.Generator, p50_s: float, p95_s: float) -> float:
    """One draw of the log-normal through p50 and p95; p50 itself when the two are equal, 0 when p50 is 0."""
    if p50_s <= 0.0:
        return 0.0
    sigma = math.log(p95_s / p50_s) / Z95 if p95_s > p50_s else 0.0
    return p50_s * math.exp(sigma * float(rng.standard_normal()))


def to_ms(seconds: float) -> int:
    """Whole milliseconds, at least 1: nothing that takes time takes none."""
    return max(1, round(seconds * MS_PER_S))


class Supply:
    """Every slot of every pool: which stand from the start or a build step, which can be ordered, which are away."""

    def __init__(self, env: HybridEnvironment, recorder: Recorder, config: EngineConfig, streams: Streams) -> None:
        self.env, self.recorder, self.state = env, recorder, env.state
        pools = self.state.layout.pools
        self._times = [config.provisioning.get(pool.name, AT_ONCE) for pool in pools]
        self._risk = [CloudRisk() if pool.private else config.risks.get(pool.name, config.cloud) for pool in pools]
        self._rng = [streams(f"provisioning/{pool.name}") for pool in pools]
        self._deployers = [simpy.Resource(env, max(1, int(t.concurrent))) for t in self._times]
        self._cleaners = [simpy.Resource(env, max(1, int(t.clean_concurrent))) for t in self._times]
        self.free: list[list[int]] = []
        self.coming = [0] * len(pools)
        self.up = [0] * len(pools)
        self.coming_slots: list[list[int]] = [[] for _ in pools]
        self.evicted: Counter[str] = Counter()
        self.evicted_ms = -1
        self.give_up_ms: int | None = None
        self.remembers_refusals = True
        self.on_failure: Callable[[int], None] = lambda q: None
        self.on_join: Callable[[int, int], None] = lambda q, slot: None
        self._refused_until = [0] * len(pools)
        self._stand(self.state, config.nodes_down)

    def _stand(self, state: State, nodes_down: int) -> None:
        """Owned nodes stand from their pool's first hour; the rest of each pool's slots can be ordered."""
        absent = _spares(state, nodes_down)
        for q, pool in enumerate(state.layout.pools):
            first = state.layout.first[q]
            self.free.append(list(range(first + pool.nodes, first + pool.max_nodes)))
            standing = [slot for slot in range(first, first + pool.nodes) if slot not in absent]
            if pool.from_hour == 0:
                self._arrive(q, standing)
            else:
                self.env.process(self._build_step(q, standing, pool.from_hour * MS_PER_H))

    def _build_step(self, q: int, slots: list[int], when_ms: int) -> Story:
        """Bought nodes arrive together at the hour the plan says."""
        yield self.env.timeout(when_ms)
        self._arrive(q, slots)

    def _arrive(self, q: int, slots: list[int]) -> None:
        for slot in slots:
            self.join(q, slot)

    def join(self, q: int, slot: int) -> None:
        """The node at `slot` is ready for pods."""
        now = self.env.ms
        self.recorder.nodes.change(slot, NodeState.UP, now)
        self.up[q] += 1
        self.state.join(slot, now, self.state.layout.pools[q].shape)
        self.on_join(q, slot)
        self.env.control_changed()

    def lose(self, q: int, slot: int, into: NodeState, cause: str) -> int:
        """The node at `slot` leaves for `into`; returns how many pods it evicted, counted under `cause`."""
        self.recorder.nodes.change(slot, into, self.env.ms)
        self.up[q] -= 1
        evicted = self.state.leave(slot, self.env.ms)
        self._count(evicted, cause)
        return evicted

    def evict(self, pods: NDArray[np.int64], cause: str) -> int:
        """Pods lose their nodes, which stay, and look for others; returns how many, counted under `cause`."""
        evicted = self.state.evict(pods, self.env.ms)
        self._count(evicted, cause)
        return evicted

    def _count(self, evicted: int, cause: str) -> None:
        self.evicted[cause] += evicted
        self.evicted_ms = self.env.ms if evicted else self.evicted_ms
        self.env.control_changed()

    def cordon(self, slot: int, closed: bool) -> None:
        """The node takes no new pods, or takes them again."""
        self.state.cordon(slot, closed, self.env.ms)
        self.env.control_changed()

    def orderable(self, q: int) -> int:
        """How many nodes of pool q can be ordered now: none while the cloud has said that it has no capacity."""
        return len(self.free[q]) if self.env.ms >= self._refused_until[q] else 0

    def order(self, q: int) -> int:
        """Order the lowest free slot of pool q, and say which."""
        slot = heapq.heappop(self.free[q])
        self.coming[q] += 1
        self.coming_slots[q].append(slot)
        self.recorder.scaled(self.env.ms, 1, self.state.layout.pools[q].name)
        self.env.process(self._deploy(q, slot))
        self.env.control_changed()
        return slot

    def _arrived(self, q: int, slot: int) -> None:
        self.coming[q] -= 1
        self.coming_slots[q].remove(slot)

    def _deploy(self, q: int, slot: int) -> Story:
        """Wait for a deployer, deploy (a failed first attempt takes one more), join."""
        ordered, times, rng = self.env.ms, self._times[q], self._rng[q]
        risk = self._risk[q]
        if risk.insufficient_share > 0.0 and rng.random() < risk.insufficient_share:
            yield from self._refuse(q, slot, to_ms(risk.retry_s))
            return
        self.recorder.nodes.change(slot, NodeState.PROVISIONING, ordered)
        with self._deployers[q].request() as turn:
            limit = self.give_up_ms
            yield turn if limit is None else turn | self.env.timeout(limit)
            seconds = lognormal_s(rng, times.p50_s, times.p95_s)
            if times.first_attempt_share < 1.0 and rng.random() >= times.first_attempt_share:
                seconds += lognormal_s(rng, times.p50_s, times.p95_s)
            deployed = to_ms(seconds) if seconds > 0.0 else 0
            if limit is not None and (not turn.triggered or self.env.ms - ordered + deployed > limit):
                yield from self._give_up(q, slot, ordered + limit)
                return
            if deployed:
                yield self.env.timeout(deployed)
        self._arrived(q, slot)
        self.recorder.scale_out_ms[self.state.layout.pools[q].name].append(self.env.ms - ordered)
        self.join(q, slot)

    def _give_up(self, q: int, slot: int, when_ms: int) -> Story:
        """A node that is not ready in time is deleted, and its order counts as failed."""
        if when_ms > self.env.ms:
            yield self.env.timeout(when_ms - self.env.ms)
        self._arrived(q, slot)
        self.recorder.refused += 1
        self.recorder.scaled(self.env.ms, -1, self.state.layout.pools[q].name)
        self.on_failure(q)
        self._vacate(q, slot)
        self.env.control_changed()

    def _refuse(self, q: int, slot: int, retry_ms: int) -> Story:
        """The cloud has no capacity: the slot is free again, the pool is left alone for a while."""
        self._arrived(q, slot)
        self.recorder.refused += 1
        self.recorder.scaled(self.env.ms, -1, self.state.layout.pools[q].name)
        heapq.heappush(self.free[q], slot)
        self.on_failure(q)
        if self.remembers_refusals:
            self._refused_until[q] = max(self._refused_until[q], self.env.ms + retry_ms)
            self.env.control_changed()
            yield self.env.timeout(retry_ms)
        self.env.control_changed()

    def take_back(self, q: int, slot: int, notice_ms: int) -> Story:
        """The cloud wants a spot node back: its pods go at the notice, the node is paid until its end."""
        self.recorder.interruptions += 1
        self.recorder.scaled(self.env.ms, -1, self.state.layout.pools[q].name)
        self.lose(q, slot, NodeState.CLEANING, "interruption")
        yield self.env.timeout(notice_ms)
        self.recorder.nodes.change(slot, NodeState.OFF, self.env.ms)
        heapq.heappush(self.free[q], slot)
        self.env.control_changed()

    def give_back(self, q: int, slot: int, cause: str = "scale-down") -> None:
        """Return a node of pool q; what runs on it is evicted. It can be ordered again once it is clean."""
        self.recorder.scaled(self.env.ms, -1, self.state.layout.pools[q].name)
        cleaned = self._times[q].clean_p50_s > 0.0
        self.lose(q, slot, NodeState.CLEANING if cleaned else NodeState.OFF, cause)
        if cleaned:
            self.env.process(self._clean(q, slot))
        else:
            heapq.heappush(self.free[q], slot)

    def _vacate(self, q: int, slot: int) -> None:
        """A slot whose node never came up is free again, once it is clean."""
        if self._times[q].clean_p50_s > 0.0:
            self.recorder.nodes.change(slot, NodeState.CLEANING, self.env.ms)
            self.env.process(self._clean(q, slot))
        else:
            self.recorder.nodes.change(slot, NodeState.OFF, self.env.ms)
            heapq.heappush(self.free[q], slot)

    def _clean(self, q: int, slot: int) -> Story:
        """A returned server is erased before its next life, some at a time."""
        times = self._times[q]
        with self._cleaners[q].request() as turn:
            yield turn
            yield self.env.timeout(to_ms(lognormal_s(self._rng[q], times.clean_p50_s, times.clean_p95_s)))
        self.recorder.nodes.change(slot, NodeState.OFF, self.env.ms)
        heapq.heappush(self.free[q], slot)
        self.env.control_changed()


def _spares(state: State, nodes_down: int) -> set[int]:
    """The last `nodes_down` owned slots, over all private pools."""
    owned = [state.layout.first[q] + k for q, pool in enumerate(state.layout.pools) if pool.private for k in range(pool.nodes)]
    return set(owned[len(owned) - nodes_down :]) if nodes_down > 0 else set()
