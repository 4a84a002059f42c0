"""The bill benchmark runs at its small size."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

pytestmark = pytest.mark.bench


def test_every_row_is_measured() -> None:
    spec = importlib.util.spec_from_file_location("bench_bills", Path(__file__).with_name("bench_bills.py"))
    assert spec
    assert spec.loader
    bench = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bench)
    found = {row["name"]: row for row in bench.rows("small")}
    assert found["import of 0.05 M rows of parquet, peak memory"]["passed"]
    assert all(set(row) == {"name", "measured", "unit", "target", "passed"} for row in found.values())
    assert all(row["measured"] > 0 for row in found.values())
