"""Layout: where pods, nodes, shapes and counters of a run stand in flat arrays, and the arrays at time 0."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import Problem, ScenarioError
from models.fleet import Fleet, NodePool
from simulator.engine import layout_kernels, placement_kernels
from simulator.engine.constraints import node_of, pod_of, taint_of, welcomes
from simulator.engine.extended import amounts_of, column_of
from simulator.engine.trace import PodShape, Trace

NEVER_FITS = 2**30
ROW = 16
EVERY_NODE = 100

Arrays = dict[str, NDArray[Any]]


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
        axes = tuple(sorted({name for shape in trace.shapes for name, _ in shape.all_extended}))
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


def at_home(pod: PodShape, pool: NodePool) -> bool:
    """Whether a pool is on a side that the pod may use."""
    return pod.home == "any" or pool.private == (pod.home == "private")


def eligible(pod: PodShape, pool: NodePool) -> bool:
    """Whether a pod may ever run in a pool: its side, the pool's taints and labels, and an empty node's room."""
    if not at_home(pod, pool) or not welcomes(node_of(pool), pod_of(pod.rules, (name for name, _ in pod.all_extended))):
        return False
    shape = pool.shape
    if any(shape.extended.get(name, 0) < amount for name, amount in pod.all_extended):
        return False
    return pod.cpu_m <= shape.schedulable_cpu_m and pod.memory_mib <= shape.schedulable_memory_mib and shape.schedulable_pods > 0


def uses_tree(slots: int, shapes: int) -> bool:
    """Measured switch between the scan (cost per node) and the tree (cost per shape): tree above 7.5 shapes + 90 nodes."""
    return slots > 7.5 * padded(shapes) + 90


def padded(shapes: int) -> int:
    """Shapes rounded up to whole vector rows."""
    return -(-max(shapes, 1) // ROW) * ROW


def pod_arrays(trace: Trace, preemption: bool) -> Arrays:
    """One entry per pod, dynamic ones last; a trace without them is used as it is, mapped from disk or not."""
    extra = trace.dynamic.size
    n = trace.pods + extra
    times = (trace.arrival_ms, trace.duration_ms)
    arrival, duration = (np.concatenate([a, np.zeros(extra, np.int64)]) for a in times) if extra else times
    return {
        "arrival": arrival,
        "shape": np.concatenate([trace.shape, trace.dynamic]) if extra else trace.shape,
        "duration": duration,
        "departure": trace.departure,
        "placed": np.full(n, layout_kernels.ABSENT, np.int32),
        "wait": np.zeros(n, np.int64),
        "queue_next": np.empty(n, np.int32),
        "queue_order": np.empty(n, np.int32),
        "late_end": np.empty(n, np.int64),
        "heap": np.empty(n + 1, np.int64),
        "changed": np.empty(extra, np.int64),
        "changed_ms": np.full(extra, -1, np.int64),
        "began": np.full(n if preemption else 0, -1, np.int64),
    }


def node_arrays(layout: Layout, by_tree: bool, shapes: int, preemption: bool) -> Arrays:
    """One entry per slot, none standing yet, and per pool."""
    pools, first, slots = layout.pools, layout.first, max(layout.slots, 1)
    pool_of = np.repeat(np.arange(len(pools)), np.diff(first)).astype(np.int32)
    levels = _levels(slots) if by_tree else np.zeros(0, np.int64)
    rows = int(levels[-2] + levels[-1] + 7) // 8 * 8 if by_tree else 0
    room = sum(pool.max_nodes * pool.shape.schedulable_pods for pool in pools)
    return {
        "free_cpu": np.full(slots, -1, np.int32),
        "free_memory": np.full(slots, -1, np.int32),
        "free_pods": np.zeros(slots, np.int32),
        "free_extended": np.zeros(slots * len(layout.axes), np.int32),
        "without": np.full(slots, 100, np.int32),
        "pool_of": np.resize(pool_of, slots),
        "last_departure": np.zeros(slots, np.int64),
        "pool_cpu": np.array([p.shape.schedulable_cpu_m for p in pools], np.float64),
        "pool_memory": np.array([p.shape.schedulable_memory_mib for p in pools], np.float64),
        "pool_first": np.array(first[:-1], np.int64),
        "pool_end": np.array(first[:-1], np.int64),
        "pool_speed": np.array([p.shape.speed for p in pools], np.float64),
        "pool_latency": np.array([p.start_latency_ms for p in pools], np.int64),
        "lower": np.zeros(2 * slots + 1 + room if preemption else 0, np.int64),
        "tree": np.zeros(rows * shapes, np.uint16),
        "levels": levels,
    }


def shape_arrays(layout: Layout, pods: tuple[PodShape, ...], size: int) -> Arrays:
    """One entry per shape, padded to `size` with shapes that never fit; `tier : int32 [pools * size]`."""
    pools = layout.pools
    ranks = {priority: rank for rank, priority in enumerate(sorted({pool.priority for pool in pools}))}
    tier = np.full((len(pools), size), -1, np.int32)
    flags = np.zeros(size, np.int32)
    for s, pod in enumerate(pods):
        for q, pool in enumerate(pools):
            if eligible(pod, pool):
                tier[q, s] = ranks[pool.priority]
                if pool.max_nodes > pool.nodes:
                    flags[s] |= layout_kernels.HELPABLE
        if pod.fixed_end:
            flags[s] |= layout_kernels.FIXED_END | (layout_kernels.GRACE if pod.grace_ms > 0 else 0)
        if not pod.preempts:
            flags[s] |= layout_kernels.NEVER_PREEMPTS

    def column(values: list[int], filler: int, kind: type[np.signedinteger[Any]] = np.int32) -> NDArray[Any]:
        return np.array(values + [filler] * (size - len(values)), kind)

    return {
        "tier": tier.ravel(),
        "shape_cpu": column([p.cpu_m for p in pods], NEVER_FITS),
        "shape_memory": column([p.memory_mib for p in pods], NEVER_FITS),
        "shape_extended": column([p.extended_count if p.extended else 0 for p in pods], 0),
        "shape_axis": column([layout.axes.index(p.extended) if p.extended else 0 for p in pods], 0),
        "shape_rank": column([p.priority for p in pods], 0),
        "shape_flags": flags,
        "shape_class": column([column_of(p, amounts_of(pods)) for p in pods], 0),
        "shape_grace": column([p.grace_ms for p in pods], 0, np.int64),
        "head": np.full(size, -1, np.int64),
        "tail": np.full(size, -1, np.int64),
    }


def rule_arrays(layout: Layout, pods: tuple[PodShape, ...], nodes: Arrays, shapes: Arrays, percentage: int) -> Arrays:
    """What constraints need, and the flags of the shapes they concern; empty arrays when none can matter."""
    soft_taints = any(taint_of(taint).effect == "PreferNoSchedule" for pool in layout.pools for taint in pool.taints)
    sampled = percentage < EVERY_NODE
    if not (sampled or soft_taints or any(pod.rules is not None or pod.more_extended for pod in pods)):
        none = np.zeros(0, np.int32)
        return {"terms": none, "matching": none, "domain": none, "work": np.zeros(0)}
    from simulator.engine.compiled_rules import ShapeView, compile_rules

    size = shapes["shape_cpu"].size
    tiers = shapes["tier"].reshape(len(layout.pools), size)
    views = [
        ShapeView(
            rules=pod.rules,
            pod=pod_of(pod.rules, (name for name, _ in pod.all_extended)),
            extra=tuple((layout.axes.index(name), amount) for name, amount in pod.more_extended),
            homes=np.array([at_home(pod, pool) for pool in layout.pools], np.bool_),
            tiers=tiers[:, s],
        )
        for s, pod in enumerate(pods)
    ]
    found = compile_rules(views, layout.pools, nodes["pool_of"], size, every=sampled)
    for flag, those in ((layout_kernels.RULED, found.ruled), (layout_kernels.MEMBER, found.members), (layout_kernels.ALONE, found.alone)):
        shapes["shape_flags"][sorted(those)] |= flag
    return {"terms": found.terms, "matching": found.matching, "domain": found.domain, "work": found.work}


def counter_arrays(pools: int, shapes: int, hours: int, columns: int) -> Arrays:
    """Running and hourly counters: one place per pool and one for the queue; `columns` as `extended.column_of` says."""
    places = pools + 1
    hourly = (hours + 1) * places * columns
    zeros: Callable[[int], NDArray[np.int64]] = lambda n: np.zeros(n, np.int64)  # noqa: E731
    return {
        "present": zeros(places * shapes),
        "area": zeros(places * shapes),
        "starts": zeros((places - 1) * shapes),
        "hour_cpu": zeros(hourly),
        "hour_memory": zeros(hourly),
        "hour_pods": zeros(hourly),
    }


def _levels(slots: int) -> NDArray[np.int64]:
    """(offset, size) of every level of the max-tree, leaves first, each padded to whole groups of eight."""
    levels, offset, size = [], 0, slots
    while True:
        levels += [offset, size]
        offset += -(-size // 8) * 8
        if size == 1:
            return np.array(levels, np.int64)
        size = -(-size // 8)
