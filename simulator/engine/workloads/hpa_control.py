"""The HPA controller: one process for every autoscaled Deployment, looking every sync period or asleep while nothing can change.

A sync is the first thing of its instant, so it sees what earlier instants did and never the other events of its own. Asleep, it
wakes at the sync after a pod changed, the load changed, or time alone changes the answer (a wish leaves its window); its log
equals that of one that looks every time.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field

import simpy
from simpy.events import EventPriority

from models.autoscaling import HpaPart, MetricPart
from models.units import KIB_PER_MIB, MS_PER_S
from simulator.engine.environment import HybridEnvironment, Story
from simulator.engine.workloads.curve import Steps
from simulator.engine.workloads.deployment import Deployment
from simulator.engine.workloads.hpa import MILLI, Memory, PodSample, Reading, next_change_ms, slept, sync
from simulator.engine.workloads.pods import NOT_YET

FIRST = EventPriority(-1)
NEVER = 1 << 61


@dataclass
class _Target:
    """One autoscaled Deployment: what its controller remembers, when it looks next, and when its pods last changed."""

    deployment: Deployment
    spec: HpaPart
    load: Steps
    memory: Memory = field(default_factory=Memory)
    raw: int | None = None
    due_ms: int = 0
    last_ms: int = -1

    @property
    def grid_ms(self) -> int:
        return self.spec.sync_s * MS_PER_S


class HpaController:
    """`event_driven` False looks at every sync; both write the same replicas."""

    def __init__(self, env: HybridEnvironment, deployments: list[Deployment], *, event_driven: bool = True) -> None:
        self._env, self._event_driven = env, event_driven
        self._targets = [_Target(d, d.part.hpa, d.load) for d in deployments if d.part.hpa is not None and d.load is not None]
        self._nudged: simpy.Event | None = None
        self._until = 0
        self.syncs = 0
        for target in self._targets:
            target.due_ms = target.grid_ms
            target.deployment.on_change = self._listener(target)
        if self._targets:
            env.process(self._run())

    def _listener(self, target: _Target) -> Callable[[], None]:
        """What a Deployment calls when one of its pods changed: its next sync matters."""

        def changed() -> None:
            target.due_ms = min(target.due_ms, (self._env.ms // target.grid_ms + 1) * target.grid_ms)
            if self._nudged is not None and target.due_ms < self._until and not self._nudged.triggered:
                self._nudged.succeed()

        return changed

    def _run(self) -> Story:
        """Sleeps until the next sync that is due; a change of pods may bring one forward."""
        while True:
            self._until = min(target.due_ms for target in self._targets)
            self._nudged = self._env.event()
            if self._until < NEVER:
                yield self._at(self._until) | self._nudged
            else:
                yield self._nudged
            if self._nudged.triggered:
                continue
            self._nudged = None
            for target in self._targets:
                if target.due_ms == self._until:
                    self._sync(target)

    def _at(self, when: int) -> simpy.Event:
        """The instant `when`, before its other control events."""
        event = self._env.event()
        event._ok, event._value = True, None
        self._env.schedule(event, priority=FIRST, delay=when - self._env.ms)
        return event

    def _sync(self, target: _Target) -> None:
        now, deployment = self._env.ms, target.deployment
        self.syncs += 1
        if 0 <= target.last_ms < now - target.grid_ms:
            target.memory = slept(target.memory, target.raw, now - target.grid_ms)
        readings = [_reading(target, metric, now) for metric in target.spec.metrics]
        decision = sync(target.spec, target.memory, deployment.replicas, readings, now)
        target.memory, target.raw, target.last_ms = decision.memory, decision.raw, now
        changed = decision.replicas != deployment.replicas
        if changed:
            deployment.scale(decision.replicas)
        target.due_ms = self._next(target, changed)

    def _next(self, target: _Target, changed: bool) -> int:
        """The next sync that could decide anything else."""
        now, grid = self._env.ms, target.grid_ms
        if not self._event_driven or changed or now <= target.deployment.changed_ms + _echo_ms(target.spec):
            return now + grid
        moments = [next_change_ms(target.spec, target.memory, target.raw, now), _load_seen_ms(target, now)]
        return max(now + grid, min((-(-moment // grid) * grid for moment in moments if moment is not None), default=NEVER))


def _echo_ms(spec: HpaPart) -> int:
    """How long a change of pods may still show in samples: a window, the wait for the next sample, and the lag."""
    return (2 * spec.metrics_resolution_s + spec.metrics_lag_s) * MS_PER_S + 1


def _sample_ms(spec: HpaPart, now: int) -> int:
    """When the sample that is visible at `now` was taken; negative before the first."""
    resolution = spec.metrics_resolution_s * MS_PER_S
    return (now - spec.metrics_lag_s * MS_PER_S) // resolution * resolution


def _load_seen_ms(target: _Target, now: int) -> int | None:
    """When the next change of the load shows in a sample."""
    spec = target.spec
    change = target.load.next_after(_sample_ms(spec, now))
    if change is None:
        return None
    resolution = spec.metrics_resolution_s * MS_PER_S
    return -(-change // resolution) * resolution + spec.metrics_lag_s * MS_PER_S


def _reading(target: _Target, metric: MetricPart, now: int) -> Reading:
    """What the controller reads at `now`: the load of the last sample, shared by the pods that were ready then."""
    spec, deployment, sampled = target.spec, target.deployment, _sample_ms(target.spec, now)
    load = target.load.at(sampled) if sampled >= 0 else 0.0
    if metric.kind == "external":
        pods = tuple(PodSample(running=pod.running_ms != NOT_YET, ready=pod.ready) for pod in deployment.pods) if not metric.per_pod else ()
        return Reading("external", round(metric.target * MILLI), pods, total=int(load * MILLI), per_pod=metric.per_pod)
    changes = deployment.log.ready_changes
    ready = changes[bisect_left(changes, (sampled, 0)) - 1][1] if sampled > 0 else 0
    each = load / ready if ready else 0.0
    part = deployment.part
    match metric.kind:
        case "cpu":
            value, request, goal = int(each * part.cpu_per_load_m), part.cpu_m or 1, round(metric.target)
        case "memory":
            value, request = int(each * part.memory_per_load_mib * KIB_PER_MIB), (part.memory_mib or 1) * KIB_PER_MIB
            goal = round(metric.target)
        case _:
            value, request, goal = int(each * MILLI), 0, round(metric.target * MILLI)
    return Reading(metric.kind, goal, _samples(deployment, sampled, value, spec.metrics_resolution_s * MS_PER_S), request=request)


def _samples(deployment: Deployment, sampled: int, value: int, window: int) -> tuple[PodSample, ...]:
    """The pods as samples, those that have long been ready as one."""
    settled, young = 0, []
    for pod in deployment.pods:
        if pod.ready and pod.ready_ms + window <= sampled:
            settled += 1
            continue
        seen = pod.running_ms != NOT_YET and pod.running_ms < sampled
        was_ready = pod.ready and pod.ready_ms < sampled
        young.append(
            PodSample(
                running=pod.running_ms != NOT_YET,
                ready=pod.ready,
                started_ms=pod.placed_ms,
                changed_ms=pod.ready_ms if pod.ready else pod.placed_ms,
                value=(value if was_ready else 0) if seen else None,
                sampled_ms=sampled,
                window_ms=window,
            )
        )
    old = (PodSample(count=settled, value=value, sampled_ms=sampled, window_ms=window, started_ms=-NEVER, changed_ms=-NEVER),)
    return (*(old if settled else ()), *young)
