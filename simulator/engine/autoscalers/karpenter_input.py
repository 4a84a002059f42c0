"""Karpenter's side of a replay file: NodePools, instance types, nodes of one's own, batching.

`pools` are NodePool specs with a `name`; `instance_types` maps a name to cpu, memory_gib, usd_per_h and if wanted pods;
`spot_factor` gives spot's share of the price (default 0.35). Every field that is not modelled is named in `warnings`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from models.errors import InputError, Problem
from models.units import MS_PER_S, duration_s
from simulator.engine.autoscalers.binpacking import Kinds
from simulator.engine.autoscalers.cluster_autoscaler_flags import amounts
from simulator.engine.autoscalers.karpenter import NO_LIMIT, Catalog, Pool
from simulator.engine.kube.objects import HOSTNAME, Node, NodeTerm, PreferredNodeTerm, Requirement, Taint

CAPACITY_TYPE = "karpenter.sh/capacity-type"
INSTANCE_TYPE = "node.kubernetes.io/instance-type"
KEYS = ("pools", "owned_nodes", "instance_types", "overhead", "batch", "affinity", "spot_factor", "zones")
SPOT_FACTOR = 0.35
ODD = (KeyError, ValueError, TypeError, AttributeError)
"""What reading a field of the wrong type or a missing one raises."""

PODS_PER_NODE = 110
GIB = 2**30


@dataclass(frozen=True, slots=True)
class KarpenterFile:
    """A parsed file; `owned` are nodes that Karpenter did not make, with the group that names them in samples."""

    pools: tuple[Pool, ...]
    catalog: Catalog
    owned: tuple[tuple[Node, str], ...]
    idle_ms: int
    longest_ms: int
    warnings: tuple[str, ...]


def read_karpenter(document: Mapping[str, Any], kinds: Kinds, place: str, ignore: Sequence[str] = ()) -> KarpenterFile:
    """Read pools, types, own nodes and batching; raises InputError with every problem found."""
    problems: list[Problem] = []
    warnings = [f"{place}: {key} is not modelled" for key in document if key not in (*KEYS, *ignore)]
    types = document.get("instance_types")
    if not isinstance(types, Mapping) or not types or not isinstance(document.get("pools"), list) or not document["pools"]:
        raise InputError(Problem(place, "no pools or no instance_types", "give NodePools and the instance types they may launch"))
    try:
        overhead = kinds.vector(amounts(document.get("overhead") or {}))
        capacity = np.array([kinds.vector(_capacity(body)) for body in types.values()], dtype=np.int64)
        price = np.array([float(body["usd_per_h"]) for body in types.values()])
    except ODD as error:
        raise InputError(Problem(f"{place}: instance_types", repr(error), "give cpu, memory_gib and usd_per_h of each type")) from None
    catalog = Catalog(tuple(map(str, types)), capacity, capacity - overhead)
    spot, idle_ms, longest_ms = _pace(document, place, problems, warnings)
    pools = [
        _pool(body, catalog, price, spot, kinds, f"{place}: pools[{at}]", problems, warnings) for at, body in enumerate(document["pools"])
    ]
    owned = _all_owned(document.get("owned_nodes") or (), f"{place}: owned_nodes", problems, warnings)
    if problems:
        raise InputError(problems)
    return KarpenterFile(tuple(pool for pool in pools if pool), catalog, owned, idle_ms, longest_ms, tuple(warnings))


def preferences(affinity: Mapping[str, Any] | None, place: str) -> tuple[tuple[PreferredNodeTerm, ...], tuple[str, ...]]:
    """Preferred node affinity of the pods, and what of `affinity` is not modelled."""
    if not affinity:
        return (), ()
    wished = "preferredDuringSchedulingIgnoredDuringExecution"
    try:
        node = affinity.get("nodeAffinity") or {}
        warnings = [
            *_others(affinity, ("nodeAffinity",), f"{place}: affinity"),
            *_others(node, (wished,), f"{place}: affinity.nodeAffinity"),
        ]
        terms = tuple(_preference(term) for term in node.get(wished) or ())
    except ODD as error:
        raise InputError(Problem(f"{place}: affinity", repr(error), "write the affinity of a Pod, with weight and preference")) from None
    return terms, tuple(warnings)


def _preference(term: Mapping[str, Any]) -> PreferredNodeTerm:
    expressions = tuple(_requirement(item) for item in term["preference"].get("matchExpressions") or ())
    return PreferredNodeTerm(int(term["weight"]), NodeTerm(expressions))


def _pace(document: Mapping[str, Any], place: str, problems: list[Problem], warnings: list[str]) -> tuple[float, int, int]:
    """Spot's share of the price, and both windows of batching in milliseconds."""
    try:
        batch = document.get("batch") or {}
        warnings += _others(batch, ("idle", "max"), f"{place}: batch")
        windows = [round(duration_s(batch.get(key, value)) * MS_PER_S) for key, value in (("idle", "1s"), ("max", "10s"))]
        spot = float(document.get("spot_factor", SPOT_FACTOR))
        if min(*windows, spot) < 0:
            raise ValueError("a negative number")
    except ODD as error:
        problems.append(Problem(f"{place}: batch, spot_factor", repr(error), "give {idle: 1s, max: 10s}, and a share such as 0.35"))
        return SPOT_FACTOR, 0, 0
    return spot, windows[0], windows[1]


