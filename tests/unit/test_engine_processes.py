"""Helpers: processes that take replications beside the one that asked, for one job after the other."""

from __future__ import annotations

import multiprocessing
from datetime import UTC, datetime

import numpy as np
import pytest

from models.fleet import Fleet, NodePool
from models.horizon import Horizon
from models.node import NodeShape
from models.outcome import Outcome
from models.zones import Provisioning
from simulator.engine.config import Autoscaling, EngineConfig, FailureModel
from simulator.engine.processes import Helpers, _Shared
from simulator.engine.queueing import random_trace
from simulator.engine.replicate import replicate
from simulator.engine.trace import PodShape, Trace
from simulator.progress import SILENT, Progress
from simulator.streams import Streams

NODE = NodeShape("n", 4_000, 8_192, eviction_memory_mib=0)
FLEET = Fleet((NodePool("own", "own", "x", NODE, 5, 5, True, 1), NodePool("aws", "aws", "aws", NODE, 0, 20, False)))
CONFIG = EngineConfig(provisioning={"aws": Provisioning(65, 120, 10)}, failures=FailureModel(50.0), autoscaling=Autoscaling(10, 600))


def trace_of_seed(seed: int) -> Trace:
    return random_trace(Streams(seed)("processes"), 20_000, [22.0], [PodShape(1000, 1024, workload_class="batch")])


def runs(trace: Trace, helpers: Helpers | None, progress: Progress = SILENT) -> Outcome:
    horizon = Horizon(datetime(2026, 1, 1, tzinfo=UTC), trace.hours)
    return replicate(trace, FLEET, CONFIG, 7, horizon, 5, helpers=helpers, workers=1, progress=progress)


def same(one: Outcome, other: Outcome) -> bool:
    return len(one.runs) == len(other.runs) and all(
        np.array_equal(a.wait_ms, b.wait_ms) and np.array_equal(a.node_state_h, b.node_state_h) and a.scale_log == b.scale_log
        for a, b in zip(one.runs, other.runs, strict=True)
    )


class Days:
    """Counts simulated days; the user stops at `limit`."""

    def __init__(self, limit: int = 10**9) -> None:
        self.total, self.done, self.limit = 0, 0, limit

    def stage(self, name: str, total: int) -> None:
        self.total += total

    def advance(self, steps: int = 1) -> None:
        self.done += steps
        if self.done >= self.limit:
            raise KeyboardInterrupt


def test_helpers_serve_one_job_after_another_also_after_a_stopped_one_and_are_gone_at_the_end() -> None:
    first, second = trace_of_seed(1), trace_of_seed(2)
    alone = {trace: runs(traced, None) for trace, traced in (("first", first), ("second", second))}
    assert not same(alone["first"], alone["second"])
    days = Days()
    with Helpers(2) as helpers:
        helpers.ready()
        assert same(runs(first, helpers, days), alone["first"])
        assert days.done == days.total > 0  # the helpers' days are told as well
        assert same(runs(second, helpers), alone["second"])
        with pytest.raises(KeyboardInterrupt):
            runs(first, helpers, Days(limit=2))
        assert same(runs(first, helpers), alone["first"])
    assert multiprocessing.active_children() == []


def test_a_replication_is_taken_once() -> None:
    shared = _Shared()
    shared.begin()
    assert [shared.take(3) for _ in range(5)] == [0, 1, 2, None, None]
    assert shared.count_days(4) + shared.count_days(-1) == 7
    shared.begin()
    assert shared.take(1) == 0
    assert shared.count_days(0) == 0


def test_what_goes_wrong_in_a_helper_is_raised_here() -> None:
    trace = trace_of_seed(1)
    broken = EngineConfig(policy="no such policy")
    horizon = Horizon(datetime(2026, 1, 1, tzinfo=UTC), trace.hours)
    with Helpers(1) as helpers, pytest.raises(Exception, match="no such policy"):
        replicate(trace, FLEET, broken, 7, horizon, 3, helpers=helpers)
    assert multiprocessing.active_children() == []
