"""Cluster Autoscaler's scale-down: which nodes are unneeded, and which of them go now. Pure functions of what a loop sees.

A node is unneeded while its utilisation (the larger of cpu and memory, requests over allocatable) lies under the
threshold and its pods fit elsewhere. Nodes found so in one loop count as gone for the next ones, so that no two of them
lean on each other. Source: kubernetes/autoscaler cluster-autoscaler/core/scaledown (eligibility, planner, unneeded,
budgets) and simulator/cluster.go at 1.36.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.engine.autoscalers.binpacking import Matrix, Vector, fill

GPUS = ("nvidia.com/gpu", "habana.ai/gaudi", "gpu.intel.com/i915", "amd.com/gpu", "microsoft.com/directx")
"""Resources that make a node one with GPUs (utils/gpu, GPUVendorResourceNames)."""


Spare = tuple[tuple[int, ...], int]
"""Kinds that a disruption budget is about, and how many of their pods may go now."""


@dataclass(frozen=True, slots=True)
class View:
    """What a loop sees of the nodes.

    allocatable, free : int64 [nodes, axes], cpu and memory first; counts : int64 [nodes, kinds], pods on each node;
    allowed : bool [nodes, kinds]; home : bool [nodes], nodes that may receive pods; requests : int64 [kinds, axes];
    order : int64 [nodes], in which order a pod's new home is sought.
    """

    allocatable: Matrix
    free: Matrix
    counts: Matrix
    allowed: NDArray[np.bool_]
    home: NDArray[np.bool_]
    requests: Matrix
    order: Vector


@dataclass(frozen=True, slots=True)
class Verdict:
    """Nodes that could go, in the order they were looked at, and nodes whose pods fit nowhere else."""

    removable: tuple[int, ...]
    stuck: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Budget:
    """How many deletions may start now."""

    deletions: int
    drains: int


def utilisation(allocatable: Matrix, free: Matrix) -> NDArray[np.float64]:
    """Larger of the requested shares of cpu and memory: float64 [nodes].

    >>> utilisation(np.array([[10, 100]]), np.array([[6, 30]])).tolist()
    [0.7]
    """
    room = np.maximum(allocatable[:, :2], 1)
    return np.asarray(((room - free[:, :2]) / room).max(axis=1), dtype=np.float64)


def judge(view: View, candidates: Sequence[int], most: int | None = None, spare: Sequence[Spare] = ()) -> Verdict:
    """Try to empty every candidate in turn, until `most` could go; what moves stays moved for the candidates after it.

    spare : what each disruption budget lets go; a node with a pod that a budget without anything left is about stays.
    """
    left = [allowed for _, allowed in spare]
    free, counts, home = view.free, view.counts, view.home.copy()
    removable: list[int] = []
    stuck: list[int] = []
    for node in candidates:
        if most is not None and len(removable) >= most:
            break
        at_home = bool(home[node])
        home[node] = False
        about = [int(counts[node, list(kinds)].sum()) for kinds, _ in spare]
        held = any(pods and allowed < 1 for pods, allowed in zip(about, left, strict=True))
        moved = None if held else _rehomed(view, free, counts, home, node)
        if moved is None:
            home[node] = at_home
            stuck.append(node)
        else:
            left = [allowed - pods for allowed, pods in zip(left, about, strict=True)]
            free, counts = moved
            removable.append(node)
    return Verdict(tuple(removable), tuple(stuck))


def _rehomed(view: View, free: Matrix, counts: Matrix, home: NDArray[np.bool_], node: int) -> tuple[Matrix, Matrix] | None:
    """Free amounts and counts after the node's pods found other homes, None when one of them finds none."""
    if not counts[node].any():
        return free, counts
    free, counts = free.copy(), counts.copy()
    for kind in np.flatnonzero(counts[node]):
        wanted, request = int(counts[node, kind]), view.requests[kind]
        rows = view.order[(home & view.allowed[:, kind])[view.order]]
        taken = fill(free[rows], request, wanted)
        if taken.sum() < wanted:
            return None
        free[rows] -= taken[:, None] * request
        counts[rows, kind] += taken
        counts[node, kind] = 0
    return free, counts


def still_unneeded(since_ms: Mapping[int, int], removable: Sequence[int], now_ms: int) -> dict[int, int]:
    """When each removable node was first found so; nodes that are needed again are forgotten."""
    return {node: since_ms.get(node, now_ms) for node in removable}


def due(
    since_ms: Mapping[int, int], unneeded_ms: int, now_ms: int, groups: Sequence[str], spare: Mapping[str, int],
    empty: NDArray[np.bool_], budget: Budget,
) -> tuple[tuple[int, ...], tuple[int, ...]]:  # fmt: skip
    """Nodes to delete now: (empty ones, ones to drain), empty ones first, no group below its minimum.

    Among those that have been unneeded for long enough the order of `since_ms` decides; the real one walks a Go map.
    groups : group of each node; spare : nodes that each group may lose; empty : bool [nodes].
    """
    left = dict(spare)
    chosen: tuple[list[int], list[int]] = ([], [])
    for drain in (False, True):
        for node, since in since_ms.items():
            if bool(empty[node]) == drain or since + unneeded_ms >= now_ms or left[groups[node]] <= 0:
                continue
            left[groups[node]] -= 1
            chosen[drain].append(node)
    gone = chosen[False][: max(budget.deletions, 0)]
    return tuple(gone), tuple(chosen[True][: max(min(budget.deletions - len(gone), budget.drains), 0)])