def _requirement(item: Mapping[str, Any]) -> Requirement:
    """One requirement; Gte and Lte become Gt and Lt of the neighbouring number."""
    operator, values = str(item["operator"]), tuple(map(str, item.get("values") or ()))
    if operator in ("Gte", "Lte"):
        step = -1 if operator == "Gte" else 1
        operator, values = operator[:2], tuple(str(int(value) + step) for value in values)
    if operator not in ("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"):
        raise ValueError(f"operator {operator!r}")
    return Requirement(str(item["key"]), operator, values)


def _capacity(body: Mapping[str, Any]) -> dict[str, int]:
    known = {"cpu": round(float(body["cpu"]) * 1000), "memory": round(float(body["memory_gib"]) * GIB), "pods": PODS_PER_NODE}
    extra = {name: value for name, value in body.items() if name not in ("cpu", "memory_gib", "usd_per_h", "pods")}
    return {**known, **({"pods": int(body["pods"])} if "pods" in body else {}), **amounts(extra)}


def _all_owned(bodies: Any, place: str, problems: list[Problem], warnings: list[str]) -> tuple[tuple[Node, str], ...]:
    """Nodes of one's own, each with the group that names it in samples."""
    found = []
    for at, body in enumerate(bodies if isinstance(bodies, list | tuple) else [bodies]):
        try:
            found.append(_owned(body))
            warnings += _others(body, ("name", "labels", "allocatable"), f"{place}[{at}]")
        except ODD as error:
            problems.append(Problem(f"{place}[{at}]", repr(error), "give name and allocatable, and labels if wanted"))
    return tuple(found)


def _owned(body: Mapping[str, Any]) -> tuple[Node, str]:
    labels = {str(key): str(value) for key, value in (body.get("labels") or {}).items()}
    name = str(body["name"])
    group = labels.get("pool", "owned")
    return Node(name, amounts(body["allocatable"]), {HOSTNAME: name, **labels}), f"{group}/{group}/owned"


