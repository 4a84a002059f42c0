"""Replications: the same pods, other failures and delays; on one core or many, with the same bytes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.demand import Demand
from models.fleet import Fleet
from models.horizon import Horizon
from models.outcome import Outcome, RunResult
from models.scenario import Scenario
from models.units import MS_PER_DAY, MS_PER_H
from simulator.engine.config import EngineConfig
from simulator.engine.run import config_for, rules_for, run_once
from simulator.engine.trace import Trace, trace_from_demand
from simulator.progress import SILENT, Progress
from simulator.streams import Streams

WORTH_A_POOL = 3_000_000
"""Pods over all replications from which starting worker processes (about a second) pays."""
POLL_S = 0.2


def simulate(
    demand: Demand, fleet: Fleet, scenario: Scenario, *, replications: int, progress: Progress = SILENT, workers: int | None = None
) -> Outcome:
    """Run a scenario's fleet against its demand `replications` times; replications come back in number order.

    `workers` None: one process for small work, else up to one per core. The result does not depend on it.
    """
    trace = trace_from_demand(demand, Streams(scenario.seed), rules_for(scenario))
    config = config_for(fleet, scenario)
    return replicate(trace, fleet, config, scenario.seed, demand.horizon, replications, progress=progress, workers=workers)


def replicate(
    trace: Trace,
    fleet: Fleet,
    config: EngineConfig,
    seed: int,
    horizon: Horizon,
    replications: int,
    *,
    progress: Progress = SILENT,
    workers: int | None = None,
) -> Outcome:
    """`replications` runs of one trace; `progress` ticks once per simulated day of each."""
    progress.stage("simulate", trace.hours * MS_PER_H // MS_PER_DAY * replications)
    if workers is None:
        worth = trace.pods * replications >= WORTH_A_POOL
        workers = min(os.cpu_count() or 1, replications) if worth else 1
    if workers <= 1 or replications == 1:
        runs = [run_once(trace, fleet, config, Streams(seed, r), horizon=horizon, progress=progress) for r in range(replications)]
        return Outcome(tuple(runs))
    with tempfile.TemporaryDirectory(prefix="burstline-") as folder:
        trace.save(Path(folder))
        job = _Job(trace.without_arrays(), folder, fleet, config, seed, horizon)
        return Outcome(tuple(_in_processes(job, replications, workers, progress)))


@dataclass(frozen=True)
class _Job:
    """What a worker needs to know, without the trace's arrays: those it maps from `folder`."""

    trace: Trace
    folder: str
    fleet: Fleet
    config: EngineConfig
    seed: int
    horizon: Horizon


def _in_processes(job: _Job, replications: int, workers: int, progress: Progress) -> list[RunResult]:
    """Spawned workers; a shell that raises from `advance`, or Ctrl-C, stops them at their next simulated day."""
    context = multiprocessing.get_context("spawn")
    stop, days = context.Event(), context.Value("q", 0)
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker, initargs=(job, stop, days))
    try:
        futures = [pool.submit(_replication, r) for r in range(replications)]
        _follow(futures, days, progress)
        return [future.result() for future in futures]
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)


def _follow(futures: list[Future[RunResult]], days: Any, progress: Progress) -> None:
    """Pass the workers' days on until all are done or one failed."""
    pending, told = set(futures), 0
    while pending:
        done, pending = wait(pending, timeout=POLL_S, return_when=FIRST_COMPLETED)
        progress.advance(days.value - told)
        told = days.value
        if any(future.exception() is not None for future in done):
            return


class _Stopped(Exception):
    """The parent asked this worker to stop."""


class _DayCounter:
    """Counts days in shared memory and obeys the stop flag."""

    def __init__(self, stop: Any, days: Any) -> None:
        self._stop, self._days = stop, days

    def stage(self, name: str, total: int) -> None:
        """The parent announced the stage."""

    def advance(self, steps: int = 1) -> None:
        """One more day of some replication."""
        if self._stop.is_set():
            raise _Stopped
        with self._days.get_lock():
            self._days.value += steps


_worker: tuple[_Job, Trace, _DayCounter]


def _start_worker(job: _Job, stop: Any, days: Any) -> None:
    """Once per process: leave Ctrl-C to the parent, map the trace."""
    global _worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _worker = job, job.trace.mapped(Path(job.folder)), _DayCounter(stop, days)


def _replication(number: int) -> RunResult:
    job, trace, counter = _worker
    return run_once(trace, job.fleet, job.config, Streams(job.seed, number), horizon=job.horizon, progress=counter)
