"""Small runs for tests of control processes: nodes of whole cores, pods by the minute, one call from pods to result."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from models.control import BudgetPart, KarpenterPart
from models.fleet import Fleet, NodePool
from models.horizon import Horizon
from models.node import NodeShape
from models.outcome import RunResult
from models.units import MS_PER_H
from simulator.engine.config import Autoscaling, EngineConfig
from simulator.engine.run import prepare, run_once
from simulator.engine.trace import PodShape, Trace, trace_of
from simulator.streams import Streams

MONDAY = datetime(2026, 1, 5, tzinfo=UTC)
MINUTE = 60_000
FREE_BUDGET = (BudgetPart(nodes="100%"),)


def node(cores: int) -> NodeShape:
    """A node that offers exactly so many cores and 4 GiB for each."""
    return NodeShape(f"n{cores}", cores * 1000, cores * 4096, eviction_memory_mib=0)


def burst(name: str, cores: int, most: int, usd: float | None = None, **more: Any) -> NodePool:
    """A rented pool that starts empty."""
    return NodePool(name, "aws", "aws", node(cores), 0, most, False, usd_per_h=usd, **more)


def owned(name: str, cores: int, nodes: int, most: int | None = None, priority: int = 100) -> NodePool:
    """An owned pool; elastic when `most` is more than `nodes`."""
    return NodePool(name, name, "x", node(cores), nodes, nodes if most is None else most, True, priority)


def pods(rows: Sequence[tuple[float, float, int]], hours: int = 6, **shape: Any) -> Trace:
    """`rows` are (first minute, last minute, how many) of pods of one core and 1 GiB."""
    first = np.concatenate([np.full(count, round(start * MINUTE), np.int64) for start, _, count in rows])
    last = np.concatenate([np.full(count, round(end * MINUTE), np.int64) for _, end, count in rows])
    kind = PodShape(1000, 1024, **{"fixed_end": True, **shape})
    return trace_of([kind], hours, first, last - first, np.zeros(first.size, np.int64))


def config(autoscaler: str, **settings: Any) -> EngineConfig:
    """Lowest ties; Karpenter without expiry and with a free budget unless told otherwise."""
    settings.setdefault("karpenter", KarpenterPart(expire_after_h=None, budgets=FREE_BUDGET))
    return EngineConfig(ties="lowest", autoscaler=autoscaler, **settings)


def run(trace: Trace, pools: Sequence[NodePool], autoscaler: str, **settings: Any) -> RunResult:
    """One replication from Monday midnight on."""
    return run_once(trace, Fleet(tuple(pools)), config(autoscaler, **settings), Streams(1), horizon=Horizon(MONDAY, trace.hours))


def polled(trace: Trace, pools: Sequence[NodePool], autoscaler: str, **settings: Any) -> tuple[RunResult, int]:
    """The same with an autoscaler that looks at every grid point, and how often it looked."""
    given = config(autoscaler, **settings, autoscaling=Autoscaling(event_driven=False))
    simulation = prepare(trace, Fleet(tuple(pools)), given, Streams(1))
    simulation.env.run(until=trace.hours * MS_PER_H)
    return simulation.recorder.result(Horizon(MONDAY, trace.hours), simulation.order), simulation.autoscaler.looks


def nodes_at(result: RunResult, minute: float) -> dict[str, int]:
    """Nodes ordered less nodes removed by pool, from the log, at a minute."""
    count: dict[str, int] = {}
    for ms, change, pool in result.scale_log:
        if ms <= minute * MINUTE:
            count[pool] = count.get(pool, 0) + change
    return {pool: left for pool, left in count.items() if left}
