"""Inventories on the command line: shown, kept in a store, and written into a scenario as zones that already stand."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from models.unknown import Unknown
from simulator.cli import print_json

if TYPE_CHECKING:
    from models.inventory import Inventory
    from models.scenario import Scenario


def inventory_command(options: dict[str, Any], as_json: bool) -> None:
    """Read what is already there, keep it, write it into a scenario, print it."""
    from simulator.catalog import load_scenario
    from simulator.ingest.inventory import read_inventory, save_inventory
    from simulator.ingest.inventory_zones import with_inventory
    from simulator.ingest.openstack import connect, read_openstack
    from simulator.ingest.store import open_store

    if bool(options["scenario"]) != bool(options["write"]):
        raise click.UsageError("--scenario names what is read and --write what is written: give both")
    cloud = options["openstack"]
    inventory = read_openstack(connect(cloud), cloud) if cloud else read_inventory(options["inventory"])
    if options["store"]:
        with open_store(options["store"]) as connection:
            save_inventory(connection, inventory)
    scenario, notes = with_inventory(load_scenario(options["scenario"]), inventory) if options["scenario"] else (None, inventory.warnings)
    if scenario:
        _write(options["write"], scenario, notes)
    if as_json:
        print_json(_document(inventory, scenario, notes))
    else:
        _show(inventory, notes)
        if scenario:
            click.echo(f"wrote {options['write']}: burstline plan {options['write']}")


def _write(path: Path, scenario: Scenario, notes: tuple[str, ...]) -> None:
    """The scenario as YAML, what was assumed at its head."""
    import yaml

    from simulator.record import write_text

    head = "".join(f"# {line}\n" for line in ("Servers that already stand, from an inventory. Assumed or left out:", *notes) if notes)
    document = scenario.model_dump(mode="json", exclude_defaults=True)
    write_text(path, head + yaml.safe_dump(document, sort_keys=False, allow_unicode=True))


def _document(inventory: Inventory, scenario: Scenario | None, notes: tuple[str, ...]) -> dict[str, Any]:
    zones = [{"name": zone.name, "kind": zone.kind, "nodes": zone.existing_nodes} for zone in scenario.zones] if scenario else []
    return {
        "series": len(inventory.groups),
        "samples": inventory.servers,
        "from": None,
        "to": None,
        "gaps": [],
        "warnings": notes,
        "source": inventory.source,
        "inventory": {"groups": inventory.groups, "flavours": inventory.flavours},
        "zones": zones,
    }


def _show(inventory: Inventory, notes: tuple[str, ...]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("servers", "count", "threads", "GiB", "bought", "W idle", "W peak", "speed", "used threads")
    for group in inventory.groups:
        cells = (group.bought, group.watts_idle, group.watts_peak, group.speed, group.used_threads)
        known = [f"{group.count}", f"{group.threads}", f"{group.memory_mib / 1024:,.0f}"]
        table.add_row(group.name, *known, *("?" if isinstance(cell, Unknown) else str(cell) for cell in cells))
    console = Console(soft_wrap=True)
    console.print(table)
    console.print(f"{inventory.servers:,} servers, {inventory.threads:,} threads, {inventory.memory_mib / 1024:,.0f} GiB")
    for text in notes:
        click.echo(f"warning: {text}", err=True)
