"""Sizing rules hold for any demand: the fluid tier equals the direct sums, prices move costs one way, online never loses much."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from models.dispatch import aws_workers_left
from simulator.planner import closed_forms as cf
from simulator.planner.fluid import aws_worker_hours, overflow
from simulator.planner.kernels import _suffix_sums, _workers_left

FAST = settings(deadline=None, max_examples=40)
demands = st.lists(st.floats(0, 60, allow_nan=False), min_size=1, max_size=60).map(np.array)
whole = st.lists(st.integers(0, 40), min_size=2, max_size=40).map(lambda v: np.array(v, dtype=float))
premiums = st.floats(1.05, 6.0)


@FAST
@given(demands)
def test_fluid_overflow_equals_the_direct_sum_at_every_capacity(demand):
    found = overflow(demand)
    for k in range(found.node_hours.shape[1]):
        assert np.isclose(found.node_hours[0, k], np.maximum(demand - k, 0).sum(), rtol=1e-9, atol=1e-9)
        assert found.hours[0, k] == (demand > k).sum()


@FAST
@given(demands)
def test_fluid_kernel_equals_its_python_twin(demand):
    top = int(np.ceil(demand.max()))
    tables = []
    for kernel in (_suffix_sums, _suffix_sums.py_func):
        node_hours, hours = np.empty((1, top + 1)), np.empty((1, top + 1), np.int64)
        kernel(demand[None, :], top, node_hours, hours)
        tables.append((node_hours, hours))
    assert np.array_equal(tables[0][0], tables[1][0])
    assert np.array_equal(tables[0][1], tables[1][1])


@FAST
@given(demands)
def test_fluid_tier_equals_the_sort_method(demand):
    found = overflow(demand)
    ordered = np.sort(demand)
    above = np.concatenate((np.cumsum(ordered[::-1])[::-1], [0.0]))
    for k in range(found.node_hours.shape[1]):
        first = np.searchsorted(ordered, k, side="right")
        assert np.isclose(found.node_hours[0, k], above[first] - k * (ordered.size - first), atol=1e-9)


@FAST
@given(demands, st.floats(0.5, 20), st.sampled_from(["private_first", "pinned"]), st.floats(0, 1))
def test_worker_hours_left_equal_the_dispatch_of_the_domain(demand, worker, dispatch, share):
    capacities = np.array([0.0, 3.0, 17.5, 80.0])
    found = aws_worker_hours(demand, capacities, worker, dispatch=dispatch, pinned_share=share)
    wanted = [aws_workers_left(demand, c, worker, dispatch=dispatch, pinned_share=share).sum() for c in capacities]
    assert found.tolist() == wanted
    twin = np.empty(capacities.size, np.int64)
    _workers_left.py_func(demand, demand * share if dispatch == "pinned" else demand, capacities, worker, 1e-9, twin)
    assert found.tolist() == twin.tolist()


@FAST
@given(whole, premiums)
def test_quantile_rule_is_never_beaten(demand, u):
    best = cf.optimal_capacity(demand, u)
    cost = cf.capacity_cost(demand, best, 1.0, 0.0, u)
    assert all(cost <= cf.capacity_cost(demand, c, 1.0, 0.0, u) + 1e-9 for c in range(int(demand.max()) + 2))


@FAST
@given(whole, premiums, st.floats(0.0, 2.0))
def test_optimal_cost_never_falls_when_a_price_rises(demand, u, more):
    cheap = cf.capacity_cost(demand, cf.optimal_capacity(demand, u), 1.0, 0.0, u)
    dear = cf.capacity_cost(demand, cf.optimal_capacity(demand, u + more), 1.0, 0.0, u + more)
    assert dear >= cheap - 1e-9


@FAST
@given(st.lists(whole, min_size=1, max_size=4), premiums)
def test_phased_capacity_equals_the_linear_programme(blocks, u):
    found = cf.phased_capacity(blocks, u)
    assert np.all(np.diff(found) >= 0)
    cost = sum(cf.capacity_cost(b, c, 1.0, 0.0, u) for b, c in zip(blocks, found, strict=True))
    assert np.isclose(cost, _phased_lp(blocks, u), rtol=1e-9, atol=1e-9)


def _phased_lp(blocks, u):
    """min sum_k [c_k + U mean(s_kh)], s_kh >= D_kh - c_k, c_k <= c_k+1."""
    sizes = [b.size for b in blocks]
    phases, total = len(blocks), sum(sizes)
    objective = np.concatenate((np.ones(phases), *[np.full(n, u / n) for n in sizes]))
    rows, limits, column = [], [], phases
    for k, block in enumerate(blocks):
        for value in block:
            row = np.zeros(phases + total)
            row[k] = row[column] = -1.0
            rows.append(row)
            limits.append(-value)
            column += 1
    for k in range(phases - 1):
        row = np.zeros(phases + total)
        row[k], row[k + 1] = 1.0, -1.0
        rows.append(row)
        limits.append(0.0)
    return linprog(objective, A_ub=np.array(rows), b_ub=np.array(limits), method="highs").fun


@FAST
@given(st.lists(st.booleans(), min_size=1, max_size=60), st.floats(0, 0.9), st.integers(2, 20), st.floats(0.5, 12))
def test_online_reservation_costs_at_most_two_less_discount_times_hindsight(busy, discount, term, fee):
    busy = np.array(busy)
    online = cf.online_reservation_cost(busy, 1.0, fee, discount, term)
    assert online <= (2 - discount) * _hindsight(busy, fee, discount, term) + 1e-9


def _hindsight(busy, fee, discount, term):
    """Least cost with the future known: at each hour rent, or reserve and jump."""
    best = np.zeros(busy.size + term + 1)
    for hour in range(busy.size - 1, -1, -1):
        rent = float(busy[hour]) + best[hour + 1]
        reserve = fee + discount * busy[hour : hour + term].sum() + best[min(hour + term, busy.size)]
        best[hour] = min(rent, reserve)
    return best[0]
