"""Single rules of the autoscalers, each with its number."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from models.errors import InputError, UnknownName
from models.units import duration_s
from simulator.cli.replay import command
from simulator.engine.autoscalers.binpacking import Kinds, estimate
from simulator.engine.autoscalers.binpacking_pods import estimate_pods
from simulator.engine.autoscalers.cluster_autoscaler import NodeGroup, ScaleUpSettings
from simulator.engine.autoscalers.cluster_autoscaler_flags import read_groups
from simulator.engine.autoscalers.cluster_autoscaler_growth import grow
from simulator.engine.autoscalers.cluster_autoscaler_scale_down import Budget, View, due, judge
from simulator.engine.autoscalers.expanders import Option, choose, priority
from simulator.engine.autoscalers.karpenter_consolidation import Candidate, empty_nodes, within_budgets
from simulator.engine.autoscalers.replay import replay
from simulator.engine.autoscalers.replay_agreement import agreement
from simulator.engine.autoscalers.replica_sets import Candidate as Victim
from simulator.engine.autoscalers.replica_sets import victims
from simulator.engine.kube.objects import HOSTNAME, ZONE, HostPort, Node, Pod, Selector, Spread, Taint, Toleration

RECORDINGS = Path(__file__).resolve().parents[1] / "recordings"
GIB = 2**30
PLAIN = ScaleUpSettings(template_overhead={})


def group(name: str, cpu_m: int, memory: int, pods: int = 110, most: int = 10_000, **more: Any) -> NodeGroup:
    return NodeGroup(name, Node(name, {"cpu": cpu_m, "memory": memory, "pods": pods}, **more), most)


def pods(count: int, cpu_m: int, memory: int, name: str = "p", **more: Any) -> list[Pod]:
    return [Pod(f"{name}-{at}", {"cpu": cpu_m, "memory": memory}, **more) for at in range(count)]


# oracles: kubernetes/autoscaler estimator/binpacking_estimator_test.go


def test_ten_pods_two_to_a_node_need_five_nodes() -> None:
    assert grow(pods(10, 350, 1000), [group("g", 1000, 2000)], settings=PLAIN).nodes_after == {"g": 5}


def test_twenty_tiny_pods_with_ten_to_a_node_need_two() -> None:
    assert grow(pods(20, 1, 1), [group("g", 1000, 2000, pods=10)], settings=PLAIN).nodes_after == {"g": 2}


def test_a_limit_of_five_nodes_takes_ten_of_twenty_pods() -> None:
    found = grow(pods(20, 500, 100), [group("g", 1000, 2000, most=5)], settings=PLAIN)
    assert found.nodes_after == {"g": 5}
    assert len(found.left) == 10


def test_fifty_one_thousand_pods_need_2595_nodes() -> None:
    # 1,000 pods of 95m: 10 to a node = 100 nodes with 50m left, one small pod each; 49,900 / 20 = 2,495 more.
    node = np.array([1000, 5000, 100])
    found = estimate(node, node, np.array([[50, 100, 1], [95, 190, 1]]), np.array([50_000, 1_000]), 100_000)
    assert found.nodes == 2_595
    assert found.placed.tolist() == [50_000, 1_000]


def test_a_host_port_takes_a_node_for_each_pod() -> None:
    found = grow(pods(8, 100, 100, ports=(HostPort("0.0.0.0", "TCP", 5555),)), [group("g", 1000, 5000)], settings=PLAIN)
    assert found.nodes_after == {"g": 8}


def spread(key: str) -> dict[str, Any]:
    return {"labels": {"app": "e"}, "spreads": (Spread(2, key, True, Selector.of({"app": "e"})),)}


OLD_NODE = Node("old", {"cpu": 1, "memory": 1, "pods": 10}, {HOSTNAME: "old", ZONE: "zone-jupiter"})


def test_hostname_spread_of_two_puts_two_pods_on_a_node() -> None:
    mars = group("g", 1000, 5000, labels={ZONE: "zone-mars"})
    assert grow(pods(8, 20, 100, **spread(HOSTNAME)), [mars], [OLD_NODE], settings=PLAIN).nodes_after == {"g": 4}


def test_zonal_spread_of_two_lets_two_pods_in() -> None:
    mars = group("g", 1000, 5000, labels={ZONE: "zone-mars"})
    found = grow(pods(8, 20, 100, **spread(ZONE)), [mars], [OLD_NODE], settings=PLAIN)
    assert found.nodes_after == {"g": 1}
    assert len(found.left) == 6


@pytest.mark.parametrize("seed", range(4))
def test_packing_with_filters_equals_packing_on_arrays(seed: int) -> None:
    chance = np.random.default_rng(seed)
    shapes = [Pod(f"k{at}", {"cpu": int(c), "memory": int(m)}) for at, (c, m) in enumerate(chance.integers(100, 3000, (4, 2)))]
    kinds, counts = Kinds.of(shapes), chance.integers(1, 8, 4)
    node = Node("g", {"cpu": 4000, "memory": 6000, "pods": 10})
    vector = kinds.vector(node.allocatable)
    arrays = estimate(vector, vector, kinds.requests, counts, 9)
    filters = estimate_pods(node, {}, kinds, counts, 9, [], [])
    assert (arrays.nodes, arrays.placed.tolist()) == (filters.nodes, filters.placed.tolist())


def test_no_more_than_a_thousand_nodes_in_one_scale_up() -> None:
    found = grow(pods(1_500, 1000, 1), [group("g", 1000, 2000)], settings=PLAIN)
    assert [scale_up.rows() for scale_up in found.plans] == [[["g", 0, 1000, 10_000]], [["g", 1000, 1500, 10_000]]]


def test_pods_that_fit_existing_nodes_need_none() -> None:
    nodes = [Node("n", {"cpu": 4000, "memory": 8 * GIB, "pods": 10})]
    bound = [Pod("old", {"cpu": 1000, "memory": GIB}, node="n")]
    found = grow(pods(4, 1000, GIB), [group("g", 4000, 8 * GIB)], nodes, bound, PLAIN)
    assert [scale_up.rows() for scale_up in found.plans] == [[["g", 0, 1, 10_000]]]  # 3 fit beside the old one, 1 is left


def test_taints_and_selectors_decide_which_group_may_help() -> None:
    tainted = group("gpu", 8000, 16 * GIB, taints=(Taint("gpu", "yes"),))
    plain = group("plain", 8000, 16 * GIB, labels={"class": "plain"})
    assert grow(pods(2, 4000, GIB), [tainted, plain], settings=PLAIN).nodes_after == {"gpu": 0, "plain": 1}
    tolerant = pods(2, 4000, GIB, tolerations=(Toleration("gpu", "Exists"),), node_selector={"class": "other"})
    assert len(grow(tolerant, [tainted, plain], settings=PLAIN).left) == 2


def option(name: str, nodes: int = 1, price: float | None = None, count: int = 1) -> Option:
    return Option(name, nodes, count, 1000, 1000, 2000, 2000, price)


def test_price_takes_the_cheapest_and_passes_on_when_one_is_unknown() -> None:
    chance = np.random.default_rng(0)
    options = [option("a", price=2.0), option("b", price=1.0)]
    assert choose(options, ["price"], None, chance).group == "b"
    assert {choose([option("a"), option("b", price=1.0)], ["price"], None, chance).group for _ in range(20)} == {"a", "b"}


def test_priority_matches_anywhere_and_skips_what_matches_nothing() -> None:
    options = [option("Machine/prod-bm"), option("aws-1"), option("other")]
    assert [o.group for o in priority(options, {10: ["aws"], 50: ["prod-bm$"]})] == ["Machine/prod-bm"]
    assert [o.group for o in priority(options, {-5: ["aws"]})] == ["Machine/prod-bm", "aws-1", "other"]
    assert [o.group for o in priority(options, None)] == ["Machine/prod-bm", "aws-1", "other"]


def test_most_pods_then_least_nodes_in_a_chain() -> None:
    options = [option("a", nodes=3, count=5), option("b", nodes=2, count=5), option("c", nodes=1, count=1)]
    assert choose(options, ["most-pods", "least-nodes"], None, np.random.default_rng(0)).group == "b"


def test_an_unknown_expander_is_named_with_near_misses() -> None:
    with pytest.raises(UnknownName, match="least-waste"):
        choose([option("a")], ["least-wast"], None, np.random.default_rng(0))
    with pytest.raises(InputError, match="least-waste"):
        read_groups({"groups": {"g": {"allocatable": {"cpu": 1}, "max": 1}}, "expander": "least-wast"}, "file")


def test_every_flag_that_is_not_modelled_is_named() -> None:
    flags = {"scan-interval": "10s", "cordon-node-before-terminating": "true", "parallel-scale-up": "true"}
    file = read_groups({"groups": {"g": {"allocatable": {"cpu": 1, "pods": 9}, "max": 1, "spot": 1}}, "flags": flags, "extra": 1}, "file")
    assert file.warnings == (
        "file: extra is not modelled",
        "file: flags.cordon-node-before-terminating = true is not modelled",
        "file: flags.parallel-scale-up = true is not modelled",
        "file: groups.g.spot is not modelled",
    )


def test_every_problem_of_a_groups_file_is_reported_at_once() -> None:
    groups = {"a": {"max": 1}, "b": {"allocatable": {"cpu": "x"}, "max": 2}, "c": {"allocatable": {}, "min": 3, "max": 2}}
    with pytest.raises(InputError) as error:
        read_groups({"groups": groups, "flags": {"scan-interval": "soon"}}, "file")
    assert len(error.value.problems) == 4


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("1m0.5s", 60.5), ("1500ms", 1.5), (".5m", 30.0), ("+2m", 120.0), ("1.s", 1.0), ("250us", 0.00025), ("1µs", 1e-6), ("1μs", 1e-6)],
)
def test_durations_are_read_in_every_spelling_of_go(written: str, seconds: float) -> None:
    """time.ParseDuration: a sign, a dot with digits on one side only, and units from ns to h, micro signs U+00B5 and U+03BC."""
    assert duration_s(written) == pytest.approx(seconds)
    group = {"g": {"allocatable": {"cpu": 1}, "max": 1}}
    read_groups({"groups": group, "flags": {"scale-down-unneeded-time": written}}, "file")


@pytest.mark.parametrize("written", ["1h-3s", ".s", "", "10 s", "5x", "s"])
def test_what_go_refuses_as_a_duration_is_refused_by_name(written: str) -> None:
    with pytest.raises(InputError, match="scale-down-unneeded-time"):
        read_groups({"groups": {"g": {"allocatable": {"cpu": 1}, "max": 1}}, "flags": {"scale-down-unneeded-time": written}}, "file")


def test_damaged_priorities_let_every_group_through_with_a_warning() -> None:
    document = {"groups": {"g": {"allocatable": {"cpu": 1}, "max": 1}}, "expander": "priority", "priorities": {"ten": ["a"]}}
    file = read_groups(document, "file")
    assert file.up.priorities is None
    assert "damaged" in file.warnings[0]


def view(free_m: list[int], counts: list[int]) -> View:
    size = len(free_m)
    whole = np.full((size, 2), 10_000)
    free = np.array([[free, 10_000] for free in free_m])
    yes = np.ones(size, dtype=bool)
    return View(whole, free, np.array([[n] for n in counts]), yes[:, None], yes, np.array([[2000, 1]]), np.arange(size))


def test_nodes_found_removable_do_not_receive_the_pods_of_others() -> None:
    # Three nodes with one pod of 2000m each, room for four more on each: two can go, the third has no home left.
    found = judge(view([8000, 8000, 8000], [1, 1, 1]), [0, 1, 2])
    assert found.removable == (0, 1)
    assert found.stuck == (2,)


def test_a_pod_moved_in_simulation_moves_on_with_its_new_node() -> None:
    # Node 0's pod goes to node 1; then node 1 has two pods to move and node 2 room for one only.
    found = judge(view([8000, 8000, 2000], [1, 1, 4]), [0, 1])
    assert found.removable == (0,)
    assert found.stuck == (1,)


def test_empty_nodes_go_together_and_one_node_is_drained() -> None:
    since = {0: 0, 1: 0, 2: 0, 3: 0, 4: 5_000}
    empty = np.array([True, True, False, False, True])
    gone, drained = due(since, 10_000, 10_001, ["g"] * 5, {"g": 9}, empty, Budget(10, 1))
    assert gone == (0, 1)  # node 4 has waited for 5 s only
    assert drained == (2,)


def test_a_group_keeps_its_minimum() -> None:
    gone, _ = due({0: 0, 1: 0, 2: 0}, 1, 10, ["g"] * 3, {"g": 1}, np.array([True] * 3), Budget(10, 1))
    assert gone == (0,)


def test_replica_set_order() -> None:
    ranked = [
        Victim(1, age_ms=10**6),  # alone on its node, old
        Victim(0, age_ms=10**6),  # two together
        Victim(0, age_ms=10**6, draw=0.5),
        Victim(2, deletion_cost=-1, age_ms=10**6),
        Victim(3, ready=False, age_ms=10**6),
        Victim(-1, running=False, ready=False),
    ]
    assert victims(ranked, 6) == [5, 4, 3, 1, 2, 0]


def test_younger_by_a_power_of_two_goes_first() -> None:
    assert victims([Victim(0, ready_ms=40_000, age_ms=40_000), Victim(1, ready_ms=30_000, age_ms=30_000)], 1) == [1]
    # 30 s and 20 s lie between 2^34 and 2^35 ns: equal, so the draw decides
    assert victims([Victim(0, ready_ms=30_000, age_ms=30_000), Victim(1, ready_ms=20_000, age_ms=20_000, draw=0.9)], 1) == [0]


def test_karpenter_budgets_count_per_pool() -> None:
    no_pods = np.zeros(1, dtype=np.int64)
    candidates = [Candidate(row, "burst", 0, 4.0 - row, no_pods, 1.0) for row in range(4)]
    assert [c.row for c in within_budgets(candidates, {"burst": 2})] == [0, 1]  # what saves most per pod goes first
    command_ = empty_nodes(candidates)
    assert command_ is not None
    assert command_.rows == (0, 1, 2, 3)


BASE: dict[str, Any] = {
    "groups": {
        "own": {"allocatable": {"cpu": "15", "memory": "60Gi", "pods": "110"}, "max": 5, "boot": "300s"},
        "aws": {"allocatable": {"cpu": "15", "memory": "60Gi", "pods": "110"}, "max": 9},
    },
    "priorities": {"50": ["own"], "10": ["aws"]},
    "flags": {
        "expander": "priority",
        "scan-interval": "1s",
        "max-node-provision-time": "20s",
        "initial-node-group-backoff-duration": "60s",
    },
    "shapes": {"web": {"cpu": "4", "memory": "8Gi"}},
    "replicas_by_second": {"web": [6] * 60},
}


def test_a_group_whose_nodes_do_not_come_backs_off_and_the_next_takes_over() -> None:
    run = replay(BASE)
    assert run.scale_ups[0]["plan"] == [["own", 0, 2, 5]]
    assert run.scale_ups[1]["plan"] == [["aws", 0, 2, 9]]
    assert 20.0 < run.scale_ups[1]["second"] < 26.0
    assert run.nodes_at_end() == {"own": 0, "aws": 2}
    assert run.rows[-1][-2:] == (6, 0)


POOL: dict[str, Any] = {
    "instance_types": {
        "m5.xlarge": {"cpu": 4, "memory_gib": 16, "usd_per_h": 0.2},
        "m5.2xlarge": {"cpu": 8, "memory_gib": 32, "usd_per_h": 0.4},
    },
    "pools": [{"name": "burst", "template": {"spec": {"expireAfter": "40s"}}, "disruption": {"consolidationPolicy": "WhenEmpty"}}],
    "shapes": {"web": {"cpu": "3", "memory": "2Gi"}},
    "replicas_by_second": {"web": [2] * 70},
}


def test_an_expired_node_is_replaced() -> None:
    run = replay(POOL)
    assert [up["plan"][0][0] for up in run.scale_ups] == ["burst/m5.2xlarge/spot"] * 2  # no requirement: spot is cheapest
    assert len(run.scale_downs) == 1
    assert 45.0 < run.scale_downs[0]["second"] < 50.0  # up at about 2 s, 40 s later gone within 5 s
    assert run.rows[-1][-2:] == (2, 0)


def test_fields_of_a_pool_that_are_not_modelled_are_named() -> None:
    template = {
        "spec": {"startupTaints": [], "requirements": [{"key": "karpenter.k8s.aws/instance-hypervisor", "operator": "In", "values": ["x"]}]}
    }
    budgets = [{"nodes": "0", "schedule": "0 9 * * *", "duration": "8h"}]
    run = replay({**POOL, "pools": [{"name": "p", "template": template, "disruption": {"budgets": budgets}}]})
    assert [warning.split(": ", 1)[1] for warning in run.warnings] == [
        "pools[0].template.spec.startupTaints is not modelled",
        "pools[0]: requirement karpenter.k8s.aws/instance-hypervisor is not modelled",
    ]


def test_agreement_of_a_run_with_itself_is_zero() -> None:
    samples = replay(BASE).document()["samples"]
    found = agreement([samples, samples], [samples])
    assert (found.ours, found.real, found.holds) == (0.0, 0.0, True)


def test_same_seed_same_document_other_seed_other_times() -> None:
    path = RECORDINGS / "cluster-autoscaler" / "private-first.json"
    document = json.loads(path.read_text())
    assert replay(document, 5) == replay(document, 5)
    assert replay(document, 5).scale_ups != replay(document, 6).scale_ups


def test_command_prints_one_document_with_the_promised_keys(tmp_path: Path) -> None:
    path = tmp_path / "curve.json"
    path.write_text(json.dumps({**BASE, "flags": {**BASE["flags"], "cordon-node-before-terminating": "true"}}))
    figure = tmp_path / "nodes.html"
    result = CliRunner().invoke(command, [str(path), "--json", "--seeds", "2", "--figure", str(figure)])
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["samples"]["columns"] == ["second", "own", "aws", "bound", "pending"]
    assert document["samples"]["rows"][1][0] == 0.5
    assert {"scale_ups", "scale_downs", "warnings", "seeds"} <= set(document)
    assert any("cordon-node-before-terminating" in warning for warning in document["warnings"])
    assert "<html" in figure.read_text()


def test_command_names_what_is_wrong_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "curve.yaml"
    path.write_text("shapes: {web: {cpu: many}}\nreplicas_by_second: {web: [1, -2]}\n")
    result = CliRunner().invoke(command, [str(path)])
    assert isinstance(result.exception, InputError)
    assert len(result.exception.problems) == 2
