"""kube-scheduler's decision for one pod, explained: who refuses and why, who scores what, and the best nodes.

Semantics of the default profile of Kubernetes 1.36 (`Settings.kubernetes_minor` picks older formulas). Filters run in
the profile's order and a node keeps the reasons of the first that refuses it; scores are normalised over the feasible
nodes and weighted. Source: kubernetes/kubernetes pkg/scheduler at v1.36.3.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from simulator.engine.cluster_state import Cluster, Ints, Mask
from simulator.engine.objects import Pod
from simulator.engine.plugins import ORDER, PLUGINS, Cycle, Settings
from simulator.engine.plugins.node_affinity import REASON_CONFLICT
from simulator.engine.scores_kernels import nodes_to_examine


@dataclass(frozen=True, eq=False)
class Verdict:
    """What the filters say. feasible : bool [nodes]; reasons: row -> reasons; resolvable : bool [nodes], refused nodes
    that might take the pod if others left.
    """

    feasible: Mask
    reasons: Mapping[int, tuple[str, ...]]
    resolvable: Mask


@dataclass(frozen=True, eq=False)
class Decision:
    """One pod's answer. rows : int64 [scored], the feasible nodes that were scored; scores: plug-in -> int64 [scored],
    weighted; total : int64 [scored].
    """

    pod: Pod
    verdict: Verdict
    rows: Ints
    scores: Mapping[str, Ints] = field(default_factory=dict)
    total: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    @property
    def best(self) -> Ints:
        """Rows with the highest total, in node order; the scheduler takes one of them."""
        if self.rows.size == 0:
            return self.rows
        chosen: Ints = self.rows[self.total == self.total.max()]
        return chosen


def filter_nodes(cycle: Cycle) -> Verdict:
    """Run the filters in profile order; a node that one has refused is not asked by the next."""
    nodes = len(cycle.cluster)
    feasible, resolvable = np.ones(nodes, dtype=np.bool_), np.zeros(nodes, dtype=np.bool_)
    reasons: dict[int, tuple[str, ...]] = {}
    for name in ORDER:
        check = PLUGINS[name].filter
        if check is None or not feasible.any():
            continue
        refused, hopeless = np.zeros(nodes, dtype=np.bool_), np.zeros(nodes, dtype=np.bool_)
        for refusal in check(cycle):
            new = refusal.nodes & feasible
            for row in np.flatnonzero(new).tolist():
                reasons[row] = (*reasons.get(row, ()), refusal.reason)
            refused |= new
            hopeless |= new & ~refusal.resolvable
        feasible &= ~refused
        resolvable |= refused & ~hopeless
    return Verdict(feasible, reasons, resolvable)


def score_nodes(cycle: Cycle, rows: Ints) -> dict[str, Ints]:
    """Weighted scores of `rows` by plug-in, in profile order; plug-ins that skip the pod are absent."""
    found: dict[str, Ints] = {}
    for name in ORDER:
        plugin = PLUGINS[name]
        weight = cycle.settings.weights.get(name, plugin.weight)
        if plugin.score is None or weight == 0:
            continue
        scores = plugin.score(cycle, rows)
        if scores is not None:
            found[name] = weight * scores
    return found


def decide(cluster: Cluster, pod: Pod, settings: Settings | None = None, percentage: int = 100, start: int = 0) -> Decision:
    """Filter and score every node for `pod`; nothing is placed.

    `percentage` is percentageOfNodesToScore (0 adapts to the cluster's size): scoring then takes only the first feasible
    nodes found from row `start` on, round robin.
    """
    cycle = Cycle(cluster, pod, settings or Settings())
    verdict = filter_nodes(cycle)
    rows = _sampled(verdict.feasible, percentage, start)
    if rows.size == 0:
        return Decision(pod, verdict, rows)
    scores = score_nodes(cycle, rows)
    return Decision(pod, verdict, rows, scores, np.sum(list(scores.values()), axis=0, dtype=np.int64))


def _sampled(feasible: Mask, percentage: int, start: int) -> Ints:
    """Rows to score, ascending: all feasible ones, or the first enough of them from `start` on."""
    rows = np.flatnonzero(feasible)
    enough = rows.size if percentage >= 100 else nodes_to_examine(len(feasible), percentage)
    if rows.size <= enough:
        return rows
    first = int(np.searchsorted(rows, start % len(feasible)))
    return np.sort(np.roll(rows, -first)[:enough])


def fit_message(nodes: int, reasons: Iterable[tuple[str, ...]]) -> str:
    """How many nodes refuse for which reason, spelled as the scheduler's event (FitError).

    >>> fit_message(3, [("Insufficient cpu",), ("Insufficient cpu",), ("Too many pods", "Insufficient cpu")])
    '0/3 nodes are available: 1 Too many pods, 3 Insufficient cpu.'
    """
    counts = Counter(reason for of_node in reasons for reason in of_node)
    listed = ", ".join(sorted(f"{count} {reason}" for reason, count in counts.items()))
    return f"0/{nodes} nodes are available: {listed}."


def refusal_message(cluster: Cluster, verdict: Verdict) -> str:
    """The scheduler's event for a pod that fits nowhere, without what preemption says."""
    reasons = list(verdict.reasons.values())
    if reasons and all(found == (REASON_CONFLICT,) for found in reasons):
        return f"0/{len(cluster)} nodes are available: {REASON_CONFLICT}."
    return fit_message(len(cluster), reasons)
