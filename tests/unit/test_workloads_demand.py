"""What planners see of a scenario's workloads, what a mesh and DaemonSets cost, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from models.errors import ScenarioError
from models.horizon import Horizon
from models.node import NodeShape
from models.resources import CPU, PODS
from models.scenario import Scenario, parse_scenario
from models.scenario_workloads import CurvePart, DaemonSetPart, PlatformPart
from models.workload import Workload
from simulator import catalog
from simulator.engine.trace import DemandRules, trace_from_demand
from simulator.engine.workloads.curve import steps_of
from simulator.engine.workloads.expected import with_workloads
from simulator.engine.workloads.platform import platform_document, proxy
from simulator.engine.workloads.setup import setup_for
from simulator.streams import Streams
from workload_runs import MONDAY, TEN_CORES, measured, pool, run, scenario

PARAMETERS = catalog.parameters({})


def expected(*rows: dict[str, Any], hours: int = 4, **fields: Any) -> list[list[float]]:
    """Pods by hour of every workload of a scenario without measured demand."""
    demand = with_workloads(measured(hours=hours), scenario(*rows, **fields), PARAMETERS)
    pods = demand.axes.index(PODS)
    return [demand.requests[:, index, pods].tolist() for index in range(len(demand.classes))]


def test_an_autoscaled_deployment_counts_with_the_replicas_its_load_needs() -> None:
    """Load 10, 47 from 1.5 h on, target 2: 5, 24, 24, 24, at most 20, at least 6."""
    part = {"kind": "deployment", "name": "web", "load": {"steps": [[0, 10], [1.5, 47]]}}
    hpa = {"min_replicas": 6, "max_replicas": 20, "metrics": [{"kind": "external", "target": 2.0}]}
    assert expected({**part, "hpa": hpa}) == [[6.0, 20.0, 20.0, 20.0]]
    cpu = {"min_replicas": 1, "max_replicas": 99, "metrics": [{"kind": "cpu", "target": 50}]}
    assert expected({**part, "hpa": cpu, "cpu_per_load_m": 300}) == [[6.0, 29.0, 29.0, 29.0]]  # 14,100 m / 500 m = 28.2


def test_a_rollout_adds_its_surge_in_the_hour_it_begins() -> None:
    part = {"kind": "deployment", "name": "web", "replicas": 70, "rollouts": [{"strategy": "blue_green", "at_h": [2.5]}]}
    assert expected(part) == [[70.0, 70.0, 140.0, 70.0]]


def test_jobs_count_with_their_mean_and_gangs_with_all_members() -> None:
    """25 pods of 30 min, ten at a time from 0.5 h: 10 x 0.5 h, then 10 and 5 x 0.5 h. Eight members for 70 min from 1.75 h."""
    job = {"kind": "job", "name": "etl", "at_h": [0.5], "duration_s": 1800, "completions": 25, "parallelism": 10}
    gang = {"kind": "gang", "name": "train", "at_h": [1.75], "duration_s": 4200, "members": 8}
    assert expected(job, gang) == [[5.0, 7.5, 0.0, 0.0], [0.0, 8.0, 8.0, 0.0]]


def test_a_cronjob_counts_at_its_local_times() -> None:
    """Ten o'clock in Seoul is one o'clock UTC."""
    part = {"kind": "cronjob", "name": "report", "schedule": "0 10 * * *", "time_zone": "Asia/Seoul", "duration_s": 3600}
    assert expected(part) == [[0.0, 1.0, 0.0, 0.0]]


WEB = Workload("web", "dev", 2000, 4096, np.array([3, 5, 4, 2]), users=10)


def company(*rows: dict[str, Any], **fields: Any) -> Scenario:
    return parse_scenario({"scenario": "test", "workloads": list(rows), **fields}, "test")


def test_a_copy_of_a_measured_workload_joins_it_or_takes_its_place() -> None:
    """dev/web has 3, 5, 4, 2 pods of 2 cores. A copy of twice as many: 6, 10, 8, 4; in its place it stands alone."""
    row = {"kind": "deployment", "name": "copy", "like": "dev/web", "times": 2.0}
    both = with_workloads(measured(WEB, hours=4), company(row), PARAMETERS)
    assert both.classes == ("dev/web", "extra/copy")
    assert both.total(CPU).tolist() == [18_000.0, 30_000.0, 24_000.0, 12_000.0]
    assert both.workloads[1].controlled
    alone = with_workloads(measured(WEB, hours=4), company({**row, "instead": True}), PARAMETERS)
    assert alone.classes == ("extra/copy",)
    assert alone.total(CPU).tolist() == [12_000.0, 20_000.0, 16_000.0, 8_000.0]
    assert [w.full_name for w in alone.replaced] == ["dev/web"]


def test_a_trace_leaves_controlled_workloads_to_their_controllers_unless_asked_for_what_is_expected() -> None:
    row = {"kind": "deployment", "name": "copy", "like": "dev/web"}
    demand = with_workloads(measured(WEB, hours=4), company(row), PARAMETERS)
    assert trace_from_demand(demand, Streams(1)).pods == 5  # at most five of dev/web, newest first to go
    assert trace_from_demand(demand, Streams(1), DemandRules(expected=True)).pods == 10


def test_extended_resources_of_workloads_join_the_demand() -> None:
    gang = {"kind": "gang", "name": "train", "at_h": [1], "duration_s": 3600, "members": 8, "extended": {"nvidia.com/gpu": 2}}
    demand = with_workloads(measured(hours=3), scenario(gang), PARAMETERS)
    assert demand.total("nvidia.com/gpu").tolist() == [0.0, 16.0, 0.0]


def test_a_scenario_without_workloads_changes_nothing() -> None:
    demand = measured(WEB, hours=4)
    assert with_workloads(demand, company(), PARAMETERS) is demand


def test_a_thousand_meshed_pods_carry_26_or_156_gb_and_that_moves_the_node_count() -> None:
    """1,000 pods of 50 m and 512 MiB on nodes of 62.82 cores and 391,120 MiB, packed to 0.85.

    Memory: 512,000 MiB: 1.54 -> 2 nodes; 537,000 with linkerd: 1.62 -> 2; 661,000 with istio: 1.99 -> 2 ... and CPU: 50,000 m:
    0.94 -> 1; 86,000: 1.61; 117,000: 2.19 -> 3.
    """
    pods = Workload("web", "dev", 50, 512, np.array([1000]))
    node = NodeShape("n", 62_820, 391_220, max_pods=1200)
    found = {}
    for mesh in ("none", "linkerd", "istio"):
        what = company(platform={"mesh": mesh})
        demand = with_workloads(measured(pods, hours=1), what, PARAMETERS)
        document = platform_document(demand, what, node, PARAMETERS)
        found[mesh] = document["nodes_by_mesh"][mesh]["nodes"], document["mesh_delta_nodes"]
        assert demand.total(CPU).tolist() == [1000 * (50 + proxy(mesh, PARAMETERS).cpu_m)]  # type: ignore[arg-type]
        sizes = {name: cost["memory_gb"] for name, cost in document["nodes_by_mesh"].items()}
        assert sizes == {"none": 0.0, "linkerd": 26.0, "istio": 156.0}
    assert found == {"none": (2, 0), "linkerd": (2, 0), "istio": (3, 1)}


def test_the_proxys_request_is_whole_mib_rounded_up() -> None:
    """26 MB = 24.8 MiB, 156 MB = 148.8 MiB."""
    assert (proxy("linkerd", PARAMETERS).memory_mib, proxy("istio", PARAMETERS).memory_mib) == (25, 149)


def test_a_mesh_takes_room_from_pods_that_controllers_run() -> None:
    """Ten pods of 1 core fill a node of ten; with 36 m more each, nine fit and the tenth waits for ever."""
    web = {"kind": "deployment", "name": "web", "replicas": 10}
    assert run(scenario(web), pool(1)).unplaced == 0
    assert run(scenario(web, platform={"mesh": "linkerd"}), pool(1)).unplaced == 1
    assert run(scenario({**web, "meshed": False}, platform={"mesh": "linkerd"}), pool(1)).unplaced == 0


def test_a_copy_carries_one_proxy_in_the_plan_and_in_the_run() -> None:
    what = company({"kind": "deployment", "name": "copy", "like": "dev/web"}, platform={"mesh": "istio"})
    demand = with_workloads(measured(WEB, hours=4), what, PARAMETERS)
    assert [w.cpu_m for w in demand.workloads] == [2067, 2067]
    setup = setup_for(what, demand, PARAMETERS)
    assert setup is not None
    assert setup.workloads[0].shape.cpu_m == 2067


def test_growth_of_a_plan_grows_the_load_of_controllers() -> None:
    part = {
        "kind": "deployment",
        "name": "web",
        "load": {"steps": [[0, 10]]},
        "hpa": {"max_replicas": 99, "metrics": [{"kind": "external", "target": 1}]},
    }
    what = scenario(part)
    demand = replace(with_workloads(measured(hours=4), what, PARAMETERS), grown=1.5)
    setup = setup_for(what, demand, PARAMETERS)
    assert setup is not None
    assert setup.workloads[0].load is not None
    assert setup.workloads[0].load.values == (15.0,)


def test_daemonsets_take_their_part_of_every_node() -> None:
    agent = DaemonSetPart(name="fluent-bit", cpu_m=100, memory_mib=128)
    node = PlatformPart(daemonsets=(agent, replace_name(agent, "csi"))).on_node(TEN_CORES)
    assert (node.schedulable_cpu_m, node.schedulable_memory_mib, node.schedulable_pods) == (9_800, 39_744, 108)
    what = company(platform={"daemonsets": [agent.model_dump()]})
    builds = [catalog.zone_build(what.zones[0], PARAMETERS, platform).node for platform in (None, what.platform)]
    assert builds[0].schedulable_cpu_m - builds[1].schedulable_cpu_m == 100
    demand = measured(Workload("web", "dev", 1000, 100, np.array([85])), hours=1)
    document = platform_document(demand, what, replace(TEN_CORES, max_pods=1000), PARAMETERS)
    assert document["daemonset_delta_nodes"] == 1  # 85 cores at 0.85: 10.0 nodes of 10 cores, 10.1 of 9.9


def replace_name(part: DaemonSetPart, name: str) -> DaemonSetPart:
    return part.model_copy(update={"name": name})


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"kind": "deployment", "name": "web"}, "give cpu_m and memory_mib"),
        ({"kind": "deployment", "name": "web", "cpu_m": 1, "memory_mib": 1}, "give replicas, a load with an hpa"),
        ({"kind": "deployment", "name": "web", "like": "dev/wep"}, "did you mean dev/web"),
        ({"kind": "job", "name": "web", "like": "dev/web"}, "nothing"),
        ({"kind": "deployment", "name": "web", "namespace": "dev", "like": "dev/web"}, "a name that is taken"),
        (
            {"kind": "deployment", "name": "web", "like": "dev/web", "hpa": {"max_replicas": 0}, "load": {"steps": [[0, 1]]}},
            "greater than or equal",
        ),
        ({"kind": "deployment", "name": "web", "like": "dev/web", "hpa": {"max_replicas": 3}}, "an hpa needs a load"),
        ({"kind": "cronjob", "name": "web", "like": "dev/web", "schedule": "0 25 * * *", "duration_s": 1}, "hour lies in"),
        (
            {"kind": "cronjob", "name": "web", "like": "dev/web", "schedule": "0 5 * * *", "time_zone": "Seoul", "duration_s": 1},
            "no time zone",
        ),
        ({"kind": "deployment", "name": "web", "like": "dev/web", "replica": 3}, "did you mean replicas"),
        ({"kind": "gang", "name": "web", "like": "dev/web", "members": 2, "duration_s": 5}, "give schedule or at_h"),
        ({"kind": "daemon", "name": "web"}, "deployment"),
    ],
)
def test_what_cannot_be_used_is_refused_with_what_would_be_accepted(row: dict[str, Any], says: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        with_workloads(measured(WEB, hours=4), company(row), PARAMETERS)
    assert says in str(caught.value)


def test_every_wrong_workload_is_told_at_once() -> None:
    rows = [{"kind": "cronjob", "name": n, "cpu_m": 1, "memory_mib": 1, "schedule": "x", "duration_s": 1} for n in ("a", "b")]
    with pytest.raises(ScenarioError) as caught:
        with_workloads(measured(hours=4), company(*rows), PARAMETERS)
    assert [problem.place for problem in caught.value.problems] == ["workloads.a.schedule", "workloads.b.schedule"]


def test_a_week_of_hours_starts_on_monday_by_the_local_clock() -> None:
    """Monday 00:00 UTC is Sunday 19:00 in New York: hour 163 of the week; five hours later its Monday begins."""
    week = tuple(float(hour) for hour in range(168))
    steps = steps_of(CurvePart(by_hour=week, time_zone="America/New_York"), Horizon(MONDAY, 24))
    assert [steps.at(h * 3_600_000) for h in (0, 4, 5)] == [163.0, 167.0, 0.0]
