"""Objects that an earlier apply made and this set no longer names.

Deleting a NodePool or a MachineDeployment deletes its nodes (on metal, their disks too), so node groups are retired: they
buy nothing more and keep what runs. A named group without nodes may be deleted; other leftovers only with `--prune`.
Every delete carries the uid and resourceVersion that were read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from simulator.export.apply import Cluster, Refusal, describe
from simulator.export.apply_diff import differences, digest, without_server_fields
from simulator.export.apply_documents import PART_OF
from simulator.export.apply_report import PlannedObject
from simulator.export.apply_set import listed
from simulator.export.check_groups import SIZE
from simulator.export.manifest import LAST_STAGE, NODE_GROUPS
from simulator.export.objects import at, identity

RETIRER = "burstline-retire"
STAGE = LAST_STAGE + 1


def leftovers(
    cluster: Cluster,
    parent: Mapping[str, Any] | None,
    set_label: str,
    wanted: Sequence[Mapping[str, Any]],
    delete_node_groups: Sequence[str],
    *,
    prune: bool,
    prefix: str,
) -> list[PlannedObject]:
    """Members of the set that it no longer names, and what becomes of each."""
    known = {identity(document) for document in wanted}
    found = []
    namespaces = listed(parent, "additional-namespaces") | ({str(parent["metadata"]["namespace"])} if parent else set())
    for group_kind in sorted(listed(parent, "contains-group-kinds")):
        for live in cluster.members(group_kind, PART_OF, set_label, namespaces):
            if identity(live) not in known:
                found.append(_leftover(cluster, live, delete_node_groups, prune=prune, prefix=prefix))
    return sorted(found, key=lambda item: item.ref)


def _leftover(cluster: Cluster, live: Mapping[str, Any], names: Sequence[str], *, prune: bool, prefix: str) -> PlannedObject:
    metadata = live["metadata"]
    start = PlannedObject(describe(live), "unchanged", RETIRER, STAGE, digest(without_server_fields(live)), live=live)
    if (metadata.get("annotations") or {}).get(f"{prefix}/keep") == "true":
        return _with(start, reason="no longer in the set; kept as its annotation asks")
    if metadata.get("ownerReferences"):
        return _with(start, reason="no longer in the set; kept because another object owns it")
    if live["kind"] not in NODE_GROUPS:
        if prune:
            return _with(start, action="retired", effect="deleted", delete=True, reason="no longer in the set")
        return _with(start, reason="no longer in the set; --prune deletes it")
    if metadata["name"] in names:
        nodes = node_count(live)
        if nodes:
            return _with(
                start, action="refused", reason=f"{nodes} nodes are left in it: drain them first", effect=f"would remove {nodes} nodes"
            )
        return _with(start, action="retired", effect="deleted; no nodes were left", delete=True, reason="named in --delete-node-groups")
    return _retired(cluster, start, live)


def node_count(live: Mapping[str, Any]) -> int:
    """Nodes that a group has, as its controller reports, or as it asks for."""
    reported = at(live, "status", "nodes") or at(live, "status", "replicas")
    if reported is None:
        reported = at(live, "spec", "replicas")
    if reported is None:
        reported = at(live, "status", "resources", "nodes")
    return int(str(reported or 0))


def retirement(live: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The patch that stops a group from growing; None when nothing about it grows."""
    if live["kind"] == "NodePool":
        return {"spec": {"limits": {"cpu": "0"}, "disruption": {"budgets": [{"nodes": "0"}]}}}
    if at(live, "metadata", "annotations", SIZE.format("max")) is not None:
        size = str(max(node_count(live), int(at(live, "metadata", "annotations", SIZE.format("min")) or 0)))
        return {"metadata": {"annotations": {SIZE.format("max"): size}}}
    if live["kind"] == "AWSManagedMachinePool":
        return {"spec": {"scaling": {"minSize": 0, "maxSize": max(node_count(live), 1)}}}
    return None


def _retired(cluster: Cluster, start: PlannedObject, live: Mapping[str, Any]) -> PlannedObject:
    patch, name = retirement(live), live["metadata"]["name"]
    left = f"{node_count(live)} nodes stay; delete it with --delete-node-groups {name} once it is empty"
    if patch is None:
        return _with(start, reason=f"no longer in the set; it does not grow by itself, {left}")
    try:
        result = cluster.merge(live, patch, RETIRER, dry_run=True)
    except Refusal as refusal:
        return _with(start, action="refused", reason=str(refusal))
    changes = tuple(differences(without_server_fields(live), without_server_fields(result)))
    if not changes:
        return _with(start, reason=f"retired already; {left}")
    return _with(start, action="retired", changes=changes, patch=patch, effect="stops growing", reason=f"no longer in the set; {left}")


def _with(start: PlannedObject, **changes: Any) -> PlannedObject:
    from dataclasses import replace

    return replace(start, **changes)
