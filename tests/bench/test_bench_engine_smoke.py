"""The engine's benchmark runs at a small size, and what must be equal is equal."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest


@pytest.mark.bench
def test_engine_benchmark_prints_rows_and_its_equalities_hold() -> None:
    spec = importlib.util.spec_from_file_location("bench_engine", Path(__file__).with_name("bench_engine.py"))
    assert spec is not None
    assert spec.loader is not None
    bench = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bench)
    rows = bench.rows("small")
    assert all(set(row) == {"name", "measured", "unit", "target", "passed"} for row in rows)
    equal = [row for row in rows if row["unit"] == "%"]
    assert len(equal) >= 5
    assert all(row["measured"] == 100 for row in equal)
