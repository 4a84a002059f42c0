"""Benchmark of the engine on real and large traces: Azure 2017's arrivals, Starburst's case, memory of ten million pods."""

from __future__ import annotations

import csv
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from models.fleet import Fleet, NodePool
from models.node import NodeShape
from models.units import MS_PER_H, MS_PER_S
from simulator.engine.budget import Jobs, budgets, run_with_budget
from simulator.engine.policies import POLICIES
from simulator.engine.state import State
from simulator.engine.trace import PodShape, Trace, trace_of

Row = dict[str, Any]
AZURE = Path(__file__).resolve().parents[3] / "shared" / "data" / "traces" / "azure-vm-2017-arrivals"
STARBURST_JOBS_PER_S = 24_000


def rows(scale: str) -> list[Row]:
    """Every row that this machine has the data for."""
    small = scale == "small"
    return [*azure_rows(), *starburst_rows(20_000 if small else 1_000_000), *memory_rows(100_000 if small else 10_000_000)]


def azure_trace() -> Trace:
    """1.46 M VMs as pods: flavour, 300 s bin of arrival, lifetime drawn by flavour from the part that has lifetimes."""
    parts = [pq.read_table(AZURE / f"arrivals_{name}.parquet") for name in ("day00-20_no_duration", "day20-24_with_duration")]
    columns = {name: np.concatenate([np.asarray(part[name]) for part in parts]) for name in ("t_s", "vcpu", "memory_gb", "dur_bin")}
    with (AZURE / "duration_bins.csv").open() as file:
        bins = np.array([[float(line["from_s"]), float(line["to_s"])] for line in csv.DictReader(file)])
    flavours, shape = np.unique(np.stack([columns["vcpu"], columns["memory_gb"]], axis=1), axis=0, return_inverse=True)
    rng = np.random.default_rng(1)
    drawn = _draw_bins(rng, shape, columns["dur_bin"])
    lasting = rng.uniform(np.maximum(bins[drawn, 0], 1.0), np.maximum(bins[drawn, 1], 300.0))
    shapes = [PodShape(int(cpu * 1000), int(memory * 1024), workload_class="batch") for cpu, memory in flavours]
    arrival = (columns["t_s"] + rng.uniform(0, 300, shape.size)) * MS_PER_S
    hours = int(arrival.max() // MS_PER_H) + 1
    return trace_of(shapes, hours, arrival.astype(np.int64), (lasting * MS_PER_S).astype(np.int64), shape)


def _draw_bins(rng: np.random.Generator, shape: NDArray[np.int64], known: NDArray[np.int8]) -> NDArray[np.int64]:
    """Lifetime bins; unknown ones (-1) are drawn from the known ones of the same flavour, of all flavours if it has none."""
    drawn = known.astype(np.int64)
    everything = drawn[drawn >= 0]
    for flavour in range(int(shape.max()) + 1):
        mine = shape == flavour
        pool = drawn[mine & (drawn >= 0)]
        missing = np.flatnonzero(mine & (drawn < 0))
        drawn[missing] = rng.choice(pool if pool.size else everything, missing.size)
    return drawn


def azure_rows() -> Iterator[Row]:
    """1.46 M arrivals through the default profile on a fleet 1.3 times their mean load; set-up and sort included."""
    if not AZURE.is_dir():
        return
    trace = azure_trace()
    mean_cpu_m = trace.asked_cpu_ms().sum() / (trace.hours * MS_PER_H)
    nodes = int(1.3 * mean_cpu_m / 64_000) + 1
    fleet = Fleet((NodePool("metal", "metal", "x", NodeShape("n64", 64_000, 262_144, max_pods=250), nodes, nodes, True),))
    _finish(trace_of(trace.shapes, trace.hours, trace.arrival_ms[:1000], trace.duration_ms[:1000], trace.shape[:1000]), fleet)
    start = time.perf_counter()
    again = trace_of(trace.shapes, trace.hours, trace.arrival_ms, trace.duration_ms, trace.shape)
    state = _finish(again, fleet)
    seconds = time.perf_counter() - start
    name = f"Azure 2017 arrivals replayed, {trace.pods:,} pods on {nodes} nodes"
    yield {"name": name, "measured": round(seconds, 3), "unit": "s", "target": "<= 5", "passed": seconds <= 5}
    done = int(state.starts.sum() + state.present[-state.shape_cpu.size :].sum())
    whole = done == trace.pods
    yield {"name": "Azure 2017: placed + waiting = arrived", "measured": 100.0 * whole, "unit": "%", "target": ">= 100", "passed": whole}


def _finish(trace: Trace, fleet: Fleet) -> State:
    state = State(trace, fleet, POLICIES["default"], "1.36", tie_seed=0)
    for slot in range(state.layout.slots):
        state.join(slot, 0, state.layout.pools[0].shape)
    state.advance(trace.hours * MS_PER_H, False)
    return state


def starburst_rows(count: int) -> Iterator[Row]:
    """Starburst's synthetic case, longer, against the upper end of its own simulator's published rate."""
    rng = np.random.default_rng(13)
    gpus = rng.choice(np.array([1, 2, 4, 8]), count, p=[0.7, 0.15, 0.1, 0.05])
    jobs = Jobs(np.cumsum(rng.exponential(1 / 16, count)), rng.exponential(1.0, count), gpus)
    patience = budgets("constant", 0.24362703932129168, jobs)
    run_with_budget(jobs, patience, 4, 8)
    start = time.process_time()
    run_with_budget(jobs, patience, 4, 8)
    ratio = count / (time.process_time() - start) / STARBURST_JOBS_PER_S
    name = "Starburst's case / its own simulator's published 24 thousand jobs per second"
    yield {"name": name, "measured": round(ratio, 1), "unit": "x", "target": ">= 50", "passed": ratio >= 50}


_MEMORY = """
import resource, sys
sys.path.insert(0, sys.argv[2])
from engine_workloads import kernel_s, mixed_fleet, mixed_trace
fleet = mixed_fleet(40)
kernel_s(mixed_trace(fleet, int(sys.argv[1])), fleet, "1.36")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def memory_rows(pods: int) -> Iterator[Row]:
    """Peak memory of a process that makes, sorts and runs a trace."""
    arguments = [sys.executable, "-c", _MEMORY, str(pods), str(Path(__file__).parent)]
    gib = int(subprocess.run(arguments, check=True, capture_output=True, text=True).stdout) / 2**20
    yield {"name": f"peak memory, {pods:,} pods", "measured": round(gib, 3), "unit": "GiB", "target": "<= 2", "passed": gib <= 2}
