"""WorkloadSetup: a scenario's workloads made ready for a run: requests filled in, times worked out, pod slots counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from models.demand import Demand
from models.errors import Problem, ScenarioError, UnknownName
from models.horizon import Horizon
from models.parameter import Parameters
from models.scenario import Scenario
from models.scenario_workloads import (
    CronJobPart,
    DeploymentPart,
    GangPart,
    JobPart,
    PlatformPart,
    PodPart,
    RegistryPart,
    RolloutPart,
    SessionsPart,
    WorkloadPart,
)
from models.units import MS_PER_H, MS_PER_S
from models.workload import Workload
from simulator.engine.pod_rules import Named, scheduled
from simulator.engine.trace import PodShape
from simulator.engine.workloads.cron import parse_cron
from simulator.engine.workloads.curve import Steps, steps_of
from simulator.engine.workloads.offered import expected_sessions
from simulator.engine.workloads.platform import bare, proxy
from simulator.engine.workloads.surge import surge_pods

RUNS_AT_ONCE = 256
"""Runs of one CronJob or gang that may exist at the same time; more wait to be created."""

PARAMETERS = ("image_extract_mib_per_s", "pod_start_p50_s", "pod_start_p95_s")
"""Catalog parameters behind every workload."""


def parameters_used(scenario: Scenario) -> tuple[str, ...]:
    """Catalog parameters that workloads and a mesh read, for the list of what a result used."""
    mesh = scenario.platform.mesh
    proxies = () if mesh == "none" else (f"{mesh}_proxy_cpu_m", f"{mesh}_proxy_memory_mb")
    return (*(PARAMETERS if scenario.workloads else ()), *proxies)


@dataclass(frozen=True)
class Prepared:
    """One workload: its part with requests filled in, the pod that the scheduler sees, and when things happen.

    `times_ms`: runs of a Job, CronJob or gang. `replicas`: what a Deployment starts with and follows; `load`: what its
    autoscaler measures, or sessions begun per hour; `rollouts`: (ms, how). `slots`: how many of its pods may exist at one time.
    """

    part: WorkloadPart
    shape: PodShape
    slots: int
    times_ms: tuple[int, ...] = ()
    replicas: Steps | None = None
    load: Steps | None = None
    rollouts: tuple[tuple[int, RolloutPart], ...] = ()


@dataclass(frozen=True)
class WorkloadSetup:
    """All of them, and what they share: the registry's link and how fast containers start."""

    workloads: tuple[Prepared, ...]
    registry: RegistryPart
    extract_mib_per_s: float
    start_p50_s: float
    start_p95_s: float

    @property
    def slots(self) -> list[tuple[PodShape, int]]:
        """What `Trace.with_dynamic` needs, in the order of the workloads."""
        return [(item.shape, item.slots) for item in self.workloads]


def workload_setup(scenario: Scenario, measured: Mapping[str, Workload], horizon: Horizon, parameters: Parameters) -> WorkloadSetup | None:
    """The scenario's workloads over `horizon`, or None where it lists none; every problem of all of them at once.

    `measured`: the measured workloads by namespace/name, for those that name one in `like`.
    """
    if all(part.suspend for part in scenario.workloads):
        return None
    problems: list[Problem] = []
    found: list[Prepared] = []
    names = [part.full_name for part in scenario.workloads]
    taken = sorted({name for name in names if names.count(name) > 1 or name in measured})
    problems += [Problem(f"workloads: {name}", "a name that is taken", "give every workload a name of its own") for name in taken]
    for part in scenario.workloads:
        if part.suspend:
            continue
        try:
            item = _prepared(part, measured, horizon, scenario.platform, parameters)
            found.append(replace(item, shape=_constrained(item.shape, part, scenario)))
        except ScenarioError as error:
            problems += error.problems
        except UnknownName as error:
            problems += [Problem(f"workloads.{part.name}.like", *_text(error))]
    if problems:
        raise ScenarioError(problems)
    return WorkloadSetup(
        tuple(found),
        scenario.registry,
        parameters["image_extract_mib_per_s"],
        parameters["pod_start_p50_s"],
        parameters["pod_start_p95_s"],
    )


def setup_for(scenario: Scenario, demand: Demand, parameters: Parameters) -> WorkloadSetup | None:
    """`workload_setup` over the hours that a run of `demand` has, Deployments grown with it."""
    hours = min(scenario.engine.horizon_hours or demand.horizon.hours, demand.horizon.hours)
    own = (bare(w, scenario.platform, parameters) for w in demand.workloads if not w.controlled)
    measured = {w.full_name: w for w in (*own, *demand.replaced)}
    if demand.grown != 1.0:
        grown = [
            part.model_copy(update={"times": part.times * demand.grown}) if isinstance(part, DeploymentPart | SessionsPart) else part
            for part in scenario.workloads
        ]
        scenario = scenario.model_copy(update={"workloads": tuple(grown)})
    return workload_setup(scenario, measured, Horizon(demand.horizon.start, hours), parameters)


def _text(error: UnknownName) -> tuple[str, str]:
    return error.problems[0].found, error.problems[0].mend


