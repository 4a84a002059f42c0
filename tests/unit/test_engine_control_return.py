"""What brings pods back to owned nodes, as in the recorded runs of Cluster Autoscaler and Karpenter (facts 3 and 5 of their page).

The recorded curve in minutes instead of seconds: 120 pods of 4 cores run over 3 bare-metal nodes (15 pods each), 5 VM
nodes (3 each) and 20 AWS nodes (3 each); then 60 leave. The ReplicaSet takes those on the nodes that hold most of them
first, so that bare metal empties: the 45 pods there and one of three on each VM node and ten on AWS are gone.
"""

from __future__ import annotations

import numpy as np
import pytest

from control_runs import FREE_BUDGET, MINUTE, burst, nodes_at, owned, run
from models.control import DeschedulerPart, KarpenterPart
from models.outcome import RunResult
from simulator.engine.trace import PodShape, Trace, trace_of

PODS = 120
SHRINKS, ENDS = 70, 170
FLAGS = {"scan-interval": "10s", "scale-down-unneeded-time": "5m", "scale-down-delay-after-add": "5m"}


def curve() -> Trace:
    """Pods of 4 cores, one after the other from minute 1: numbers 0-44 fill bare metal, 45-59 VMs, 60-119 AWS."""
    start = MINUTE + np.arange(PODS) * 10
    end = np.full(PODS, ENDS * MINUTE)
    end[:45] = SHRINKS * MINUTE  # all of bare metal
    end[45:60:3] = SHRINKS * MINUTE  # one on each VM node
    end[60:90:3] = SHRINKS * MINUTE  # one on each of ten AWS nodes
    return trace_of([PodShape(4000, 8192, fixed_end=True)], 3, start, end - start, np.zeros(PODS, np.int64))


def standing_fleet(most_on_aws: int = 40):  # type: ignore[no-untyped-def]
    return [owned("bm", 60, 3, priority=100), owned("vm", 12, 5, priority=99), burst("aws", 12, most_on_aws, 0.944)]


def at(result: RunResult, minute: int, pool: str) -> float:
    """Nodes up at a minute in the third hour, from the log and the standing ones."""
    return nodes_at(result, minute).get(pool, 0)


def karpenter(**settings: object) -> RunResult:
    part = KarpenterPart(expire_after_h=None, budgets=FREE_BUDGET, consolidate_after_s=5.0)
    return run(curve(), standing_fleet(), "karpenter", karpenter=part, **settings)


def test_a_plain_autoscaler_removes_owned_nodes_and_leaves_the_rented_ones_full() -> None:
    """Fact 3: bare metal is empty and goes, while the AWS nodes, over half full, stay and cost."""
    elastic = [owned("bm", 60, 0, 3, 100), owned("vm", 12, 0, 5, 99), burst("aws", 12, 40, 0.944)]
    result = run(curve(), elastic, "cluster_autoscaler", flags=FLAGS)
    assert nodes_at(result, 69) == {"bm": 3, "vm": 5, "aws": 20}
    after = nodes_at(result, 100)
    assert "bm" not in after
    assert after["aws"] == 20
    assert result.evictions == 0


def test_when_empty_keeps_the_rented_nodes_beside_empty_owned_ones() -> None:
    """Fact 5, its second half: nothing moves; 20 AWS nodes hold 50 pods beside three empty bare-metal nodes."""
    result = karpenter()
    assert at(result, 160, "aws") == 20
    assert result.evictions_by == {}


def test_consolidation_brings_everything_back_at_the_price_of_evictions() -> None:
    """Fact 5: all AWS nodes go within two minutes of the shrinking, and every pod that ran there was evicted once."""
    result = karpenter(consolidates=True)
    assert at(result, 69, "aws") == 20
    assert at(result, SHRINKS + 2, "aws") == 0
    assert result.evictions_by == {"consolidation": 50}
    assert result.unplaced == 0


def test_a_descheduler_brings_them_back_and_the_empty_nodes_follow() -> None:
    """Every five minutes at most eight: 50 pods take seven rounds, from 01:10 or 01:15 on."""
    part = DeschedulerPart(interval_s=300.0, max_total=8)
    result = karpenter(descheduler=part)
    assert result.evictions_by == {"descheduler": 50}
    assert at(result, 75, "aws") > 10
    assert at(result, 110, "aws") == 0


def test_a_descheduler_respects_its_limit_on_one_node() -> None:
    """One pod of a node in a round: nodes of three pods need three rounds, so some still stand after two."""
    result = karpenter(descheduler=DeschedulerPart(interval_s=300.0, max_per_node=1))
    assert result.evictions_by == {"descheduler": 50}
    assert at(result, 78, "aws") > 0
    assert at(result, 90, "aws") == 0


def test_each_way_back_costs_less_burst_and_more_evictions() -> None:
    """20 nodes from minute 1 to 170 without a way back; about 70 minutes of them with one."""
    plain, back = karpenter(), karpenter(consolidates=True)
    assert plain.burst_node_hours == pytest.approx(20 * (170 - 1) / 60, rel=0.02)
    assert back.burst_node_hours == pytest.approx(20 * (70 - 1) / 60, rel=0.04)
    assert plain.burst_usd / plain.burst_node_hours == pytest.approx(0.944)
    assert (plain.evictions, back.evictions) == (0, 50)


def test_a_descheduler_evicts_nothing_while_owned_nodes_are_full() -> None:
    pods = trace_of([PodShape(4000, 8192, fixed_end=True)], 3, np.full(PODS, MINUTE), np.full(PODS, 160 * MINUTE), np.zeros(PODS, np.int64))
    result = run(pods, standing_fleet(), "karpenter", descheduler=DeschedulerPart(interval_s=60.0))
    assert result.evictions == 0
    assert result.burst_node_hours > 40
