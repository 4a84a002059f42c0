"""Agreement with what the real programs were recorded doing; `burstline bench fidelity` prints the rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from simulator.engine.autoscalers.replay import replay
from simulator.engine.autoscalers.replay_agreement import agreement
from simulator.engine.kube.objects_reader import read_objects
from simulator.engine.kube.place import PlaceOptions, place
from simulator.engine.kube.place_report import placement_document

RECORDINGS = Path(__file__).resolve().parents[1] / "recordings"
REPLAYS = ("private-first", "utilisation-threshold", "minimum-kept", "day-one-shape")
SEEDS = {"full": 20, "small": 2}


def scheduler_rows() -> list[dict[str, Any]]:
    """Share of recorded plug-in scores, choices and refusals that are equal, over the six clusters."""
    equal = {"scores": 0, "choices": 0, "refusals": 0}
    seen = dict.fromkeys(equal, 0)
    for path in sorted((RECORDINGS / "kube-scheduler").glob("cluster-*.json")):
        case = json.loads(path.read_text(encoding="utf-8"))
        decided = zip(case["pods"], case["decisions"], strict=True)
        pods = [{**pod, "spec": {**pod["spec"], **({"nodeName": real["node"]} if real["node"] else {})}} for pod, real in decided]
        ours = placement_document(place(read_objects(case["nodes"]), read_objects(pods), PlaceOptions(follow=True)))["pods"]
        for mine, real in zip(ours, case["decisions"], strict=True):
            checks = {"choices": mine["best"] and real["node"] in mine["best"]} if real["node"] else {"refusals": mine["node"] is None}
            if "scores" in real:
                checks["scores"] = mine["scores"] == real["scores"]
            for name, holds in checks.items():
                seen[name] += 1
                equal[name] += bool(holds)
    return [
        {"name": f"kube-scheduler {name}, {seen[name]} recorded", "measured": 100.0 * equal[name] / seen[name], "unit": "% equal",
         "target": 100.0, "passed": equal[name] == seen[name]}
        for name in equal
    ]  # fmt: skip


def replay_row(name: str, seeds: int) -> dict[str, Any]:
    """Mean distance of our seeds from the recorded runs, in nodes; passed also asks for the node-seconds of every group."""
    document = json.loads((RECORDINGS / "cluster-autoscaler" / f"{name}.json").read_text(encoding="utf-8"))
    real = [run["samples"] for run in document["runs"]]
    found = agreement(real, [replay(document, seed).document()["samples"] for seed in range(seeds)])
    passed = found.holds if seeds == SEEDS["full"] else found.ours <= found.limit
    return {"name": f"Cluster Autoscaler {name}", "measured": found.ours, "unit": "nodes", "target": found.limit, "passed": passed}


def rows(scale: str) -> list[dict[str, Any]]:
    """Every recording whose agreement is one number."""
    return [*scheduler_rows(), *(replay_row(name, SEEDS[scale]) for name in REPLAYS)]
