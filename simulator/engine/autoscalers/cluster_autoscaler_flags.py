"""Cluster Autoscaler's flags and node groups as the recordings and a groups file write them.

A groups file holds `groups` (name -> allocatable, max, and if wanted min, labels, taints, usd_per_h), and if wanted
`priorities` (as in the expander's ConfigMap), `expander` or `flags`, `zone_label` (the node label that names a node's
group) and `template_overhead`. Every flag that is not modelled is named in `warnings`, never passed over in silence.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from itertools import combinations
from typing import Any

from models.errors import InputError, Problem
from models.units import MS_PER_S, cpu_m, duration_s, quantity
from simulator.engine.autoscalers.cluster_autoscaler import NodeGroup, ScaleUpSettings
from simulator.engine.autoscalers.cluster_autoscaler_balance import differing_labels
from simulator.engine.autoscalers.cluster_autoscaler_flag_values import GroupsFile, ScaleDownSettings, flag_values, read_flags
from simulator.engine.autoscalers.karpenter_pdb import read_pod_budgets
from simulator.engine.kube.objects import CPU, PODS, Amounts, Node, Taint
from simulator.yaml_text import parse_yaml

__all__ = ["LABEL", "GroupsFile", "ScaleDownSettings", "amounts", "read_groups"]

KNOWN_KEYS = ("groups", "priorities", "expander", "flags", "zone_label", "template_overhead", "pod_disruption_budgets")
_NOT_RE2 = re.compile(r"\(\?(?:[=!#>]|<[=!]|P=)|\\[1-9]")
USUAL_PODS = 110
LABEL = "placement.burstline.dev/zone"


def read_groups(document: Mapping[str, Any], place: str, ignore: tuple[str, ...] = ()) -> GroupsFile:
    """Read a groups file; raises InputError with every problem found. Keys in `ignore` belong to the caller."""
    problems: list[Problem] = []
    warnings = [f"{place}: {key} is not modelled" for key in document if key not in (*KNOWN_KEYS, *ignore)]
    flags = flag_values(document.get("flags"), f"{place}: flags", problems)
    if given := document.get("expander"):
        flags = {**flags, "expander": ",".join(map(str, given)) if isinstance(given, list) else str(given)}
    read = read_flags(flags, f"{place}: flags", problems, warnings)
    priorities = _priorities(document.get("priorities"), read.up.expanders, place, warnings)
    up = replace(read.up, priorities=priorities, scattered=True, **_overhead(document, place, problems))
    label = str(document.get("zone_label") or LABEL)
    bodies = _by_name(document.get("groups"))
    groups = _groups(bodies, label, place, problems, warnings)
    budgets = read_pod_budgets(document.get("pod_disruption_budgets") or [], f"{place}: pod_disruption_budgets", problems)
    if problems:
        raise InputError(problems)
    warnings += _of_expanders(up, groups, place) + _of_balancing(up, groups, place)
    boots = {str(name): round(duration_s(body["boot"]) * MS_PER_S) for name, body in bodies.items() if "boot" in body}
    return GroupsFile(groups, up, read.down, label, boots, tuple(warnings), budgets)


def _by_name(raw: Any) -> Any:
    """A list of groups with names as the mapping that it stands for."""
    named = isinstance(raw, list) and bool(raw) and all(isinstance(body, Mapping) and "name" in body for body in raw)
    return {str(body["name"]): {key: value for key, value in body.items() if key != "name"} for body in raw} if named else raw


def _of_expanders(up: ScaleUpSettings, groups: Sequence[NodeGroup], place: str) -> list[str]:
    """What to know about the price expander."""
    if "price" not in up.expanders:
        return []
    if any(group.price_usd_per_h is None for group in groups):
        return [f"{place}: the price expander lets every group through, for not every group has usd_per_h"]
    return [f"{place}: the price expander ranks by price for each requested core; the real one's preferred node size is not modelled"]


def _of_balancing(up: ScaleUpSettings, groups: Sequence[NodeGroup], place: str) -> list[str]:
    """Why groups of equal nodes are not balanced though that is asked for."""
    ratios, found = up.balance, []
    for one, other in combinations(groups if ratios is not None else (), 2):
        assert ratios is not None
        if ratios.labels or one.node.allocatable != other.node.allocatable:
            continue
        if labels := differing_labels(one.node, other.node, ratios):
            found.append(
                f"{place}: groups {one.name} and {other.name} are not balanced, they differ by {labels[0]} (balancing-ignore-label)"
            )
    return found


def amounts(mapping: Mapping[str, Any]) -> Amounts:
    """Resource quantities as scheduler amounts: cpu in millicores, the rest in base units.

    >>> amounts({"cpu": "1500m", "memory": "1Gi", "pods": 110})
    {'cpu': 1500, 'memory': 1073741824, 'pods': 110}
    """
    return {str(name): cpu_m(value) if name == CPU else int(-(-quantity(value) // 1)) for name, value in mapping.items()}


def _priorities(raw: Any, expanders: tuple[str, ...], place: str, warnings: list[str]) -> Mapping[int, tuple[str, ...]] | None:
    """The priority list, None when missing or damaged: then every group goes on to the next expander, as in the real one."""
    if "priority" not in expanders:
        if raw:
            warnings.append(f"{place}: priorities have no effect without the priority expander")
        return None
    if not raw:
        warnings.append(f"{place}: no priorities, so the priority expander lets every group through")
        return None
    try:
        table = parse_yaml(raw, place) if isinstance(raw, str) else raw
        if any(not isinstance(patterns, list) for patterns in table.values()):
            raise ValueError("a list of patterns belongs to each priority")
        found = {int(key): tuple(str(pattern) for pattern in patterns) for key, patterns in table.items()}
        for pattern in (pattern for patterns in found.values() for pattern in patterns):
            re.compile(pattern)
            if _NOT_RE2.search(pattern):
                raise ValueError(f"{pattern!r} is no RE2 pattern")
    except (ValueError, TypeError, AttributeError, re.error, InputError) as error:
        warnings.append(f"{place}: priorities are damaged ({error}), so the priority expander lets every group through")
        return None
    return found


def _overhead(document: Mapping[str, Any], place: str, problems: list[Problem]) -> dict[str, Any]:
    if "template_overhead" not in document:
        return {}
    try:
        return {"template_overhead": amounts(document["template_overhead"] or {})}
    except (ValueError, AttributeError) as error:
        problems.append(Problem(f"{place}: template_overhead", repr(document["template_overhead"]), str(error)))
        return {}


def _groups(raw: Any, label: str, place: str, problems: list[Problem], warnings: list[str]) -> tuple[NodeGroup, ...]:
    if not isinstance(raw, Mapping) or not raw:
        problems.append(Problem(f"{place}: groups", repr(raw), "write name: {allocatable: {cpu, memory, pods}, min, max}"))
        return ()
    return tuple(group for name, body in raw.items() if (group := _group(str(name), body, label, place, problems, warnings)))


def _group(name: str, body: Any, label: str, place: str, problems: list[Problem], warnings: list[str]) -> NodeGroup | None:
    where = f"{place}: groups.{name}"
    known = ("allocatable", "min", "max", "labels", "taints", "usd_per_h", "boot")
    if not isinstance(body, Mapping) or "allocatable" not in body or "max" not in body:
        problems.append(Problem(where, repr(body), "give allocatable and max"))
        return None
    warnings += [f"{where}.{key} is not modelled" for key in body if key not in known]
    try:
        low, high = int(body.get("min", 0)), int(body["max"])
        if not 0 <= low <= high:
            raise ValueError(f"0 <= min <= max, not min {low}, max {high}")
        names, given = {field.name for field in fields(Taint)}, body.get("taints") or ()
        warnings += [f"{where}.taints[{at}].{key} is not modelled" for at, taint in enumerate(given) for key in taint if key not in names]
        taints = tuple(Taint(**{key: str(value) for key, value in taint.items() if key in names}) for taint in given)
        price = None if body.get("usd_per_h") is None else float(body["usd_per_h"])
        duration_s(body.get("boot", 0))
        holds = amounts(body["allocatable"])
        if PODS not in holds:
            warnings.append(f"{where}.allocatable does not say how many pods a node takes: {USUAL_PODS}, the kubelet's default")
        labels = {str(key): str(value) for key, value in (body.get("labels") or {}).items()}
        return NodeGroup(name, Node(name, {PODS: USUAL_PODS, **holds}, {label: name, **labels}, taints), high, low, price)
    except (ValueError, TypeError, AttributeError) as error:
        problems.append(Problem(where, str(dict(body)), str(error)))
        return None
