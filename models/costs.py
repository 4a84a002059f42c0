"""Costs: the time value of money, as formulas with a worked number each.

Rates are per period, costs are positive, and no function here knows a currency.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.units import HOURS_PER_MONTH, MONTHS_PER_YEAR
from models.unknown import Unknown


def monthly_rate(annual_rate: float) -> float:
    """Effective monthly rate of an effective annual rate: (1 + r)^(1/12) - 1.

    >>> round(monthly_rate(0.08), 9)
    0.00643403
    """
    return float((1.0 + annual_rate) ** (1.0 / MONTHS_PER_YEAR) - 1.0)


def annuity(rate: float, periods: int, present: float, salvage: float = 0.0) -> float:
    """Equal payment at each period's end that repays `present` less the discounted `salvage`.

    Annual, 8 %, 5 years (`parameters.md` section 5):

    >>> round(annuity(0.08, 5, 612_800), 2)
    153479.72
    """
    if periods <= 0:
        raise ValueError("periods must be positive")
    if rate == 0.0:
        return (present - salvage) / periods
    growth = (1.0 + rate) ** periods
    return (present * growth - salvage) * rate / (growth - 1.0)


def monthly_annuity(annual_rate: float, years: int, present: float, salvage: float = 0.0) -> float:
    """Annuity paid monthly over `years` at the effective monthly rate.

    >>> round(monthly_annuity(0.08, 5, 1000), 6), round(monthly_annuity(0.08, 4, 1000, 100), 6)
    (20.143055, 22.497288)
    """
    return annuity(monthly_rate(annual_rate), years * MONTHS_PER_YEAR, present, salvage)


def hourly_annuity(annual_rate: float, years: int, present: float, salvage: float = 0.0) -> float:
    """Monthly annuity spread over 730 hours.

    >>> round(hourly_annuity(0.08, 5, 1000), 6)
    0.027593
    """
    return monthly_annuity(annual_rate, years, present, salvage) / HOURS_PER_MONTH


def present_value(rate: float, flows: Sequence[float] | NDArray[np.float64]) -> float:
    """Sum of flows[k] / (1 + rate)^k; flows[0] is due now.

    >>> present_value(0.25, [-100, 50, 125])
    20.0
    """
    periods = np.arange(len(flows))
    return float(np.sum(np.asarray(flows, dtype=np.float64) / (1.0 + rate) ** periods))


def internal_rate(flows: Sequence[float] | NDArray[np.float64]) -> float | Unknown:
    """Rate per period at which the present value is zero; Unknown when none or several exist.

    >>> round(internal_rate([-100, 60, 60]), 6)
    0.130662
    """
    values = np.trim_zeros(np.asarray(flows, dtype=np.float64))
    if values.size < 2 or np.all(values >= 0) or np.all(values <= 0):
        return Unknown("the cash flow never changes sign")
    growth = np.linspace(_LEAST_GROWTH, _MOST_GROWTH, _GRID)
    signs = np.sign([_value_at(values, x) for x in growth])
    turns = np.flatnonzero(signs[:-1] * signs[1:] <= 0)
    turns = turns[(signs[turns] != 0)]  # a root on a grid point counts once, with the interval that ends there
    if turns.size != 1:
        return Unknown(f"{turns.size} rates make the present value zero")
    low, high = float(growth[turns[0]]), float(growth[turns[0] + 1])
    for _ in range(100):
        middle = 0.5 * (low + high)
        if np.sign(_value_at(values, middle)) == signs[turns[0]]:
            low = middle
        else:
            high = middle
    return math.expm1(0.5 * (low + high))


_LEAST_GROWTH, _MOST_GROWTH, _GRID = math.log(0.02), math.log(20.0), 6001  # rates from -98 % to +1,900 % a period


def _value_at(values: NDArray[np.float64], log_growth: float) -> float:
    return float(np.dot(values, np.exp(-log_growth * np.arange(values.size))))


def payback_periods(flows: Sequence[float] | NDArray[np.float64]) -> float | Unknown:
    """Periods until the running sum of flows is first not negative, linear inside the period; Unknown when it never is.

    Later outlays do not move it, so a longer horizon gives the same answer.

    >>> payback_periods([-100, 40, 40, 40])
    2.5
    """
    running = np.cumsum(np.asarray(flows, dtype=np.float64))
    recovered = np.flatnonzero(running >= 0)
    if recovered.size == 0:
        return Unknown("the outlay is not recovered within the horizon")
    first = int(recovered[0])
    if first == 0:
        return 0.0
    return first - 1 + float(-running[first - 1] / (running[first] - running[first - 1]))


def straight_line(present: float, salvage: float, years: int) -> NDArray[np.float64]:
    """Depreciation per year: float64 [years].

    >>> straight_line(1000, 100, 3).tolist()
    [300.0, 300.0, 300.0]
    """
    return np.full(years, (present - salvage) / years)
