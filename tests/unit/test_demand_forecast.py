"""The forecast: buckets, guard, drift, spread, members and their combination, each against numbers worked out by hand."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from scipy.stats import t as student

from models.errors import MetricsError
from models.horizon import Horizon
from simulator.demand.buckets import buckets, guard
from simulator.demand.combine import advise, backtest, capacity_at, cost, inner_origins, regret
from simulator.demand.forecast import forecast
from simulator.demand.members import EmpiricalMember, LevelMember, SeasonalMember, level_path, shape_ratios

WEEK = 168
START = datetime(2025, 1, 6, tzinfo=UTC)


def weekly(levels: list[float]) -> np.ndarray:
    return np.repeat(np.array(levels), WEEK)


def daily_shape(days: int) -> np.ndarray:
    return np.tile(10.0 + np.sin(np.arange(24) / 24 * 2 * np.pi), days)


def test_buckets_end_at_the_origin() -> None:
    history = np.concatenate([np.full(5, 99.0), weekly([1.0] * 26)])
    assert buckets(history).levels.tolist() == [1.0] * 26  # the five loose hours at the start are left out


def test_a_bucket_under_95_percent_full_is_dropped() -> None:
    history = weekly([1.0] * 25 + [5.0] + [1.0] * 2)
    history[25 * WEEK : 25 * WEEK + 9] = np.nan  # 9 of 168 hours missing: 94.6 % full
    assert buckets(history).levels.tolist() == [1.0] * 27


def test_levels_are_on_a_log_scale_of_the_mean() -> None:
    found = buckets(weekly([1.0] * 13 + [3.0] * 13))
    assert found.mean_level == 2.0
    assert found.y[0] == pytest.approx(np.log1p(100 * 1.0 / 2.0))
    assert found.level_of(found.y[-1:])[0] == pytest.approx(3.0)


def test_guard_takes_out_an_outage_and_keeps_a_peak() -> None:
    values = np.array([4.6, 4.6, 4.6, 0.1, 4.6, 4.6, 9.0, 4.6, 4.6])
    kept, count = guard(values)
    assert count == 1
    assert kept.tolist() == [4.6] * 6 + [9.0, 4.6, 4.6]


def test_a_flat_history_has_no_drift_and_the_least_spread() -> None:
    path = level_path(buckets(weekly([7.0] * 30)), 4)
    assert np.allclose(path.quantile(0.5), 7.0)
    # every k-step change is 0, so s_k = 0.001 for k = 1..10 and the power is at its lower end, 0.05;
    # the median of log s - 0.05 log k lies between k = 5 and 6: sigma_j = 0.001 (j / sqrt(30))^0.05
    assert np.allclose(path.sigma, 0.001 * (np.arange(1, 5) / np.sqrt(30)) ** 0.05)


def test_an_exact_trend_is_followed_and_damped() -> None:
    y = 4.0 + 0.01 * np.arange(60)
    levels = np.expm1(y)
    source = buckets(np.repeat(levels, WEEK))
    path = level_path(source, 2)
    slope = float(np.median(np.diff(source.y)))
    now = float(np.median(source.y[-5:]))
    # the slope's interval is a point, lambda = 1; drift_2 = mu (1 - 0.98^2) / (1 - 0.98) = 1.98 mu
    assert path.centre[0] - now == pytest.approx(slope, rel=0.02)
    assert path.centre[1] - now == pytest.approx(1.98 * slope, rel=0.02)


def test_quantiles_are_students_on_the_log_scale() -> None:
    generator = np.random.Generator(np.random.PCG64(1))
    source = buckets(np.repeat(100.0 * np.exp(0.1 * generator.standard_normal(60)), WEEK))
    path = level_path(source, 3)
    # 60 buckets: 60^2 / 100 = 36 degrees of freedom
    upper = source.y.max() + np.log(4.0)
    wanted = source.level_of(np.minimum(path.centre + path.sigma * student.ppf(0.9, 36), upper))
    assert np.allclose(path.quantile(0.9), wanted)


def test_quantiles_never_exceed_four_times_the_highest_week() -> None:
    source = buckets(weekly([1.0, 9.0] * 15))
    assert level_path(source, 200).quantile(0.999999).max() <= 4.2 * 9.0  # ln 4 on log1p(100 x): four times, and a little


def test_shape_ratios_are_hours_over_their_buckets_level() -> None:
    history = np.tile(np.concatenate([np.full(84, 1.0), np.full(84, 3.0)]), 30)
    ratios = shape_ratios(history, WEEK)
    assert ratios.size == 8 * WEEK
    assert sorted(set(ratios.tolist())) == [0.5, 1.5]


def test_level_member_needs_a_day() -> None:
    assert LevelMember().demand(np.ones(23), 24) is None


def test_seasonal_member_repeats_the_hours_of_a_year_before() -> None:
    history = np.arange(60.0 * WEEK)
    future = SeasonalMember().demand(history, 2 * WEEK)
    assert future is not None
    assert future.tolist() == history[8 * WEEK : 10 * WEEK].tolist()  # 52 weeks before weeks 60 and 61
    assert SeasonalMember().demand(np.ones(51 * WEEK), WEEK) is None


def test_empirical_member_looks_at_its_window_only() -> None:
    history = np.concatenate([np.full(100, 1.0), np.full(50, 9.0), [np.nan]])
    future = EmpiricalMember("recent", 51).demand(history, 24)
    assert future is not None
    assert future.tolist() == [9.0] * 50


def test_capacity_is_the_quantile_of_the_price_ratio() -> None:
    demand = np.arange(1.0, 101.0)
    # 1 - 1/2.25 = 0.5556: the smallest value with P(D <= c) >= 0.5556 is 56
    assert capacity_at(demand, 2.25) == 56.0
    assert capacity_at(demand, 2.0) == 50.0  # an exact tie takes the smaller plan
    assert capacity_at(demand, 0.9) == 0.0


def test_cost_and_regret_of_a_plan() -> None:
    demand = np.array([20.0] * 3 + [40.0] * 5 + [60.0] * 2)
    assert cost(40.0, demand, 1.5) == pytest.approx(46.0)  # 40 + 1.5 x 0.2 x 20
    assert regret(40.0, demand, 2.0) == 0.0
    assert regret(60.0, demand, 2.0) == pytest.approx(60 / 48 - 1)


def test_back_test_origins_never_look_ahead() -> None:
    for origin, ahead in inner_origins(365 * 24, 26 * WEEK):
        assert origin + ahead <= 365 * 24
        assert origin >= 0.4 * 365 * 24


def test_members_see_only_their_own_past() -> None:
    seen: list[int] = []

    class Watcher:
        name = "watcher"

        def demand(self, history: np.ndarray, horizon_h: int) -> np.ndarray:
            seen.append(len(history))
            return history

    history = daily_shape(60)
    backtest(history, 10 * 24, (2.0,), [Watcher()])
    assert seen == [origin for origin, _ in inner_origins(len(history), 10 * 24)]


def test_the_weights_follow_the_back_tested_regret() -> None:
    history = weekly([10.0] * 40 + [20.0] * 20)
    advice = advise(history, 8 * WEEK, 2.0)
    by_name = {member.name: member for member in advice.members}
    assert sum(member.weight for member in advice.members) == pytest.approx(1.0)
    assert by_name["last 28 days"].weight > by_name["history"].weight
    assert by_name["last 28 days"].regret < by_name["history"].regret  # type: ignore[operator]
    assert advice.capacity == pytest.approx(sum(member.weight * member.capacity for member in advice.members))


def test_daily_data_is_refused_with_the_reason() -> None:
    days = np.repeat(np.arange(1.0, 61.0), 24)
    with pytest.raises(MetricsError, match="daily values; give hourly data"):
        forecast(days, Horizon(START, days.size), WEEK)


def test_a_constant_history_is_not_daily_data() -> None:
    flat = np.ones(60 * 24)
    assert forecast(flat, Horizon(START, flat.size), WEEK).advice[2.0].capacity == pytest.approx(1.0, rel=1e-2)


def test_less_than_two_weeks_is_used_with_a_warning() -> None:
    history = daily_shape(10)
    ahead = forecast(history, Horizon(START, history.size), WEEK)
    assert ahead.bucket_h == 24
    assert "10.0 days of history" in ahead.warnings[0]


def test_less_than_two_days_is_refused() -> None:
    with pytest.raises(MetricsError, match="40 hours of demand"):
        forecast(np.ones(40), Horizon(START, 40), WEEK)


def test_horizon_follows_the_history() -> None:
    history = daily_shape(30)
    ahead = forecast(history, Horizon(START, history.size), 4 * WEEK)
    assert ahead.horizon.start == datetime(2025, 2, 5, tzinfo=UTC)  # 30 days after 6 January
    assert ahead.quantiles[0.5].shape == (28,)  # 30 days of history: day buckets


@pytest.mark.parametrize("premium", [2.0, 3.0, 4.0])
@pytest.mark.parametrize("lost_day", [3, 10, 20])
def test_one_lost_day_moves_each_member_by_at_most_two_percent(premium: float, lost_day: int) -> None:
    generator = np.random.Generator(np.random.PCG64(7))
    history = daily_shape(21) * np.exp(0.03 * generator.standard_normal(21 * 24))
    broken = history.copy()
    broken[lost_day * 24 : (lost_day + 1) * 24] = 0.0
    for member in (LevelMember(), SeasonalMember() if lost_day < 14 else LevelMember()):
        whole, damaged = member.demand(history, 14 * 24), member.demand(broken, 14 * 24)
        assert whole is not None
        assert damaged is not None
        assert capacity_at(damaged, premium) == pytest.approx(capacity_at(whole, premium), rel=0.02)
