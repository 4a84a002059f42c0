"""What a change does to nodes: the question that a plain diff leaves open.

Karpenter replaces nodes when a NodePool's template changes, and none when weight, limits or disruption change; Cluster
API rolls machines when a MachineDeployment's template changes; lower bounds and counts take nodes away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from models.units import quantity
from simulator.export.apply_diff import Change
from simulator.export.check_groups import SIZE
from simulator.export.objects import at

NONE = "no node effect"


@dataclass(frozen=True, slots=True)
class Effect:
    """A sentence for people, and by how many nodes the object may shrink (0 when it does not)."""

    text: str
    fewer_nodes: int = 0


def effect_of(live: Mapping[str, Any] | None, after: Mapping[str, Any], changes: Sequence[Change]) -> Effect:
    """The effect of `changes`, which lead from `live` (None for a new object) to `after`."""
    kind = after.get("kind")
    if kind == "NodePool":
        return _node_pool(live, after, changes)
    if kind in ("MachineDeployment", "MachinePool", "AWSManagedMachinePool"):
        return _machines(live, after, changes)
    return Effect(NONE)


def _node_pool(live: Mapping[str, Any] | None, after: Mapping[str, Any], changes: Sequence[Change]) -> Effect:
    limit = at(after, "spec", "limits", "cpu")
    if live is None:
        return Effect(f"may buy nodes up to {limit} cpu")
    texts = []
    if any(change.path.startswith("spec.template") for change in changes):
        texts.append(f"rolls {at(live, 'status', 'nodes') or 'all'} nodes of the pool")
    before = at(live, "spec", "limits", "cpu")
    if before is not None and limit is not None and quantity(before) != quantity(limit):
        lower = quantity(limit) < quantity(before)
        texts.append(f"spend limit {before} -> {limit} cpu" + (": removes no node, drain separately" if lower else ""))
    return Effect("; ".join(texts) or NONE)


def _machines(live: Mapping[str, Any] | None, after: Mapping[str, Any], changes: Sequence[Change]) -> Effect:
    if live is None:
        size = _size(after)
        return Effect(NONE if size is None else f"builds up to {size} nodes")
    texts = []
    running = at(live, "status", "replicas") or at(live, "spec", "replicas")
    if any(change.path.startswith("spec.template") for change in changes) and after["kind"] != "AWSManagedMachinePool":
        texts.append(f"rolls {running if running is not None else 'all'} nodes")
    fewer = max(0, *(_drop(live, after, path) for path in _PATHS)) if live else 0
    if fewer:
        texts.append(f"may remove {fewer} nodes")
    low, low_before = _minimum(after), _minimum(live)
    if low is not None and low_before is not None and low > low_before:
        texts.append("a raised minimum raises nothing by itself: scale once by hand")
    return Effect("; ".join(texts) or NONE, fewer)


_PATHS = (
    ("spec", "replicas"),
    ("metadata", "annotations", SIZE.format("min")),
    ("metadata", "annotations", SIZE.format("max")),
    ("spec", "scaling", "minSize"),
    ("spec", "scaling", "maxSize"),
)


def _number(document: Mapping[str, Any], path: tuple[str, ...]) -> int | None:
    value = at(document, *path)
    return int(value) if value is not None and str(value).isdigit() else None


def _drop(live: Mapping[str, Any], after: Mapping[str, Any], path: tuple[str, ...]) -> int:
    before, now = _number(live, path), _number(after, path)
    return before - now if before is not None and now is not None else 0


def _minimum(document: Mapping[str, Any]) -> int | None:
    return _number(document, _PATHS[1])


def _size(document: Mapping[str, Any]) -> int | None:
    return next((size for path in (_PATHS[0], _PATHS[2], _PATHS[4]) if (size := _number(document, path)) is not None), None)
