"""NodeResourcesFit: room for the requests and one more pod; scores by how full the node would be."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from models.errors import UnknownName
from simulator.engine.kube.cluster_state import Cluster, Ints
from simulator.engine.kube.node_scores_kernels import least_allocated_rows, most_allocated_rows, requested_to_capacity_rows
from simulator.engine.kube.objects import CPU, EPHEMERAL_STORAGE, MEMORY, PODS, Amounts
from simulator.engine.kube.plugins import PLUGINS, Cycle, Plugin, Refusal, refuse

TOO_MANY_PODS = "Too many pods"
NATIVE = (CPU, MEMORY, EPHEMERAL_STORAGE)
SHAPE_SCALE = 10
"""The configuration scores a shape 0..10, nodes 0..100."""


def _filter(cycle: Cycle) -> Iterable[Refusal]:
    cluster = cycle.cluster
    full = cluster.pod_count + 1 > cluster.max_pods
    if full.any():
        yield refuse(full, TOO_MANY_PODS, True)
    for resource, amount in cycle.pod.requests.items():
        if amount == 0 or resource == PODS:
            continue
        allocatable = cluster.amount(cluster.allocatable, resource)
        short = amount > allocatable - cluster.amount(cluster.requested, resource)
        if short.any():
            yield refuse(short, f"Insufficient {resource}", amount <= allocatable)


def is_extended(resource: str) -> bool:
    """Whether scoring bypasses a resource that the pod does not ask for (IsScalarResourceName)."""
    return resource not in NATIVE


def stacked(cluster: Cluster, asked: Amounts, resources: Iterable[str], rows: Ints, defaults: bool) -> tuple[Ints, Ints, Ints]:
    """Requested with the pod, requested without it, and allocatable: each int64 [rows, resources].

    `asked` is what the pod asks for. With `defaults`, cpu and memory of the pods already placed count as scoring sees
    them. An extended resource that the pod does not ask for counts as absent.
    """
    with_pod, without, room = [], [], []
    for resource in resources:
        scored = defaults and resource in cluster.scored
        used = cluster.amount(cluster.scored if scored else cluster.requested, resource)[rows]
        absent = asked.get(resource, 0) == 0 and is_extended(resource)
        capacity = cluster.amount(cluster.allocatable, resource)[rows]
        with_pod.append(used + asked.get(resource, 0))
        without.append(used)
        room.append(np.zeros_like(capacity) if absent else capacity)
    return np.column_stack(with_pod), np.column_stack(without), np.column_stack(room)


def _score(cycle: Cycle, rows: Ints) -> Ints:
    settings = cycle.settings
    weights = np.array(list(settings.fit_resources.values()), dtype=np.int64)
    asked = cycle.pod.own or {**cycle.pod.requests, **cycle.pod.scored}
    requested, _, room = stacked(cycle.cluster, asked, settings.fit_resources, rows, defaults=True)
    match settings.fit_strategy:
        case "LeastAllocated":
            return least_allocated_rows(requested, room, weights)
        case "MostAllocated":
            return most_allocated_rows(requested, room, weights)
        case "RequestedToCapacityRatio":
            points, scores = (np.array(column, dtype=np.int64) for column in zip(*settings.fit_shape, strict=True))
            return requested_to_capacity_rows(requested, room, weights, points, scores * SHAPE_SCALE)
    raise UnknownName("scoring strategy", settings.fit_strategy, ["LeastAllocated", "MostAllocated", "RequestedToCapacityRatio"])


PLUGINS.register("NodeResourcesFit", Plugin(filter=_filter, score=_score))
