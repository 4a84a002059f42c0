"""Opponents: AWS as billed, AWS on demand, AWS at its best, all private, hybrid; one year of each, line by line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from models.case import Case
from models.dispatch import aws_workers_left, nodes_for
from models.statement import CostLine, CostStatement
from models.units import HOURS_PER_YEAR

AS_BILLED, ON_DEMAND, BEST, PRIVATE, HYBRID = "aws_as_billed", "aws_on_demand", "aws_best", "private", "hybrid"
SIDES = "data between the sides"
BILLED_WHY = "worker charges of the bill, amortised, unused commitment included"


def yearly_worker_hours(case: Case, private_room: float) -> float:
    """Whole AWS worker-hours a year beside `private_room` of the demand's unit; all of them without private nodes."""
    planner, share = case.scenario.planner, case.scenario.demand.build_share
    left = aws_workers_left(case.demand, private_room, case.worker_room, dispatch=planner.dispatch, pinned_share=share)
    return float(left.sum()) * HOURS_PER_YEAR / max(case.demand.size, 1)


def working_room(case: Case, nodes: Mapping[str, int]) -> float:
    """Room of the nodes less the spares of their zones."""
    return sum(max(nodes.get(zone.part.name, 0) - zone.part.spare_nodes, 0) * case.room(zone) for zone in case.zones)


def all_private_nodes(case: Case) -> dict[str, int]:
    """Nodes of the first zone for the whole peak, with the spares that a side without AWS behind it needs.

    Shipped case: 75 + 3.
    """
    zone = case.zones[0]
    working = nodes_for(float(case.demand.max(initial=0.0)), case.room(zone))
    return {zone.part.name: working + case.spare_alone(working)} if working else {}


@dataclass(frozen=True, slots=True)
class AwsRate:
    """What a worker-hour costs on AWS at its best, and why."""

    usd_per_h: float
    why: str
    of_bill: bool = False


def best_rate(case: Case) -> AwsRate:
    """List price less the commitment discount, or what the bill pays for a worker-hour where that is less."""
    off = case.scenario.aws.commitment_discount_share
    offered = AwsRate(case.prices.aws.best_usd_per_h, f"list price less {off:.0%} commitment discount on every hour")
    hours = 0.0 if case.billed_usd_per_year is None else yearly_worker_hours(case, 0.0)
    if case.billed_usd_per_year is None or not hours or case.billed_usd_per_year / hours >= offered.usd_per_h:
        return offered
    return AwsRate(case.billed_usd_per_year / hours, f"the bill's own rate, below list price less {off:.0%} commitment discount", True)


def at_same_rate(case: Case, changed: Case, price: float = 1.0) -> Case:
    """`changed` with AWS prices times `price`; the bill follows its worker-hours, so that an hour keeps its rate."""
    billed = case.billed_usd_per_year
    if billed is not None:
        billed *= price * yearly_worker_hours(changed, 0.0) / max(yearly_worker_hours(case, 0.0), 1.0)
    return replace(changed, on_demand_usd_per_h=case.on_demand_usd_per_h * price, billed_usd_per_year=billed)


def aws_statement(name: str, worker_hours: float, usd_per_h: float, why: str) -> CostStatement:
    """A year of AWS workers."""
    return CostStatement(name, (CostLine("AWS workers", "aws", worker_hours, "worker-hours", usd_per_h, why),))


def aws_opponents(case: Case) -> tuple[CostStatement, ...]:
    """The three ways to stay on AWS."""
    hours, aws = yearly_worker_hours(case, 0.0), case.prices.aws
    listed = aws_statement(ON_DEMAND, hours, aws.on_demand_usd_per_h, "list price")
    rate = best_rate(case)
    best = aws_statement(BEST, hours, rate.usd_per_h, rate.why)
    if case.billed_usd_per_year is None:
        billed = aws_statement(AS_BILLED, hours, aws.on_demand_usd_per_h, "no bill given: list price stands in")
    else:
        line = CostLine("AWS workers", "aws", 1.0, "bill", case.billed_usd_per_year, BILLED_WHY)
        billed = CostStatement(AS_BILLED, (line,))
    return billed, listed, best


def private_only(case: Case) -> CostStatement:
    """Everything owned, nothing rented."""
    return owned(case, PRIVATE, all_private_nodes(case))


def owned(case: Case, name: str, nodes: Mapping[str, int]) -> CostStatement:
    """Yearly cost of these nodes with the scenario's staff; what already stands is in it and is not bought again."""
    statement = case.private_statement(name, nodes, case.scenario.planner.staff_fte)
    standing = {zone.part.name: zone.part.existing_nodes for zone in case.zones}
    return replace(statement, standing_usd=sum(line.usd for line in case.purchases(standing))) if any(standing.values()) else statement


def hybrid(case: Case, nodes: Mapping[str, int]) -> CostStatement:
    """Owned nodes, and AWS at its best price for what they leave; the link between both where the scenario has one."""
    hours = yearly_worker_hours(case, working_room(case, nodes))
    rate, link, built = best_rate(case), case.prices.link, any(nodes.values())
    why = f"{case.scenario.planner.dispatch} dispatch" + (f", {rate.why}" if rate.of_bill else "")
    lines = [CostLine("AWS burst", "aws", hours, "worker-hours", rate.usd_per_h, why)]
    if built and link.ports_usd_per_year:
        port = link.ports_usd_per_year / link.direct_connect_ports
        lines.append(CostLine("Direct Connect ports", "operation", link.direct_connect_ports, "ports", port, "all year"))
    if built and link.usd_per_burst_node_h:
        lines.append(CostLine("data over the link", "operation", hours, "worker-hours", link.usd_per_burst_node_h, "with every burst hour"))
    if built and case.egress_gb_per_year:
        why = "pods away from their data, as simulated"
        lines.append(CostLine(SIDES, "operation", case.egress_gb_per_year, "GB", case.egress_usd_per_gb, why))
    return owned(case, HYBRID, nodes).with_lines(HYBRID, *lines)


def breakeven_nodes(case: Case) -> int | None:
    """Fewest nodes in the first zone at which the hybrid costs no more a year than AWS at its best; None when none does."""
    zone = case.zones[0]
    best = aws_opponents(case)[2].usd_per_year
    top = sum(all_private_nodes(case).values())
    counts = range(zone.part.spare_nodes + 1, top + 1)
    return next((n for n in counts if hybrid(case, {zone.part.name: n}).usd_per_year <= best), None)


def breakeven_share(case: Case) -> float:
    """Busy share above which one more server of the first zone beats AWS at its best: cost / (AWS cost of its room, all year)."""
    zone = case.zones[0]
    rent = case.room(zone) / case.worker_room * best_rate(case).usd_per_h * HOURS_PER_YEAR
    return zone.marginal_usd_per_year(case.prices.private) / rent if rent > 0 else float(np.finfo(np.float64).max)