def _pool(
    body: Mapping[str, Any], catalog: Catalog, price: np.ndarray[tuple[int], np.dtype[np.float64]], spot: float, kinds: Kinds, place: str,
    problems: list[Problem], warnings: list[str],
) -> Pool | None:  # fmt: skip
    try:
        template, disruption = body["template"], body.get("disruption") or {}
        spec = template.get("spec") or {}
        wanted = [_requirement(item) for item in spec.get("requirements") or ()]
        warnings += _unmodelled(body, spec, disruption, wanted, place)
        labels = {str(key): str(value) for key, value in ((template.get("metadata") or {}).get("labels") or {}).items()}
        taints = tuple(Taint(item["key"], str(item.get("value", "")), item["effect"]) for item in spec.get("taints") or ())
        allowed = [kind for kind in ("spot", "on-demand") if all(r.accepts(kind) for r in wanted if r.key == CAPACITY_TYPE)]
        usable = np.array([bool(allowed) and all(_accepts(r, name) for r in wanted) for name in catalog.names], dtype=np.bool_)
        kind = allowed[0] if allowed else "on-demand"
        limits = np.full(len(kinds.axes), NO_LIMIT, dtype=np.int64)
        for axis, value in amounts(body.get("limits") or {}).items():
            if axis in kinds.axes:
                limits[kinds.axes.index(axis)] = value
            else:
                warnings.append(f"{place}.limits.{axis} is not modelled")
        share, most = _budget(disruption.get("budgets"), place, warnings)
        after = str(disruption.get("consolidateAfter", "0s"))
        return Pool(
            str(body["name"]), int(body.get("weight", 0)), usable, price * (spot if kind == "spot" else 1.0), (kind,) * len(catalog.names),
            limits, Node(str(body["name"]), {}, labels, taints), taints, disruption.get("consolidationPolicy") == "WhenEmpty",
            _ms(after), share, most, _ms(str(spec.get("expireAfter", "720h"))),
        )  # fmt: skip
    except ODD as error:
        problems.append(Problem(place, repr(error), "write a NodePool spec with a name"))
        return None


def _others(part: Mapping[str, Any], known: Sequence[str], place: str) -> list[str]:
    """Warnings about the keys of `part` that nothing here reads."""
    return [f"{place}.{key} is not modelled" for key in part if key not in known]


def _ms(duration: str) -> int | None:
    """Milliseconds of a duration, None for Never."""
    return None if duration == "Never" else round(duration_s(duration) * MS_PER_S)


def _accepts(requirement: Requirement, name: str) -> bool:
    """Whether an instance type meets one requirement on what its name says; other keys are named as not modelled."""
    match = re.fullmatch(r"([a-z]+)(\d+)([a-z-]*)\.(.+)", name)
    family, generation, size = (match[1], match[2], match[4]) if match else ("", "", "")
    told = {INSTANCE_TYPE: name}
    for group in ("karpenter.k8s.aws", "karpenter.kwok.sh"):
        told |= {f"{group}/instance-category": family, f"{group}/instance-generation": generation, f"{group}/instance-size": size}
        told |= {f"{group}/instance-family": name.partition(".")[0]}
    return requirement.accepts(told[requirement.key]) if requirement.key in told else True


def _unmodelled(
    body: Mapping[str, Any], spec: Mapping[str, Any], disruption: Mapping[str, Any], wanted: Sequence[Requirement], place: str
) -> list[str]:
    known = {
        "": (body, ("name", "weight", "limits", "template", "disruption")),
        "template.": (body["template"], ("metadata", "spec")),
        "template.metadata.": (body["template"].get("metadata") or {}, ("labels",)),
        "template.spec.": (spec, ("requirements", "nodeClassRef", "expireAfter", "taints")),
        "disruption.": (disruption, ("consolidationPolicy", "consolidateAfter", "budgets")),
    }
    found = [f"{place}.{path}{key} is not modelled" for path, (part, keys) in known.items() for key in part if key not in keys]
    group = re.compile(r"karpenter\.(k8s\.aws|kwok\.sh)/instance-(category|generation|size|family)")
    told = (CAPACITY_TYPE, INSTANCE_TYPE, "kubernetes.io/arch", "kubernetes.io/os")
    return found + [f"{place}: requirement {r.key} is not modelled" for r in wanted if r.key not in told and not group.fullmatch(r.key)]


def _budget(budgets: Sequence[Mapping[str, Any]] | None, place: str, warnings: list[str]) -> tuple[float, int | None]:
    """Smallest budget that is always active: (share of nodes, nodes or None)."""
    share, most = (0.1, None) if budgets is None else (1.0, None)
    for budget in budgets or ():
        warnings += [f"{place}.disruption.budgets.{key} is not modelled" for key in budget if key != "nodes"]
        if set(budget) != {"nodes"}:
            continue
        text = str(budget["nodes"])
        if text.endswith("%"):
            share = min(share, float(text[:-1]) / 100.0)
        else:
            most = int(text) if most is None else min(most, int(text))
    return share, most
