"""kube-scheduler's decision for one pod, explained: who refuses and why, who scores what, and the best nodes.

Semantics of the default profile of Kubernetes 1.36 (`Settings.kubernetes_minor` picks older formulas). Filters run in
the profile's order and a node keeps the reasons of the first that refuses it; scores are normalised over the feasible
nodes and weighted. Source: kubernetes/kubernetes pkg/scheduler at v1.36.3.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from simulator.engine.kube.cluster_state import Cluster, Ints, Mask
from simulator.engine.kube.objects import Pod
from simulator.engine.kube.plugins import ORDER, PLUGINS, Cycle, Settings
from simulator.engine.kube.plugins.node_affinity import REASON_CONFLICT
from simulator.engine.scores_kernels import nodes_to_examine


@dataclass(frozen=True, eq=False)
class Verdict:
    """What the filters say. feasible : bool [nodes]; resolvable : bool [nodes], refused nodes that might take the pod if
    others left. `spellings[code[row]]` are the reasons of a row: none for code 0.
    """

    feasible: Mask
    resolvable: Mask
    spellings: tuple[tuple[str, ...], ...]
    code: Ints

    def reasons(self, row: int) -> tuple[str, ...]:
        """Why node `row` is refused; empty when it is feasible."""
        return self.spellings[self.code[row]]

    def counts(self) -> Counter[str]:
        """How many nodes each reason refuses."""
        found: Counter[str] = Counter()
        for code, nodes in enumerate(np.bincount(self.code, minlength=len(self.spellings)).tolist()):
            for reason in self.spellings[code] if nodes else ():
                found[reason] += nodes
        return found


@dataclass(frozen=True, eq=False)
class Decision:
    """One pod's answer. rows : int64 [scored], the feasible nodes that were scored; scores: plug-in -> int64 [scored],
    weighted; total : int64 [scored]. `examined` nodes were looked at from the start row on.
    """

    pod: Pod
    verdict: Verdict
    rows: Ints
    examined: int
    scores: Mapping[str, Ints] = field(default_factory=dict)
    total: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    @property
    def best(self) -> Ints:
        """Rows with the highest total, in node order; the scheduler takes one of them."""
        if self.rows.size == 0:
            return self.rows
        chosen: Ints = self.rows[self.total == self.total.max()]
        return chosen


def filter_nodes(cycle: Cycle, names: Sequence[str] | None = None) -> Verdict:
    """Narrow the nodes, then run the filters in profile order; a node that one has refused is not asked by the next.

    `names` are the plug-ins to ask, those of the settings by default.
    """
    nodes = len(cycle.cluster)
    feasible, resolvable = np.ones(nodes, dtype=np.bool_), np.zeros(nodes, dtype=np.bool_)
    spellings: dict[tuple[str, ...], int] = {(): 0}
    code = np.zeros(nodes, dtype=np.int64)
    plugins = [PLUGINS[name] for name in (cycle.settings.filters if names is None else names)]
    for check in (*(plugin.narrow for plugin in plugins), *(plugin.filter for plugin in plugins)):
        if check is None or not feasible.any():
            continue
        refused, hopeless = np.zeros(nodes, dtype=np.bool_), np.zeros(nodes, dtype=np.bool_)
        for refusal in check(cycle):
            new = refusal.nodes & feasible
            _append_reason(code, new, refusal.reason, spellings)
            refused |= new
            hopeless |= new & ~refusal.resolvable
        feasible &= ~refused
        resolvable |= refused & ~hopeless
    return Verdict(feasible, resolvable, tuple(spellings), code)


def _append_reason(code: Ints, nodes: Mask, reason: str, spellings: dict[tuple[str, ...], int]) -> None:
    """Append `reason` to what is already said about `nodes`; equal lists of reasons share one code."""
    known = list(spellings)
    before = code.copy()
    for old in np.unique(before[nodes]).tolist():
        longer = (*known[old], reason)
        code[nodes & (before == old)] = spellings.setdefault(longer, len(spellings))


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
    rows, examined = _sampled(verdict.feasible, percentage, start)
    if rows.size == 0:
        return Decision(pod, verdict, rows, examined)
    scores = score_nodes(cycle, rows)
    return Decision(pod, verdict, rows, examined, scores, np.sum(list(scores.values()), axis=0, dtype=np.int64))


def _sampled(feasible: Mask, percentage: int, start: int) -> tuple[Ints, int]:
    """Rows to score, ascending, and how many nodes were looked at: all, or from `start` on until enough were feasible."""
    rows, nodes = np.flatnonzero(feasible), len(feasible)
    enough = rows.size if percentage >= 100 else nodes_to_examine(nodes, percentage)
    if rows.size <= enough:
        return rows, nodes
    turn = np.sort((rows - start) % nodes)[:enough]
    return np.sort((turn + start) % nodes), int(turn[-1]) + 1


def fit_message(nodes: int, counts: Mapping[str, int]) -> str:
    """How many nodes refuse for which reason, spelled as the scheduler's event (FitError).

    >>> fit_message(3, {"Too many pods": 1, "Insufficient cpu": 3})
    '0/3 nodes are available: 1 Too many pods, 3 Insufficient cpu.'
    """
    listed = ", ".join(sorted(f"{count} {reason}" for reason, count in counts.items()))
    return f"0/{nodes} nodes are available: {listed}."


def refusal_message(cluster: Cluster, verdict: Verdict) -> str:
    """The scheduler's event for a pod that fits nowhere, without what preemption says."""
    counts = verdict.counts()
    if set(counts) == {REASON_CONFLICT}:
        return f"0/{len(cluster)} nodes are available: {REASON_CONFLICT}."
    return fit_message(len(cluster), counts)
