"""Ironic: bare-metal workers that OpenStack deploys and cleans; masters are VMs, servers move between clusters."""

from __future__ import annotations

from models.node import NodeShape
from models.parameter import Parameters
from models.scenario import ZonePart
from models.units import ceil_int
from models.zones import (
    CONTROL_PARAMETERS,
    SITE_PARAMETERS,
    ZONES,
    BomLine,
    Provisioning,
    Tenancy,
    controller_line,
    master_vms,
    priced,
    site_lines,
    with_speed,
)


class Ironic:
    """Metal speed without dedicated masters or an L4 pair; controllers and conductors instead."""

    title = "Ironic"
    private = True
    masters_are_servers = False
    needs_l4_pair = False
    tenancy: Tenancy = "shared_servers"

    def node(self, part: ZonePart, server: NodeShape, vm: NodeShape | None, parameters: Parameters) -> NodeShape:
        """The server, as fast as bare metal unless the scenario says otherwise."""
        return with_speed(server, 1.0 - parameters["ironic_overhead_share"])

    def workers_per_server(self, part: ZonePart, server: NodeShape, vm: NodeShape | None, parameters: Parameters) -> int:
        """One."""
        return 1

    def bill_of_materials(
        self, part: ZonePart, servers: int, server: NodeShape, server_usd: float, parameters: Parameters
    ) -> tuple[BomLine, ...]:
        """Workers, hosts under the VM masters, controllers, conductors, network, DNS and proxy."""
        p = parameters
        masters = master_vms(part, p)
        hosts = max(ceil_int(p["master_vm_hosts"]), ceil_int(masters * p["master_vm_vcpu"] * 1000 / server.cpu_m))
        conductors = max(ceil_int(p["ironic_conductors"]), ceil_int(servers / p["ironic_nodes_per_conductor"]))
        return (
            *site_lines(part, servers, server, server_usd, parameters),
            BomLine("host for VM masters", hosts, server_usd, server.watts_peak, why=f"{masters} VM masters"),
            controller_line(p),
            priced("Ironic conductor", conductors, "controller_server_usd", p, "controller_server_w", why="deploys and cleans servers"),
        )

    def provisioning(self, parameters: Parameters) -> Provisioning:
        """Deploy in minutes; a returned server is cleaned first, both with a limit on how many at one time."""
        p = parameters
        return Provisioning(
            p["ironic_deploy_p50_s"], p["ironic_deploy_p95_s"], int(p["ironic_concurrent_deploys"]), p["ironic_clean_p50_s"],
            p["ironic_clean_p95_s"], int(p["ironic_concurrent_cleans"]), p["ironic_first_attempt_share"],
        )  # fmt: skip

    def parameter_names(self) -> tuple[str, ...]:
        """Parameters read here."""
        return (
            *SITE_PARAMETERS, *CONTROL_PARAMETERS, "ironic_clean_p50_s", "ironic_clean_p95_s", "ironic_concurrent_cleans",
            "ironic_concurrent_deploys", "ironic_conductors", "ironic_deploy_p50_s", "ironic_deploy_p95_s", "ironic_first_attempt_share",
            "ironic_nodes_per_conductor", "ironic_overhead_share", "master_vm_hosts", "master_vm_vcpu",
        )  # fmt: skip


ZONES.register("ironic", Ironic())
