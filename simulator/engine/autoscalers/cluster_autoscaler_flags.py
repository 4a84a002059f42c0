"""Cluster Autoscaler's flags and node groups as the recordings and a groups file write them.

A groups file holds `groups` (name -> allocatable, max, and if wanted min, labels, taints, usd_per_h), and if wanted
`priorities` (as in the expander's ConfigMap), `expander` or `flags`, `zone_label` (the node label that names a node's
group) and `template_overhead`. Every flag that is not modelled is named in `warnings`, never passed over in silence.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from models.errors import InputError, Problem, UnknownName
from models.units import MS_PER_S, cpu_m, duration_s, quantity
from simulator.engine.autoscalers.cluster_autoscaler import NodeGroup, ScaleUpSettings
from simulator.engine.autoscalers.expanders import EXPANDERS
from simulator.engine.kube.objects import CPU, Amounts, Node, Taint

KNOWN_KEYS = ("groups", "priorities", "expander", "flags", "zone_label", "template_overhead")
LABEL = "placement.burstline.dev/zone"


@dataclass(frozen=True, slots=True)
class ScaleDownSettings:
    """What the flags say about shrinking and about time; seconds, defaults of the real program (`parameters.md` 2.2)."""

    scan_interval_s: float = 10.0
    frequent_loops: bool = True
    enabled: bool = True
    new_pod_delay_s: float = 0.0
    unneeded_s: float = 600.0
    delay_after_add_s: float = 600.0
    delay_after_delete_s: float = 0.0
    recheck_s: float = 300.0
    delete_delay_s: float = 0.0
    provision_s: float = 900.0
    backoff_s: float = 300.0
    backoff_max_s: float = 1800.0
    backoff_reset_s: float = 10800.0
    utilisation_threshold: float = 0.5
    drains: int = 1
    deletions: int = 10
    client_qps: float = 5.0
    client_burst: int = 10


@dataclass(frozen=True, slots=True)
class GroupsFile:
    """A parsed groups file; `label` is the node label whose value names a node's group, `boot_ms` creation to ready where given."""

    groups: tuple[NodeGroup, ...]
    up: ScaleUpSettings
    down: ScaleDownSettings
    label: str
    boot_ms: Mapping[str, int]
    warnings: tuple[str, ...] = ()


_SECONDS = {
    "scan-interval": "scan_interval_s",
    "new-pod-scale-up-delay": "new_pod_delay_s",
    "scale-down-unneeded-time": "unneeded_s",
    "scale-down-delay-after-add": "delay_after_add_s",
    "scale-down-delay-after-delete": "delay_after_delete_s",
    "unremovable-node-recheck-timeout": "recheck_s",
    "node-delete-delay-after-taint": "delete_delay_s",
    "max-node-provision-time": "provision_s",
    "initial-node-group-backoff-duration": "backoff_s",
    "max-node-group-backoff-duration": "backoff_max_s",
    "node-group-backoff-reset-timeout": "backoff_reset_s",
}
_NUMBERS = {
    "scale-down-utilization-threshold": ("utilisation_threshold", float),
    "max-drain-parallelism": ("drains", int),
    "max-scale-down-parallelism": ("deletions", int),
    "kube-client-qps": ("client_qps", float),
    "kube-client-burst": ("client_burst", int),
}
_SWITCHES = {"frequent-loops-enabled": "frequent_loops", "scale-down-enabled": "enabled"}
_COUNTS = {"max-nodes-per-scaleup": "max_nodes_per_scale_up", "max-nodes-total": "max_nodes_total"}
_WITHOUT_EFFECT = {
    "skip-nodes-with-system-pods": "false",
    "skip-nodes-with-local-storage": "false",
    "skip-nodes-with-custom-controller-pods": "false",
    "balance-similar-node-groups": "false",
    "estimator": "binpacking",
}
"""Flags that change nothing here as long as they have this value."""
_NO_CASE = ("max-graceful-termination-sec", "scale-down-delay-after-failure")
"""Flags for what never happens here: pods end at once and no deletion fails."""
_NOT_RE2 = re.compile(r"\(\?(?:[=!#>]|<[=!]|P=)|\\[1-9]")


