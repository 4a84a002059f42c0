"""Controllers in runs: autoscaled Deployments, image pulls and rollouts; exact times with the arithmetic shown."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from models.outcome import RunResult
from models.units import MS_PER_S
from simulator.engine.recorder import NodeState
from workload_runs import IRONIC, TEN_CORES, VM, finish, opened, pool, run, scenario

TEN_TO_SEVENTY: dict[str, Any] = {
    "kind": "deployment",
    "name": "shop",
    "load": {"steps": [[0, 10], [0.5, 70]]},
    "hpa": {"min_replicas": 10, "max_replicas": 70, "metrics": [{"kind": "external", "target": 1.0}]},
}
"""One pod per unit of load; the load grows sevenfold after half an hour."""


def alone(result: RunResult) -> Any:
    (found,) = result.workloads
    return found


def test_ten_to_seventy_on_warm_nodes_takes_three_syncs_and_under_two_minutes() -> None:
    """1800, 1815, 1830 s: 20, 40, 70. The last pods are Ready 2 s after the last sync; seven nodes hold ten pods each."""
    result = run(scenario(TEN_TO_SEVENTY), pool(7), times=VM)
    found = alone(result)
    assert found.replicas == ((0.0, 10), (1800.0, 20), (1815.0, 40), (1830.0, 70))
    (growth,) = found.scale_outs
    assert (growth.load_at_s, growth.from_replicas, growth.to_replicas, growth.ready_at_s) == (1800.0, 10, 70, 1832.0)
    assert found.ready_s.max() == 2.0
    assert found.warm_nodes == {"own": 6}  # 60 more pods within the 300 s that a VM takes at p95
    assert result.conservation_error == 0.0


def test_ten_to_seventy_without_warm_nodes_waits_for_new_ones() -> None:
    """The same three syncs; then VM (minutes) or Ironic (a quarter of an hour) decide. Each wait is an order's own time."""
    for times, least, most in ((VM, 60.0, 600.0), (IRONIC, 300.0, 3600.0)):
        result = run(scenario(TEN_TO_SEVENTY), pool(1, 7), times=times)
        found = alone(result)
        assert found.replicas == ((0.0, 10), (1800.0, 20), (1815.0, 40), (1830.0, 70))
        (growth,) = found.scale_outs
        orders = result.scale_out_s["own"]
        assert orders.size == 6
        assert growth.ready_at_s is not None
        assert least < growth.ready_at_s - 1800.0 < most
        assert growth.ready_at_s - 1832.0 <= orders.max() <= growth.ready_at_s - 1800.0
        assert found.wait_s.max() > 30.0


def test_a_cpu_metric_trusts_new_pods_only_after_a_whole_window() -> None:
    """70 units at 800 m on requests of 1 core, target 80 %.

    1815 s: ten old pods at 280 %, ten new ones (Ready at 1802 s) count 0 until a sample of 1817 s or later: 140 / 80 x 20 = 35.
    1830 s: 35 share the load: 20 at 160 %, 15 at 0: 91 / 80 x 35 = 40. 1845 s: 35 of 40 at 140 %: 122 / 80 x 40 = 61. 1860 s:
    40 of 61 at 91 %: with the zeros 60 %, a turn, no change. 1875 s: 91 / 80 x 61 = 70. Without a behaviour the wish of 70 from
    1800 s still counts, and twice as many is as far as one step goes.
    """
    spec = {"min_replicas": 10, "max_replicas": 80, "metrics": [{"kind": "cpu", "target": 80}]}
    part = {**TEN_TO_SEVENTY, "cpu_per_load_m": 800, "hpa": {**spec, "behavior": {}}}
    assert alone(run(scenario(part), pool(10))).replicas == (
        (0.0, 10),
        (1800.0, 20),
        (1815.0, 35),
        (1830.0, 40),
        (1845.0, 61),
        (1875.0, 70),
    )
    part["hpa"] = spec
    assert alone(run(scenario(part), pool(10))).replicas == ((0.0, 10), (1800.0, 20), (1815.0, 40), (1830.0, 70))


