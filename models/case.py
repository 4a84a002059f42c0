"""Case: everything that planner and finance read of one scenario, resolved: demand, zones, worker, prices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from models.errors import Problem, ScenarioError
from models.node import NodeShape
from models.parameter import Parameter, Parameters
from models.price import AwsPrices, CommitmentPrices, LinkPrices, PriceBook, PrivatePrices
from models.resources import CPU, MEMORY, PODS
from models.scenario import Scenario, ZonePart
from models.statement import CostStatement, marginal_usd_per_year, private_statement
from models.units import ceil_int
from models.zones import ZONES, BomLine, ZoneKind


def schedulable(shape: NodeShape, axis: str) -> float:
    """What workloads may request of one node on an axis; CPU counts at the node's speed.

    >>> schedulable(NodeShape("m5.4xlarge", 16000, 65536, kube_reserved_cpu_m=110, daemonset_cpu_m=350), "cpu_m")
    15540.0
    """
    room = {CPU: shape.schedulable_cpu_m * shape.speed, MEMORY: shape.schedulable_memory_mib, PODS: shape.schedulable_pods}
    return float(room[axis] if axis in room else shape.extended.get(axis, 0))


def lacking(shape: NodeShape, axis: str, mix: Mapping[str, float]) -> tuple[str, ...]:
    """Resources that the demand asks for and of which the node leaves nothing to workloads.

    >>> lacking(NodeShape("m5.4xlarge", 16000, 65536), "cpu_m", {"memory_mib": 4.0, "nvidia.com/gpu": 0.001})
    ('nvidia.com/gpu',)
    """
    asked = dict.fromkeys((axis, *(other for other, amount in mix.items() if amount > 0)))
    return tuple(name for name in asked if schedulable(shape, name) <= 0)


def room_of(shape: NodeShape, axis: str, mix: Mapping[str, float], place: str) -> float:
    """Demand in units of `axis` that one node holds when every unit brings `mix[other]` of the other resources along.

    A node that offers 15,540 m and 30,000 MiB to pods of 4 MiB per millicore is full at 7,500 m.

    >>> room_of(NodeShape("n", 15540, 30100, max_pods=1000), "cpu_m", {"memory_mib": 4.0}, "worker")
    7500.0
    """
    without = lacking(shape, axis, mix)
    if without:
        raise ScenarioError([_lack(shape, name, place) for name in without])
    return min([schedulable(shape, axis), *(schedulable(shape, other) / amount for other, amount in mix.items() if amount > 0)])


def _lack(shape: NodeShape, resource: str, place: str) -> Problem:
    """How a node without a resource is mended: other hardware for a device, a larger node for the rest."""
    found = f"{shape.name}, which leaves no {resource} to workloads that ask for it"
    if resource in (CPU, MEMORY, PODS):
        return Problem(place, found, "choose a larger node or fewer DaemonSets")
    return Problem(
        place, found, f"choose a server, VM or instance type with {resource}, or take `extended: {{{resource}: ...}}` off the workloads"
    )


@dataclass(frozen=True)
class ZoneBuild:
    """A private zone of the scenario with its server, VM flavour and the catalog's parameters.

    `price_parameter` names the parameter that prices the server.
    """

    part: ZonePart
    server: NodeShape
    vm: NodeShape | None
    price_parameter: str
    parameters: Parameters

    @property
    def kind(self) -> ZoneKind:
        """The rules of the placement."""
        return ZONES[self.part.kind]

    @cached_property
    def node(self) -> NodeShape:
        """The Kubernetes worker of this zone."""
        return self.kind.node(self.part, self.server, self.vm, self.parameters)

    @cached_property
    def per_server(self) -> int:
        """Workers on one server."""
        return self.kind.workers_per_server(self.part, self.server, self.vm, self.parameters)

    @property
    def server_usd(self) -> float:
        """Price of one server: what the zone says, else the catalog's."""
        stated = self.part.server_price_usd
        return self.parameters[self.price_parameter] if stated is None else stated

    def servers_for(self, nodes: int) -> int:
        """Servers that carry `nodes` workers."""
        return -(-nodes // self.per_server)

    def purchases(self, nodes: int) -> tuple[BomLine, ...]:
        """Everything to buy for `nodes` workers; nothing for none."""
        if nodes == 0:
            return ()
        lines = self.kind.bill_of_materials(self.part, self.servers_for(nodes), self.server, self.server_usd, self.parameters)
        if self.part.server_price_usd is not None:
            return lines
        return tuple(line if line.priced_by else replace(line, priced_by=self.price_parameter) for line in lines)

    def marginal_usd_per_year(self, prices: PrivatePrices) -> float:
        """Yearly cost of one more worker: its part of one more server."""
        return marginal_usd_per_year(self.purchases(1), prices) / self.per_server


@dataclass(frozen=True)
class Case:
    """`demand` : float64 [hours] in the unit of `axis`, the resource that binds; `parameters` with overrides applied.

    `users_peak` is the peak demand of the share of users that the scenario homes privately, same unit; None when users are not known.
    `also_used` names parameters that a simulation of the case reads besides prices and zones.
    `mix` says how much of every other resource a unit of demand brings along, so that a worker of another shape is counted by
    the resource that fills it first. `egress_gb_per_year` is what workloads moved in the simulation because they ran away
    from their data.
    """

    scenario: Scenario
    demand: NDArray[np.float64]
    axis: str
    zones: tuple[ZoneBuild, ...]
    worker: NodeShape
    on_demand_usd_per_h: float
    parameters: Parameters
    billed_usd_per_year: float | None = None
    users_peak: float | None = None
    also_used: tuple[str, ...] = ()
    mix: Mapping[str, float] = field(default_factory=dict)
    egress_gb_per_year: float = 0.0

    @property
    def egress_usd_per_gb(self) -> float:
        """Price of a gigabyte between the sides: over Direct Connect where there is a port, else over the internet."""
        over_link = self.parameters["direct_connect_ports"] > 0
        return self.parameters["direct_connect_usd_per_gb" if over_link else "egress_usd_per_gb"]

    @cached_property
    def prices(self) -> PriceBook:
        """All prices, from parameters and scenario."""
        p = self.parameters
        aws = AwsPrices(self.on_demand_usd_per_h, self.scenario.aws.commitment_discount_share, p["aws_price_change_share_per_year"])
        servers = {zone.part.name: zone.server_usd for zone in self.zones}
        return PriceBook(p.fill(PrivatePrices), p.fill(LinkPrices), p.fill(CommitmentPrices), aws, servers)

    @property
    def packing(self) -> float:
        """Share of schedulable capacity that pods are expected to fill."""
        return self.scenario.planner.packing_share

    @property
    def worker_room(self) -> float:
        """Demand that one AWS worker holds, net of packing."""
        return room_of(self.worker, self.axis, self.mix, f"aws.worker {self.worker.name}") * self.packing

    def room(self, zone: ZoneBuild) -> float:
        """Demand that one worker of a zone holds, net of packing."""
        return room_of(zone.node, self.axis, self.mix, f"zones: {zone.part.name}") * self.packing

    def purchases(self, nodes: Mapping[str, int]) -> tuple[BomLine, ...]:
        """Purchases of all zones for nodes by zone name."""
        return tuple(line for zone in self.zones for line in zone.purchases(nodes.get(zone.part.name, 0)))

    def private_statement(self, name: str, nodes: Mapping[str, int], staff_fte: float) -> CostStatement:
        """Yearly cost of owning these nodes."""
        return private_statement(name, self.purchases(nodes), self.prices.private, staff_fte if any(nodes.values()) else 0.0)

    def with_parameters(self, parameters: Parameters) -> Case:
        """The same case under other parameters (sensitivity)."""
        zones = tuple(replace(zone, parameters=parameters) for zone in self.zones)
        return replace(self, parameters=parameters, zones=zones)

    def with_scenario(self, scenario: Scenario) -> Case:
        """The same demand and zones under another planner or AWS part."""
        return replace(self, scenario=scenario)

    def scaled(self, factor: float) -> Case:
        """The same case with its demand multiplied; itself when nothing changes."""
        if factor == 1.0:
            return self
        return replace(self, demand=self.demand * factor, users_peak=None if self.users_peak is None else self.users_peak * factor)

    def with_limits_lifted(self) -> Case:
        """The same case without any `max_nodes` (what a limit costs)."""
        zones = tuple(replace(zone, part=zone.part.model_copy(update={"max_nodes": None})) for zone in self.zones)
        return replace(self, zones=zones)

    def spare_alone(self, nodes: int) -> int:
        """Spare nodes where no AWS stands behind the private side: 1 + 2.5 % of the nodes, at least the scenario's own.

        38 nodes take 2, 75 nodes take 3.
        """
        rule = 1 + ceil_int(self.prices.private.spare_share * nodes)
        return max(rule, *(zone.part.spare_nodes for zone in self.zones))

    def used_parameters(self) -> tuple[Parameter, ...]:
        """Every parameter behind prices and zones, by name."""
        names = {p.name for p in self.parameters.behind(PrivatePrices, LinkPrices, CommitmentPrices)} | {"aws_price_change_share_per_year"}
        for zone in self.zones:
            names |= {zone.price_parameter, *zone.kind.parameter_names()}
        return tuple(self.parameters.by_name[name] for name in sorted(names))

    def unverified(self) -> tuple[str, ...]:
        """Used parameters of confidence C or M that the scenario did not set itself."""
        used = {p.name: p for p in self.used_parameters()} | {name: self.parameters.by_name[name] for name in self.also_used}
        return tuple(sorted(name for name, p in used.items() if p.unverified))
