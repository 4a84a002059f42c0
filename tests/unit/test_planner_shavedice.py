"""Published commitment study on four years of a real fleet (Shaved Ice, ICPE 2025): every printed digit, and how flat the valley is."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.planner import closed_forms as cf

pytestmark = pytest.mark.shared_data
PREMIUMS = (1.5, 2.0, 3.0, 4.0)


@pytest.fixture(scope="module")
def usage(shared_data):
    """Fleet demand by hour and region."""
    import pandas as pd

    table = pd.read_parquet(shared_data / "billing/commitment-demand-shavedice/hourly_normalized.parquet")
    return table.groupby(["REGION_NUM", "USAGE_HOUR"]).NORM_USAGE.sum().unstack(0)


@pytest.fixture(scope="module")
def fortnight(usage):
    """2024-01-07 to 01-20 with its peak at 100, less the last hour."""
    weeks = usage.sum(axis=1)["2024-01-07":"2024-01-20 23:59"].to_numpy()
    return weeks[:-1] / weeks.max() * 100


@pytest.fixture(scope="module")
def regions(usage):
    """The last 52 weeks of every region."""
    return [usage[name].to_numpy()[-8736:] for name in usage]


def total(demand, level):
    return cf.capacity_cost(demand, level, 1.0, 0.0, 2.1) * demand.size


def test_best_level_and_cost_of_the_fortnight(fortnight):
    level = cf.optimal_capacity(fortnight, 2.1)
    assert level == pytest.approx(77.453730, abs=5e-7)
    assert total(fortnight, level) == pytest.approx(29326.432978, abs=5e-7)


def test_published_grid_optimum(fortnight):
    grid = np.linspace(fortnight.min(), fortnight.max(), 100)
    level = min(grid, key=lambda x: total(fortnight, x))
    assert (round(level, 5), round(total(fortnight, level), 2)) == (77.44353, 29326.44)


def test_published_costs_of_nine_levels(fortnight):
    levels = np.linspace(fortnight.min(), fortnight.max(), 9)
    published = {53.5: 34086, 59.3: 32105, 65.1: 30662, 70.9: 29727, 76.7: 29333, 82.6: 29583, 88.4: 30259, 94.2: 31643, 100: 33500}
    assert {round(level, 1): round(total(fortnight, level)) for level in levels} == published


@pytest.mark.parametrize(("nodes", "published"), [(5, 1.3), (10, 0.33), (20, 0.08), (40, 0.02)])
def test_rounding_to_the_worst_half_node_costs_little_from_ten_nodes_on(regions, nodes, published):
    regrets = []
    for demand in regions:
        for u in PREMIUMS:
            scaled = demand / cf.optimal_capacity(demand, u) * nodes
            worst = max(cf.capacity_cost(scaled, nodes + half, 1.0, 0.0, u) for half in (-0.5, 0.5))
            regrets.append(worst / cf.capacity_cost(scaled, nodes, 1.0, 0.0, u) - 1)
    assert 100 * np.median(regrets) == pytest.approx(published, rel=0.1)


@pytest.mark.parametrize(("error", "low", "high"), [(0.75, 1.2, 1.9), (0.9, 0.1, 0.2), (1.1, 0.05, 0.15), (1.25, 0.4, 0.7)])
def test_rounding_the_cloud_price_down_is_the_dearer_mistake(regions, error, low, high):
    regrets = [
        cf.capacity_cost(demand, cf.optimal_capacity(demand, u * error), 1.0, 0.0, u)
        / cf.capacity_cost(demand, cf.optimal_capacity(demand, u), 1.0, 0.0, u)
        - 1
        for demand in regions
        for u in PREMIUMS
    ]
    assert low <= 100 * np.median(regrets) <= high


def test_half_of_peak_implies_premiums_between_1_51_and_2_37(regions):
    implied = [cf.implied_premium(demand, demand.max() / 2) for demand in regions]
    assert (round(min(implied), 2), round(max(implied), 2)) == (1.51, 2.37)


def test_region_two_owns_37_nodes_at_a_break_even_of_61_percent(regions):
    """Scaled so that c* = 37 at b = 0.61: node 38 is busy 57 %, node 41 46 %."""
    demand = regions[1]
    scaled = demand / cf.optimal_capacity(demand, 1 / 0.61) * 37
    busy = {k: np.mean(scaled >= k) for k in (37, 38, 41)}
    assert busy[37] >= 0.61
    assert (round(busy[38], 2), round(busy[41], 2)) == (0.57, 0.46)
