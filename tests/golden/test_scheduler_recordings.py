"""Against recorded decisions of the real kube-scheduler 1.36.3: every score, choice, refusal and event text of 371 pods."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from simulator.engine.kube.cluster_state import Cluster
from simulator.engine.kube.objects_reader import read_objects
from simulator.engine.kube.place import PlaceOptions, place
from simulator.engine.kube.place_report import placement_document
from simulator.engine.kube.plugins import Settings
from simulator.engine.kube.scheduler import decide

CLUSTERS = range(1, 7)


def load(recordings: Path, number: int) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((recordings / "kube-scheduler" / f"cluster-{number}.json").read_text())
    return found


def bound(pod: dict[str, Any], node: str | None) -> dict[str, Any]:
    """The recorded pod naming the node that the real scheduler chose."""
    return {**pod, "spec": {**pod["spec"], **({"nodeName": node} if node else {})}}


def replay(recordings: Path, number: int, settings: Settings | None = None) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Our answers and the recorded decisions, pod by pod, following the real choice."""
    case = load(recordings, number)
    pods = [bound(pod, decision["node"]) for pod, decision in zip(case["pods"], case["decisions"], strict=True)]
    options = PlaceOptions(follow=True, settings=settings or Settings())
    placement = place(read_objects(case["nodes"]), read_objects(pods), options)
    return placement_document(placement)["pods"], case["decisions"]


@pytest.mark.parametrize("number", CLUSTERS)
def test_every_weighted_plugin_score_of_every_node_equals_the_recorded_one(recordings: Path, number: int) -> None:
    ours, theirs = replay(recordings, number)
    scored = [(mine["scores"], real["scores"]) for mine, real in zip(ours, theirs, strict=True) if "scores" in real]
    assert scored
    for mine, real in scored:
        assert mine == real


@pytest.mark.parametrize("number", CLUSTERS)
def test_every_recorded_choice_is_among_our_best_nodes(recordings: Path, number: int) -> None:
    ours, theirs = replay(recordings, number)
    chosen = [(mine["best"], real["node"]) for mine, real in zip(ours, theirs, strict=True) if real["node"]]
    assert chosen
    assert [node for best, node in chosen if node not in best] == []


@pytest.mark.parametrize("number", CLUSTERS)
def test_every_recorded_refusal_is_refused_with_the_same_event_text(recordings: Path, number: int) -> None:
    ours, theirs = replay(recordings, number)
    refused = [(mine["message"], real["message"]) for mine, real in zip(ours, theirs, strict=True) if real["node"] is None]
    assert [mine for mine, _ in refused] == [real for _, real in refused]


def test_the_recordings_hold_371_pods_of_which_33_are_refused(recordings: Path) -> None:
    decisions = [decision for number in CLUSTERS for decision in load(recordings, number)["decisions"]]
    assert len(decisions) == 371
    assert sum(decision["node"] is None for decision in decisions) == 33


def test_the_classic_balance_formula_of_1_35_differs_from_the_recorded_scores(recordings: Path) -> None:
    ours, theirs = replay(recordings, 1, Settings(kubernetes_minor=35))
    name = "NodeResourcesBalancedAllocation"
    pairs = [
        (mine["scores"][node].get(name), real["scores"][node].get(name))
        for mine, real in zip(ours, theirs, strict=True)
        for node in real.get("scores", {})
    ]
    assert any(mine != real for mine, real in pairs)


@pytest.mark.parametrize(("minor", "balance"), [(36, [72, 75, 66]), (35, [95, 100, 83])])
def test_published_score_table_of_three_empty_nodes(minor: int, balance: list[int]) -> None:
    """1500m and 3 Gi on 8/32, 16/32 and 4/64: for instance n0 free 81.25 % and 90.625 %, (81 + 90) // 2 = 85."""
    nodes = [
        {
            "kind": "Node",
            "metadata": {"name": name},
            "status": {"allocatable": {"cpu": cpu, "memory": memory, "pods": "110"}},
        }
        for name, cpu, memory in (("n0", "8", "32Gi"), ("n1", "16", "32Gi"), ("n2", "4", "64Gi"))
    ]
    requests = {"cpu": "1500m", "memory": "3Gi"}
    pod = {"kind": "Pod", "metadata": {"name": "p0"}, "spec": {"containers": [{"name": "c", "resources": {"requests": requests}}]}}
    objects = read_objects([*nodes, pod])
    decision = decide(Cluster(objects.nodes), objects.pods[0], Settings(kubernetes_minor=minor))
    assert decision.scores["NodeResourcesFit"].tolist() == [85, 90, 78]
    assert decision.scores["NodeResourcesBalancedAllocation"].tolist() == balance
    assert decision.scores["TaintToleration"].tolist() == [300, 300, 300]
