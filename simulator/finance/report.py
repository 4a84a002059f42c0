"""The finance report: one object from which the workbook, the ledger, the tables and the JSON are all written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from models.case import Case
from models.plan import Step
from models.statement import Comparison, CostCurve, CostView, Driver, RuleCheck
from simulator.finance.cashflow import at_quarter
from simulator.finance.check import rule_check
from simulator.finance.comparison import compare_opponents
from simulator.finance.regret import RegretTable, regret_table
from simulator.finance.sensitivity import Advise, tornado


@dataclass(frozen=True)
class FinanceReport:
    """A case, the plan for it and everything that was computed of its money; `arrival` is the case when the first order arrives."""

    case: Case
    arrival: Case
    nodes: Mapping[str, int]
    steps: tuple[Step, ...]
    comparison: Comparison
    drivers: tuple[Driver, ...]
    curve: CostCurve
    check: RuleCheck
    views: tuple[CostView, ...]
    regret: RegretTable


def finance_report(
    case: Case, nodes: Mapping[str, int], steps: Sequence[Step], curve: CostCurve, advise: Advise, views: Sequence[CostView] = ()
) -> FinanceReport:
    """Compare the opponents and sweep the assumptions; `advise` gives nodes by zone for a changed case.

    `views` is the planner's least-cost table.
    """
    check, arrival = rule_check(case), at_quarter(case, 0)
    return FinanceReport(
        case=case,
        arrival=arrival,
        nodes=dict(nodes),
        steps=tuple(steps),
        comparison=compare_opponents(case, nodes, steps),
        drivers=tornado(case, advise),
        curve=curve,
        check=check,
        views=tuple(views),
        regret=regret_table(arrival, _candidates(case, check, nodes, views)),
    )


def _candidates(case: Case, check: RuleCheck, nodes: Mapping[str, int], views: Sequence[CostView]) -> dict[str, Mapping[str, int]]:
    """Plans worth comparing: nothing, the rule of half, what costs least under each view of a server, and the plan itself."""
    first = case.zones[0].part.name
    found: dict[str, Mapping[str, int]] = {"stay on AWS": {}, "rule of half": {first: check.nodes}}
    found |= {f"least cost, {view.name}": {first: view.best_nodes} for view in views}
    return found | {"the plan": dict(nodes)}
