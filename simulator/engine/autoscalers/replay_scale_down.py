"""Cluster Autoscaler's scale-down on the clock of a replay: which nodes are unneeded, which go, and how they go.

Source: kubernetes/autoscaler cluster-autoscaler/core/scaledown (planner, actuation) at 1.36.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from models.units import MS_PER_S
from simulator.engine.autoscalers.binpacking import Matrix, Vector
from simulator.engine.autoscalers.binpacking_pods import Trial
from simulator.engine.autoscalers.cluster_autoscaler import NodeGroup, held
from simulator.engine.autoscalers.cluster_autoscaler_flags import GroupsFile
from simulator.engine.autoscalers.cluster_autoscaler_scale_down import GPUS, Budget, Spare, View, due, judge, still_unneeded, utilisation
from simulator.engine.autoscalers.polling import Story
from simulator.engine.autoscalers.replay_rows import RunningPod
from simulator.engine.autoscalers.replay_world import World

EVICTION_RETRY_MS = 10 * MS_PER_S
"""Time between two requests to evict a pod (core/scaledown/actuation, DefaultEvictionRetryTime)."""


@dataclass(slots=True)
class Memory:
    """What the program remembers between loops; times in milliseconds."""

    up_ms: int | None = None
    deleted_ms: int | None = None
    failed_ms: int | None = None
    unneeded: dict[int, int] = field(default_factory=dict)
    recheck: dict[int, int] = field(default_factory=dict)
    deleting: set[int] = field(default_factory=set)
    draining: set[int] = field(default_factory=set)
    backoff: dict[str, tuple[int, int]] = field(default_factory=dict)
    capped: bool = False


@dataclass(frozen=True, slots=True)
class Sight:
    """Nodes as one loop sees them, with the pods of the queue and of nodes being drained where they would fit.

    free : int64 [rows, axes]; left : int64 [kinds], pods that fit nowhere; homeless : a drained pod finds no place;
    trial : the same with every filter, for shapes that need it.
    """

    free: Matrix
    left: Vector
    queue: tuple[RunningPod, ...]
    homeless: bool
    trial: Trial | None = None


@dataclass(slots=True)
class ScaleDown:
    """The part of the loop that shrinks; `gone` is its log (ms, node name), `note` tells the loop of a change."""

    world: World
    file: GroupsFile
    groups: Mapping[str, NodeGroup]
    memory: Memory
    gone: list[tuple[int, str]]
    note: Callable[[], None]

    def look(self, sight: Sight, sizes: Mapping[str, int], *, fresh: bool) -> bool:
        """Find unneeded nodes and start to delete those whose time has come; True when some were."""
        world, memory, down, now = self.world, self.memory, self.file.down, self.world.now
        size = len(world.machines)
        memory.recheck = {row: end for row, end in memory.recheck.items() if end > now}
        used, threshold = self._use(sight)
        candidates = [row for row in self._candidates(sizes) if used[row] < threshold[row] and row not in memory.recheck]
        home = world.rows.open[:size] & world.rows.present[:size]
        order = np.array(sorted(range(size), key=lambda row: world.machines[row].key), dtype=np.int64)
        view = View(
            world.rows.allocatable[:size],
            sight.free,
            world.rows.counts[:size],
            world.rows.allowed[:size],
            home,
            world.kinds.requests,
            order,
        )
        most = self._most_unneeded()
        verdict = judge(view, candidates, most, self._disruptions())
        memory.capped = len(verdict.removable) >= most
        memory.recheck |= {row: now + in_ms(down.recheck_s) for row in verdict.stuck}
        memory.unneeded = {} if sight.homeless else still_unneeded(memory.unneeded, verdict.removable, now)
        if fresh or self._cooling(now):
            return False
        busy, draining = len(memory.deleting), len(memory.draining)
        leaving = [world.machines[row].group for row in memory.deleting]
        spare = {name: sizes[name] - leaving.count(name) - group.minimum for name, group in self.groups.items()}
        names = [machine.group for machine in world.machines]
        budget = Budget(down.deletions - busy, down.drains - draining)
        empty = world.rows.counts[:size].sum(axis=1) == 0
        shuffled = self._within_limits(dict(sorted(memory.unneeded.items(), key=lambda item: world.machines[item[0]].key)))
        gone, drained = due(shuffled, in_ms(down.unneeded_s), now, names, spare, empty, budget)
        for row in (*gone, *drained):
            self._start_deletion(row, drain=row in drained)
        if not gone and not drained:
            self._taint_softly()
        return bool(gone or drained)

    def _most_unneeded(self) -> int:
        """Nodes after which no more are looked for in one loop (planner, unneededNodesLimit)."""
        down = self.file.down
        loops = int(max(down.unneeded_s, down.scan_interval_s) / down.scan_interval_s)
        return min(len(self.memory.unneeded) + 2 * down.deletions, down.deletions * loops + down.deletions)

    def _use(self, sight: Sight) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Utilisation and threshold of every row; nodes with GPUs go by these alone."""
        down, size = self.file.down, len(self.world.machines)
        used = utilisation(self.world.rows.allocatable[:size], sight.free)
        threshold = np.full(size, down.utilisation_threshold)
        for row, machine in enumerate(self.world.machines):
            gpu = next((name for name in GPUS if machine.node.allocatable.get(name)), None)
            if gpu is not None:
                axes = self.world.kinds.axes
                asked = int(self.world.rows.used[row][axes.index(gpu)]) if gpu in axes else 0
                used[row], threshold[row] = asked / machine.node.allocatable[gpu], down.gpu_utilisation_threshold
        return used, threshold

    def _within_limits(self, since_ms: Mapping[int, int]) -> Mapping[int, int]:
        """Nodes that have waited for long enough and without which the cluster keeps `--cores-total` and its like."""
        world, found = self.world, {}
        left = held([world.machines[row].node for row in world.present() if row not in self.memory.deleting])
        for row, since in since_ms.items():
            node = world.machines[row].node.allocatable
            if since + in_ms(self.file.down.unneeded_s) < world.now and self.file.up.limits.spare(left, node):
                left, found[row] = self.file.up.limits.added(left, node, -1), since
        return found

    def _taint_softly(self) -> None:
        """Unneeded nodes get a PreferNoSchedule taint and needed ones lose it, so many in one loop (actuation/softtaint)."""
        rows, present = self.world.rows, self.world.present()
        wrong = [row for row in present if rows.soft[row] and row not in self.memory.unneeded]
        wrong += [row for row in self.memory.unneeded if not rows.soft[row]]
        wrong = wrong[: self.file.down.soft_taints]
        for row in wrong:
            rows.soft[row] = 1 - rows.soft[row]
        if wrong:
            self.note()

    def _candidates(self, sizes: Mapping[str, int]) -> list[int]:
        """Ready nodes of groups above their minimum: empty ones, then those unneeded already, then in random but lasting order."""
        world, memory = self.world, self.memory
        rows = [
            row
            for row in world.present()
            if world.rows.open[row] and (group := world.machines[row].group) in self.groups and sizes[group] > self.groups[group].minimum
        ]
        earlier = {row: at for at, row in enumerate(memory.unneeded)}
        filled = world.rows.counts.sum(axis=1) > 0
        return sorted(rows, key=lambda row: (bool(filled[row]), earlier.get(row, len(rows)), world.machines[row].key))

    def _cooling(self, now: int) -> bool:
        down, memory = self.file.down, self.memory
        events = ((memory.up_ms, down.delay_after_add_s), (memory.deleted_ms, down.delay_after_delete_s))
        last = (*events, (memory.failed_ms, down.delay_after_failure_s))
        return any(at is not None and at + in_ms(delay) > now for at, delay in last)

    def _start_deletion(self, row: int, *, drain: bool) -> None:
        self.memory.deleted_ms = self.world.now
        self.memory.deleting.add(row)
        self.memory.unneeded.pop(row, None)
        if drain:
            self.memory.draining.add(row)
        self.world.cordon(row)
        self.world.env.process(self._delete(row, drain=drain))

    def _delete(self, row: int, *, drain: bool) -> Story:
        """Taint, wait, drain if pods run, delete; an empty node that got a pod meanwhile is kept."""
        world = self.world
        yield world.env.timeout(world.jitter(world.latencies.taint) + in_ms(self.file.down.delete_delay_s))
        if drain:
            yield world.env.timeout(world.jitter(world.latencies.drain))
            yield from self._evict(row)
            yield world.env.timeout(world.jitter(world.latencies.taint))
        self.memory.deleting.discard(row)
        self.memory.draining.discard(row)
        if world.machines[row].pods:
            self.memory.failed_ms = world.now if drain else self.memory.failed_ms
            world.uncordon(row)
            return
        self.gone.append((world.now, world.machines[row].node.name))
        world.remove_node(row)

    def _disruptions(self) -> list[Spare]:
        """What every disruption budget lets go now."""
        found, world = [], self.world
        for budget in self.file.budgets:
            kinds = tuple(kind for kind, pod in enumerate(world.kinds.pods) if budget.selector.matches(pod.labels))
            running = sum(pod.node >= 0 for kind in kinds for pod in world.live[kind])
            found.append((kinds, budget.allowed(sum(world.desired[kind] for kind in kinds), running)))
        return found

    def _evict(self, row: int) -> Story:
        """Ask for every pod to go; what a budget holds back is asked again until the time for it is over."""
        world, end = self.world, self.world.now + in_ms(self.file.down.eviction_s)
        while True:
            spare = self._disruptions()
            world.evict(row, frozenset(kind for kinds, _ in spare for kind in kinds))
            for kinds, allowed in spare:
                gone = [pod for pod in world.machines[row].pods if pod.kind in kinds][:allowed]
                for pod in gone:
                    world.delete_pod(pod)
                for kind in sorted({pod.kind for pod in gone}):
                    world.follow(kind, world.desired[kind])
            if not world.machines[row].pods or world.now + EVICTION_RETRY_MS > end:
                return
            yield world.env.timeout(EVICTION_RETRY_MS)


def in_ms(seconds: float) -> int:
    """Whole milliseconds."""
    return round(seconds * MS_PER_S)
