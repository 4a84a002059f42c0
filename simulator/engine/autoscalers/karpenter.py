"""Karpenter's provisioning: which nodes it launches for pods that wait, decided as the real program does.

Pods are taken by falling size, each with all its wishes. A pod goes to a node that exists, else to the claim with the
fewest pods that can still take it, else to a new claim of the first pool (by weight) that can; when nothing can, it gives
up one wish and tries again. Pods that failed are tried again while others get placed. A claim can take a pod while any
instance type still holds everything; at the end the cheapest offering among the types that remain is launched. Source:
kubernetes-sigs/karpenter pkg/controllers/provisioning/scheduling/{scheduler,nodeclaim,existingnode,queue}.go at 1.14.

Amounts are int64 vectors over `Kinds.axes`; types index the rows of a `Catalog`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from simulator.engine.autoscalers.binpacking import Kinds, Matrix, Vector
from simulator.engine.autoscalers.karpenter_catalog import NODEPOOL, Catalog, Flags, Pool, by_weight
from simulator.engine.autoscalers.karpenter_preferences import Wish, relaxed, tolerated, wish, without_wishes
from simulator.engine.autoscalers.karpenter_requirements import (
    Allowed,
    Requirements,
    compatible,
    intersects,
    label_requirements,
    merged,
)
from simulator.engine.autoscalers.karpenter_topology import Pick, Standing, Topology
from simulator.engine.kube.objects import HOSTNAME, HostPort, Labels, Pod, Taint

NODES = "nodes"


@dataclass(frozen=True, slots=True)
class Waiting:
    """A pod to place. `order` breaks ties of size; `moves`: it runs now and is to be moved, `leaves`: its node goes anyway."""

    kind: int
    order: tuple[float, ...] = ()
    moves: bool = False
    leaves: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Existing:
    """A node that pods may go to. free: int64 [axes]; `quiet` ones receive pods that run now; `pool` is "" for one's own."""

    labels: Labels
    free: Vector
    taints: tuple[Taint, ...] = ()
    ports: tuple[HostPort, ...] = ()
    pool: str = ""
    capacity: Mapping[str, int] = field(default_factory=dict)
    quiet: bool = True
    launched: bool = True


@dataclass(slots=True, eq=False)
class Claim:
    """A node about to be launched. types: bool [types] that still hold it; requests: int64 [axes]; counts: int64 [kinds]."""

    pool: Pool
    requirements: Requirements
    types: Flags
    requests: Vector
    counts: Vector
    ports: tuple[HostPort, ...] = ()
    host: str = ""
    refused: set[int] = field(default_factory=set)

    @property
    def pods(self) -> int:
        """Pods on the claim."""
        return int(self.counts.sum())


