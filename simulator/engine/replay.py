"""Replay: a demand curve against node groups and autoscaler settings, second by second.

The input has the keys of the recordings: `program`, `shapes` and `replicas_by_second`, then for Cluster Autoscaler
`flags`, `groups`, `priorities`, `zone_label`; for Karpenter `pools`, `owned_nodes`, `instance_types`, `overhead`,
`batch`, `affinity`. `runs` of a recording are left alone. What is not modelled is named in `warnings`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import simpy

from models.errors import InputError, Problem
from models.units import MS_PER_S
from simulator.engine.binpacking import Kinds
from simulator.engine.cluster_autoscaler_flags import amounts, read_groups
from simulator.engine.objects import Pod
from simulator.engine.polling import Story
from simulator.engine.replay_cluster_autoscaler import ClusterAutoscaler
from simulator.engine.replay_world import Latencies, World
from simulator.streams import Streams

SAMPLE_MS = MS_PER_S // 2
NOTES = ("program", "scenario", "runs", "shapes", "replicas_by_second")
LATENCIES = Latencies()


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


@dataclass(frozen=True, slots=True)
class Replay:
    """What happened: rows of (second, nodes of each group, pods bound, pods pending) every half second, and both logs."""

    columns: tuple[str, ...]
    rows: tuple[tuple[float, ...], ...]
    scale_ups: tuple[Mapping[str, Any], ...]
    scale_downs: tuple[Mapping[str, Any], ...]
    warnings: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """The JSON keys that scripts rely on."""
        return {
            "samples": {"columns": self.columns, "rows": self.rows},
            "scale_ups": self.scale_ups,
            "scale_downs": self.scale_downs,
            "warnings": self.warnings,
        }


def replay(document: Mapping[str, Any], seed: int = 0, place: str = "input", *, event_driven: bool = True) -> Replay:
    """Run the autoscaler that the document describes against its curve."""
    curve = read_curve(document, place)
    return _cluster_autoscaler(document, curve, seed, place, event_driven)


def read_curve(document: Mapping[str, Any], place: str) -> Curve:
    """`shapes` (name -> cpu, memory, other resources) and `replicas_by_second` (name -> one number each second)."""
    shapes, replicas = document.get("shapes"), document.get("replicas_by_second")
    if not isinstance(shapes, Mapping) or not isinstance(replicas, Mapping) or set(shapes) != set(replicas) or not shapes:
        found = f"shapes {sorted(shapes or ())}, replicas_by_second {sorted(replicas or ())}"
        raise InputError(Problem(place, found, "give both, with the same names"))
    problems, pods = [], []
    for name, shape in shapes.items():
        try:
            pods.append(Pod(str(name), amounts(shape), labels={"app": str(name)}))
        except (ValueError, AttributeError) as error:
            problems.append(Problem(f"{place}: shapes.{name}", repr(shape), str(error)))
        if not isinstance(replicas[name], Sequence) or not all(isinstance(n, int) and n >= 0 for n in replicas[name]):
            problems.append(Problem(f"{place}: replicas_by_second.{name}", repr(replicas[name])[:80], "list whole numbers, one a second"))
    if problems:
        raise InputError(problems)
    return Curve(tuple(map(str, shapes)), tuple(pods), tuple(tuple(replicas[name]) for name in shapes))


def demand(world: World, curve: Curve) -> Story:
    """The Deployments' replicas change at whole seconds."""
    before = [0] * len(curve.names)
    for second in range(curve.seconds):
        for kind, series in enumerate(curve.replicas):
            wanted = series[min(second, len(series) - 1)] if series else 0
            if wanted != before[kind]:
                world.follow(kind, wanted)
                before[kind] = wanted
        yield world.env.timeout(MS_PER_S)


def watch(world: World, columns: Sequence[str], into: list[tuple[float, ...]]) -> Story:
    """Write a sample every half second."""
    while True:
        groups = [world.machines[row].group for row in world.present()]
        into.append((world.now / MS_PER_S, *(groups.count(name) for name in columns), world.bound_pods(), len(world.waiting)))
        yield world.env.timeout(SAMPLE_MS)


def _cluster_autoscaler(document: Mapping[str, Any], curve: Curve, seed: int, place: str, event_driven: bool) -> Replay:
    file = read_groups(document, place, ignore=NOTES)
    env, streams = simpy.Environment(), Streams(seed)
    world = World(env, Kinds.of(curve.pods), streams, LATENCIES)
    autoscaler = ClusterAutoscaler(world, file, file.boot_ms, streams, event_driven=event_driven)
    columns = tuple(group.name for group in file.groups)
    rows: list[tuple[float, ...]] = []
    for story in (watch(world, columns, rows), demand(world, curve), autoscaler.run()):
        env.process(story)
    env.run(until=curve.seconds * MS_PER_S + 1)
    ups = tuple({"second": _seconds(at), "plan": [list(plan.row())]} for at, plan in autoscaler.scale_ups)
    downs = tuple({"second": _seconds(at), "node": name} for at, name in autoscaler.scale_downs)
    return Replay(("second", *columns, "bound", "pending"), tuple(rows), ups, downs, file.warnings)


def _seconds(milliseconds: int) -> float:
    return round(milliseconds / MS_PER_S, 2)
