"""Karpenter in a run: one process batches waiting pods and launches nodes for them, nodes expire; see also `disruption`.

The constants of the real program are kept: batches of 1 s of silence and 10 s at most, pods that still wait ask again
after 10 s. New waiting pods are noticed to the second. Owned pools that may grow are offered first and at no price.
Source: kubernetes-sigs/karpenter pkg/controllers/provisioning at 1.14.
"""

from __future__ import annotations

import numpy as np

from models.units import MS_PER_H, MS_PER_S
from simulator.engine.config import EngineConfig
from simulator.engine.environment import HybridEnvironment, Story
from simulator.engine.kernels import HEAPED, NEXT_ARRIVAL, NEXT_DEPARTURE, QUEUED, WAITING_HELPABLE
from simulator.engine.looks import Looks, next_pod_event
from simulator.engine.looks_kernels import newest_waiting
from simulator.engine.node_autoscalers import NODE_AUTOSCALERS
from simulator.engine.node_autoscalers.disruption import Disruption
from simulator.engine.node_autoscalers.schedule import Offers, run_round
from simulator.engine.node_autoscalers.view import ClusterView
from simulator.engine.provisioning import Supply
from simulator.engine.recorder import NodeState
from simulator.engine.wait_budget import NEVER, WaitBudget
from simulator.streams import Streams

SAMPLE_MS = MS_PER_S
ASK_AGAIN_MS = 11 * MS_PER_S
"""Ten seconds, and one more of silence."""
RANK = 0


class Karpenter:
    """The provisioner, with the processes that remove nodes beside it."""

    def __init__(self, env: HybridEnvironment, supply: Supply, config: EngineConfig, wait: WaitBudget, streams: Streams) -> None:
        self.env, self.supply, self._wait = env, supply, wait
        part = config.karpenter
        self._idle_ms, self._longest_ms = round(part.batch_idle_s * MS_PER_S), round(part.batch_max_s * MS_PER_S)
        self._expire_ms = None if part.expire_after_h is None else round(part.expire_after_h * MS_PER_H)
        self.view = ClusterView(env.state, supply)
        self.offers = Offers.of(self.view)
        self.rounds = 0
        self._disruption = Disruption(env, self.view, self.offers, config, wait)
        self._samples = Looks(env, SAMPLE_MS, RANK, event_driven=config.autoscaling.event_driven)
        if self.offers.types:
            supply.on_join = self._joined
            env.process(self._provisioner())
            self._disruption.start()

    @property
    def looks(self) -> int:
        """Rounds of provisioning and looks for savings."""
        return self.rounds + self._disruption.looks

    def _provisioner(self) -> Story:
        """Wait for a pod, let a batch gather, launch what it needs; ask again while pods wait."""
        env, after, asked, following = self.env, -1, -1, NEVER
        dirty, seen = False, self._signature()
        while True:
            first, newest = self._new_waiting(after)
            ends = min(newest + self._idle_ms, first + self._longest_ms)
            if newest >= 0 and ends > env.ms:
                yield from self._samples.at(ends)
                continue
            asked = self._asked(asked)
            waiting = env.state.clock[WAITING_HELPABLE] > 0
            if waiting and (newest >= 0 or following <= env.ms or env.ms >= self._ask(asked)):
                seen, after, asked = self._signature(), env.ms - 1, env.ms
                dirty, following = self._provision()
            dirty = dirty or self._signature() != seen
            again = self._ask(asked) if dirty else NEVER
            until = min(next_pod_event(env.state), following, again) if waiting else NEVER
            yield from self._samples.sleep(until, waits=True)

    def _signature(self) -> tuple[int, ...]:
        """Changes whenever pods or nodes do."""
        clock = self.env.state.clock
        return (*(int(clock[k]) for k in (NEXT_ARRIVAL, NEXT_DEPARTURE, HEAPED, QUEUED)), self.env.changes)

    def _ask(self, asked: int) -> int:
        """When pods that still wait ask again."""
        return self._samples.at_or_after(asked + ASK_AGAIN_MS) if asked >= 0 else 0

    def _asked(self, asked: int) -> int:
        """When they asked last, askings that could change nothing and were slept through included."""
        if asked < 0 or (first := self._ask(asked)) >= self.env.ms:
            return asked
        return first + (self.env.ms - 1 - first) // ASK_AGAIN_MS * ASK_AGAIN_MS

    def _new_waiting(self, after: int) -> tuple[int, int]:
        """First and last instant later than `after` at which a pod that still waits began to; NEVER and -1 without one."""
        state, evicted = self.env.state, self.supply.evicted_ms
        if state.clock[WAITING_HELPABLE] == 0:
            return NEVER, -1
        first, last = newest_waiting(after, state.head, state.queue_next, state.placed, state.arrival)
        return (min(int(first), evicted), max(int(last), evicted)) if evicted > after else (int(first), int(last))

    def _provision(self) -> tuple[bool, int]:
        """One round: whether nodes were ordered, and when the next waiting budget ends."""
        self.rounds += 1
        view, offers = self.view, self.offers
        ready, following = self._wait.ready(self.env.ms)
        coming = view.coming(offers.types)
        room = np.array([view.room(q) for q in offers.types], np.int64)
        result = run_round(ready[: len(view.requests)], view, offers, view.offers[coming], view.allowed[coming], room)
        for claim in result.claims:
            held = np.flatnonzero(claim.types & np.array([view.room(q) > 0 for q in offers.types], np.bool_))
            if held.size:
                self.supply.order(offers.types[int(held[np.argmin(offers.price[held])])])
        return bool(result.claims), following

    # -- expiry

    def _joined(self, q: int, slot: int) -> None:
        self._disruption.joined(slot)
        if self._expire_ms is not None and not self.env.state.layout.pools[q].private:
            self.env.process(self._expire(q, slot, self.env.ms))

    def _expire(self, q: int, slot: int, joined_ms: int) -> Story:
        """A node that is old enough goes, whatever runs on it; its pods look for another."""
        assert self._expire_ms is not None
        yield self.env.timeout(self._expire_ms)
        if self._disruption.stands_since(slot) == joined_ms and self.supply.recorder.nodes.state[slot] is NodeState.UP:
            self.supply.give_back(q, slot, "expiry")


NODE_AUTOSCALERS.register("karpenter", Karpenter)
