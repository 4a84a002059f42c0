"""The fleet of a scenario: its private zones with a number of nodes each, and AWS behind them."""

from __future__ import annotations

from collections.abc import Mapping

from models.errors import UnknownName
from models.fleet import Fleet, NodePool
from models.node import NodeShape
from models.parameter import Parameters
from models.scenario import Scenario, ZonePart
from models.zones import ZONES
from simulator import catalog
from simulator.engine.tenants import split_pools, tenants_of

PRIVATE_PRIORITY = 100
BURST_POOL = "burst"
AWS_ZONE = "aws"
HOURS_PER_WEEK = 168


def fleet_for(scenario: Scenario, nodes: Mapping[str, int]) -> Fleet:
    """Private pools with `nodes` by zone name (0 for a zone not named), filled before the burst pool on AWS.

    Earlier zones of the scenario are filled first. Raises UnknownName for a zone that the scenario does not have.
    """
    known = [zone.name for zone in scenario.zones]
    for name in nodes:
        if name not in known:
            raise UnknownName("zone", name, known)
    parameters = catalog.parameters(scenario.parameters)
    pools = []
    for position, zone in enumerate(scenario.zones):
        server = catalog.server_of(zone)
        shape = ZONES[zone.kind].node(zone, server, catalog.vm(zone.vm) if zone.vm else None, parameters)
        shape = scenario.platform.on_node(shape)
        count = nodes.get(zone.name, 0)
        pools += split_pools(_owned(scenario, zone, shape, count, PRIVATE_PRIORITY - position), zone, tenants_of(scenario))
    pools += _rented(scenario, parameters)
    return Fleet(tuple(pools))


def _owned(scenario: Scenario, zone: ZonePart, shape: NodeShape, count: int, priority: int) -> list[NodePool]:
    """The pool of a private zone; with `procurement: lead_time` a second one for what is bought, which stands later."""
    bought = max(0, count - zone.existing_nodes) if scenario.engine.procurement == "lead_time" else 0
    stands = count - bought
    kept = stands if zone.min_nodes is None else min(zone.min_nodes, stands)
    pools = [NodePool(zone.name, zone.name, zone.kind, shape, kept, stands, True, priority)]
    if bought:
        hour = round(zone.lead_time_weeks * HOURS_PER_WEEK)
        pools.append(NodePool(f"{zone.name}-bought", zone.name, zone.kind, shape, bought, bought, True, priority, hour))
    return pools


def _rented(scenario: Scenario, parameters: Parameters) -> list[NodePool]:
    """The burst pools: one of the scenario's worker, or one for every instance type, as spot and on demand, of `aws.pools`."""
    aws = scenario.aws
    if not aws.pools:
        return [NodePool(BURST_POOL, AWS_ZONE, "aws", _node(scenario, aws.worker), 0, aws.max_nodes, False, usd_per_h=_listed(scenario))]
    pools = []
    for part in aws.pools:
        spot = round(part.max_nodes * part.spot_share)
        for name in part.instance_types:
            usd = catalog.on_demand_usd_per_h(name, aws.region)
            terms = (("", part.max_nodes - spot, usd), ("-spot", spot, usd * (1.0 - parameters["spot_saving_share"])))
            pools += [
                NodePool(
                    f"{part.name}-{name}{suffix}", AWS_ZONE, "aws", _node(scenario, name), 0, most, False,
                    usd_per_h=price, spot=bool(suffix), group=part.name, group_max=part.max_nodes, weight=part.weight,
                )
                for suffix, most, price in terms
                if most
            ]  # fmt: skip
    return pools


def _node(scenario: Scenario, name: str) -> NodeShape:
    aws = scenario.aws
    worker = catalog.instance(name, daemonset_cpu_m=aws.daemonset_cpu_m, daemonset_memory_mib=aws.daemonset_memory_mib)
    return scenario.platform.on_node(worker)


def _listed(scenario: Scenario) -> float | None:
    """List price of the scenario's worker, None where the catalog has none for its region."""
    try:
        return catalog.on_demand_usd_per_h(scenario.aws.worker, scenario.aws.region)
    except UnknownName:
        return None
