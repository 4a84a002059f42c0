"""Shipped data: found in a checkout (`data/`) or in a wheel (`simulator/_data`); scenarios, parameters, shapes, prices."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any, cast

from models.case import Case, ZoneBuild
from models.demand import Demand
from models.errors import Problem, ScenarioError, UnknownName
from models.node import NodeShape, eks_reserved_memory_mib, gke_reserved_memory_mib, kube_reserved_cpu_m
from models.parameter import Confidence, Parameter, Parameters
from models.scenario import Scenario, ZonePart, parse_scenario
from models.scenario_workloads import PlatformPart
from models.unknown import Unknown
from models.zones import ZONES
from simulator.yaml_text import parse_yaml


def data_folder() -> Path:
    """The folder of shipped data."""
    here = Path(__file__).resolve().parent
    for folder in (here.parent / "data", here / "_data"):
        if (folder / "catalog").is_dir():
            return folder
    raise FileNotFoundError("shipped data is missing from this installation; reinstall burstline")


def app_file() -> Path:
    """The Streamlit entry file, in a checkout or in a wheel."""
    here = Path(__file__).resolve().parent
    checkout = here.parent / "app.py"
    return checkout if checkout.exists() else here / "_data" / "app.py"


def read_yaml(path: Path) -> Any:
    """Parse one YAML file; a missing or broken file is an input error that says where."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ScenarioError(Problem(str(path), "no such file", "check the path")) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError(Problem(str(path), type(error).__name__, "give a readable UTF-8 text file")) from None
    return parse_yaml(text, str(path))


def scenario_names() -> list[str]:
    """Names of the shipped scenarios."""
    return sorted(path.stem for path in (data_folder() / "scenarios").glob("*.yaml"))


def load_scenario(name_or_path: str, override: str | None = None) -> Scenario:
    """A shipped scenario by name, or any scenario file; with one of its named overrides."""
    shipped = data_folder() / "scenarios" / f"{name_or_path}.yaml"
    path = Path(name_or_path)
    if not path.suffix and not path.exists():
        if not shipped.exists():
            raise UnknownName("scenario", name_or_path, scenario_names())
        path = shipped
    scenario = parse_scenario(read_yaml(path), str(path))
    return scenario.override(override) if override else scenario


@cache
def _catalog(name: str) -> Any:
    return read_yaml(data_folder() / "catalog" / f"{name}.yaml")


def parameters(overrides: Mapping[str, float] | None = None) -> Parameters:
    """Every domain default of `catalog/parameters.yaml`, with overrides applied."""
    rows = [
        Parameter(
            name=name,
            value=float(row["value"]),
            low=float(row["low"]),
            high=float(row["high"]),
            unit=row["unit"],
            source=row["source"],
            as_of=cast(date, row["as_of"]),
            confidence=cast(Confidence, row["confidence"]),
        )
        for name, row in _catalog("parameters").items()
    ]
    return Parameters.of(rows, overrides)


def server(name: str) -> NodeShape:
    """A server as bought: capacity, reservations of a private kubelet, watts."""
    return _private_shape(name, _pick("server", "servers", name))


def server_of(part: ZonePart) -> NodeShape:
    """The server of a zone: its own, or one of the catalog."""
    own = part.own_server
    if own is None:
        return server(part.server)
    memory_mib = round(own.memory_gib * 1024)
    return NodeShape(
        kube_reserved_cpu_m=kube_reserved_cpu_m(own.threads),
        kube_reserved_memory_mib=gke_reserved_memory_mib(memory_mib),
        cpu_m=own.threads * 1000,
        memory_mib=memory_mib,
        **own.model_dump(exclude={"threads", "memory_gib"}),
    )


def server_usd_parameter(name: str) -> str:
    """Name of the parameter that prices this server."""
    return str(_pick("server", "servers", name)["price_parameter"])


def vm(name: str) -> NodeShape:
    """A VM flavour used as a worker."""
    return _private_shape(name, _pick("vm", "vms", name))


def vm_names() -> list[str]:
    """VM flavours of the catalog."""
    return sorted(_catalog("vms"))


def instance(name: str, *, daemonset_cpu_m: int = 0, daemonset_memory_mib: int = 0) -> NodeShape:
    """An EC2 instance type as an EKS node."""
    rows = _instances()
    if name not in rows:
        raise UnknownName("instance", name, list(rows))
    row = rows[name]
    vcpu, max_pods = int(row["vcpu"]), int(row["max_pods"])
    return NodeShape(
        name=name,
        cpu_m=vcpu * 1000,
        memory_mib=round(float(row["memory_gib"]) * 1024),
        max_pods=max_pods,
        kube_reserved_cpu_m=kube_reserved_cpu_m(vcpu),
        kube_reserved_memory_mib=eks_reserved_memory_mib(max_pods),
        daemonset_cpu_m=daemonset_cpu_m,
        daemonset_memory_mib=daemonset_memory_mib,
        extended={row["extended"]: int(row["extended_count"])} if row["extended"] else {},
        arch=row["arch"],
    )


def on_demand_usd_per_h(name: str, region: str) -> float:
    """List price of an instance type in a region."""
    prices = _on_demand()
    if region not in prices:
        raise UnknownName("AWS region", region, list(prices))
    if name not in prices[region]:
        elsewhere = [known for known, listed in prices.items() if name in listed]
        raise UnknownName(f"price of {name} in region", region, elsewhere)
    return prices[region][name]