@dataclass(frozen=True, slots=True)
class Provisioning:
    """Claims to launch, pods placed on nodes that exist (int64 [nodes, kinds]), and pods left as positions in the queue."""

    claims: tuple[Claim, ...]
    placed: Matrix
    left: tuple[int, ...]
    rows: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything a round knows beside pods and nodes. daemons: pods that run on every node that suits them.

    fewer_values : a new claim may offer fewer values than `minValues` wants (min-values-policy BestEffort).
    no_wishes : what a pod only prefers is not looked at (preference-policy Ignore).
    """

    kinds: Kinds
    catalog: Catalog
    pools: tuple[Pool, ...]
    daemons: tuple[Pod, ...] = ()
    namespaces: Mapping[str, Labels] = field(default_factory=dict)
    fewer_values: bool = False
    no_wishes: bool = False


@dataclass(slots=True, eq=False)
class _Template:
    """A pool as a claim starts from it. room: int64 [types, axes] beside daemons; ports: those of daemons, by type."""

    pool: Pool
    types: Flags
    room: Matrix
    ports: tuple[tuple[HostPort, ...], ...]
    limits: dict[str, int]
    sizes: dict[str, Vector]


@dataclass(slots=True, eq=False)
class _Node:
    """An existing node in a round."""

    requirements: Requirements
    taints: tuple[Taint, ...]
    ports: tuple[HostPort, ...]
    quiet: bool


class _Round:
    """One scheduling round in progress."""

    def __init__(self, settings: Settings, nodes: Sequence[Existing], standing: Sequence[Standing], pick: Pick) -> None:
        self.kinds, self.catalog, self.fewer_values = settings.kinds, settings.catalog, settings.fewer_values
        self.pods = tuple(map(without_wishes, self.kinds.pods)) if settings.no_wishes else self.kinds.pods
        pools = by_weight(tuple(pool for pool in settings.pools if pool.replicas is None))
        self.soft_taints = any(taint.effect == "PreferNoSchedule" for pool in pools for taint in pool.taints)
        self.templates = [made for pool in pools if (made := self._template(pool, settings.daemons, nodes)) is not None]
        self.free = np.array([node.free for node in nodes], dtype=np.int64).reshape(len(nodes), len(self.kinds.axes))
        self.nodes = [_node(node) for node in nodes]
        places = [(node.labels, node.taints) for node in nodes if node.launched]
        self.topology = Topology(_domains(pools, self.catalog), standing, places, pick, settings.namespaces)
        self.claims: list[Claim] = []
        self.hosts = 0
        self._stages: dict[int, list[Wish]] = {}
        self._from: dict[int, int] = {}

    def stage(self, kind: int, at: int) -> Wish | None:
        """The kind's pod after giving up `at` wishes, None when it has no more to give up."""
        stages = self._stages.setdefault(kind, [])
        while len(stages) <= at:
            pod = relaxed(stages[-1].pod, soft_taints=self.soft_taints) if stages else self.pods[kind]
            if pod is None:
                return None
            stages.append(wish(kind, pod, self.kinds.requests[kind]))
        return stages[at]

    def place(self, pod: Waiting) -> int | None:
        """Place one pod, relaxing it as far as needed: row of the node, -1 for a claim, None when nothing takes it."""
        at = 0
        while (stage := self.stage(pod.kind, at)) is not None:
            self.topology.watch(stage)
            row = self._existing(stage, moves=pod.moves and not pod.leaves)
            if row is not None:
                return row
            self.claims.sort(key=lambda claim: claim.pods)
            if any(self._add(claim, stage) for claim in self.claims) or self._open(stage):
                return -1
            at += 1
        return None

    # -- nodes that exist

    def _existing(self, stage: Wish, *, moves: bool) -> int | None:
        plain = not (stage.wants or stage.pod.ports or self.topology.concerns(stage))
        start = self._from.get(2 * id(stage) + moves, 0) if plain else 0
        for offset in np.flatnonzero((self.free[start:] >= stage.request).all(axis=1)):
            row = start + int(offset)
            if self._takes(row, stage, moves=moves):
                if plain:
                    self._from[2 * id(stage) + moves] = row
                return row
        return None

    def _takes(self, row: int, stage: Wish, *, moves: bool) -> bool:
        node = self.nodes[row]
        if (moves and not node.quiet) or not tolerated(node.taints, stage.pod) or _conflict(node.ports, stage.pod.ports):
            return False
        if not compatible(node.requirements, stage.wants):
            return False
        found = self.topology.narrow(stage, node.taints, merged(node.requirements, stage.wants.items()))
        if found is None:
            return False
        node.requirements, node.ports = found, node.ports + stage.pod.ports
        self.free[row] -= stage.request
        self.topology.record(stage, node.taints, found)
        return True

    # -- claims

    def _add(self, claim: Claim, stage: Wish) -> bool:
        """The pod joins a claim if it can."""
        if id(stage) in claim.refused:
            return False
        template = next(part for part in self.templates if part.pool is claim.pool)
        if self._join(claim, template, stage):
            return True
        if not self.topology.concerns(stage):
            claim.refused.add(id(stage))
        return False

    def _join(self, claim: Claim, template: _Template, stage: Wish) -> bool:
        pool, catalog = claim.pool, self.catalog
        if not tolerated(pool.taints, stage.pod) or not compatible(claim.requirements, stage.wants, catalog.known):
            return False
        wanted = merged(claim.requirements, stage.wants.items())
        found = self.topology.narrow(stage, pool.taints, wanted, catalog.known)
        if found is None or _conflict(claim.ports, stage.pod.ports):
            return False
        types = claim.types & catalog.suiting(found) & (template.room >= claim.requests + stage.request).all(axis=1)
        if stage.pod.ports:
            types &= np.array([not _conflict(ports, stage.pod.ports) for ports in template.ports], dtype=np.bool_)
        if not types.any():
            return False
        if not catalog.varied(types, found):
            if not self.fewer_values or claim.pods:
                return False
            found = catalog.lowered(types, found)
        claim.types, claim.requests, claim.requirements = types, claim.requests + stage.request, found
        claim.counts[stage.kind] += 1
        claim.ports += stage.pod.ports
        self.topology.register(claim.host)
        self.topology.record(stage, pool.taints, found)
        return True

    def _open(self, stage: Wish) -> bool:
        """A new claim of the first pool that can take the pod within its limits."""
        for template in self.templates:
            if template.limits.get(NODES, 1) <= 0:
                continue
            types = template.types.copy()
            for name, left in template.limits.items():
                types &= template.sizes[name] <= left
            if not types.any():
                continue
            host = f"claim-{self.hosts}"
            requirements = {**template.pool.requirements, HOSTNAME: Allowed(frozenset((host,)))}
            claim = Claim(
                template.pool, requirements, types, np.zeros_like(stage.request), np.zeros(len(self.kinds.pods), dtype=np.int64), host=host
            )
            if self._join(claim, template, stage):
                self.hosts += 1
                self.claims.append(claim)
                for name in template.limits:
                    template.limits[name] -= int(template.sizes[name][claim.types].max())
                return True
        return False

    # -- what a round starts from

    def _template(self, pool: Pool, daemons: Sequence[Pod], nodes: Sequence[Existing]) -> _Template | None:
        """None when no type suits the pool, or too few for its `minValues`."""
        catalog = self.catalog
        types = catalog.suiting(pool.requirements)
        if not types.any() or not (self.fewer_values or catalog.varied(types, pool.requirements)):
            return None
        room, ports = catalog.allocatable.copy(), []
        for at, kind in enumerate(catalog.types):
            here = [pod for pod in daemons if daemon_suits(pod, pool, kind.requirements, catalog.known)]
            for pod in here:
                room[at] -= self.kinds.vector({**pod.requests, "pods": 1})
            ports.append(tuple(port for pod in here for port in pod.ports))
        limits = dict(pool.limits)
        for node in nodes:
            if node.pool == pool.name:
                limits = {name: left - (1 if name == NODES else node.capacity.get(name, 0)) for name, left in limits.items()}
        sizes = {
            name: np.array([0 if name == NODES else kind.capacity.get(name, 0) for kind in catalog.types], dtype=np.int64)
            for name in limits
        }
        return _Template(pool, types, room, tuple(ports), limits, sizes)


