"""Benchmarks of the planner: the fluid tier against summing the demand array once, and the pooled zone plan with its certified gap."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np

from models.demand import Demand
from models.horizon import Horizon
from models.resources import ResourceAxes
from simulator import catalog
from simulator.planner.fluid import overflow
from simulator.planner.kernels import _suffix_sums
from simulator.planner.optimise import plan_zones

RUNS = 7
TARGET = 12.0


def _median_s(work: Callable[[], object]) -> float:
    seconds = []
    for _ in range(RUNS):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def _sort_method(demand: np.ndarray, top: int) -> np.ndarray:
    """Overflow by sorting and prefix sums, scenario by scenario: the slower way that must agree."""
    capacities = np.arange(top + 1)
    rows = []
    for row in demand.astype(np.float64):
        ordered = np.sort(row)
        above = np.concatenate((np.cumsum(ordered[::-1])[::-1], [0.0]))
        first = np.searchsorted(ordered, capacities, side="right")
        rows.append(above[first] - capacities * (ordered.size - first))
    return np.array(rows)


def fluid_rows(part: float) -> list[dict[str, Any]]:
    """Fluid tier / np.sum of the demand, float32, 1,000 x part scenarios of a year, capacities 0..500, one core."""
    scenarios = max(1, round(1000 * part))
    demand = np.random.Generator(np.random.PCG64(7)).uniform(0, 500, (scenarios, 8760)).astype(np.float32)
    node_hours, hours = np.empty((scenarios, 501)), np.empty((scenarios, 501), np.int64)
    few = demand[: min(scenarios, 20)]
    equal = bool(np.allclose(overflow(few, 500).node_hours, _sort_method(few, 500), rtol=1e-9, atol=1e-6))
    fluid = _median_s(lambda: _suffix_sums(demand, 500, node_hours, hours))
    ratio = fluid / _median_s(lambda: np.sum(demand))
    return [
        {"name": "fluid all-K / np.sum of the demand", "measured": ratio, "unit": "ratio", "target": TARGET, "passed": ratio <= TARGET},
        {"name": "fluid all-K equals the sort method", "measured": float(equal), "unit": "1 = equal", "target": 1.0, "passed": equal},
    ]  # fmt: skip


def zone_plan_rows(part: float) -> list[dict[str, Any]]:
    """Pooled zone plan: three zones, five yearly phases, 20 x part futures of a year each, clustering and both bounds included."""
    scenario = catalog.load_scenario("half-private-40")
    zone = scenario.model_dump(mode="json")["zones"][0]
    zones = [
        zone | {"max_nodes": 30},
        zone | {"name": "large", "server": "c192m768", "max_nodes": 6},
        zone | {"name": "metal", "kind": "ironic"},
    ]
    draws = np.random.Generator(np.random.PCG64(11))
    base = 2e6 * (1.0 + np.sin(np.arange(8760) / 24 * 2 * np.pi))
    count = max(2, round(20 * part))
    futures = [
        base * draws.lognormal(0.05 * year, 0.1 + 0.05 * year, (count, 1)) * draws.lognormal(0, 0.1, (count, 8760)) for year in range(5)
    ]
    demand = Demand(Horizon(datetime(2025, 1, 1, tzinfo=UTC), 8760), ResourceAxes(), ("all",), np.zeros((8760, 1, 3)), (), "bill")
    case = catalog.case(scenario.varied({"zones": zones}), demand)
    start = time.perf_counter()
    plan = plan_zones(case, futures=futures)
    seconds = time.perf_counter() - start
    return [
        {"name": "zone plan with clustering and bounds", "measured": seconds, "unit": "s", "target": 5.0, "passed": seconds <= 5.0},
        {"name": "zone plan, certified gap", "measured": 100 * plan.gap, "unit": "%", "target": 0.5, "passed": plan.gap <= 0.005},
    ]


PARTS = {"full": 1.0, "small": 0.01}
"""Part of the published sizes by the name of a scale."""


def rows(scale: str) -> list[dict[str, Any]]:
    """All rows of the planner."""
    return [*fluid_rows(PARTS[scale]), *zone_plan_rows(PARTS[scale])]
