"""Karpenter on the clock of a replay: one process batches and launches, one looks for nodes to remove.

Every time is the real program's own constant or, in `Pace`, what the recordings show of its provider and API server.
Source: kubernetes-sigs/karpenter pkg/controllers/{provisioning,disruption,nodeclaim,state} at 1.14.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import numpy as np
import simpy

from models.units import MS_PER_S
from simulator.engine.autoscalers.karpenter import NODES, Claim, Existing, Provisioning, Settings, Waiting, daemon_suits, provision
from simulator.engine.autoscalers.karpenter_budgets import allowance
from simulator.engine.autoscalers.karpenter_catalog import CAPACITY_TYPE, INSTANCE_TYPE, NODEPOOL, Offering, Pool
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
from simulator.engine.autoscalers.karpenter_topology import Standing
from simulator.engine.autoscalers.polling import Story
from simulator.engine.autoscalers.replay_rows import RunningPod
from simulator.engine.autoscalers.replay_scheduler import with_rules
from simulator.engine.autoscalers.replay_world import World, unschedulable
from simulator.engine.kube.objects import HOSTNAME, ZONE, Node, untolerated
from simulator.streams import Streams

POLL_MS = 10 * MS_PER_S
"""Between looks of the disruption controller (pollingPeriod)."""

VALIDATE_MS = 15 * MS_PER_S
"""Between a consolidation command and its validation (commandValidationDelay)."""

LEAST_NOMINATED_MS = 10 * MS_PER_S
"""A node is kept for the pods it was chosen for as long as two of the longest batches, this at least (nominationPeriod)."""

POD_EVENT_MS = 10 * MS_PER_S
"""Pod events of a node are noted at most this often (podevents dedupeTimeout)."""

RETRY_MS = 10 * MS_PER_S
"""Pods that still wait ask again (provisioning's PodController requeue)."""

WAIT_READY_MS = MS_PER_S
"""How often a replacement is looked at (queue's requeue)."""

DO_NOT_DISRUPT = "karpenter.sh/do-not-disrupt"
METHODS = {"empty": "Empty", "several": "Underutilized", "one": "Underutilized"}
NO_UNDERUSE = "WhenEmpty"
SUFFIX = "bcdfghjklmnpqrstvwxz2456789"
SUFFIX_LENGTH = 5
"""What the API server appends to a NodeClaim's generated name; nodes are tried by name, so their order is chance."""


REGISTER_MS = MS_PER_S
"""The NodeClaim controller looks for a launched node again after this long (requeue of registration)."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Milliseconds that no constant of Karpenter gives, read from the log of the real one beside the kwok provider.

    first_look : Karpenter is started just before second 0, as in the recordings; later looks follow from the first
    launch : NodeClaim created to launched
    register : beyond `REGISTER_MS`, launched to registered (60 rounds of two nodes and more: the first at 1.10 s, the
        last 0.1 s after it in the median, 0.2 s in nine of ten)
    evict, notice : taint to eviction, and a pod event to its note on the NodeClaim
    terminate : drained to gone
    """

    first_look: int = 500
    launch: int = 30
    register: int = 70
    evict: int = 400
    notice: int = 300
    terminate: int = 5_000


PACE = Pace()


@dataclass(slots=True)
class Launched:
    """What Karpenter knows of a node it made; times in milliseconds."""

    pool: Pool
    type: int
    offering: Offering
    capacity: Mapping[str, int]
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
        self.settings = Settings(world.kinds, file.catalog, file.pools, file.daemons, fewer_values=file.switches.fewer_values)
        self.nodes: dict[int, Launched] = {}
        self.log = Log()
        self._costs = [max(0.0, eviction_cost(pod)) for pod in world.kinds.pods]
        self._kept = [pod.annotations.get(DO_NOT_DISRUPT) == "true" for pod in world.kinds.pods]
        self._ruled = any(map(with_rules, world.kinds.pods))
        self._batch: set[int] = set()
        self._pulse = world.env.event()
        self._names = streams("karpenter-names")
        self._maps = streams("karpenter-maps")
        self._late = streams("karpenter-registration")
        self._phase_ms = PACE.first_look + int(streams("karpenter-phase").integers(PACE.first_look))
        world.on_refused = self._trigger
        world.on_pod = self._pod_event
        for node, group in file.owned:
            row = world.add_node(node, group, node.labels.get(ZONE, ""))
            world.reserve(row, [pod for pod in file.daemons if untolerated(node.taints, pod) is None])
            world.make_ready(row)

    def _pick(self, count: int) -> int:
        return int(self._maps.integers(count)) if count > 1 else 0

    def _trigger(self, pod: RunningPod) -> None:
        """A pod asks for a node; it opens a batch or keeps it open, but only once in each."""
        if id(pod) not in self._batch:
            self._batch.add(id(pod))
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
            self._launch_all(self._round())
            if unschedulable(self.world):
                env.process(self._again())

    def _again(self) -> Story:
        """Pods that still wait ask again after ten seconds."""
        yield self.world.env.timeout(RETRY_MS)
        for pod in unschedulable(self.world):
            self._trigger(pod)

    def _round(self) -> Provisioning:
        """Schedule what waits and what runs on nodes that are about to go."""
        leaving = [row for row, node in self._mine() if node.leaving]
        rows = self._stayers()
        result = self._provision([*self._waiting(), *self._moving(leaving, leaves=True)], rows)
        for at in np.flatnonzero(result.placed.any(axis=1)):
            if rows[at] in self.nodes:
                self.nodes[rows[at]].nominated_ms = self.world.now + max(2 * self.file.longest_ms, LEAST_NOMINATED_MS)
        return result

    def _provision(self, queue: Sequence[Waiting], rows: Sequence[int]) -> Provisioning:
        free = self.world.free()
        existing = [self._existing(row, free[row]) for row in rows]
        return provision(queue, self.settings, existing, self._standing(rows) if self._ruled else (), self._pick)

    def _existing(self, row: int, free: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Existing:
        node, mine = self.world.machines[row].node, self.nodes.get(row)
        ports = tuple(port for pod in self.world.machines[row].pods for port in self.world.kinds.pods[pod.kind].ports)
        if mine is None:
            return Existing(node.labels, free, node.taints, ports)
        ready = self.world.machines[row].ready_ms >= 0
        return Existing(node.labels, free, node.taints, ports, mine.pool.name, mine.capacity, self._quiet(row), ready)

    def _standing(self, rows: Sequence[int]) -> list[Standing]:
        """Pods that stay where they are, as the topology counts them."""
        found = []
        for row in rows:
            machine = self.world.machines[row]
            for kind, count in sorted(Counter(pod.kind for pod in machine.pods).items()):
                found.append(Standing(self.world.kinds.pods[kind], machine.node.labels, machine.node.taints, count))
        return found

    def _mine(self) -> list[tuple[int, Launched]]:
        return [(row, node) for row, node in self.nodes.items() if self.world.rows.present[row]]

    def _waiting(self) -> list[Waiting]:
        """Pods that the scheduler refused; of equal size the older second goes first, then the UID, which is chance."""
        return [Waiting(pod.kind, (float(pod.created_ms // MS_PER_S), pod.order)) for pod in unschedulable(self.world)]

    def _moving(self, rows: Sequence[int], *, leaves: bool = False) -> list[Waiting]:
        pods = (pod for row in rows for pod in self.world.machines[row].pods)
        return [Waiting(pod.kind, (float(pod.created_ms // MS_PER_S), pod.order), moves=True, leaves=leaves) for pod in pods]

    def _stayers(self, without: Sequence[int] = ()) -> list[int]:
        """Rows that pods may be sent to: ready ones first, then by name."""
        rows = [row for row in self.world.present() if row not in without and not (row in self.nodes and self.nodes[row].leaving)]
        return sorted(rows, key=lambda row: (self.world.machines[row].ready_ms < 0, self.world.machines[row].node.name))

    def _launch_all(self, result: Provisioning) -> None:
        """All claims of a round are launched at once; which is ready first is chance."""
        for claim in result.claims:
            if not self._over_limit(claim.pool):
                self._launch(claim)

    def _over_limit(self, pool: Pool) -> bool:
        """Whether the pool's nodes, those about to go among them, are beyond a limit already (Limits.ExceededBy)."""
        mine = [node.capacity for _, node in self._mine() if node.pool is pool]
        used = {name: sum(size.get(name, 0) for size in mine) for name in pool.limits}
        return any(used[name] > most for name, most in pool.limits.items() if name != NODES)

    def _boot_ms(self) -> int:
        """Launch to ready; beyond the constants an exponential time, so that nodes of one round come one after the other."""
        late_ms = self._late.exponential(PACE.register / np.log(2.0))
        return self.world.jitter(PACE.launch) + REGISTER_MS + int(late_ms)

    def _launch(self, claim: Claim) -> int:
        """The provider makes the node of the cheapest offering. Returns its row."""
        world, catalog, pool = self.world, self.file.catalog, claim.pool
        kind, offering = catalog.launched(claim.types, claim.requirements, self._pick)
        node = self._made(claim, kind, offering)
        group = f"{pool.name}/{catalog.names[kind]}/{offering.capacity_type}"
        before = int(world.group_rows(group).size)
        row = world.add_node(node, group, offering.zone)
        known = catalog.types[kind].requirements
        world.reserve(row, [pod for pod in self.file.daemons if daemon_suits(pod, pool, known, catalog.known)])
        self.nodes[row] = Launched(pool, kind, offering, self._told(claim, kind, row), world.now)
        self.log.ups.append((world.now, group, before, before + 1))
        world.env.process(self._boot(row, self._boot_ms()))
        if pool.expire_after_ms is not None:
            world.env.process(self._expire(row, pool.expire_after_ms))
        return row

    def _told(self, claim: Claim, kind: int, row: int) -> Mapping[str, int]:
        """The capacity that the node tells and limits count: kwok's provider writes what the claim asked for, others the type's."""
        if not self.file.kwok:
            return self.file.catalog.types[kind].capacity
        asked = claim.requests + self.world.rows.used[row]
        return dict(zip(self.world.kinds.axes, asked.tolist(), strict=True))

    def _made(self, claim: Claim, kind: int, offering: Offering) -> Node:
        """The node with the labels that claim, type and offering give it."""
        catalog, pool = self.file.catalog, claim.pool
        claimed = f"{pool.name}-{''.join(SUFFIX[at] for at in self._names.integers(len(SUFFIX), size=SUFFIX_LENGTH))}"
        single = {
            key: next(iter(allowed.values))
            for requirements in (claim.requirements, catalog.types[kind].requirements)
            for key, allowed in requirements.items()
            if allowed.listed and len(allowed.values) == 1
        }
        labels = {**pool.labels, **single, INSTANCE_TYPE: catalog.names[kind], NODEPOOL: pool.name}
        labels |= {ZONE: offering.zone, CAPACITY_TYPE: offering.capacity_type, HOSTNAME: claimed}
        amounts = dict(zip(self.world.kinds.axes, catalog.allocatable[kind].tolist(), strict=True))
        return Node(f"kwok-{claimed}", amounts, labels, pool.taints)

    def _expire(self, row: int, after_ms: int) -> Story:
        """A node that is old enough goes, whatever runs on it; its pods ask again."""
        yield self.world.env.timeout(after_ms)
        if self.world.rows.present[row] and not self.nodes[row].leaving:
            self._leave(row)
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
        world, found = self.world, []
        for row, node in self._mine():
            if node.leaving or not world.rows.open[row] or world.now < node.nominated_ms or not self._settled(row):
                continue
            if node.pool.replicas is not None or any(self._kept[pod.kind] for pod in world.machines[row].pods):
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

    def _settled(self, row: int) -> bool:
        """No pod came or went for the pool's consolidateAfter (the Consolidatable condition); never when it is Never."""
        node = self.nodes[row]
        after = node.pool.consolidate_after_ms
        return after is not None and self.world.now >= node.event_ms + after + PACE.notice

    def _quiet(self, row: int) -> bool:
        """Whether running pods may be moved to the node: pods have not come or gone within its pool's consolidateAfter."""
        node = self.nodes[row]
        after = node.pool.consolidate_after_ms
        return not after or self.world.machines[row].ready_ms < 0 or self.world.now >= node.event_ms + after

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
        yield self.world.env.timeout(PACE.terminate)
        self.log.downs.append((self.world.now, self.world.machines[row].node.name))
        self.world.remove_node(row)

    def _drain(self, row: int) -> Story:
        """Evict what may be evicted; pods that must not be disturbed hold the node until its grace period is over."""
        grace = self.nodes[row].pool.grace_ms
        deadline = None if grace is None else self.world.now + grace
        kept = frozenset(kind for kind, stays in enumerate(self._kept) if stays)
        self.world.evict(row, kept)
        while self.world.machines[row].pods and (deadline is None or self.world.now < deadline):
            yield self.world.env.timeout(MS_PER_S)
