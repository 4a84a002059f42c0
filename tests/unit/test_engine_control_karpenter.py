"""Karpenter in a year's run, by the clock: batches, offers, limits, refusals, consolidation, budgets, expiry."""

from __future__ import annotations

from itertools import pairwise

import pytest

from control_runs import FREE_BUDGET, burst, nodes_at, owned, pods, run
from models.control import BudgetPart, KarpenterPart
from models.zones import Provisioning
from simulator.engine.config import CloudRisk

ONE_MINUTE = {"pool": Provisioning(60, 60, 100), "small": Provisioning(60, 60, 100), "large": Provisioning(60, 60, 100)}
S = 1000


def orders(result) -> list[tuple[float, str]]:  # type: ignore[no-untyped-def]
    return [(ms / S, pool) for ms, change, pool in result.scale_log if change > 0]


def test_a_batch_ends_a_second_after_its_last_pod() -> None:
    """Pods at 60.0, 60.5 and 61.2 s: silence until 62.2 s, then one node of four cores for all."""
    result = run(pods([(1.0, 90, 1), (60.5 / 60, 90, 1), (61.2 / 60, 90, 1)]), [burst("pool", 4, 9)], "karpenter")
    assert orders(result) == [(62.2, "pool")]


def test_a_batch_ends_after_ten_seconds_at_the_latest() -> None:
    """A pod every 0.8 s from 60 s on never leaves a second of silence: the first round is at 70 s with the 13 pods so far."""
    rows = [((60 + 0.8 * k) / 60, 90.0, 1) for k in range(30)]
    result = run(pods(rows), [burst("pool", 4, 20)], "karpenter", provisioning=ONE_MINUTE)
    assert [at for at, _ in orders(result)][:4] == [70.0] * 4  # 13 pods on nodes of four
    assert orders(result)[4][0] > 70.0


