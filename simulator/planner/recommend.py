"""The recommendation: one number of nodes by the scenario's own question, every other reading beside it, and why they differ."""

from __future__ import annotations

from collections.abc import Mapping

from models.case import Case
from models.dispatch import aws_workers_left
from models.errors import InfeasiblePlan, Problem, ScenarioError
from models.plan import Limit, Readings, Recommendation
from models.statement import CostView
from simulator.planner.advice import Advice
from simulator.planner.optimise import with_zones_worth_opening
from simulator.planner.readings import average_usd_per_node, least_cost_table, readings, reference_nodes
from simulator.planner.reasons import explain
from simulator.planner.screening import Rule, Screening, find_rule, pays, screen
from simulator.planner.steps import build_steps, grown, lead_days


def recommend(case: Case) -> Advice:
    """Answer the scenario's question for the demand of the day the first order arrives."""
    whole, case = case, with_zones_worth_opening(case)
    arrival = grown(case, lead_days(case))
    screening = screen(arrival)
    half, views = readings(case), least_cost_table(arrival)
    working = working_nodes(arrival, screening)
    by_zone = dict(sorted(screening.by_zone(working).items()))
    nodes = sum(by_zone.values())
    found = Recommendation(
        private_nodes=nodes, by_zone=by_zone, range_1pct=screening.range_1pct, confidence=_confidence(case, screening, working)
    )
    limits = find_limits(arrival, screening, working)
    advice = Advice(
        recommendation=found,
        readings=half,
        alternatives=_alternatives(half, views, screening),
        views=views,
        screening=screening,
        working=working,
        steps=build_steps(case, nodes_by_zone),
        limits=limits,
        reasons=(),
        unverified=case.unverified(),
    )
    closed = [zone.part.name for zone in whole.zones if zone not in case.zones]
    return explain(arrival, advice, closed)


def working_nodes(case: Case, rule: Rule) -> int:
    """Working nodes for the scenario's objective, floored by what the AWS quota cannot carry.

    marginal: the rule, and 0 when even then the hybrid costs more than AWS alone (fixed items decide whether to build).
    average: the rule at average cost. by_*: that reading, as many as the zones allow.
    """
    objective = case.scenario.planner.objective
    if objective == "marginal":
        chosen = rule.optimum if pays(case, rule, rule.optimum) else 0
    elif objective == "average":
        average = average_usd_per_node(case, reference_nodes(case), case.scenario.planner.staff_fte)
        chosen = find_rule(case, average).optimum
    else:
        chosen = rule.working(_reading(case, f"{objective}_nodes"))
    return max(chosen, quota_floor(case, rule))


def _reading(case: Case, name: str) -> int:
    nodes: int | None = getattr(readings(case), name)
    if nodes is None:
        raise ScenarioError(
            Problem("planner.objective", "by_users, but no workload says its users", "label namespaces with users, or use by_peak")
        )
    return nodes


def quota_floor(case: Case, rule: Rule) -> int:
    """Fewest working nodes that keep the AWS peak within `aws.max_nodes`; InfeasiblePlan when no number does."""
    most = case.scenario.aws.max_nodes
    low, high = 0, len(rule.slots)
    if _aws_peak(case, float(rule.capacity[high])) > most:
        limits = ["aws.max_nodes", *(f"zones.{zone.part.name}.max_nodes" for zone in case.zones)]
        raise InfeasiblePlan(
            limits, f"{high} private nodes still leave {_aws_peak(case, float(rule.capacity[high]))} AWS workers at the peak"
        )
    while low < high:
        middle = (low + high) // 2
        if _aws_peak(case, float(rule.capacity[middle])) <= most:
            high = middle
        else:
            low = middle + 1
    return low


def _aws_peak(case: Case, capacity: float) -> int:
    planner, share = case.scenario.planner, case.scenario.demand.build_share
    left = aws_workers_left(case.demand, capacity, case.worker_room, dispatch=planner.dispatch, pinned_share=share)
    return int(left.max(initial=0))


def find_limits(case: Case, screening: Screening, working: int) -> tuple[Limit, ...]:
    """Every limit of the scenario, whether it binds, and what one node more would save a year."""
    by_zone = screening.by_zone(working)
    free = screen(case.with_limits_lifted()) if any(zone.part.max_nodes is not None for zone in case.zones) else screening
    limits = []
    for zone in case.zones:
        if zone.part.max_nodes is None:
            continue
        binding = by_zone.get(zone.part.name, 0) >= zone.part.max_nodes and free.optimum > working
        saved = float(free.cost_usd_per_year[working] - free.cost_usd_per_year[min(working + 1, free.cost_usd_per_year.size - 1)])
        limits.append(Limit(name=f"zones.{zone.part.name}.max_nodes", binding=binding, shadow_price=max(saved, 0.0) if binding else 0.0))
    floor = quota_floor(case, screening)
    limits.append(Limit(name="aws.max_nodes", binding=floor > 0 and floor == working, shadow_price=None if floor else 0.0))
    return tuple(limits)


def nodes_by_zone(case: Case) -> Mapping[str, int]:
    """Nodes to own by zone for the demand as it stands; the short form of `recommend`, for sweeps."""
    case = with_zones_worth_opening(case)
    rule = find_rule(case)
    return rule.by_zone(working_nodes(case, rule))


def nodes_at_arrival(case: Case) -> Mapping[str, int]:
    """Nodes to order now: for the demand of the day they arrive."""
    return nodes_by_zone(grown(case, lead_days(case)))


def _alternatives(half: Readings, views: tuple[CostView, ...], screening: Screening) -> dict[str, int]:
    found = {f"{view.name}_best_commitment": view.best_nodes for view in views}
    found |= {f"{view.name}_on_demand": view.on_demand_nodes for view in views}
    found["lowest_point_of_cost_curve"] = int(screening.nodes[screening.least])
    found |= {"by_peak": half.by_peak_nodes, "by_worker_hours": half.by_worker_hours_nodes}
    if half.by_users_nodes is not None:
        found["by_users"] = half.by_users_nodes
    return found


def _confidence(case: Case, screening: Screening, working: int) -> str:
    """high, medium or low, with the evidence: history, width of the 1 % range, unverified parameters."""
    low, high = screening.range_1pct
    nodes, days, doubtful = int(screening.nodes[working]), case.demand.size / 24.0, len(case.unverified())
    width = (high - low) / max(nodes, 1)
    grade = "high" if days >= 364 and width <= 0.3 and doubtful == 0 else "low" if days < 60 or not low <= nodes <= high else "medium"
    return f"{grade}: {days:.0f} days of history, {low} to {high} nodes within 1 % of the least cost, {doubtful} unverified parameters"
