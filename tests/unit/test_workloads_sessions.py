"""Interactive workspaces against the Mt/G/inf law, their culling, and gangs under every node autoscaler."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from models.fleet import Fleet, NodePool
from models.horizon import Horizon
from models.scenario_workloads import SessionsPart
from models.units import MS_PER_S
from models.zones import Provisioning
from simulator.engine.config import Autoscaling, EngineConfig
from simulator.engine.replicate import replicate
from simulator.engine.run import run_once
from simulator.engine.workloads.curve import Steps
from simulator.engine.workloads.offered import expected_sessions
from simulator.streams import Streams
from workload_runs import MONDAY, TEN_CORES, pool, prepared, run, scenario

DESK: dict[str, Any] = {
    "kind": "sessions", "name": "desk", "cpu_m": 500, "memory_mib": 512, "arrivals": {"steps": [[0, 30]]}, "active_s": 3600, "idle_s": 600,
}  # fmt: skip
SLOW = Provisioning(600.0, 4000.0, 50)
"""Nodes that come far apart: the first ones stand empty for longer than an idle node is left alone."""


def test_workspaces_in_use_follow_the_law_of_unlimited_servers() -> None:
    """30 an hour, 4,200 s each on average: 35 at once in the long run, within three standard errors of a correlated mean."""
    result = run(scenario(DESK), pool(5), hours=400)
    mean = result.busy_pods_h[10:, 0].mean()
    # variance of the time average: 2 x 35 x the mean residual time 7 / 6 h / 390 h
    assert mean == pytest.approx(35.0, abs=3 * np.sqrt(2 * 35 * (7 / 6) / 390))
    (found,) = result.workloads
    assert found.pods == pytest.approx(30 * 400, abs=3 * np.sqrt(30 * 400))
    assert result.unplaced == 0


def test_culling_sooner_needs_measurably_fewer_workspaces() -> None:
    """Idle for 10 min instead of 4 h: 35 instead of 150 at once."""
    busy = {}
    for idle_s in (600, 14_400):
        result = run(scenario({**DESK, "idle_s": idle_s}), pool(12), hours=60)
        busy[idle_s] = result.busy_pods_h[20:, 0].mean()
    assert busy[600] == pytest.approx(35.0, rel=0.15)
    assert busy[14_400] == pytest.approx(150.0, rel=0.15)


def test_start_times_are_told_by_centre() -> None:
    """Two centres; the first is full at once, so later users start in the second."""
    first, second = pool(1, name="near"), replace(pool(4, name="far"), priority=-1)
    (found,) = run(scenario(DESK), first, second, hours=6).workloads
    assert set(found.ready_by_pool_s) == {"near", "far"}
    assert sum(values.size for values in found.ready_by_pool_s.values()) == found.ready_s.size


def test_expected_workspaces_are_a_quantile_of_the_law() -> None:
    """Mean 35 after hours: 35 + 1.645 x sqrt(35) = 44.7, rounded up; from empty it grows to that."""
    part = SessionsPart.model_validate(DESK)
    found = expected_sessions(part, Steps((0,), (30.0,)), 48)
    assert found[-1] == 45.0
    assert found[0] < found[2] < found[-1]


@pytest.mark.parametrize("autoscaler", ["grid", "karpenter", "cluster_autoscaler"])
def test_every_autoscaler_orders_for_the_whole_gang_and_keeps_nodes_that_came_early(autoscaler: str) -> None:
    """32 members beside one owned node of ten slots: three burst nodes at one look, none back before the gang ran."""
    gang = {"kind": "gang", "name": "train", "members": 32, "at_h": [0.5], "duration_s": 600, "start_s": 0}
    trace, setup = prepared(scenario(gang), 4)
    burst = NodePool("burst", "aws", "aws", TEN_CORES, 0, 6, False, usd_per_h=1.0)
    config = EngineConfig(
        provisioning={"burst": SLOW}, workloads=setup, ties="lowest", autoscaler=autoscaler, autoscaling=Autoscaling(10.0, 600.0)
    )
    fleet = Fleet((replace(pool(1), priority=100), burst))
    result = run_once(trace, fleet, config, Streams(7), horizon=Horizon(MONDAY, 4))
    ((train,),) = [found.runs for found in result.workloads]
    assert train.outcome == "completed"
    assert train.started_s is not None
    orders = [when for when, change, _ in result.scale_log if change > 0]
    returns = [when for when, change, _ in result.scale_log if change < 0]
    assert (len(orders), len(set(orders))) == (3, 1)
    assert train.started_s * MS_PER_S - orders[0] == pytest.approx(result.scale_out_s["burst"].max() * MS_PER_S, abs=5 * MS_PER_S)
    assert len(returns) == 3
    assert min(returns) > train.started_s * MS_PER_S


def test_replications_on_two_processes_are_those_of_one() -> None:
    trace, setup = prepared(scenario({**DESK, "start_s": None}), 5)
    fleet, config = Fleet((pool(4),)), EngineConfig(workloads=setup)
    one, two = (replicate(trace, fleet, config, 3, Horizon(MONDAY, 5), 3, workers=workers) for workers in (1, 2))
    for left, right in zip(one.runs, two.runs, strict=True):
        assert np.array_equal(left.workloads[0].ready_s, right.workloads[0].ready_s)
        assert np.array_equal(left.busy_pods_h, right.busy_pods_h)
    assert one.runs[0].workloads[0].pods != one.runs[1].workloads[0].pods