def test_scale_down_comes_five_minutes_after_the_last_higher_wish() -> None:
    """Load 40 until 600 s. The sync at 585 s is the last to wish 40 (the sample of 600 s shows 10): 585 + 300 < 900."""
    part = {**TEN_TO_SEVENTY, "load": {"steps": [[0, 40], [1 / 6, 10]]}, "replicas": 40}
    found = alone(run(scenario(part), pool(7)))
    assert found.replicas == ((0.0, 40), (900.0, 10))


@pytest.mark.parametrize(("pods", "seconds"), [(10, 10 * 1000 * 2**20 * 8 / 10e9), (100, 100 * 1000 * 2**20 * 8 / 10e9)])
def test_a_hundred_pulls_share_the_link_that_ten_share(pods: int, seconds: float) -> None:
    """1,000 MiB each over 10 Gb/s: n transfers of equal size end together after n x 0.839 s; then 1 s to unpack, 2 s to start."""
    part = {"kind": "deployment", "name": "web", "cpu_m": 6000, "replicas": pods, "image": {"mib": 1000}}
    what = scenario(part, registry={"gbit_per_s": 10.0}, parameters={"image_extract_mib_per_s": 1000.0})
    found = alone(run(what, pool(pods), hours=1))
    assert found.ready_s.size == pods
    assert float(np.percentile(found.ready_s, 95)) == pytest.approx(seconds + 3.0, abs=2e-3)


def test_an_image_is_pulled_once_a_node_and_a_base_once_for_all_that_share_it() -> None:
    """Two pods of one image on one node: one pull. A second image on the same base pulls only its own 100 MiB."""
    link = {"gbit_per_s": 100 * 2**20 * 8 / 1e9}  # 100 MiB/s
    first = {"kind": "deployment", "name": "a", "replicas": 2, "image": {"mib": 200, "base": "jdk", "base_mib": 300}}
    late = {
        "kind": "deployment",
        "name": "b",
        "replicas": {"steps": [[0, 0], [0.5, 1]]},
        "image": {"mib": 100, "base": "jdk", "base_mib": 300},
    }
    result = run(scenario(first, late, registry=link, parameters={"image_extract_mib_per_s": 1e9}), pool(1), hours=1)
    a, b = result.workloads
    assert a.pull_s.tolist() == pytest.approx([5.0, 5.0], abs=3e-3)  # (200 + 300) / 100
    assert b.pull_s.tolist() == pytest.approx([1.0], abs=3e-3)


@pytest.mark.parametrize(("serial", "second"), [(True, 4.0), (False, 3.0)])
def test_a_node_pulls_one_image_after_the_other_unless_told_otherwise(serial: bool, second: float) -> None:
    """200 and 200 MiB at 100 MiB/s. Serial: 2 s and 4 s. Shared: both 4 s at half the rate; with at most 66.7 each, 3 s both."""
    limit = {} if serial else {"node_gbit_per_s": 200 / 3 * 2**20 * 8 / 1e9, "gbit_per_s": 400 / 3 * 2**20 * 8 / 1e9}
    registry = {"gbit_per_s": 100 * 2**20 * 8 / 1e9, "serial": serial, **limit}
    parts = [{"kind": "deployment", "name": name, "replicas": 1, "image": {"mib": 200}} for name in ("a", "b")]
    result = run(scenario(*parts, registry=registry, parameters={"image_extract_mib_per_s": 1e9}), pool(1), hours=1)
    assert [w.pull_s[0] for w in result.workloads] == pytest.approx([2.0 if serial else 3.0, second], abs=3e-3)


