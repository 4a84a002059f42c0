"""Karpenter's side of a replay file: NodePools, instance types, nodes of one's own, batching.

`pools` are NodePool specs with a `name`; `instance_types` maps a name to cpu, memory_gib, usd_per_h and if wanted pods,
arch, os, zones, offerings and extended resources, or lists them as the kwok provider's file does; `spot_factor` gives spot's
share of the price (default 0.35). Every field that is not modelled is named in `warnings`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np

from models.errors import InputError, Problem
from models.units import MS_PER_S, duration_s
from simulator.engine.autoscalers.binpacking import Kinds
from simulator.engine.autoscalers.cluster_autoscaler_flags import amounts
from simulator.engine.autoscalers.karpenter import Settings
from simulator.engine.autoscalers.karpenter_budgets import utc
from simulator.engine.autoscalers.karpenter_catalog import Catalog, Pool
from simulator.engine.autoscalers.karpenter_pdb import PodBudget, read_pod_budgets
from simulator.engine.autoscalers.karpenter_pools import known_labels, others, read_pool, read_requirement
from simulator.engine.autoscalers.karpenter_settings import Switches, read_switches
from simulator.engine.autoscalers.karpenter_types import AWS, KWOK, SPOT_FACTOR, read_types
from simulator.engine.autoscalers.replay_shapes import read_shape
from simulator.engine.kube.objects import HOSTNAME, Node, NodeTerm, Pod, PreferredNodeTerm, Taint

KEYS = (
    "pools", "owned_nodes", "instance_types", "overhead", "batch", "affinity", "spot_factor", "zones", "start", "daemonsets", "settings",
    "pod_disruption_budgets",
)  # fmt: skip
ODD = (KeyError, ValueError, TypeError, AttributeError)
"""What reading a field of the wrong type or a missing one raises."""

ZONES = ("zone-a", "zone-b")
"""Zones of a file that names none; the recordings have two."""

START = "2026-01-05T00:00:00Z"
"""Second 0 on the calendar, a Monday, for budgets with a schedule."""


@dataclass(frozen=True, slots=True)
class KarpenterFile:
    """A parsed file; `owned` are nodes that Karpenter did not make, with the group that names them in samples.

    start : second 0 on the calendar; kwok: nodes come from the kwok provider, as their class says.
    """

    pools: tuple[Pool, ...]
    catalog: Catalog
    owned: tuple[tuple[Node, str], ...]
    idle_ms: int
    longest_ms: int
    warnings: tuple[str, ...]
    start: datetime = field(default_factory=lambda: utc(START))
    daemons: tuple[Pod, ...] = ()
    switches: Switches = field(default_factory=Switches)
    kwok: bool = False
    pod_budgets: tuple[PodBudget, ...] = ()

    def settings(self, kinds: Kinds) -> Settings:
        """What a round knows of this file."""
        switches = self.switches
        return Settings(kinds, self.catalog, self.pools, self.daemons, fewer_values=switches.fewer_values, no_wishes=switches.no_wishes)


def read_karpenter(document: Mapping[str, Any], kinds: Kinds, place: str, ignore: Sequence[str] = ()) -> KarpenterFile:
    """Read pools, types, own nodes and batching; raises InputError with every problem found."""
    problems: list[Problem] = []
    warnings = [f"{place}: {key} is not modelled" for key in document if key not in (*KEYS, *ignore)]
    types = document.get("instance_types")
    if not isinstance(types, Mapping | list) or not types or not isinstance(document.get("pools"), list) or not document["pools"]:
        raise InputError(Problem(place, "no pools or no instance_types", "give NodePools and the instance types they may launch"))
    spot, idle_ms, longest_ms = _pace(document, place, problems, warnings)
    groups = {_group(body) for body in document["pools"]}
    aws = AWS in groups
    try:
        overhead = kinds.vector(amounts(document.get("overhead") or {}))
        zones = tuple(map(str, document.get("zones") or ZONES))
        made = read_types(types, zones, spot, aws=aws)
        capacity = np.array([kinds.vector(kind.capacity) for kind in made], dtype=np.int64)
        start = utc(str(document.get("start", START)))
    except ODD as error:
        problems.append(Problem(f"{place}: instance_types", repr(error), "give cpu, memory_gib and usd_per_h of each type"))
        raise InputError(problems) from None
    catalog = Catalog(made, capacity - overhead, known_labels(aws=aws))
    switches = read_switches(document.get("settings") or {}, f"{place}: settings", problems, warnings)
    pools = [read_pool(body, f"{place}: pools[{at}]", problems, warnings, aws=aws) for at, body in enumerate(document["pools"])]
    daemons = _daemons(document.get("daemonsets") or {}, f"{place}: daemonsets", problems)
    pod_budgets = read_pod_budgets(document.get("pod_disruption_budgets") or [], f"{place}: pod_disruption_budgets", problems)
    owned = _all_owned(document.get("owned_nodes") or (), f"{place}: owned_nodes", problems, warnings)
    if problems:
        raise InputError(problems)
    made_pools = tuple(pool for pool in pools if pool)
    return KarpenterFile(
        made_pools, catalog, owned, idle_ms, longest_ms, tuple(warnings), start, daemons, switches, KWOK in groups, pod_budgets
    )


def preferences(affinity: Mapping[str, Any] | None, place: str) -> tuple[tuple[PreferredNodeTerm, ...], tuple[str, ...]]:
    """Preferred node affinity of the pods, and what of `affinity` is not modelled."""
    if not affinity:
        return (), ()
    wished = "preferredDuringSchedulingIgnoredDuringExecution"
    try:
        node = affinity.get("nodeAffinity") or {}
        warnings = [
            *others(affinity, ("nodeAffinity",), f"{place}: affinity"),
            *others(node, (wished,), f"{place}: affinity.nodeAffinity"),
        ]
        terms = tuple(_preference(term) for term in node.get(wished) or ())
    except ODD as error:
        raise InputError(Problem(f"{place}: affinity", repr(error), "write the affinity of a Pod, with weight and preference")) from None
    return terms, tuple(warnings)


def _preference(term: Mapping[str, Any]) -> PreferredNodeTerm:
    expressions = tuple(read_requirement(item) for item in term["preference"].get("matchExpressions") or ())
    return PreferredNodeTerm(int(term["weight"]), NodeTerm(expressions))


def _daemons(bodies: Any, place: str, problems: list[Problem]) -> tuple[Pod, ...]:
    """One pod of each DaemonSet, written like a shape."""
    if not isinstance(bodies, Mapping):
        problems.append(Problem(place, repr(bodies)[:80], "give name: {cpu, memory}"))
        return ()
    made = (read_shape(str(name), body, f"{place}.{name}", problems) for name, body in bodies.items())
    return tuple(pod for pod in made if pod is not None)


def _group(body: Any) -> str:
    """API group of a pool's node class, "" when it names none."""
    try:
        return str(body["template"]["spec"]["nodeClassRef"]["group"])
    except ODD:
        return ""


