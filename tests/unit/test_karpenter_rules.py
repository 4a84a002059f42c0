"""Karpenter's own rules, one claim a test: label sets, relaxation, topology, types, limits, budgets, consolidation."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from models.errors import InputError, Problem
from simulator.engine.autoscalers.binpacking import Kinds
from simulator.engine.autoscalers.karpenter import Claim, Existing, Provisioning, Settings, Waiting, provision
from simulator.engine.autoscalers.karpenter_budgets import NO_MOST, Budget, Cron, allowance, utc
from simulator.engine.autoscalers.karpenter_catalog import CAPACITY_TYPE, Pool, by_weight
from simulator.engine.autoscalers.karpenter_consolidation import (
    Candidate,
    Market,
    Outcome,
    best_first,
    eviction_cost,
    in_turns,
    one_node,
    remove,
    several_nodes,
)
from simulator.engine.autoscalers.karpenter_input import KarpenterFile, read_karpenter
from simulator.engine.autoscalers.karpenter_preferences import relaxed
from simulator.engine.autoscalers.karpenter_requirements import Allowed, compatible, intersects, merged, requirements_of
from simulator.engine.autoscalers.karpenter_settings import Switches, read_switches
from simulator.engine.autoscalers.karpenter_topology import Standing
from simulator.engine.autoscalers.karpenter_types import type_labels
from simulator.engine.autoscalers.replay import replay
from simulator.engine.autoscalers.replay_shapes import as_curve, read_shape
from simulator.engine.kube.objects import HOSTNAME, ZONE, Pod, Requirement

TYPES = {
    "c5.large": {"cpu": 2, "memory_gib": 4, "usd_per_h": 0.085},
    "c5.xlarge": {"cpu": 4, "memory_gib": 8, "usd_per_h": 0.17},
    "c5.2xlarge": {"cpu": 8, "memory_gib": 16, "usd_per_h": 0.34},
    "m5.xlarge": {"cpu": 4, "memory_gib": 16, "usd_per_h": 0.192},
    "m6g.xlarge": {"cpu": 4, "memory_gib": 16, "usd_per_h": 0.154, "arch": "arm64"},
}
KWOK = {"group": "karpenter.kwok.sh", "kind": "KWOKNodeClass", "name": "default"}


def wants(key: str, operator: str, *values: str, **more: Any) -> dict[str, Any]:
    return {"key": key, "operator": operator, "values": list(values), **more}


ON_DEMAND = wants(CAPACITY_TYPE, "In", "on-demand")


def pool(name: str = "burst", *requirements: dict[str, Any], **more: Any) -> dict[str, Any]:
    spec = {"requirements": [ON_DEMAND, *requirements], "nodeClassRef": KWOK, **more.pop("spec", {})}
    return {"name": name, "template": {"metadata": {"labels": more.pop("labels", {})}, "spec": spec}, **more}


def shape(name: str, cpu: str = "1", memory: str = "1Gi", **more: Any) -> Pod:
    problems: list[Problem] = []
    made = read_shape(name, {"cpu": cpu, "memory": memory, **more}, name, problems)
    assert made is not None, problems
    return made


def read(pools: Sequence[dict[str, Any]], pods: Sequence[Pod], **more: Any) -> tuple[KarpenterFile, Settings]:
    kinds = Kinds.of(pods)
    file = read_karpenter({"pools": list(pools), "instance_types": TYPES, "zones": ["a", "b", "c"], **more}, kinds, "file")
    return file, file.settings(kinds)


def decide(
    pools: Sequence[dict[str, Any]], pods: Sequence[Pod], counts: Sequence[int], nodes: Sequence[Existing] = (),
    standing: Sequence[Standing] = (), **more: Any,
) -> tuple[Provisioning, list[str]]:  # fmt: skip
    """What is launched, as type names in the order of claims, for `counts` pods of each shape; first draws."""
    file, settings = read(pools, pods, **more)
    queue = [Waiting(kind, (float(at),)) for kind, count in enumerate(counts) for at in range(count)]
    found = provision(queue, settings, nodes, standing, lambda n: 0)
    return found, [file.catalog.names[file.catalog.launched(claim.types, claim.requirements, lambda n: 0)[0]] for claim in found.claims]


# label sets: pkg/scheduling/requirement_test.go


def test_bounds_drop_the_values_outside_them() -> None:
    more = Allowed.of(Requirement("cores", "Gt", ("3",)))
    assert (more & Allowed(frozenset(("2", "4", "x")))).values == {"4"}
    assert (more & Allowed.of(Requirement("cores", "Lt", ("4",)))).empty


def test_a_label_that_no_pool_names_is_refused_unless_it_is_well_known_or_unwanted() -> None:
    tier = requirements_of([Requirement("tier", "In", ("gold",))])
    assert not compatible({}, tier)
    assert compatible({}, tier, frozenset(("tier",)))
    assert compatible({}, requirements_of([Requirement("tier", "NotIn", ("gold",))]))
    assert not intersects(tier, requirements_of([Requirement("tier", "DoesNotExist")]))


def test_old_spellings_of_a_label_narrow_the_new_one() -> None:
    found = merged({ZONE: Allowed(frozenset(("a", "b")))}, [("failure-domain.beta.kubernetes.io/zone", Allowed(frozenset(("b", "c"))))])
    assert found == {ZONE: Allowed(frozenset(("b",)))}


def test_kwok_and_aws_label_types_each_in_their_own_way() -> None:
    size = {"cpu": 8000, "memory": 32 * 2**30, "pods": 110}
    assert type_labels("m5.2xlarge", size, aws=False)["karpenter.kwok.sh/instance-memory"] == "32Gi"
    aws = type_labels("m5.2xlarge", size, aws=True)
    assert (aws["karpenter.k8s.aws/instance-category"], aws["karpenter.k8s.aws/instance-memory"]) == ("m", "32768")


# relaxation: preferences.go


def test_wishes_are_given_up_in_the_programs_order() -> None:
    near = {"topologyKey": HOSTNAME, "labelSelector": {"matchLabels": {"app": "x"}}}
    affinity = {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{"matchExpressions": [wants("tier", "Exists")]}, {"matchExpressions": [wants(ZONE, "Exists")]}]
            },
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {"weight": 1, "preference": {"matchExpressions": [wants(ZONE, "In", "a")]}},
                {"weight": 9, "preference": {"matchExpressions": [wants(ZONE, "In", "b")]}},
            ],
        },
        "podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 5, "podAffinityTerm": near}]},
        "podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 5, "podAffinityTerm": near}]},
    }
    soft = {"maxSkew": 1, "topologyKey": ZONE, "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": {"matchLabels": {"app": "x"}}}
    pod, seen = shape("x", affinity=affinity, topologySpreadConstraints=[soft]), []
    while (less := relaxed(pod, soft_taints=True)) is not None:
        seen.append(
            (len(less.required or ()), [t.weight for t in less.preferred_pods], [t.weight for t in less.preferred], len(less.spreads))
        )
        pod = less
    assert seen == [
        (1, [5, -5], [1, 9], 1),  # the first required term
        (1, [-5], [1, 9], 1),  # preferred pod affinity
        (1, [], [1, 9], 1),  # preferred pod anti-affinity
        (1, [], [1], 1),  # the heaviest node preference
        (1, [], [], 1),
        (1, [], [], 0),  # the soft spread
        (1, [], [], 0),  # PreferNoSchedule is tolerated
    ]
    assert relaxed(pod, soft_taints=True) is None


def test_a_soft_taint_is_avoided_while_another_pool_can_take_the_pod() -> None:
    soft = {"spec": {"taints": [{"key": "team", "value": "a", "effect": "PreferNoSchedule"}]}}
    found, _ = decide([pool("tainted", weight=90, **soft), pool("plain", weight=1)], [shape("web")], [1])
    assert [claim.pool.name for claim in found.claims] == ["plain"]
    found, _ = decide([pool("tainted", weight=90, **soft)], [shape("web")], [1])
    assert [claim.pool.name for claim in found.claims] == ["tainted"]


# claims


def test_heavier_pools_come_first_and_equal_ones_by_falling_name() -> None:
    pools = [Pool(name, weight, {}, {}) for name, weight in (("a", 5), ("c", 1), ("b", 5))]
    assert [part.name for part in by_weight(tuple(pools))] == ["b", "a", "c"]


def test_equal_prices_launch_the_first_type_by_name() -> None:
    types = {name: {"cpu": 4, "memory_gib": 8, "usd_per_h": 0.2} for name in ("z1.xlarge", "a1.xlarge")}
    assert decide([pool()], [shape("web")], [1], instance_types=types)[1] == ["a1.xlarge"]


def test_min_values_keep_the_pod_waiting_and_best_effort_lowers_them() -> None:
    flexible = pool("burst", wants("karpenter.kwok.sh/instance-family", "Exists", minValues=2))
    needs_7_cpu = [shape("web", cpu="7")]  # only c5.2xlarge holds it: one family
    assert decide([flexible], needs_7_cpu, [1])[0].left == (0,)
    assert decide([flexible], needs_7_cpu, [1], settings={"min-values-policy": "BestEffort"})[1] == ["c5.2xlarge"]
    assert decide([flexible], [shape("web", cpu="3")], [2])[1] == ["m6g.xlarge"] * 2  # a second pod would leave one family


def test_wishes_are_not_looked_at_when_the_policy_says_so() -> None:
    arm = {"matchExpressions": [wants("kubernetes.io/arch", "In", "arm64")]}
    term = {"weight": 1, "preference": arm}
    picky = shape("web", affinity={"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [term]}})
    assert decide([pool()], [picky], [1])[1] == ["m6g.xlarge"]
    assert decide([pool()], [picky], [1], settings={"preference-policy": "Ignore"})[1] == ["c5.large"]
    spread = {
        "maxSkew": 1,
        "topologyKey": HOSTNAME,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": {"app": "web"}},
    }
    apart = shape("web", labels={"app": "web"}, topologySpreadConstraints=[spread])
    assert decide([pool()], [apart], [2])[0].claims[0].pods == 1
    assert decide([pool()], [apart], [2], settings={"preference-policy": "Ignore"})[0].claims[0].pods == 2


def test_limits_count_the_largest_type_a_claim_may_become() -> None:
    # 8 cpu: the first claim may be c5.2xlarge (8), so nothing is left for a second one, though c5.large is enough.
    found, names = decide([pool(limits={"cpu": "8"})], [shape("web", cpu="1500m", **spread_hosts())], [2])
    assert (names, len(found.left)) == (["c5.large"], 1)


def spread_hosts() -> dict[str, Any]:
    term = {"topologyKey": HOSTNAME, "labelSelector": {"matchLabels": {"app": "web"}}}
    return {"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}}


def test_daemon_sets_take_their_room_and_ports_from_every_new_node() -> None:
    daemon = {"agent": {"cpu": "500m", "memory": "128Mi", "hostPorts": [9100]}}
    assert decide([pool()], [shape("web", cpu="1800m")], [1], daemonsets=daemon)[1] == ["m6g.xlarge"]  # not c5.large: 2.3 of 2 cpu
    assert decide([pool()], [shape("web", hostPorts=[9100])], [1], daemonsets=daemon)[0].left == (0,)


def test_spot_wins_on_price_and_arm_where_the_pool_lets_it() -> None:
    either = {**pool(), "template": {"spec": {"requirements": [wants(CAPACITY_TYPE, "In", "spot", "on-demand")], "nodeClassRef": KWOK}}}
    file, settings = read([either], [shape("web", cpu="3")])
    claim = provision([Waiting(0)], settings, [], [], lambda n: 0).claims[0]
    kind, offering = file.catalog.launched(claim.types, claim.requirements, lambda n: 0)
    assert (file.catalog.names[kind], offering.capacity_type, offering.usd_per_h) == ("m6g.xlarge", "spot", pytest.approx(0.154 * 0.35))


# topology


def zonal(skew: int = 1, **more: Any) -> dict[str, Any]:
    rule = {"maxSkew": skew, "topologyKey": ZONE, "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {"matchLabels": {"app": "web"}}}
    return {"topologySpreadConstraints": [{**rule, **more}]}


def zones_of(found: Provisioning) -> list[tuple[frozenset[str], int]]:
    return sorted((claim.requirements[ZONE].values, claim.pods) for claim in found.claims)


def test_spread_pods_fill_the_zones_evenly() -> None:
    found, _ = decide([pool()], [shape("web", cpu="500m", **zonal())], [7])
    assert sorted(count for _, count in zones_of(found)) == [2, 2, 3]
    assert {zone for zones, _ in zones_of(found) for zone in zones} == {"a", "b", "c"}


def test_spread_counts_pods_that_run_already() -> None:
    running = [Standing(shape("web"), {ZONE: "a", HOSTNAME: "n1"}, count=2), Standing(shape("web"), {ZONE: "b", HOSTNAME: "n2"}, count=1)]
    found, _ = decide([pool()], [shape("web", **zonal())], [2], standing=running)
    assert zones_of(found) == [(frozenset(("b",)), 1), (frozenset(("c",)), 1)] or zones_of(found) == [(frozenset(("c",)), 2)]


def test_anti_affinity_keeps_pods_away_that_have_no_rule_themselves() -> None:
    lonely = shape("lonely", cpu="3", affinity={"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
        {"topologyKey": HOSTNAME, "labelSelector": {"matchLabels": {"app": "web"}}}]}})  # fmt: skip
    found, _ = decide([pool()], [lonely, shape("web", cpu="500m")], [1, 2])
    assert sorted(claim.counts.tolist() for claim in found.claims) == [[0, 2], [1, 0]]


def test_affinity_by_zone_follows_the_first_pod() -> None:
    near = {"topologyKey": ZONE, "labelSelector": {"matchLabels": {"app": "web"}}}
    pod = shape("web", cpu="7", affinity={"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [near]}})
    found, _ = decide([pool()], [pod], [3])
    assert len({next(iter(claim.requirements[ZONE].values)) for claim in found.claims}) == 1
    assert [claim.pods for claim in found.claims] == [1, 1, 1]


def test_running_pods_do_not_move_to_nodes_that_are_not_quiet() -> None:
    busy = Existing({HOSTNAME: "n"}, np.array([8000, 2**35, 100]), quiet=False)
    file, settings = read([pool()], [shape("web")])
    moved = provision([Waiting(0, moves=True)], settings, [busy], [], lambda n: 0)
    pending = provision([Waiting(0)], settings, [busy], [], lambda n: 0)
    leaving = provision([Waiting(0, moves=True, leaves=True)], settings, [busy], [], lambda n: 0)
    assert [len(found.claims) for found in (moved, pending, leaving)] == [1, 0, 0]
    assert file.warnings == ()


# budgets: nodepool_budgets_test.go


def test_a_scheduled_budget_is_open_for_its_duration_after_each_hit() -> None:
    nightly = Budget(nodes=0, schedule=Cron.of("0 22 * * mon-fri"), duration=timedelta(hours=8))
    assert [nightly.active(utc(text)) for text in ("2026-01-05T21:59:00Z", "2026-01-05T22:00:00Z", "2026-01-06T05:59:59Z")] == [
        False,
        True,
        True,
    ]
    assert not nightly.active(utc("2026-01-06T06:00:00Z"))
    assert not nightly.active(utc("2026-01-10T23:00:00Z"))  # a Saturday


def test_the_smallest_open_budget_for_the_reason_counts() -> None:
    budgets = (Budget(share=0.2), Budget(nodes=1, reasons=frozenset(("Empty",))))
    now = utc("2026-01-05T00:00:00Z")
    assert [allowance(budgets, 11, reason, now) for reason in ("Empty", "Underutilized")] == [1, 3]  # 20 % of 11, rounded up
    assert allowance((), 11, "Empty", now) == NO_MOST


@pytest.mark.parametrize("text", ["* * * *", "61 * * * *", "0 0 1 13 *", "*/0 * * * *"])
def test_a_schedule_that_cron_refuses_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Cron.of(text)


# consolidation


def candidate(
    row: int, price: float, pods: int, *, spot: bool = False, name: str = "burst", balanced: bool = False, kind: int = 0
) -> Candidate:
    return Candidate(row, name, kind, price, np.array([pods]), 1.0 + pods, spot, balanced)


def claim_of(file: KarpenterFile, types: Sequence[int]) -> Claim:
    mask = np.zeros(len(TYPES), dtype=np.bool_)
    mask[list(types)] = True
    return Claim(file.pools[0], dict(file.pools[0].requirements), mask, np.zeros(3, dtype=np.int64), np.array([1]))


def test_what_saves_most_for_each_pod_goes_first() -> None:
    # 0.4 / (1 + 3) = 0.1, 0.3 / (1 + 1) = 0.15, 0.1 / 1 = 0.1 with no pod
    assert [part.row for part in best_first([candidate(0, 0.4, 3), candidate(1, 0.3, 1), candidate(2, 0.1, 0)])] == [1, 0, 2]


def test_pools_take_turns_for_single_nodes() -> None:
    nodes = [candidate(0, 4, 0, name="a"), candidate(1, 3, 0, name="a"), candidate(2, 1, 0, name="b")]
    assert [part.row for part in in_turns(nodes, ["b", "a"])] == [2, 0, 1]


def test_several_nodes_are_not_replaced_by_a_type_that_one_of_them_is() -> None:
    file, _ = read([pool()], [shape("web")])
    nodes = [candidate(0, 0.17, 1, kind=1), candidate(1, 0.34, 1, kind=2)]
    market = Market(file.catalog)
    assert remove(nodes, lambda _: Outcome((claim_of(file, [1, 2]),), True), market) is None  # keeping the xlarge does as well
    command = remove(nodes, lambda _: Outcome((claim_of(file, [0, 1, 2]),), True), market)
    assert command is not None
    assert command.replacement is not None
    assert np.flatnonzero(command.replacement.types).tolist() == [0]  # only what is cheaper than the xlarge


def test_bisection_finds_the_most_nodes_that_can_go() -> None:
    file, _ = read([pool()], [shape("web")])
    nodes = [candidate(row, 1.0, 1) for row in range(9)]
    command = several_nodes(nodes, lambda chosen: Outcome((), len(chosen) <= 5), Market(file.catalog))
    assert command is not None
    assert command.rows == (0, 1, 2, 3, 4)


def test_spot_is_replaced_by_spot_only_behind_its_gate_and_with_fifteen_cheaper_types() -> None:
    spot = {**pool(), "template": {"spec": {"requirements": [wants(CAPACITY_TYPE, "In", "spot")], "nodeClassRef": KWOK}}}
    types = {f"t{at}.large": {"cpu": 2, "memory_gib": 4, "usd_per_h": 0.01 * at} for at in range(1, 20)}
    file, _ = read([spot], [shape("web")], instance_types=types)
    everything = Claim(
        file.pools[0], dict(file.pools[0].requirements), np.ones(19, dtype=np.bool_), np.zeros(3, dtype=np.int64), np.array([1])
    )

    def only(price: float, *, gate: bool) -> int | None:
        command = one_node([candidate(0, price, 1, spot=True)], lambda _: Outcome((everything,), True), Market(file.catalog, gate))
        return None if command is None or command.replacement is None else int(command.replacement.types.sum())

    assert only(0.19 * 0.35, gate=False) is None
    assert only(0.19 * 0.35, gate=True) == 15  # 18 are cheaper, the 15 cheapest are kept
    assert only(0.15 * 0.35, gate=True) is None  # 14 are cheaper


def test_a_balanced_pool_wants_half_its_share_of_disturbance_saved() -> None:
    file, _ = read([pool()], [shape("web")])
    node = candidate(0, 0.34, 3, balanced=True, kind=2)  # cost 4 of 8, price 0.34 of 1.36: a quarter saved for half the disturbance
    gone = lambda _: Outcome((), True)  # noqa: E731
    assert one_node([node], gone, Market(file.catalog, totals={"burst": (1.36, 8.0)})) is not None  # 0.25 / 0.5 = 1/2
    assert one_node([node], gone, Market(file.catalog, totals={"burst": (1.40, 8.0)})) is None


def test_deletion_cost_and_priority_steer_what_evicting_costs() -> None:
    cheap = Pod("p", annotations={"controller.kubernetes.io/pod-deletion-cost": str(-(2**27))})
    assert (eviction_cost(cheap), eviction_cost(Pod("p", priority=2**30))) == (0.0, 10.0)


# files


def test_shapes_name_what_is_wrong_with_their_rules() -> None:
    problems: list[Problem] = []
    assert read_shape("web", {"cpu": "1", "tolerations": [{"operator": "Sometimes"}]}, "shapes.web", problems) is None
    assert [problem.place for problem in problems] == ["shapes.web.tolerations[0].operator"]


def test_a_single_decision_becomes_a_curve() -> None:
    document = as_curve({"pools": [], "pods": {"a": {"cpu": "1", "memory": "1Gi", "count": 3}}})
    assert set(document["replicas_by_second"]["a"]) == {3}


def test_flags_that_are_not_modelled_are_named_and_wrong_ones_refused() -> None:
    problems: list[Problem] = []
    warnings: list[str] = []
    gates = "SpotToSpotConsolidation=true,StaticCapacity=true"
    found = read_switches({"--feature-gates": gates, "log-level": "debug", "preference-policy": "Respect"}, "settings", problems, warnings)
    assert (found, problems) == (Switches(spot_to_spot=True), [])
    assert warnings == ["settings.feature-gates.StaticCapacity is not modelled", "settings.log-level is not modelled"]
    read_switches({"feature-gates": {"Nonsense": True}, "min-values-policy": "Maybe"}, "settings", problems, warnings)
    assert [problem.place for problem in problems] == ["settings.feature-gates", "settings.min-values-policy"]


def test_a_pool_with_wrong_budget_and_policy_names_both() -> None:
    wrong = pool(disruption={"consolidationPolicy": "Always", "budgets": [{"nodes": "many"}]})
    with pytest.raises(InputError) as error:
        read([wrong], [shape("web")])
    assert [problem.place for problem in error.value.problems] == [
        "file: pools[0].disruption.consolidationPolicy",
        "file: pools[0].disruption.budgets[0]",
    ]


def test_kwok_nodes_count_against_limits_with_what_they_were_asked_for() -> None:
    """Seen live: the kwok provider's node tells the requests of its claim as capacity, so a limit lets more rounds through."""
    curve = {"web": [1] * 10 + [4] * 30}
    body = {"instance_types": TYPES, "zones": ["a"], "shapes": {"web": {"cpu": "3", "memory": "1Gi"}}, "replicas_by_second": curve}
    kwok = replay({**body, "pools": [pool(limits={"cpu": "11"})]})
    aws = pool(limits={"cpu": "11"})
    aws["template"]["spec"]["nodeClassRef"] = {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "default"}
    # after one node for a pod of 3 cpu: 11 - 3 = 8 lets a claim become an 8-cpu type, 11 - 4 = 7 does not
    assert "burst/c5.2xlarge/on-demand" in kwok.nodes_at_end()
    assert "burst/c5.2xlarge/on-demand" not in replay({**body, "pools": [aws]}).nodes_at_end()


