"""What a simulation says: one document of figures with confidence intervals, and hourly tables as Parquet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.energy import energy_by_hour_kwh
from models.outcome import NODE_STATES, Interval, Outcome, RunResult
from models.units import MS_PER_H
from simulator.engine.workloads.report import workloads_document
from simulator.record import to_json, write_text, writing

Figure = Callable[[RunResult], float]
_ZONE_KEYS = ("node_hours", "utilisation", "pods_placed", "failures", "kwh")


def summary(outcome: Outcome) -> dict[str, Any]:
    """Means over replications under the keys that scripts rely on; `intervals` has mean and 95 % half-width of each."""
    runs = outcome.runs
    intervals = {name: Interval.of([figure(run) for run in runs]) for name, figure in _figures(outcome.first, _causes(outcome)).items()}
    mean = {name: interval.mean for name, interval in intervals.items()}
    zones = list(dict.fromkeys(outcome.first.zones))
    return {
        "zones": {zone: {key: mean[f"zones.{zone}.{key}"] for key in _ZONE_KEYS} for zone in zones},
        "pending_s": {q: mean[f"pending_s.{q}"] for q in ("p50", "p95", "p99")},
        "pending_by_class_s": outcome.first.pending_by_class(),
        "burst_node_hours": mean["burst_node_hours"],
        "failures": mean["failures"],
        "evictions": mean["evictions"],
        "evictions_by": {cause: mean[f"evictions_by.{cause}"] for cause in _causes(outcome)},
        "burst_usd": mean["burst_usd"],
        "egress_gb": mean["egress_gb"],
        "upgrades": [{"zone": zone, "hours": (last - first) / MS_PER_H} for zone, first, last in outcome.first.upgrades],
        "orders_refused": mean["orders_refused"],
        "interruptions": mean["interruptions"],
        "scale_events": mean["scale_events"],
        "unplaced": mean["unplaced"],
        "conservation_error": max(run.conservation_error for run in runs),
        "pods": outcome.first.pods,
        "packing_share": dict(outcome.first.packing_share),
        "scale_out_s": _scale_out(outcome),
        "workloads": workloads_document(outcome),
        "replications": len(runs),
        "intervals": {name: {"mean": interval.mean, "half_width": interval.half_width} for name, interval in intervals.items()},
    }


def _causes(outcome: Outcome) -> list[str]:
    """Why pods lost their node in any replication."""
    return sorted({cause for run in outcome.runs for cause in run.evictions_by})


def _figures(first: RunResult, causes: Sequence[str]) -> dict[str, Figure]:
    figures: dict[str, Figure] = {
        "burst_node_hours": lambda run: run.burst_node_hours,
        "failures": lambda run: float(run.failures),
        "evictions": lambda run: float(run.evictions),
        "orders_refused": lambda run: float(run.orders_refused),
        "interruptions": lambda run: float(run.interruptions),
        "scale_events": lambda run: float(run.scale_events),
        "unplaced": lambda run: float(run.unplaced),
        "burst_usd": lambda run: run.burst_usd,
        "egress_gb": lambda run: run.egress_gb,
    }
    for cause in causes:
        figures[f"evictions_by.{cause}"] = lambda run, cause=cause: float(run.evictions_by.get(cause, 0))  # type: ignore[misc]
    for q in ("p50", "p95", "p99"):
        figures[f"pending_s.{q}"] = lambda run, q=q: run.pending_s()[q]  # type: ignore[misc]
    for zone in dict.fromkeys(first.zones):
        mask = np.array([name == zone for name in first.zones])
        figures[f"zones.{zone}.node_hours"] = lambda run, mask=mask: float(run.node_hours[:, mask].sum())  # type: ignore[misc]
        figures[f"zones.{zone}.utilisation"] = lambda run, mask=mask: _utilisation(run, mask)  # type: ignore[misc]
        figures[f"zones.{zone}.failures"] = lambda run, mask=mask: float(run.pool_failures[mask].sum())  # type: ignore[misc]
        figures[f"zones.{zone}.kwh"] = lambda run, mask=mask: float(energy_by_hour_kwh(run)[:, mask].sum())  # type: ignore[misc]
        figures[f"zones.{zone}.pods_placed"] = lambda run, mask=mask: float(run.pods_placed[mask].sum())  # type: ignore[misc]
    return figures


def _utilisation(run: RunResult, mask: NDArray[np.bool_]) -> float:
    """Requested core-hours over schedulable core-hours of the nodes that were up; 0 for a zone that never had a node."""
    room = float((run.node_hours[:, mask] * np.asarray(run.node_cpu)[mask]).sum())
    return float(run.busy_cpu_h[:, mask].sum()) / room if room > 0 else 0.0


def _scale_out(outcome: Outcome) -> dict[str, dict[str, float]]:
    """p50 and p95 of seconds from order to ready, over all replications, by pool."""
    seconds: dict[str, list[NDArray[np.float64]]] = {}
    for run in outcome.runs:
        for pool, values in run.scale_out_s.items():
            seconds.setdefault(pool, []).append(values)
    return {pool: {f"p{q}": round(float(np.percentile(np.concatenate(parts), q)), 3) for q in (50, 95)} for pool, parts in seconds.items()}


def hourly_columns(run: RunResult) -> dict[str, NDArray[Any]]:
    """One row per hour and pool: nodes by state, pods and requests by class, energy of the servers at their walls."""
    hours, pools = run.node_hours.shape
    columns: dict[str, NDArray[Any]] = {
        "hour": np.repeat(run.horizon.times(), pools),
        "pool": np.tile(np.array(run.pools, dtype=object), hours),
        "zone": np.tile(np.array(run.zones, dtype=object), hours),
        "nodes": run.node_hours.ravel(),
        "pods": run.busy_pods_h.ravel(),
        "requested_cores": run.busy_cpu_h.ravel(),
        "requested_memory_mib": run.busy_memory_mib_h.ravel(),
    }
    if run.egress_gb_h.any():
        columns["egress_gb"] = run.egress_gb_h.ravel()
    for c, name in enumerate(run.classes):
        columns[f"requested_cores_{name}"] = run.busy_class_cpu_h[:, :, c].ravel()
        columns[f"requested_memory_mib_{name}"] = run.busy_class_memory_mib_h[:, :, c].ravel()
        columns[f"pods_{name}"] = run.busy_class_pods_h[:, :, c].ravel()
    for resource, amount in run.busy_extended_h.items():
        columns[f"requested_{resource}"] = amount.sum(axis=2).ravel()
    columns["kwh"] = energy_by_hour_kwh(run).ravel()
    for k, name in enumerate(NODE_STATES):
        columns[f"nodes_{name}"] = run.node_state_h[:, :, k].ravel()
    return columns


def pending_columns(run: RunResult) -> dict[str, NDArray[Any]]:
    """One row per hour: what was asked and what waited, by class."""
    columns: dict[str, NDArray[Any]] = {
        "hour": run.horizon.times(),
        "asked_cores": run.demand_cpu_h,
        "pending_cores": run.pending_cpu_h,
    }
    for c, name in enumerate(run.classes):
        columns[f"pending_pods_{name}"] = run.pending_class_pods_h[:, c]
        columns[f"pending_cores_{name}"] = run.pending_class_cpu_h[:, c]
    return columns


def write_outcome(outcome: Outcome, folder: Path) -> list[Path]:
    """Write outcome.json, hourly.parquet and pending.parquet (replication 0); the same bytes for the same run."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    document = folder / "outcome.json"
    write_text(document, to_json(summary(outcome)) + "\n")
    files = [document]
    for name, columns in (("hourly", hourly_columns(outcome.first)), ("pending", pending_columns(outcome.first))):
        path = folder / f"{name}.parquet"
        with writing(path) as temporary:
            pq.write_table(pa.table(dict(columns)), temporary, compression="zstd")
        files.append(path)
    return files
