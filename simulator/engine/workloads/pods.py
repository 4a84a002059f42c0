"""Pods of controllers on their way through the cluster: created, placed by the kernel, image pulled, ready, stopped.

A controller asks for pods and hears when one is ready or lost; everything between is here.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from models.scenario_workloads import PodPart
from models.units import MS_PER_S
from simulator.engine.environment import HybridEnvironment
from simulator.engine.provisioning import lognormal_s
from simulator.engine.recorder import NodeState, Recorder
from simulator.engine.state import State, eligible
from simulator.engine.trace import PodShape
from simulator.engine.workloads.images import Images
from simulator.engine.workloads.log import WorkloadLog

NOT_YET = -1


class Owner(Protocol):
    """A controller, as its pods see it."""

    log: WorkloadLog

    @property
    def part(self) -> PodPart:
        """What the scenario says of it, requests filled in."""
        ...

    def pod_running(self, pod: Pod) -> None:
        """The containers of `pod` start."""
        ...

    def pod_ready(self, pod: Pod) -> None:
        """`pod` became Ready."""
        ...

    def pod_lost(self, pod: Pod) -> None:
        """`pod` lost its node and has been ended; a controller may create another."""
        ...

    def room_again(self) -> None:
        """A number of a pod that was asked for and could not be had is free again."""
        ...


@dataclass(eq=False, slots=True)
class Pod:
    """One pod; times in ms, `NOT_YET` until they come. `running_ms`: its image is there and its containers start."""

    number: int
    owner: Owner
    created_ms: int
    version: int = 0
    slot: int = NOT_YET
    placed_ms: int = NOT_YET
    running_ms: int = NOT_YET
    ready_ms: int = NOT_YET
    stopped: bool = False

    @property
    def ready(self) -> bool:
        """Ready and not told to stop."""
        return self.ready_ms >= 0 and not self.stopped


@dataclass(frozen=True)
class StartTimes:
    """From the image being there to Ready: log-normal through p50 and p95, seconds, unless the workload says its own."""

    p50_s: float
    p95_s: float


class PodHub:
    """All pods of all controllers; the one place that talks to the kernel about them."""

    def __init__(self, env: HybridEnvironment, recorder: Recorder, images: Images, starts: StartTimes) -> None:
        self.env, self.images = env, images
        self._nodes, self._starts = recorder.nodes, starts
        self._free: dict[int, list[int]] = {}
        self._rng: dict[int, np.random.Generator] = {}
        self._short: list[Owner] = []
        self._life: dict[int, int] = {}
        self.by_number: dict[int, Pod] = {}
        self.on_end: list[Callable[[], None]] = []
        env.listen_to_pods(self._heard)

    def register(self, owner: Owner, numbers: Iterable[int], rng: np.random.Generator) -> None:
        """`owner` may use these numbers of the trace's dynamic pods, and this stream for start times."""
        self._free[id(owner)] = sorted(numbers)
        self._rng[id(owner)] = rng

    def free_numbers(self, owner: Owner) -> int:
        """How many more pods `owner` may have now."""
        return len(self._free[id(owner)])

    def create(self, owner: Owner, count: int, version: int = 0) -> list[Pod]:
        """At most `count` new pods, tried by the scheduler at once. Fewer when all numbers are in use: `room_again` follows."""
        free, now = self._free[id(owner)], self.env.ms
        if count > len(free) and owner not in self._short:
            self._short.append(owner)
        pods = [Pod(heapq.heappop(free), owner, now, version) for _ in range(min(count, len(free)))]
        if pods:
            self.by_number |= {pod.number: pod for pod in pods}
            owner.log.created(now, len(pods))
            self.env.state.start_pods([pod.number for pod in pods], now)
            self.env.control_changed()
        return pods

    def stop(self, pods: Iterable[Pod], *, at_once: bool = False) -> None:
        """Pods end: those on a node hold their room for the grace period, unless `at_once`."""
        now, gone = self.env.ms, []
        for pod in pods:
            if pod.stopped:
                continue
            pod.stopped = True
            pod.owner.log.stopped(now, pod.placed_ms, pod.ready_ms)
            grace = round(pod.owner.part.grace_s * MS_PER_S)
            if pod.slot == NOT_YET or at_once or grace == 0:
                gone.append(pod)
            else:
                self.after(grace, lambda pod=pod: self._end([pod]))  # type: ignore[misc]
        self._end(gone)

    def after(self, delay_ms: int, call: Callable[[], None]) -> None:
        """Call later."""
        event = self.env.timeout(delay_ms)
        assert event.callbacks is not None
        event.callbacks.append(lambda _: call())

    def _end(self, pods: list[Pod]) -> None:
        alive = [pod for pod in pods if self.by_number.get(pod.number) is pod]
        if not alive:
            return
        self.env.state.end_pods([pod.number for pod in alive], self.env.ms)
        for pod in alive:
            del self.by_number[pod.number]
            heapq.heappush(self._free[id(pod.owner)], pod.number)
        self.env.control_changed()
        short, self._short = self._short, []
        for owner in short:
            self.after(0, owner.room_again)
        for call in self.on_end:
            call()

    def _heard(self) -> None:
        """The kernel moved dynamic pods: tell their stories on, until telling moves none.

        A pod that had a node and is in the list has lost it, wherever it is now; one that never had one may have found one.
        """
        while (moved := self.env.state.drain_placed()).size:
            for number, where, when in moved.tolist():
                pod = self.by_number.get(number)
                if pod is None:
                    continue
                if pod.slot != NOT_YET:
                    self._lost(pod)
                elif where >= 0:
                    self._placed(pod, where, when)

    def _lost(self, pod: Pod) -> None:
        """The node is gone and the pod with it: what the kernel put back into the queue is no longer wanted."""
        if self._nodes.state[pod.slot] is not NodeState.UP:
            self.images.interrupt(pod.slot)
        stopped, pod.stopped = pod.stopped, True
        if not stopped:
            pod.owner.log.stopped(self.env.ms, pod.placed_ms, pod.ready_ms)
        self._end([pod])
        if not stopped:
            pod.owner.log.lost += 1
            pod.owner.pod_lost(pod)

    def _placed(self, pod: Pod, slot: int, when: int) -> None:
        pod.slot, pod.placed_ms = slot, when
        if self._life.setdefault(slot, self._nodes.lives[slot]) != self._nodes.lives[slot]:
            self._life[slot] = self._nodes.lives[slot]
            self.images.forget(slot)
        pod.owner.log.placed(when - pod.created_ms)
        part = pod.owner.part
        self.images.fetch(slot, part.full_name, part.image, lambda: self._running(pod))

    def _running(self, pod: Pod) -> None:
        if self.by_number.get(pod.number) is not pod or pod.stopped:
            return
        pod.running_ms = self.env.ms
        pod.owner.log.pulled(pod.running_ms - pod.placed_ms)
        pod.owner.pod_running(pod)
        seconds = pod.owner.part.start_s
        if seconds is None:
            seconds = lognormal_s(self._rng[id(pod.owner)], self._starts.p50_s, self._starts.p95_s)
        self.after(round(seconds * MS_PER_S), lambda: self._ready(pod))

    def _ready(self, pod: Pod) -> None:
        if self.by_number.get(pod.number) is not pod or pod.stopped:
            return
        pod.ready_ms = self.env.ms
        state = self.env.state
        pod.owner.log.became_ready(pod.ready_ms, pod.created_ms, state.layout.pools[state.pool_of[pod.slot]].name)
        pod.owner.pod_ready(pod)


def pods_per_node(shape: PodShape, state: State) -> dict[str, int]:
    """How many pods of a shape an empty node of every pool that can have nodes holds; 0 where they may not run."""
    found = {}
    for pool in (pool for pool in state.layout.pools if pool.max_nodes):
        node = pool.shape
        rooms = [node.schedulable_cpu_m // shape.cpu_m, node.schedulable_memory_mib // shape.memory_mib, node.schedulable_pods]
        if shape.extended:
            rooms.append(node.extended.get(shape.extended, 0) // shape.extended_count)
        found[pool.name] = min(rooms) if eligible(shape, pool) else 0
    return found
