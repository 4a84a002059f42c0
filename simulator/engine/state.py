"""State: a cluster and its pods as flat arrays, and the few calls that move them.

One object owns every array and the table of their addresses; the kernels see nothing else. Pools are kept in order of
priority (ties in the fleet's order), each with a fixed range of slots: a slot is a place where a node may stand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, SupportsInt

import numpy as np
from numpy.typing import NDArray

from models.errors import Problem, ScenarioError
from models.fleet import Fleet, NodePool
from models.node import NodeShape
from models.units import MS_PER_H
from simulator.engine import kernels, placement_kernels
from simulator.engine.bound_kernels import advance_bound, cordon_bound, end_bound, evict_bound, join_bound, leave_bound, start_bound
from simulator.engine.control_kernels import idle_nodes, nodes_worth, out_of_patience
from simulator.engine.dynamic_kernels import pods_on
from simulator.engine.lives import DynamicLives
from simulator.engine.policies import Policy
from simulator.engine.trace import CLASSES, PodShape, Trace

ARRAYS = (
    "clock", "setup", "rules", "arrival", "shape", "duration", "departure",
    "placed", "wait", "queue_next", "queue_order", "late_end", "heap",
    "free_cpu", "free_memory", "free_pods", "free_extended", "without", "pool_of", "last_departure",
    "pool_cpu", "pool_memory", "pool_first", "pool_end",
    "tier", "shape_cpu", "shape_memory", "shape_extended", "shape_axis", "shape_rank", "shape_flags", "shape_class", "head", "tail",
    "count", "area", "starts", "hour_cpu", "hour_memory", "hour_pods", "tree", "levels", "changed", "changed_ms",
)  # fmt: skip
"""Names in the order of the parameters of `kernels.advance` from `clock` on."""

NEVER_FITS = 2**30
ROW = 16
LOST, ENDED = -1, -2

Pods = NDArray[np.int64] | Sequence[int]

_BOUND: dict[str, Callable[..., int | None]] = {"start": start_bound, "end": end_bound, "evict": evict_bound, "cordon": cordon_bound}


class Usage(NamedTuple):
    """Requests of the pods on one node and what the node offers to pods: millicores, MiB, pods."""

    cpu_m: int
    memory_mib: int
    pods: int
    of_cpu_m: int
    of_memory_mib: int
    of_pods: int

    @property
    def share(self) -> float:
        """The larger requested share of cpu and memory, as Cluster Autoscaler's utilisation; 0 where no node stands."""
        return max(self.cpu_m / self.of_cpu_m, self.memory_mib / self.of_memory_mib) if self.of_cpu_m else 0.0


@dataclass(frozen=True)
class Layout:
    """Where pools and extended resources stand in the arrays. `first[q] .. first[q + 1]` are the slots of pool q."""

    pools: tuple[NodePool, ...]
    first: tuple[int, ...]
    axes: tuple[str, ...]

    @classmethod
    def of(cls, fleet: Fleet, trace: Trace) -> Layout:
        """Order pools by priority; raise ScenarioError for a fleet the key of a node cannot hold."""
        pools = tuple(sorted(fleet.pools, key=lambda pool: -pool.priority))
        first = tuple(np.cumsum([0, *(pool.max_nodes for pool in pools)]).tolist())
        axes = tuple(sorted({shape.extended for shape in trace.shapes if shape.extended}))
        if first[-1] > placement_kernels.SLOT_MASK:
            found = f"{first[-1]} nodes"
            raise ScenarioError(Problem("fleet", found, f"simulate at most {placement_kernels.SLOT_MASK} nodes in one cluster"))
        if len({pool.priority for pool in pools}) > placement_kernels.MAX_TIER + 1:
            raise ScenarioError(Problem("fleet", "too many priorities of pools", f"use at most {placement_kernels.MAX_TIER + 1}"))
        return cls(pools, first, axes)

    @property
    def slots(self) -> int:
        """Number of slots."""
        return self.first[-1]


