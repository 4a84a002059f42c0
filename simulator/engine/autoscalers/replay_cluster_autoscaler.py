"""Cluster Autoscaler's loop on the clock of a replay: one process that looks, grows or shrinks, and waits.

A loop starts when the scan interval ends, at once after a loop that did something, or when a pod turns unschedulable
(`--frequent-loops-enabled`). `Polling` sleeps through loops that cannot decide anything new; the log equals polling.
Source: kubernetes/autoscaler cluster-autoscaler/loop and core/static_autoscaler.go at 1.36.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
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
from simulator.engine.autoscalers.cluster_autoscaler_scale_down import GPUS
from simulator.engine.autoscalers.polling import Late, Polling, Story
from simulator.engine.autoscalers.replay_api_client import CROWDED_CALLS, NODE_BURST, NODE_QPS, STATUS_CALLS, Tokens
from simulator.engine.autoscalers.replay_rows import RunningPod
from simulator.engine.autoscalers.replay_scale_down import Memory, ScaleDown, Sight, in_ms
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
        start_ms: int = 0,
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
        self._start_ms = start_ms + int(streams("cluster-autoscaler-phase").integers(MS_PER_S))
        self._made = 0
        self._tokens = Tokens(NODE_QPS, NODE_BURST)
        self._client = Tokens(file.down.client_qps, file.down.client_burst)
        self._crowded, self._standing = crowded, standing or {}
        self._rules = any(constrained(pod) for pod in world.kinds.pods)
        interval = round(file.down.scan_interval_s * MS_PER_S)
        self.polling = Polling(world.env, interval, world.latencies.loop, event_driven=event_driven)
        world.on_change = self.polling.note
        self._scale_down = ScaleDown(world, file, self.groups, self.memory, self.scale_downs, self.polling.note)
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
        times = [since + in_ms(down.unneeded_s) + 1 for since in memory.unneeded.values()]
        times += [*memory.recheck.values(), *(end for end, _ in memory.backoff.values())]
        for pod in self.world.waiting:
            times += [self._known_ms(pod) + NEW_POD_MS, self._known_ms(pod) + in_ms(down.new_pod_delay_s) + 1]
            times += [self._known_ms(pod) + NEW_GPU_POD_MS] if pod.kind in self._gpu_kinds else []
        times += [memory.up_ms + in_ms(down.delay_after_add_s)] if memory.up_ms is not None else []
        times += [memory.deleted_ms + in_ms(down.delay_after_delete_s)] if memory.deleted_ms is not None else []
        times += [memory.failed_ms + in_ms(down.delay_after_failure_s)] if memory.failed_ms is not None else []
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
        shrunk = self.file.down.enabled and self._scale_down.look(sight, self.sizes(), fresh=fresh)
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
        delay = in_ms(self.file.down.new_pod_delay_s)
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
        limit = in_ms(self.file.down.provision_s)
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
        forgotten = now - end > in_ms(down.backoff_reset_s)
        length = in_ms(down.backoff_s) if not length or forgotten else min(2 * length, in_ms(down.backoff_max_s))
        self.memory.backoff[group] = (now + length, length)


def _packed(free: Matrix, allowed: NDArray[np.bool_], world: World, pods: Sequence[RunningPod]) -> tuple[Vector, Matrix]:
    kinds = np.array([pod.kind for pod in pods], dtype=np.int64)
    return pack(free, allowed, world.kinds.requests, kinds, np.array([pod.draw for pod in pods]))


def _member(group: NodeGroup, number: int) -> Node:
    """A node of `group` with a name and a host name of its own."""
    name = f"{group.name}-{number:05d}"
    return replace(group.node, name=name, labels={**group.node.labels, HOSTNAME: name})
