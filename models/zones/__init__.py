"""Zone kinds: one file each; what a placement costs besides its workers, and how fast it grows.

A kind is stateless: it turns catalog parameters and a server into node shapes, a bill of materials and provisioning
times. Register with `ZONES.register("baremetal", BareMetal())`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, Protocol

from models.node import NodeShape
from models.parameter import Parameters
from models.registry import Registry
from models.scenario import ZonePart
from models.units import ceil_int

Tenancy = Literal["own_servers", "shared_servers", "shared_hosts"]
"""What several tenants share: nothing, a pool of servers that move between clusters, or the hosts under their VMs."""


@dataclass(frozen=True, slots=True)
class BomLine:
    """One line of the purchase list; `watts_each` at peak counts towards colocation and energy.

    `supported` servers carry an operating-system subscription; `worker` marks the lines that grow with the demand.
    `unit_usd` is `price_share` of the parameter `priced_by`, where one prices the line (a workbook writes it as a formula).
    """

    item: str
    quantity: float
    unit_usd: float
    watts_each: float = 0.0
    supported: bool = True
    why: str = ""
    worker: bool = False
    priced_by: str = ""
    price_share: float = 1.0

    @property
    def usd(self) -> float:
        """Price of the line."""
        return self.quantity * self.unit_usd


@dataclass(frozen=True, slots=True)
class Provisioning:
    """How a node of this zone comes to life. Log-normal through p50 and p95; `concurrent` deployments at one time.

    `clean_*` is what a returned node needs before its next life (0 where nothing is cleaned), `clean_concurrent` how many
    at one time; `first_attempt_share` of the deployments succeed at once, the others take one more.
    """

    p50_s: float
    p95_s: float
    concurrent: int
    clean_p50_s: float = 0.0
    clean_p95_s: float = 0.0
    clean_concurrent: int = 1
    first_attempt_share: float = 1.0

    def move_s(self, nodes: int) -> float:
        """Seconds (medians) until `nodes` have moved between two clusters: waves of cleaning, then waves of deploying.

        >>> Provisioning(720.0, 1500.0, 250, 300.0, 600.0, 50).move_s(120)
        1620.0
        """
        cleans = -(-nodes // self.clean_concurrent) if self.clean_p50_s else 0
        return cleans * self.clean_p50_s + -(-nodes // self.concurrent) * self.p50_s


class ZoneKind(Protocol):
    """The rules of one placement."""

    title: str
    private: bool
    masters_are_servers: bool
    needs_l4_pair: bool
    tenancy: Tenancy

    def node(self, part: ZonePart, server: NodeShape, vm: NodeShape | None, parameters: Parameters) -> NodeShape:
        """The Kubernetes worker that pods see: reservations, overhead and speed applied."""
        ...

    def workers_per_server(self, part: ZonePart, server: NodeShape, vm: NodeShape | None, parameters: Parameters) -> int:
        """How many such workers one server carries (1 on metal)."""
        ...

    def bill_of_materials(
        self, part: ZonePart, servers: int, server: NodeShape, server_usd: float, parameters: Parameters
    ) -> tuple[BomLine, ...]:
        """Everything to buy for `servers` worker servers."""
        ...

    def provisioning(self, parameters: Parameters) -> Provisioning:
        """Time from a request to a Ready node once hardware stands in the rack."""
        ...

    def parameter_names(self) -> tuple[str, ...]:
        """Catalog parameters that this kind reads, for the list of what a result used."""
        ...


ZONES: Registry[ZoneKind] = Registry("zone kind", __name__)

SITE_PARAMETERS = (
    "dns_proxy_server_usd", "dns_proxy_server_w", "dns_proxy_servers", "optics_per_server", "optics_usd",
    "servers_per_rack", "tor_per_rack", "tor_switch_usd", "tor_switch_w",
)  # fmt: skip
CONTROL_PARAMETERS = ("controller_server_usd", "controller_server_w", "masters_per_cluster", "openstack_controllers")


def site_lines(part: ZonePart, servers: int, server: NodeShape, server_usd: float, parameters: Parameters) -> tuple[BomLine, ...]:
    """What every private zone buys: worker servers, two switches a rack, optics, the DNS and proxy pair.

    40 servers: 2 racks of 20, 4 switches, 120 optics, 2 proxies.
    """
    p = parameters
    racks = ceil_int(servers / p["servers_per_rack"])
    optics = servers * p["optics_per_server"]
    return (
        BomLine(f"worker server {server.name}", servers, server_usd, server.watts_peak, part.supported, why="runs the pods", worker=True),
        priced("ToR switch", racks * p["tor_per_rack"], "tor_switch_usd", p, "tor_switch_w", supported=False, why=f"{racks} racks"),
        priced("optics", optics, "optics_usd", p, supported=False, why="ports of every worker server"),
        priced(
            "DNS and proxy server", p["dns_proxy_servers"], "dns_proxy_server_usd", p, "dns_proxy_server_w", why="steers users to a site"
        ),
    )


def priced(
    item: str,
    quantity: float,
    price: str,
    parameters: Parameters,
    watts: str = "",
    *,
    share: float = 1.0,
    supported: bool = True,
    why: str = "",
) -> BomLine:
    """A line whose unit price is `share` of parameter `price` and whose watts are parameter `watts`."""
    watts_each = parameters[watts] if watts else 0.0
    return BomLine(item, quantity, parameters[price] * share, watts_each, supported, why, priced_by=price, price_share=share)


def controller_line(parameters: Parameters) -> BomLine:
    """OpenStack controllers, needed once a zone."""
    quantity = parameters["openstack_controllers"]
    return priced("OpenStack controller", quantity, "controller_server_usd", parameters, "controller_server_w", why="three keep a quorum")


def master_vms(part: ZonePart, parameters: Parameters) -> int:
    """VM masters of all clusters of the zone."""
    return ceil_int(parameters["masters_per_cluster"]) * part.clusters


def with_speed(shape: NodeShape, share: float) -> NodeShape:
    """The same node, slower by factor `share`."""
    return replace(shape, speed=shape.speed * share)
