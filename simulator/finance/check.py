"""The cost check of the rule of half: what its own number of nodes costs, and what each dispatch leaves to AWS."""

from __future__ import annotations

from models.case import Case
from models.dispatch import nodes_for
from models.statement import DispatchCheck, RuleCheck
from simulator.finance.opponents import best_rate, working_room, yearly_worker_hours

DISPATCHES = ("pinned", "private_first")


def rule_check(case: Case) -> RuleCheck:
    """The homed share of users on the first zone, spares included, without staff and with one person (or the scenario's staff).

    Shipped case: 40 nodes, 289,451.23 and 379,673.45 USD a year; 464,107 USD of AWS left when users are pinned, 292,704 when
    private nodes are filled first.
    """
    zone, share = case.zones[0], case.scenario.demand.build_share
    homed = case.users_peak if case.users_peak is not None else share * float(case.demand.max(initial=0.0))
    working = nodes_for(homed, case.room(zone))
    nodes = {zone.part.name: working + zone.part.spare_nodes} if working else {}
    fte = case.scenario.planner.staff_fte or 1.0
    plain = case.private_statement("private side", nodes, 0.0)
    staffed = case.private_statement("private side", nodes, fte).usd_per_year
    checks = tuple(_dispatch(case, name, working_room(case, nodes), staffed) for name in DISPATCHES)
    return RuleCheck(sum(nodes.values()), case.users_peak is not None, plain.capex_usd, plain, fte, staffed, checks)


def _dispatch(case: Case, name: str, room: float, private_usd: float) -> DispatchCheck:
    under = case.with_scenario(case.scenario.varied({"planner.dispatch": name}))
    everything, left = yearly_worker_hours(under, 0.0), yearly_worker_hours(under, room)
    listed, best = case.prices.aws.on_demand_usd_per_h, best_rate(case).usd_per_h
    avoided = everything - left
    return DispatchCheck(name, left, left * listed, avoided * listed, avoided * best, avoided * best - private_usd)