def test_do_not_disrupt_pods_keep_their_node() -> None:
    kept = {"cpu": "1", "memory": "1Gi", "annotations": {"karpenter.sh/do-not-disrupt": "true"}}
    curve = {"web": [8] * 20 + [0] * 60, "kept": [1] * 80}
    body = {"instance_types": TYPES, "shapes": {"web": {"cpu": "1", "memory": "1Gi"}, "kept": kept}, "replicas_by_second": curve}
    quick = {"disruption": {"consolidateAfter": "1s", "budgets": [{"nodes": "100%"}]}}
    run = replay({**body, "pools": [pool(**quick)]})
    free = {**body, "shapes": {**body["shapes"], "kept": {"cpu": "1", "memory": "1Gi"}}}
    freed = replay({**free, "pools": [pool(**quick)]})
    assert (run.mean_usd_per_h or 0.0) > (freed.mean_usd_per_h or 0.0)
    assert run.nodes_at_end() != freed.nodes_at_end()


def test_a_pod_disruption_budget_holds_nodes_and_paces_drains() -> None:
    rule = {"selector": {"matchLabels": {"app": "web"}}}
    body = {"instance_types": TYPES, "shapes": {"web": {"cpu": "1", "memory": "1Gi"}}, "replicas_by_second": {"web": [16] * 20 + [5] * 60}}
    small = wants("karpenter.kwok.sh/instance-cpu", "Lt", "5")
    quick = pool("burst", small, disruption={"consolidateAfter": "1s", "budgets": [{"nodes": "100%"}]})
    free = replay({**body, "pools": [quick]})
    held = replay({**body, "pools": [quick], "pod_disruption_budgets": [{**rule, "maxUnavailable": 0}]})
    assert sum(held.nodes_at_end().values()) > sum(free.nodes_at_end().values())
    old = pool(spec={"expireAfter": "15s"}, disruption={"consolidationPolicy": "WhenEmpty"})
    slow = replay({**body, "pools": [old], "pod_disruption_budgets": [{**rule, "maxUnavailable": 1}]})
    assert max(slow.pending()[40:]) < max(replay({**body, "pools": [old]}).pending()[40:])  # one pod at a time, not all of a node


def test_wrong_pod_disruption_budgets_are_named() -> None:
    with pytest.raises(InputError) as error:
        read([pool()], [shape("web")], pod_disruption_budgets=[{"minAvailable": 1}, {"selector": {}, "minAvailable": "half"}])
    assert [problem.place for problem in error.value.problems] == [f"file: pod_disruption_budgets[{at}]" for at in (0, 1)]
