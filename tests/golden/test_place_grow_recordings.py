"""`place --grow` against the recorded single decisions of the real Cluster Autoscaler."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kube_objects import pod_document
from simulator.engine.autoscalers.cluster_autoscaler_flags import read_groups
from simulator.engine.autoscalers.place_growth import growth_document
from simulator.engine.kube.objects_reader import read_objects
from simulator.engine.kube.place import PlaceOptions, place


def pods_of(shapes: dict[str, Any]) -> list[dict[str, Any]]:
    """`count` pods of each shape, named by shape."""
    found = []
    for name, shape in shapes.items():
        requests = {key: str(value) for key, value in shape.items() if key != "count"}
        for number in range(shape["count"]):
            pod = pod_document(f"{name}-{number}", labels={"app": name})
            pod["spec"]["containers"][0]["resources"]["requests"] = requests
            found.append(pod)
    return found


@pytest.mark.parametrize("number", range(16))
def test_pending_pods_of_a_recorded_case_grow_the_recorded_groups(recordings: Path, number: int) -> None:
    case = json.loads((recordings / "cluster-autoscaler" / "single-decisions.json").read_text())["cases"][number]
    placement = place(read_objects(pods_of(case["pods"])), options=PlaceOptions(nodes_needed=False))
    groups = {key: case[key] for key in ("groups", "priorities", "expander") if case.get(key) is not None}
    found = growth_document(placement, read_groups(groups, case["case"]))
    assert found["plans"] == case["plans"]
    assert {group: nodes for group, nodes in found["nodes_after"].items() if nodes} == {
        group: nodes for group, nodes in case["nodes_after"].items() if nodes
    }
