"""`burstline bench` runs every benchmark of a family at its small size and prints its rows."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from simulator.cli import group


@pytest.mark.bench
@pytest.mark.parametrize("only", ["planner", "usage"])
def test_speed_rows_carry_the_promised_keys(only: str) -> None:
    done = CliRunner().invoke(group, ["bench", "speed", "--scale", "small", "--only", only, "--json"], standalone_mode=False)
    assert done.exception is None, done.exception
    rows = json.loads(done.stdout)["rows"]
    assert rows
    assert all({"name", "measured", "unit", "target", "passed"} <= set(row) for row in rows)


@pytest.mark.bench
def test_fidelity_rows_agree_with_the_recordings() -> None:
    done = CliRunner().invoke(group, ["bench", "fidelity", "--scale", "small", "--json"], standalone_mode=False)
    rows = json.loads(done.stdout)["rows"]
    assert len(rows) == 7
    assert all(row["passed"] for row in rows if row["name"].startswith("kube-scheduler")), rows
    assert all(row["measured"] > 0 for row in rows)  # two seeds: the distance of twenty is held by the golden tests