def instance_names() -> list[str]:
    """Instance types of the catalog."""
    return sorted(_instances())


@cache
def _instances() -> dict[str, dict[str, str]]:
    return {row["instance_type"]: row for row in _csv("aws_instances")}


@cache
def _on_demand() -> dict[str, dict[str, float]]:
    """USD an hour by region and instance type."""
    prices: dict[str, dict[str, float]] = {}
    for row in _csv("aws_on_demand"):
        prices.setdefault(row["region"], {})[row["instance_type"]] = float(row["usd_per_h"])
    return prices


def _csv(name: str) -> Iterator[dict[str, str]]:
    """Rows of a catalog table below its comment lines."""
    with (data_folder() / "catalog" / f"{name}.csv").open(encoding="utf-8", newline="") as lines:
        yield from csv.DictReader(line for line in lines if not line.startswith("#"))


def _pick(kind: str, file: str, name: str) -> dict[str, Any]:
    rows = _catalog(file)
    if name not in rows:
        raise UnknownName(kind, name, list(rows))
    return cast(dict[str, Any], rows[name])


def _private_shape(name: str, row: Mapping[str, Any]) -> NodeShape:
    memory_mib = row["memory_gib"] * 1024
    return NodeShape(
        name=name,
        cpu_m=row["threads"] * 1000,
        memory_mib=memory_mib,
        max_pods=row["max_pods"],
        kube_reserved_cpu_m=kube_reserved_cpu_m(row["threads"]),
        kube_reserved_memory_mib=gke_reserved_memory_mib(memory_mib),
        system_reserved_cpu_m=row["system_reserved_cpu_m"],
        system_reserved_memory_mib=row["system_reserved_memory_mib"],
        daemonset_cpu_m=row["daemonset_cpu_m"],
        daemonset_memory_mib=row["daemonset_memory_mib"],
        extended={"nvidia.com/gpu": row["gpus"]} if row.get("gpus") else {},
        speed=row.get("speed", 1.0),
        watts_idle=row.get("watts_idle", 0.0),
        watts_peak=row.get("watts_peak", 0.0),
    )


def zone_build(part: ZonePart, values: Parameters, platform: PlatformPart | None = None) -> ZoneBuild:
    """A private zone with its server, VM flavour and price parameter looked up; `platform` says what further DaemonSets run."""
    platform = platform or PlatformPart()
    if not ZONES[part.kind].private:
        private = ", ".join(name for name, kind in ZONES.items() if kind.private)
        raise ScenarioError(Problem(f"zones: {part.name}.kind", repr(part.kind), f"zones are owned; choose one of {private}"))
    flavour = platform.on_node(vm(part.vm)) if part.vm else None
    build = ZoneBuild(part, platform.on_node(server_of(part)), flavour, server_usd_parameter(part.server), values)
    return build if part.racks is None else replace(build, part=_within_racks(build, part.racks))


def _within_racks(build: ZoneBuild, racks: int) -> ZonePart:
    """The zone with its `max_nodes` lowered to what the power of its racks carries, servers drawing their peak.

    8 racks of 10 kW hold one server of 6.5 kW each: 8. Raises ScenarioError when a rack carries none.
    """
    part, watts = build.part, build.server.watts_peak
    rack_kw = build.parameters["rack_kw"] if part.rack_kw is None else part.rack_kw
    each = int(rack_kw * 1000.0 // watts) if watts > 0 else 0
    if each < 1:
        found = f"a server of {watts:g} W in a rack of {rack_kw:g} kW"
        raise ScenarioError(Problem(f"zones: {part.name}.racks", found, "state watts_peak of the server, or the power of the rack"))
    most = racks * each * build.per_server
    return part.model_copy(update={"max_nodes": most if part.max_nodes is None else min(most, part.max_nodes)})


def case(
    scenario: Scenario, demand: Demand, *, users_peak: float | Unknown | None = None, billed_usd_per_year: float | None = None
) -> Case:
    """The scenario resolved against the catalog, its demand reduced to the axis that binds on the first zone's node.

    `users_peak` in that axis's unit, as `simulator.demand.readings.users_peak_demand` finds it.
    """
    values = parameters(scenario.parameters)
    zones = tuple(zone_build(part, values, scenario.platform) for part in scenario.zones)
    aws = scenario.aws
    worker = instance(aws.worker, daemonset_cpu_m=aws.daemonset_cpu_m, daemonset_memory_mib=aws.daemonset_memory_mib)
    axis = demand.binding_axis(zones[0].node)
    return Case(
        scenario=scenario,
        demand=demand.total(axis),
        axis=axis,
        zones=zones,
        worker=scenario.platform.on_node(worker),
        on_demand_usd_per_h=on_demand_usd_per_h(aws.worker, aws.region),
        parameters=values,
        billed_usd_per_year=billed_usd_per_year,
        users_peak=None if isinstance(users_peak, Unknown) else users_peak,
        mix=_mix(demand, axis),
    )


def _mix(demand: Demand, axis: str) -> dict[str, float]:
    """Mean amount of the other resources for one unit of `axis`; empty without demand."""
    whole = float(demand.total(axis).sum())
    others = [name for name in demand.axes.names if name != axis]
    return {name: float(demand.total(name).sum()) / whole for name in others} if whole > 0 else {}
