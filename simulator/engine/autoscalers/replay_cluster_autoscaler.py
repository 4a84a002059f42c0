"""Cluster Autoscaler's loop on the clock of a replay: one process that looks, grows or shrinks, and waits.

A loop starts when the scan interval ends, at once after a loop that did something, or when a pod turns unschedulable
(`--frequent-loops-enabled`). `Polling` sleeps through loops that cannot decide anything new; the log equals polling.
Source: kubernetes/autoscaler cluster-autoscaler/loop and core/static_autoscaler.go at 1.36.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import simpy
from numpy.typing import NDArray

from models.units import MS_PER_S
from simulator.engine.autoscalers.binpacking import Matrix, Vector, pack
from simulator.engine.autoscalers.binpacking_pods import Trial, constrained, pack_pods
from simulator.engine.autoscalers.cluster_autoscaler import (
    NodeGroup,
    Plan,
    ScaleUp,
    Scene,
    held,
    next_scale_up,
    overhead_of,
    template,
    to_minimum,
)
from simulator.engine.autoscalers.cluster_autoscaler_constrained import next_scale_up_with_filters
from simulator.engine.autoscalers.cluster_autoscaler_flags import GroupsFile
from simulator.engine.autoscalers.cluster_autoscaler_scale_down import GPUS, Budget, View, due, judge, still_unneeded, utilisation
from simulator.engine.autoscalers.polling import Late, Polling, Story
from simulator.engine.autoscalers.replay_rows import RunningPod
from simulator.engine.autoscalers.replay_world import World, unschedulable
from simulator.engine.kube.objects import HOSTNAME, Node, Pod
from simulator.streams import Streams

NEW_POD_MS = 2 * MS_PER_S
"""Pods younger than this wait one loop for more to come (core/utils, unschedulablePodTimeBuffer)."""

NEW_GPU_POD_MS = 30 * MS_PER_S
"""The same for pods that ask for a GPU (unschedulablePodWithGpuTimeBuffer)."""

STABLE_MS = 60 * MS_PER_S
"""A node that has been ready for longer is what the autoscaler takes for a picture of its group from then on
(processors/nodeinfosprovider, stabilizationDelay and cache)."""


NODE_QPS, NODE_BURST = 5.0, 10
"""The kwok provider makes nodes through a client of its own, with client-go's defaults whatever the flags say."""

STATUS_CALLS = 2
"""Calls that write the status ConfigMap at the end of a loop: read and update."""

CROWDED_CALLS = 2.5
"""The same where other calls take every call that is refilled: half a call passes until its turn."""


@dataclass(slots=True)
class Memory:
    """What the program remembers between loops; times in milliseconds."""

    up_ms: int | None = None
    deleted_ms: int | None = None
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
class Tokens:
    """A token bucket as client-go's: `burst` calls at once, then `per_s` a second."""

    per_s: float
    burst: int
    full_ms: float = 0.0

    def wait_ms(self, now_ms: int) -> int:
        """Take one token; how long it takes to get it.

        >>> bucket = Tokens(per_s=5.0, burst=2)
        >>> [bucket.wait_ms(0) for _ in range(4)]
        [0, 0, 200, 400]
        """
        self.full_ms = max(self.full_ms, float(now_ms)) + MS_PER_S / self.per_s
        return max(0, round(self.full_ms - now_ms - self.burst * MS_PER_S / self.per_s))


