"""Constraints, preemption, latency and sampling as a scenario says them, down to the node of every pod."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from models.demand import Demand
from models.errors import ScenarioError
from models.fleet import Fleet, NodePool
from models.horizon import Horizon
from models.node import NodeShape
from models.resources import ResourceAxes
from models.scheduling import SchedulingPart
from models.units import MS_PER_H
from models.workload import Workload
from simulator import catalog
from simulator.engine.config import EngineConfig
from simulator.engine.fleets import fleet_for
from simulator.engine.kube.objects import HostPort, Toleration
from simulator.engine.pod_rules import scheduled
from simulator.engine.run import config_for, prepare, rules_for
from simulator.engine.trace import DemandRules, trace_from_demand
from simulator.engine.workloads.setup import setup_for
from simulator.streams import Streams

HOSTNAME = "kubernetes.io/hostname"
WEB = {"topologyKey": HOSTNAME, "labelSelector": {"matchLabels": {"app": "web"}}}
APART = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [WEB]}}


def demand(*workloads: Workload) -> Demand:
    horizon, names = Horizon(datetime(2026, 1, 5, tzinfo=UTC), 2), tuple(w.name for w in workloads)
    return Demand(horizon, ResourceAxes(), names, np.zeros((2, len(workloads), 3)), workloads, "requests")


def workload(name: str, replicas: int, cpu_m: int = 1000, **fields: object) -> Workload:
    return Workload(name, "shop", cpu_m, 1024, np.array([replicas, replicas]), **fields)  # type: ignore[arg-type]


def pool(name: str, nodes: int, zone: str = "own", most: int | None = None) -> NodePool:
    shape = NodeShape("n8", 8000, 32_768)
    return NodePool(name, zone, "x", shape, nodes, most or nodes, True, labels={"disk": name})


def slots(load: Demand, fleet: Fleet, *parts: SchedulingPart, **config: object) -> list[list[int]]:
    """Pods of every slot at the end of the first hour."""
    trace = trace_from_demand(load, Streams(1), DemandRules(scheduling=parts))
    run = prepare(trace, fleet, EngineConfig(ties="lowest", **config), Streams(1))  # type: ignore[arg-type]
    run.env.run(until=MS_PER_H // 2)
    return [run.state.pods_on(slot).tolist() for slot in range(run.state.layout.slots)]


def test_anti_affinity_of_a_scenario_puts_one_pod_on_a_node() -> None:
    """InterPodAffinity: five pods, three nodes: three run, two wait; without the entry all five run."""
    load, fleet = demand(workload("web", 5)), Fleet((pool("a", 3),))
    assert sum(len(pods) for pods in slots(load, fleet)) == 5
    assert [len(pods) for pods in slots(load, fleet, SchedulingPart(workload="shop/web", pod={"affinity": APART}))] == [1, 1, 1]
    with pytest.raises(ScenarioError, match="which no workload is called; name some of shop/web"):
        slots(load, fleet, SchedulingPart(workload="*/db", pod={"affinity": APART}))


def test_node_selector_and_hard_spread_over_zones_of_a_scenario() -> None:
    """PodTopologySpread with maxSkew 1 over two zones: four pods, two and two; the selector leaves one pool."""
    load = demand(workload("web", 4, cpu_m=500))
    fleet = Fleet((pool("a", 1, "east"), pool("b", 1, "west")))
    spread = {"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule",
              "labelSelector": {"matchLabels": {"app": "web"}}}  # fmt: skip
    found = slots(load, fleet, SchedulingPart(workload="shop/*", pod={"topologySpreadConstraints": [spread]}))
    assert [len(pods) for pods in found] == [2, 2]
    found = slots(load, fleet, SchedulingPart(workload="shop/*", pod={"nodeSelector": {"disk": "b"}}))
    assert [len(pods) for pods in found] == [0, 4]


def test_a_pool_s_tier_comes_before_what_a_pod_prefers() -> None:
    """NodeAffinity scores inside a tier: the preferred pool of lower priority takes only what the first one cannot."""
    wish = {"weight": 100, "preference": {"matchExpressions": [{"key": "disk", "operator": "In", "values": ["b"]}]}}
    entry = SchedulingPart(workload="*", pod={"affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [wish]}}})
    load, first = demand(workload("web", 10)), replace(pool("a", 1), priority=10)
    assert [len(pods) for pods in slots(load, Fleet((first, pool("b", 1))), entry)] == [8, 2]
    assert [len(pods) for pods in slots(load, Fleet((pool("a", 1), pool("b", 1))), entry)] == [2, 8]


def test_other_workloads_keep_their_labels_so_that_terms_find_them() -> None:
    load, fleet = demand(workload("web", 2), workload("db", 1)), Fleet((pool("a", 3),))
    found = slots(load, fleet, SchedulingPart(workload="shop/db", pod={"affinity": APART}))
    assert all(not (2 in pods and len(pods) > 1) for pods in found)


def test_priority_of_an_entry_and_preemption_let_a_pod_in() -> None:
    """Two nodes full of the first workload's pods; with preemption the second's pods take the place of two."""
    load, fleet = demand(workload("batch", 2, cpu_m=8000), workload("web", 2, cpu_m=8000)), Fleet((pool("a", 2),))
    first = SchedulingPart(workload="shop/web", pod={"priority": 100})
    assert slots(load, fleet, first) == [[0], [1]]
    assert slots(load, fleet, first, preemption=True) == [[2], [3]]
    never = SchedulingPart(workload="shop/web", pod={"priority": 100, "preemptionPolicy": "Never"})
    assert slots(load, fleet, never, preemption=True) == [[0], [1]]


def test_what_an_entry_says_is_read_as_the_scheduler_reads_a_pod() -> None:
    spec = {
        "tolerations": [{"key": "gpu", "operator": "Exists"}],
        "containers": [{"name": "c", "ports": [{"containerPort": 80, "hostPort": 80}]}],
    }
    found = scheduled(
        workload("web", 1, labels={"tier": "front"}), [SchedulingPart(workload="shop/web", pod=spec, labels={"v": "1"}, stop_s=2.5)]
    )
    rules = found["rules"]
    assert rules.labels == (("app", "web"), ("tier", "front"), ("v", "1"))
    assert (rules.tolerations, rules.ports) == ((Toleration("gpu", "Exists"),), (HostPort("0.0.0.0", "TCP", 80),))
    assert (found["grace_ms"], found["preempts"], "priority" in found) == (2500, True, False)


@pytest.mark.parametrize(
    ("pod", "message"),
    [
        ({"nodeSelecter": {}}, "did you mean nodeSelector"),
        ({"nodeName": "a"}, "nodes of a simulation have no names"),
        ({"topologySpreadConstraints": [{"maxSkew": "one"}]}, "topologySpreadConstraints"),
        ({"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]}, "binding not modelled"),
    ],
)
def test_an_entry_that_cannot_be_honoured_is_refused_with_its_place(pod: dict[str, object], message: str) -> None:
    with pytest.raises(ScenarioError, match=message):
        scheduled(workload("web", 1), [SchedulingPart(workload="*", pod=pod)])


def test_a_node_chosen_by_its_name_is_refused() -> None:
    load = demand(workload("web", 1))
    with pytest.raises(Exception, match="a node chosen by its name"):
        slots(load, Fleet((pool("a", 1),)), SchedulingPart(workload="*", pod={"nodeSelector": {HOSTNAME: "n1"}}))


def test_the_shipped_scenario_asks_for_none_of_it_and_may_ask_for_all() -> None:
    scenario = catalog.load_scenario("half-private-40")
    fleet = fleet_for(scenario, {zone.name: 2 for zone in scenario.zones})
    config = config_for(fleet, scenario)
    assert (config.preemption, config.percentage_of_nodes_to_score, config.start_latency_s) == (False, 100, {})
    assert rules_for(scenario).scheduling == ()
    wanted = {"engine.preemption": True, "engine.percentage_of_nodes_to_score": 0, "engine.start_latency_s": {fleet.pools[0].zone: 2.5}}
    config = config_for(fleet, scenario.varied(wanted))
    late = {pool.name: 2.5 for pool in fleet.pools if pool.zone == fleet.pools[0].zone}
    assert (config.preemption, config.percentage_of_nodes_to_score, config.start_latency_s) == (True, 0, late)
    with pytest.raises(ScenarioError, match="no zone 'nowhere'"):
        config_for(fleet, scenario.varied({"engine.start_latency_s": {"nowhere": 1.0}}))


def test_a_start_latency_of_a_run_reaches_its_jobs() -> None:
    """One job of an hour in the first hour: it holds its place for 90 s more."""
    job = Workload("job", "shop", 1000, 1024, np.array([1, 0]), workload_class="batch")
    trace, held = trace_from_demand(demand(job), Streams(1), DemandRules()), []
    for latency in ({}, {"a": 90.0}):
        run = prepare(trace, Fleet((pool("a", 1),)), EngineConfig(start_latency_s=latency), Streams(1))
        run.env.run(until=2 * MS_PER_H)
        run.state.advance(2 * MS_PER_H, 0)
        held.append(int(run.state.hour_pods.sum()))
    assert held == [MS_PER_H, MS_PER_H + 90_000]


def test_entries_reach_workloads_of_controllers() -> None:
    scenario = catalog.load_scenario("half-private-40")
    web = {"kind": "deployment", "name": "web", "namespace": "shop", "cpu_m": 500, "memory_mib": 512, "replicas": 2}
    entry = {"workload": "shop/*", "pod": {"affinity": APART, "priority": 7}}
    asked = scenario.varied({"workloads": [web], "engine.scheduling": [entry]})
    parameters = catalog.parameters(asked.parameters)
    shape = setup_for(asked, demand(workload("other", 1)), parameters).workloads[0].shape  # type: ignore[union-attr]
    assert (shape.priority, len(shape.rules.anti_affinity), shape.rules.labels) == (7, 1, (("app", "web"),))  # type: ignore[union-attr]
    slow = scenario.varied({"workloads": [web], "engine.scheduling": [entry | {"stop_s": 3.0}]})
    with pytest.raises(ScenarioError, match="the workload's own grace_s"):
        setup_for(slow, demand(workload("other", 1)), parameters)
