"""Bin packing over kinds of pods: first fit decreasing, as Cluster Autoscaler's estimator does it, on arrays.

Pods of one kind are alike to the scheduler and differ from other kinds by requests, taints tolerated and node labels
wanted. Pods that other pods keep away (affinity, spread, host ports) are packed one by one in `binpacking_pods`.
Amounts are int64 vectors over `Kinds.axes`: cpu in millicores, memory in bytes, pods and extended resources in pieces.
Source: kubernetes/autoscaler cluster-autoscaler/estimator/binpacking_estimator.go at 1.36.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.engine.kube.objects import CPU, MEMORY, PODS, Amounts, Node, Pod, node_affinity_matches, untolerated

Vector = NDArray[np.int64]
Matrix = NDArray[np.int64]

LONG_QUEUE = 500


def kind_key(pod: Pod) -> tuple[object, ...]:
    """What the scheduler looks at in `pod`, equal for pods of one kind (utils.PodSpecSemanticallyEqual and labels)."""
    labels = tuple(sorted(pod.labels.items()))
    wanted = (tuple(sorted(pod.node_selector.items())), pod.required, pod.tolerations, pod.priority)
    others = (pod.affinity, pod.anti_affinity, pod.spreads, pod.ports)
    return (pod.namespace, labels, tuple(sorted(pod.requests.items())), wanted, others)


@dataclass(frozen=True, slots=True)
class Kinds:
    """Pods of one kind are alike to the scheduler. requests : int64 [kinds, axes]; `pods` holds one of each kind."""

    axes: tuple[str, ...]
    pods: tuple[Pod, ...]
    requests: Matrix

    @classmethod
    def of(cls, pods: Sequence[Pod]) -> Kinds:
        """One kind for each of `pods`, which the caller has told apart."""
        extra = sorted({name for pod in pods for name in pod.requests} - {CPU, MEMORY, PODS})
        axes = (CPU, MEMORY, PODS, *extra)
        rows = [[1 if axis == PODS else pod.requests.get(axis, 0) for axis in axes] for pod in pods]
        return cls(axes, tuple(pods), np.array(rows, dtype=np.int64).reshape(len(pods), len(axes)))

    def vector(self, amounts: Amounts) -> Vector:
        """`amounts` along the axes."""
        return np.array([amounts.get(axis, 0) for axis in self.axes], dtype=np.int64)

    def allowed(self, node: Node) -> NDArray[np.bool_]:
        """Which kinds may run on `node` by its taints and labels: bool [kinds]."""
        checks = [untolerated(node.taints, pod) is None and node_affinity_matches(pod, node) for pod in self.pods]
        return np.array(checks, dtype=np.bool_)


@dataclass(frozen=True, slots=True)
class Estimate:
    """`nodes` to add and how many pods of each kind they take: int64 [kinds]."""

    nodes: int
    placed: Vector


def estimate(
    template: Vector, node: Vector, requests: Matrix, counts: Vector, room: int, chance: np.random.Generator | None = None
) -> Estimate:
    """First fit decreasing: kinds in falling order of cpu share plus memory share, each first onto nodes opened before.

    Among those nodes the first that fits is taken, or with `chance` any: the real program lists them from a Go map.

    template : int64 [axes], free on a new node; node : int64 [axes], its allocatable (for the order)
    requests : int64 [kinds, axes]; counts : int64 [kinds]; room : most nodes to open.

    Ten pods of 350m, 1000 on nodes of 1000m, 2000: two fit on each (cpu 2, memory 2), so five nodes.

    >>> axes = np.array([1000, 2000, 110])
    >>> estimate(axes, axes, np.array([[350, 1000, 1]]), np.array([10]), 100).nodes
    5
    """
    shares = requests[:, 0] / max(int(node[0]), 1) + requests[:, 1] / max(int(node[1]), 1)
    free = np.zeros((0, template.size), dtype=np.int64)
    placed = np.zeros_like(counts)
    for kind in np.argsort(-shares, kind="stable"):
        left, request = int(counts[kind]), requests[kind]
        taken = fill(free, request, left) if chance is None else scatter(free, request, left, chance)
        free -= taken[:, None] * request
        left -= int(taken.sum())
        each = int(capacity(template[None, :], request)[0])
        opened = min(-(-left // each), room - len(free)) if each else 0
        if opened > 0:
            fresh = np.repeat(template[None, :], opened, axis=0)
            taken = fill(fresh, request, left)
            free = np.concatenate([free, fresh - taken[:, None] * request])
            left -= int(taken.sum())
        placed[kind] = counts[kind] - left
    return Estimate(len(free), placed)


def capacity(free: Matrix, request: Vector) -> Vector:
    """How many pods of `request` each row of `free` holds: int64 [nodes]."""
    asked = request > 0
    return np.asarray(np.maximum((free[:, asked] // request[asked]).min(axis=1), 0), dtype=np.int64)


def fill(free: Matrix, request: Vector, count: int) -> Vector:
    """First fit of `count` equal pods: how many go to each row of `free`, int64 [nodes]."""
    holds = capacity(free, request)
    before = np.cumsum(holds) - holds
    return np.asarray(np.clip(count - before, 0, holds), dtype=np.int64)


def scatter(free: Matrix, request: Vector, count: int, chance: np.random.Generator) -> Vector:
    """As `fill`, each pod onto any row that still holds it; a long queue is filled in row order."""
    holds = capacity(free, request)
    if count >= holds.sum() or count > LONG_QUEUE:
        return fill(free, request, count)
    taken = np.zeros_like(holds)
    for draw in chance.random(count):
        rows = np.flatnonzero(taken < holds)
        taken[rows[int(draw * rows.size)]] += 1
    return taken


def pack(free: Matrix, allowed: NDArray[np.bool_], requests: Matrix, queue: Vector, draws: NDArray[np.float64]) -> tuple[Vector, Matrix]:
    """Pack a queue onto nodes in no particular order: pods of each kind that find no room int64 [kinds], and what stays free.

    free : int64 [nodes, axes]; allowed : bool [kinds, nodes]; queue : int64 [pods], kinds in the order they come;
    draws : float64 [pods] in [0, 1), which of the fitting nodes each pod takes. The real program walks Go maps here, so
    its order of pods and of nodes is random. How many fit of one kind depends on no order: a long queue of one kind is
    filled in row order.
    """
    left, free = np.zeros(len(requests), dtype=np.int64), free.copy()
    if queue.size > LONG_QUEUE and (queue == queue[0]).all():
        kind = int(queue[0])
        rows = np.flatnonzero(allowed[kind])
        taken = fill(free[rows], requests[kind], queue.size)
        free[rows] -= taken[:, None] * requests[kind]
        left[kind] = queue.size - taken.sum()
        return left, free
    for kind, draw in zip(queue.tolist(), draws.tolist(), strict=True):
        if not left[kind]:
            fits = np.flatnonzero(allowed[kind] & (free >= requests[kind]).all(axis=1))
            if fits.size:
                free[fits[int(draw * fits.size)]] -= requests[kind]
                continue
        left[kind] += 1
    return left, free
