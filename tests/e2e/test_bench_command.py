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