def _pace(document: Mapping[str, Any], place: str, problems: list[Problem], warnings: list[str]) -> tuple[float, int, int]:
    """Spot's share of the price, and both windows of batching in milliseconds."""
    try:
        batch = document.get("batch") or {}
        warnings += others(batch, ("idle", "max"), f"{place}: batch")
        windows = [round(duration_s(batch.get(key, value)) * MS_PER_S) for key, value in (("idle", "1s"), ("max", "10s"))]
        spot = float(document.get("spot_factor", SPOT_FACTOR))
        if min(*windows, spot) < 0:
            raise ValueError("a negative number")
    except ODD as error:
        problems.append(Problem(f"{place}: batch, spot_factor", repr(error), "give {idle: 1s, max: 10s}, and a share such as 0.35"))
        return SPOT_FACTOR, 0, 0
    return spot, windows[0], windows[1]


def _all_owned(bodies: Any, place: str, problems: list[Problem], warnings: list[str]) -> tuple[tuple[Node, str], ...]:
    """Nodes of one's own, each with the group that names it in samples."""
    found = []
    for at, body in enumerate(bodies if isinstance(bodies, list | tuple) else [bodies]):
        try:
            found.append(_owned(body))
            warnings += others(body, ("name", "labels", "allocatable", "taints"), f"{place}[{at}]")
        except ODD as error:
            problems.append(Problem(f"{place}[{at}]", repr(error), "give name and allocatable, and labels if wanted"))
    return tuple(found)


def _owned(body: Mapping[str, Any]) -> tuple[Node, str]:
    labels = {str(key): str(value) for key, value in (body.get("labels") or {}).items()}
    name = str(body["name"])
    group = labels.get("pool", "owned")
    taints = tuple(Taint(str(item["key"]), str(item.get("value", "")), str(item["effect"])) for item in body.get("taints") or ())
    return Node(name, amounts(body["allocatable"]), {HOSTNAME: name, **labels}, taints), f"{group}/{group}/owned"
