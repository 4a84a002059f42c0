"""Karpenter's disruption in a run: a look every 10 s for nodes that can go or be replaced by something cheaper.

A decision is validated 15 s later. A node is left alone for `consolidateAfter` after its last pod event, noted to 10 s,
and for 20 s after it joined; running pods are not moved onto nodes that are not quiet. Only empty nodes of owned pools
go. Source: kubernetes-sigs/karpenter pkg/controllers/disruption at 1.14.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import numpy as np
import simpy

from models.units import MS_PER_S
from simulator.engine.autoscalers.karpenter_budgets import NO_MOST, Budget, Cron, allowance
from simulator.engine.config import EngineConfig
from simulator.engine.environment import HybridEnvironment, Story
from simulator.engine.kernels import WAITING_HELPABLE
from simulator.engine.looks import Looks, next_pod_event
from simulator.engine.looks_kernels import note_events
from simulator.engine.node_autoscalers.consolidation import Candidate, Command, one_node, remove, several_nodes, within_budgets
from simulator.engine.node_autoscalers.schedule import Claim, Flags, Offers, Round, run_round
from simulator.engine.node_autoscalers.view import ClusterView, Matrix, Vector
from simulator.engine.recorder import NodeState
from simulator.engine.wait_budget import NEVER, WaitBudget

POLL_MS = 10 * MS_PER_S
VALIDATE_MS = 15 * MS_PER_S
NOMINATED_MS = 20 * MS_PER_S
MINUTE_MS = 60 * MS_PER_S
REASONS = {"empty": "Empty", "several": "Underutilized", "one": "Underutilized"}
RANK = 1


@dataclass(frozen=True)
class _Sight:
    """Open nodes as rows. at : int64 [slots], their rows; free : int64 [rows, axes]; allowed : bool [rows, kinds]; quiet : bool [rows]."""

    key: tuple[int, int]
    at: Vector
    free: Matrix
    allowed: Flags
    quiet: Flags
    candidates: list[Candidate]


class Disruption:
    """The process and what it remembers of every slot."""

    def __init__(self, env: HybridEnvironment, view: ClusterView, offers: Offers, config: EngineConfig, wait: WaitBudget) -> None:
        self.env, self.view, self.offers, self.supply, self._wait = env, view, offers, view.supply, wait
        part = config.karpenter
        self._quiet_ms = None if part.consolidate_after_s is None else round(part.consolidate_after_s * MS_PER_S)
        self._budgets = [_budget(item.nodes, item.schedule, item.duration_h) for item in part.budgets]
        self._methods = ("empty", "several", "one") if config.consolidates else ("empty",)
        self._start = config.start
        self._polls = Looks(env, POLL_MS, RANK, event_driven=config.autoscaling.event_driven)
        slots = env.state.pool_of.size
        self._event_ms, self._seen_pods, self._seen_departure, self._joined_ms = (np.zeros(slots, np.int64) for _ in range(4))
        self._type_of = {q: k for k, q in enumerate(offers.types)}
        self._leaving: set[int] = set()
        self._owned = [env.state.layout.pools[q].private for q in offers.types]
        self._managed = np.isin(env.state.pool_of, offers.types)
        self._seen: _Sight | None = None
        self.looks = 0

    def start(self) -> None:
        """Begin to look, unless nodes are never consolidated."""
        if self._quiet_ms is not None:
            self.env.process(self._story())

    def joined(self, slot: int) -> None:
        """A node begins its life at `slot`."""
        self._joined_ms[slot] = self._event_ms[slot] = self.env.ms
        self._leaving.discard(slot)

    def stands_since(self, slot: int) -> int:
        """When the node at `slot` joined; -1 for one that is about to go."""
        return -1 if slot in self._leaving else int(self._joined_ms[slot])

    def _story(self) -> Story:
        """Try each way of saving in turn; after ten seconds again."""
        while True:
            slots, looked_ms = self._mine(), self.env.ms
            if slots.size:
                self.looks += 1
                for method in self._methods:
                    if (yield from self._disrupt(method)):
                        break
            waited = self.env.ms > looked_ms
            until = 0 if waited else self._next_expiry(slots) if slots.size else NEVER
            yield from self._polls.sleep(until, waits=False)

    def _mine(self) -> Vector:
        """Slots of nodes that may go: all that were launched, less those that a pool keeps, or that wait for a whole gang."""
        slots = self.view.standing([q for q in self.offers.types if not self.env.state.kept(q)])
        kept = {q: self.env.state.layout.pools[q].nodes for q in self.offers.types}
        if not any(kept.values()):
            return slots
        pools = self.view.pools_of(slots)
        return np.concatenate([slots[pools == q][kept[q] :] for q in self.offers.types])

    def _next_expiry(self, slots: Vector) -> int:
        """When a look could decide otherwise: pods move, a node has been quiet or young for long enough, a budget opens."""
        assert self._quiet_ms is not None
        now = self.env.ms
        times = np.concatenate([self._event_ms[slots] + self._quiet_ms, self._joined_ms[slots] + NOMINATED_MS])
        due = int(times[times > now].min(initial=NEVER))
        scheduled = any(budget.schedule is not None for budget in self._budgets)
        return min(due, next_pod_event(self.env.state), (now // MINUTE_MS + 1) * MINUTE_MS if scheduled else NEVER)

    def _disrupt(self, method: str) -> Generator[simpy.Event, Any, bool]:
        command = self._command(method)
        if command is None:
            return False
        yield from self._polls.at(self.env.ms + VALIDATE_MS)
        command = self._validated(method, command)
        if command is None:
            return False
        for slot in command.slots:
            self._leaving.add(slot)
            self.supply.cordon(slot, True)
        self.env.process(self._execute(command))
        return True

    def _command(self, method: str) -> Command | None:
        candidates = self._candidates(method)
        if method == "empty":
            return Command(tuple(candidate.slot for candidate in candidates)) if candidates else None
        if method == "several":
            return several_nodes(candidates, self.offers, self._simulate)
        return one_node([candidate for candidate in candidates if candidate.pods], self.offers, self._simulate)

    def _candidates(self, method: str) -> list[Candidate]:
        """Nodes that are quiet and not young, within their groups' budgets."""
        found = self._sight().candidates
        if method == "empty":
            found = [candidate for candidate in found if candidate.pods == 0]
        else:
            found = [candidate for candidate in found if candidate.pods == 0 or not self._owned[candidate.type]]
        return within_budgets(found, self._allowed(method)) if found else []

    def _sight(self) -> _Sight:
        """What this instant's looks see; made once while nothing moves."""
        key = (self.env.ms, self.env.changes)
        if self._seen is None or self._seen.key != key:
            view, state, mine = self.view, self.env.state, self._mine()
            note_events(self.env.ms, mine, state.free_pods, state.last_departure, self._seen_pods, self._seen_departure, self._event_ms)
            rows = view.open(view.standing(range(len(state.layout.pools))))
            at = np.full(state.pool_of.size, -1, np.int64)
            at[rows] = np.arange(rows.size)
            self._seen = _Sight(key, at, view.free(rows), view.allowed[view.pools_of(rows)], self._quiet(rows), self._movable(mine))
        return self._seen

    def _movable(self, mine: Vector) -> list[Candidate]:
        view, now = self.view, self.env.ms
        open_now = view.open(mine)
        slots = open_now[self._quiet(open_now) & (now >= self._joined_ms[open_now] + NOMINATED_MS)]
        if slots.size == 0:
            return []
        counts = view.counts(slots)
        totals = counts.sum(axis=1).tolist()
        kinds = [self._type_of[q] for q in view.pools_of(slots).tolist()]
        return [
            Candidate(slot, int(self.offers.group_of[kind]), kind, pods, total, float(self.offers.price[kind]))
            for slot, kind, pods, total in zip(slots.tolist(), kinds, counts, totals, strict=True)
        ]

    def _allowed(self, method: str) -> dict[int, int]:
        """Nodes of each group that may be disrupted now."""
        moment = self._start + timedelta(milliseconds=self.env.ms)
        mine = self.view.standing(self.offers.types)
        groups = self.offers.group_of[[self._type_of[q] for q in self.view.pools_of(mine).tolist()]].tolist()
        nodes = Counter(groups)
        going = Counter(g for slot, g in zip(mine.tolist(), groups, strict=True) if slot in self._leaving)
        return {g: min(allowance(self._budgets, nodes[g], REASONS[method], moment), NO_MOST) - going[g] for g in nodes}

    def _quiet(self, slots: Vector) -> Flags:
        """Whether no pod came or went for `consolidateAfter`; owned nodes that always stand count as quiet."""
        assert self._quiet_ms is not None
        return ~self._managed[slots] | (self.env.ms >= self._event_ms[slots] + self._quiet_ms)

    def _simulate(self, candidates: Sequence[Candidate]) -> Round:
        """Schedule the candidates' pods without them, after what waits anyway; only quiet nodes receive running pods."""
        view, offers, sight = self.view, self.offers, self._sight()
        stays = np.ones(len(sight.free), np.bool_)
        stays[sight.at[[candidate.slot for candidate in candidates]]] = False
        room = np.array([view.room(q) for q in offers.types], np.int64)
        free, waiting = sight.free, tuple[Claim, ...]()
        if self.env.state.clock[WAITING_HELPABLE] > 0:
            coming = view.coming(offers.types)
            ready = self._wait.ready(self.env.ms)[0][: len(view.requests)]
            kept = np.flatnonzero(stays)
            both = np.concatenate([free[kept], view.offers[coming]]), np.concatenate([sight.allowed[kept], view.allowed[coming]])
            first = run_round(ready, view, offers, *both, room, 1)
            waiting, free = first.claims, free.copy()
            free[kept] -= first.placed[: kept.size] @ view.requests
        stays &= sight.quiet
        moving = np.sum([candidate.counts for candidate in candidates], axis=0)
        result = run_round(moving, view, offers, free[stays], sight.allowed[stays], room, 1)
        return replace(result, claims=waiting + result.claims)

    def _validated(self, method: str, command: Command) -> Command | None:
        """The command if its nodes still qualify and the same thing would be done now; empty nodes are judged one by one."""
        now = {candidate.slot: candidate for candidate in self._candidates(method)}
        if method == "empty":
            slots = tuple(slot for slot in command.slots if slot in now)
            return Command(slots) if slots else None
        if any(slot not in now for slot in command.slots):
            return None
        again = remove([now[slot] for slot in command.slots], self.offers, self._simulate)
        return again if again is not None and (again.replacement is None) == (command.replacement is None) else None

    def _execute(self, command: Command) -> Story:
        """Launch the replacement and wait for it, then evict what runs and return the nodes; without it they stay."""
        if command.replacement is not None:
            q = self.offers.types[command.replacement.cheapest(self.offers)]
            slot = self.supply.order(q)
            while slot in self.supply.coming_slots[q]:
                yield self.env.next_change()
            if self.supply.recorder.nodes.state[slot] is not NodeState.UP:
                self._keep(command.slots)
                return
        else:
            yield self.env.timeout(0)
        for slot in command.slots:
            if self.supply.recorder.nodes.state[slot] is NodeState.UP and slot in self._leaving:
                self.supply.give_back(int(self.env.state.pool_of[slot]), slot, "consolidation")
            self._leaving.discard(slot)

    def _keep(self, slots: Sequence[int]) -> None:
        for slot in slots:
            self._leaving.discard(slot)
            if self.supply.recorder.nodes.state[slot] is NodeState.UP:
                self.supply.cordon(slot, False)


def _budget(nodes: str, schedule: str | None, duration_h: float | None) -> Budget:
    """A budget of a scenario in Karpenter's terms."""
    share = float(nodes[:-1]) / 100.0 if nodes.endswith("%") else None
    most = None if share is not None else int(nodes)
    window = timedelta(hours=duration_h or 0.0)
    return Budget(most, share, frozenset(), Cron.of(schedule) if schedule else None, window)
