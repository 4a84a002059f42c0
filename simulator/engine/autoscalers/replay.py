"""Replay: a demand curve against node groups and autoscaler settings, second by second.

The input has the keys of the recordings: `program`, `shapes` and `replicas_by_second`, then for Cluster Autoscaler
`flags`, `groups`, `priorities`, `zone_label`; for Karpenter `pools`, `owned_nodes`, `instance_types`, `overhead`,
`batch`, `affinity`. `runs` of a recording are left alone. What is not modelled is named in `warnings`.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import simpy

from models.errors import InputError, Problem
from models.units import MS_PER_S
from simulator.engine.autoscalers import karpenter_pace
from simulator.engine.autoscalers.binpacking import Kinds
from simulator.engine.autoscalers.binpacking_pods import constrained
from simulator.engine.autoscalers.cluster_autoscaler_flags import GroupsFile, read_groups
from simulator.engine.autoscalers.karpenter_input import preferences, read_karpenter
from simulator.engine.autoscalers.never_starts import idle_pool_shapes, idle_shapes
from simulator.engine.autoscalers.polling import Story
from simulator.engine.autoscalers.replay_cluster_autoscaler import ClusterAutoscaler
from simulator.engine.autoscalers.replay_karpenter import Karpenter
from simulator.engine.autoscalers.replay_rows import Latencies
from simulator.engine.autoscalers.replay_shapes import as_curve, read_shape
from simulator.engine.autoscalers.replay_world import World
from simulator.engine.kube.objects import Pod
from simulator.streams import Streams

SAMPLE_MS = MS_PER_S // 2
NOTES = ("program", "scenario", "runs", "shapes", "replicas_by_second")
RECORDED = ("plans", "nodes_after", "nodes_with_pods", "pending_after", "waste_percent")
"""What a recorded single decision holds beside its input."""

START_MS = 8 * MS_PER_S
"""When the Cluster Autoscaler starts on a single decision: every pod has been refused by then."""

LATENCIES = Latencies()
ARRIVAL = dataclasses.replace(LATENCIES, change=150, refuse_busy=80)
"""The same where several Deployments may change in one second: twelve took about two seconds, and the scheduler refused
about one pod in 80 ms meanwhile (`twelve-shapes`)."""


@dataclass(frozen=True, slots=True)
class Curve:
    """Pod shapes and replicas: `replicas` holds one tuple for each shape, one number for each second."""

    names: tuple[str, ...]
    pods: tuple[Pod, ...]
    replicas: tuple[tuple[int, ...], ...]

    @property
    def seconds(self) -> int:
        """Length of the curve."""
        return max((len(series) for series in self.replicas), default=0)

    def wanted(self) -> list[Pod]:
        """One pod of each shape that the curve ever asks for."""
        return [pod for pod, series in zip(self.pods, self.replicas, strict=True) if any(series)]


@dataclass(frozen=True, slots=True)
class Replay:
    """What happened: rows of (second, nodes of each group, pods bound, pods pending) every half second, and both logs."""

    columns: tuple[str, ...]
    rows: tuple[tuple[float, ...], ...]
    scale_ups: tuple[Mapping[str, Any], ...]
    scale_downs: tuple[Mapping[str, Any], ...]
    warnings: tuple[str, ...] = ()
    mean_usd_per_h: float | None = None

    @property
    def groups(self) -> tuple[str, ...]:
        """Names of the columns that count nodes."""
        return self.columns[1:-2]

    def node_seconds(self) -> dict[str, float]:
        """Nodes times seconds by group."""
        return {group: sum(row[at] for row in self.rows) * SAMPLE_MS / MS_PER_S for at, group in enumerate(self.groups, start=1)}

    def nodes_at_end(self) -> dict[str, float]:
        """Nodes of each group in the last sample."""
        return dict(zip(self.groups, self.rows[-1][1:-2], strict=True))

    def pending(self) -> list[float]:
        """Pods without a node in each sample."""
        return [row[-1] for row in self.rows]

    def document(self) -> dict[str, Any]:
        """The JSON keys that scripts rely on."""
        return {
            "samples": {"columns": self.columns, "rows": self.rows},
            "scale_ups": self.scale_ups,
            "scale_downs": self.scale_downs,
            "warnings": self.warnings,
            **({} if self.mean_usd_per_h is None else {"mean_usd_per_h": self.mean_usd_per_h}),
        }


def replay(document: Mapping[str, Any], seed: int = 0, place: str = "input", *, event_driven: bool = True) -> Replay:
    """Run the autoscaler that the document describes against its curve."""
    if "pools" in document:
        document = as_curve(document)
        return _karpenter(document, read_curve(document, place), seed, place)
    single = document if "shapes" in document else as_curve(document)
    waiting = 0 if single is document else START_MS
    return _cluster_autoscaler(single, read_curve(single, place), seed, place, event_driven, waiting)


def read_curve(document: Mapping[str, Any], place: str) -> Curve:
    """`shapes` (name -> resources, and where pods may run: `replay_shapes`) and `replicas_by_second` (name -> one number each second)."""
    shapes, replicas = document.get("shapes"), document.get("replicas_by_second")
    if not isinstance(shapes, Mapping) or not isinstance(replicas, Mapping) or set(shapes) != set(replicas) or not shapes:
        found = f"shapes {_names(shapes)}, replicas_by_second {_names(replicas)}"
        raise InputError(Problem(place, found, "give both, with the same names"))
    problems: list[Problem] = []
    pods: list[Pod] = []
    for name, shape in shapes.items():
        pods.append(read_shape(str(name), shape, f"{place}: shapes.{name}", problems) or Pod(str(name)))
        if not isinstance(replicas[name], Sequence) or not all(isinstance(n, int) and n >= 0 for n in replicas[name]):
            problems.append(Problem(f"{place}: replicas_by_second.{name}", repr(replicas[name])[:80], "list whole numbers, one a second"))
    if problems:
        raise InputError(problems)
    return Curve(tuple(map(str, shapes)), tuple(pods), tuple(tuple(replicas[name]) for name in shapes))


def _names(part: Any) -> str:
    return str(sorted(map(str, part))) if isinstance(part, Mapping) else repr(part)[:80]


def demand(world: World, curve: Curve) -> Story:
    """The Deployments' replicas change at whole seconds."""
    before = [0] * len(curve.names)
    for second in range(curve.seconds):
        wanted = [series[min(second, len(series) - 1)] if series else 0 for series in curve.replicas]
        changed = [kind for kind, replicas in enumerate(wanted) if replicas != before[kind]]
        for at, kind in enumerate(changed):
            world.env.process(_change(world, kind, wanted[kind], at * world.latencies.change))
        before = wanted
        yield world.env.timeout(MS_PER_S)


