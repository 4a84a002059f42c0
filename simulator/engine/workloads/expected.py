"""What a planner should expect of the scenario's workloads: pods by hour, as further rows of the demand.

A Deployment counts with the most replicas that an hour asks for, a new version's surge included; a gang with all its members, since it
runs with all or none; Jobs with their mean, since they can wait within the hour.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from models.autoscaling import HpaPart, MetricPart
from models.demand import Demand
from models.horizon import Horizon
from models.parameter import Parameters
from models.resources import CPU, MEMORY, PODS, ResourceAxes
from models.scenario import Scenario
from models.scenario_workloads import CronJobPart, DeploymentPart, GangPart, JobPart, SessionsPart
from models.units import MS_PER_H, MS_PER_S
from models.workload import Workload
from simulator.engine.workloads.curve import Steps
from simulator.engine.workloads.offered import expected_sessions
from simulator.engine.workloads.platform import meshed
from simulator.engine.workloads.setup import Prepared, workload_setup
from simulator.engine.workloads.surge import surge_pods

Floats = NDArray[np.float64]


def with_workloads(demand: Demand, scenario: Scenario, parameters: Parameters) -> Demand:
    """The demand that a scenario means: measured or not, meshed, its own workloads in it. Itself when it asks for none of that."""
    changed = demand if scenario.demand.measured else _emptied(demand)
    changed = meshed(changed, scenario.platform, parameters)
    setup = workload_setup(scenario, {w.full_name: w for w in demand.workloads}, demand.horizon, parameters)
    if setup is None:
        return changed
    gone = {item.part.like for item in setup.workloads if item.part.instead}
    kept = _without(changed, gone, tuple(w for w in demand.workloads if w.full_name in gone))
    return _added(kept, setup.workloads)


def expected_pods(item: Prepared, horizon: Horizon) -> Floats:
    """Pods of one workload by hour: float64 [hours]."""
    part = item.part
    if isinstance(part, SessionsPart):
        return expected_sessions(part, item.load or Steps((0,), (0.0,)), horizon.hours)
    if isinstance(part, DeploymentPart):
        return _of_deployment(item, part, horizon.hours)
    if isinstance(part, GangPart):
        runs = [(when, when + round(part.duration_s * MS_PER_S), part.members) for when in item.times_ms]
        return concurrency(runs).hourly_max(horizon.hours)
    return _mean(_job_waves(part, item.times_ms), horizon.hours)


def wanted_replicas(spec: HpaPart, part: DeploymentPart, load: float) -> int:
    """Where an autoscaler comes to rest under a steady load, every pod ready."""
    return min(max(max(_wish(metric, part, load, spec) for metric in spec.metrics), spec.min_replicas), spec.max_replicas)


def _wish(metric: MetricPart, part: DeploymentPart, load: float, spec: HpaPart) -> int:
    match metric.kind:
        case "cpu":
            return math.ceil(load * part.cpu_per_load_m * 100 / ((part.cpu_m or 1) * metric.target) - 1e-9)
        case "memory":
            return math.ceil(load * part.memory_per_load_mib * 100 / ((part.memory_mib or 1) * metric.target) - 1e-9)
        case "external" if not metric.per_pod:
            return spec.max_replicas if load > metric.target * (1 + spec.tolerance_up) else spec.min_replicas
        case _:
            return math.ceil(load / metric.target - 1e-9)


def _of_deployment(item: Prepared, part: DeploymentPart, hours: int) -> Floats:
    if part.hpa is not None and item.load is not None:
        pods = np.array([wanted_replicas(part.hpa, part, load) for load in item.load.hourly_max(hours)], np.float64)
    else:
        pods = item.replicas.hourly_max(hours) if item.replicas else np.zeros(hours)
    surges = np.zeros(hours)
    for when, how in item.rollouts:
        h = when // MS_PER_H
        weights = tuple(step.weight_share for step in how.steps)
        surges[h] = max(surges[h], surge_pods(how.strategy, round(pods[h]), how.max_surge, how.max_unavailable, weights))
    return np.asarray(pods + surges)


def _job_waves(part: JobPart | CronJobPart, times_ms: Sequence[int]) -> list[tuple[int, int, int]]:
    """(begin, end, pods) of every wave of every run, were each to start on time."""
    duration, waves = round(part.duration_s * MS_PER_S), []
    for when in times_ms:
        left, begin = part.completions, when
        while left > 0:
            waves.append((begin, begin + duration, min(part.parallelism, left)))
            left, begin = left - part.parallelism, begin + duration
    return waves


def concurrency(spans: Iterable[tuple[int, int, int]]) -> Steps:
    """How many pods the (begin, end, pods) spans have at every instant.

    >>> concurrency([(0, 20, 4), (10, 30, 2)]).values
    (4.0, 6.0, 2.0, 0.0)
    """
    changes: dict[int, int] = {}
    for begin, end, pods in spans:
        changes[begin] = changes.get(begin, 0) + pods
        changes[end] = changes.get(end, 0) - pods
    total, found = 0, []
    for when in sorted(changes):
        total += changes[when]
        found.append((when, float(total)))
    return Steps.of(found)


def _mean(spans: list[tuple[int, int, int]], hours: int) -> Floats:
    """Pod-hours of every hour."""
    out = np.zeros(hours, np.float64)
    for begin, end, pods in spans:
        for h in range(begin // MS_PER_H, min(-(-end // MS_PER_H), hours)):
            out[h] += pods * (min(end, (h + 1) * MS_PER_H) - max(begin, h * MS_PER_H)) / MS_PER_H
    return out


def _emptied(demand: Demand) -> Demand:
    """No measured workload; the dates stay."""
    none = np.zeros((demand.horizon.hours, 0, len(demand.axes)))
    return replace(demand, classes=(), requests=none, workloads=())


def _without(demand: Demand, names: set[str | None], taken: tuple[Workload, ...]) -> Demand:
    """The demand without workloads whose place others take; they are kept aside in `replaced`."""
    keep = [index for index, name in enumerate(demand.classes) if name not in names]
    workloads = tuple(w for w in demand.workloads if w.full_name not in names)
    classes = tuple(demand.classes[index] for index in keep)
    return replace(demand, classes=classes, requests=demand.requests[:, keep, :], workloads=workloads, replaced=taken)


def _added(demand: Demand, items: Sequence[Prepared]) -> Demand:
    """One more class for every workload, marked as controlled: a planner counts it, a trace leaves it to its controller."""
    extended = dict.fromkeys(axis for item in items for axis in item.part.extended)
    axes = ResourceAxes((*demand.axes.names, *(axis for axis in extended if axis not in demand.axes.names)))
    hours, old = demand.horizon.hours, len(demand.classes)
    requests = np.zeros((hours, old + len(items), len(axes)))
    requests[:, :old, : len(demand.axes)] = demand.requests
    rows = []
    for number, item in enumerate(items):
        part, pods = item.part, expected_pods(item, demand.horizon)
        amounts = {CPU: part.cpu_m or 1, MEMORY: part.memory_mib or 1, PODS: 1, **part.extended}
        requests[:, old + number, :] = pods[:, None] * axes.vector(amounts)
        rows.append(
            Workload(
                name=part.name,
                namespace=part.namespace,
                cpu_m=part.cpu_m or 1,
                memory_mib=part.memory_mib or 1,
                replicas=np.ceil(pods).astype(np.int64),
                workload_class=part.workload_class,
                may_burst=part.home != "private",
                priority=part.priority,
                extended=dict(part.extended),
                controlled=True,
            )
        )
    classes = (*demand.classes, *(item.part.full_name for item in items))
    return replace(demand, axes=axes, classes=classes, requests=requests, workloads=(*demand.workloads, *rows))
