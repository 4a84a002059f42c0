"""Profile: measured history -> Demand. Hours that a cluster did not report are filled and said so, never taken as zero."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from models.demand import Demand
from models.errors import MetricsError, Problem
from models.horizon import Horizon
from models.resources import CPU, MEMORY, ResourceAxes
from models.units import ceil_int
from models.usage import UsageHistory, WorkloadKey
from models.workload import Workload
from simulator.demand.classes import workload_class
from simulator.demand.resolution import refuse_daily

HOURS_PER_WEEK = 168
MOST_MISSING_SHARE = 0.05


def demand_from_usage(history: UsageHistory) -> Demand:
    """Demand of a cluster: its pod requests by hour and workload.

    A missing hour takes the value of the same hour of the nearest week that has it. Raises `MetricsError` when a
    workload misses more than 5 % of the hours, when the values are daily, or when there is nothing to size.
    """
    _refuse_empty(history)
    refuse_daily(history.requests[:, :, history.axes.index(CPU)].sum(axis=1), history.source or "usage")
    requests, filled = _fill(history)
    pods, _ = _filled(history.pods)
    workloads = tuple(_workload(key, history.axes, pods[:, index], requests[:, index, :]) for index, key in enumerate(history.keys))
    return Demand(
        horizon=history.horizon,
        axes=history.axes,
        classes=tuple(key.full_name for key in history.keys),
        requests=requests,
        workloads=workloads,
        source="requests",
        notes=tuple(filled) + history.gaps,
    )


def load_factor(demand: Demand, axis: str) -> float:
    """Mean over peak of the total: 1 is flat."""
    total = demand.total(axis)
    peak = float(total.max(initial=0.0))
    return float(total.mean()) / peak if peak > 0 else 0.0


def users_of(demand: Demand) -> NDArray[np.int64]:
    """Users behind each class: int64 [classes]; all zero when no label says so."""
    if not demand.workloads:
        return np.zeros(len(demand.classes), dtype=np.int64)
    return np.array([workload.users for workload in demand.workloads], dtype=np.int64)


def with_assumed_pods(demand: Demand, cpu_m: int, memory_mib: int) -> Demand:
    """A demand rebuilt from a bill, with pods of one assumed size, so that it can be simulated; the requests stay as they are.

    Replicas of a class = its CPU in the hour / `cpu_m`, rounded up.
    """
    cpu = demand.axes.index(CPU)
    workloads = tuple(
        Workload(
            name=name,
            namespace="bill",
            cpu_m=cpu_m,
            memory_mib=memory_mib,
            replicas=np.ceil(demand.requests[:, index, cpu] / cpu_m - 1e-9).astype(np.int64),
        )
        for index, name in enumerate(demand.classes)
    )
    note = f"A bill does not say how large pods are: {cpu_m} m CPU and {memory_mib} MiB are assumed for the simulation."
    return replace(demand, workloads=workloads, notes=(*demand.notes, note))


def _refuse_empty(history: UsageHistory) -> None:
    place = history.source or "usage"
    if not history.keys or not history.horizon.hours:
        raise MetricsError(Problem(place, "no workload with requests", "import usage that covers the cluster's workloads"))
    missing = np.isnan(history.requests[:, :, history.axes.index(CPU)]).mean(axis=0)
    problems = [
        Problem(
            f"{place}: {key.full_name}", f"{share:.1%} of the hours missing", f"give data with at most {MOST_MISSING_SHARE:.0%} missing"
        )
        for key, share in zip(history.keys, missing, strict=True)
        if share > MOST_MISSING_SHARE
    ]
    if problems:
        raise MetricsError(problems)


def _fill(history: UsageHistory) -> tuple[NDArray[np.float64], list[str]]:
    values, notes = history.requests.copy(), []
    for index, key in enumerate(history.keys):
        values[:, index, :], count = _filled(history.requests[:, index, :])
        if count:
            notes.append(f"{key.full_name}: {count} missing hours taken from the same hour of the nearest week")
    return values, notes


def _filled(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], int]:
    """Replace hours with a NaN by the nearest week's same hour, or by the nearest hour where no week has it."""
    bad = np.isnan(values).reshape(len(values), -1).any(axis=1)
    if not bad.any():
        return values, 0
    good = np.flatnonzero(~bad)
    if not good.size:
        raise MetricsError(Problem("usage", "no hour with all values", "give data with requests"))
    filled = values.copy()
    for hour in np.flatnonzero(bad):
        same = good[(good - hour) % HOURS_PER_WEEK == 0]
        candidates = same if same.size else good
        filled[hour] = values[candidates[np.argmin(np.abs(candidates - hour))]]
    return filled, int(bad.sum())


def _workload(key: WorkloadKey, axes: ResourceAxes, pods: NDArray[np.float64], requests: NDArray[np.float64]) -> Workload:
    """Pod shape = median over hours of requests per pod, rounded up; replicas = mean pods of the hour, rounded."""
    running = pods > 0
    shape = np.median(requests[running] / pods[running, None], axis=0) if running.any() else np.zeros(len(axes))
    users = key.labels.get("users", "")
    return Workload(
        name=key.workload,
        namespace=key.namespace,
        cpu_m=ceil_int(float(shape[axes.index(CPU)])),
        memory_mib=ceil_int(float(shape[axes.index(MEMORY)])),
        replicas=np.rint(pods).astype(np.int64),
        workload_class=workload_class(key, axes, requests),
        team=key.labels.get("team", ""),
        users=int(users) if users.isdecimal() else 0,
        extended={name: ceil_int(float(shape[axes.index(name)])) for name in axes.names[3:] if shape[axes.index(name)] > 0},
        labels=key.labels,
    )


def weekly_mean(values: NDArray[np.float64], horizon: Horizon) -> NDArray[np.float64]:
    """Mean of every hour of the week, counted from the horizon's first hour: float64 [min(hours, 168)].

    >>> from datetime import UTC, datetime
    >>> weekly_mean(np.arange(336.0), Horizon(datetime(2025, 1, 6, tzinfo=UTC), 336))[:2].tolist()
    [84.0, 85.0]
    """
    span = min(horizon.hours, HOURS_PER_WEEK)
    whole = horizon.hours // span * span
    return np.asarray(values[:whole].reshape(-1, span).mean(axis=0))
