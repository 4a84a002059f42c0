"""Trace: every pod of a run as arrays, made from a Demand's replicas or given directly, shared by all replications."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from models.control import DataPart
from models.demand import Demand
from models.errors import MetricsError, Problem
from models.scheduling import SchedulingPart
from models.units import MS_PER_H
from models.workload import Workload, WorkloadClass
from simulator.engine.constraints import Constraints, check_rules, joined
from simulator.engine.egress import data_of, moved, stays_with
from simulator.engine.pod_rules import check_entries, scheduled
from simulator.engine.tenants import Tenants
from simulator.engine.trace_kernels import asked_by_hour, newest_first
from simulator.streams import Streams

Home = Literal["any", "private", "burst"]
CLASSES: tuple[WorkloadClass, ...] = ("service", "batch", "ml")
MAX_SHAPES = 2**16 - 1


@dataclass(frozen=True)
class PodShape:
    """What the scheduler sees of a pod; pods of one shape share a queue. Millicores, MiB.

    `fixed_end`: a replica that ends when its Deployment says so, wherever it waited; otherwise a job that runs for its
    duration from the moment it starts. `home` limits the zones: users pinned to one side never cross. `more_extended`
    are its extended resources after the first. `grace_ms`: how long it keeps its place once told to stop (a job that is
    done needs none). `preempts` is False for preemptionPolicy Never. `rules` are its constraints and labels. `data` is what
    it moves away from its data, as `egress.moved` says.
    """

    cpu_m: int
    memory_mib: int
    extended: str = ""
    extended_count: int = 0
    priority: int = 0
    workload_class: WorkloadClass = "service"
    home: Home = "any"
    fixed_end: bool = False
    more_extended: tuple[tuple[str, int], ...] = ()
    grace_ms: int = 0
    preempts: bool = True
    rules: Constraints | None = None
    data: tuple[tuple[str, int], ...] = ()

    @property
    def all_extended(self) -> tuple[tuple[str, int], ...]:
        """Every extended resource and how much of it."""
        return ((self.extended, self.extended_count), *self.more_extended) if self.extended else self.more_extended


@dataclass(frozen=True)
class Trace:
    """Pods in order of arrival; times in integer milliseconds since the horizon's start.

    arrival_ms  : int64 [pods]   sorted
    duration_ms : int64 [pods]   at least 1
    shape       : uint16 [pods]  index into `shapes`
    departure   : int64 [pods]   sorted keys `(arrival + duration) << shift | pod`
    dynamic     : uint16 [dynamic pods]  shapes of pods without a time of their own: control processes start and end
                  them (`State.start_pods`, `State.end_pods`). Their numbers follow those of the sorted pods.
    """

    shapes: tuple[PodShape, ...]
    hours: int
    arrival_ms: NDArray[np.int64]
    duration_ms: NDArray[np.int64]
    shape: NDArray[np.uint16]
    departure: NDArray[np.int64]
    shift: int
    dynamic: NDArray[np.uint16] = field(default_factory=lambda: np.zeros(0, np.uint16))

    @property
    def pods(self) -> int:
        """Number of pods with an arrival time; dynamic pods are numbered from here."""
        return int(self.arrival_ms.size)

    def with_dynamic(self, slots: Sequence[tuple[PodShape, int]]) -> Trace:
        """The same trace with room for dynamic pods: `count` slots of every (shape, count), numbered in this order.

        The first slot gets number `pods` (plus the dynamic pods that are there already). Raises MetricsError for a shape
        without requests, ValueError when event keys no longer fit.
        """
        shapes, index = list(self.shapes), {shape: s for s, shape in enumerate(self.shapes)}
        for shape, _ in slots:
            if shape not in index:
                index[shape] = len(shapes)
                shapes.append(shape)
        if problems := _shape_problems(shapes):
            raise MetricsError(problems)
        added = np.repeat(np.array([index[shape] for shape, _ in slots], np.uint16), [count for _, count in slots])
        dynamic = np.concatenate([self.dynamic, added]).astype(np.uint16)
        shift = _shift(self.pods + dynamic.size, int((self.arrival_ms + self.duration_ms).max(initial=0)), self.hours)
        mask = (np.int64(1) << self.shift) - 1
        departure = (self.departure >> self.shift) << shift | (self.departure & mask) if shift != self.shift else self.departure
        return replace(self, shapes=tuple(shapes), departure=departure, shift=shift, dynamic=dynamic)

    def save(self, folder: Path) -> Path:
        """Write the arrays as .npy files that replications map into memory."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("arrival_ms", "duration_ms", "shape", "departure"):
            np.save(folder / f"{name}.npy", getattr(self, name))
        return folder

    def without_arrays(self) -> Trace:
        """The same trace with empty arrays: what travels to a process that maps the saved ones."""
        none = np.zeros(0, dtype=np.int64)
        return replace(self, arrival_ms=none, duration_ms=none, shape=none.astype(np.uint16), departure=none)

    def mapped(self, folder: Path) -> Trace:
        """The trace whose arrays lie in `folder`, one physical copy for every process."""
        arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("arrival_ms", "duration_ms", "shape", "departure")}
        return replace(self, **arrays)

    def asked_cpu_ms(self) -> NDArray[np.int64]:
        """Millicore-milliseconds asked for in every hour if nothing waited: int64 [hours]."""
        out = np.zeros(self.hours, dtype=np.int64)
        amount = np.array([s.cpu_m for s in self.shapes], dtype=np.int64)
        asked_by_hour(self.arrival_ms, self.arrival_ms + self.duration_ms, self.shape, amount, MS_PER_H, out)
        return out


