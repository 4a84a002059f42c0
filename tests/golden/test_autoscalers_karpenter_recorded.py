"""The recorded decisions of the real Karpenter 1.14.1, and the facts of the recordings' page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from simulator.engine.autoscalers.replay import Replay, replay

FOLDER = Path(__file__).resolve().parents[1] / "recordings" / "karpenter"
SINGLE = json.loads((FOLDER / "single-decisions.json").read_text())
LIVE = json.loads((FOLDER.parent / "karpenter-live" / "mixed.json").read_text())
CASES = {case["case"]: case for case in SINGLE["cases"]}
SEEDS = 10
SECONDS = 25


def usd_per_h(group: str) -> float:
    _, name, kind = group.split("/")
    price = SINGLE["instance_types"].get(name, {"usd_per_h": 0.0})["usd_per_h"]
    return float(price * (SINGLE["spot_factor"] if kind == "spot" else 1.0))


def document(case: dict[str, Any]) -> dict[str, Any]:
    return {
        **{key: SINGLE[key] for key in ("instance_types", "overhead", "spot_factor")},
        "pools": case["pools"],
        "batch": {"idle": "1s", "max": "10s"},
        "shapes": {name: {"cpu": pod["cpu"], "memory": pod["memory"]} for name, pod in case["pods"].items()},
        "replicas_by_second": {name: [pod["count"]] * SECONDS for name, pod in case["pods"].items()},
    }


def nodes(run: Replay) -> dict[str, int]:
    return {group: int(count) for group, count in run.nodes_at_end().items() if count}


def recorded(name: str) -> dict[str, Any]:
    return json.loads((FOLDER / f"{name}.json").read_text())


def mean_price(samples: dict[str, Any]) -> float:
    groups = samples["columns"]
    hourly = [sum(n * usd_per_h(g) for g, n in zip(groups, row, strict=True) if g.count("/") == 2) for row in samples["rows"]]
    return sum(hourly) / len(hourly)


@pytest.fixture(scope="module")
def day() -> list[Replay]:
    return [replay(recorded("day-consolidation"), seed) for seed in range(SEEDS)]


@pytest.fixture(scope="module")
def back() -> list[Replay]:
    return [replay(recorded("return-to-private"), seed) for seed in range(SEEDS)]


STABLE = [name for name, case in CASES.items() if all(run["nodes"] == case["runs"][0]["nodes"] for run in case["runs"])]
VARYING = [name for name in CASES if name not in STABLE]


def price(found: dict[str, int]) -> float:
    return sum(count * usd_per_h(group) for group, count in found.items())


@pytest.mark.parametrize("name", STABLE)
def test_single_decision_equals_the_recorded_where_the_real_runs_agree(name: str) -> None:
    ours, runs = replay(document(CASES[name])), CASES[name]["runs"]
    assert nodes(ours) == runs[0]["nodes"]
    assert ours.rows[-1][-2:] == (runs[0]["bound"], runs[0]["pending"])


@pytest.mark.parametrize("name", VARYING)
def test_where_the_real_runs_differ_our_prices_lie_around_theirs(name: str) -> None:
    """Thirty-two real runs of each case: their mean price within 3 %, and at least half of our seeds near the first three."""
    real = [*(run["nodes"] for run in CASES[name]["runs"]), *LIVE["runs"][name]]
    runs = [replay(document(CASES[name]), seed) for seed in range(20)]
    assert all(run.rows[-1][-1] == 0 for run in runs)
    ours = [price(nodes(run)) for run in runs]
    assert sum(ours) / len(ours) == pytest.approx(sum(map(price, real)) / len(real), rel=0.03)
    low, high = (f(run["usd_per_h"] for run in CASES[name]["runs"]) for f in (min, max))
    within = sum(0.97 * low <= value <= 1.03 * high for value in ours)
    assert within >= 10  # of the 32 real runs themselves 22, 22 and 27 lie there


@pytest.mark.parametrize("name", STABLE)
@pytest.mark.parametrize("seed", [2, 3])
def test_stable_decisions_do_not_depend_on_the_seed(name: str, seed: int) -> None:
    assert nodes(replay(document(CASES[name]), seed)) == CASES[name]["runs"][0]["nodes"]


def test_mean_price_of_the_day_is_within_five_percent(day: list[Replay]) -> None:
    real = [mean_price(run["samples"]) for run in recorded("day-consolidation")["runs"]]
    ours = [run.mean_usd_per_h or 0.0 for run in day]
    assert sum(ours) / len(ours) == pytest.approx(sum(real) / len(real), rel=0.05)


def test_mean_price_of_the_return_is_within_five_percent(back: list[Replay]) -> None:
    real = [mean_price(run["samples"]) for run in recorded("return-to-private")["runs"]]
    ours = [run.mean_usd_per_h or 0.0 for run in back]
    assert sum(ours) / len(ours) == pytest.approx(sum(real) / len(real), rel=0.05)


def test_return_to_private_rests_at_the_recorded_nodes(back: list[Replay]) -> None:
    last = recorded("return-to-private")["runs"][0]["samples"]
    expected = dict(zip(last["columns"][1:-2], last["rows"][-1][1:-2], strict=True))
    assert all({group: int(count) for group, count in run.nodes_at_end().items()} == expected for run in back)


def test_fact_5_consolidation_brings_burst_back_to_owned_nodes(back: list[Replay]) -> None:
    burst = "burst/m5.4xlarge/on-demand"
    for run in back:
        at = run.columns.index(burst)
        by_second = {row[0]: row for row in run.rows}
        assert by_second[40.0][at] == 20
        assert by_second[110.0][at] == 0
        assert by_second[110.0][run.columns.index("bound")] == 60
        first_gone = min(down["second"] for down in run.scale_downs)
        assert 60.0 < first_gone < 80.0  # pods leave at 45 s; 5 s quiet, up to 10 s to the look, 15 s validation, 5 s to go


def test_when_empty_leaves_burst_beside_empty_owned_nodes() -> None:
    policy = recorded("return-to-private")
    for pool in policy["pools"]:
        pool["disruption"]["consolidationPolicy"] = "WhenEmpty"
    policy["replicas_by_second"] = {"web": policy["replicas_by_second"]["web"][:165]}
    run = replay(policy)
    assert run.nodes_at_end()["burst/m5.4xlarge/on-demand"] >= 15  # the real one kept all 20, by which pods left
    assert run.rows[-1][-2:] == (60, 0)
