"""kube-scheduler with all its filters and scores inside a replay, for pods that other pods attract, keep away or spread.

The plain replay scores nodes with arrays and knows requests, taints, node labels and the default spreading. As soon as one
shape has spread constraints, pod affinity or host ports, every pod is placed with the plug-ins of `kube.scheduler`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from simulator.engine.autoscalers.binpacking import Kinds
from simulator.engine.autoscalers.replay_rows import Machine, Rows, RunningPod
from simulator.engine.kube.cluster_state import Cluster
from simulator.engine.kube.objects import Node, Pod, Selector, Taint
from simulator.engine.kube.plugins import Settings
from simulator.engine.kube.scheduler import decide

CLOSED = Taint("node.kubernetes.io/not-ready")
"""What keeps pods off a node that is not ready or about to go."""


def with_rules(pod: Pod) -> bool:
    """Whether other pods decide where this one may go, or where it likes to go."""
    return bool(pod.spreads or pod.affinity or pod.anti_affinity or pod.preferred_pods or pod.ports)


class FullScheduler:
    """The cluster as the plug-ins see it, kept in step with the rows of a world."""

    def __init__(self, kinds: Kinds, rows: Rows, machines: list[Machine]) -> None:
        self.kinds, self.rows, self.machines = kinds, rows, machines
        self.standing: dict[int, list[Pod]] = {}
        self._settings = Settings(default_selectors=_own_kind)
        self._cluster: Cluster | None = None
        self._built: list[int] = []

    def changed(self) -> None:
        """Nodes came, went, opened or closed."""
        self._cluster = None

    def best(self, pod: RunningPod) -> NDArray[np.int64]:
        """Rows of the best nodes, none when the pod fits nowhere: int64 [nodes]."""
        cluster = self._current()
        rows = decide(cluster, self._object(pod), self._settings).best
        return np.array([self._built[int(row)] for row in rows], dtype=np.int64)

    def account(self, pod: RunningPod, sign: int) -> None:
        """The pod was bound to its row (+1) or left it (-1)."""
        if self._cluster is None:
            return
        name = self.machines[pod.node].node.name
        if name not in self._cluster.rows:
            return
        change: Callable[[Pod, int], None] = self._cluster.add if sign > 0 else self._cluster.remove
        change(self._object(pod).on(name), self._cluster.rows[name])

    def _current(self) -> Cluster:
        if self._cluster is None:
            self._built = [int(row) for row in np.flatnonzero(self.rows.present[: len(self.machines)])]
            self._cluster = Cluster([self._node(row) for row in self._built])
            for at, row in enumerate(self._built):
                name = self.machines[row].node.name
                for pod in (*self.standing.get(row, ()), *map(self._object, self.machines[row].pods)):
                    self._cluster.add(pod.on(name), at)
        return self._cluster

    def _node(self, row: int) -> Node:
        node = self.machines[row].node
        return node if self.rows.open[row] else replace(node, taints=(*node.taints, CLOSED))

    def _object(self, pod: RunningPod) -> Pod:
        """The pod under a name of its own."""
        kind = self.kinds.pods[pod.kind]
        return replace(kind, name=f"{kind.name}-{pod.draw}-{pod.created_ms}")


def _own_kind(pod: Pod) -> Selector | None:
    """The ReplicaSet's selector: pods of the same shape."""
    return Selector.of({"app": pod.labels["app"]}) if "app" in pod.labels else None
