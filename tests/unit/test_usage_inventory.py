"""Inventories: static YAML and CSV, and an OpenStack cloud over HTTP; mixed generations become nodes (cases B19, D4)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from models.errors import MetricsError
from models.unknown import Unknown
from openstack_cloud import openstack_cloud
from simulator.catalog import load_scenario
from simulator.cli.usage import command
from simulator.ingest.inventory import load_inventory, read_inventory, save_inventory
from simulator.ingest.inventory_zones import with_inventory
from simulator.ingest.openstack import connect, read_openstack
from simulator.ingest.store import open_store

YAML = """
servers:
  - {name: r640-2019, count: 12, cores: 32, threads: 64, memory_gib: 512, bought: 2019-05-01, watts_idle: 180, watts_peak: 450,
     speed: 0.8, failures_per_year: 0.0425, book_value_usd: 0}
  - {name: r6615-2025, count: 4, cores: 64, threads: 128, memory_gib: 768, bought: 2025-11-01, watts_idle: 160, watts_peak: 500, speed: 1.3}
  - {name: attic, count: 3, threads: 16, memory_gib: 64}
"""
CSV_HEADER = "name,count,cores,threads,memory_gib,bought,watts_idle,watts_peak,speed"
CSV = f"{CSV_HEADER}\nr640-2019,12,32,64,512,2019-05-01,180,450,0.8\nattic,3,,16,64,,,,\n"


def _file(tmp_path: Path, name: str, text: str) -> Path:
    (tmp_path / name).write_text(text)
    return tmp_path / name


def test_generations_keep_age_cores_watts_and_what_is_unknown(tmp_path: Path) -> None:
    inventory = read_inventory(_file(tmp_path, "servers.yaml", YAML))
    attic, old, new = inventory.groups
    assert (inventory.servers, inventory.threads) == (19, 12 * 64 + 4 * 128 + 3 * 16)
    assert old.age_years(date(2026, 5, 1)) == pytest.approx(7.0, abs=0.01)
    assert (old.cores, old.watts_idle, old.watts_peak, old.speed, old.failures_per_year, old.book_value_usd) == (
        32,
        180,
        450,
        0.8,
        0.0425,
        0,
    )
    assert new.memory_mib == 768 * 1024
    assert isinstance(attic.age_years(date(2026, 5, 1)), Unknown)
    assert {"bought", "watts_idle", "watts_peak", "speed", "cores"} <= set(attic.unknowns)


def test_a_mixed_generation_becomes_nodes_of_its_own_speed(tmp_path: Path) -> None:
    attic, old, new = read_inventory(_file(tmp_path, "servers.yaml", YAML)).groups
    assert [(shape.cpu_m, shape.speed, shape.watts_peak) for shape in (old.node_shape(), new.node_shape())] == [
        (64_000, 0.8, 450.0), (128_000, 1.3, 500.0),
    ]  # fmt: skip
    with pytest.raises(ValueError, match="speed of attic is needed but unknown"):
        attic.node_shape()


def test_csv_says_the_same(tmp_path: Path) -> None:
    by_csv, by_yaml = read_inventory(_file(tmp_path, "s.csv", CSV)), read_inventory(_file(tmp_path, "s.yaml", YAML))
    assert by_csv.groups[0] == by_yaml.groups[0]
    assert by_csv.groups[1].bought == date(2019, 5, 1)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("s.yaml", "servers: 3", "no list `servers`"),
        ("s.yaml", "servers: []", "no servers"),
        ("s.yaml", "servers: [{name: a}]", "servers[0]: count: found nothing"),
        ("s.yaml", "servers: [{name: a, count: 0, threads: 1, memory_gib: 1}]", "servers[0]: count: found 0"),
        ("s.yaml", "servers: [{name: a, count: 1, threads: 1, memory_gib: 1, wats: 3}]", "servers[0]: wats"),
        (
            "s.yaml",
            "servers: [{name: a, count: 1, threads: 1, memory_gib: 1, watts_idle: 9, watts_peak: 3}]",
            "watts_idle above watts_peak",
        ),
        ("s.yaml", "servers: [3, x]", "servers[1]"),
        ("s.yaml", "servers: [", "not YAML"),
        ("s.csv", "name,count,threads,memory_gib\na,1,many,4\n", "line 2: threads: found 'many'"),
        ("s.csv", "name,count,threads,memory_gib\na,1,2,4\na,1,2,4\n", "the name a twice"),
        ("s.csv", "", "no servers"),
        ("s.csv", 'name\n"', "does not parse"),
    ],
)
def test_an_inventory_that_cannot_be_is_refused(tmp_path: Path, name: str, text: str, said: str) -> None:
    with pytest.raises(MetricsError) as caught:
        read_inventory(_file(tmp_path, name, text))
    assert said in str(caught.value)


def test_a_missing_inventory_is_refused(tmp_path: Path) -> None:
    for name in ("none.csv", "none.yaml"):
        with pytest.raises(MetricsError, match="no such file"):
            read_inventory(tmp_path / name)


def test_the_store_gives_back_what_was_kept(tmp_path: Path) -> None:
    inventory = read_inventory(_file(tmp_path, "s.yaml", YAML))
    with open_store(tmp_path / "store.duckdb") as connection:
        save_inventory(connection, inventory)
        save_inventory(connection, inventory)
        assert load_inventory(connection) == (inventory,)


def test_the_command_prints_and_keeps_an_inventory(tmp_path: Path) -> None:
    path, store = _file(tmp_path, "s.yaml", YAML), tmp_path / "store.duckdb"
    result = CliRunner().invoke(command, ["--inventory", str(path), "--store", str(store), "--json"], catch_exceptions=False)
    document = json.loads(result.stdout)
    assert document["inventory"]["groups"][0]["speed"] == {"unknown": "not in the inventory"}
    assert "19 servers" in CliRunner().invoke(command, ["--inventory", str(path)], catch_exceptions=False).stdout
    with open_store(store) as connection:
        assert load_inventory(connection)[0].servers == 19


# ---- OpenStack: openstacksdk itself against a loopback cloud; its own deprecations are not ours to mend -------------


def sdk(test: Any) -> Any:
    """Silence the library's own deprecations."""
    for category in ("DeprecationWarning", "PendingDeprecationWarning"):
        test = pytest.mark.filterwarnings(f"ignore::{category}")(test)
    return test


