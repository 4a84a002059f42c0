"""What a simulation says of the scenario's workloads: one document, percentiles over all replications, series of the first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.outcome import Outcome
from models.unknown import Unknown
from models.workload_result import JobRun, ScaleOut, WorkloadResult

RUN_OUTCOMES = ("completed", "failed", "timed_out", "replaced", "running", "waiting")


def workloads_document(outcome: Outcome) -> dict[str, Any]:
    """By namespace/name: counts as means over replications, percentiles over all of them, series of replication 0."""
    by_name = zip(*(run.workloads for run in outcome.runs), strict=True)
    return {results[0].name: _one(results) for results in by_name}


def _one(results: Sequence[WorkloadResult]) -> dict[str, Any]:
    first = results[0]
    document: dict[str, Any] = {
        "kind": first.kind,
        "pods": _mean([r.pods for r in results]),
        "peak_pods": max(r.peak_pods for r in results),
        "pod_hours": _mean([r.pod_hours for r in results]),
        "extended_hours": {axis: _mean([r.extended_hours[axis] for r in results]) for axis in first.extended_hours},
        "lost": _mean([r.lost for r in results]),
        "ready_s": _percentiles([r.ready_s for r in results]),
        "ready_by_pool_s": _by_pool(results),
        "wait_s": _percentiles([r.wait_s for r in results]),
        "pull_s": _percentiles([r.pull_s for r in results]),
        "headroom": _headroom(results),
    }
    if first.kind == "sessions":
        return document
    if first.kind == "deployment":
        return document | {
            "replicas": [[second, count] for second, count in first.replicas],
            "scale_outs": [_scale_out(growth) for growth in first.scale_outs],
            "rollouts_s": [round(end - begin, 3) for begin, end in first.rollouts_s],
        }
    return document | {"runs": _runs(results)}


def _mean(values: Sequence[float]) -> float:
    return round(float(np.mean(values)), 6)


def _percentiles(parts: Sequence[NDArray[np.float64]]) -> dict[str, float] | Unknown:
    """p50, p95, p99; unknown where nothing came so far."""
    values = np.concatenate(list(parts))
    if not values.size:
        return Unknown("none came so far in the run")
    return {f"p{q}": round(float(np.percentile(values, q)), 3) for q in (50, 95, 99)}


def _by_pool(results: Sequence[WorkloadResult]) -> dict[str, dict[str, float] | Unknown]:
    pools = sorted({pool for result in results for pool in result.ready_by_pool_s})
    return {pool: _percentiles([r.ready_by_pool_s[pool] for r in results if pool in r.ready_by_pool_s]) for pool in pools}


def _headroom(results: Sequence[WorkloadResult]) -> dict[str, Any]:
    """Room beyond the wanted replicas: while versions change, and standing ready for growth; the most of all replications."""
    worst = max(results, key=lambda r: r.surge_pods)
    warm = {pool: max(r.warm_pods[pool] for r in results) for pool in worst.warm_pods}
    held = worst.pods_per_node
    return {
        "surge_pods": worst.surge_pods,
        "surge_nodes": worst.nodes_for(worst.surge_pods),
        "surge_extended": {axis: amount * worst.surge_pods for axis, amount in worst.extended.items()},
        "warm_pods": warm,
        "warm_nodes": {pool: -(-pods // held[pool]) for pool, pods in warm.items() if held[pool] > 0},
        "window_s": dict(worst.window_s),
    }


def _scale_out(growth: ScaleOut) -> dict[str, Any]:
    unknown = Unknown("not all replicas were ready before the next growth or the end")
    ready = unknown if growth.ready_at_s is None else round(growth.ready_at_s - growth.load_at_s, 3)
    return {
        "load_at_s": growth.load_at_s,
        "at_s": growth.at_s,
        "from": growth.from_replicas,
        "to": growth.to_replicas,
        "load_to_ready_s": ready,
    }


def _runs(results: Sequence[WorkloadResult]) -> dict[str, Any]:
    """Outcomes as means over replications; how long after they were due runs started."""
    counts: Counter[str] = Counter(run.outcome for result in results for run in result.runs)
    return {
        **{name: round(counts[name] / len(results), 6) for name in RUN_OUTCOMES},
        "skipped": _mean([r.skipped for r in results]),
        "restarts": _mean([r.restarts for r in results]),
        "start_delay_s": _percentiles([_delays(result.runs) for result in results]),
    }


def _delays(runs: Sequence[JobRun]) -> NDArray[np.float64]:
    return np.array([run.started_s - run.due_s for run in runs if run.started_s is not None], np.float64)