def test_a_batch_becomes_one_large_node_and_a_small_rest() -> None:
    """Six cores: the claim grows while any type fits, so one of eight cores; two cores: the cheapest, of two."""
    types = [burst("small", 2, 9, 0.10), burst("large", 8, 9, 0.35)]
    grouped = [burst(p.name, p.shape.cpu_m // 1000, 9, p.usd_per_h, group="flex", group_max=9) for p in types]
    assert orders(run(pods([(1, 90, 6)]), grouped, "karpenter")) == [(61.0, "large")]
    assert orders(run(pods([(1, 90, 2)]), grouped, "karpenter")) == [(61.0, "small")]


def test_the_heavier_pool_is_used_up_to_its_limit() -> None:
    """Twelve pods: the first pool may have one node of eight cores, the other four pods go to the second pool."""
    pools = [burst("first", 8, 4, 0.9, group="first", group_max=1, weight=10), burst("second", 4, 9, 0.1, group="second", group_max=9)]
    assert sorted(pool for _, pool in orders(run(pods([(1, 90, 12)]), pools, "karpenter"))) == ["first", "second"]


def test_a_group_never_has_more_nodes_than_its_maximum() -> None:
    pools = [burst(name, 2, 3, usd, group="flex", group_max=3) for name, usd in (("a", 0.1), ("b", 0.2))]
    assert sum(nodes_at(run(pods([(1, 90, 20)]), pools, "karpenter"), 80).values()) == 3


def test_an_offer_without_capacity_gives_way_to_the_next_cheapest() -> None:
    """`cheap` is refused at 61 s and remembered for three minutes; the pods ask again ten seconds and one later."""
    pools = [burst(name, 4, 9, usd, group="flex", group_max=9) for name, usd in (("cheap", 0.1), ("dear", 0.2))]
    result = run(pods([(1, 90, 3)]), pools, "karpenter", risks={"cheap": CloudRisk(insufficient_share=1.0)})
    assert orders(result) == [(61.0, "cheap"), (72.0, "dear")]
    assert result.orders_refused == 1
    assert result.unplaced == 0


def test_spot_wins_by_price_and_on_demand_takes_what_spot_may_not() -> None:
    pools = [burst("od", 4, 5, 0.3, group="g", group_max=6), burst("spot", 4, 1, 0.1, group="g", group_max=6, spot=True)]
    assert sorted(pool for _, pool in orders(run(pods([(1, 90, 8)]), pools, "karpenter"))) == ["od", "spot"]


def test_an_empty_node_goes_after_it_was_quiet_and_the_decision_held() -> None:
    """Pods end at 31 min 3 s, noted at 31:10; 300 s of quiet end at 36:10; validated 15 s later."""
    result = run(pods([(1, 31 + 3 / 60, 2)]), [burst("pool", 4, 9)], "karpenter", provisioning=ONE_MINUTE)
    assert result.scale_log[-1] == ((36 * 60 + 10 + 15) * S, -1, "pool")
    assert result.evictions == 0


def test_consolidation_replaces_a_large_node_by_a_cheaper_one() -> None:
    """Eight pods need the large node; one stays after minute 20, so a small node takes it and the large one goes."""
    pools = [burst("small", 2, 9, 0.10, group="f", group_max=9), burst("large", 8, 9, 0.35, group="f", group_max=9)]
    trace = pods([(1, 20, 7), (1, 120, 1)])
    result = run(trace, pools, "karpenter", consolidates=True, provisioning=ONE_MINUTE)
    assert nodes_at(result, 10) == {"large": 1}
    assert nodes_at(result, 60) == {"small": 1}
    assert result.evictions_by == {"consolidation": 1}
    kept = run(trace, pools, "karpenter", provisioning=ONE_MINUTE)
    assert nodes_at(kept, 60) == {"large": 1}
    assert kept.evictions == 0


def test_consolidation_does_not_replace_spot_by_spot() -> None:
    pools = [burst("small", 2, 9, 0.1, group="f", group_max=9, spot=True), burst("large", 8, 9, 0.35, group="f", group_max=9, spot=True)]
    result = run(pods([(1, 20, 7), (1, 120, 1)]), pools, "karpenter", consolidates=True, provisioning=ONE_MINUTE)
    assert nodes_at(result, 60) == {"large": 1}


def test_a_budget_by_schedule_holds_until_its_window_ends() -> None:
    """No node may go from midnight for four hours; the nodes are empty from minute 30 on and go after 04:00."""
    closed = KarpenterPart(expire_after_h=None, budgets=(BudgetPart(nodes="0", schedule="0 0 * * *", duration_h=4.0),))
    result = run(pods([(1, 30, 8)]), [burst("pool", 4, 9)], "karpenter", karpenter=closed)
    removed = [ms / S for ms, change, _ in result.scale_log if change < 0]
    assert removed == [4 * 3600 + 15.0] * 2


def test_a_budget_lets_so_many_nodes_go_at_once() -> None:
    """Ten empty nodes, 10 % at once, rounded up: one leaves every twenty seconds (a look, and 15 s of validation)."""
    slow = KarpenterPart(expire_after_h=None, budgets=(BudgetPart(nodes="10%"),))
    result = run(pods([(1, 30, 40)]), [burst("pool", 4, 20)], "karpenter", karpenter=slow)
    removed = [ms / S for ms, change, _ in result.scale_log if change < 0]
    assert len(removed) == 10
    assert all(later - sooner == 20.0 for sooner, later in pairwise(removed))


def test_a_node_expires_and_its_pods_find_another() -> None:
    """Launched at 61 s, ready at 121 s, expired 3600 s later; its three pods wait for the next batch and one launch."""
    young = KarpenterPart(expire_after_h=1.0, budgets=FREE_BUDGET)
    result = run(pods([(1, 110, 3)]), [burst("pool", 4, 9)], "karpenter", karpenter=young, provisioning=ONE_MINUTE)
    assert result.scale_log[:3] == ((61 * S, 1, "pool"), (3721 * S, -1, "pool"), (3722 * S, 1, "pool"))
    assert result.evictions_by == {"expiry": 3}


def test_owned_nodes_that_may_grow_come_before_rented_ones() -> None:
    result = run(pods([(1, 90, 8)]), [owned("iron", 4, 0, 1), burst("pool", 4, 9, 0.1)], "karpenter")
    assert nodes_at(result, 30) == {"iron": 1, "pool": 1}


@pytest.mark.parametrize("after", [0.0, None])
def test_consolidate_after_may_be_zero_or_never(after: float | None) -> None:
    part = KarpenterPart(expire_after_h=None, budgets=FREE_BUDGET, consolidate_after_s=after)
    result = run(pods([(1, 30, 2)]), [burst("pool", 4, 9)], "karpenter", karpenter=part)
    removed = [ms / S for ms, change, _ in result.scale_log if change < 0]
    assert removed == ([] if after is None else [30 * 60 + 15.0])