@contextmanager
def _connected(**options: Any) -> Iterator[Any]:
    import openstack

    with openstack_cloud(**options) as url:
        connection = openstack.connect(
            auth_url=url, username="u", password="p", project_name="p", user_domain_id="default", project_domain_id="default",
            region_name="one", load_envvars=False, load_yaml_config=False,
        )  # fmt: skip
        try:
            yield connection
        finally:
            connection.close()


@sdk
@pytest.mark.parametrize("nova", ["2.53", "2.96"])
def test_hypervisors_are_read_before_and_after_nova_gave_their_size_away(nova: str) -> None:
    with _connected(nova=nova) as connection:
        inventory = read_openstack(connection, "private")
    ironic, hypervisors = inventory.groups
    assert (hypervisors.count, hypervisors.threads, hypervisors.memory_mib) == (2, 64, 524288)
    assert (hypervisors.used_threads, hypervisors.used_memory_mib) == (80.0, 262144.0)
    assert (ironic.name, ironic.count, ironic.threads, ironic.memory_mib, ironic.used_threads) == (
        "ironic-bm.large-64t-256g",
        2,
        64,
        262144,
        64,
    )
    assert [(one.name, one.threads, one.memory_mib, dict(one.extra)) for one in inventory.flavours] == [
        ("small", 2, 4096, {}), ("worker.16", 16, 65536, {"hw:cpu_policy": "shared"}),
    ]  # fmt: skip


@sdk
def test_what_is_left_out_of_a_cloud_is_told() -> None:
    with _connected() as connection:
        warnings = read_openstack(connection).warnings
    assert warnings == (
        "hypervisor compute-3: down and enabled, left out",
        "bare-metal node bm-2: in maintenance, left out",
        "bare-metal node bm-3: retired, left out",
        "bare-metal node bm-4: in state 'enroll', left out",
    )


def _node(number: int, state: str = "available", **more: Any) -> dict[str, Any]:
    properties = {"cpus": "64", "memory_mb": "262144", **more.pop("properties", {})}
    return {"uuid": f"33333333-0000-0000-0000-0000000000{number:02}", "name": f"n{number}", "resource_class": "bm.large", "links": [],
            "provision_state": state, "maintenance": False, "retired": False, "properties": properties, "traits": [], **more}  # fmt: skip