def _prepared(
    part: WorkloadPart, measured: Mapping[str, Workload], horizon: Horizon, platform: PlatformPart, parameters: Parameters
) -> Prepared:
    copied = _copied(part, measured)
    filled = _filled(part, copied, platform, parameters)
    if isinstance(filled, DeploymentPart):
        return _deployment(filled, copied, horizon)
    if isinstance(filled, SessionsPart):
        arrivals = steps_of(filled.arrivals, horizon, filled.times)
        most = expected_sessions(filled, arrivals, horizon.hours).max(initial=0.0)
        return Prepared(filled, _shape(filled), 2 * int(most) + 20, (), None, arrivals)
    times = _times(filled, horizon)
    per_run = filled.members if isinstance(filled, GangPart) else min(filled.parallelism, filled.completions)
    once = isinstance(filled, CronJobPart) and filled.concurrency_policy != "Allow"
    at_once = 2 if once else min(max(len(times), 1), RUNS_AT_ONCE)
    return Prepared(filled, _shape(filled), per_run * at_once * (2 if filled.grace_s else 1), tuple(times))


def _copied(part: PodPart, measured: Mapping[str, Workload]) -> Workload | None:
    if part.like is None:
        return None
    if part.like not in measured:
        raise UnknownName("workload", part.like, sorted(measured))
    return measured[part.like]


def _filled(part: WorkloadPart, copied: Workload | None, platform: PlatformPart, parameters: Parameters) -> WorkloadPart:
    """Requests of the measured workload where none are given, and the mesh's proxy on top."""
    cpu_m = part.cpu_m or (max(copied.cpu_m, 1) if copied else 1)
    memory_mib = part.memory_mib or (max(copied.memory_mib, 1) if copied else 1)
    if part.meshed and isinstance(part, DeploymentPart | SessionsPart):
        tax = proxy(platform.mesh, parameters)
        cpu_m, memory_mib = cpu_m + tax.cpu_m, memory_mib + tax.memory_mib
    extended = part.extended or (dict(copied.extended) if copied else {})
    return part.model_copy(update={"cpu_m": cpu_m, "memory_mib": memory_mib, "extended": extended})


def _shape(part: WorkloadPart) -> PodShape:
    extended, amount = next(iter(part.extended.items()), ("", 0))
    return PodShape(
        cpu_m=part.cpu_m or 1,
        memory_mib=part.memory_mib or 1,
        extended=extended,
        extended_count=amount,
        priority=part.priority,
        workload_class=part.workload_class,
        home=part.home,
        fixed_end=isinstance(part, DeploymentPart),
    )


def _constrained(shape: PodShape, part: WorkloadPart, scenario: Scenario) -> PodShape:
    """The pod with what the scenario's scheduling entries say of its workload."""
    fields = scheduled(Named(part.name, part.namespace), scenario.engine.scheduling)
    if fields.get("grace_ms"):
        mend = "its controller ends its pods: use the workload's own grace_s"
        raise ScenarioError([Problem(f"engine.scheduling for {part.full_name}", "stop_s of a workload with a controller", mend)])
    return replace(shape, **fields)


def _deployment(part: DeploymentPart, copied: Workload | None, horizon: Horizon) -> Prepared:
    replicas, load = _replicas(part, copied, horizon), None
    if part.hpa is not None and part.load is not None:
        load = steps_of(part.load, horizon, part.times)
        first = part.replicas if isinstance(part.replicas, int) else part.hpa.min_replicas
        replicas = Steps((0,), (float(first),))
    most = round(max(*replicas.values, part.hpa.max_replicas if part.hpa else 0))
    rollouts = _rollouts(part, horizon)
    surges = [surge_pods(how.strategy, most, how.max_surge, how.max_unavailable, _weights(how)) for _, how in rollouts]
    slots = (most + max(surges, default=0)) * (3 if part.grace_s else 2)
    return Prepared(part, _shape(part), max(slots, 1), (), replicas, load, rollouts)


def _weights(how: RolloutPart) -> tuple[float, ...]:
    return tuple(step.weight_share for step in how.steps)


def _replicas(part: DeploymentPart, copied: Workload | None, horizon: Horizon) -> Steps:
    if isinstance(part.replicas, int):
        return Steps((0,), (float(round(part.replicas * part.times)),))
    if part.replicas is not None:
        curve = steps_of(part.replicas, horizon, part.times)
        return Steps(curve.times_ms, tuple(float(round(value)) for value in curve.values))
    hourly = [] if copied is None else copied.replicas[: horizon.hours].tolist()
    return Steps.of([(h * MS_PER_H, float(round(value * part.times))) for h, value in enumerate(hourly)])


def _rollouts(part: DeploymentPart, horizon: Horizon) -> tuple[tuple[int, RolloutPart], ...]:
    found: list[tuple[int, RolloutPart]] = []
    for number, how in enumerate(part.rollouts):
        place = f"workloads.{part.name}.rollouts.{number}.schedule"
        times = _scheduled(how.schedule, how.time_zone, horizon, place) if how.schedule else _stated(how.at_h, horizon)
        found += [(when, how) for when in times]
    return tuple(sorted(found, key=lambda pair: pair[0]))


def _times(part: JobPart | CronJobPart | GangPart, horizon: Horizon) -> list[int]:
    if isinstance(part, JobPart) or (isinstance(part, GangPart) and not part.schedule):
        return _stated(part.at_h, horizon)
    return _scheduled(part.schedule, part.time_zone, horizon, f"workloads.{part.name}.schedule")


def _stated(hours: tuple[float, ...], horizon: Horizon) -> list[int]:
    return sorted(round(hour * MS_PER_H) for hour in hours if 0 <= hour < horizon.hours)


def _scheduled(schedule: str, time_zone: str, horizon: Horizon, place: str) -> list[int]:
    """Times of a schedule from the start of the horizon on, its own instant included."""
    before = horizon.start - timedelta(milliseconds=1)
    last = horizon.end - timedelta(milliseconds=1)
    return [round((when - horizon.start).total_seconds() * MS_PER_S) for when in parse_cron(schedule, time_zone, place).times(before, last)]
