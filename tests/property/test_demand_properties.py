"""Laws of demand and of the generated bill, on random cases."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from models.dispatch import aws_workers_left, nodes_for_served_share, private_served, served_share, workers_for
from simulator.demand.buckets import guard, without_outages
from simulator.demand.combine import advise, capacity_at, cost, inner_origins
from simulator.ingest.synthetic.bill import bill_lines
from simulator.ingest.synthetic.company import Company, Purchases, workers
from simulator.ingest.synthetic.lines import billing_periods

DEMAND = arrays(np.float64, st.integers(1, 60), elements=st.integers(0, 1_000_000).map(float))
CAPACITY = st.floats(1.0, 1e6)
SHARE = st.floats(0.0, 1.0)
few = settings(max_examples=60, deadline=None)


@few
@given(DEMAND, CAPACITY, CAPACITY, SHARE)
def test_whatever_private_nodes_do_not_serve_fits_on_the_workers_left(
    demand: np.ndarray, private: float, worker: float, share: float
) -> None:
    for dispatch in ("private_first", "pinned"):
        served = private_served(demand, private, dispatch=dispatch, pinned_share=share)
        left = aws_workers_left(demand, private, worker, dispatch=dispatch, pinned_share=share)
        assert (served <= demand + 1e-9).all()
        assert (left * worker >= demand - served - 1e-6 * worker).all()
        assert ((left - 1) * worker <= demand - served + 1e-6 * worker).all()


@few
@given(DEMAND, CAPACITY, CAPACITY, SHARE)
def test_private_first_never_leaves_more_than_pinned(demand: np.ndarray, private: float, worker: float, share: float) -> None:
    first = aws_workers_left(demand, private, worker, dispatch="private_first")
    assert (first <= aws_workers_left(demand, private, worker, dispatch="pinned", pinned_share=share)).all()
    assert (first <= workers_for(demand, worker)).all()


@few
@given(DEMAND, CAPACITY, SHARE)
def test_the_fewest_nodes_for_a_share_are_the_fewest(demand: np.ndarray, node: float, share: float) -> None:
    nodes = nodes_for_served_share(demand, node, share)
    if demand.sum() > 0:
        assert served_share(demand, nodes * node) >= share - 1e-6
        assert nodes == 0 or served_share(demand, (nodes - 1) * node) < share + 1e-6


@few
@given(DEMAND, st.floats(1.01, 8.0), st.floats(0.0, 1e6))
def test_no_capacity_beats_the_quantile(demand: np.ndarray, premium: float, other: float) -> None:
    assert cost(capacity_at(demand, premium), demand, premium) <= cost(other, demand, premium) * (1 + 1e-12) + 1e-9


@few
@given(arrays(np.float64, st.integers(2, 40), elements=st.floats(0.0, 9.0)))
def test_the_guard_only_ever_raises(y: np.ndarray) -> None:
    kept, count = guard(y)
    assert (kept >= y).all()
    assert count == np.count_nonzero(kept != y)


@few
@given(arrays(np.float64, st.integers(48, 400), elements=st.floats(0.0, 9.0)))
def test_no_more_than_a_tenth_is_ever_taken_for_an_outage(history: np.ndarray) -> None:
    cleaned = without_outages(history)
    assert np.isnan(cleaned).sum() <= 0.1 * len(history)
    kept = ~np.isnan(cleaned)
    assert np.array_equal(cleaned[kept], history[kept])


@few
@given(st.integers(1, 20_000), st.integers(1, 20_000))
def test_back_test_origins_stay_inside_the_history(hours: int, horizon: int) -> None:
    for origin, ahead in inner_origins(hours, horizon):
        assert 0 < origin < origin + ahead <= hours


@settings(max_examples=15, deadline=None)
@given(st.integers(3, 40), st.floats(0.01, 100.0), st.integers(0, 2**31))
def test_advice_scales_with_demand(days: int, factor: float, seed: int) -> None:
    history = 10 + np.random.Generator(np.random.PCG64(seed)).random(24 * days)
    plain, scaled = advise(history, 24 * 7, 2.0), advise(history * factor, 24 * 7, 2.0)
    assert math.isclose(scaled.capacity, plain.capacity * factor, rel_tol=1e-6)


@settings(max_examples=25, deadline=None)
@given(
    reserved=st.integers(0, 30), plan=st.integers(0, 60).map(lambda halves: halves / 2), spot_every=st.integers(2, 9),
    upfront=st.sampled_from([0.0, 0.5, 1.0]), hours=st.integers(1, 900), seed=st.integers(0, 99),
)  # fmt: skip
def test_any_mix_of_purchases_reconciles(reserved: int, plan: float, spot_every: int, upfront: float, hours: int, seed: int) -> None:
    bought = Purchases(reserved=reserved, savings_plan=plan, spot_every=spot_every, upfront_share=upfront)
    company = Company(seed=seed, hours=hours, purchases=bought)
    lines = [line for period in billing_periods(company.horizon) for line in bill_lines(company, period)]
    difference = sum(float(line.effective.sum() - line.unblended.sum()) for line in lines)
    fees = [line for line in lines if line.item_type == "SavingsPlanUpfrontFee" or (line.item_type == "Fee" and line.commitment)]
    paid = sum(float(line.unblended.sum()) for line in fees)
    spread = hours * upfront * (plan * bought.savings_plan_usd_per_h + reserved * bought.reserved_usd_per_h)
    assert math.isclose(difference, spread - paid, rel_tol=1e-9, abs_tol=1e-5)
    used = [line for line in lines if line.item_type in ("Usage", "DiscountedUsage", "SavingsPlanCoveredUsage") and line.unit == "Hrs"]
    assert math.isclose(sum(float(line.amount.sum()) for line in used), float(workers(company).sum()))
