"""Reasons behind a recommendation; every number in them is taken from the values they explain."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from models.case import Case
from models.reason import Reason
from simulator.planner.advice import Advice
from simulator.planner.closed_forms import implied_premium
from simulator.planner.readings import staffed_fte
from simulator.planner.screening import Screening


def explain(case: Case, advice: Advice, more: Sequence[Reason] = ()) -> Advice:
    """The same advice with its reasons; `more` follows them."""
    reasons = [reason for make in _REASONS for reason in make(case, advice)]
    return replace(advice, reasons=(*reasons, *more))


def _question(case: Case, advice: Advice) -> Iterator[Reason]:
    nodes = advice.recommendation.private_nodes
    counts = {"working": advice.working, "spare": nodes - advice.working, "nodes": nodes}
    yield Reason(f"asked_{case.scenario.planner.objective}", {**counts, "share": case.scenario.demand.build_share})


def _busy(case: Case, advice: Advice) -> Iterator[Reason]:
    """Why this many: only where the busy share of the next node is what decided."""
    s, k = advice.screening, advice.working
    decided = case.scenario.planner.objective == "marginal" and k == s.optimum
    if decided and 0 < k < s.busy_share.size and s.busy_share[k - 1] > s.breakeven[k - 1]:
        shares = {"breakeven": float(s.breakeven[k - 1]), "last": float(s.busy_share[k - 1]), "beyond": float(s.busy_share[k])}
        yield Reason("busy" if k > 1 else "busy_one", {"k": k, "next": k + 1, **shares})


def _valley(case: Case, advice: Advice) -> Iterator[Reason]:
    low, high = advice.recommendation.range_1pct
    yield Reason("valley" if low < high else "valley_point", {"low": low, "high": high})
    others = [run for run in advice.screening.runs_1pct if run != (low, high)]
    if others:
        yield Reason("valley_also", {"others": ", ".join(f"{first}-{last}" if first < last else str(first) for first, last in others)})


def _whether(case: Case, advice: Advice) -> Iterator[Reason]:
    s, k = advice.screening, advice.working
    alone, hybrid = float(s.cost_usd_per_year[0]), float(s.cost_usd_per_year[k])
    if k == 0:
        yield _none(case, s)
    else:
        key = "hybrid_less" if hybrid < alone else "hybrid_more"
        yield Reason(key, {"hybrid": hybrid, "gap": abs(alone - hybrid), "alone": alone})


def _none(case: Case, s: Screening) -> Reason:
    """Why nothing is built: no room, another question, the fixed items, or already the first server."""
    alone = float(s.cost_usd_per_year[0])
    if s.cost_usd_per_year.size == 1:
        return Reason("nothing_allowed", {"alone": alone})
    best = float(s.cost_usd_per_year[1:].min())
    if case.scenario.planner.objective != "marginal":
        return Reason("nothing_asked", {"best": best, "alone": alone})
    if s.optimum > 0:
        return Reason("nothing_pays", {"best": best, "alone": alone, "gap": best - alone, "nodes": s.optimum})
    if s.breakeven[0] >= 1.0:
        return Reason("nothing_pays_ever", {"best": best, "alone": alone, "gap": best - alone})
    shares = {"first": float(s.busy_share[0]), "breakeven": float(s.breakeven[0])}
    return Reason("nothing_pays_first", {"best": best, "alone": alone, "gap": best - alone, **shares})


def _differ(case: Case, advice: Advice) -> Iterator[Reason]:
    names = ("plain", "staffed", "marginal")
    views = dict(zip(names, advice.views, strict=True))
    costs = {name: view.usd_per_node_year for name, view in views.items()}
    best = {f"best_{name}": view.best_nodes for name, view in views.items()}
    listed = {f"list_{name}": view.on_demand_nodes for name, view in views.items()}
    terms = {"off": case.scenario.aws.commitment_discount_share, "fte": staffed_fte(case)}
    yield Reason("differ" if advice.working else "differ_unbuilt", {**costs, **best, **listed, **terms})


def _halves(case: Case, advice: Advice) -> Iterator[Reason]:
    half, share = advice.readings, case.scenario.demand.build_share
    values = {"peak": half.by_peak_nodes, "hours": half.by_worker_hours_nodes, "share": share}
    if half.by_users_nodes is None:
        yield Reason("halves_without_users", values)
    else:
        yield Reason("halves", {**values, "users": half.by_users_nodes})


def _implied(case: Case, advice: Advice) -> Iterator[Reason]:
    share = case.scenario.demand.build_share
    implied = implied_premium(case.demand, float(case.demand.max(initial=0.0)) * share)
    if math.isfinite(implied) and math.isfinite(advice.screening.premium_on_demand):
        premiums = {"best": advice.screening.premium_best, "list": advice.screening.premium_on_demand}
        yield Reason("implied", {"share": share, "implied": implied, **premiums})


def _limits(case: Case, advice: Advice) -> Iterator[Reason]:
    for limit in advice.limits:
        if limit.binding and limit.shadow_price:
            yield Reason("limit_binds_priced", {"name": limit.name, "price": limit.shadow_price})
        elif limit.binding:
            yield Reason("limit_binds", {"name": limit.name})


def _steps(case: Case, advice: Advice) -> Iterator[Reason]:
    if advice.steps:
        first, rest = advice.steps[0], advice.steps[1:]
        dates = {"ordered": first.order_on.isoformat(), "ready": first.arrive_on.isoformat()}
        yield Reason("first_order", {"nodes": first.nodes, **dates})
        if rest:
            yield Reason("later_orders", {"orders": len(rest), "nodes": sum(step.nodes for step in rest)})


def _unverified(case: Case, advice: Advice) -> Iterator[Reason]:
    if advice.unverified:
        yield Reason("unverified", {"count": len(advice.unverified)})


_REASONS = (_question, _busy, _valley, _whether, _differ, _halves, _implied, _limits, _steps, _unverified)
