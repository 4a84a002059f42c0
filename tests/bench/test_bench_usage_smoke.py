"""The usage benchmark runs at its small size, and both parsers of it agree."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

pytestmark = pytest.mark.bench


def test_every_row_is_measured() -> None:
    spec = importlib.util.spec_from_file_location("bench_usage", Path(__file__).with_name("bench_usage.py"))
    assert spec
    assert spec.loader
    bench = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bench)
    found = {row["name"]: row for row in bench.rows("small")}
    assert found["Prometheus parser, 17-digit values"]["passed"]
    assert found["Prometheus parser, values of 5 digits"]["passed"]
    assert found["import of 0.00 M samples, peak memory"]["measured"] > 0
    assert found["parquet usage of 0.00 M rows (0 MiB), peak memory"]["measured"] > 0
    assert found["parquet usage of 0.00 M rows (0 MiB), into a store"]["passed"]
    assert all(set(row) == {"name", "measured", "unit", "target", "passed"} for row in found.values())
