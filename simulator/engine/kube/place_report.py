"""A placement as plain values: the keys of `burstline place --json`."""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.engine.kube.cluster_state import Cluster
from simulator.engine.kube.place import PlacedPod, Placement
from simulator.engine.kube.scheduler import Decision


def pod_document(answer: PlacedPod, cluster: Cluster, top: int = 0) -> dict[str, Any]:
    """One pod: `scores` {node: {plug-in: weighted score}} best first, `refused` {node: reasons}, `best` all nodes with the
    highest total. `top` limits `scores` to that many nodes (0: all).
    """
    decision = answer.decision
    totals = {} if decision is None else _totals(decision, cluster)
    shown = list(totals)[: top or None]
    return {
        "name": answer.pod.name,
        "namespace": answer.pod.namespace,
        "node": answer.node,
        "total": None if answer.node is None else totals.get(answer.node),
        "best": [name for name in totals if totals[name] == max(totals.values())],
        "totals": {name: totals[name] for name in shown},
        "scores": {} if decision is None else {name: _scores(decision, cluster.rows[name]) for name in shown},
        "refused": {} if decision is None else _refused(decision, cluster),
        "message": answer.message,
        "preempted": list(answer.preempted),
    }


def placement_document(placement: Placement, top: int = 0) -> dict[str, Any]:
    """The whole answer in queue order."""
    return {
        "pods": [pod_document(answer, placement.cluster, top) for answer in placement.pods],
        "warnings": list(placement.warnings),
    }


def _totals(decision: Decision, cluster: Cluster) -> dict[str, int]:
    order = np.lexsort((decision.rows, -decision.total)) if decision.rows.size else decision.rows
    return {cluster.nodes[decision.rows[at]].name: int(decision.total[at]) for at in order.tolist()}


def _scores(decision: Decision, row: int) -> dict[str, int]:
    at = int(np.searchsorted(decision.rows, row))
    return {plugin: int(scores[at]) for plugin, scores in decision.scores.items()}


def _refused(decision: Decision, cluster: Cluster) -> dict[str, str]:
    verdict = decision.verdict
    return {cluster.nodes[row].name: ", ".join(verdict.reasons(row)) for row in np.flatnonzero(~verdict.feasible).tolist()}
