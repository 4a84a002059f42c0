"""NodeAffinity: node selector and required affinity refuse; preferred terms add their weights."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from simulator.engine.kube.cluster_state import Cluster, Ints, Mask
from simulator.engine.kube.objects import NodeTerm, Pod, Requirement
from simulator.engine.kube.plugins import PLUGINS, Cycle, Plugin, Refusal, normalised, refuse

REASON = "node(s) didn't match Pod's node affinity/selector"
REASON_PINNED = "node(s) didn't satisfy plugin(s) [NodeAffinity]"
REASON_CONFLICT = "pod affinity terms conflict"
NODE_NAME = "metadata.name"


def affine_nodes(cluster: Cluster, pod: Pod) -> Mask:
    """Nodes that nodeSelector and required node affinity allow: bool [nodes]."""
    allowed = np.ones(len(cluster), dtype=np.bool_)
    for key, value in pod.node_selector.items():
        allowed &= cluster.accepts(Requirement(key, "In", (value,)))
    if pod.required is not None:
        any_term = np.zeros(len(cluster), dtype=np.bool_)
        for term in pod.required:
            any_term |= term_nodes(cluster, term)
        allowed &= any_term
    return allowed


def term_nodes(cluster: Cluster, term: NodeTerm) -> Mask:
    """Nodes that one term means; an empty term means none: bool [nodes]."""
    meant = np.full(len(cluster), bool(term.expressions or term.fields))
    for part in term.expressions:
        meant &= cluster.accepts(part)
    for part in term.fields:
        meant &= np.array([part.key == NODE_NAME and part.accepts(node.name) for node in cluster.nodes], dtype=np.bool_)
    return meant


def pinned_names(pod: Pod) -> frozenset[str] | None:
    """Node names that `matchFields` leave; None when some term names no node (PreFilter of the plug-in)."""
    if not pod.required:
        return None
    names: frozenset[str] = frozenset()
    for term in pod.required:
        sets = [frozenset(part.values) for part in term.fields if part.key == NODE_NAME and part.operator == "In"]
        if not sets:
            return None
        names |= frozenset.intersection(*sets)
    return names


def _narrow(cycle: Cycle) -> Iterable[Refusal]:
    names = pinned_names(cycle.pod)
    if names is not None:
        others = np.array([node.name not in names for node in cycle.cluster.nodes], dtype=np.bool_)
        yield refuse(others, REASON_PINNED if names else REASON_CONFLICT, False)


def _filter(cycle: Cycle) -> Iterable[Refusal]:
    if not cycle.affine.all():
        yield refuse(~cycle.affine, REASON, False)


def _score(cycle: Cycle, rows: Ints) -> Ints | None:
    if not cycle.pod.preferred:
        return None
    total = cycle.cluster.zeros()
    for preference in cycle.pod.preferred:
        total += preference.weight * term_nodes(cycle.cluster, preference.term)
    return normalised(total[rows])


PLUGINS.register("NodeAffinity", Plugin(weight=2, narrow=_narrow, filter=_filter, score=_score))
