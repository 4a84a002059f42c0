"""Zone comparison: the same demand on bare metal, OpenStack VMs, Ironic and AWS, measure by measure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.case import Case, ZoneBuild, lacking, schedulable
from models.statement import CostLine, CostStatement, private_statement
from models.units import HOURS_PER_YEAR, ceil_int
from models.zones import ZONES
from models.zones.openstack_vm import steal_share
from simulator import catalog
from simulator.finance.opponents import best_rate

KINDS = ("baremetal", "openstack_vm", "ironic", "aws")
DEFAULT_VM = "k8s.16c64g"
Array = NDArray[np.float64]


@dataclass(frozen=True)
class ZoneRow:
    """One placement of the table. `workers` are Kubernetes nodes without spares; `statement` is one year."""

    kind: str
    title: str
    workers: int
    worker_servers: int
    spare_servers: int
    servers: int
    master_servers: int
    l4_appliances: int
    statement: CostStatement
    utilisation: float
    cpu_overhead_share: float
    steal_share: float
    scale_out_p95_s: float
    lead_time_weeks: float
    move_one_server_s: float


@dataclass(frozen=True, slots=True)
class Measure:
    """One row of the printed table, values in column order; `proves` says which claim about the placements it bears out."""

    measure: str
    unit: str
    values: tuple[float, ...]
    proves: str = ""


def tenants_demand(demand: Array, tenants: int) -> Array:
    """Demand [hours, tenants]: classes dealt out in turn where there are enough of them, else equal parts of the total.

    >>> tenants_demand(np.array([[6.0, 2.0, 4.0]]), 2).tolist()
    [[10.0, 2.0]]
    """
    table = demand.reshape(demand.shape[0], -1)
    if table.shape[1] >= tenants > 1:
        return np.stack([table[:, first::tenants].sum(axis=1) for first in range(tenants)], axis=1)
    return np.repeat(table.sum(axis=1, keepdims=True) / tenants, tenants, axis=1)


def own_clusters(demand: Array, room: float, spare: int) -> tuple[int, int]:
    """(workers, spares) when every tenant owns its servers: the sum of every tenant's own peak, spares for each.

    Two tenants that peak in turn need two nodes of 10 each, where one pool needs three.

    >>> own_clusters(np.array([[20.0, 5.0], [5.0, 20.0]]), 10.0, 1)
    (4, 2)
    """
    peaks = demand.max(axis=0, initial=0.0)
    return sum(ceil_int(peak / room) for peak in peaks), spare * demand.shape[1]


def shared_pool(demand: Array, room: float) -> int:
    """Workers when whole nodes move between tenants: the largest sum, over the hours, of every tenant's whole nodes.

    >>> shared_pool(np.array([[20.0, 5.0], [5.0, 20.0]]), 10.0)
    3
    """
    whole = np.ceil(demand / room - 1e-9)
    return int(whole.sum(axis=1).max(initial=0.0))


def zone_row(case: Case, kind: str, demand: Array) -> ZoneRow:
    """One placement for demand [hours, tenants] in the case's unit; the first zone gives server, spares and overcommit."""
    if kind == "aws":
        return _aws_row(case, demand)
    return _private_row(case, _as_kind(case, kind, demand.shape[1]), demand)


