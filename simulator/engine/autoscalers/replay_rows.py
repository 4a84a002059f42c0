"""What a replay keeps of nodes and pods: growing arrays, one row a node, and the latencies of the control plane."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from simulator.engine.kube.objects import Node


@dataclass(frozen=True, slots=True)
class Latencies:
    """Milliseconds of a control plane on two cores, seen in the recordings; draws vary by `spread`, whole runs by `pace`.

    `bind` and `refuse` are what one pod takes the scheduler when it finds a node and when it finds none (it writes a refusal
    before it goes on, a binding beside its work: `bind` may be 0), `refuse_kind` more
    for every further kind that waits, since results are reused among equal pods only, and at least `refuse_busy` while
    pods of several Deployments are being made; `change` lies between the changes of two Deployments in one second, which
    whoever scales them makes one after the other; `taint` passes between the decision to delete a node and its end,
    `drain` more when its pods have to go first. `burst` passes between the bursts of 1, 2, 4, 8 ... pods in which a
    ReplicaSet makes them (slowStartBatch); 0 makes them one by one.
    """

    change: int = 0
    first_pod: int = 25
    each_pod: int = 5
    burst: int = 0
    recreate: int = 60
    bind: int = 9
    refuse: int = 12
    refuse_kind: int = 3
    refuse_busy: int = 0
    node_each: int = 35
    node_ready: int = 600
    loop: int = 50
    taint: int = 25
    drain: int = 150
    spread: float = 0.4
    pace: float = 0.35


@dataclass(slots=True)
class RunningPod:
    """One pod. `node` is a row of the world or -1; `attempts` counts failed looks of the scheduler.

    errors : the last looks in a row at which there was no node at all; shut_out: only closed nodes were there at the last.
    """

    kind: int
    created_ms: int
    draw: float
    order: float
    node: int = -1
    bound_ms: int = 0
    attempts: int = 0
    errors: int = 0
    queued: bool = False
    shut_out: bool = False
    gone: bool = False


@dataclass(slots=True)
class Rows:
    """Nodes as growing arrays, one row each; rows are never reused.

    allocatable, used : int64 [rows, axes]; scored : int64 [rows, 2]; counts : int64 [rows, kinds];
    allowed : bool [rows, kinds]; preferred, avoided : int64 [rows, kinds], scores and counts of soft wishes; zone : int64 [rows];
    soft : int64 [rows], 1 where an autoscaler's soft taint stands; open, present : bool [rows]
    """

    allocatable: NDArray[np.int64]
    used: NDArray[np.int64]
    scored: NDArray[np.int64]
    counts: NDArray[np.int64]
    allowed: NDArray[np.bool_]
    preferred: NDArray[np.int64]
    avoided: NDArray[np.int64]
    soft: NDArray[np.int64]
    zone: NDArray[np.int64]
    open: NDArray[np.bool_]
    present: NDArray[np.bool_]

    @classmethod
    def empty(cls, axes: int, kinds: int, rows: int = 64) -> Rows:
        """Room for `rows` nodes."""
        allocatable, used, scored, counts = (np.zeros((rows, width), dtype=np.int64) for width in (axes, axes, 2, kinds))
        allowed = np.zeros((rows, kinds), dtype=np.bool_)
        preferred, avoided = (np.zeros((rows, kinds), dtype=np.int64) for _ in range(2))
        soft, zone = np.zeros(rows, dtype=np.int64), np.full(rows, -1, dtype=np.int64)
        opened, present = np.zeros(rows, dtype=np.bool_), np.zeros(rows, dtype=np.bool_)
        return cls(allocatable, used, scored, counts, allowed, preferred, avoided, soft, zone, opened, present)

    def room_for(self, row: int) -> None:
        """Double every array when `row` lies outside."""
        if row < len(self.open):
            return
        for name in self.__slots__:
            old = getattr(self, name)
            setattr(self, name, np.concatenate([old, np.full_like(old, -1) if name == "zone" else np.zeros_like(old)]))


@dataclass(slots=True)
class Machine:
    """What is known of a row's node beside its numbers."""

    node: Node
    group: str
    created_ms: int
    key: float
    pods: list[RunningPod] = field(default_factory=list)
    ready_ms: int = -1
    leaving: bool = False
