"""A scenario's workloads from the outside: `burstline simulate` and `plan` on the shipped scenarios that list them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BURSTLINE = Path(sys.executable).parent / "burstline"


def burstline(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([BURSTLINE, *arguments], cwd=folder, capture_output=True, text=True, timeout=300, check=False)


def document(*arguments: str, folder: Path) -> dict[str, Any]:
    done = burstline(*arguments, "--json", folder=folder)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_ten_to_seventy_in_under_two_minutes_on_warm_nodes_and_minutes_without(tmp_path: Path) -> None:
    """The load grows at nine; the sample of 32,400 s is seen 15 s later; three syncs follow. Two nodes hold 26 of the 70 pods."""
    call = ("simulate", "ten-to-seventy", "--nodes", "prod=11", "--hours", "12")
    warm = document(*call, folder=tmp_path)["workloads"]["public/citizen-portal"]
    assert warm["replicas"][:4] == [[0.0, 10], [32415.0, 20], [32430.0, 40], [32445.0, 70]]
    (growth, *_) = warm["scale_outs"]
    assert (growth["from"], growth["to"]) == (10, 70)
    assert 45.0 < growth["load_to_ready_s"] < 120.0
    assert warm["headroom"]["warm_pods"] == {"prod": 60}
    assert warm["headroom"]["warm_nodes"]["prod"] >= 4
    cold = document(*call, "--override", "vm-nodes", folder=tmp_path)["workloads"]["public/citizen-portal"]
    assert cold["replicas"][:4] == warm["replicas"][:4]
    assert cold["scale_outs"][0]["load_to_ready_s"] > 120.0
    assert cold["wait_s"]["p95"] > 60.0


def test_a_mesh_shows_in_nodes_and_people_read_the_same_numbers(tmp_path: Path) -> None:
    call = ("simulate", "ten-to-seventy", "--nodes", "prod=11", "--hours", "12", "--override", "istio")
    platform = document(*call, folder=tmp_path)["platform"]
    assert platform["mesh"] == "istio"
    assert platform["nodes_by_mesh"]["istio"]["memory_gb"] == pytest.approx(platform["meshed_pods_peak"] * 0.156)
    printed = burstline(*call, folder=tmp_path)
    assert "public/citizen-portal: 10 to 70 replicas at 32,415 s" in printed.stdout.replace("\n", " ")
    assert "mesh istio *: proxies of" in printed.stdout


def test_training_by_night_leaves_inference_as_it_is(tmp_path: Path) -> None:
    """The same start times with and without training, more GPU-hours with it, the canary's GPUs as head-room."""
    call = ("simulate", "night-training-gpu", "--nodes", "gpu-farm=4", "--hours", "72")
    both = document(*call, folder=tmp_path)
    alone = document(*call, "--override", "inference-only", folder=tmp_path)
    served = both["workloads"]["inference/counsel"]
    assert served["ready_s"] == alone["workloads"]["inference/counsel"]["ready_s"]
    assert served["wait_s"]["p99"] == 0.0
    gang = both["workloads"]["training/train-large"]["runs"]
    assert (gang["completed"], gang["timed_out"], gang["start_delay_s"]["p99"]) == (2.0, 0.0, 0.0)  # the third night still runs
    assert served["headroom"]["surge_extended"] == {"nvidia.com/gpu": 3}
    assert set(alone["workloads"]) == {"inference/counsel"}
    assert both["zones"]["gpu-farm"]["utilisation"] > 1.3 * alone["zones"]["gpu-farm"]["utilisation"]


def test_a_plan_counts_what_the_workloads_are_expected_to_ask_for(tmp_path: Path) -> None:
    """The release beside 70 pods asks for 140 cores at once: at least 140 / 15 nodes of 16 vCPU, whose packing is measured."""
    found = document("plan", "ten-to-seventy", folder=tmp_path)
    assert 10 <= found["recommendation"]["private_nodes"] <= 16
    assert found["verification"]["slo_met"]


def test_a_gang_that_never_fits_is_told_and_fails_the_plan(tmp_path: Path) -> None:
    """A member of 100 cores fits on no node: nothing is placed, nothing is lost in silence."""
    row = "{kind: gang, name: big, cpu_m: 100000, memory_mib: 1024, members: 2, at_h: [1], duration_s: 60}"
    desk = "{kind: deployment, name: desk, cpu_m: 1000, memory_mib: 1024, replicas: 20}"
    text = (
        f"scenario: big\ndemand: {{measured: false}}\nengine: {{horizon_hours: 48, replications: 1}}\nworkloads:\n  - {row}\n  - {desk}\n"
    )
    (tmp_path / "big.yaml").write_text(text, encoding="utf-8")
    done = burstline("simulate", "big.yaml", "--nodes", "prod-bm=2", folder=tmp_path)
    assert "extra/big: runs: 0 completed, 0 running, 1 waiting" in done.stdout.replace("\n", " ")
    assert document("plan", "big.yaml", folder=tmp_path)["verification"]["slo_met"] is False


def test_a_wrong_workload_is_refused_without_a_traceback(tmp_path: Path) -> None:
    row = "{kind: cronjob, name: night, cpu_m: 1, memory_mib: 1, schedule: '0 25 * * *', duration_s: 60}"
    (tmp_path / "wrong.yaml").write_text(f"scenario: wrong\nworkloads:\n  - {row}\n", encoding="utf-8")
    done = burstline("simulate", "wrong.yaml", "--hours", "24", folder=tmp_path)
    assert done.returncode == 2
    assert "hour lies in 0..23" in done.stderr
    assert "Traceback" not in done.stderr
