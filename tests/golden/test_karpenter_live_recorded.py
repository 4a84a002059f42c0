"""Cases run for this project with the real Karpenter: taints, zones, spread, affinity, limits, minValues, GPUs, DaemonSets, own nodes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from simulator.engine.autoscalers.replay import replay

FOLDER = Path(__file__).resolve().parents[1] / "recordings" / "karpenter-live"
DECISIONS = json.loads((FOLDER / "decisions.json").read_text())
CURVES = json.loads((FOLDER / "curves.json").read_text())
LIMITED = json.loads((FOLDER / "limited-spread.json").read_text())
SHARED = {key: DECISIONS[key] for key in ("instance_types", "overhead")}
WATCHED_S = 25


def document(case: dict[str, Any]) -> dict[str, Any]:
    shapes = case["pods"]
    kept = {key: case[key] for key in ("zones", "pools", "owned_nodes", "daemonsets") if key in case}
    return {**SHARED, **kept, "shapes": shapes, "replicas_by_second": {name: [body["count"]] * WATCHED_S for name, body in shapes.items()}}


@pytest.mark.parametrize("case", DECISIONS["cases"], ids=lambda case: str(case["case"]))
def test_nodes_and_pending_pods_equal_the_real_ones_whatever_the_seed(case: dict[str, Any]) -> None:
    for seed in (0, 1):
        run = replay(document(case), seed)
        nodes = {group: int(count) for group, count in run.nodes_at_end().items() if count and not group.endswith("/owned")}
        assert nodes == case["run"]["nodes"]
        assert run.rows[-1][-1] == case["run"]["pending"]


@pytest.mark.parametrize("case", CURVES["cases"], ids=lambda case: str(case["case"]))
def test_mean_price_of_a_curve_is_near_and_rest_is_the_real_one(case: dict[str, Any]) -> None:
    """Within 7 %: the real Karpenter had been running, so its looks fall at other seconds than ours."""
    runs = [replay({**SHARED, **case["input"]}, seed) for seed in range(6)]
    ours = sum(run.mean_usd_per_h or 0.0 for run in runs) / len(runs)
    assert ours == pytest.approx(case["mean_usd_per_h"], rel=0.07)
    ends = [{group: int(count) for group, count in run.nodes_at_end().items() if count} for run in runs]
    assert case["nodes_at_end"] in ends
    assert all(run.rows[-1][-1] == case["pending_at_end"] for run in runs)


def test_a_second_round_waits_for_the_first_node_in_most_seeds_as_in_every_real_run() -> None:
    """A limit lets one pod of nine have a node in the first round; the others find room on it once it is ready.

    In an empty cluster pods are looked at again at the end of a second of the wall clock, so where that lies decides.
    """
    assert LIMITED["runs"] == [{"nodes": {"p0/r5.large/spot": 1}, "pending": 0}] * 5
    shared = {key: LIMITED[key] for key in ("instance_types", "overhead")}
    runs = [replay({**document(LIMITED["case"]), **shared}, seed) for seed in range(20)]
    assert all(run.rows[-1][-1] == 0 for run in runs)
    counts = [run.nodes_at_end()["p0/r5.large/spot"] for run in runs]
    assert counts.count(1) >= 14
    assert max(counts) == 2