def trace_of(
    shapes: Sequence[PodShape],
    hours: int,
    arrival_ms: NDArray[np.int64],
    duration_ms: NDArray[np.int64],
    shape: NDArray[np.integer],
) -> Trace:
    """Check, sort by arrival (stable) and precompute departures.

    Raises MetricsError when a time is negative or a duration is not positive, ValueError when keys do not fit 62 bits.
    """
    arrival, duration = np.asarray(arrival_ms, np.int64), np.asarray(duration_ms, np.int64)
    problems = []
    if arrival.size and int(arrival.min()) < 0:
        problems.append(Problem(f"pod {int(arrival.argmin())}", "a negative arrival time", "count time from the horizon's start"))
    if duration.size and int(duration.min()) < 1:
        problems.append(Problem(f"pod {int(duration.argmin())}", f"duration {int(duration.min())} ms", "give every pod at least 1 ms"))
    problems += _shape_problems(shapes)
    if problems:
        raise MetricsError(problems)
    if arrival.size and not bool(np.all(arrival[1:] >= arrival[:-1])):
        order = np.argsort(arrival, kind="stable")
        arrival, duration, shape = arrival[order], duration[order], np.asarray(shape)[order]
    shift = _shift(arrival.size, int((arrival + duration).max(initial=0)), hours)
    departure = ((arrival + duration) << shift) | np.arange(arrival.size, dtype=np.int64)
    departure.sort()
    return Trace(tuple(shapes), hours, arrival, duration, np.asarray(shape, np.uint16), departure, shift)


def _shift(pods: int, last_ms: int, hours: int) -> int:
    """Bits that hold a pod's number in an event key."""
    shift = max(int(pods - 1).bit_length(), 1)
    latest = max(last_ms, hours * MS_PER_H)
    if latest.bit_length() + shift > 61:
        raise ValueError(f"{pods} pods over {latest} ms do not fit the 62-bit event key; simulate a shorter horizon")
    return shift


def _shape_problems(shapes: Sequence[PodShape]) -> list[Problem]:
    problems = [
        Problem(f"pod shape {s}", "no cpu or no memory request", "give the pod both requests: the scheduler scores by them")
        for s in shapes
        if s.cpu_m <= 0 or s.memory_mib <= 0
    ]
    problems += [
        Problem(f"pod shape {s}", f"a grace period of {shape.grace_ms} ms", "use 0 or more")
        for s, shape in enumerate(shapes)
        if shape.grace_ms < 0
    ]
    problems += check_rules([shape.rules for shape in shapes])
    if len(shapes) > MAX_SHAPES:
        problems.append(Problem("pod shapes", f"{len(shapes)} different shapes", f"round requests until at most {MAX_SHAPES} are left"))
    return problems


@dataclass(frozen=True)
class DemandRules:
    """How replicas become pods. `pinned_share`: part of every Deployment whose users are homed privately, None = free.

    With `jitter`, growth and shrinkage of an hour are spread over it by the stream "trace"; else they happen at once.
    With `expected`, workloads of controllers become pods as expected by hour; else their controllers make them. `scheduling`
    gives workloads their constraints.
    """

    pinned_share: float | None = None
    jitter: bool = False
    only_home: Home = "any"
    hours: int | None = None
    homes: Mapping[str, Home] = field(default_factory=dict)
    expected: bool = False
    data: tuple[DataPart, ...] = ()
    data_stays_above_gb_per_pod_h: float | None = None
    tenants: Tenants = field(default_factory=Tenants)
    scheduling: tuple[SchedulingPart, ...] = ()


