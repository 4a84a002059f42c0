"""Helpers: spawned processes that take replications beside the process that asked for them.

The asking process works too, so the time that helpers need to start and import is not lost. Whoever is free takes the next
number; results are put in number order, so who ran what cannot be seen. The trace is mapped, one physical copy for all.
"""

from __future__ import annotations

import multiprocessing
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models.fleet import Fleet
from models.horizon import Horizon
from models.outcome import RunResult
from simulator.engine.config import EngineConfig
from simulator.engine.run import run_once
from simulator.engine.trace import PodShape, Trace, trace_of
from simulator.progress import Progress
from simulator.streams import Streams

POLL_S = 0.1


@dataclass(frozen=True)
class Job:
    """What a helper needs to know; the trace comes without its arrays, which lie in `folder`."""

    trace: Trace
    folder: str
    fleet: Fleet
    config: EngineConfig
    seed: int
    horizon: Horizon
    replications: int


class _Stopped(Exception):
    """The asking process told this one to stop."""


class _Shared:
    """Two numbers and a flag that all processes see: replications taken, simulated days done, stop."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.stop, self._taken, self._days = context.Event(), context.Value("q", 0), context.Value("q", 0)

    def begin(self) -> None:
        """A new job: nothing taken, no day done."""
        self.stop.clear()
        self._taken.value = self._days.value = 0

    def take(self, replications: int) -> int | None:
        """The next replication that nobody has, None when all are taken."""
        with self._taken.get_lock():
            number = self._taken.value
            if number >= replications:
                return None
            self._taken.value = number + 1
        return int(number)

    def count_days(self, days: int) -> int:
        """Add days; returns the days of all processes."""
        with self._days.get_lock():
            self._days.value += days
            return int(self._days.value)


class _HelperDays:
    """Progress of a helper: counts, and obeys the stop flag."""

    def __init__(self, shared: _Shared) -> None:
        self._shared = shared

    def stage(self, name: str, total: int) -> None:
        """The asking process announced the stage."""

    def advance(self, steps: int = 1) -> None:
        """Some more days of some replication."""
        if self._shared.stop.is_set():
            raise _Stopped
        self._shared.count_days(steps)


class _AllDays:
    """Progress of the asking process: tells the shell what all processes have done."""

    def __init__(self, shared: _Shared, shell: Progress) -> None:
        self._shared, self._shell, self._told = shared, shell, 0

    def stage(self, name: str, total: int) -> None:
        """Announced before."""

    def advance(self, steps: int = 1) -> None:
        """`steps` days done here, and whatever the helpers did since the last call."""
        days = self._shared.count_days(steps)
        self._shell.advance(days - self._told)
        self._told = days


class Helpers:
    """`count` processes beside this one, started at once; use as a context manager, for one job or for many."""

    def __init__(self, count: int) -> None:
        self._shared = _Shared()
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(count, mp_context=context, initializer=_start, initargs=(self._shared,))
        with _interrupts_ignored():
            self._started = [self._pool.submit(_ready) for _ in range(count)]

    def __enter__(self) -> Helpers:
        return self

    def __exit__(self, *exception: object) -> None:
        self._shared.stop.set()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def ready(self) -> None:
        """Wait until the helpers have loaded what they need."""
        wait(self._started)

    def run(self, job: Job, trace: Trace, progress: Progress) -> list[RunResult]:
        """All replications of `job` in number order; `trace` is the job's, with its arrays.

        A shell that raises from `advance`, or Ctrl-C, stops every process at its next simulated day.
        """
        self._shared.begin()
        days = _AllDays(self._shared, progress)
        futures = [self._pool.submit(_help, job) for _ in self._started]
        try:
            done = _work(job, trace, self._shared, days)
            _follow(futures, days)
            for future in futures:
                done |= future.result()
        except BaseException:
            self._shared.stop.set()
            for future in futures:
                future.cancel()
            wait(futures)
            raise
        return [done[number] for number in range(job.replications)]


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Processes started here never see Ctrl-C, not even while they import; only the main thread may set signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _follow(futures: list[Future[dict[int, RunResult]]], days: _AllDays) -> None:
    """Pass the helpers' days on until all are done or one failed."""
    pending = set(futures)
    while pending:
        done, pending = wait(pending, timeout=POLL_S, return_when=FIRST_COMPLETED)
        days.advance(0)
        if any(future.exception() is not None for future in done):
            return


def _work(job: Job, trace: Trace, shared: _Shared, days: Progress) -> dict[int, RunResult]:
    """Run one replication after the other until all are taken; those done here, by number."""
    done: dict[int, RunResult] = {}
    while (number := shared.take(job.replications)) is not None:
        done[number] = run_once(trace, job.fleet, job.config, Streams(job.seed, number), horizon=job.horizon, progress=days)
    return done


_helper: tuple[_Shared, dict[str, Any]]


def _start(shared: _Shared) -> None:
    """Once per process."""
    global _helper
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _helper = shared, {}


def _ready() -> None:
    """The first task: import everything and wake the compiler, whose first cached function takes most of a second to load."""
    trace_of([PodShape(1, 1)], 1, np.array([0]), np.array([1]), np.array([0])).asked_cpu_ms()


def _help(job: Job) -> dict[int, RunResult]:
    """A helper's share of the work; the trace stays mapped until another job comes."""
    shared, mapped = _helper
    if job.folder not in mapped:
        mapped.clear()
        mapped[job.folder] = job.trace.mapped(Path(job.folder))
    return _work(job, mapped[job.folder], shared, _HelperDays(shared))
