"""OpenStack VM: workers are VMs on shared hosts; no L4 pair, VM masters, tenants share hosts, at the price of overhead."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from models.errors import Problem, ScenarioError
from models.node import NodeShape
from models.parameter import Parameters
from models.scenario import ZonePart
from models.units import MIB_PER_GIB, ceil_int
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


def kvm_overhead_share(vm_threads: float, host_threads: float, parameters: Parameters) -> float:
    """CPU lost to KVM: grows with the VM's part of the host, linear between the measured points.

    Points (part of host, overhead): 0 tuned floor, 1/4, 1/2, 1 (CERN, HS06). `kvm_tuned` 1 takes the floor at every size.
    """
    p = parameters
    points = (
        (0.0, p["kvm_overhead_tuned_share"]),
        (0.25, p["kvm_overhead_quarter_host_share"]),
        (0.5, p["kvm_overhead_half_host_share"]),
        (1.0, p["kvm_overhead_whole_host_share"]),
    )
    part = min(max(vm_threads / host_threads, 0.0), 1.0)
    curve = next(a + (b - a) * (part - x) / (y - x) for (x, a), (y, b) in pairwise(points) if part <= y)
    return curve + (p["kvm_overhead_tuned_share"] - curve) * p["kvm_tuned"]


def steal_share(overcommit: float, mean_use_share: float) -> float:
    """CPU time that overcommitted VMs take from each other: max(0, 1 - 1 / (ratio x mean use)).

    >>> steal_share(1.0, 0.4), steal_share(4.0, 0.4)
    (0.0, 0.375)
    """
    return max(0.0, 1.0 - 1.0 / (overcommit * mean_use_share)) if mean_use_share > 0 else 0.0


def _flavour(part: ZonePart, vm: NodeShape | None) -> NodeShape:
    if vm is None:
        raise ScenarioError(
            Problem(f"zones: {part.name}", "no `vm` in a zone of kind openstack_vm", "name a VM of the catalog, such as k8s.16c64g")
        )
    return vm


class OpenStackVM:
    """Software-defined network and storage carry what bare metal buys as appliances."""

    title = "OpenStack VM"
    private = True
    masters_are_servers = False
    needs_l4_pair = False
    tenancy: Tenancy = "shared_hosts"

    def node(self, part: ZonePart, server: NodeShape, vm: NodeShape | None, parameters: Parameters) -> NodeShape:
        """The VM: slower by KVM overhead and steal, its memory less the hypervisor's tax."""
        flavour = _flavour(part, vm)
        overhead = kvm_overhead_share(flavour.cpu_m, server.cpu_m, parameters)
        steal = steal_share(part.overcommit, parameters["mean_vcpu_use_share"])
        memory = int(flavour.memory_mib * (1.0 - parameters["vm_memory_tax_share"]))
        per_server = self.workers_per_server(part, server, vm, parameters)
        shape = replace(flavour, memory_mib=memory, watts_idle=server.watts_idle / per_server, watts_peak=server.watts_peak / per_server)
        return with_speed(shape, (1.0 - overhead) * (1.0 - steal) * server.speed)

    def workers_per_server(self, part: ZonePart, server: NodeShape, vm: NodeShape | None, parameters: Parameters) -> int:
        """Whole VMs on a host: by threads times overcommit and by memory, both less the host's reservation."""
        flavour, p = _flavour(part, vm), parameters
        threads_m = (server.cpu_m - p["nova_reserved_host_cpus"] * 1000) * part.overcommit
        memory = (server.memory_mib - p["nova_reserved_host_memory_mib"]) * p["nova_ram_allocation_ratio"]
        fits = int(min(threads_m // flavour.cpu_m, memory // (flavour.memory_mib + p["vm_memory_tax_mib"])))
        if fits < 1:
            raise ScenarioError(
                Problem(f"zones: {part.name}", f"VM {flavour.name} on server {server.name}", "choose a VM that fits on the host")
            )
        return fits

    def bill_of_materials(
        self, part: ZonePart, servers: int, server: NodeShape, server_usd: float, parameters: Parameters
    ) -> tuple[BomLine, ...]:
        """Hosts for workers, hosts for VM masters, controllers, Ceph, network, DNS and proxy."""
        p = parameters
        masters = master_vms(part, p)
        by_threads = masters * p["master_vm_vcpu"] * 1000 / server.cpu_m
        by_memory = masters * p["master_vm_memory_gib"] * MIB_PER_GIB / server.memory_mib
        hosts = ceil_int(max(by_threads, by_memory))
        return (
            *site_lines(part, servers, server, server_usd, parameters),
            BomLine("host for VM masters", hosts, server_usd, server.watts_peak, why=f"{masters} VM masters, spread over all hosts"),
            controller_line(p),
            priced("Ceph node", p["ceph_nodes"], "ceph_node_usd", p, "ceph_node_w", why="software-defined storage"),
        )

    def provisioning(self, parameters: Parameters) -> Provisioning:
        """A VM boots and joins in minutes."""
        p = parameters
        return Provisioning(p["vm_ready_p50_s"], p["vm_ready_p95_s"], int(p["nova_concurrent_builds_per_host"]))

    def parameter_names(self) -> tuple[str, ...]:
        """Parameters read here."""
        return (
            *SITE_PARAMETERS, *CONTROL_PARAMETERS, "ceph_node_usd", "ceph_node_w", "ceph_nodes", "kvm_overhead_half_host_share",
            "kvm_overhead_quarter_host_share", "kvm_overhead_tuned_share", "kvm_overhead_whole_host_share", "kvm_tuned",
            "master_vm_memory_gib", "master_vm_vcpu", "mean_vcpu_use_share", "nova_concurrent_builds_per_host", "nova_ram_allocation_ratio",
            "nova_reserved_host_cpus", "nova_reserved_host_memory_mib", "vm_memory_tax_mib", "vm_memory_tax_share", "vm_ready_p50_s",
            "vm_ready_p95_s",
        )  # fmt: skip


ZONES.register("openstack_vm", OpenStackVM())
