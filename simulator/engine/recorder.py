"""Recorder: node states by the hour, scale events, and the RunResult of a finished run."""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from models.fleet import NodePool
from models.horizon import Horizon
from models.outcome import RunResult
from models.units import MS_PER_H
from simulator.engine import kernels
from simulator.engine.extended import amounts_of, by_resource
from simulator.engine.lives import lives
from simulator.engine.state import State
from simulator.engine.trace import CLASSES
from simulator.engine.trace_kernels import asked_by_hour


class NodeState(IntEnum):
    """What a slot is doing; the hours of all states add up to the horizon for every slot."""

    OFF = 0
    PROVISIONING = 1
    UP = 2
    DOWN = 3
    CLEANING = 4


class NodeStates:
    """Milliseconds of every state by hour and pool, exact, from the changes alone.

    `lives[slot]` counts the nodes that were given away there: a repaired node keeps its disk, the next one starts empty.
    """

    def __init__(self, pool_of: NDArray[np.int32], pools: int, hours: int) -> None:
        self.state = [NodeState.OFF] * pool_of.size
        self.lives = [0] * pool_of.size
        self._since = [0] * pool_of.size
        self._pool_of = pool_of.tolist()
        self._hours = hours
        self._within = np.zeros((hours + 1, pools, len(NodeState)), np.int64)
        self._step = np.zeros((hours + 1, pools, len(NodeState)), np.int64)

    def change(self, slot: int, state: NodeState, now: int) -> None:
        """Slot enters `state` at `now`."""
        self._add(slot, now)
        self.lives[slot] += state in (NodeState.OFF, NodeState.CLEANING)
        self.state[slot], self._since[slot] = state, now

    def _add(self, slot: int, now: int) -> None:
        begin, q, state = self._since[slot], self._pool_of[slot], self.state[slot]
        for moment, sign in ((begin, 1), (now, -1)):
            h = min(moment // MS_PER_H, self._hours)
            self._within[h, q, state] += sign * ((h + 1) * MS_PER_H - moment)
            self._step[h, q, state] += sign

    def close(self, end: int) -> NDArray[np.float64]:
        """Node-hours by hour, pool and state: float64 [hours, pools, states]."""
        for slot in range(len(self.state)):
            self._add(slot, end)
            self._since[slot] = end
        running = np.cumsum(self._step, axis=0) - self._step
        return np.asarray((self._within + running * MS_PER_H)[: self._hours] / MS_PER_H, np.float64)


class Recorder:
    """Collects what control processes do; `result` joins it with the kernel's counters."""

    def __init__(self, state: State) -> None:
        self.kernel = state
        self.nodes = NodeStates(state.pool_of, len(state.layout.pools), state.trace.hours)
        self.scale_log: list[tuple[int, int, str]] = []
        self.scale_out_ms: dict[str, list[int]] = {pool.name: [] for pool in state.layout.pools}
        self.pool_failures = [0] * len(state.layout.pools)
        self.refused = 0
        self.interruptions = 0

    @property
    def failures(self) -> int:
        """Servers that went down, over all pools."""
        return sum(self.pool_failures)

    def failed(self, q: int) -> None:
        """A server of pool q went down."""
        self.pool_failures[q] += 1

    def scaled(self, now: int, change: int, pool: str) -> None:
        """One node ordered (+1) or removed (-1)."""
        self.scale_log.append((now, change, pool))

    def result(self, horizon: Horizon, order: list[int]) -> RunResult:
        """The replication, pools in `order` (positions of the fleet's pools in the layout)."""
        state, hours = self.kernel, self.kernel.trace.hours
        pools = [state.layout.pools[q] for q in order]
        node_states = self.nodes.close(hours * MS_PER_H)[:, order]
        places, amounts = len(order) + 1, amounts_of(state.trace.shapes)
        cpu, memory, counted = (
            a.reshape(hours + 1, places, len(amounts), len(CLASSES))[:hours] / MS_PER_H
            for a in (state.hour_cpu, state.hour_memory, state.hour_pods)
        )
        cpu, memory, pods = cpu.sum(axis=2), memory.sum(axis=2), counted.sum(axis=2)
        extended = by_resource(counted, amounts)
        busy = cpu[:, order] / 1000.0
        all_lives = lives(state)
        asked = np.zeros(hours, np.int64)
        asked_by_hour(all_lives.begin_ms, all_lives.end_ms, all_lives.shape, state.shape_cpu.astype(np.int64), MS_PER_H, asked)
        pending = cpu[:, -1].sum(axis=1) / 1000.0
        demand = asked / MS_PER_H / 1000.0
        error = np.abs(demand - busy.sum(axis=(1, 2)) - pending) / np.maximum(demand, 1.0)
        up = node_states[:, :, NodeState.UP]
        starts = state.starts.reshape(places - 1, -1).sum(axis=1)[order]
        return RunResult(
            horizon=horizon,
            pools=tuple(pool.name for pool in pools),
            zones=tuple(pool.zone for pool in pools),
            node_hours=up,
            busy_cpu_h=busy.sum(axis=2),
            pods_placed=starts,
            pending_cpu_h=pending,
            demand_cpu_h=demand,
            wait_ms=all_lives.wait_ms,
            failures=self.failures,
            pool_failures=np.array(self.pool_failures, np.int64)[order],
            scale_events=len(self.scale_log),
            conservation_error=float(error.max(initial=0.0)),
            packing_share=_packing(pools, up, busy.sum(axis=2)),
            scale_out_s={name: np.array(ms, np.float64) / 1000.0 for name, ms in self.scale_out_ms.items() if ms},
            private=tuple(pool.private for pool in pools),
            node_cpu=tuple(pool.shape.schedulable_cpu_m / 1000.0 for pool in pools),
            node_watts=tuple((pool.shape.watts_idle, pool.shape.watts_peak) for pool in pools),
            classes=CLASSES,
            busy_class_cpu_h=busy,
            busy_memory_mib_h=memory[:, order].sum(axis=2),
            busy_pods_h=pods[:, order].sum(axis=2),
            busy_class_memory_mib_h=memory[:, order],
            busy_class_pods_h=pods[:, order],
            busy_extended_h={resource: amount[:, order] for resource, amount in extended.items()},
            pending_extended_h={resource: amount[:, -1] for resource, amount in extended.items()},
            pending_class_pods_h=pods[:, -1],
            pending_class_cpu_h=cpu[:, -1] / 1000.0,
            pending_class_memory_mib_h=memory[:, -1],
            node_state_h=node_states,
            pod_class=(state.shape_class[all_lives.shape] % len(CLASSES)).astype(np.uint8),
            orders_refused=self.refused,
            interruptions=self.interruptions,
            evictions=int(state.clock[kernels.EVICTIONS]),
            scale_log=tuple(self.scale_log),
        )


def _packing(pools: list[NodePool], up: NDArray[np.float64], busy: NDArray[np.float64]) -> dict[str, float]:
    """Share of schedulable cpu that pods filled in the fullest hour of each pool; a lower bound where nothing overflowed."""
    shares = {}
    for q, pool in enumerate(pools):
        room = up[:, q] * pool.shape.schedulable_cpu_m / 1000.0
        stood = room > 0
        if stood.any():
            shares[pool.name] = float(np.max(busy[stood, q] / room[stood]))
    return shares
