"""What Karpenter would launch for the pods that a placement left pending: one batch, decided on the cluster as it stands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from simulator.engine.autoscalers.binpacking import Kinds, kind_key
from simulator.engine.autoscalers.karpenter import Existing, Settings, Waiting, provision
from simulator.engine.autoscalers.karpenter_catalog import INSTANCE_TYPE, NODEPOOL
from simulator.engine.autoscalers.karpenter_input import KarpenterFile, read_karpenter
from simulator.engine.autoscalers.karpenter_topology import Standing
from simulator.engine.autoscalers.never_starts import pool_offers, why_never
from simulator.engine.kube.objects import PODS, Node, Pod
from simulator.engine.kube.place import Placement
from simulator.streams import Streams

DRAWS = 20
"""Orders of what the real program leaves to chance that are tried; `plans` is the most frequent outcome."""

IGNORED = ("program", "case", "runs", "pods", "shapes", "replicas_by_second", "scenario")
Launches = tuple[tuple[str, int], ...]


def karpenter_growth(placement: Placement, document: Mapping[str, Any], place: str) -> dict[str, Any]:
    """`plans` [[[pool/type/capacity type, from, to, null]]], `courses`, `nodes_after`, `still_pending` and `warnings`."""
    cluster = placement.cluster
    pending = [answer.pod for answer in placement.pods if answer.node is None and answer.asked]
    rows: dict[object, int] = {}
    kind_of = [rows.setdefault(_key(pod), len(rows)) for pod in pending]
    firsts = [pending[kind_of.index(kind)] for kind in range(len(rows))]
    kinds = Kinds.of(firsts or [Pod("none")])
    file = read_karpenter(document, kinds, place, ignore=IGNORED)
    bound = {node.name: list(cluster.pods[row].values()) for row, node in enumerate(cluster.nodes)}
    nodes = [_existing(node, bound[node.name], kinds, file) for node in sorted(cluster.nodes, key=lambda node: node.name)]
    standing = [Standing(pod, node.labels, node.taints) for node in cluster.nodes for pod in bound[node.name]]
    settings = file.settings(kinds)
    courses = [_course(kind_of, settings, nodes, standing, draw) for draw in range(DRAWS)]
    shares = Counter(launches for launches, _ in courses)
    best = shares.most_common(1)[0][0]
    left = next(found for launches, found in courses if launches == best)
    before = Counter(group for node in cluster.nodes if (group := _group(node)))
    return {
        "plans": _plans(best, before),
        "courses": [{"plans": _plans(launches, before), "share": count / DRAWS} for launches, count in shares.most_common()],
        "nodes_after": {group: before[group] + dict(best).get(group, 0) for group in sorted({*before, *dict(best)})},
        "still_pending": [pending[at].key for at in left],
        "warnings": [*file.warnings, *_why(firsts, {kind_of[at] for at in left}, file, kinds)],
    }


def _key(pod: Pod) -> tuple[object, ...]:
    """What Karpenter looks at in a pod, wishes among them."""
    return (*kind_key(pod), pod.preferred, pod.preferred_pods)


def _existing(node: Node, pods: Sequence[Pod], kinds: Kinds, file: KarpenterFile) -> Existing:
    used = sum((kinds.vector({**pod.requests, PODS: 1}) for pod in pods), kinds.vector({}))
    free = kinds.vector(node.allocatable) - used
    if node.unschedulable:
        free = np.minimum(free, 0) - 1
    known = {kind.name: kind.capacity for kind in file.catalog.types}
    capacity = known.get(node.labels.get(INSTANCE_TYPE, ""), node.allocatable)
    return Existing(
        node.labels, free, node.taints, tuple(port for pod in pods for port in pod.ports), node.labels.get(NODEPOOL, ""), capacity
    )


def _course(
    kind_of: Sequence[int], settings: Settings, nodes: Sequence[Existing], standing: Sequence[Standing], draw: int
) -> tuple[Launches, tuple[int, ...]]:
    """Launches by group and pods left, under one order of what is chance."""
    chance = Streams(draw)("karpenter-growth")

    def pick(count: int) -> int:
        return int(chance.integers(count)) if count > 1 else 0

    queue = [Waiting(kind, (float(chance.random()),)) for kind in kind_of]
    found = provision(queue, settings, nodes, standing, pick)
    launched: Counter[str] = Counter()
    for claim in found.claims:
        at, offering = settings.catalog.launched(claim.types, claim.requirements, pick)
        launched[f"{claim.pool.name}/{settings.catalog.names[at]}/{offering.capacity_type}"] += 1
    return tuple(sorted(launched.items())), found.left


def _plans(launches: Launches, before: Counter[str]) -> list[list[list[Any]]]:
    return [[[group, before[group], before[group] + count, None]] for group, count in launches]


def _group(node: Node) -> str:
    """The group of a node that Karpenter made, "" for others."""
    told = [node.labels.get(key) for key in (NODEPOOL, INSTANCE_TYPE, "karpenter.sh/capacity-type")]
    return "/".join(str(part) for part in told) if all(told) else ""


def _why(firsts: Sequence[Pod], left: set[int], file: KarpenterFile, kinds: Kinds) -> list[str]:
    """Why pods stay pending, once for each kind."""
    found, offers = [], pool_offers(file, kinds)
    for kind in sorted(left):
        reason = why_never(firsts[kind], offers)
        why = f"no pool fits even when empty: {reason}" if reason else "the pools it fits are at their limits, or other rules keep it away"
        found.append(f"pod {firsts[kind].key} and those like it stay pending: {why}")
    return found
