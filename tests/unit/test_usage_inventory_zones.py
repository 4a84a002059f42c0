"""From an inventory to a plan: generations become zones that stand, and the plan uses them (cases B19, D4)."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner

from models.errors import ScenarioError
from models.inventory import Inventory, ServerGroup
from models.scenario import Scenario, ServerPart, ZonePart
from simulator.catalog import load_scenario, parameters, server_of, zone_build
from simulator.cli import group as cli
from simulator.ingest.inventory_zones import with_inventory

OLD = ServerGroup(
    "R640 (2019)", 12, 64, 384 * 1024, bought=date(2019, 1, 5), watts_idle=180.0, watts_peak=450.0, speed=0.8, book_value_usd=500.0
)
ATTIC = ServerGroup("attic", 3, 16, 64 * 1024)


def base(**zone: object) -> Scenario:
    return Scenario(scenario="x", as_of=date(2026, 1, 5), zones=(ZonePart(**{"name": "new", **zone}),))  # type: ignore[arg-type]


def zones_of(*groups: ServerGroup, scenario: Scenario | None = None) -> tuple[dict[str, ZonePart], tuple[str, ...]]:
    found, notes = with_inventory(scenario or base(), Inventory(groups, source="ours"))
    return {zone.name: zone for zone in found.zones}, notes


def test_a_generation_becomes_a_zone_that_stands_and_never_grows() -> None:
    zones, notes = zones_of(OLD)
    assert list(zones) == ["r640-2019", "new"]
    old = zones["r640-2019"]
    assert (old.existing_nodes, old.max_nodes, old.kind, old.age_years, old.server_price_usd) == (12, 12, "baremetal", 7.0, 500.0)
    node = zone_build(old, parameters()).node
    assert (node.name, node.cpu_m, node.memory_mib, node.speed, node.watts_peak) == ("R640 (2019)", 64_000, 384 * 1024, 0.8, 450.0)
    assert notes == ()


def test_what_an_inventory_does_not_say_is_assumed_and_told() -> None:
    zones, notes = zones_of(ATTIC)
    shape = server_of(zones["attic"])
    assert (shape.speed, shape.watts_idle, shape.watts_peak) == (1.0, 35.2, 88.5)  # 16 x 0.64 + 64 x 0.39; 16 x 3.97 + 64 x 0.39
    assert zones["attic"].age_years == 0
    for told in ("speed", "idle power", "peak power", "day of purchase", "book value"):
        assert sum(told in note for note in notes) == 1


def test_only_whole_free_servers_stand() -> None:
    """10 nodes, 3 deployed: 7 stand. 4 hosts whose VMs use 1.3 of them by threads and 1.6 by memory: 2 stand."""
    ironic = ServerGroup("metal", 10, 64, 262144, used_threads=192.0, used_memory_mib=3.0 * 262144, service="ironic")
    nova = ServerGroup("hosts", 4, 64, 524288, used_threads=83.0, used_memory_mib=1.6 * 524288, service="nova")
    full = ServerGroup("full", 2, 64, 262144, used_threads=128.0, service="ironic")
    zones, notes = zones_of(ironic, nova, full)
    assert (zones["metal"].kind, zones["metal"].existing_nodes) == ("ironic", 7)
    assert (zones["hosts"].kind, zones["hosts"].vm) == (
        "openstack_vm",
        "k8s.32c128g",
    )  # two fill the 64 threads of a host
    per_server = zone_build(zones["hosts"], parameters()).per_server
    assert zones["hosts"].existing_nodes == 2 * per_server > 0
    assert "full: all 2 servers are in use, left out" in notes
    with pytest.raises(ScenarioError, match="no server that is free"):
        zones_of(full)


def test_the_scenarios_own_vm_is_used_where_it_names_one() -> None:
    nova = ServerGroup("hosts", 4, 64, 524288, service="nova")
    zones, notes = zones_of(nova, scenario=base(kind="openstack_vm", vm="k8s.8c32g"))
    assert zones["hosts"].vm == "k8s.8c32g"
    assert "hosts: what is in use is not known, all 4 servers are taken as free" in notes
    small = ServerGroup("tiny", 4, 4, 8192, service="nova")
    _, told = zones_of(nova, small)
    assert any(note.startswith("tiny: 4 threads and 8 GiB hold no VM worker") for note in told)


def test_gpus_stay_with_their_servers_and_names_are_told_apart() -> None:
    gpu = ServerGroup("New", 2, 128, 1024 * 1024, gpus={"nvidia.com/gpu": 8})
    zones, notes = zones_of(gpu, ServerGroup("8-core", 2, 16, 65536))
    assert list(zones) == ["new-2", "own-8-core", "new"]
    assert server_of(zones["new-2"]).extended == {"nvidia.com/gpu": 8}
    assert any("the estimate knows no GPUs" in note for note in notes)


def test_an_own_server_needs_no_catalog() -> None:
    own = ServerPart(name="mine", threads=96, memory_gib=768, speed=1.2)
    shape = server_of(ZonePart(name="a", own_server=own))
    assert (shape.name, shape.cpu_m, shape.memory_mib, shape.daemonset_cpu_m) == ("mine", 96_000, 786_432, 450)
    assert server_of(ZonePart(name="a")).name == "c64m512"


CASE = """
scenario: ours
as_of: 2026-01-05
zones: [{name: prod, kind: baremetal}]
planner: {staff_fte: 0}
engine: {replications: 1, horizon_hours: 24}
"""
SERVERS = """
servers:
- {name: r640, count: 30, threads: 64, memory_gib: 512, bought: 2023-05-01, watts_idle: 150, watts_peak: 420, speed: 1}
"""


def test_an_inventory_file_leads_to_a_plan_that_uses_it(tmp_path: Path) -> None:
    case, servers, ours = tmp_path / "case.yaml", tmp_path / "servers.yaml", tmp_path / "ours.yaml"
    case.write_text(CASE)
    servers.write_text(SERVERS)
    arguments = ["usage", "--inventory", str(servers), "--scenario", str(case), "--write", str(ours), "--json"]
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["zones"] == [
        {"name": "r640", "kind": "baremetal", "nodes": 30},
        {"name": "prod", "kind": "baremetal", "nodes": 0},
    ]
    assert "# r640: book value not given, taken as 0 (written off)" in ours.read_text()
    assert load_scenario(str(ours)).zones[0].existing_nodes == 30
    planned = CliRunner().invoke(cli, ["plan", str(ours), "--out", str(tmp_path / "plan"), "--json"])
    assert planned.exit_code == 0, planned.output
    document = json.loads(planned.stdout)
    assert document["recommendation"]["by_zone"]["r640"] == 30
    assert all(step["zone"] != "r640" for step in document["steps"])  # what stands is not ordered


@pytest.mark.parametrize("arguments", [["--scenario", "placement"], ["--write", "x.yaml"]])
def test_a_scenario_and_where_to_write_it_go_together(arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / "servers.yaml").write_text(SERVERS)
    alone = CliRunner().invoke(cli, ["usage", "--inventory", str(tmp_path / "servers.yaml"), *arguments])
    assert alone.exit_code == 2
    assert "give both" in alone.stderr
    elsewhere = CliRunner().invoke(cli, ["usage", "--file", str(tmp_path / "servers.yaml"), *arguments])
    assert elsewhere.exit_code == 2
    assert "go with --inventory or --openstack" in elsewhere.stderr
