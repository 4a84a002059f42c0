"""Balancing of similar node groups (`--balance-similar-node-groups`).

Two groups are similar when their nodes hold the same (memory within a ratio), leave the same free within a ratio and
carry the same labels but for host name, zone and region; a scale-up is then shared so that sizes come out even.
Source: kubernetes/autoscaler cluster-autoscaler/processors/nodegroupset (compare_nodegroups, label_nodegroups,
balancing_processor) at 1.36.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from simulator.engine.kube.objects import HOSTNAME, MEMORY, ZONE, Amounts, Node

IGNORED = (
    HOSTNAME,
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
    ZONE,
    "topology.kubernetes.io/region",
    "beta.kubernetes.io/fluentd-ds-ready",
    "kops.k8s.io/instancegroup",
)
"""Labels that two similar groups may differ in."""


@dataclass(frozen=True, slots=True)
class Ratios:
    """How far similar groups may differ. `labels`, when given, are all that is compared; `ignored` are left out beside IGNORED."""

    memory: float = 0.015
    free: float = 0.05
    allocatable: float = 0.05
    ignored: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()


def similar(one: Node, one_overhead: Amounts, other: Node, other_overhead: Amounts, ratios: Ratios) -> bool:
    """Whether nodes like `one` and like `other` may stand for each other."""
    if ratios.labels:
        return all(label in one.labels and one.labels.get(label) == other.labels.get(label) for label in ratios.labels)
    if set(one.allocatable) != set(other.allocatable):
        return False
    for axis, amount in one.allocatable.items():
        theirs = other.allocatable[axis]
        if axis != MEMORY and amount != theirs:
            return False
        free, their_free = amount - one_overhead.get(axis, 0), theirs - other_overhead.get(axis, 0)
        if not _close(amount, theirs, min(ratios.memory, ratios.allocatable)) or not _close(free, their_free, ratios.free):
            return False
    return differing_labels(one, other, ratios) == ()


def differing_labels(one: Node, other: Node, ratios: Ratios) -> tuple[str, ...]:
    """Labels that keep two groups from being similar."""
    names = sorted({*one.labels, *other.labels} - {*IGNORED, *ratios.ignored})
    return tuple(name for name in names if one.labels.get(name) != other.labels.get(name))


def _close(one: int, other: int, ratio: float) -> bool:
    return abs(one - other) <= max(one, other) * ratio


def share(nodes: int, groups: Sequence[tuple[str, int, int]]) -> list[tuple[str, int, int, int]]:
    """Add `nodes` to the smallest groups first: (name, before, after, maximum) of every group that grows.

    groups : (name, size, maximum), the chosen group first; of equal sizes the first grows first, and full groups stand
    first in the answer, as in the real log.

    >>> share(5, [("a", 3, 10), ("b", 1, 10), ("c", 1, 2)])
    [('c', 1, 2, 2), ('b', 1, 4, 10), ('a', 3, 4, 10)]
    """
    rows: list[list[Any]] = sorted(
        ([name, size, size, maximum] for name, size, maximum in groups if size < maximum), key=lambda row: row[1]
    )
    left = min(nodes, sum(row[3] - row[1] for row in rows))
    first = at = 0
    while left > 0:
        if rows[at][2] < rows[at][3]:
            rows[at][2] += 1
            left -= 1
        else:
            rows[first], rows[at] = rows[at], rows[first]
            first += 1
        at = at + 1 if at + 1 < len(rows) and rows[at][2] > rows[at + 1][2] else first
    return [(name, before, after, maximum) for name, before, after, maximum in rows if after != before]
