"""Regret of candidate plans over futures, the minimax plan and the value of knowing."""

from __future__ import annotations

import numpy as np
import pytest

from money_builders import shipped_case
from simulator.finance.opponents import hybrid
from simulator.finance.regret import futures, regret_table


@pytest.fixture(scope="module")
def case():
    return shipped_case()


@pytest.fixture(scope="module")
def table(case):
    return regret_table(case, {"stay on AWS": {}, "rule of half": {"prod-bm": 40}, "the plan": {"prod-bm": 55}})


def test_regret_is_the_cost_above_the_best_plan_of_that_future(case, table):
    world = futures(case)["demand 20% higher"]
    column = table.futures.index("demand 20% higher")
    costs = [hybrid(world, {"prod-bm": n} if n else {}).usd_per_year for n in range(100)]
    assert table.regret[1, column] == pytest.approx(costs[40] / min(costs) - 1)
    assert np.all(table.regret >= 0)


def test_the_plan_has_no_regret_as_expected_and_staying_has_much(table):
    expected = table.futures.index("as expected")
    assert table.regret[2, expected] < 0.001
    assert table.regret[0, expected] > 0.14  # 664,981 against 579,088


def test_minimax_marks_the_smallest_worst_regret(table):
    worst = dict(zip([name for name, _ in table.plans], table.regret.max(axis=1), strict=True))
    assert worst[table.minimax] == min(worst.values())


def test_knowing_the_future_is_never_worth_less_than_nothing(case, table):
    assert 0 <= table.evpi_usd < 0.05 * hybrid(case, {"prod-bm": 55}).usd_per_year


def test_seven_futures_move_one_thing_each(case):
    found = futures(case)
    assert next(iter(found)) == "as expected"
    assert len(found) == 7
    assert found["demand 20% lower"].demand.max() == pytest.approx(0.8 * case.demand.max())
    assert found["servers 20% higher"].zones[0].server_usd == pytest.approx(14_400)
