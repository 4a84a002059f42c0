"""The fleet of a scenario: its private zones with a number of nodes each, and AWS behind them."""

from __future__ import annotations

from collections.abc import Mapping

from models.errors import UnknownName
from models.fleet import Fleet, NodePool
from models.scenario import Scenario
from models.zones import ZONES
from simulator import catalog

PRIVATE_PRIORITY = 100
BURST_POOL = "burst"
AWS_ZONE = "aws"


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
        server = catalog.server(zone.server)
        shape = ZONES[zone.kind].node(zone, server, catalog.vm(zone.vm) if zone.vm else None, parameters)
        count = nodes.get(zone.name, 0)
        pools.append(NodePool(zone.name, zone.name, zone.kind, shape, count, count, True, PRIVATE_PRIORITY - position))
    aws = scenario.aws
    worker = catalog.instance(aws.worker, daemonset_cpu_m=aws.daemonset_cpu_m, daemonset_memory_mib=aws.daemonset_memory_mib)
    pools.append(NodePool(BURST_POOL, AWS_ZONE, "aws", worker, 0, aws.max_nodes, False))
    return Fleet(tuple(pools))
