"""Cluster Autoscaler's scale-up for pods with host ports, spread constraints or pod affinity: the loop with every filter.

After every scale-up all new nodes become ready and kube-scheduler, with its full set of filters and scores, binds what
it can before the autoscaler looks again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from simulator.engine.autoscalers.binpacking import Kinds, Vector
from simulator.engine.autoscalers.binpacking_pods import SETTINGS, Trial, estimate_pods, fitting_pods, pack_pods
from simulator.engine.autoscalers.cluster_autoscaler import (
    NodeGroup,
    ScaleUp,
    ScaleUpSettings,
    Scene,
    decide,
    held,
    option,
    overhead_of,
    siblings_of,
    to_minimum,
)
from simulator.engine.kube.cluster_state import Cluster
from simulator.engine.kube.objects import Node, Pod
from simulator.engine.kube.scheduler import decide as schedule


def grow_constrained(
    kinds: Kinds,
    queue: Vector,
    groups: Sequence[NodeGroup],
    nodes: Sequence[Node],
    bound: Sequence[Pod],
    settings: ScaleUpSettings,
    standing: dict[str, int],
    chance: np.random.Generator,
) -> tuple[tuple[ScaleUp, ...], Vector]:
    """Scale-ups in order and pods left of each kind (int64 [kinds]); `standing` is brought up to the sizes afterwards."""
    scale_ups: list[ScaleUp] = []
    there, running = list(nodes), list(bound)
    rank = chance.permutation(len(kinds.pods))
    waiting = sorted(queue.tolist(), key=lambda kind: (-kinds.pods[kind].priority, rank[kind]))
    while True:
        order = np.array(sorted(chance.permutation(waiting).tolist(), key=lambda kind: -kinds.pods[int(kind)].priority), dtype=np.int64)
        trial = Trial(there, running)
        left = pack_pods(trial, kinds, order, chance.random(order.size))
        scene = Scene(groups, standing, len(there), held(there))
        found = _scale_up(kinds, left, scene, trial, settings, chance) if left.any() else to_minimum(scene, settings)
        if found is None:
            return tuple(scale_ups), left
        scale_ups.append(found)
        for plan in found.plans:
            standing[plan.group] = plan.after
            there += _made(next(group for group in groups if group.name == plan.group), plan.before, plan.after)
        waiting = _bind(kinds, waiting, there, running, chance)


def _made(group: NodeGroup, before: int, after: int) -> list[Node]:
    fresh = Trial([], ())
    for _ in range(before, after):
        fresh.add_node(group.node, {})
    return [
        replace(node, name=f"{node.name}-{at}", labels={**node.labels, "kubernetes.io/hostname": f"{node.name}-{at}"})
        for at, node in enumerate(fresh.nodes, start=before)
    ]


def _bind(kinds: Kinds, waiting: Sequence[int], there: Sequence[Node], running: list[Pod], chance: np.random.Generator) -> list[int]:
    """kube-scheduler binds what it can, pass after pass; what still waits is handed back and `running` holds the rest."""
    cluster = Cluster(there)
    for pod in running:
        if pod.node in cluster.rows:
            cluster.add(pod, cluster.rows[pod.node])
    left, progress = list(waiting), True
    while progress and left:
        progress, again, refused = False, [], set()
        for kind in left:
            best = np.zeros(0, dtype=np.int64) if kind in refused else schedule(cluster, kinds.pods[kind], SETTINGS).best
            if not best.size:
                refused.add(kind)
                again.append(kind)
                continue
            row = int(best[int(chance.integers(best.size))])
            pod = replace(kinds.pods[kind], name=f"{kinds.pods[kind].name}-bound-{len(running)}", node=there[row].name)
            cluster.add(pod, row)
            running.append(pod)
            progress = True
        left = again
    return left


def _scale_up(
    kinds: Kinds, left: Vector, scene: Scene, trial: Trial, settings: ScaleUpSettings, chance: np.random.Generator
) -> ScaleUp | None:
    packed = [pod for pod, _ in trial.placed]
    valid = scene.valid(settings)
    fits = {group.name: fitting_pods(group.picture, overhead_of(group, settings), kinds, left, trial.nodes, packed) for group in valid}
    options = []
    for group in valid:
        room = scene.room(group, siblings_of(group, valid, fits, settings), settings)
        wanted = np.where(fits[group.name], left, 0)
        found = estimate_pods(group.picture, overhead_of(group, settings), kinds, wanted, room, trial.nodes, packed)
        if found.nodes > 0 and found.placed.any():
            options.append(option(group, found.nodes, found.placed, kinds))
    return decide(scene, options, fits, settings, chance)
