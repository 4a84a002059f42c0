"""Karpenter on the clock of a replay: the provisioner, and beside it the process that looks for nodes to remove.

Source: kubernetes-sigs/karpenter pkg/controllers/{provisioning,disruption,nodeclaim,state} at 1.14; the times of both
processes stand in `karpenter_pace`.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from datetime import timedelta
from typing import Any

import simpy

from simulator.engine.autoscalers.karpenter_budgets import allowance
from simulator.engine.autoscalers.karpenter_consolidation import (
    NODE_COST,
    Candidate,
    Command,
    Market,
    Outcome,
    best_first,
    empty_nodes,
    eviction_cost,
    in_turns,
    one_node,
    several_nodes,
    within_budgets,
)
from simulator.engine.autoscalers.karpenter_input import KarpenterFile
from simulator.engine.autoscalers.karpenter_pace import PACE, POLL_MS, TERMINATE_MS, VALIDATE_MS, WAIT_READY_MS
from simulator.engine.autoscalers.karpenter_pdb import PodBudget, blocked
from simulator.engine.autoscalers.polling import Story
from simulator.engine.autoscalers.replay_karpenter_provisioning import Provisioner
from simulator.engine.autoscalers.replay_rows import RunningPod
from simulator.engine.autoscalers.replay_world import World
from simulator.streams import Streams

DO_NOT_DISRUPT = "karpenter.sh/do-not-disrupt"
METHODS = {"empty": "Empty", "several": "Underutilized", "one": "Underutilized"}
"""Ways of saving in the order they are tried, with the reason that budgets know them by."""

NO_UNDERUSE = "WhenEmpty"


class Karpenter(Provisioner):
    """Both processes and their log."""

    def __init__(self, world: World, file: KarpenterFile, streams: Streams) -> None:
        super().__init__(world, file, streams)
        self._costs = [max(0.0, eviction_cost(pod)) for pod in world.kinds.pods]
        self._kept = [pod.annotations.get(DO_NOT_DISRUPT) == "true" for pod in world.kinds.pods]
        self.on_launch = self._grow_old
        self._phase_ms = PACE.first_look + int(streams("karpenter-phase").integers(PACE.first_look))

    def disruption(self) -> Story:
        """Try each way of saving in turn, at once again after a success, else after ten seconds."""
        yield self.world.env.timeout(self._phase_ms)
        while True:
            done = False
            for method in METHODS:
                done = yield from self._disrupt(method)
                if done:
                    break
            if not done:
                yield self.world.env.timeout(POLL_MS)

    def _disrupt(self, method: str) -> Generator[simpy.Event, Any, bool]:
        command = self._command(method, self._candidates(method))
        if command is None:
            return False
        yield self.world.env.timeout(VALIDATE_MS)
        command = self._validated(method, command)
        if command is None:
            return False
        for row in command.rows:
            self._leave(row)
        self.world.env.process(self._execute(command))
        return True

    def _command(self, method: str, candidates: Sequence[Candidate]) -> Command | None:
        budgets = self._budgets(METHODS[method])
        if method == "empty":
            return empty_nodes(within_budgets(candidates, budgets))
        if method == "several":
            return several_nodes(within_budgets(candidates, budgets), self._simulate, self._market())
        pools = sorted({candidate.pool for candidate in candidates})
        turns = [pools[at] for at in self._maps.permutation(len(pools))]
        allowed = [candidate for candidate in in_turns(best_first(candidates), turns) if budgets[candidate.pool] > 0]
        return one_node(allowed, self._simulate, self._market())

    def _budgets(self, reason: str) -> dict[str, int]:
        """Pool -> nodes that may still be disrupted now; nodes that are not ready or are leaving use the budget up."""
        now, found = self.file.start + timedelta(milliseconds=self.world.now), {}
        for pool in self.file.pools:
            mine = [(row, node) for row, node in self._mine() if node.pool is pool and self.world.machines[row].ready_ms >= 0]
            found[pool.name] = max(0, allowance(pool.budgets, len(mine), reason, now) - sum(node.leaving for _, node in mine))
        return found

    def _market(self) -> Market:
        totals: dict[str, tuple[float, float]] = {}
        for row, node in self._mine():
            price, cost = totals.get(node.pool.name, (0.0, 0.0))
            totals[node.pool.name] = (price + node.offering.usd_per_h, cost + self._cost(row))
        return Market(self.file.catalog, self.file.switches.spot_to_spot, totals)

    def _cost(self, row: int) -> float:
        """What disturbing the node costs: 1 and its pods."""
        return NODE_COST + sum(self._costs[pod.kind] for pod in self.world.machines[row].pods)

    def _candidates(self, method: str) -> list[Candidate]:
        """Nodes that are ready, quiet for long enough, not expected to get pods, and hold none that must not be disturbed."""
        world, found, budgets = self.world, [], self._pod_budgets()
        for row, node in self._mine():
            if node.leaving or not world.rows.open[row] or world.now < node.nominated_ms or not self.settled(row, PACE.notice):
                continue
            kinds = {pod.kind for pod in world.machines[row].pods}
            held = any(self._kept[kind] for kind in kinds) or blocked([world.kinds.pods[kind] for kind in kinds], budgets)
            if node.pool.replicas is not None or held:
                continue
            candidate = Candidate(
                row, node.pool.name, node.type, node.offering.usd_per_h, world.rows.counts[row].copy(), self._cost(row),
                node.offering.capacity_type == "spot", node.pool.policy == "Balanced",
            )  # fmt: skip
            if candidate.empty == (method == "empty") and (method == "empty" or node.pool.policy != NO_UNDERUSE):
                found.append(candidate)
        return found

    def _simulate(self, candidates: Sequence[Candidate]) -> Outcome:
        """Schedule the candidates' pods without them, with all that waits; only quiet nodes receive running pods."""
        gone = [candidate.row for candidate in candidates]
        leaving = [row for row, node in self._mine() if node.leaving]
        queue = [*self._waiting(), *self._moving(gone), *self._moving(leaving, leaves=True)]
        rows = self._stayers(gone)
        result = self._provision(queue, rows)
        unready = {at for at, row in enumerate(rows) if self.world.machines[row].ready_ms < 0}
        lost = any(queue[at].moves for at in result.left)
        early = any(row in unready and not queue[at].leaves for at, row in result.rows.items())
        return Outcome(result.claims, not lost and not early)

    def _validated(self, method: str, command: Command) -> Command | None:
        """The command if its nodes still qualify and the same thing would be done now; empty nodes are judged one by one."""
        chosen = [candidate for candidate in self._candidates(method) if candidate.row in command.rows]
        allowed = within_budgets(chosen, self._budgets(METHODS[method]))
        if method == "empty":
            return Command(tuple(candidate.row for candidate in allowed)) if allowed else None
        if len(allowed) != len(command.rows):
            return None
        outcome = self._simulate(allowed)
        if not outcome.fits or len(outcome.claims) != (command.replacement is not None):
            return None
        if command.replacement is None:
            return command
        return command if bool((outcome.claims[0].types | ~command.replacement.types).all()) else None

    def _grow_old(self, row: int) -> None:
        after_ms = self.nodes[row].pool.expire_after_ms
        if after_ms is not None:
            self.world.env.process(self._expire(row, after_ms))

    def _expire(self, row: int, after_ms: int) -> Story:
        """A node that is old enough goes, whatever runs on it; its pods ask again."""
        yield self.world.env.timeout(after_ms)
        if self.world.rows.present[row] and not self.nodes[row].leaving:
            self._leave(row)
            yield from self._terminate(row)

    def _execute(self, command: Command) -> Story:
        """Launch the replacement and wait for it, then drain and delete."""
        if command.replacement is not None:
            row = self._launch(command.replacement)
            while self.world.machines[row].ready_ms < 0:
                yield self.world.env.timeout(WAIT_READY_MS)
        for row in command.rows:
            self.world.env.process(self._terminate(row))

    def _leave(self, row: int) -> None:
        self.nodes[row].leaving = True
        self.world.cordon(row)

    def _terminate(self, row: int) -> Story:
        yield self.world.env.timeout(self.world.jitter(PACE.evict))
        yield from self._drain(row)
        yield self.world.env.timeout(TERMINATE_MS)
        self.log.downs.append((self.world.now, self.world.machines[row].node.name))
        self.world.remove_node(row)

    def _drain(self, row: int) -> Story:
        """Evict what may be evicted; pods that must not be disturbed hold the node until its grace period is over."""
        grace, machine = self.nodes[row].pool.grace_ms, self.world.machines[row]
        deadline = None if grace is None else self.world.now + grace
        while True:
            self.world.evict_pods(self._evictable(row))
            if not machine.pods or (deadline is not None and self.world.now >= deadline):
                return
            yield self.world.env.timeout(WAIT_READY_MS)

    def _evictable(self, row: int) -> list[RunningPod]:
        """Pods of the node that may go now: no more of each PodDisruptionBudget than it allows."""
        chosen, budgets = [], self._pod_budgets()
        for pod in self.world.machines[row].pods:
            about = [at for at, (budget, _) in enumerate(budgets) if budget.selector.matches(self.world.kinds.pods[pod.kind].labels)]
            if self._kept[pod.kind] or len(about) > 1 or any(budgets[at][1] < 1 for at in about):
                continue
            for at in about:
                budgets[at] = (budgets[at][0], budgets[at][1] - 1)
            chosen.append(pod)
        return chosen

    def _pod_budgets(self) -> list[tuple[PodBudget, int]]:
        """Each PodDisruptionBudget with the evictions it allows now; bound pods count as healthy."""
        world, found = self.world, []
        for budget in self.file.pod_budgets:
            mine = [kind for kind, pod in enumerate(world.kinds.pods) if budget.selector.matches(pod.labels)]
            healthy = sum(pod.node >= 0 for kind in mine for pod in world.live[kind])
            found.append((budget, budget.allowed(sum(world.desired[kind] for kind in mine), healthy)))
        return found