def read_groups(document: Mapping[str, Any], place: str, ignore: tuple[str, ...] = ()) -> GroupsFile:
    """Read a groups file; raises InputError with every problem found. Keys in `ignore` belong to the caller."""
    problems: list[Problem] = []
    warnings = [f"{place}: {key} is not modelled" for key in document if key not in (*KNOWN_KEYS, *ignore)]
    given = document.get("flags") or {}
    if not isinstance(given, Mapping):
        raise InputError(Problem(f"{place}: flags", repr(given)[:80], "write the program's flags as name: value"))
    flags = {str(name).lstrip("-"): _flag(value) for name, value in given.items()}
    expander = str(document.get("expander") or flags.pop("expander", "least-waste"))
    flags.pop("expander", None)
    up = ScaleUpSettings(expanders=_expanders(expander, place, problems))
    down = ScaleDownSettings()
    for name, value in flags.items():
        up, down = _apply(name, value, up, down, f"{place}: flags.{name}", problems, warnings)
    priorities = _priorities(document.get("priorities"), up.expanders, place, warnings)
    up = replace(up, priorities=priorities, **_overhead(document, place, problems))
    label = str(document.get("zone_label", LABEL))
    groups = _groups(document.get("groups"), label, place, problems, warnings)
    if problems:
        raise InputError(problems)
    boots = {str(name): round(duration_s(body["boot"]) * MS_PER_S) for name, body in document["groups"].items() if "boot" in body}
    return GroupsFile(groups, up, down, label, boots, tuple(warnings))


def amounts(mapping: Mapping[str, Any]) -> Amounts:
    """Resource quantities as scheduler amounts: cpu in millicores, the rest in base units.

    >>> amounts({"cpu": "1500m", "memory": "1Gi", "pods": 110})
    {'cpu': 1500, 'memory': 1073741824, 'pods': 110}
    """
    return {str(name): cpu_m(value) if name == CPU else int(-(-quantity(value) // 1)) for name, value in mapping.items()}


def _flag(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _expanders(text: str, place: str, problems: list[Problem]) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(","))
    for name in names:
        if name not in EXPANDERS:
            problems.append(Problem(f"{place}: expander", repr(name), UnknownName("", name, list(EXPANDERS)).problems[0].mend))
    return names


def _apply(
    name: str, value: str, up: ScaleUpSettings, down: ScaleDownSettings, place: str, problems: list[Problem], warnings: list[str]
) -> tuple[ScaleUpSettings, ScaleDownSettings]:
    change: dict[str, Any]
    try:
        if name in _COUNTS:
            change = {_COUNTS[name]: int(value)}
            return replace(up, **change), down
        change = _down_change(name, value)
        if change:
            return up, replace(down, **change)
    except ValueError as error:
        problems.append(Problem(place, repr(value), f"write it as the real flag wants it ({error})"))
    else:
        if name not in _NO_CASE and _WITHOUT_EFFECT.get(name) != value:
            warnings.append(f"{place} = {value} is not modelled")
    return up, down


def _down_change(name: str, value: str) -> dict[str, Any]:
    if name in _SECONDS:
        return {_SECONDS[name]: duration_s(value)}
    if name in _NUMBERS:
        target, kind = _NUMBERS[name]
        return {target: kind(value)}
    return {_SWITCHES[name]: _switch(value)} if name in _SWITCHES else {}


def _switch(value: str) -> bool:
    if value not in ("true", "false"):
        raise ValueError("true or false")
    return value == "true"


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
        found = {int(key): tuple(str(pattern) for pattern in patterns) for key, patterns in raw.items()}
        for pattern in (pattern for patterns in found.values() for pattern in patterns):
            re.compile(pattern)
            if _NOT_RE2.search(pattern):
                raise ValueError(f"{pattern!r} is no RE2 pattern")
    except (ValueError, TypeError, AttributeError, re.error) as error:
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
        names = {field.name for field in fields(Taint)}
        warnings += [
            f"{where}.taints[{at}].{key} is not modelled"
            for at, taint in enumerate(body.get("taints", ()))
            for key in taint
            if key not in names
        ]
        taints = tuple(Taint(**{key: str(value) for key, value in taint.items() if key in names}) for taint in body.get("taints", ()))
        price = None if body.get("usd_per_h") is None else float(body["usd_per_h"])
        duration_s(body.get("boot", 0))
        node = Node(name, amounts(body["allocatable"]), {label: name, **body.get("labels", {})}, taints)
        return NodeGroup(name, node, high, low, price)
    except (ValueError, TypeError, AttributeError) as error:
        problems.append(Problem(where, str(dict(body)), str(error)))
        return None
