"""The real kube-scheduler answers pod by pod; ours must give the same scores, allow the same choice, refuse alike.

The default run replays 700 random pods; BURSTLINE_LIVE_PODS=10000 replays that many.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from control_plane import ControlPlane, find_programs, wait_for
from live_scheduler import Agreement, LiveScheduler, pod_path, pods_path
from scheduler_cases import Generator
from simulator.engine.kube.objects_reader import read_objects
from simulator.engine.kube.place import place
from simulator.engine.kube.scheduler_config import parse_profile

pytestmark = pytest.mark.control_plane

PODS_PER_CASE = 50
SHAPE = [{"utilization": 0, "score": 1}, {"utilization": 40, "score": 9}, {"utilization": 100, "score": 3}]
RESOURCES = [{"name": "cpu", "weight": 3}, {"name": "memory", "weight": 1}, {"name": "nvidia.com/gpu", "weight": 2}]


def fit_arguments(strategy: str, **more: Any) -> dict[str, Any]:
    """Arguments of NodeResourcesFit with cpu, memory and GPUs weighted."""
    return {"name": "NodeResourcesFit", "args": {"scoringStrategy": {"type": strategy, "resources": RESOURCES, **more}}}


PROFILES: dict[str, dict[str, Any]] = {
    "most": {"pluginConfig": [fit_arguments("MostAllocated")]},
    "ratio": {"pluginConfig": [fit_arguments("RequestedToCapacityRatio", requestedToCapacityRatio={"shape": SHAPE})]},
    "weights": {
        "plugins": {
            "multiPoint": {"disabled": [{"name": "ImageLocality"}], "enabled": [{"name": "InterPodAffinity", "weight": 7}]},
            "score": {"disabled": [{"name": "NodeResourcesBalancedAllocation"}]},
            "filter": {"disabled": [{"name": "PodTopologySpread"}]},
        },
        "pluginConfig": [{"name": "InterPodAffinity", "args": {"hardPodAffinityWeight": 50}}],
    },
}


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    """An API server of its own: these tests count every node there is."""
    own = ControlPlane(find_programs())
    try:
        own.start()
        yield own
    finally:
        own.stop()


def replay(live: LiveScheduler, seeds: range, prefix: str) -> Agreement:
    agreement = Agreement()
    for seed in seeds:
        case = Generator(seed, f"{prefix}{seed}").case(nodes=6 + seed % 15, pods=PODS_PER_CASE)
        live.replay(case, agreement)
    return agreement


def test_choices_scores_and_refusals_of_random_pods_agree(plane: ControlPlane) -> None:
    cases = max(1, int(os.environ.get("BURSTLINE_LIVE_PODS", "700")) // PODS_PER_CASE)
    live = LiveScheduler(plane, plane.start_scheduler(verbosity=10))
    found = replay(live, range(cases), "d")
    assert found.differences == []
    assert found.pods == cases * PODS_PER_CASE
    assert set(found.plugins) >= {
        "NodeResourcesFit",
        "NodeResourcesBalancedAllocation",
        "TaintToleration",
        "NodeAffinity",
        "PodTopologySpread",
        "InterPodAffinity",
        "ImageLocality",
    }
    assert len(found.reasons) >= 10


@pytest.mark.parametrize("name", PROFILES)
def test_other_profiles_agree(plane: ControlPlane, name: str) -> None:
    config = {"profiles": [PROFILES[name]]}
    profile = parse_profile({"kind": "KubeSchedulerConfiguration", **config}, "profile")
    program = plane.start_scheduler(config=config, verbosity=10)
    found = replay(LiveScheduler(plane, program, profile.settings), range(500, 502), name)
    assert found.differences == []
    assert found.pods == 2 * PODS_PER_CASE
    assert profile.warnings == ()


def simple_node(name: str, cpu: str) -> dict[str, Any]:
    resources = {"cpu": cpu, "memory": "64Gi", "pods": "110"}
    labels = {"kubernetes.io/hostname": name}
    status = {"allocatable": resources, "capacity": resources}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}, "status": status}


def simple_pod(name: str, space: str, cpu: str, priority: str = "", **spec: Any) -> dict[str, Any]:
    container = {"name": "c", "image": "x", "resources": {"requests": {"cpu": cpu, "memory": "64Mi"}}}
    more = {"priorityClassName": priority} if priority else {}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": space, "labels": {"app": name}},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 0, **more, **spec},
    }


def priority_class(name: str, value: int) -> dict[str, Any]:
    return {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}, "value": value}


def clear(plane: ControlPlane) -> None:
    """Remove every pod and node."""
    http = plane.http()
    for pod in http.get("/api/v1/pods").json()["items"]:
        http.request("DELETE", pod_path(pod), json={"gracePeriodSeconds": 0}).raise_for_status()
    http.delete("/api/v1/nodes").raise_for_status()


@pytest.fixture
def empty(plane: ControlPlane) -> Iterator[str]:
    """A namespace on a cluster without nodes, and three priority classes."""
    for name, value in (("low", -5), ("mid", 10), ("high", 1000)):
        plane.http().post("/apis/scheduling.k8s.io/v1/priorityclasses", json=priority_class(name, value))
    yield plane.namespace("order")
    clear(plane)


def create(plane: ControlPlane, *documents: dict[str, Any]) -> None:
    for document in documents:
        path = "/api/v1/nodes" if document["kind"] == "Node" else pods_path(document)
        plane.http().post(path, json=document).raise_for_status()


def snapshot(plane: ControlPlane) -> list[dict[str, Any]]:
    """Nodes, pods, priority classes and budgets as the API server prints them."""
    found = []
    for kind, path in (
        ("Node", "/api/v1/nodes"),
        ("Pod", "/api/v1/pods"),
        ("PodDisruptionBudget", "/apis/policy/v1/poddisruptionbudgets"),
    ):
        found += [{"kind": kind, **item} for item in plane.http().get(path).json()["items"]]
    return found


def bindings(plane: ControlPlane) -> dict[str, str]:
    return {pod["metadata"]["name"]: pod["spec"].get("nodeName", "") for pod in plane.http().get("/api/v1/pods").json()["items"]}


def test_the_queue_takes_high_priority_first_and_retries_pods_that_waited_for_company(plane: ControlPlane, empty: str) -> None:
    """Four cores: high-1, mid-1 and base by priority leave one; company, which waited for base, takes it; low-1 needs two."""
    plane.stop_program("kube-scheduler")
    term = {"labelSelector": {"matchLabels": {"app": "base"}}, "topologyKey": "kubernetes.io/hostname"}
    affinity = {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    create(
        plane,
        simple_node("q0", "4"),
        simple_pod("low-1", empty, "2", "low"),
        simple_pod("company", empty, "1", "high", affinity=affinity),
        simple_pod("base", empty, "1"),
        simple_pod("mid-1", empty, "1", "mid"),
        simple_pod("high-1", empty, "1", "high"),
    )
    ours = {answer.pod.name: answer.node or "" for answer in place(read_objects(snapshot(plane))).pods}
    plane.start_scheduler()
    wait_for(lambda: sum(map(bool, bindings(plane).values())) == 4, "four pods to be bound")
    assert bindings(plane) == ours == {"low-1": "", "company": "q0", "base": "q0", "mid-1": "q0", "high-1": "q0"}


def away_from(app: str) -> dict[str, Any]:
    """Required anti-affinity to pods of `app` on the same node."""
    term = {"labelSelector": {"matchLabels": {"app": app}}, "topologyKey": "kubernetes.io/hostname"}
    return {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}


@pytest.mark.parametrize("seed", range(8))
def test_preemption_takes_the_same_node_and_the_same_victims(plane: ControlPlane, empty: str, seed: int) -> None:
    """Three full nodes with pods of random priority, size and age, one app protected by a budget; then a high pod.

    Every other time the pod also refuses to stand beside one of the apps, so that more must leave than room asks for.
    """
    program = plane.start_scheduler()
    generator = Generator(seed, "x")
    create(plane, *(simple_node(f"n{i}", "6") for i in range(3)))
    for number in range(12):
        pod = simple_pod(f"v{number:02d}", empty, generator.pick(("1", "1500m", "2")), generator.pick(("low", "mid", "")))
        pod["spec"]["nodeName"] = f"n{number % 3}"
        pod["metadata"]["labels"]["app"] = generator.pick(("kept", "free"))
        create(plane, pod)
        started = {"status": {"startTime": f"2026-01-01T00:{(number * 7) % 60:02d}:00Z", "phase": "Running"}}
        headers = {"Content-Type": "application/merge-patch+json"}
        plane.http().patch(f"{pod_path(pod)}/status", json=started, headers=headers).raise_for_status()
    protect(plane, empty, generator.pick((0, 1)))
    before = set(bindings(plane))
    wishes = {"affinity": away_from(generator.pick(("kept", "free")))} if seed % 2 else {}
    create(plane, simple_pod("urgent", empty, "3", "high", schedulerName="later", **wishes))
    urgent = [
        {**item, "spec": {**item["spec"], "schedulerName": "default-scheduler"}} if item["kind"] == "Pod" else item
        for item in snapshot(plane)
    ]
    [ours] = place(read_objects(urgent)).pods
    plane.http().request("DELETE", pod_path(simple_pod("urgent", empty, "3")), json={"gracePeriodSeconds": 0})
    create(plane, simple_pod("urgent", empty, "3", "high", **wishes))
    wait_for(lambda: bool(bindings(plane).get("urgent")), f"urgent to be bound; {program.tail(5)}")
    after = bindings(plane)
    assert ours.preempted
    assert after["urgent"] == ours.node
    assert before - set(after) == {key.split("/")[1] for key in ours.preempted}


def protect(plane: ControlPlane, space: str, allowed: int) -> None:
    """A disruption budget over app=kept that allows `allowed` disruptions now."""
    http, path = plane.http(), f"/apis/policy/v1/namespaces/{space}/poddisruptionbudgets"
    selector = {"matchLabels": {"app": "kept"}}
    budget = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "kept", "namespace": space},
        "spec": {"minAvailable": 1, "selector": selector},
    }
    http.post(path, json=budget).raise_for_status()
    status = {"status": {"disruptionsAllowed": allowed, "currentHealthy": 9, "desiredHealthy": 9, "expectedPods": 9}}
    headers = {"Content-Type": "application/merge-patch+json"}
    http.patch(f"{path}/kept/status", json=status, headers=headers).raise_for_status()
