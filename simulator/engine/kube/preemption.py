"""DefaultPreemption: which pods of lower priority would leave, on which node, so that a refused pod fits.

Victims on a node: take away every pod of lower priority, then give back the most important ones that still leave room,
those whose disruption budget would be broken first. Among nodes: fewest broken budgets, lowest highest priority, lowest
sum of priorities, fewest victims, latest start, first node. Source: kubernetes/kubernetes pkg/scheduler/framework/
preemption and plugins/defaultpreemption at v1.36.3.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from simulator.engine.kube.cluster_state import Cluster
from simulator.engine.kube.objects import Pod
from simulator.engine.kube.objects_reader import Budget
from simulator.engine.kube.plugins import Cycle, Settings
from simulator.engine.kube.plugins.inter_pod_affinity import means
from simulator.engine.kube.scheduler import Verdict, filter_nodes, fit_message

NO_VICTIMS = "No preemption victims found for incoming pod"
NOT_HELPFUL = "Preemption is not helpful for scheduling"
NEVER = "preemption: not eligible due to preemptionPolicy=Never."
CLAIMS = "no new claims to deallocate, "
MIN_CANDIDATES, CANDIDATES_PERCENT = 100, 10
PRIORITY_SHIFT = 2**31
LOCAL = ("NodePorts", "NodeResourcesFit")
"""Filters that the pods of one node alone can change."""
LAST_START = "9999"


@dataclass(frozen=True, eq=False)
class Candidate:
    """One node and who would leave it, most important first; `broken` budgets would be violated."""

    row: int
    victims: tuple[Pod, ...]
    broken: int


@dataclass(frozen=True, eq=False)
class Preemption:
    """The chosen candidate, or None and what the scheduler's event says instead."""

    candidate: Candidate | None
    message: str


def preempt(
    cluster: Cluster, pod: Pod, verdict: Verdict, settings: Settings, budgets: Sequence[Budget] = (), only: int | None = None
) -> Preemption:
    """Find the node whose lower pods should leave for `pod`, or look at row `only`; the cluster stays as it is.

    As upstream, the search ends once a tenth of the resolvable nodes, at least 100, are candidates; it starts at the
    first node where the real one starts at random.
    """
    if pod.preemption_policy == "Never":
        return Preemption(None, CLAIMS + NEVER)
    rows = [row for row in np.flatnonzero(verdict.resolvable).tolist() if only in (None, row)]
    enough = max(MIN_CANDIDATES, len(rows) * CANDIDATES_PERCENT // 100)
    counts: Counter[str] = Counter({NOT_HELPFUL: len(cluster) - len(rows)})
    candidates: list[Candidate] = []
    look = _dry_run(cluster, pod, settings)
    for row in rows:
        found = _victims(cluster, pod, row, look(row), budgets)
        if isinstance(found, Candidate):
            candidates.append(found)
        else:
            counts.update(found)
        if len(candidates) >= enough and any(not candidate.broken for candidate in candidates):
            break
    if candidates:
        return Preemption(min(candidates, key=_badness), "")
    return Preemption(None, f"{CLAIMS}preemption: {fit_message(len(cluster), +counts)}")


@dataclass(frozen=True, eq=False)
class _Trial:
    """A cluster where pods of one node may come and go, and the row of that node in it."""

    cluster: Cluster
    row: int
    pod: Pod
    settings: Settings
    plugins: tuple[str, ...]

    def reasons(self) -> tuple[str, ...]:
        """Why the node refuses the pod now; empty when it takes it."""
        return filter_nodes(Cycle(self.cluster, self.pod, self.settings), self.plugins).reasons(self.row)


def _dry_run(cluster: Cluster, pod: Pod, settings: Settings) -> Callable[[int], _Trial]:
    """Trials on one node alone when no rule looks beyond the node, else on the whole cluster."""
    looks_far = bool(pod.affinity or pod.anti_affinity or any(spread.hard for spread in pod.spreads))
    looks_far |= any(group.rows and means(cluster, term, pod) for term, group in cluster.anti_terms.items())

    local = tuple(name for name in settings.filters if name in LOCAL)

    def on_whole(row: int) -> _Trial:
        return _Trial(cluster, row, pod, settings, settings.filters)

    def on_node(row: int) -> _Trial:
        alone = Cluster([cluster.nodes[row]])
        for other in cluster.pods[row].values():
            alone.add(other, 0)
        return _Trial(alone, 0, pod, settings, local)

    return on_whole if looks_far else on_node


def _victims(cluster: Cluster, pod: Pod, row: int, trial: _Trial, budgets: Sequence[Budget]) -> Candidate | tuple[str, ...]:
    """Victims on one node, or why preemption does not help there."""
    lower = [other for other in cluster.pods[row].values() if other.priority < pod.priority]
    if not lower:
        return (NO_VICTIMS,)
    lower.sort(key=_importance)
    for other in lower:
        trial.cluster.remove(other, trial.row)
    away = list(lower)
    reasons = trial.reasons()
    broken = 0
    if not reasons:
        breaking = _breaking(lower, budgets)
        for other in sorted(lower, key=lambda candidate: candidate.key not in breaking):
            trial.cluster.add(other, trial.row)
            away.remove(other)
            if trial.reasons():
                trial.cluster.remove(other, trial.row)
                away.append(other)
                broken += other.key in breaking
    for other in away:
        trial.cluster.add(other, trial.row)
    return reasons or Candidate(row, tuple(sorted(away, key=_importance)), broken)


def _importance(pod: Pod) -> tuple[int, str]:
    """Sort key, most important first: high priority, then the longest running."""
    return -pod.priority, pod.started or LAST_START


def _breaking(pods: Sequence[Pod], budgets: Sequence[Budget]) -> frozenset[str]:
    """Pods whose leaving, in this order, would break a disruption budget."""
    left = {budget: budget.allowed for budget in budgets}
    found = set()
    for pod in pods:
        for budget in budgets:
            named = bool(budget.selector.requirements) and bool(pod.labels)
            if budget.namespace == pod.namespace and named and budget.selector.matches(pod.labels):
                left[budget] -= 1
                if left[budget] < 0:
                    found.add(pod.key)
    return frozenset(found)


def _badness(candidate: Candidate) -> tuple[int, int, int, int, tuple[int, ...], int]:
    """The lowest is chosen (pickOneNodeForPreemption)."""
    victims = candidate.victims
    highest = victims[0].priority
    earliest = min(pod.started or LAST_START for pod in victims if pod.priority == highest)
    latest_first = tuple(-ord(letter) for letter in earliest)
    priorities = sum(pod.priority + PRIORITY_SHIFT for pod in victims)
    return candidate.broken, highest, priorities, len(victims), latest_first, candidate.row
