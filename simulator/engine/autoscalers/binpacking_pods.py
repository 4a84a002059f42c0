"""Bin packing one pod at a time with kube-scheduler's own filters, for pods that other pods keep away.

Host ports, spread constraints and pod affinity make a node's room depend on what runs elsewhere, so every step asks the
filters of `scheduler`. The order is that of `binpacking.estimate`; for pods without such wishes both agree, which a test
holds. Source: kubernetes/autoscaler cluster-autoscaler/estimator/binpacking_estimator.go at 1.36.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from simulator.engine.autoscalers.binpacking import Estimate, Kinds, Vector
from simulator.engine.kube.cluster_state import Cluster
from simulator.engine.kube.objects import HOSTNAME, Amounts, Node, Pod
from simulator.engine.kube.plugins import Cycle, Settings
from simulator.engine.kube.plugins.pod_topology_spread import TOO_SKEWED
from simulator.engine.kube.scheduler import filter_nodes

SETTINGS = Settings()


def constrained(pod: Pod) -> bool:
    """Whether other pods decide where this one fits."""
    return bool(pod.ports or pod.affinity or pod.anti_affinity or any(spread.hard for spread in pod.spreads))


class Trial:
    """Nodes with pods on them, to which nodes and pods are added; `rows` of the nodes added here start at `first`."""

    def __init__(self, nodes: Sequence[Node], bound: Sequence[Pod]) -> None:
        self.nodes = list(nodes)
        self.first = len(self.nodes)
        rows = {node.name: row for row, node in enumerate(self.nodes)}
        self.placed = [(pod, rows[pod.node]) for pod in bound if pod.node in rows]
        self.filled: set[int] = set()
        self.cluster = self._built()

    @property
    def added(self) -> int:
        """Nodes added here."""
        return len(self.nodes) - self.first

    def add_node(self, template: Node, overhead: Amounts) -> int:
        """One more node like `template`, less what the autoscaler believes to run on it; returns its row."""
        name = f"{template.name}-template-{len(self.nodes)}"
        left = {axis: amount - overhead.get(axis, 0) for axis, amount in template.allocatable.items()}
        self.nodes.append(replace(template, name=name, allocatable=left, labels={**template.labels, HOSTNAME: name}))
        self.cluster = self._built()
        return len(self.nodes) - 1

    def feasible(self, pod: Pod) -> NDArray[np.bool_]:
        """Nodes that no filter refuses: bool [nodes]."""
        return np.asarray(filter_nodes(Cycle(self.cluster, pod, SETTINGS)).feasible, dtype=np.bool_)

    def place(self, pod: Pod, row: int) -> None:
        """Put `pod` on `row`."""
        bound = pod.on(self.nodes[row].name)
        self.placed.append((bound, row))
        self.cluster.add(bound, row)
        self.filled.add(row)

    def _built(self) -> Cluster:
        cluster = Cluster(self.nodes)
        for pod, row in self.placed:
            cluster.add(pod, row)
        return cluster


def fitting_pods(
    template: Node, overhead: Amounts, kinds: Kinds, counts: Vector, nodes: Sequence[Node], bound: Sequence[Pod]
) -> NDArray[np.bool_]:
    """Which waiting kinds one new node beside the cluster takes: bool [kinds] (orchestrator SchedulablePodGroups)."""
    trial = Trial(nodes, bound)
    row = trial.add_node(template, overhead)
    answers = [bool(count) and bool(trial.feasible(pod)[row]) for pod, count in zip(kinds.pods, counts.tolist(), strict=True)]
    return np.array(answers, dtype=np.bool_)


def estimate_pods(
    template: Node,
    overhead: Amounts,
    kinds: Kinds,
    counts: Vector,
    room: int,
    nodes: Sequence[Node],
    bound: Sequence[Pod],
    chance: np.random.Generator | None = None,
) -> Estimate:
    """As `estimate`, with every filter, on a cluster that has `nodes` with `bound` pods."""
    trial, closed = Trial(nodes, bound), False
    cpu, memory = (max(template.allocatable.get(axis, 0), 1) for axis in kinds.axes[:2])
    placed = np.zeros_like(counts)
    for kind in np.argsort(-(kinds.requests[:, 0] / cpu + kinds.requests[:, 1] / memory), kind="stable"):
        left = int(counts[kind])
        pods = [replace(kinds.pods[kind], name=f"{kinds.pods[kind].name}-{at}") for at in range(left)]
        while pods and (rows := np.flatnonzero(trial.feasible(pods[0])[trial.first :])).size:
            trial.place(pods.pop(0), trial.first + int(rows[0 if chance is None else chance.integers(rows.size)]))
        while pods and not closed:
            row = _row_for(trial, pods[0])
            if row is None:
                last = len(trial.nodes) - 1
                if trial.added and last not in trial.filled:
                    break
                closed = trial.added >= room
                if closed:
                    break
                row = trial.add_node(template, overhead)
                if not trial.feasible(pods[0])[row]:
                    break
            trial.place(pods.pop(0), row)
        placed[kind] = left - len(pods)
    return Estimate(len(trial.filled), placed)


def _row_for(trial: Trial, pod: Pod) -> int | None:
    """The last node added, or, for a pod that spread over host names keeps off it, any other node that takes it.

    The real program then counts that other node as one of the new ones even if it stood before, and so does this.
    """
    if not trial.added:
        return None
    verdict = filter_nodes(Cycle(trial.cluster, pod, SETTINGS))
    last = len(trial.nodes) - 1
    if verdict.feasible[last]:
        return last
    by_name = any(item.topology_key == HOSTNAME for item in pod.spreads)
    if not by_name or TOO_SKEWED not in verdict.reasons(last):
        return None
    rows = np.flatnonzero(verdict.feasible)
    return int(rows[0]) if rows.size else None


def pack_pods(trial: Trial, kinds: Kinds, queue: Vector, draws: NDArray[np.float64]) -> Vector:
    """As `pack`, with every filter; what fits stays in `trial`. Pods of each kind that find no room: int64 [kinds]."""
    left = np.zeros(len(kinds.pods), dtype=np.int64)
    for at, (kind, draw) in enumerate(zip(queue.tolist(), draws.tolist(), strict=True)):
        pod = replace(kinds.pods[kind], name=f"{kinds.pods[kind].name}-{at}")
        rows = np.flatnonzero(trial.feasible(pod)) if not left[kind] else np.zeros(0, dtype=np.int64)
        if rows.size:
            trial.place(pod, int(rows[int(draw * rows.size)]))
        else:
            left[kind] += 1
    return left
