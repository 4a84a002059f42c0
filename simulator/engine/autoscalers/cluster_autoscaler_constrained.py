"""Cluster Autoscaler's scale-up for pods with host ports, spread constraints or pod affinity: `grow` with every filter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from simulator.engine.autoscalers.binpacking import Kinds, Vector
from simulator.engine.autoscalers.binpacking_pods import Trial, estimate_pods, pack_pods
from simulator.engine.autoscalers.cluster_autoscaler import NodeGroup, Plan, ScaleUpSettings
from simulator.engine.autoscalers.expanders import Option, choose
from simulator.engine.kube.objects import CPU, MEMORY, Node, Pod


def grow_constrained(
    kinds: Kinds,
    queue: Vector,
    groups: Sequence[NodeGroup],
    nodes: Sequence[Node],
    bound: Sequence[Pod],
    settings: ScaleUpSettings,
    standing: dict[str, int],
    chance: np.random.Generator,
) -> tuple[list[Plan], Vector]:
    """Plans in order and pods left of each kind; `standing` is brought up to the sizes afterwards."""
    plans: list[Plan] = []
    made: list[Node] = []
    while True:
        order = chance.permutation(queue)
        trial = Trial([*nodes, *made], bound)
        left = pack_pods(trial, kinds, order, chance.random(order.size))
        plan = _plan(kinds, left, groups, trial, settings, standing, chance) if left.any() else None
        if plan is None:
            return plans, left
        plans.append(plan)
        standing[plan.group] = plan.after
        group = next(group for group in groups if group.name == plan.group)
        fresh = Trial([*nodes, *made], ())
        for _ in range(plan.after - plan.before):
            fresh.add_node(group.node, {})
        made = fresh.nodes[len(nodes) :]


def _plan(
    kinds: Kinds, left: Vector, groups: Sequence[NodeGroup], trial: Trial, settings: ScaleUpSettings, sizes: Mapping[str, int],
    chance: np.random.Generator,
) -> Plan | None:  # fmt: skip
    bound = [pod for pod, _ in trial.placed]
    options = []
    for group in groups:
        room = min(group.maximum - sizes[group.name], settings.max_nodes_per_scale_up)
        if settings.max_nodes_total:
            room = min(room, settings.max_nodes_total - len(trial.nodes))
        found = estimate_pods(group.node, settings.template_overhead, kinds, left, max(room, 0), trial.nodes, bound)
        if found.nodes > 0 and found.placed.any():
            asked = found.placed @ kinds.requests
            shape = (group.node.allocatable.get(CPU, 0), group.node.allocatable.get(MEMORY, 0), group.price_usd_per_h)
            options.append(Option(group.name, found.nodes, int(found.placed.sum()), int(asked[0]), int(asked[1]), *shape))
    if not options:
        return None
    best = choose(options, settings.expanders, settings.priorities, chance)
    group = next(group for group in groups if group.name == best.group)
    before = sizes[group.name]
    return Plan(group.name, before, min(before + best.nodes, group.maximum), group.maximum, tuple(options))