def _change(world: World, kind: int, replicas: int, delay_ms: int) -> Story:
    if delay_ms:
        yield world.env.timeout(delay_ms)
    world.follow(kind, replicas)
    yield from ()


def watch(world: World, into: list[tuple[int, Counter[str], int, int]]) -> Story:
    """Write (ms, nodes by group, pods bound, pods pending) every half second."""
    while True:
        groups = Counter(world.machines[row].group for row in world.present())
        into.append((world.now, groups, world.bound_pods(), len(world.waiting)))
        yield world.env.timeout(SAMPLE_MS)


def _run(world: World, curve: Curve, stories: Sequence[Story]) -> list[tuple[int, Counter[str], int, int]]:
    seen: list[tuple[int, Counter[str], int, int]] = []
    for story in (watch(world, seen), demand(world, curve), *stories):
        world.env.process(story)
    world.env.run(until=curve.seconds * MS_PER_S + 1)
    return seen


def _rows(seen: Sequence[tuple[int, Counter[str], int, int]], groups: Sequence[str]) -> tuple[tuple[float, ...], ...]:
    return tuple((at / MS_PER_S, *(nodes[name] for name in groups), bound, pending) for at, nodes, bound, pending in seen)


def _cluster_autoscaler(document: Mapping[str, Any], curve: Curve, seed: int, place: str, event_driven: bool, start_ms: int) -> Replay:
    file = read_groups(document, place, ignore=(*NOTES, *RECORDED) if start_ms else NOTES)
    idle = idle_shapes(curve.wanted(), file, place)
    streams = Streams(seed)
    world = World(simpy.Environment(), Kinds.of(curve.pods), streams, ARRIVAL)
    autoscaler = ClusterAutoscaler(world, file, file.boot_ms, streams, event_driven=event_driven, crowded=start_ms > 0, start_ms=start_ms)
    seen = _run(world, curve, [autoscaler.run()])
    columns = tuple(group.name for group in file.groups)
    ups = tuple({"second": _seconds(at), "plan": scale_up.rows()} for at, scale_up in autoscaler.scale_ups)
    downs = tuple({"second": _seconds(at), "node": name} for at, name in autoscaler.scale_downs)
    return Replay(
        ("second", *columns, "bound", "pending"), _rows(seen, columns), ups, downs, (*file.warnings, *_unseen(curve, file, place), *idle)
    )


def _unseen(curve: Curve, file: GroupsFile, place: str) -> list[str]:
    """What shapes and budgets ask for without effect on the Cluster Autoscaler here."""
    found = [f"{place}: shapes.{pod.name}: {what}" for pod in curve.pods for what in pod.unmodelled]
    for at, budget in enumerate(file.budgets):
        if not any(budget.selector.matches(pod.labels) for pod in curve.pods):
            found.append(f"{place}: pod_disruption_budgets[{at}] is about no shape")
    if file.down.enabled and any(constrained(pod) for pod in curve.pods):
        found.append(
            f"{place}: scale-down looks for homes by requests, taints and node labels; what keeps pods apart is not modelled there"
        )
    return found


def _karpenter(document: Mapping[str, Any], curve: Curve, seed: int, place: str) -> Replay:
    terms, odd = preferences(document.get("affinity"), place)
    kinds = Kinds.of([dataclasses.replace(pod, preferred=(*pod.preferred, *terms)) for pod in curve.pods])
    file = read_karpenter(document, kinds, place, ignore=NOTES)
    unseen = (f"{place}: shapes.{pod.name}: {what}" for pod in curve.pods for what in pod.unmodelled)
    idle = idle_pool_shapes(curve.wanted(), file, kinds, place)
    streams = Streams(seed)
    world = World(simpy.Environment(), kinds, streams, karpenter_pace.LATENCIES)
    karpenter = Karpenter(world, file, streams)
    seen = _run(world, curve, [karpenter.provisioner(), karpenter.disruption()])
    columns = tuple(dict.fromkeys(group for _, nodes, _, _ in seen for group in nodes))
    prices = {world.machines[row].group: node.offering.usd_per_h for row, node in karpenter.nodes.items()}
    hourly = [sum(count * prices.get(group, 0.0) for group, count in nodes.items()) for _, nodes, _, _ in seen]
    ups = tuple({"second": _seconds(at), "plan": [[group, before, after, None]]} for at, group, before, after in karpenter.log.ups)
    downs = tuple({"second": _seconds(at), "node": name} for at, name in karpenter.log.downs)
    names = ("second", *columns, "bound", "pending")
    return Replay(names, _rows(seen, columns), ups, downs, (*file.warnings, *odd, *unseen, *idle), sum(hourly) / len(hourly))


def _seconds(milliseconds: int) -> float:
    return round(milliseconds / MS_PER_S, 2)
