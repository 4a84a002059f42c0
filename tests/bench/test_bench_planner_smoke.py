"""The planner's benchmark runs at a small size and its two methods agree."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest


@pytest.mark.bench
def test_fluid_benchmark_prints_rows_and_agrees_with_the_sort_method():
    spec = importlib.util.spec_from_file_location("bench_planner", Path(__file__).with_name("bench_planner.py"))
    bench = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bench)
    rows = bench.rows("small")
    assert {"name", "measured", "unit", "target", "passed"} <= set(rows[0])
    assert rows[0]["measured"] > 0
    named = {row["name"]: row for row in rows}
    assert named["fluid all-K equals the sort method"]["passed"]
    assert named["zone plan, certified gap"]["passed"]
