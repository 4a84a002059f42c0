"""The cluster of a run as autoscalers see it: kinds of pods, nodes as rows, what is free and what runs where.

Pods of one shape are one kind. Which kind may run in which pool is the kernel's own table, so an autoscaler never orders
a node that the scheduler would not use. Amounts are int64 over cpu (millicores), memory (MiB), pods and extended resources.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.node import NodeShape
from simulator.engine.kernels import CORDONED, NEXT_ARRIVAL, OLDEST
from simulator.engine.looks_kernels import count_by_slot
from simulator.engine.provisioning import Supply
from simulator.engine.recorder import NodeState
from simulator.engine.state import State

Matrix = NDArray[np.int64]
Vector = NDArray[np.int64]

NO_SLOTS = np.zeros(0, np.int64)


class ClusterView:
    """Reads one run's state; nothing is written back."""

    def __init__(self, state: State, supply: Supply) -> None:
        self.state, self.supply = state, supply
        pools, shapes = state.layout.pools, state.trace.shapes
        self.axes = ("cpu", "memory", "pods", *state.layout.axes)
        self.requests = np.array([self._request(s) for s in range(len(shapes))], np.int64).reshape(len(shapes), len(self.axes))
        self.offers = np.array([self._offer(pool.shape) for pool in pools], np.int64)
        self.allowed = state.tier.reshape(len(pools), -1)[:, : len(shapes)] >= 0
        self.elastic = [q for q, pool in enumerate(pools) if pool.max_nodes > pool.nodes]
        self.by_size = np.lexsort((-self.requests[:, 1], -self.requests[:, 0]))
        self._first = state.layout.first
        self._standing: dict[tuple[int, ...], tuple[int, Vector]] = {}

    def _request(self, s: int) -> list[int]:
        shape = self.state.trace.shapes[s]
        return [
            shape.cpu_m,
            shape.memory_mib,
            1,
            *(shape.extended_count if shape.extended == axis else 0 for axis in self.state.layout.axes),
        ]

    def _offer(self, shape: NodeShape) -> list[int]:
        extended = [shape.extended.get(axis, 0) for axis in self.state.layout.axes]
        return [shape.schedulable_cpu_m, shape.schedulable_memory_mib, shape.schedulable_pods, *extended]

    def slots(self, q: int) -> range:
        """Slots of pool q."""
        return range(self._first[q], self._first[q + 1])

    def standing(self, pools: Sequence[int]) -> Vector:
        """Slots of these pools where a node is up, ascending; read anew only after nodes changed."""
        key = tuple(pools)
        changes, found = self._standing.get(key, (-1, NO_SLOTS))
        if changes != self.supply.env.changes:
            states = self.supply.recorder.nodes.state
            found = np.array([slot for q in pools for slot in self.slots(q) if states[slot] is NodeState.UP], np.int64)
            self._standing[key] = (self.supply.env.changes, found)
        return found

    def open(self, slots: Vector) -> Vector:
        """Those of `slots` that take new pods."""
        return slots[self.state.free_pods[slots] >= 0]

    def pools_of(self, slots: Vector) -> Vector:
        """The pool of each slot."""
        return self.state.pool_of[slots].astype(np.int64)

    def free(self, slots: Vector) -> Matrix:
        """int64 [slots, axes] that pods do not use, on nodes that are up; a cordon does not matter."""
        state = self.state
        pods = state.free_pods[slots].astype(np.int64)
        pods = np.where(pods < 0, pods + CORDONED, pods)
        extended = state.free_extended.reshape(len(state.layout.axes), state.free_cpu.size)[:, slots]
        return np.stack([state.free_cpu[slots], state.free_memory[slots], pods, *extended], axis=1).astype(np.int64)

    def counts(self, slots: Vector) -> Matrix:
        """Pods on each of `slots` by kind: int64 [slots, kinds]."""
        state = self.state
        row = np.full(state.pool_of.size, -1, np.int64)
        row[slots] = np.arange(slots.size)
        out = np.zeros((slots.size, len(state.trace.shapes)), np.int64)
        count_by_slot(int(state.clock[OLDEST]), int(state.clock[NEXT_ARRIVAL]), state.placed, state.shape, row, out)
        count_by_slot(state.trace.pods, state.placed.size, state.placed, state.shape, row, out)
        return out

    def coming(self, pools: Sequence[int]) -> Vector:
        """Pool of every node of these pools that is ordered and not there yet."""
        return np.repeat(np.array(pools, np.int64), [self.supply.coming[q] for q in pools])

    def room(self, q: int) -> int:
        """Nodes of pool q that can be ordered now, its group's maximum counted in."""
        return min(self.supply.orderable(q), self.group_room(q))

    def group_room(self, q: int) -> int:
        """Nodes that the group of pool q may still have; a pool without a group is bounded by its slots alone."""
        pools, supply = self.state.layout.pools, self.supply
        if pools[q].group_max is None:
            return len(supply.free[q])
        mates = [k for k, other in enumerate(pools) if other.group == pools[q].group]
        return max(0, (pools[q].group_max or 0) - sum(supply.up[k] + supply.coming[k] for k in mates))
