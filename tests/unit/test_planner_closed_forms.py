"""Closed forms of how much to own against published and hand-worked numbers (methodology, decision oracles)."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm, poisson

from models.costs import hourly_annuity, monthly_annuity
from models.unknown import Unknown
from simulator.planner import closed_forms as cf

HUNDRED = np.arange(1.0, 101.0)
TWO_STAGE = np.array([20.0] * 3 + [40.0] * 5 + [60.0] * 2)
BLOCKS = [np.array([10.0, 20, 30, 40]), np.array([5.0, 15, 25, 35]), np.array([20.0, 40, 60, 80])]


def owned_cost(demand, capacity, u):
    """Cost in units of the fixed cost: c + U E[(D - c)+]."""
    return cf.capacity_cost(demand, capacity, 1.0, 0.0, u)


def midpoints(count):
    return (np.arange(count) + 0.5) / count


def test_one_to_a_hundred_at_premium_2_25_owns_56_and_costs_72_72():
    u = cf.premium(0.8, 0.2, 2.0)  # (2.0 - 0.2) / 0.8
    assert u == pytest.approx(2.25)
    assert cf.breakeven_busy_share(0.8, 0.2, 2.0) == pytest.approx(0.444444, abs=1e-6)
    assert cf.optimal_capacity(HUNDRED, u) == 56
    assert cf.capacity_cost(HUNDRED, 56, 0.8, 0.2, 2.0) == pytest.approx(72.72)


@pytest.mark.parametrize(("u", "c", "cost"), [(1.5, 1 / 3, 2 / 3), (2, 0.5, 0.75), (3, 2 / 3, 5 / 6), (4, 0.75, 0.875)])
def test_uniform_demand_owns_one_less_one_over_u(u, c, cost):
    demand = midpoints(3_000_000)
    assert cf.optimal_capacity(demand, u) == pytest.approx(c, rel=1e-6)
    assert owned_cost(demand, c, u) == pytest.approx(cost, rel=1e-6)


@pytest.mark.parametrize(
    ("u", "z", "k"), [(1.5, -0.430727, 0.545400), (2, 0.0, 0.797885), (3, 0.430727, 1.090799), (4, 0.674490, 1.271106)]
)
def test_normal_demand_costs_mean_plus_k_standard_deviations(u, z, k):
    demand = norm.ppf(midpoints(1_000_000))
    assert cf.optimal_capacity(demand, u) == pytest.approx(z, abs=3e-6)
    assert owned_cost(demand, cf.optimal_capacity(demand, u), u) == pytest.approx(k, abs=2e-6)


def test_poisson_32_nodes_busy_shares_and_optima():
    demand = poisson.ppf(midpoints(1_000_000), 32)
    shares = [np.mean(demand >= k) for k in (30, 32, 37, 40)]
    assert shares == pytest.approx([0.661994, 0.523512, 0.209900, 0.095603], abs=2e-6)
    assert [cf.optimal_capacity(demand, u) for u in (1.5, 1.64, 2, 3, 4)] == [29, 30, 32, 34, 36]


@pytest.mark.parametrize(
    ("u", "capacity", "cost", "information", "stochastic"),
    [(1.5, 40, 46, 8, 0.1), (2, 40, 48, 10, 0.8), (3, 40, 52, 14, 2.2), (6, 60, 60, 22, 10.4)],
)
def test_two_stage_demand_value_of_information_and_of_the_stochastic_plan(u, capacity, cost, information, stochastic):
    found = cf.optimal_capacity(TWO_STAGE, u)
    assert (found, owned_cost(TWO_STAGE, found, u)) == (capacity, pytest.approx(cost))
    assert owned_cost(TWO_STAGE, found, u) - TWO_STAGE.mean() == pytest.approx(information)  # perfect foresight owns the demand itself
    assert owned_cost(TWO_STAGE, TWO_STAGE.mean(), u) - owned_cost(TWO_STAGE, found, u) == pytest.approx(stochastic)


@pytest.mark.parametrize(("u", "alpha", "capacity", "value"), [(2, 0.5, 40, 56), (2, 0.8, 60, 60), (3, 0.5, 60, 60)])
def test_cvar_only_plans(u, alpha, capacity, value):
    assert cf.cvar_capacity(TWO_STAGE, u, alpha) == (capacity, pytest.approx(value))


@pytest.mark.parametrize(
    ("u", "levels", "cost", "constant", "constant_cost"), [(2, [20, 20, 40], 45.0, 25, 47.5), (4, [30, 30, 60], 155 / 3, 40, 60.0)]
)
def test_add_only_blocks_merge_neighbours_that_would_shrink(u, levels, cost, constant, constant_cost):
    found = cf.phased_capacity(BLOCKS, u)
    assert found.tolist() == levels
    assert np.mean([owned_cost(block, c, u) for block, c in zip(BLOCKS, found, strict=True)]) == pytest.approx(cost)
    assert cf.optimal_capacity(np.concatenate(BLOCKS), u) == constant
    assert np.mean([owned_cost(block, constant, u) for block in BLOCKS]) == pytest.approx(constant_cost)


def test_block_by_block_optimum_would_break_add_only():
    assert [cf.optimal_capacity(block, 2.0) for block in BLOCKS] == [20, 15, 40]


def test_annuity_of_a_thousand_by_month_and_hour():
    assert monthly_annuity(0.08, 5, 1000) == pytest.approx(20.143055, abs=1e-6)
    assert monthly_annuity(0.08, 4, 1000, 100) == pytest.approx(22.497288, abs=1e-6)
    assert hourly_annuity(0.08, 5, 1000) == pytest.approx(0.027593, abs=1e-6)
    assert hourly_annuity(0.08, 4, 1000, 100) == pytest.approx(0.030818, abs=1e-6)


@pytest.mark.parametrize(
    ("availability", "expected"),
    [(0.99, [0.668972, 0.936560, 0.991416, 0.999096, 0.999922]), (0.995, [0.818320, 0.981984, 0.998760])],
)
def test_chance_that_forty_of_forty_and_spares_are_up(availability, expected):
    assert [cf.up_share(40, k, availability) for k in range(len(expected))] == pytest.approx(expected, abs=1e-6)
    assert cf.headroom(40, availability, expected[2] - 1e-6) == 2


def test_headroom_refuses_a_certainty_that_no_number_of_spares_reaches():
    with pytest.raises(ValueError, match="target"):
        cf.headroom(40, 0.99, 1.0)


def test_regret_is_a_pinball_score():
    u, capacity = 2.4, 37.0
    score = cf.pinball(HUNDRED, capacity, 1 - 1 / u)
    assert owned_cost(HUNDRED, capacity, u) == pytest.approx(HUNDRED.mean() + u * score)


def test_valley_is_flat_near_the_optimum():
    demand = midpoints(1_000_000)
    true = owned_cost(demand, 0.6, 2.0) / owned_cost(demand, 0.5, 2.0) - 1
    assert cf.flat_regret(2.0, 1.0, 0.1, 0.75) == pytest.approx(true, rel=1e-4)


def test_half_of_peak_is_right_only_at_its_implied_premium():
    capacity = 56.0
    u = cf.implied_premium(HUNDRED, capacity)  # 44 of 100 hours above
    assert u == pytest.approx(100 / 44)
    assert cf.optimal_capacity(HUNDRED, u) == capacity
    assert math.isinf(cf.implied_premium(HUNDRED, 100))


def test_a_savings_plan_dearer_than_owning_never_enters_the_envelope():
    own, rent, plan = cf.Offer("own", 1.0, 0.1), cf.Offer("rent", 0.0, 2.0), cf.Offer("plan", 1.2, 0.0)
    assert [offer.name for _, offer in cf.lower_envelope([own, rent, plan])] == ["rent", "own"]  # own + variable 1.1 < plan 1.2
    cheaper = cf.Offer("plan", 1.05, 0.0)
    shares = [(round(share, 6), offer.name) for share, offer in cf.lower_envelope([own, rent, cheaper])]
    assert shares == [(0.0, "rent"), (0.525, "plan")]  # 1.05 / 2 = 0.525 comes before own's 1 / 1.9 = 0.526


def test_breakeven_share_of_equal_variable_costs_is_unknown():
    assert isinstance(cf.breakeven_share(cf.Offer("a", 1.0, 0.5), cf.Offer("b", 2.0, 0.5)), Unknown)


def test_nothing_is_owned_when_aws_is_not_dearer():
    assert cf.optimal_capacity(HUNDRED, 1.0) == 0
    assert math.isinf(cf.breakeven_busy_share(1.0, 0.0, 0.0))
