"""Karpenter on the clock of a replay: one process batches and launches, one looks for nodes to remove.

The real constants are kept as they are, in seconds: batches of 1 s idle and 10 s at most, a look every 10 s, 15 s between
a consolidation and its validation, nominations of 20 s, pod events noted at most every 10 s. Source:
kubernetes-sigs/karpenter pkg/controllers/{provisioning,disruption,nodeclaim} at 1.14.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import simpy

from models.units import MS_PER_S
from simulator.engine.autoscalers.binpacking import Matrix, Vector
from simulator.engine.autoscalers.karpenter import Claim, Existing, Pool, Provisioning, provision
from simulator.engine.autoscalers.karpenter_consolidation import Candidate, Command, empty_nodes, one_node, several_nodes, within_budgets
from simulator.engine.autoscalers.karpenter_input import KarpenterFile
from simulator.engine.autoscalers.polling import Story
from simulator.engine.autoscalers.replay_world import World, unschedulable
from simulator.engine.kube.objects import HOSTNAME
from simulator.streams import Streams

POLL_MS = 10 * MS_PER_S
FIRST_LOOK_MS = 500
"""Karpenter is started just before second 0, as in the recordings; later looks follow from the first."""
VALIDATE_MS = 15 * MS_PER_S
NOMINATED_MS = 20 * MS_PER_S
POD_EVENT_MS = 10 * MS_PER_S
LAUNCH_MS = 250
LAUNCH_EACH_MS = 50
TERMINATE_MS = 5 * MS_PER_S
EVICT_MS = 400
NOTICE_MS = 300
ZONE = "zone-a"
METHODS = ("empty", "several", "one")


@dataclass(slots=True)
class Launched:
    """What Karpenter knows of a node it made; times in milliseconds."""

    pool: Pool
    type: int
    price_usd_per_h: float
    event_ms: int
    nominated_ms: int = 0
    leaving: bool = False


@dataclass(slots=True)
class Log:
    """What was launched (ms, group, before, after) and removed (ms, node name)."""

    ups: list[tuple[int, str, int, int]] = field(default_factory=list)
    downs: list[tuple[int, str]] = field(default_factory=list)


class Karpenter:
    """Both processes and their log."""

    def __init__(self, world: World, file: KarpenterFile, streams: Streams) -> None:
        self.world, self.file = world, file
        self.nodes: dict[int, Launched] = {}
        self.log = Log()
        self._batch: set[int] = set()
        self._pulse = world.env.event()
        self._names = streams("karpenter-names")
        self._phase_ms = FIRST_LOOK_MS + int(streams("karpenter-phase").integers(FIRST_LOOK_MS))
        world.on_unschedulable = self._trigger
        world.on_pod = self._pod_event
        for node, group in file.owned:
            world.make_ready(world.add_node(node, group))

    def _trigger(self) -> None:
        waiting = {id(pod) for pod in self.world.waiting if pod.attempts}
        if waiting - self._batch:
            self._batch |= waiting
            if not self._pulse.triggered:
                self._pulse.succeed()

    def _pod_event(self, row: int) -> None:
        """A pod came to or left a node; noted at most every ten seconds."""
        node = self.nodes.get(row)
        if node is not None and self.world.now - node.event_ms >= POD_EVENT_MS:
            node.event_ms = self.world.now

    # -- provisioning

    def provisioner(self) -> Story:
        """Wait for a pod, let a batch gather, launch what it needs; again."""
        env = self.world.env
        while True:
            if not self._batch:
                self._pulse = env.event()
                yield self._pulse
            opened = self.world.now
            while self.world.now < opened + self.file.longest_ms:
                self._pulse = env.event()
                idle = env.timeout(min(self.file.idle_ms, opened + self.file.longest_ms - self.world.now))
                yield self._pulse | idle
                if not self._pulse.triggered:
                    break
            self._batch.clear()
            yield from self._launch_all(self._round())
            if unschedulable(self.world):
                env.process(self._again())

    def _again(self) -> Story:
        """Pods that still wait ask again after ten seconds."""
        yield self.world.env.timeout(POLL_MS)
        self._trigger()

    def _round(self) -> Provisioning:
        """Schedule what waits and what runs on nodes that are about to go."""
        counts = self._waiting()
        for row in self.nodes:
            if self.nodes[row].leaving and self.world.rows.present[row]:
                counts = counts + self.world.rows.counts[row]
        rows = self._stayers()
        result = self._provision(counts, rows)
        for at in np.flatnonzero(result.placed.any(axis=1)):
            if rows[at] in self.nodes:
                self.nodes[rows[at]].nominated_ms = self.world.now + NOMINATED_MS
        return result

    def _provision(self, counts: Vector, rows: Sequence[int], taken: Matrix | None = None) -> Provisioning:
        world, index = self.world, np.array(rows, dtype=np.int64)
        free = world.free()[index] if taken is None else world.free()[index] - taken
        allowed = world.rows.allowed[index]
        best = np.array([sum(term.weight for term in pod.preferred) for pod in world.kinds.pods], dtype=np.int64)
        liked = allowed & (world.rows.preferred[index] >= best)
        used = [
            sum((self.file.catalog.capacity[node.type] for row, node in self._mine() if node.pool is pool), world.kinds.vector({}))
            for pool in self.file.pools
        ]
        return provision(counts, world.kinds, Existing(free, allowed, liked), self.file.pools, self.file.catalog, used)

    def _mine(self) -> list[tuple[int, Launched]]:
        return [(row, node) for row, node in self.nodes.items() if self.world.rows.present[row]]

    def _waiting(self) -> Vector:
        counts = self.world.kinds.requests[:, 0] * 0
        for pod in unschedulable(self.world):
            counts[pod.kind] += 1
        return counts

    def _stayers(self, without: Sequence[int] = ()) -> list[int]:
        """Rows that pods may be sent to: ready ones first, then by name."""
        rows = [row for row in self.world.present() if row not in without and not (row in self.nodes and self.nodes[row].leaving)]
        return sorted(rows, key=lambda row: (self.world.machines[row].ready_ms < 0, self.world.machines[row].node.name))

    def _launch_all(self, result: Provisioning) -> Story:
        boot_ms = self._boot_ms()
        for claim in result.claims:
            yield self.world.env.timeout(self.world.jitter(LAUNCH_EACH_MS))
            self._launch(claim, boot_ms)

    def _boot_ms(self) -> int:
        """Launch to ready, the same for all nodes of a round."""
        return self.world.jitter(LAUNCH_MS) + self.world.jitter(self.world.latencies.node_ready)

    def _launch(self, claim: Claim, boot_ms: int) -> int:
        """The provider makes the node of the cheapest offering, ready after `boot_ms`. Returns its row."""
        world, catalog = self.world, self.file.catalog
        kind, pool = claim.cheapest(), claim.pool
        name = f"{pool.name}-{int(self._names.integers(36**5)):08d}"
        amounts = dict(zip(world.kinds.axes, catalog.allocatable[kind].tolist(), strict=True))
        node = replace(pool.node, name=name, allocatable=amounts, labels={**pool.node.labels, HOSTNAME: name})
        group = f"{pool.name}/{catalog.names[kind]}/{pool.capacity_type[kind]}"
        before = int(world.group_rows(group).size)
        row = world.add_node(node, group, ZONE)
        self.nodes[row] = Launched(pool, kind, float(pool.price[kind]), world.now, world.now + NOMINATED_MS)
        self.log.ups.append((world.now, group, before, before + 1))
        world.env.process(self._boot(row, boot_ms))
        if pool.expire_after_ms is not None:
            world.env.process(self._expire(row, pool.expire_after_ms))
        return row

    def _expire(self, row: int, after_ms: int) -> Story:
        """A node that is old enough goes, whatever runs on it; its pods ask again."""
        yield self.world.env.timeout(after_ms)
        if self.world.rows.present[row] and not self.nodes[row].leaving:
            self.nodes[row].leaving = True
            self.world.cordon(row)
            yield from self._terminate(row)

    def _boot(self, row: int, boot_ms: int) -> Story:
        yield self.world.env.timeout(boot_ms)
        self.world.make_ready(row)

    # -- disruption

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
            self.nodes[row].leaving = True
            self.world.cordon(row)
        self.world.env.process(self._execute(command))
        return True

    def _command(self, method: str, candidates: Sequence[Candidate]) -> Command | None:
        if method == "empty":
            return empty_nodes(candidates)
        filled = [candidate for candidate in candidates if not candidate.empty] if method == "one" else candidates
        return several_nodes(filled, self._simulate) if method == "several" else one_node(filled, self._simulate)

    def _candidates(self, method: str) -> list[Candidate]:
        """Nodes that are ready, quiet for long enough and not expected to get pods, within their pools' budgets."""
        world, found = self.world, []
        budgets = {pool.name: pool.budget(0) for pool in self.file.pools}
        for pool in self.file.pools:
            mine = [node for _, node in self._mine() if node.pool is pool]
            budgets[pool.name] = pool.budget(len(mine)) - sum(node.leaving for node in mine)
        for row, node in self._mine():
            quiet = self._quiet(row)
            counts = world.rows.counts[row].copy()
            mode = not node.pool.when_empty_only or (method == "empty" and not counts.any())
            if not node.leaving and world.rows.open[row] and quiet and world.now >= node.nominated_ms and mode:
                spot = node.pool.capacity_type[node.type] == "spot"
                cost = float(counts.sum()) + world.machines[row].key * 1e-6
                found.append(Candidate(row, node.pool.name, node.type, node.price_usd_per_h, counts, cost, spot))
        if method == "empty":
            found = [candidate for candidate in found if candidate.empty]
        return within_budgets(found, budgets)

    def _simulate(self, candidates: Sequence[Candidate]) -> Provisioning:
        """Schedule the candidates' pods without them, after what waits anyway; only quiet nodes receive running pods."""
        rows = self._stayers([candidate.row for candidate in candidates])
        first = self._provision(self._waiting(), rows)
        kept = [at for at, row in enumerate(rows) if self._quiet(row)]
        taken = first.placed[kept] @ self.world.kinds.requests
        moving = sum((candidate.counts for candidate in candidates), self.world.kinds.requests[:, 0] * 0)
        result = self._provision(moving, [rows[at] for at in kept], taken)
        return replace(result, claims=first.claims + result.claims)

    def _quiet(self, row: int) -> bool:
        """No pod came or went for the pool's consolidateAfter; nodes that Karpenter did not make always count as quiet."""
        node = self.nodes.get(row)
        if node is None:
            return True
        after = node.pool.consolidate_after_ms
        return after is not None and self.world.now >= node.event_ms + after + NOTICE_MS

    def _validated(self, method: str, command: Command) -> Command | None:
        """The command if its nodes still qualify and the same thing would be done now; empty nodes are judged one by one."""
        now = {candidate.row: candidate for candidate in self._candidates(method)}
        if method == "empty":
            rows = tuple(row for row in command.rows if row in now)
            return Command(rows) if rows else None
        if any(row not in now for row in command.rows):
            return None
        result = self._simulate([now[row] for row in command.rows])
        if result.left.any() or len(result.claims) != (command.replacement is not None):
            return None
        if command.replacement is None:
            return command
        return command if bool((result.claims[0].types | ~command.replacement.types).all()) else None

    def _execute(self, command: Command) -> Story:
        """Launch the replacement and wait for it, then drain and delete."""
        if command.replacement is not None:
            row = self._launch(command.replacement, self._boot_ms())
            while self.world.machines[row].ready_ms < 0:
                yield self.world.env.timeout(MS_PER_S)
        for row in command.rows:
            self.world.env.process(self._terminate(row))

    def _terminate(self, row: int) -> Story:
        yield self.world.env.timeout(self.world.jitter(EVICT_MS))
        self.world.evict(row)
        yield self.world.env.timeout(TERMINATE_MS)
        self.log.downs.append((self.world.now, self.world.machines[row].node.name))
        self.world.remove_node(row)
