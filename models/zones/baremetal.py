"""Bare metal: Kubernetes straight on servers; no overhead, but an L4 pair and three dedicated masters for every tenant."""

from __future__ import annotations

from models.node import NodeShape
from models.parameter import Parameters
from models.scenario import ZonePart
from models.units import ceil_int
from models.zones import SITE_PARAMETERS, ZONES, BomLine, Provisioning, Tenancy, priced, site_lines


class BareMetal:
    """Uses the existing network and storage; every service change touches the load balancer."""

    title = "Bare metal"
    private = True
    masters_are_servers = True
    needs_l4_pair = True
    tenancy: Tenancy = "own_servers"

    def node(self, part: ZonePart, server: NodeShape, vm: NodeShape | None, parameters: Parameters) -> NodeShape:
        """The server itself: overhead 0."""
        return server

    def workers_per_server(self, part: ZonePart, server: NodeShape, vm: NodeShape | None, parameters: Parameters) -> int:
        """One."""
        return 1

    def bill_of_materials(
        self, part: ZonePart, servers: int, server: NodeShape, server_usd: float, parameters: Parameters
    ) -> tuple[BomLine, ...]:
        """Workers, three masters a cluster, the L4 pair, network, DNS and proxy."""
        p = parameters
        masters = ceil_int(p["masters_per_cluster"]) * part.clusters
        return (
            *site_lines(part, servers, server, server_usd, parameters),
            priced("master server", masters, "master_server_usd", p, "master_server_w", why="dedicated masters for every cluster"),
            priced("L4 appliance", 2, "l4_pair_usd", p, "l4_appliance_w", share=0.5, supported=False, why="no software-defined balancer"),
        )

    def provisioning(self, parameters: Parameters) -> Provisioning:
        """Installed by hands, some servers at a time."""
        p = parameters
        return Provisioning(p["baremetal_install_p50_s"], p["baremetal_install_p95_s"], int(p["baremetal_concurrent_installs"]))

    def parameter_names(self) -> tuple[str, ...]:
        """Parameters read here."""
        return (
            *SITE_PARAMETERS, "baremetal_concurrent_installs", "baremetal_install_p50_s", "baremetal_install_p95_s", "l4_appliance_w",
            "l4_pair_usd", "master_server_usd", "master_server_w", "masters_per_cluster",
        )  # fmt: skip


ZONES.register("baremetal", BareMetal())