@sdk
def test_only_nodes_that_can_be_had_are_counted_and_only_available_ones_are_free() -> None:
    states = ["available", "active", "deploying", "wait call-back", "cleaning", "rescue", "deleting"]
    broken = ["enroll", "verifying", "manageable", "inspecting", "inspect wait", "error", "clean failed", "deploy failed", "service failed"]
    with _connected(services=("baremetal",), nodes=[_node(k, state) for k, state in enumerate([*states, *broken])]) as connection:
        inventory = read_openstack(connection)
    (group,) = inventory.groups
    assert (group.count, group.used_threads) == (7, 6 * 64.0)
    told = [text for text in inventory.warnings if "in state" in text]
    assert [text.split("'")[1] for text in told] == broken


@sdk
def test_gpus_of_a_node_are_counted_by_its_capabilities_and_told_by_its_traits() -> None:
    nodes = [
        _node(1, resource_class="gpu", properties={"capabilities": "boot_mode:uefi,gpus:8"}),
        _node(2, resource_class="gpu", properties={"capabilities": {"gpus": 8}}, traits=["CUSTOM_GPU_A100", "HW_CPU_X86_AVX2"]),
        _node(3, resource_class="gpu", properties={"memory_mb": "no"}),
    ]
    with _connected(services=("baremetal",), nodes=nodes) as connection:
        inventory = read_openstack(connection)
    assert {group.name: dict(group.gpus) for group in inventory.groups} == {
        "ironic-gpu-64t-256g": {},
        "ironic-gpu-64t-256g-8gpu": {"nvidia.com/gpu": 8},
    }
    assert "bare-metal node n2: CUSTOM_GPU_A100 without a count: add gpus:N to its capabilities" in inventory.warnings
    assert "bare-metal node n3: no cpus and memory_mb among its properties, left out; inspect it" in inventory.warnings


@sdk
def test_what_is_reserved_for_the_host_and_what_is_pinned_count_as_placement_says() -> None:
    amounts = {"VCPU": {"total": 48, "reserved": 2}, "PCPU": {"total": 16}, "MEMORY_MB": {"total": 524288, "reserved": 8192}}
    with _connected(inventories=amounts | {"VGPU": {"total": 4}}) as connection:
        inventory = read_openstack(connection)
    hypervisors = next(group for group in inventory.groups if group.service == "nova")
    assert (hypervisors.threads, hypervisors.memory_mib) == (62, 516096)
    assert "hypervisor compute-1: VGPU are not counted as GPUs of a node; name them in a static inventory" in inventory.warnings


@sdk
def test_a_hypervisor_that_placement_does_not_know_is_left_out_not_fatal() -> None:
    with _connected(without_provider=("11111111-0000-0000-0000-000000000001",)) as connection:
        inventory = read_openstack(connection)
    assert next(group.count for group in inventory.groups if group.service == "nova") == 1
    assert any(text.startswith("Placement inventory of compute-1: not found") for text in inventory.warnings)
    assert any(text.startswith("hypervisor compute-1: size") for text in inventory.warnings)


@sdk
def test_a_cloud_without_ironic_still_gives_its_hypervisors() -> None:
    with _connected(services=("compute", "placement")) as connection:
        inventory = read_openstack(connection)
    assert [group.service for group in inventory.groups] == ["nova"]
    assert any(text.startswith("Ironic nodes: this cloud has none") for text in inventory.warnings)


@sdk
def test_an_account_without_rights_is_told() -> None:
    refuse = ("/compute/v2.1/os-hypervisors/detail", "/baremetal/v1/nodes/detail")
    with _connected(refuse=refuse) as connection, pytest.raises(MetricsError, match="this account may not list them"):
        read_openstack(connection)


@sdk
def test_a_cloud_that_is_not_configured_is_one_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MetricsError, match=r"cloud nowhere: .*check clouds.yaml"):
        connect("nowhere")


@sdk
def test_a_cloud_becomes_zones_of_a_scenario() -> None:
    """Two hypervisors of 64 threads with 80 in use leave none whole; of two bare-metal nodes one is deployed."""
    with _connected() as connection:
        scenario, notes = with_inventory(load_scenario("half-private-40"), read_openstack(connection, "private"))
    assert [(zone.name, zone.kind, zone.existing_nodes) for zone in scenario.zones] == [
        ("ironic-bm-large-64t-256g", "ironic", 1),
        ("prod-bm", "baremetal", 0),
    ]
    assert "nova-64t-512g: all 2 servers are in use, left out" in notes
    assert "bare-metal node bm-3: retired, left out" in notes
