"""Replications: the same pods, other failures and delays; on one core or many, with the same bytes."""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from models.demand import Demand
from models.fleet import Fleet
from models.horizon import Horizon
from models.outcome import Outcome
from models.scenario import Scenario
from models.units import MS_PER_DAY, MS_PER_H
from simulator import catalog
from simulator.engine.config import EngineConfig
from simulator.engine.processes import Helpers, Job
from simulator.engine.run import config_for, rules_for, run_once
from simulator.engine.trace import Trace, trace_from_demand
from simulator.engine.workloads.setup import setup_for
from simulator.progress import SILENT, Progress
from simulator.streams import Streams

WORTH_A_POOL = 3_000_000
"""Pods over all replications from which starting helper processes (about a second of their own) pays."""


def simulate(
    demand: Demand, fleet: Fleet, scenario: Scenario, *, replications: int, progress: Progress = SILENT, workers: int | None = None
) -> Outcome:
    """Run a scenario's fleet against its demand `replications` times; replications come back in number order.

    `workers` None: one process for small work, else up to one per core. The result does not depend on it.
    """
    trace = trace_from_demand(demand, Streams(scenario.seed), rules_for(scenario))
    config = config_for(fleet, scenario)
    setup = setup_for(scenario, demand, catalog.parameters(scenario.parameters))
    if setup is not None:
        trace, config = trace.with_dynamic(setup.slots), replace(config, workloads=setup)
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
    helpers: Helpers | None = None,
) -> Outcome:
    """`replications` runs of one trace; `progress` ticks once per simulated day of each.

    `workers` counts this process, which runs replications too; `helpers` that run already are used instead of new ones.
    """
    progress.stage("simulate", trace.hours * MS_PER_H // MS_PER_DAY * replications)
    if workers is None:
        worth = trace.pods * replications >= WORTH_A_POOL
        workers = min(os.cpu_count() or 1, replications) if worth else 1
    if helpers is None and (workers <= 1 or replications == 1):
        runs = [run_once(trace, fleet, config, Streams(seed, r), horizon=horizon, progress=progress) for r in range(replications)]
        return Outcome(tuple(runs))
    with ExitStack() as stack:
        beside = helpers or stack.enter_context(Helpers(min(workers, replications) - 1))
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="burstline-"))
        trace.save(Path(folder))
        job = Job(trace.without_arrays(), folder, fleet, config, seed, horizon, replications)
        return Outcome(tuple(beside.run(job, trace, progress)))
