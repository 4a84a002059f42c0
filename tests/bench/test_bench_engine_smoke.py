"""The engine's benchmark runs at a small size, and what must be equal is equal."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest


def rows_of(name: str) -> list[dict[str, object]]:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    bench = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bench)
    rows: list[dict[str, object]] = bench.rows("small")
    assert all(set(row) == {"name", "measured", "unit", "target", "passed"} for row in rows)
    return rows


@pytest.mark.bench
def test_engine_benchmark_prints_rows_and_its_equalities_hold() -> None:
    equal = [row for row in rows_of("bench_engine") if row["unit"] == "%"]
    assert len(equal) >= 5
    assert all(row["measured"] == 100 for row in equal)


@pytest.mark.bench
def test_trace_benchmark_prints_rows(shared_data: Path) -> None:
    rows = {str(row["name"]): row for row in rows_of("bench_engine_traces")}
    assert rows["Azure 2017: placed + waiting = arrived"]["measured"] == 100
    assert any(name.startswith("peak memory") for name in rows)
