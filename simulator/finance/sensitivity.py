"""Sensitivity: how far every assumption moves the cost of the plan and the plan itself, widest first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from models.case import Case
from models.statement import Driver
from models.unknown import Unknown
from simulator.finance.cashflow import at_quarter
from simulator.finance.opponents import at_same_rate, hybrid

Advise = Callable[[Case], Mapping[str, int]]
_TIMES_ONLY = ("_s", "_per_host", "_launches", "_installs", "_deploys", "_cleans", "_attempt_share")


@dataclass(frozen=True)
class Assumption:
    """One input with its range, and how to set it."""

    name: str
    unit: str
    confidence: str
    value: float
    low: float
    high: float
    put: Callable[[Case, float], Case]


_SCENARIO_RANGES: tuple[tuple[str, str, str, float, float], ...] = (
    # path, unit, confidence, low, high
    ("aws.commitment_discount_share", "share", "B", 0.17, 0.50),
    ("planner.packing_share", "share", "D", 0.70, 0.95),
    ("planner.staff_fte", "FTE", "D", 0.0, 2.0),
    ("demand.growth_share_per_year", "share a year", "D", -0.10, 0.30),
)
_ON_DEMAND_RANGE = 0.10  # observed GPU price cuts reach a third; CPU types have not moved


def assumptions(case: Case) -> Iterator[Assumption]:
    """Every parameter behind the money, then the scenario's own numbers, then the list price."""
    for p in case.used_parameters():
        if not p.name.endswith(_TIMES_ONLY) and p.low < p.high:
            yield Assumption(p.name, p.unit, p.confidence, p.value, p.low, p.high, _parameter(p.name))
    for path, unit, confidence, low, high in _SCENARIO_RANGES:
        part, name = path.split(".")
        yield Assumption(path, unit, confidence, float(getattr(getattr(case.scenario, part), name)), low, high, _field(path))
    price = case.on_demand_usd_per_h
    yield Assumption(
        "aws.on_demand_usd_per_h", "USD per h", "A", price, price * (1 - _ON_DEMAND_RANGE), price * (1 + _ON_DEMAND_RANGE), _list_price
    )


def tornado(case: Case, advise: Advise) -> tuple[Driver, ...]:
    """Drivers of the plan, widest swing of yearly cost first; `advise` gives nodes by zone for a changed case."""
    nodes = advise(case)
    drivers = [_driver(case, assumption, nodes, advise) for assumption in assumptions(case)]
    return tuple(sorted(drivers, key=lambda driver: (-driver.swing_usd, driver.parameter)))


def top_drivers(drivers: tuple[Driver, ...], count: int = 5) -> str:
    """The widest bars as one sentence."""
    named = ", ".join(f"{driver.parameter} ({driver.swing_usd:,.0f} USD a year)" for driver in drivers[:count])
    return f"What moves the cost most: {named}."


def _driver(case: Case, assumption: Assumption, nodes: Mapping[str, int], advise: Advise) -> Driver:
    base = sum(nodes.values())
    low, high = assumption.put(case, assumption.low), assumption.put(case, assumption.high)
    at_low, at_high = sum(advise(low).values()), sum(advise(high).values())
    return Driver(
        parameter=assumption.name,
        unit=assumption.unit,
        confidence=assumption.confidence,
        value=assumption.value,
        low=assumption.low,
        high=assumption.high,
        cost_low_usd=_cost(low, nodes),
        cost_high_usd=_cost(high, nodes),
        nodes_low=at_low,
        nodes_high=at_high,
        turning_value=_turning(case, assumption, base, at_low, at_high, advise),
    )


def _cost(case: Case, nodes: Mapping[str, int]) -> float:
    """Yearly cost of these nodes a year after they arrive, so that growth and price changes show."""
    return hybrid(at_quarter(case, 4), nodes).usd_per_year


def _turning(case: Case, assumption: Assumption, base: int, at_low: int, at_high: int, advise: Advise) -> float | Unknown:
    """The value nearest to the present one at which the plan changes, by bisection towards each end that changes it."""
    ends = [end for end, count in ((assumption.low, at_low), (assumption.high, at_high)) if count != base]
    if not ends:
        return Unknown("the plan stays the same over the whole range")
    found = [_bisect(assumption.value, end, lambda value: sum(advise(assumption.put(case, value)).values()) == base) for end in ends]
    return min(found, key=lambda value: abs(value - assumption.value))


def _bisect(same: float, other: float, keeps: Callable[[float], bool], rounds: int = 12) -> float:
    for _ in range(rounds):
        middle = 0.5 * (same + other)
        same, other = (middle, other) if keeps(middle) else (same, middle)
    return other


def _parameter(name: str) -> Callable[[Case, float], Case]:
    return lambda case, value: case.with_parameters(case.parameters.with_value(name, value))


def _field(path: str) -> Callable[[Case, float], Case]:
    return lambda case, value: at_same_rate(case, case.with_scenario(case.scenario.varied({path: value})))


def _list_price(case: Case, value: float) -> Case:
    return at_same_rate(case, case, value / case.on_demand_usd_per_h)
