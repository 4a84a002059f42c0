"""Lives of pods: when each began and ended, and how long it waited; what conservation and waits are counted from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from models.units import MS_PER_H
from simulator.engine import kernels

if TYPE_CHECKING:
    from simulator.engine.state import State


@dataclass(frozen=True)
class Lives:
    """One entry for every life of a pod: first those of the sorted pods, in order, then those of dynamic pods as they ended.

    begin_ms, end_ms : int64 [lives]   the span in which the pod asked for room, waiting included
    shape            : uint16 [lives]
    wait_ms          : int64 [lives]   from its begin to its first placement, -1 for never placed
    """

    begin_ms: NDArray[np.int64]
    end_ms: NDArray[np.int64]
    shape: NDArray[np.uint16]
    wait_ms: NDArray[np.int64]


class DynamicLives:
    """The lives that ended before their slot was used again."""

    def __init__(self) -> None:
        self._ended: list[Lives] = []

    def keep(self, state: State, pods: NDArray[np.int64]) -> None:
        """Remember the former lives of `pods`, whose slots are about to be used again."""
        former = pods[state.placed[pods] != kernels.ABSENT]
        if former.size:
            self._ended.append(_of_dynamic(state, former))

    def all(self, state: State) -> list[Lives]:
        """Those kept and the latest life of every slot."""
        pods = np.arange(state.trace.pods, state.placed.size, dtype=np.int64)
        return [*self._ended, _of_dynamic(state, pods[state.placed[pods] != kernels.ABSENT])]


def _of_dynamic(state: State, pods: NDArray[np.int64]) -> Lives:
    """The present or last lives of dynamic pods; one that exists lasts to the horizon."""
    placed = state.placed[pods]
    end = np.where(placed <= kernels.UNSERVED, state.late_end[pods], state.trace.hours * MS_PER_H)
    job_runs = placed >= kernels.LATE
    end = np.where(job_runs, state.late_end[pods], end)
    return Lives(state.arrival[pods], end, state.shape[pods], _wait(placed, state.wait[pods]))


def _wait(placed: NDArray[np.int32], wait: NDArray[np.int64]) -> NDArray[np.int64]:
    never = (placed == kernels.PENDING) | (placed == kernels.ABSENT) | (placed == kernels.UNSERVED)
    return np.where(never, np.int64(-1), wait)


def lives(state: State) -> Lives:
    """Every life of a run that was taken to the horizon."""
    trace = state.trace
    shape, placed, late_end = np.asarray(trace.shape), state.placed[: trace.pods], state.late_end[: trace.pods]
    begin, end = np.asarray(trace.arrival_ms), trace.arrival_ms + trace.duration_ms
    flags = state.shape_flags[shape]
    fixed = (flags & kernels.FIXED_END) != 0
    if not fixed.all() or (flags & kernels.GRACE).any():
        late = (placed >= kernels.LATE) | ((placed <= kernels.GONE) & ((kernels.GONE - placed) % 2 == 1))
        end = np.where(late, late_end, end)
        waiting = (placed <= kernels.PENDING) & (placed >= kernels.PENDING_REST)
        end = np.where(~fixed & waiting, trace.hours * MS_PER_H, end)
    sorted_pods = Lives(begin, end, shape, _wait(placed, state.wait[: trace.pods]))
    if not trace.dynamic.size:
        return sorted_pods
    parts = [sorted_pods, *state.dynamic_lives.all(state)]
    return Lives(
        np.concatenate([part.begin_ms for part in parts]),
        np.concatenate([part.end_ms for part in parts]),
        np.concatenate([part.shape for part in parts]),
        np.concatenate([part.wait_ms for part in parts]),
    )