class ClusterAutoscaler:
    """The process and its log: `scale_ups` (ms, plan) and `scale_downs` (ms, node name)."""

    def __init__(
        self,
        world: World,
        file: GroupsFile,
        boot_ms: Mapping[str, int],
        streams: Streams,
        *,
        event_driven: bool = True,
        crowded: bool = False,
        standing: Mapping[str, Sequence[Pod]] | None = None,
    ) -> None:
        self.world, self.file, self.boot_ms = world, file, boot_ms
        self.groups = {group.name: group for group in file.groups}
        self.memory = Memory()
        self.scale_ups: list[tuple[int, ScaleUp]] = []
        self.scale_downs: list[tuple[int, str]] = []
        self.upcoming: dict[int, str] = {}
        self._gpu_kinds = {kind for kind, pod in enumerate(world.kinds.pods) if any(pod.requests.get(name) for name in GPUS)}
        self._chance = streams("cluster-autoscaler-ties")
        self._wall_ms = int(streams("wall-clock").integers(MS_PER_S))
        self._start_ms = int(streams("cluster-autoscaler-phase").integers(MS_PER_S))
        self._made = 0
        self._tokens = Tokens(NODE_QPS, NODE_BURST)
        self._client = Tokens(file.down.client_qps, file.down.client_burst)
        self._crowded, self._standing = crowded, standing or {}
        self._rules = any(constrained(pod) for pod in world.kinds.pods)
        interval = round(file.down.scan_interval_s * MS_PER_S)
        self.polling = Polling(world.env, interval, world.latencies.loop, event_driven=event_driven)
        world.on_change = self.polling.note
        if file.down.frequent_loops:
            world.on_unschedulable = self.polling.trigger

    def run(self) -> Story:
        """Loop for ever."""
        yield Late(self.world.env, self._start_ms)
        while True:
            self.polling.begin()
            productive = yield from self._loop()
            yield self.world.env.timeout(self.world.latencies.loop + (self._status_ms() if productive else 0))
            if not productive:
                yield from self.polling.wait(self._next_expiry)

    def _status_ms(self) -> int:
        """How long the status waits for the API client at the end of a loop that did something.

        Loops that do nothing use less than is refilled, so they are not counted.
        """
        if self._crowded:
            return round(CROWDED_CALLS / self.file.down.client_qps * MS_PER_S)
        return max((self._client.wait_ms(self.world.now) for _ in range(STATUS_CALLS)), default=0)

    def _next_expiry(self) -> int | None:
        """Earliest time at which a loop could decide otherwise though nothing changed; None when there is none."""
        down, memory = self.file.down, self.memory
        times = [since + _ms(down.unneeded_s) + 1 for since in memory.unneeded.values()]
        times += [*memory.recheck.values(), *(end for end, _ in memory.backoff.values())]
        for pod in self.world.waiting:
            times += [self._known_ms(pod) + NEW_POD_MS, self._known_ms(pod) + _ms(down.new_pod_delay_s) + 1]
            times += [self._known_ms(pod) + NEW_GPU_POD_MS] if pod.kind in self._gpu_kinds else []
        times += [memory.up_ms + _ms(down.delay_after_add_s)] if memory.up_ms is not None else []
        times += [memory.deleted_ms + _ms(down.delay_after_delete_s)] if memory.deleted_ms is not None else []
        times += [self.world.machines[row].ready_ms + STABLE_MS + 1 for row in self._models() if self.world.machines[row].ready_ms >= 0]
        times += [self.polling.looked_ms + 1] if self.memory.capped else []
        return min((time for time in times if time > self.polling.looked_ms), default=None)

    def _models(self) -> list[int]:
        """Rows of ready nodes whose group the autoscaler has no real node's picture of."""
        open_rows = (row for row in self.world.present() if self.world.rows.open[row])
        return [row for row in open_rows if (name := self.world.machines[row].group) in self.groups and self.groups[name].overhead is None]

    def _learn(self) -> None:
        """Groups with a node that has been ready for a minute are seen as that node is: without `template_overhead`."""
        for row in self._models():
            machine = self.world.machines[row]
            if machine.ready_ms + STABLE_MS < self.world.now:
                self.groups[machine.group] = replace(self.groups[machine.group], overhead={})

    def _known_ms(self, pod: RunningPod) -> int:
        """Creation time as the API writes it: in whole seconds of the wall clock."""
        return (pod.created_ms + self._wall_ms) // MS_PER_S * MS_PER_S - self._wall_ms

    # -- one loop

    def _loop(self) -> Generator[simpy.Event, Any, bool]:
        """Grow if pods need it, else look for nodes to remove; True when something was done."""
        self._learn()
        sight = self._sight()
        waiting = bool(sight.left.any())
        fresh = waiting and self._all_new(sight)
        if waiting and not fresh and (found := self._scale_up(sight)) is not None:
            yield from self._grow(found)
            return True
        shrunk = self.file.down.enabled and self._shrink(sight, fresh)
        least = to_minimum(self._scene(), self.file.up)
        if least is not None:
            yield from self._grow(least)
        return shrunk or least is not None

    def _grow(self, scale_up: ScaleUp) -> Story:
        self.memory.up_ms = self.world.now
        self.scale_ups.append((self.world.now, scale_up))
        for plan in scale_up.plans:
            yield from self._create(plan)

    def _sight(self) -> Sight:
        """Pack the queue onto nodes that are there or on their way; what is left needs new nodes."""
        world = self.world
        waiting = (pod for pod in unschedulable(world) if not self._expendable(pod))
        queue = tuple(sorted(waiting, key=lambda pod: -world.kinds.pods[pod.kind].priority))
        free, size = world.free(), len(world.machines)
        usable = world.rows.open[:size].copy()
        for row, group in self.upcoming.items():
            free[row] = template(self.groups[group], world.kinds, self.file.up)
            usable[row] = not world.machines[row].leaving
        allowed = (world.rows.allowed[:size] & usable[:, None]).T
        left, free = _packed(free, allowed, world, queue)
        trial = self._trial() if self._rules else None
        if trial is not None:
            kinds = np.array([pod.kind for pod in queue], dtype=np.int64)
            left = pack_pods(trial, world.kinds, kinds, np.array([pod.draw for pod in queue]))
        drained = tuple(pod for row in sorted(self.memory.draining) for pod in world.machines[row].pods)
        lost, free = _packed(free, allowed, world, drained)
        return Sight(free, self._old(queue, left), queue, bool(lost.any()), trial)

    def _old(self, queue: Sequence[RunningPod], left: Vector) -> Vector:
        """Pods of each kind that fit nowhere, without those younger than `--new-pod-scale-up-delay`: int64 [kinds].

        Pods of a kind are packed in turn, so those that fit nowhere are its last.
        """
        delay = _ms(self.file.down.new_pod_delay_s)
        if not delay:
            return left
        old = np.zeros_like(left)
        for kind in np.flatnonzero(left).tolist():
            last = [pod for pod in queue if pod.kind == kind][-int(left[kind]) :]
            old[kind] = sum(self.world.now - self._known_ms(pod) > delay for pod in last)
        return old

    def _trial(self) -> Trial:
        """The cluster with every pod where it runs; nodes on their way as the autoscaler pictures them."""
        nodes, bound = [], []
        for row in self.world.present():
            machine = self.world.machines[row]
            node, group = machine.node, self.groups.get(self.upcoming.get(row, ""))
            if group is not None:
                overhead = overhead_of(group, self.file.up)
                left = {axis: amount - overhead.get(axis, 0) for axis, amount in group.picture.allocatable.items()}
                node = replace(group.picture, name=node.name, allocatable=left, labels={**group.picture.labels, HOSTNAME: node.name})
            elif not self.world.rows.open[row]:
                node = replace(node, unschedulable=True)
            nodes.append(node)
            kinds = self.world.kinds.pods
            bound += [
                replace(kinds[pod.kind], name=f"{kinds[pod.kind].name}-{row}-{at}", node=node.name) for at, pod in enumerate(machine.pods)
            ]
            bound += [pod.on(node.name) for pod in self._standing.get(node.name, ())]
        return Trial(nodes, bound)

    def _scale_up(self, sight: Sight) -> ScaleUp | None:
        kinds, up = self.world.kinds, self.file.up
        if sight.trial is not None:
            return next_scale_up_with_filters(self._scene(), kinds, sight.left, sight.trial, up, self._chance)
        return next_scale_up(self._scene(), kinds, sight.left, up, self._chance)

    def _expendable(self, pod: RunningPod) -> bool:
        return self.world.kinds.pods[pod.kind].priority < self.file.up.expendable_below

    def _all_new(self, sight: Sight) -> bool:
        """Whether every pod left, or every one of those that ask for a GPU, was made so short ago that more may follow."""
        kinds = {kind for kind, count in enumerate(sight.left) if count}
        ages = [(pod.kind in self._gpu_kinds, self._known_ms(pod)) for pod in sight.queue if pod.kind in kinds]
        oldest, oldest_gpu = min(age for _, age in ages), min((age for gpu, age in ages if gpu), default=None)
        waits = oldest_gpu is not None and oldest_gpu + NEW_GPU_POD_MS > self.world.now
        return waits or oldest + NEW_POD_MS > self.world.now

    def sizes(self) -> dict[str, int]:
        """Target size of every group."""
        return {name: self.world.group_rows(name).size for name in self.groups}

    def _scene(self) -> Scene:
        """What one decision looks at; groups in back-off are left out."""
        now, present = self.world.now, self.world.present()
        ready = [group for group in self.groups.values() if self.memory.backoff.get(group.name, (0, 0))[0] <= now]
        return Scene(ready, self.sizes(), len(present), held([self.world.machines[row].node for row in present]))

    def _create(self, plan: Plan) -> Story:
        """The nodes are made one after the other, at the pace that the API client allows; each boots on its own."""
        group = self.groups[plan.group]
        for _ in range(plan.after - plan.before):
            wait = max(self.world.jitter(self.world.latencies.node_each), self._tokens.wait_ms(self.world.now))
            yield self.world.env.timeout(wait)
            self._made += 1
            row = self.world.add_node(_member(group, self._made), group.name)
            self.upcoming[row] = group.name
            self.world.env.process(self._boot(row, group.name))

    def _boot(self, row: int, group: str) -> Story:
        """The node becomes ready, or is given up after the provision time and its group backs off."""
        boot = self.world.jitter(self.boot_ms.get(group, self.world.latencies.node_ready))
        limit = _ms(self.file.down.provision_s)
        yield self.world.env.timeout(min(boot, limit))
        self.upcoming.pop(row, None)
        if boot <= limit:
            self.memory.backoff.pop(group, None)
            self.world.make_ready(row)
        else:
            self._back_off(group)
            self.world.remove_node(row)

    def _back_off(self, group: str) -> None:
        """Wait before this group is tried again, twice as long each time (utils/backoff)."""
        now, down = self.world.now, self.file.down
        end, length = self.memory.backoff.get(group, (-1, 0))
        if end > now:
            return
        forgotten = now - end > _ms(down.backoff_reset_s)
        length = _ms(down.backoff_s) if not length or forgotten else min(2 * length, _ms(down.backoff_max_s))
        self.memory.backoff[group] = (now + length, length)

    # -- scale-down

    def _shrink(self, sight: Sight, fresh: bool) -> bool:
        world, memory, down, now = self.world, self.memory, self.file.down, self.world.now
        size, sizes = len(world.machines), self.sizes()
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
        verdict = judge(view, candidates, most)
        memory.capped = len(verdict.removable) >= most
        memory.recheck |= {row: now + _ms(down.recheck_s) for row in verdict.stuck}
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
        gone, drained = due(shuffled, _ms(down.unneeded_s), now, names, spare, empty, budget)
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
            if since + _ms(self.file.down.unneeded_s) < world.now and self.file.up.limits.spare(left, node):
                left, found[row] = self.file.up.limits.added(left, node, -1), since
        return found

    def _taint_softly(self) -> None:
        """Unneeded nodes get a PreferNoSchedule taint and needed ones lose it, so many in one loop (actuation/softtaint)."""
        rows, present = self.world.rows, self.world.present()
        wrong = [row for row in present if rows.soft[row] and row not in self.memory.unneeded]
        wrong += [row for row in self.memory.unneeded if not rows.soft[row]]
        for row in wrong[: self.file.down.soft_taints]:
            rows.soft[row] = 1 - rows.soft[row]
        if wrong:
            self.polling.note()

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
        after_add = memory.up_ms is not None and memory.up_ms + _ms(down.delay_after_add_s) > now
        return after_add or (memory.deleted_ms is not None and memory.deleted_ms + _ms(down.delay_after_delete_s) > now)

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
        yield world.env.timeout(world.jitter(world.latencies.taint) + _ms(self.file.down.delete_delay_s))
        if drain:
            yield world.env.timeout(world.jitter(world.latencies.drain))
            world.evict(row)
            yield world.env.timeout(world.jitter(world.latencies.taint))
        self.memory.deleting.discard(row)
        self.memory.draining.discard(row)
        if world.machines[row].pods:
            world.uncordon(row)
            return
        self.scale_downs.append((world.now, world.machines[row].node.name))
        world.remove_node(row)


def _packed(free: Matrix, allowed: NDArray[np.bool_], world: World, pods: Sequence[RunningPod]) -> tuple[Vector, Matrix]:
    kinds = np.array([pod.kind for pod in pods], dtype=np.int64)
    return pack(free, allowed, world.kinds.requests, kinds, np.array([pod.draw for pod in pods]))


def _ms(seconds: float) -> int:
    return round(seconds * MS_PER_S)


def _member(group: NodeGroup, number: int) -> Node:
    """A node of `group` with a name and a host name of its own."""
    name = f"{group.name}-{number:05d}"
    return replace(group.node, name=name, labels={**group.node.labels, HOSTNAME: name})
