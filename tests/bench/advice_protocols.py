"""How good the advice is: regret on three years of growth (protocol R), on short public traces (S), and after an outage.

R: Shaved Ice, four regions, first origin after 52 weeks, a step of 13 weeks, 26 and 52 weeks ahead, price ratios 1.5 to 4.
S: the first half of every shared trace advises on its second half. The bars of R are the project's acceptance; those of S
were locked on this harness's own first run over the 50 series that `tests/demand_traces.py` reads.
"""

from __future__ import annotations

import importlib.util
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from models.errors import InputError, Problem
from simulator.demand.backtest import Row, Split, backtest_series, halves, interval_coverage, rolling
from simulator.demand.buckets import HOURS_PER_WEEK
from simulator.demand.combine import advise

TESTS = Path(__file__).resolve().parents[1]
DATA = TESTS.parent.parent / "shared" / "data"
ACCEPT_R = {26: (0.4, 2.8), 52: (0.6, 4.0)}
ACCEPT_S = (1.0, 25.0)
HARMLESS_R, HARMLESS_S = 0.95, 0.9
LEAST_COVERED_S = {0.8: 0.75, 0.9: 0.84}
MOST_OUTAGE_CHANGE = 2.0


def rows(scale: str) -> list[dict[str, Any]]:
    """Every row; `small` leaves out the short traces."""
    if not (DATA / "billing").is_dir():
        raise InputError(Problem(str(DATA), "nothing", "the public data of ../shared/data is needed to measure the advice"))
    traces = _traces()
    found = _growth(traces.growth(DATA))
    if scale == "full":
        short = traces.short(DATA)
        found += _short(short) + _outage(short)
    return [asdict(row) for row in found]


def _traces() -> ModuleType:
    spec = importlib.util.spec_from_file_location("demand_traces", TESTS / "demand_traces.py")
    if spec is None or spec.loader is None:
        raise ImportError("tests/demand_traces.py cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _growth(series: dict[str, np.ndarray]) -> list[Row]:
    found: list[Row] = []
    for weeks, (median, p90) in ACCEPT_R.items():
        splits = {name: _origins(len(values), weeks) for name, values in series.items()}
        regrets = backtest_series(series, splits)
        harmless = regrets.no_harm()
        found += [
            _most(f"R {weeks} weeks, median regret", 100 * regrets.median(), "%", median),
            _most(f"R {weeks} weeks, p90 regret", 100 * regrets.p90(), "%", p90),
            Row(f"R {weeks} weeks, cases without harm", harmless, "share", HARMLESS_R, harmless >= HARMLESS_R),
        ]
    for nominal, slack in ((0.8, 0.04), (0.9, 0.03)):
        covered = interval_coverage(series, {name: _origins(len(values), 52) for name, values in series.items()}, nominal)
        name = f"R 52 weeks, weekly means inside the {nominal:.0%} interval"
        found.append(Row(name, covered, "share", nominal, abs(covered - nominal) <= slack))
    return found


def _short(series: dict[str, np.ndarray]) -> list[Row]:
    splits = {name: halves(len(values)) for name, values in series.items()}
    regrets = backtest_series(series, splits)
    harmless = regrets.no_harm()
    whole = {name: np.where(np.isnan(values), np.nanmean(values), values) for name, values in series.items()}
    covered = {
        nominal: float(np.mean([interval_coverage({n: v}, splits, nominal) for n, v in whole.items()])) for nominal in LEAST_COVERED_S
    }
    inside = [
        Row(f"S, means inside the {nominal:.0%} interval", covered[nominal], "share", least, covered[nominal] >= least)
        for nominal, least in LEAST_COVERED_S.items()
    ]
    return [
        *inside,
        _most("S, median regret", 100 * regrets.median(), "%", ACCEPT_S[0]),
        _most("S, p90 regret", 100 * regrets.p90(), "%", ACCEPT_S[1]),
        Row("S, cases without harm", harmless, "share", HARMLESS_S, harmless >= HARMLESS_S),
    ]


def _outage(series: dict[str, np.ndarray]) -> list[Row]:
    """One day set to zero inside three weeks of a fleet: how far the capacity moves at worst."""
    found = []
    for name in ("azure-vm-2019-fleet", "google-borg-2019-cell"):
        history = series[name]
        worst = max(_change(history, day, premium) for day in range(len(history) // 24) for premium in (2.0, 3.0, 4.0))
        found.append(_most(f"one lost day, {name}", 100 * worst, "%", MOST_OUTAGE_CHANGE))
    return found


def _change(history: np.ndarray, day: int, premium: float) -> float:
    broken = history.copy()
    broken[24 * day : 24 * (day + 1)] = 0.0
    whole = advise(history, len(history), premium).capacity
    return abs(advise(broken, len(history), premium).capacity / whole - 1.0)


def _origins(hours: int, weeks: int) -> tuple[Split, ...]:
    return rolling(hours, first=52 * HOURS_PER_WEEK, step=13 * HOURS_PER_WEEK, ahead=weeks * HOURS_PER_WEEK)


def _most(name: str, measured: float, unit: str, target: float) -> Row:
    return Row(name, measured, unit, target, measured <= target)
