"""The recommendation: one number of nodes by the scenario's own question, every other reading beside it, and why they differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from models.case import Case
from models.errors import Problem, ScenarioError
from models.plan import Limit, Readings, Recommendation
from models.reason import Reason
from models.scenario import ZonePart
from models.statement import CostView
from simulator.planner.advice import Advice
from simulator.planner.optimise import with_zones_worth_opening
from simulator.planner.readings import average_usd_per_node, least_cost_table, readings, reference_nodes
from simulator.planner.reasons import explain
from simulator.planner.screening import Rule, Screening, find_rule, pays, quota_floor, screen
from simulator.planner.steps import build_steps, quarters_served, to_serve


def recommend(case: Case) -> Advice:
    """Answer the scenario's question for the demand of the day the first order arrives; a demand that shrinks counts over the life."""
    whole, case = case, with_zones_worth_opening(case)
    arrival = to_serve(case)
    screening = screen(arrival, futures=quarters_served(case))
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
    return explain(arrival, advice, (*_decline(case), *_closed(whole, case)))


def _decline(case: Case) -> Iterator[Reason]:
    growth = case.scenario.demand.growth_share_per_year
    if growth < 0:
        yield Reason("declines", {"share": -growth, "years": quarters_served(case) // 4})


def _closed(whole: Case, case: Case) -> Iterator[Reason]:
    yield from (Reason("zone_stays_closed", {"name": zone.part.name}) for zone in whole.zones if zone not in case.zones)


def working_nodes(case: Case, rule: Rule) -> int:
    """Working nodes for the scenario's objective, floored by what the AWS quota cannot carry.

    marginal: the rule; when its hybrid costs more than AWS alone, whatever costs least, mostly nothing (fixed items decide whether to
    build, and where the quota demands a few nodes anyway they are paid already).
    average: the rule at average cost. by_*: that reading, as many as the zones allow.
    """
    objective = case.scenario.planner.objective
    if objective == "marginal":
        chosen = rule.optimum if pays(case, rule, rule.optimum) else (rule if isinstance(rule, Screening) else screen(case)).least
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


def find_limits(case: Case, screening: Screening, working: int) -> tuple[Limit, ...]:
    """Every limit of the scenario, whether it changes the answer, and the most that each node more would save a year."""
    limited = [zone for zone in case.zones if zone.part.max_nodes is not None]
    lifted = case.with_limits_lifted()
    free = screen(lifted) if limited else screening
    wanted = working_nodes(lifted, free) if limited else working
    limits = [_zone_limit(zone.part, screening, working, free, wanted) for zone in limited]
    floor, costs = screening.floor, screening.cost_usd_per_year
    forced = floor > 0 and (
        floor == working or (case.scenario.planner.objective == "marginal" and bool(costs[:floor].min() < costs[working]))
    )
    return (*limits, Limit(name="aws.max_nodes", binding=forced, shadow_price=None if floor else 0.0))


def _zone_limit(part: ZonePart, screening: Screening, working: int, free: Screening, wanted: int) -> Limit:
    """One zone's `max_nodes` against the plan without limits.

    Racks make costs step, so one node more may save nothing where ten more do: the price is the best saving per added node over every
    larger fleet up to the free optimum.
    """
    most = part.max_nodes or 0
    binding = screening.by_zone(working).get(part.name, 0) >= most and free.by_zone(wanted).get(part.name, 0) > most
    added = {k: free.by_zone(k).get(part.name, 0) - most for k in range(max(free.optimum, wanted) + 1)} if binding else {}
    cost = screening.cost_usd_per_year[working]
    savings = [float(cost - free.cost_usd_per_year[k]) / nodes for k, nodes in added.items() if nodes > 0]
    return Limit(name=f"zones.{part.name}.max_nodes", binding=binding, shadow_price=max([0.0, *savings]))


def nodes_by_zone(case: Case) -> Mapping[str, int]:
    """Nodes to own by zone for the demand as it stands; the short form of `recommend`, for sweeps."""
    case = with_zones_worth_opening(case)
    rule = find_rule(case)
    return rule.by_zone(working_nodes(case, rule))


def nodes_at_arrival(case: Case) -> Mapping[str, int]:
    """Nodes to order now: for the demand of the day they arrive, or of their life when it shrinks."""
    return nodes_by_zone(to_serve(case))


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