def test_a_new_node_has_no_image_and_a_repaired_one_keeps_it() -> None:
    what = scenario(
        {"kind": "deployment", "name": "web", "replicas": 1, "image": {"mib": 1000}}, parameters={"image_extract_mib_per_s": 1000.0}
    )
    for into, pulls in ((NodeState.DOWN, 1), (NodeState.OFF, 2)):
        simulation, workloads = opened(what, pool(1))
        simulation.env.run(until=600 * MS_PER_S)
        simulation.supply.lose(0, 0, into, "failure")
        simulation.supply.join(0, 0)
        finish(simulation)
        (found,) = workloads.results({})
        assert found.lost == 1
        assert int((found.pull_s > 0).sum()) == pulls


def test_a_node_that_fails_while_it_pulls_gives_its_share_of_the_link_back() -> None:
    """Two nodes pull 1,000 MiB at 50 MiB/s each; one is gone after 10 s: the other has 500 MiB left at 100 MiB/s, Ready at 15 s."""
    link = {"gbit_per_s": 100 * 2**20 * 8 / 1e9}
    web = {"kind": "deployment", "name": "web", "cpu_m": 6000, "replicas": 2, "image": {"mib": 1000}, "start_s": 0}
    simulation, workloads = opened(scenario(web, registry=link, parameters={"image_extract_mib_per_s": 1e9}), pool(2))
    simulation.env.run(until=10 * MS_PER_S)
    simulation.supply.lose(0, 1, NodeState.DOWN, "failure")
    finish(simulation)
    (found,) = workloads.results({})
    assert found.ready_s.tolist() == pytest.approx([15.0], abs=3e-3)


def rollout(strategy: str, pods: int = 70, nodes: int = 14, grace_s: float = 0.0, **how: Any) -> tuple[RunResult, Any]:
    part = {"kind": "deployment", "name": "web", "replicas": pods, "grace_s": grace_s}
    result = run(scenario({**part, "rollouts": [{"strategy": strategy, "at_h": [0.5], **how}]}), pool(nodes))
    return result, alone(result)


def test_blue_green_of_seventy_pods_peaks_at_a_hundred_and_forty() -> None:
    """70 new pods beside 70 old ones, Ready after 2 s; the old ones go 30 s after the switch. Head-room: 70 pods, 7 nodes."""
    _, found = rollout("blue_green")
    assert (found.peak_pods, found.surge_pods, found.pods) == (140, 70, 140)
    assert found.rollouts_s == ((1800.0, 1832.0),)
    assert found.nodes_for(found.surge_pods) == {"own": 7}


def test_blue_green_without_the_room_does_not_switch() -> None:
    """On 13 nodes 60 of the 70 new pods find room: the old version stays to the end."""
    result, found = rollout("blue_green", nodes=13)
    assert result.unplaced == 10
    assert found.rollouts_s == ((1800.0, 7200.0),)
    assert result.busy_pods_h[1, 0] == 130.0


def test_a_rolling_update_stays_within_its_surge_and_ends() -> None:
    """25 % of 70: 18 more, rounded up, 17 fewer, rounded down. Waves of 2 s: 35 new, 35 more: both within four waves."""
    result, found = rollout("rolling", nodes=9)
    assert found.surge_pods == 18
    assert found.pods == 140
    ((begin, end),) = found.rollouts_s
    assert begin == 1800.0
    assert 1804.0 <= end <= 1810.0
    assert result.unplaced == 0


def test_a_rolling_update_on_full_nodes_frees_its_own_room() -> None:
    """No surge, 10 % unavailable on exactly full nodes: seven at a time, ten waves of 2 s."""
    _, found = rollout("rolling", nodes=7, max_surge=0, max_unavailable="10%")
    assert (found.surge_pods, found.rollouts_s) == (0, ((1800.0, 1820.0),))


def test_pods_on_their_way_out_hold_their_room_for_the_grace_period() -> None:
    """As above with 10 s of grace: each wave waits for room 10 s and starts in 2 s: ten waves of 12 s."""
    _, found = rollout("rolling", nodes=7, grace_s=10.0, max_surge=0, max_unavailable="10%")
    assert found.rollouts_s == ((1800.0, 1920.0),)


