"""State: a cluster and its pods as flat arrays, and the few calls that move them.

One object owns every array and the table of their addresses; the kernels see nothing else. Pools are kept in order of
priority (ties in the fleet's order), each with a fixed range of slots: a slot is a place where a node may stand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, NamedTuple, SupportsInt

import numpy as np
from numpy.typing import NDArray

from models.fleet import Fleet
from models.node import NodeShape
from models.units import MS_PER_H
from simulator.engine import kernels
from simulator.engine.bound_kernels import advance_bound, cordon_bound, end_bound, evict_bound, join_bound, leave_bound, start_bound
from simulator.engine.control_kernels import idle_nodes, nodes_worth, out_of_patience
from simulator.engine.dynamic_kernels import pods_on
from simulator.engine.extended import columns_of
from simulator.engine.layout import (
    EVERY_NODE,
    Layout,
    counter_arrays,
    node_arrays,
    padded,
    pod_arrays,
    rule_arrays,
    shape_arrays,
    uses_tree,
)
from simulator.engine.layout import eligible as eligible
from simulator.engine.lives import DynamicLives
from simulator.engine.policies import Policy
from simulator.engine.table_kernels import RunArrays
from simulator.engine.trace import Trace

LOST, ENDED = -1, -2

Pods = NDArray[np.int64] | Sequence[int]

_BOUND: dict[str, Callable[..., int | None]] = {
    "join": join_bound,
    "leave": leave_bound,
    "start": start_bound,
    "end": end_bound,
    "evict": evict_bound,
    "cordon": cordon_bound,
}


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


class State:
    """Arrays of one run.

    `tree` forces the placement engine (None: by size); `tie_seed` 0 lets the lowest slot win among equals. `percentage` is
    percentageOfNodesToScore (0 adapts to the cluster's size); with `preemption`, pods of higher priority evict lower ones.
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
    heap: NDArray[np.int64]
    free_cpu: NDArray[np.int32]
    free_memory: NDArray[np.int32]
    free_pods: NDArray[np.int32]
    free_extended: NDArray[np.int32]
    pool_of: NDArray[np.int32]
    last_departure: NDArray[np.int64]
    pool_cpu: NDArray[np.float64]
    pool_memory: NDArray[np.float64]
    pool_first: NDArray[np.int64]
    pool_end: NDArray[np.int64]
    tier: NDArray[np.int32]
    shape_cpu: NDArray[np.int32]
    shape_memory: NDArray[np.int32]
    shape_extended: NDArray[np.int32]
    shape_axis: NDArray[np.int32]
    shape_flags: NDArray[np.int32]
    shape_class: NDArray[np.int32]
    present: NDArray[np.int64]
    starts: NDArray[np.int64]
    hour_cpu: NDArray[np.int64]
    hour_memory: NDArray[np.int64]
    hour_pods: NDArray[np.int64]
    terms: NDArray[np.int32]
    matching: NDArray[np.int32]
    shape_grace: NDArray[np.int64]
    changed: NDArray[np.int64]
    changed_ms: NDArray[np.int64]

    def __init__(
        self,
        trace: Trace,
        fleet: Fleet,
        policy: Policy,
        kubernetes_version: str,
        *,
        tie_seed: int,
        tree: bool | None = None,
        percentage: int = EVERY_NODE,
        preemption: bool = False,
    ) -> None:
        self.trace, self.layout = trace, Layout.of(fleet, trace)
        pools = self.layout.pools
        shapes = padded(len(trace.shapes))
        by_tree = uses_tree(self.layout.slots, len(trace.shapes)) if tree is None else tree
        nodes, kinds = node_arrays(self.layout, by_tree, shapes, preemption), shape_arrays(self.layout, trace.shapes, shapes)
        rules = rule_arrays(self.layout, trace.shapes, nodes, kinds, percentage)
        counters = counter_arrays(len(pools), shapes, trace.hours, columns_of(trace.shapes))
        for part in (pod_arrays(trace, preemption), nodes, kinds, rules, counters):
            self.__dict__.update(part)
        paced = any(pool.shape.speed != 1.0 or pool.start_latency_ms for pool in pools)
        self.clock = np.zeros(kernels.CLOCK, np.int64)
        self.setup = np.array(
            [
                trace.shift, int(by_tree), MS_PER_H, tie_seed, columns_of(trace.shapes), trace.pods, int(paced), percentage,
                int(preemption and len({shape.priority for shape in trace.shapes}) > 1), 0, 0, 0,
            ],
            np.int64,
        )  # fmt: skip
        self.dynamic_lives = DynamicLives()
        self.held = np.zeros(self.shape_cpu.size, np.int64)
        self.rules = policy.rules(kubernetes_version)
        self._bind()

    def _bind(self) -> None:
        self.arrays = RunArrays(*(np.ascontiguousarray(getattr(self, name)) for name in RunArrays._fields))
        for name, array in zip(RunArrays._fields, self.arrays, strict=True):
            setattr(self, name, array)
        self._table = np.array([[a.ctypes.data, a.size] for a in self.arrays], np.int64).ravel()
        self._run_at: int = self._table.ctypes.data
        self._bind_far()

    def _bind_far(self) -> None:
        """Compile what this run needs beyond the event loop: nothing without constraints, preemption and grace periods."""
        ruled, preempts = bool(self.terms.size), bool(self.setup[kernels.PREEMPTION])
        if ruled or preempts or self.shape_grace.any():
            from simulator.engine import far_kernels

            self.setup[kernels.OFFER_AT] = far_kernels.offer_address()
            self.setup[kernels.PICK_AT] = far_kernels.pick_address() if ruled else 0
            self.setup[kernels.PREEMPT_AT] = far_kernels.preempt_address() if preempts else 0

    def advance(self, until: SupportsInt, watch: int) -> int:
        """Run pods to `until`, whole milliseconds; see `kernels.advance`. Called for every control event: no conversions.

        `watch` adds up what should interrupt: `kernels.WATCH_WAITING` (True, as an int) and `kernels.WATCH_CHANGED`.
        """
        code: int = advance_bound(self._run_at, until, +watch)
        return code

    def join(self, slot: int, now: int, node: NodeShape) -> None:
        """A node stands at `slot` from `now`."""
        extended = np.array([node.extended.get(axis, 0) for axis in self.layout.axes], np.int32)
        room = (np.int32(node.schedulable_cpu_m), np.int32(node.schedulable_memory_mib), np.int32(node.schedulable_pods))
        self._call("join", slot, now, *room, extended)

    def leave(self, slot: int, now: int) -> int:
        """The node at `slot` is gone; returns how many pods lost it."""
        return self._call("leave", slot, now, self.layout.pools[self.pool_of[slot]].shape.schedulable_pods)

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
        return int(_BOUND[name](self._run_at, *arguments) or 0)

    def last_slots(self) -> NDArray[np.int32]:
        """The slot on which every pod runs or ran last, -1 for pods that never ran or wait again: int32 [pods]."""
        gone = (kernels.GONE - self.placed) >> 1
        running = np.where(self.placed >= 0, self.placed & kernels.SLOT, -1)
        return np.where(self.placed <= kernels.GONE, gone, running).astype(np.int32)

    def waiting(self, now: int, patience_ms: int) -> NDArray[np.int64]:
        """Pods that have waited for at least `patience_ms`, by shape: int64 [padded shapes], a copy."""
        shapes = self.shape_cpu.size
        if patience_ms == 0:
            return np.array(self.present[-shapes:])
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

    def kept(self, q: int) -> bool:
        """Whether pods that are held back until they all fit may run in pool q."""
        shapes = self.shape_cpu.size
        return bool(np.any((self.held > 0) & (self.tier[q * shapes : (q + 1) * shapes] >= 0)))

    def idle(self, q: int, now: int, idle_ms: int, out: NDArray[np.int64]) -> tuple[int, int]:
        """Slots of pool q empty for `idle_ms`, into `out`; how many, and when the next one expires.

        None while a gang that may run there waits for more nodes: the empty ones are kept for it.
        """
        if self.kept(q):
            return 0, now + idle_ms
        first, end, pods = int(self.pool_first[q]), int(self.pool_end[q]), self.layout.pools[q].shape.schedulable_pods
        found, following = idle_nodes(now, idle_ms, first, end, pods, self.free_pods, self.last_departure, out)
        return int(found), int(following)
