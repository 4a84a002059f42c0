"""The advice on public demand: every row of `burstline bench advice` holds its bar."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from simulator.cli import group
from simulator.demand.backtest import backtest_series, halves, rolling
from simulator.demand.readings import implied_premium
from simulator.demand.strategies import STRATEGIES

WEEK = 168


@pytest.mark.shared_data
@pytest.mark.bench
def test_every_row_of_the_advice_bench_passes(shared_data: Path) -> None:
    result = CliRunner().invoke(group, ["bench", "advice", "--only", "protocols", "--json"], catch_exceptions=False)
    rows = json.loads(result.stdout)["rows"]
    assert len(rows) == 15
    assert [row["name"] for row in rows if not row["passed"]] == []


@pytest.mark.shared_data
def test_simple_rules_cost_what_the_published_harness_found(shared_data: Path) -> None:
    from demand_traces import growth

    series = growth(shared_data)
    splits = {name: rolling(len(values), first=52 * WEEK, step=13 * WEEK, ahead=26 * WEEK) for name, values in series.items()}
    simple = [rule for rule in STRATEGIES if rule.name in ("half_peak", "p95", "newsvendor_all", "newsvendor_28d")]
    regrets = backtest_series(series, splits, strategies=simple)
    assert len(regrets.of("p95")) == 112  # 4 regions x 7 origins x 4 price ratios
    # median and p90 in per cent: half_peak 5.3 / 36, p95 1.4 / 7.6, newsvendor_all 20 / 31, newsvendor_28d 1.2 / 4.4
    found = {rule.name: (round(100 * regrets.median(rule.name), 1), round(100 * regrets.p90(rule.name), 1)) for rule in simple}
    assert found == {"half_peak": (5.3, 36.4), "p95": (1.4, 7.6), "newsvendor_all": (20.4, 30.9), "newsvendor_28d": (1.2, 4.4)}


@pytest.mark.shared_data
def test_half_of_peak_implies_the_published_premiums(shared_data: Path) -> None:
    from demand_traces import growth

    last_year = [values[-365 * 24 :] for values in growth(shared_data).values()]
    premiums = sorted(float(implied_premium(values, 0.5 * values.max())) for values in last_year)  # type: ignore[arg-type]
    assert (round(premiums[0], 2), round(premiums[-1], 2)) == (1.51, 2.37)


def test_a_back_test_with_perfect_repetition_has_no_regret() -> None:
    week = 10.0 + np.arange(168) % 24
    series = {"flat": np.tile(week, 40)}
    regrets = backtest_series(series, {"flat": halves(40 * 168)})
    assert regrets.of("newsvendor_all").max() == 0.0
    assert regrets.median() < 1e-3
    assert regrets.no_harm() == 1.0
