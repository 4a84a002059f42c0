"""Bare metal cannot grow past its servers: a group's size is checked against the BareMetalHosts that exist now.

Hosts belong to the data centre's inventory: they are read, and never written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from simulator.export.apply import Cluster, Refusal
from simulator.export.apply_documents import DesiredSet
from simulator.export.apply_report import PlannedObject
from simulator.export.check_groups import SIZE
from simulator.export.objects import at

_VERSION, _KIND = "metal3.io/v1alpha1", "BareMetalHost"


@dataclass(frozen=True, slots=True)
class HostFinding:
    """What the inventory says of a group; `stops` when the group would outgrow it."""

    text: str
    stops: bool


def host_finding(cluster: Cluster, planned: PlannedObject, wanted: DesiredSet) -> HostFinding | None:
    """None when the group is not metal, does not change, or the cluster keeps no inventory."""
    document = planned.document or {}
    if document.get("kind") != "MachineDeployment" or planned.action == "unchanged" or not cluster.serves(_VERSION, _KIND):
        return None
    selector = _selector(document, wanted)
    size = at(document, "metadata", "annotations", SIZE.format("max")) or at(document, "spec", "replicas")
    if selector is None or size is None:
        return None
    key, value = next(iter(selector.items()))
    try:
        hosts = cluster.members(f"{_KIND}.metal3.io", key, value, [str(document["metadata"]["namespace"])])
    except Refusal:
        return HostFinding("hosts not counted: no right to list BareMetalHosts", stops=False)
    matching = [host for host in hosts if _matches(host, selector)]
    if not matching:
        return HostFinding(f"no BareMetalHost carries {key}={value} yet", stops=False)
    if int(size) <= len(matching):
        return None
    return HostFinding(
        f"{size} machines, but {len(matching)} BareMetalHosts carry {key}={value}: label or buy the others first", stops=True
    )


def _selector(document: Mapping[str, Any], wanted: DesiredSet) -> Mapping[str, str] | None:
    name = at(document, "spec", "template", "spec", "infrastructureRef", "name")
    for item in wanted.objects:
        if item.document["kind"] == "Metal3MachineTemplate" and item.document["metadata"]["name"] == name:
            labels = at(item.document, "spec", "template", "spec", "hostSelector", "matchLabels")
            return labels if isinstance(labels, Mapping) and labels else None
    return None


def _matches(host: Mapping[str, Any], selector: Mapping[str, str]) -> bool:
    labels = host["metadata"].get("labels") or {}
    state = at(host, "status", "provisioning", "state")
    broken = at(host, "status", "errorType")
    return all(labels.get(key) == value for key, value in selector.items()) and not broken and state != "deprovisioning"
