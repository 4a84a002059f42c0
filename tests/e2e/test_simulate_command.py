"""`burstline simulate` from the outside: keys, files, exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BURSTLINE = Path(sys.executable).parent / "burstline"


def burstline(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([BURSTLINE, *arguments], cwd=folder, capture_output=True, text=True, timeout=300, check=False)


def test_a_short_run_prints_its_keys_and_writes_its_files(tmp_path: Path) -> None:
    done = burstline("simulate", "half-private-40", "--hours", "48", "--replications", "2", "--json", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    keys = {"zones", "pending_s", "burst_node_hours", "failures", "conservation_error", "pods", "wall_s"}
    assert keys <= set(document)
    assert set(document["zones"]) == {"prod-bm", "aws"}
    assert document["zones"]["prod-bm"]["node_hours"] == pytest.approx(40 * 48, rel=0.02)
    assert document["conservation_error"] < 1e-6
    assert sorted(path.name for path in (tmp_path / "out" / "simulate").iterdir()) == ["hourly.parquet", "outcome.json", "pending.parquet"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--nodes", "prod-bm=many"), "ZONE=N"),
        (("--nodes", "moon=3"), "prod-bm"),
        (("--plan", "absent.json"), "absent.json"),
    ],
)
def test_what_cannot_be_used_is_said_and_nothing_is_written(tmp_path: Path, arguments: tuple[str, str], says: str) -> None:
    done = burstline("simulate", "half-private-40", "--hours", "24", *arguments, folder=tmp_path)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()
