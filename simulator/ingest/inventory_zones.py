"""What is already there as zones of a scenario: each generation of an inventory stands beside the zone that may be bought.

A generation keeps its own threads, memory, GPUs, speed, watts, age and book value; its zone holds what is free of it and never
grows. Where the inventory does not say, a stated default is taken and told: work per thread as the catalog's server, watts
by thread and GiB (cloud-carbon-footprint, AwsFootprintEstimationConstants), book value nought.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from math import ceil, floor

from models.errors import Problem, ScenarioError
from models.inventory import Inventory, ServerGroup
from models.scenario import Scenario, ServerPart, ZonePart
from models.units import MIB_PER_GIB
from models.unknown import Unknown
from simulator import catalog

KINDS = {"ironic": "ironic", "nova": "openstack_vm"}
IDLE_W_PER_THREAD, PEAK_W_PER_THREAD, W_PER_GIB = 0.64, 3.97, 0.39
OLDEST_YEARS = 30.0
LONGEST_NAME = 41


def with_inventory(scenario: Scenario, inventory: Inventory) -> tuple[Scenario, tuple[str, ...]]:
    """The scenario with a zone for every generation, before its own zones, and what had to be assumed or left out.

    Zones of generations are filled first. Raises `ScenarioError` when nothing of the inventory is free.
    """
    notes = list(inventory.warnings)
    taken = [zone.name for zone in scenario.zones]
    zones: list[ZonePart] = []
    for group in inventory.groups:
        zone = _zone(group, scenario, taken, notes)
        if zone is not None:
            zones.append(zone)
            taken.append(zone.name)
    if not zones:
        raise ScenarioError(Problem(inventory.source, "no server that is free", "check what uses them, or leave the inventory out"))
    return scenario.model_copy(update={"zones": (*zones, *scenario.zones)}), tuple(notes)


def _zone(group: ServerGroup, scenario: Scenario, taken: Sequence[str], notes: list[str]) -> ZonePart | None:
    base = scenario.zones[0]
    free = _free(group, notes)
    if not free:
        notes.append(f"{group.name}: all {group.count} servers are in use, left out")
        return None
    kind = KINDS.get(group.service, base.kind)
    part = ZonePart(
        name=_named(group.name, taken),
        kind=kind,
        server=base.server,
        own_server=_server(group, notes),
        lead_time_weeks=base.lead_time_weeks,
        tenants=base.tenants,
        age_years=_age(group, scenario.as_of, notes),
        server_price_usd=_or(group.book_value_usd, 0.0, f"{group.name}: book value not given, taken as 0 (written off)", notes),
        supported=_or(group.support_usd_per_year, 1.0, "", notes) > 0,
    )
    placed = _with_vm(part, scenario) if kind == "openstack_vm" else part
    if placed is None:
        notes.append(f"{group.name}: {group.threads} threads and {group.memory_mib / MIB_PER_GIB:,.0f} GiB hold no VM worker, left out")
        return None
    nodes = free * catalog.zone_build(placed, catalog.parameters(scenario.parameters), scenario.platform).per_server
    return placed.model_copy(update={"existing_nodes": nodes, "max_nodes": nodes, "spare_nodes": min(base.spare_nodes, nodes - 1)})


def _free(group: ServerGroup, notes: list[str]) -> int:
    """Whole servers that nothing uses: what is used of threads or memory, whichever is more, is taken from the group."""
    used = [
        amount / whole
        for amount, whole in ((group.used_threads, group.threads), (group.used_memory_mib, group.memory_mib))
        if not isinstance(amount, Unknown)
    ]
    if not used:
        if group.service != "static":
            notes.append(f"{group.name}: what is in use is not known, all {group.count} servers are taken as free")
        return group.count
    return max(0, floor(group.count - ceil(max(used) - 1e-9)))


def _server(group: ServerGroup, notes: list[str]) -> ServerPart:
    gib = group.memory_mib / MIB_PER_GIB
    idle = round(group.threads * IDLE_W_PER_THREAD + gib * W_PER_GIB, 1)
    peak = round(group.threads * PEAK_W_PER_THREAD + gib * W_PER_GIB, 1)
    if group.gpus and isinstance(group.watts_peak, Unknown):
        notes.append(f"{group.name}: watts not given, and the estimate knows no GPUs: give watts_idle and watts_peak")
    return ServerPart(
        name=group.name,
        threads=group.threads,
        memory_gib=gib,
        extended=dict(group.gpus),
        speed=_or(group.speed, 1.0, f"{group.name}: speed not given, taken as that of the catalog's server", notes),
        watts_idle=_or(group.watts_idle, idle, f"{group.name}: idle power not given, taken as {idle:g} W by threads and GiB", notes),
        watts_peak=_or(group.watts_peak, peak, f"{group.name}: peak power not given, taken as {peak:g} W by threads and GiB", notes),
    )


def _age(group: ServerGroup, as_of: date, notes: list[str]) -> float:
    age = group.age_years(as_of)
    if isinstance(age, Unknown):
        notes.append(f"{group.name}: day of purchase not given, taken as new")
        return 0.0
    return round(min(max(age, 0.0), OLDEST_YEARS), 2)


def _with_vm(part: ZonePart, scenario: Scenario) -> ZonePart | None:
    """The zone with the VM of the scenario's own zone, else the one of the catalog that fills the host best; None when none fits."""
    names = [scenario.zones[0].vm] if scenario.zones[0].vm else catalog.vm_names()
    values = catalog.parameters(scenario.parameters)
    found: list[tuple[int, int, ZonePart]] = []
    for name in names:
        zone = part.model_copy(update={"vm": name})
        try:
            build = catalog.zone_build(zone, values, scenario.platform)
            found.append((build.per_server * build.node.cpu_m, build.node.cpu_m, zone))
        except ScenarioError:  # this VM does not fit on the host
            continue
    return max(found, key=lambda one: one[:2])[2] if found else None


def _or(value: float | Unknown, default: float, note: str, notes: list[str]) -> float:
    if not isinstance(value, Unknown):
        return value
    if note:
        notes.append(note)
    return default


def _named(name: str, taken: Sequence[str]) -> str:
    """A zone name out of a generation's: lower case, letters first, unlike any other."""
    text = re.sub(r"[^a-z0-9-]+", "-", name.lower()).strip("-")
    plain = (text if text[:1].isalpha() else f"own-{text}")[:LONGEST_NAME].rstrip("-")
    found, number = plain, 2
    while found in taken:
        found, number = f"{plain[: LONGEST_NAME - 3]}-{number}", number + 1
    return found