def test_recreate_waits_for_the_old_pods_to_be_gone() -> None:
    _, found = rollout("recreate", nodes=7, grace_s=10.0)
    assert (found.peak_pods, found.rollouts_s) == (70, ((1800.0, 1812.0),))


def test_canary_steps_pause_and_the_last_one_rolls_on() -> None:
    """7 new pods, 60 s; 35 new pods, 60 s; then the rest, never more than 35 beside the 70."""
    steps = [{"weight_share": 0.1, "pause_s": 60}, {"weight_share": 0.5, "pause_s": 60}]
    _, found = rollout("canary", steps=steps)
    assert found.surge_pods == 35
    ((begin, end),) = found.rollouts_s
    assert 124.0 <= end - begin <= 130.0  # two pauses and two starts, then waves of 2 s


def test_a_deployment_replaces_pods_of_a_lost_node() -> None:
    simulation, workloads = opened(scenario({"kind": "deployment", "name": "web", "replicas": 12}), pool(2))
    simulation.env.run(until=600 * MS_PER_S)
    on_first = simulation.state.pods_on(0).size
    simulation.supply.lose(0, 0, NodeState.DOWN, "failure")
    simulation.env.run(until=700 * MS_PER_S)
    assert simulation.state.pods_on(1).size == 10
    simulation.supply.join(0, 0)
    result = finish(simulation)
    (found,) = workloads.results({})
    assert (found.lost, found.pods) == (on_first, 12 + on_first)
    assert result.conservation_error < 1e-12


def test_replicas_follow_a_curve_by_the_local_clock() -> None:
    """Nine o'clock in Seoul is midnight UTC: the 20 pods of 9:00 stand from the first hour on, 5 from 10:00."""
    by_hour = [5.0] * 9 + [20.0] + [5.0] * 14
    what = scenario({"kind": "deployment", "name": "web", "replicas": {"by_hour": by_hour, "time_zone": "Asia/Seoul"}})
    result = run(what, pool(3), hours=3)
    assert result.busy_pods_h[:, 0].tolist() == [20.0, 5.0, 5.0]


def test_two_runs_are_equal_to_the_last_number() -> None:
    part = {**TEN_TO_SEVENTY, "start_s": None, "image": {"mib": 300}}
    first, second = (run(scenario(part), pool(1, 7), times=VM) for _ in range(2))
    assert first.scale_log == second.scale_log
    assert np.array_equal(alone(first).ready_s, alone(second).ready_s)
    assert np.unique(alone(first).ready_s).size > 20  # start times are drawn when the workload does not say its own


def test_a_larger_node_needs_fewer_warm_ones() -> None:
    large = replace(TEN_CORES, name="thirty", cpu_m=30_000, memory_mib=120_100)
    assert alone(run(scenario(TEN_TO_SEVENTY), pool(3, shape=large), times=VM)).warm_nodes == {"own": 2}


def test_a_replica_set_shrinks_from_the_fullest_node_first() -> None:
    """Seven pods on one node, five on a second: the four that go are all of the fuller one, since the ranks are counted once."""
    part = {"kind": "deployment", "name": "web", "replicas": {"steps": [[0, 7], [0.5, 12], [1.0, 8]]}}
    simulation, _ = opened(scenario(part), pool(2, 2))
    simulation.state.cordon(1, True, 0)
    simulation.env.run(until=600 * MS_PER_S)
    simulation.state.cordon(1, False, 600 * MS_PER_S)
    simulation.env.run(until=2000 * MS_PER_S)
    assert [simulation.state.pods_on(slot).size for slot in (0, 1)] == [7, 5]
    simulation.env.run(until=4000 * MS_PER_S)
    assert [simulation.state.pods_on(slot).size for slot in (0, 1)] == [3, 5]
