"""Karpenter's provisioner on the clock of a replay: pods gather into a batch, a round decides, nodes are launched."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from models.units import MS_PER_S
from simulator.engine.autoscalers.karpenter import NODES, Claim, Existing, Provisioning, Waiting, daemon_suits, provision
from simulator.engine.autoscalers.karpenter_catalog import CAPACITY_TYPE, INSTANCE_TYPE, NODEPOOL, Offering, Pool
from simulator.engine.autoscalers.karpenter_input import KarpenterFile
from simulator.engine.autoscalers.karpenter_pace import LEAST_NOMINATED_MS, PACE, POD_EVENT_MS, REGISTER_MS, RETRY_MS
from simulator.engine.autoscalers.karpenter_topology import Standing
from simulator.engine.autoscalers.polling import Story
from simulator.engine.autoscalers.replay_rows import RunningPod
from simulator.engine.autoscalers.replay_scheduler import with_rules
from simulator.engine.autoscalers.replay_world import World, unschedulable
from simulator.engine.kube.objects import HOSTNAME, ZONE, Node, untolerated
from simulator.streams import Streams

SUFFIX = "bcdfghjklmnpqrstvwxz2456789"
SUFFIX_LENGTH = 5
"""What the API server appends to a NodeClaim's generated name; nodes are tried by name, so their order is chance."""


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


class Provisioner:
    """The process that launches, and what Karpenter knows of its nodes; `on_launch` hears of each."""

    def __init__(self, world: World, file: KarpenterFile, streams: Streams) -> None:
        self.world, self.file = world, file
        self.settings = file.settings(world.kinds)
        self.nodes: dict[int, Launched] = {}
        self.log = Log()
        self.on_launch: Callable[[int], None] = lambda row: None
        self._ruled = any(map(with_rules, world.kinds.pods))
        self._batch: set[int] = set()
        self._pulse = world.env.event()
        self._names = streams("karpenter-names")
        self._maps = streams("karpenter-maps")
        self._late = streams("karpenter-registration")
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
        quiet = not mine.pool.consolidate_after_ms or not ready or self.settled(row)
        return Existing(node.labels, free, node.taints, ports, mine.pool.name, mine.capacity, quiet, ready)

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

    def _launch(self, claim: Claim) -> int:
        """The provider makes the node of the cheapest offering. Returns its row."""
        world, catalog, pool = self.world, self.file.catalog, claim.pool
        kind, offering = catalog.launched(claim.types, claim.requirements, self._pick)
        node = self._made(claim, kind, offering)
        group = f"{pool.name}/{catalog.names[kind]}/{offering.capacity_type}"
        before = int(world.group_rows(group).size)
        row = world.add_node(node, group, offering.zone, seen=False)
        known = catalog.types[kind].requirements
        world.reserve(row, [pod for pod in self.file.daemons if daemon_suits(pod, pool, known, catalog.known)])
        self.nodes[row] = Launched(pool, kind, offering, self._told(claim, kind, row), world.now)
        self.log.ups.append((world.now, group, before, before + 1))
        world.env.process(self._boot(row))
        self.on_launch(row)
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

    def _boot(self, row: int) -> Story:
        """The provider makes the node; beyond the constants an exponential time, so that those of a round come one by one."""
        late_ms = int(self._late.exponential(PACE.register / np.log(2.0)))
        yield self.world.env.timeout(self.world.jitter(PACE.launch))
        self.world.show_nodes()
        yield self.world.env.timeout(REGISTER_MS + late_ms)
        self.world.make_ready(row)

    def settled(self, row: int, notice_ms: int = 0) -> bool:
        """Whether no pod came or went for the pool's consolidateAfter; never when that is Never."""
        node = self.nodes[row]
        after = node.pool.consolidate_after_ms
        return after is not None and self.world.now >= node.event_ms + after + notice_ms
