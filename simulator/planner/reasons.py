"""Sentences behind a recommendation; every number in them is taken from the values they explain."""

from __future__ import annotations

import math
from dataclasses import replace

from models.case import Case
from models.units import money_text
from simulator.planner.advice import Advice
from simulator.planner.closed_forms import implied_premium


def explain(case: Case, advice: Advice) -> Advice:
    """The same advice with its reasons."""
    return replace(advice, reasons=tuple(filter(None, (make(case, advice) for make in _SENTENCES))))


def usd(value: float) -> str:
    """Money in a sentence, whole units.

    >>> usd(5920.8)
    'USD 5,921'
    """
    return money_text(value, "USD", decimals=0)


def _busy(case: Case, advice: Advice) -> str:
    s, k = advice.screening, advice.screening.optimum
    if k == 0 or k >= s.busy_share.size:
        return ""
    return (
        f"Each of the first {k} nodes works in more than the break-even {s.breakeven[k - 1]:.1%} of hours: node {k} works in "
        f"{s.busy_share[k - 1]:.1%}, node {k + 1} would work in {s.busy_share[k]:.1%}."
    )


def _question(case: Case, advice: Advice) -> str:
    planner, nodes = case.scenario.planner, advice.recommendation.private_nodes
    spare = nodes - advice.working
    asked = {
        "marginal": "what one more server costs against the AWS it saves",
        "average": "the average cost of a server against the AWS it saves",
        "by_users": f"{case.scenario.demand.build_share:.0%} of the users",
        "by_peak": f"{case.scenario.demand.build_share:.0%} of the peak",
        "by_worker_hours": f"{case.scenario.demand.build_share:.0%} of the worker hours",
    }[planner.objective]
    return f"The scenario asks for {asked}: {advice.working} working nodes and {spare} spare make {nodes}."


def _valley(case: Case, advice: Advice) -> str:
    low, high = advice.recommendation.range_1pct
    return f"Anything from {low} to {high} nodes costs within 1 % of the least."


def _whether(case: Case, advice: Advice) -> str:
    s, k = advice.screening, advice.working
    alone, hybrid = float(s.cost_usd_per_year[0]), float(s.cost_usd_per_year[k])
    if k == 0:
        best = float(s.cost_usd_per_year[s.optimum])
        return f"Nothing is worth building: the best hybrid costs {usd(best)} a year, AWS alone {usd(alone)}."
    word = "less" if hybrid < alone else "more"
    return (
        f"Hybrid costs {usd(hybrid)} a year, {usd(abs(alone - hybrid))} {word} than AWS alone at the opponent's price ({usd(alone)}); "
        "fixed items decide whether to build, the cost of one more server decides how many."
    )


def _differ(case: Case, advice: Advice) -> str:
    plain, staffed, marginal = advice.views
    off = case.scenario.aws.commitment_discount_share
    return (
        f"A server costs {usd(marginal.usd_per_node_year)} a year at the margin, {usd(plain.usd_per_node_year)} on average "
        f"without staff and {usd(staffed.usd_per_node_year)} with it; against AWS at {off:.0%} off, {marginal.best_nodes}, "
        f"{plain.best_nodes} and {staffed.best_nodes} nodes cost least, and against list price {marginal.on_demand_nodes}, "
        f"{plain.on_demand_nodes} and {staffed.on_demand_nodes}."
    )


def _halves(case: Case, advice: Advice) -> str:
    half, share = advice.readings, case.scenario.demand.build_share
    users = "" if half.by_users_nodes is None else f"{half.by_users_nodes} nodes carry {share:.0%} of the users, "
    return (
        f"{users}{half.by_peak_nodes} carry {share:.0%} of the peak and {half.by_worker_hours_nodes} serve {share:.0%} of the worker "
        "hours: these are rules about a share, not about cost, and answer other questions."
    )


def _implied(case: Case, advice: Advice) -> str:
    implied = implied_premium(case.demand, float(case.demand.max(initial=0.0)) * case.scenario.demand.build_share)
    if not math.isfinite(implied):
        return ""
    share = case.scenario.demand.build_share
    return (
        f"{share:.0%} of the peak would be right only if AWS cost {implied:.1f} times the own node; here it costs "
        f"{advice.screening.premium_best:.1f} times at the best commitment and {advice.screening.premium_on_demand:.1f} times on demand."
    )


def _limits(case: Case, advice: Advice) -> str:
    binding = [limit for limit in advice.limits if limit.binding]
    if not binding:
        return ""
    told = [f"{item.name} ({usd(item.shadow_price)} a year saved by one more)" if item.shadow_price else item.name for item in binding]
    return "Limits that bind: " + ", ".join(told) + "."


def _steps(case: Case, advice: Advice) -> str:
    if not advice.steps:
        return ""
    first, rest = advice.steps[0], advice.steps[1:]
    later = f" {len(rest)} later orders add {sum(step.nodes for step in rest)} nodes as demand grows." if rest else ""
    return f"{first.nodes} nodes ordered on {first.order_on} are ready on {first.arrive_on}; until then AWS serves everything.{later}"


def _unverified(case: Case, advice: Advice) -> str:
    if not advice.unverified:
        return ""
    return f"{len(advice.unverified)} values are unverified (one claim or general knowledge): replace them before the money is relied on."


_SENTENCES = (_question, _busy, _valley, _whether, _differ, _halves, _implied, _limits, _steps, _unverified)