def eligible(pod: PodShape, pool: NodePool) -> bool:
    """Whether a pod may ever run in a pool: its side, its extended resource, the pool's taints and an empty node's room.

    A NoSchedule or NoExecute taint is tolerated when its key is the extended resource the pod asks for, as the
    ExtendedResourceToleration admission plug-in arranges.
    """
    if (pod.home == "private" and not pool.private) or (pod.home == "burst" and pool.private):
        return False
    repelled = [t for t in pool.taints if t.rpartition(":")[2] in ("NoSchedule", "NoExecute")]
    if any(taint.split("=")[0].split(":")[0] != pod.extended for taint in repelled):
        return False
    shape = pool.shape
    if pod.extended and shape.extended.get(pod.extended, 0) < pod.extended_count:
        return False
    return pod.cpu_m <= shape.schedulable_cpu_m and pod.memory_mib <= shape.schedulable_memory_mib and shape.schedulable_pods > 0


def uses_tree(slots: int, shapes: int) -> bool:
    """Measured switch between the scan (cost per node) and the tree (cost per shape): tree above 7.5 shapes + 90 nodes."""
    return slots > 7.5 * padded(shapes) + 90


def padded(shapes: int) -> int:
    """Shapes rounded up to whole vector rows."""
    return -(-max(shapes, 1) // ROW) * ROW


class State:
    """Arrays of one run.

    `tree` forces the placement engine (None: by size); `tie_seed` 0 lets the lowest slot win among equals.
    """

    clock: NDArray[np.int64]
    arrival: NDArray[np.int64]
    shape: NDArray[np.uint16]
    duration: NDArray[np.int64]
    placed: NDArray[np.int32]
    queue_next: NDArray[np.int32]
    head: NDArray[np.int64]
    wait: NDArray[np.int64]
    late_end: NDArray[np.int64]
    free_cpu: NDArray[np.int32]
    free_memory: NDArray[np.int32]
    free_pods: NDArray[np.int32]
    pool_of: NDArray[np.int32]
    last_departure: NDArray[np.int64]
    pool_cpu: NDArray[np.float64]
    pool_memory: NDArray[np.float64]
    pool_first: NDArray[np.int64]
    pool_end: NDArray[np.int64]
    tier: NDArray[np.int32]
    shape_cpu: NDArray[np.int32]
    shape_memory: NDArray[np.int32]
    shape_flags: NDArray[np.int32]
    shape_class: NDArray[np.int32]
    count: NDArray[np.int64]
    starts: NDArray[np.int64]
    hour_cpu: NDArray[np.int64]
    hour_memory: NDArray[np.int64]
    hour_pods: NDArray[np.int64]
    changed: NDArray[np.int64]
    changed_ms: NDArray[np.int64]

    def __init__(
        self, trace: Trace, fleet: Fleet, policy: Policy, kubernetes_version: str, *, tie_seed: int, tree: bool | None = None
    ) -> None:
        self.trace, self.layout = trace, Layout.of(fleet, trace)
        shapes, slots = padded(len(trace.shapes)), max(self.layout.slots, 1)
        by_tree = uses_tree(slots, len(trace.shapes)) if tree is None else tree
        self.__dict__.update(self._pods())
        self.__dict__.update(self._nodes(slots, by_tree, shapes))
        self.__dict__.update(self._shapes(shapes))
        self.__dict__.update(self._counters(shapes, trace.hours))
        self.clock = np.zeros(kernels.CLOCK, np.int64)
        self.setup = np.array([trace.shift, int(by_tree), MS_PER_H, tie_seed, len(CLASSES), trace.pods], np.int64)
        self.dynamic_lives = DynamicLives()
        self.rules = policy.rules(kubernetes_version)
        self._bind()

    def _bind(self) -> None:
        self.arrays: list[NDArray[Any]] = [np.ascontiguousarray(getattr(self, name)) for name in ARRAYS]
        for name, array in zip(ARRAYS, self.arrays, strict=True):
            setattr(self, name, array)
        self._table = np.array([[a.ctypes.data, a.size] for a in self.arrays], np.int64).ravel()

    def _pods(self) -> dict[str, NDArray[Any]]:
        t, extra = self.trace, self.trace.dynamic.size
        n = t.pods + extra
        times = (t.arrival_ms, t.duration_ms)
        arrival, duration = (np.concatenate([a, np.zeros(extra, np.int64)]) for a in times) if extra else times
        return {
            "arrival": arrival,
            "shape": np.concatenate([t.shape, t.dynamic]) if extra else t.shape,
            "duration": duration,
            "departure": t.departure,
            "placed": np.full(n, kernels.ABSENT, np.int32),
            "wait": np.zeros(n, np.int64),
            "queue_next": np.empty(n, np.int32),
            "queue_order": np.empty(n, np.int32),
            "late_end": np.empty(n, np.int64),
            "heap": np.empty(n + 1, np.int64),
            "changed": np.empty(extra, np.int64),
            "changed_ms": np.full(extra, -1, np.int64),
        }

    def _nodes(self, slots: int, by_tree: bool, shapes: int) -> dict[str, NDArray[Any]]:
        pools, first = self.layout.pools, self.layout.first
        pool_of = np.repeat(np.arange(len(pools)), np.diff(first)).astype(np.int32)
        levels = _levels(slots) if by_tree else np.zeros(0, np.int64)
        rows = int(levels[-2] + levels[-1] + 7) // 8 * 8 if by_tree else 0
        return {
            "free_cpu": np.full(slots, -1, np.int32),
            "free_memory": np.full(slots, -1, np.int32),
            "free_pods": np.zeros(slots, np.int32),
            "free_extended": np.zeros(slots * len(self.layout.axes), np.int32),
            "without": np.full(slots, 100, np.int32),
            "pool_of": np.resize(pool_of, slots),
            "last_departure": np.zeros(slots, np.int64),
            "pool_cpu": np.array([p.shape.schedulable_cpu_m for p in pools], np.float64),
            "pool_memory": np.array([p.shape.schedulable_memory_mib for p in pools], np.float64),
            "pool_first": np.array(first[:-1], np.int64),
            "pool_end": np.array(first[:-1], np.int64),
            "tree": np.zeros(rows * shapes, np.uint16),
            "levels": levels,
        }

    def _shapes(self, size: int) -> dict[str, NDArray[Any]]:
        pods, pools = self.trace.shapes, self.layout.pools
        ranks = {priority: rank for rank, priority in enumerate(sorted({pool.priority for pool in pools}))}
        tier = np.full((len(pools), size), -1, np.int32)
        flags = np.zeros(size, np.int32)
        for s, pod in enumerate(pods):
            for q, pool in enumerate(pools):
                if eligible(pod, pool):
                    tier[q, s] = ranks[pool.priority]
                    if pool.max_nodes > pool.nodes:
                        flags[s] |= kernels.HELPABLE
            if pod.fixed_end:
                flags[s] |= kernels.FIXED_END

        def column(values: list[int], filler: int) -> NDArray[np.int32]:
            return np.array(values + [filler] * (size - len(values)), np.int32)

        return {
            "tier": tier.ravel(),
            "shape_cpu": column([p.cpu_m for p in pods], NEVER_FITS),
            "shape_memory": column([p.memory_mib for p in pods], NEVER_FITS),
            "shape_extended": column([p.extended_count if p.extended else 0 for p in pods], 0),
            "shape_axis": column([self.layout.axes.index(p.extended) if p.extended else 0 for p in pods], 0),
            "shape_rank": column([p.priority for p in pods], 0),
            "shape_flags": flags,
            "shape_class": column([CLASSES.index(p.workload_class) for p in pods], 0),
            "head": np.full(size, -1, np.int64),
            "tail": np.full(size, -1, np.int64),
        }

    def _counters(self, shapes: int, hours: int) -> dict[str, NDArray[Any]]:
        places = len(self.layout.pools) + 1
        hourly = (hours + 1) * places * len(CLASSES)
        zeros: Callable[[int], NDArray[np.int64]] = lambda n: np.zeros(n, np.int64)  # noqa: E731
        return {
            "count": zeros(places * shapes),
            "area": zeros(places * shapes),
            "starts": zeros((places - 1) * shapes),
            "hour_cpu": zeros(hourly),
            "hour_memory": zeros(hourly),
            "hour_pods": zeros(hourly),
        }

    def advance(self, until: SupportsInt, watch: int) -> int:
        """Run pods to `until`, whole milliseconds; see `kernels.advance`. Called for every control event: no conversions.

        `watch` adds up what should interrupt: `kernels.WATCH_WAITING` (True, as an int) and `kernels.WATCH_CHANGED`.
        """
        code: int = advance_bound(self._table, until, watch)
        return code

    def join(self, slot: int, now: int, node: NodeShape) -> None:
        """A node stands at `slot` from `now`."""
        extended = np.array([node.extended.get(axis, 0) for axis in self.layout.axes], np.int32)
        room = (np.int32(node.schedulable_cpu_m), np.int32(node.schedulable_memory_mib), np.int32(node.schedulable_pods))
        self._join(slot, now, room, extended)

    def _join(self, slot: int, now: int, room: tuple[np.int32, ...], extended: NDArray[np.int32]) -> None:
        join_bound(self._table, slot, now, *room, extended)

    def leave(self, slot: int, now: int) -> int:
        """The node at `slot` is gone; returns how many pods lost it."""
        node_pods = self.layout.pools[self.pool_of[slot]].shape.schedulable_pods
        return self._leave(slot, now, node_pods)

    def _leave(self, slot: int, now: int, node_pods: int) -> int:
        return int(leave_bound(self._table, slot, now, node_pods))

    def start_pods(self, pods: Pods, now: int, lasting_ms: Pods | int | None = None) -> int:
        """Dynamic pods begin to exist, in this order; each is tried at once like an arrival, else it waits.

        `lasting_ms`: jobs that run for so long once they start (one for all or one each); None: until `end_pods`.
        Returns how many found a node at once. A slot can be used again after its pod ended. Raises ValueError for a pod
        that is no dynamic one or still exists, and for a duration of a shape with `fixed_end`.
        """
        numbers = self._dynamic(pods)
        lasting = np.full(numbers.size, kernels.FOREVER, np.int64)
        if lasting_ms is not None:
            lasting[:] = lasting_ms
            if np.any(lasting < 1) or np.any(self.shape_flags[self.shape[numbers]] & kernels.FIXED_END):
                raise ValueError("a pod that lasts needs at least 1 ms and a shape without fixed_end")
        states = self.placed[numbers]
        if np.any((states > kernels.UNSERVED) & (states != kernels.ABSENT)) or np.unique(numbers).size != numbers.size:
            raise ValueError("a pod that exists cannot be started again")
        self.dynamic_lives.keep(self, numbers)
        return self._call("start", numbers, lasting, np.int64(now))

    def end_pods(self, pods: Pods, now: int) -> int:
        """Dynamic pods end: their nodes are offered to the queues, those that wait leave their queue.

        Returns how many ran; pods that have ended already stay as they are.
        """
        return self._call("end", self._dynamic(pods), np.int64(now))

    def evict(self, pods: Pods, now: int, *, keep_progress: bool = False) -> int:
        """Any running pods lose their nodes, queue again in this order and are offered every node; how many there were.

        A job starts over, or goes on where it was with `keep_progress`; a replica keeps the end its Deployment gave it.
        """
        return self._call("evict", np.asarray(pods, np.int64), keep_progress, np.int64(now))

    def cordon(self, slot: int, closed: bool, now: int) -> None:
        """The node at `slot` takes no new pods and keeps its own; with `closed` False it takes pods again."""
        self._call("cordon", np.int64(slot), closed, np.int64(now))

    def cordoned(self, slot: int) -> bool:
        """Whether the node at `slot` stands and takes no new pods."""
        return bool(self.free_pods[slot] < 0)

    def pods_on(self, slot: int) -> NDArray[np.int64]:
        """Numbers of the pods that run on the node at `slot`, ascending."""
        room = self.layout.pools[self.pool_of[slot]].shape.schedulable_pods
        out = np.empty(room, np.int64)
        return out[: pods_on(slot, self.clock, self.setup, self.placed, out)]

    def usage(self, slot: int) -> Usage:
        """What the pods on the node at `slot` request, and what it offers; zeros where no node stands."""
        shape = self.layout.pools[self.pool_of[slot]].shape
        if self.free_cpu[slot] < 0:
            return Usage(0, 0, 0, 0, 0, 0)
        free_pods = int(self.free_pods[slot]) + (kernels.CORDONED if self.cordoned(slot) else 0)
        offers = (shape.schedulable_cpu_m, shape.schedulable_memory_mib, shape.schedulable_pods)
        return Usage(offers[0] - int(self.free_cpu[slot]), offers[1] - int(self.free_memory[slot]), offers[2] - free_pods, *offers)

    def drain_placed(self) -> NDArray[np.int64]:
        """Dynamic pods that found or lost a node, or ran to their end, since the last call: int64 [n, 3], by time then number.

        Columns: pod, where it is now (its slot; LOST: waits again; ENDED), and the instant of its last change in ms. A pod
        stands there once, however often it moved.
        """
        n = int(self.clock[kernels.CHANGED])
        pods = self.changed[:n].copy()
        when = self.changed_ms[pods - self.trace.pods]
        states = self.placed[pods]
        where = np.where(states >= 0, states & kernels.SLOT, np.where(states >= kernels.PENDING_REST, LOST, ENDED))
        self.changed_ms[pods - self.trace.pods] = -1
        self.clock[kernels.CHANGED] = 0
        return np.stack([pods, where, when], axis=1)[np.lexsort((pods, when))]

    def _dynamic(self, pods: Pods) -> NDArray[np.int64]:
        numbers = np.asarray(pods, np.int64)
        if numbers.size and (int(numbers.min()) < self.trace.pods or int(numbers.max()) >= self.placed.size):
            raise ValueError(f"dynamic pods are numbered {self.trace.pods} to {self.placed.size - 1}")
        return numbers

    def _call(self, name: str, *arguments: Any) -> int:
        return int(_BOUND[name](self._table, *arguments) or 0)

    def last_slots(self) -> NDArray[np.int32]:
        """The slot on which every pod runs or ran last, -1 for pods that never ran or wait again: int32 [pods]."""
        gone = (kernels.GONE - self.placed) >> 1
        running = np.where(self.placed >= 0, self.placed & kernels.SLOT, -1)
        return np.where(self.placed <= kernels.GONE, gone, running).astype(np.int32)

    def waiting(self, now: int, patience_ms: int) -> NDArray[np.int64]:
        """Pods that have waited for at least `patience_ms`, by shape: int64 [padded shapes], a copy."""
        shapes = self.shape_cpu.size
        if patience_ms == 0:
            return np.array(self.count[-shapes:])
        out = np.zeros(shapes, np.int64)
        out_of_patience(now, patience_ms, self.head, self.queue_next, self.placed, self.arrival, out)
        return out

    def worth(self, q: int, left: NDArray[np.int64], coming: int, allowed: int) -> int:
        """New nodes of pool q for what is `left` waiting; see `nodes_worth`."""
        node = self.layout.pools[q].shape
        room = (node.schedulable_cpu_m, node.schedulable_memory_mib, node.schedulable_pods)
        return int(
            nodes_worth(left, q, *room, coming, allowed, self.tier, self.shape_cpu, self.shape_memory, self.shape_flags, self.by_size)
        )

    @cached_property
    def by_size(self) -> NDArray[np.int64]:
        """Shapes by falling share of the last pool's node, ties by number: the order of first-fit decreasing."""
        share = np.maximum(self.shape_cpu / self.pool_cpu[-1], self.shape_memory / self.pool_memory[-1])
        return np.argsort(-share[: len(self.trace.shapes)], kind="stable").astype(np.int64)

    def idle(self, q: int, now: int, idle_ms: int, out: NDArray[np.int64]) -> tuple[int, int]:
        """Slots of pool q empty for `idle_ms`, into `out`; how many, and when the next one expires."""
        first, end, pods = int(self.pool_first[q]), int(self.pool_end[q]), self.layout.pools[q].shape.schedulable_pods
        found, following = idle_nodes(now, idle_ms, first, end, pods, self.free_pods, self.last_departure, out)
        return int(found), int(following)


def _levels(slots: int) -> NDArray[np.int64]:
    """(offset, size) of every level of the max-tree, leaves first, each padded to whole groups of eight."""
    levels, offset, size = [], 0, slots
    while True:
        levels += [offset, size]
        offset += -(-size // 8) * 8
        if size == 1:
            return np.array(levels, np.int64)
        size = -(-size // 8)
