"""Money without simulation: placements side by side, and the finance report of a plan or of the screening's own answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from models.errors import Problem, ScenarioError
from models.plan import BuildPlan
from models.scenario import Scenario
from simulator.finance.documents import SideBySide, side_by_side
from simulator.finance.report import FinanceReport, finance_report
from simulator.pipeline.inputs import load_inputs
from simulator.pipeline.planning import resolve
from simulator.planner.readings import least_cost_table
from simulator.planner.recommend import nodes_at_arrival, recommend
from simulator.planner.screening import screen
from simulator.planner.steps import quarters_served, to_serve
from simulator.progress import SILENT, Progress


def compare(scenarios: Sequence[Scenario], progress: Progress = SILENT) -> SideBySide:
    """Zone kinds of every scenario; its workloads are dealt to its tenants."""
    tables = []
    for scenario in scenarios:
        inputs = load_inputs(scenario, progress)
        case = resolve(scenario, inputs)
        axis = inputs.demand.axes.index(case.axis)
        tables.append((scenario.scenario, case, inputs.demand.requests[:, :, axis]))
    return side_by_side(tables)


def finance(scenario: Scenario, plan: BuildPlan | None = None, progress: Progress = SILENT) -> FinanceReport:
    """The money of `plan`, or of what the screening recommends for the scenario."""
    inputs = load_inputs(scenario, progress)
    case = resolve(scenario, inputs)
    if plan is None:
        advice = recommend(case)
        nodes, steps = advice.recommendation.by_zone, advice.steps
    else:
        nodes, steps = _of_this_scenario(plan, scenario).recommendation.by_zone, plan.steps
    arrival = to_serve(case)
    curve = screen(arrival, futures=quarters_served(case)).curve(case.demand.size)
    report = finance_report(case, nodes, steps, curve, nodes_at_arrival, least_cost_table(arrival))
    return replace(report, comparison=replace(report.comparison, notes=(*report.comparison.notes, *inputs.notes)))


def _of_this_scenario(plan: BuildPlan, scenario: Scenario) -> BuildPlan:
    if plan.scenario != scenario.scenario:
        mend = f"give the plan's own scenario, or plan {scenario.scenario} with `burstline plan`"
        raise ScenarioError(Problem("plan.scenario", f"a plan of {plan.scenario}, not of {scenario.scenario}", mend))
    known = {zone.name for zone in scenario.zones}
    strange = sorted((set(plan.recommendation.by_zone) | {step.zone for step in plan.steps}) - known)
    if strange:
        mend = f"give the plan's own scenario ({plan.scenario}); this one has {', '.join(sorted(known))}"
        raise ScenarioError([Problem(f"plan of {plan.scenario}", f"nodes in zone {name}", mend) for name in strange])
    return plan