def trace_from_demand(demand: Demand, streams: Streams, rules: DemandRules | None = None) -> Trace:
    """Pods of every Workload of `demand`.

    Services and ml: one pod per replica, newest first to go. Batch: `replicas[h]` jobs of one hour arrive in hour h.
    """
    rules = rules or DemandRules()
    counted = [workload for workload in demand.workloads if rules.expected or not workload.controlled]
    if not demand.workloads:
        raise MetricsError(Problem("demand", "no workloads", "the simulation needs pod requests; a bill alone has none"))
    check_entries(rules.scheduling, demand.workloads)
    hours = min(rules.hours or demand.horizon.hours, demand.horizon.hours)
    rng = streams("trace")
    index: dict[PodShape, int] = {}
    parts: list[tuple[NDArray[np.int64], NDArray[np.int64], int]] = []
    for position, workload in enumerate(counted):
        for home, at_home in _homes(workload, np.asarray(workload.replicas[:hours], np.int64), rules):
            pod = replace(_pod_shape(workload, home), data=moved(data_of(workload, rules.data)), **scheduled(workload, rules.scheduling))
            for tenant, replicas in rules.tenants.parts(at_home, position, len(counted)):
                own = replace(pod, rules=joined(pod.rules, rules.tenants.constraints(tenant)))
                starts, ends = _lives(workload, replicas, rng, rules.jitter)
                parts.append((starts, ends - starts, index.setdefault(own, len(index))))
    none = [np.zeros(0, np.int64)]
    arrival = np.concatenate([p[0] for p in parts] or none)
    duration = np.concatenate([p[1] for p in parts] or none)
    shape = np.concatenate([np.full(p[0].size, p[2], np.uint16) for p in parts] or none)
    return trace_of(tuple(index), hours, arrival, duration, shape)


def _homes(workload: Workload, replicas: NDArray[np.int64], rules: DemandRules) -> list[tuple[Home, NDArray[np.int64]]]:
    """The parts of a Deployment by where they may run; one that moves too much stays with its data."""
    side = stays_with(data_of(workload, rules.data), rules.data_stays_above_gb_per_pod_h)
    if side and rules.pinned_share is None:
        return [("private" if side == "private" or not workload.may_burst else "burst", replicas)]
    if rules.pinned_share is None:
        return [("any" if workload.may_burst else "private", replicas)]
    private = np.rint(replicas * rules.pinned_share).astype(np.int64)
    parts: list[tuple[Home, NDArray[np.int64]]] = [("private", private), ("burst", replicas - private)]
    return [part for part in parts if rules.only_home in ("any", part[0])]


def _pod_shape(workload: Workload, home: Home) -> PodShape:
    """The pod of a workload. A missing request counts as the least the kernel knows, 1 m or 1 MiB, so that it takes no room."""
    extended, amount = next(iter(workload.extended.items()), ("", 0))
    return PodShape(
        cpu_m=max(workload.cpu_m, 1),
        memory_mib=max(workload.memory_mib, 1),
        extended=extended,
        extended_count=amount,
        more_extended=tuple(workload.extended.items())[1:],
        priority=workload.priority,
        workload_class=workload.workload_class,
        home=home,
        fixed_end=workload.workload_class != "batch",
    )


def _lives(
    workload: Workload, replicas: NDArray[np.int64], rng: np.random.Generator, jitter: bool
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Start and end of every pod in milliseconds."""
    if workload.workload_class == "batch":
        starts = np.repeat(np.arange(replicas.size, dtype=np.int64), np.maximum(replicas, 0)) * MS_PER_H
        starts = np.sort(starts + rng.integers(0, MS_PER_H, starts.size))
        return starts, starts + MS_PER_H
    grown = int(np.maximum(np.diff(replicas, prepend=0), 0).sum())
    first, last = np.zeros(grown, np.int64), np.zeros(grown, np.int64)
    newest_first(replicas, first, last, np.zeros(int(replicas.max(initial=0)) + 1, np.int64))
    starts, ends = first * MS_PER_H, last * MS_PER_H
    if jitter:
        starts = starts + rng.integers(0, MS_PER_H // 2, grown)
        ends = ends + rng.integers(0, MS_PER_H // 2, grown)
    return starts, ends