def provision(
    queue: Sequence[Waiting], settings: Settings, nodes: Sequence[Existing], standing: Sequence[Standing], pick: Pick
) -> Provisioning:
    """Where the pods of `queue` go, and what has to be launched for them.

    nodes : in the order they are tried; standing: pods that run and stay; pick: a draw below n, for what Go maps leave open.
    """
    trial = _Round(settings, nodes, standing, pick)
    requests = settings.kinds.requests
    for kind in sorted({pod.kind for pod in queue}):
        first = trial.stage(kind, 0)
        if first is not None:
            trial.topology.watch(first)
    for node in nodes:
        trial.topology.register(node.labels.get(HOSTNAME, ""))
    ranked = sorted(range(len(queue)), key=lambda at: (-requests[queue[at].kind][0], -requests[queue[at].kind][1], queue[at].order))
    placed, rows = np.zeros((len(nodes), len(requests)), dtype=np.int64), {}
    waiting, length = deque(ranked), dict[int, int]()
    while waiting and length.get(waiting[0]) != len(waiting):
        at = waiting.popleft()
        row = trial.place(queue[at])
        if row is None:
            waiting.append(at)
            length[at] = len(waiting)
        else:
            rows[at] = row
            if row >= 0:
                placed[row, queue[at].kind] += 1
    return Provisioning(tuple(trial.claims), placed, tuple(sorted(waiting)), rows)


def daemon_suits(pod: Pod, pool: Pool, kind: Requirements, known: frozenset[str]) -> bool:
    """Whether a DaemonSet's pod will run on a node of this pool and type (isDaemonPodCompatible)."""
    if not all(taint.effect == "PreferNoSchedule" or pod.tolerates(taint) for taint in pool.taints):
        return False
    terms = [pod] if not pod.required else [replace(pod, required=(term,)) for term in pod.required]
    wanted = (wish(0, term, np.zeros(0, dtype=np.int64)).strict for term in terms)
    return any(compatible(pool.requirements, part, known) and intersects(kind, part) for part in wanted)


def _node(node: Existing) -> _Node:
    return _Node(label_requirements(node.labels), node.taints, node.ports, node.quiet)


def _conflict(taken: Sequence[HostPort], wanted: Sequence[HostPort]) -> bool:
    return any(port.conflicts(other) for port in wanted for other in taken)


def _domains(pools: Sequence[Pool], catalog: Catalog) -> dict[str, dict[str, list[tuple[Taint, ...]]]]:
    """Every label value that a pool's nodes might have, with the taints of each such pool."""
    found: dict[str, dict[str, list[tuple[Taint, ...]]]] = {}
    for pool in pools:
        for requirements in (pool.requirements, *(merged(pool.requirements, kind.requirements.items()) for kind in catalog.types)):
            for key, allowed in requirements.items():
                if key == NODEPOOL or not allowed.listed:
                    continue
                for value in allowed.values:
                    taints = found.setdefault(key, {}).setdefault(value, [])
                    if pool.taints not in taints:
                        taints.append(pool.taints)
    return {key: dict(sorted(values.items())) for key, values in found.items()}
