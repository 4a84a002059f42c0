"""WorkloadLog: what happened to one workload's pods, written down as it happens, and read out once as a result."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from models.units import MS_PER_H, MS_PER_S
from models.workload_result import JobRun, ScaleOut, WorkloadResult


class WorkloadLog:
    """Times in ms since the horizon's start, counts of pods."""

    def __init__(self, name: str, kind: str) -> None:
        self.name, self.kind = name, kind
        self.lost = 0
        self.skipped = 0
        self.restarts = 0
        self.surge = 0
        self.replicas: list[tuple[int, int]] = []
        self.scale_outs: list[ScaleOut] = []
        self.runs: list[JobRun] = []
        self.rollouts: list[tuple[int, int]] = []
        self._made = 0
        self._alive = 0
        self._peak = 0
        self._placed_ms = 0
        self._waits: list[int] = []
        self._pulls: list[int] = []
        self._ready: list[int] = []
        self._ready_by_pool: dict[str, list[int]] = {}
        self.ready_changes: list[tuple[int, int]] = [(-1, 0)]

    def created(self, now: int, count: int) -> None:
        """`count` pods more."""
        self._made += count
        self._alive += count
        self._peak = max(self._peak, self._alive)

    def stopped(self, now: int, placed_ms: int, ready_ms: int) -> None:
        """One pod less; it had run since `placed_ms`, negative when it never was."""
        self._alive -= 1
        if placed_ms >= 0:
            self._placed_ms += now - placed_ms
        if ready_ms >= 0:
            self._ready_now(now, -1)

    def placed(self, wait_ms: int) -> None:
        """One pod found a node after so long."""
        self._waits.append(wait_ms)

    def pulled(self, pull_ms: int) -> None:
        """Its image was there so long after."""
        self._pulls.append(pull_ms)

    def became_ready(self, now: int, created_ms: int, pool: str) -> None:
        """One pod is Ready, on a node of `pool`."""
        self._ready.append(now - created_ms)
        self._ready_by_pool.setdefault(pool, []).append(now - created_ms)
        self._ready_now(now, 1)

    def _ready_now(self, now: int, change: int) -> None:
        count = self.ready_changes[-1][1] + change
        if self.ready_changes[-1][0] == now:
            self.ready_changes[-1] = (now, count)
        else:
            self.ready_changes.append((now, count))

    def wanted(self, now: int, replicas: int) -> None:
        """The number of replicas asked for changed."""
        if self.replicas and self.replicas[-1][0] == now:
            self.replicas[-1] = (now, replicas)
        elif not self.replicas or self.replicas[-1][1] != replicas:
            self.replicas.append((now, replicas))

    def result(
        self, alive_placed_ms: int, extended: Mapping[str, int], per_node: Mapping[str, int], window_s: Mapping[str, float]
    ) -> WorkloadResult:
        """The whole story; `alive_placed_ms` is what pods that still run have run."""
        pod_hours = (self._placed_ms + alive_placed_ms) / MS_PER_H
        return WorkloadResult(
            name=self.name,
            kind=self.kind,
            pods=self._made,
            peak_pods=self._peak,
            pod_hours=pod_hours,
            extended_hours={axis: amount * pod_hours for axis, amount in extended.items()},
            ready_s=np.array(self._ready, np.float64) / MS_PER_S,
            ready_by_pool_s={pool: np.array(ms, np.float64) / MS_PER_S for pool, ms in sorted(self._ready_by_pool.items())},
            wait_s=np.array(self._waits, np.float64) / MS_PER_S,
            pull_s=np.array(self._pulls, np.float64) / MS_PER_S,
            lost=self.lost,
            replicas=tuple((when / MS_PER_S, count) for when, count in self.replicas),
            scale_outs=tuple(self.scale_outs),
            surge_pods=self.surge,
            rollouts_s=tuple((begin / MS_PER_S, end / MS_PER_S) for begin, end in self.rollouts),
            runs=tuple(self.runs),
            skipped=self.skipped,
            restarts=self.restarts,
            extended=dict(extended),
            pods_per_node=dict(per_node),
            warm_pods={pool: largest_rise(self.replicas, round(seconds * MS_PER_S)) for pool, seconds in window_s.items()},
            window_s=dict(window_s),
        )


def largest_rise(series: list[tuple[int, int]], window_ms: int) -> int:
    """Most replicas added within any window: what must fit on standing nodes when a new one takes that long.

    The first entry is the start and no rise.

    >>> largest_rise([(0, 10), (60, 20), (75, 40), (90, 70), (400, 20), (500, 30)], 120)
    60
    """
    most, first = 0, 0
    for position, (when, count) in enumerate(series):
        while series[first][0] < when - window_ms:
            first += 1
        before = max(first - 1, 0)
        most = max(most, *(count - earlier for _, earlier in series[before : position + 1]))
    return most