def _as_kind(case: Case, kind: str, tenants: int) -> ZoneBuild:
    """The first zone built as another kind; a zone that names no VM takes the catalog's usual one."""
    zone = case.zones[0]
    part = zone.part.model_copy(update={"kind": kind, "tenants": tenants, "max_nodes": None, "existing_nodes": 0})
    return replace(zone, part=part, vm=zone.vm or catalog.vm(DEFAULT_VM))


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A placement that cannot carry the demand at all: the resources that its `node` does not offer."""

    placement: str
    node: str
    lacks: tuple[str, ...]


def left_out(case: Case) -> tuple[LeftOut, ...]:
    """Placements without a column: their node lacks a resource that the workloads ask for, such as a VM without GPUs."""
    nodes = [(kind, case.worker if kind == "aws" else _as_kind(case, kind, case.zones[0].part.tenants).node) for kind in KINDS]
    found = [(ZONES[kind].title, node.name, lacking(node, case.axis, case.mix)) for kind, node in nodes]
    return tuple(LeftOut(title, name, lacks) for title, name, lacks in found if lacks)


def _private_row(case: Case, zone: ZoneBuild, demand: Array) -> ZoneRow:
    kind, part, p = zone.kind, zone.part, case.parameters
    room = case.room(zone)
    if kind.tenancy == "own_servers":
        workers, spares = own_clusters(demand, room, part.spare_nodes)
    else:
        workers, spares = shared_pool(demand, room), part.spare_nodes
    hosts = -(-workers // zone.per_server)
    bom = kind.bill_of_materials(part, hosts + spares, zone.server, zone.server_usd, p)
    offered = (hosts + spares) * zone.per_server * schedulable(zone.node, case.axis)
    steal = steal_share(part.overcommit, p["mean_vcpu_use_share"]) if part.kind == "openstack_vm" else 0.0
    start = kind.provisioning(p)
    return ZoneRow(
        kind=part.kind,
        title=kind.title,
        workers=workers,
        worker_servers=hosts,
        spare_servers=spares,
        servers=round(sum(line.quantity for line in bom if line.supported)),
        master_servers=round(sum(line.quantity for line in bom if line.item == "master server")),
        l4_appliances=round(sum(line.quantity for line in bom if line.item == "L4 appliance")),
        statement=private_statement(kind.title, bom, case.prices.private, case.scenario.planner.staff_fte),
        utilisation=float(demand.sum(axis=1).mean()) / offered if offered else 0.0,
        cpu_overhead_share=1.0 - zone.node.speed / (zone.server.speed * (1.0 - steal)),
        steal_share=steal,
        scale_out_p95_s=start.p95_s,
        lead_time_weeks=part.lead_time_weeks,
        move_one_server_s=start.move_s(1),
    )


def _aws_row(case: Case, demand: Array) -> ZoneRow:
    kind, p = ZONES["aws"], case.parameters
    whole = np.ceil(demand / case.worker_room - 1e-9)
    hours = float(whole.sum()) * HOURS_PER_YEAR / max(demand.shape[0], 1)
    offered = float(whole.sum(axis=1).mean()) * schedulable(case.worker, case.axis)
    rate = best_rate(case)
    lines = (
        CostLine("AWS workers", "aws", hours, "worker-hours", rate.usd_per_h, rate.why),
        CostLine("EKS control plane", "aws", demand.shape[1] * HOURS_PER_YEAR, "h", p["eks_control_plane_usd_per_h"], "one a cluster"),
    )
    start = kind.provisioning(p)
    return ZoneRow(
        kind="aws",
        title=kind.title,
        workers=int(whole.sum(axis=1).max(initial=0.0)),
        worker_servers=0,
        spare_servers=0,
        servers=0,
        master_servers=0,
        l4_appliances=0,
        statement=CostStatement(kind.title, lines),
        utilisation=float(demand.sum(axis=1).mean()) / offered if offered else 0.0,
        cpu_overhead_share=0.0,
        steal_share=0.0,
        scale_out_p95_s=start.p95_s,
        lead_time_weeks=0.0,
        move_one_server_s=0.0,
    )


_MEASURES: tuple[tuple[str, str, Callable[[ZoneRow], float], str], ...] = (
    ("workers", "nodes", lambda r: r.workers, "worker separation by VM"),
    ("worker_servers", "servers", lambda r: r.worker_servers, "overhead: VMs need more hosts than metal"),
    ("spare_servers", "servers", lambda r: r.spare_servers, "split by business, bare metal keeps spares for each"),
    ("master_servers", "servers", lambda r: r.master_servers, "bare metal buys three separate masters for every cluster"),
    ("servers", "servers", lambda r: r.servers, "minimum configuration"),
    ("l4_appliances", "appliances", lambda r: r.l4_appliances, "only bare metal buys an L4 switch"),
    ("capex_usd", "USD", lambda r: r.statement.capex_usd, ""),
    ("opex_usd_per_year", "USD a year", lambda r: r.statement.cash_usd_per_year, ""),
    ("cost_usd_per_year", "USD a year", lambda r: r.statement.usd_per_year, "opex and the annuity of capex"),
    ("scale_out_p95_s", "s", lambda r: r.scale_out_p95_s, "expansion in minutes: VM and Ironic, once hardware stands in the rack"),
    ("order_to_ready_weeks", "weeks", lambda r: r.lead_time_weeks, "a bought server takes weeks"),
    ("utilisation_share", "share", lambda r: r.utilisation, ""),
    ("cpu_overhead_share", "share", lambda r: r.cpu_overhead_share, "performance issue of VMs; Ironic is as fast as metal"),
    ("steal_share", "share", lambda r: r.steal_share, "overcommit costs throughput"),
    ("move_one_server_s", "s", lambda r: r.move_one_server_s, "Ironic shares servers between clusters by clean and deploy"),
)


def measures(rows: Sequence[ZoneRow]) -> tuple[Measure, ...]:
    """The printed table: one value a column."""
    return tuple(Measure(name, unit, tuple(float(read(row)) for row in rows), proves) for name, unit, read, proves in _MEASURES)


def compare_zones(case: Case, demand: Array) -> tuple[ZoneRow, ...]:
    """All placements for demand [hours] or [hours, classes]: the share of it that the scenario builds, dealt to its tenants.

    Those of `left_out` have no row. The scenario's own kind is never left out: ScenarioError says what its node lacks.
    """
    zone, share = case.zones[0].part, case.scenario.demand.build_share
    dealt = tenants_demand(demand * share, zone.tenants)
    unfit = {one.placement for one in left_out(case)} - {case.zones[0].kind.title}
    return tuple(zone_row(case, kind, dealt) for kind in KINDS if ZONES[kind].title not in unfit)


def cheapest(rows: Sequence[ZoneRow]) -> ZoneRow:
    """The private placement with the lowest yearly cost; the first on a tie."""
    return min((row for row in rows if row.kind != "aws"), key=lambda row: row.statement.usd_per_year)
