"""Cluster Autoscaler in a year's run, by the clock: loops, expanders, back-off, unneeded nodes, provision time, flags."""

from __future__ import annotations

import logging

import pytest

from control_runs import MINUTE, burst, nodes_at, owned, pods, run
from models.errors import InputError
from models.zones import Provisioning
from simulator.engine.config import CloudRisk

S = 1000
CA = "cluster_autoscaler"
QUICK = {"scale-down-unneeded-time": "5m", "scale-down-delay-after-add": "5m"}


def orders(result) -> list[tuple[float, str]]:  # type: ignore[no-untyped-def]
    return [(ms / S, pool) for ms, change, pool in result.scale_log if change > 0]


def test_a_loop_every_scan_interval_orders_what_the_estimate_says() -> None:
    """Nine pods of one core at 63 s on nodes of four: three nodes at 70 s, or at 80 s when loops come every 40 s."""
    trace = pods([(1.05, 90, 9)])
    assert orders(run(trace, [burst("pool", 4, 9)], CA)) == [(70.0, "pool")] * 3
    assert orders(run(trace, [burst("pool", 4, 9)], CA, flags={"scan-interval": "40s"})) == [(80.0, "pool")] * 3


@pytest.mark.parametrize(
    ("expander", "group"),
    [("least-waste", "tight"), ("most-pods", "wide"), ("price", "cheap"), ("least-nodes", "wide")],
)
def test_expanders_choose_among_groups(expander: str, group: str) -> None:
    """Three pods: `tight` (3 cores) wastes nothing; `cheap` costs least a core; `wide` is limited by nothing else.

    Four pods of which `tight` may take only three: most-pods takes `wide`; least-nodes ties are between `wide` and none.
    """
    pools = [burst("tight", 3, 1, 0.9), burst("wide", 16, 9, 3.0), burst("cheap", 2, 1, 0.1)]
    trace = pods([(1, 90, 3 if expander in ("least-waste", "price") else 9)])
    flags = {"expander": "least-nodes,most-pods" if expander == "least-nodes" else expander}
    assert orders(run(trace, pools, CA, flags=flags))[0][1] == group


def test_the_random_expander_draws_from_the_seed_and_repeats_itself() -> None:
    pools = [burst(name, 4, 9) for name in ("a", "b", "c")]
    first, again = (orders(run(pods([(1, 90, 1)]), pools, CA, flags={"expander": "random"})) for _ in range(2))
    assert first == again
    assert len(first) == 1


def test_a_group_without_capacity_backs_off_and_the_next_priority_takes_over() -> None:
    """`first` is refused at 70 s; the loop of 80 s finds it in back-off and grows `second`."""
    pools = [burst("first", 4, 9, weight=10), burst("second", 4, 9)]
    result = run(pods([(1.05, 90, 3)]), pools, CA, risks={"first": CloudRisk(insufficient_share=1.0)})
    assert orders(result) == [(70.0, "first"), (80.0, "second")]


def test_back_off_doubles_up_to_its_maximum() -> None:
    """Five minutes, ten, twenty, then thirty: 70 + 300 = 370, + 600 = 970, + 1200 = 2170, + 1800 = 3970 s."""
    result = run(pods([(1.05, 350, 3)]), [burst("pool", 4, 9)], CA, cloud=CloudRisk(insufficient_share=1.0))
    assert [at for at, _ in orders(result)][:6] == [70.0, 370.0, 970.0, 2170.0, 3970.0, 5770.0]


def test_a_node_that_is_not_ready_in_time_is_given_up_and_its_group_backs_off() -> None:
    """Ordered at 70 s, given up 900 s later, tried again 300 s after that, at 1270 s."""
    result = run(pods([(1.05, 350, 3)]), [burst("pool", 4, 9)], CA, provisioning={"pool": Provisioning(1200, 1200, 9)})
    assert result.scale_log[:3] == ((70 * S, 1, "pool"), (970 * S, -1, "pool"), (1270 * S, 1, "pool"))
    assert result.node_hours.sum() == 0.0
    patient = run(
        pods([(1.05, 350, 3)]), [burst("pool", 4, 9)], CA,
        provisioning={"pool": Provisioning(1200, 1200, 9)}, flags={"max-node-provision-time": "30m"},
    )  # fmt: skip
    assert patient.scale_out_s["pool"].tolist() == [1200.0]


def test_a_node_whose_pods_fit_elsewhere_goes_when_it_was_unneeded_for_long_enough() -> None:
    """Two full nodes; after minute 30 each keeps one pod of four cores (25 %): one node is emptied onto the other.

    Unneeded since 30:00, so gone in the first loop after 35:00.
    """
    trace = pods([(1, 30, 3), (1, 120, 1), (1, 30, 3), (1, 120, 1)])
    result = run(trace, [burst("pool", 4, 9)], CA, flags=QUICK)
    assert nodes_at(result, 29) == {"pool": 2}
    assert nodes_at(result, 60) == {"pool": 1}
    assert result.scale_log[2] == (35 * MINUTE + 10 * S, -1, "pool")
    assert result.evictions_by == {"scale-down": 1}
    strict = run(trace, [burst("pool", 4, 9)], CA, flags={**QUICK, "scale-down-utilization-threshold": "0.2"})
    assert nodes_at(strict, 60) == {"pool": 2}


def test_nothing_goes_while_an_addition_is_fresh() -> None:
    """Empty from minute 5 on; the addition of 01:10 holds removals back until 31:10."""
    flags = {"scale-down-unneeded-time": "1m", "scale-down-delay-after-add": "30m"}
    result = run(pods([(1.05, 5, 2)]), [burst("pool", 4, 9)], CA, flags=flags)
    assert result.scale_log[1] == ((31 * 60 + 10) * S, -1, "pool")


def test_owned_groups_grow_first_and_keep_their_minimum() -> None:
    pools = [owned("iron", 4, 1, 3), burst("pool", 4, 9, weight=50)]
    result = run(pods([(1, 30, 20)]), pools, CA, flags=QUICK)
    assert nodes_at(result, 20) == {"iron": 2, "pool": 2}  # one of three owned nodes stands from the start
    assert nodes_at(result, 90) == {}
    assert result.node_hours[-1].tolist() == [1.0, 0.0]


def test_wrong_flags_are_refused_and_those_without_effect_are_named(caplog: pytest.LogCaptureFixture) -> None:
    trace, pools = pods([(1, 30, 1)]), [burst("pool", 4, 9)]
    with pytest.raises(InputError, match="expander"):
        run(trace, pools, CA, flags={"expander": "cheapest"})
    with pytest.raises(InputError, match="scan-interval"):
        run(trace, pools, CA, flags={"scan-interval": "soon"})
    with caplog.at_level(logging.WARNING):
        run(trace, pools, CA, flags={"ignore-daemonsets-utilization": "true"})
    assert "ignore-daemonsets-utilization" in caplog.text
