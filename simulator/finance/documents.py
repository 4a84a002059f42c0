"""What scripts and people read of the finance results: JSON documents and rows of text; no file is written here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.case import Case
from models.generations import Generation
from models.statement import RuleCheck
from models.unknown import Unknown
from models.zones import ZONES
from simulator.finance.cashflow import fleet_by_quarter, stranded
from simulator.finance.generations import generations
from simulator.finance.ledger import ledger
from simulator.finance.report import FinanceReport
from simulator.finance.sensitivity import top_drivers
from simulator.finance.zones import LeftOut, Measure, ZoneRow, cheapest, compare_zones, left_out, measures


@dataclass(frozen=True)
class SideBySide:
    """Zone kinds of one or several scenarios as columns; `left_out` names, by scenario, those that cannot carry its demand."""

    columns: tuple[str, ...]
    rows: tuple[Measure, ...]
    cheapest: tuple[str, ...]
    unverified: tuple[str, ...]
    left_out: Mapping[str, tuple[LeftOut, ...]] = field(default_factory=dict)


def side_by_side(cases: Sequence[tuple[str, Case, NDArray[np.float64]]]) -> SideBySide:
    """The placement table of (name, case, demand [hours] or [hours, classes]); names head the columns when there are several."""
    tables = [(name, compare_zones(case, demand)) for name, case, demand in cases]
    rows = [row for _, table in tables for row in table]
    several = len(tables) > 1
    return SideBySide(
        columns=tuple(f"{name}: {row.title}" if several else row.title for name, table in tables for row in table),
        rows=measures(rows),
        cheapest=tuple(f"{name}: {cheapest(table).title}" for name, table in tables),
        unverified=_unverified([case for _, case, _ in cases], rows),
        left_out={name: unfit for name, case, _ in cases if (unfit := left_out(case))},
    )


def _unverified(cases: Sequence[Case], rows: Sequence[ZoneRow]) -> tuple[str, ...]:
    kinds = {row.kind for row in rows}
    names = {name for kind in kinds for name in ZONES[kind].parameter_names()}
    found = {name for case in cases for name in case.unverified()}
    found |= {name for case in cases for name in names if case.parameters.by_name[name].unverified}
    return tuple(sorted(found))


def finance_document(report: FinanceReport, currency: str = "USD") -> dict[str, Any]:
    """The keys of `burstline finance --json`; money keys end in the currency's code.

    Won are dollars times the rate, never by way of cents.
    """
    rate = report.case.prices.private.krw_per_usd if currency == "KRW" else 1.0
    suffix, c = currency.lower(), report.comparison
    document: dict[str, Any] = {
        "scenario": report.case.scenario.scenario,
        "currency": currency,
        "ledger_rows": len(ledger(report)),
        "opponents": {name: usd * rate for name, usd in c.opponents_usd().items()},
        f"npv_{suffix}": c.npv_usd * rate,
        "irr": c.irr,
        "payback_months": c.payback_months,
        "discounted_payback_months": c.discounted_payback_months,
        "breakeven_nodes": c.breakeven_nodes,
        "breakeven_share": c.breakeven_share,
        "billed_is_list": c.billed_is_list,
        f"stranded_{suffix}": float(stranded(report.case, fleet_by_quarter(report.case, report.steps)).sum()) * rate,
        "nodes": dict(report.nodes),
        "years": report.case.scenario.money.years,
        "statements": {s.name: {f"{suffix}_per_year": s.usd_per_year * rate, f"capex_{suffix}": s.capex_usd * rate} for s in c.statements},
        "lines": [
            {
                "statement": s.name, "item": line.item, "kind": line.kind, "quantity": line.quantity, "unit": line.unit,
                f"unit_{suffix}": line.unit_usd * rate, f"{suffix}_per_year": line.usd_per_year * rate, "why": line.why,
            }
            for s in c.statements
            for line in s.lines
        ],
        "rule_check": _rule_check(report.check, rate, suffix),
        "least_cost": [
            {
                "cost_of_a_node": view.name, f"{suffix}_per_node_year": view.usd_per_node_year * rate,
                "on_demand_nodes": view.on_demand_nodes, "best_commitment_nodes": view.best_nodes,
            }
            for view in report.views
        ],
        "regret": {
            "futures": report.regret.futures,
            "plans": [
                {"plan": name, "nodes": nodes, "regret": row.tolist()}
                for (name, nodes), row in zip(report.regret.plans, report.regret.regret, strict=True)
            ],
            "minimax": report.regret.minimax,
            f"evpi_{suffix}_per_year": report.regret.evpi_usd * rate,
        },
        "cash_flow": {flow.name: [value * rate for value in flow.years().tolist()] for flow in c.flows},
        "drivers": [
            {
                "parameter": d.parameter, "low": d.low, "value": d.value, "high": d.high, "confidence": d.confidence,
                f"cost_low_{suffix}": d.cost_low_usd * rate, f"cost_high_{suffix}": d.cost_high_usd * rate,
                "nodes_low": d.nodes_low, "nodes_high": d.nodes_high, "plan_changes_at": d.turning_value,
            }
            for d in report.drivers
        ],
        "top_drivers": [d.parameter for d in report.drivers[:5]],
        "generations": [_generation(one, rate, suffix) for one in generations(report.case)],
        "notes": [*c.notes, top_drivers(report.drivers)],
        "unverified": list(report.case.unverified()),
    }  # fmt: skip
    if currency != "USD":
        document["krw_per_usd"] = rate
    return document


def _generation(one: Generation, rate: float, suffix: str) -> dict[str, Any]:
    """Old servers of a zone against new ones for the same work."""
    sides = {
        name: {
            "servers": side.servers, f"capex_{suffix}": side.capex_usd * rate, f"{suffix}_per_year": side.usd_per_year * rate,
            f"capital_{suffix}_per_year": side.capital_usd * rate, f"space_{suffix}_per_year": side.space_usd * rate,
            "energy_kwh_per_year": side.energy_kwh, f"energy_{suffix}_per_year": side.energy_usd * rate,
            f"support_{suffix}_per_year": side.support_usd * rate, f"maintenance_{suffix}_per_year": side.maintenance_usd * rate,
            "failures_per_year": side.failures_per_year, f"failure_{suffix}_per_year": side.failure_usd * rate,
        }
        for name, side in (("old", one.old), ("new", one.new))
    }  # fmt: skip
    years = [{"age_years": age, f"old_{suffix}": old * rate, f"new_{suffix}": new * rate} for age, old, new in one.years]
    return {
        "zone": one.zone, "server": one.server, "replaced_by": one.replaced_by, "age_years": one.age_years,
        "crossover_age_years": one.crossover_age, **sides, "years": years,
    }  # fmt: skip


def _rule_check(check: RuleCheck, rate: float, suffix: str) -> dict[str, Any]:
    return {
        "nodes": check.nodes,
        "by_users": check.by_users,
        f"capex_{suffix}": check.capex_usd * rate,
        "lines": {line.item: line.usd_per_year * rate for line in check.without_staff.lines},
        f"without_staff_{suffix}_per_year": check.without_staff.usd_per_year * rate,
        "fte": check.fte,
        f"with_staff_{suffix}_per_year": check.with_staff_usd_per_year * rate,
        "dispatch": {
            d.dispatch: {
                "aws_worker_hours_left": d.worker_hours,
                f"aws_left_{suffix}": d.left_usd * rate,
                f"avoided_{suffix}": d.avoided_usd * rate,
                f"avoided_best_{suffix}": d.avoided_best_usd * rate,
                f"saving_best_{suffix}": d.saving_usd * rate,
            }
            for d in check.dispatches
        },
    }


def or_reason(value: float | Unknown, form: str) -> str:
    """A number in a format, or why there is none.

    >>> or_reason(33.668, "{:.1f}"), or_reason(Unknown("never pays"), "{:.1f}")
    ('33.7', 'never pays')
    """
    return value.reason if isinstance(value, Unknown) else form.format(value)
