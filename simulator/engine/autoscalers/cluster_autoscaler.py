"""Cluster Autoscaler's scale-up: how many nodes of which group pending pods need, decided as the real program does.

`grow` repeats the loop of the real one: pods that fit on nodes that exist or are on their way are set aside, every group
is asked how many nodes the rest needs (first fit decreasing over pods of one kind), the expander takes one option, and
so on until nothing helps. Source: kubernetes/autoscaler cluster-autoscaler at 1.36 (core/scaleup/orchestrator,
core/podlistprocessor/filter_out_schedulable).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from simulator.engine.autoscalers.binpacking import Kinds, Matrix, Vector, estimate, kind_key, pack
from simulator.engine.autoscalers.binpacking_pods import constrained
from simulator.engine.autoscalers.expanders import Option, choose
from simulator.engine.kube.objects import CPU, MEMORY, PODS, Amounts, Node, Pod
from simulator.streams import Streams

RECORDED_SEED = 26
"""The first seed whose order of pending pods gives every recorded plan (`docs/fidelity-autoscalers.md`).

A second plan for pods of several kinds hangs on the order of Go maps in the real program; first plans are the same for
every seed.
"""


@dataclass(frozen=True, slots=True)
class NodeGroup:
    """A group that the autoscaler may size between `minimum` and `maximum`; `node` is what a new node looks like."""

    name: str
    node: Node
    maximum: int
    minimum: int = 0
    price_usd_per_h: float | None = None


@dataclass(frozen=True, slots=True)
class ScaleUpSettings:
    """What the flags say about growing.

    `template_overhead` is what the autoscaler's picture of a new node already carries and the node itself may not:
    the kwok provider adds a kube-proxy pod of 100m.
    """

    expanders: tuple[str, ...] = ("least-waste",)
    priorities: Mapping[int, tuple[str, ...]] | None = None
    template_overhead: Amounts = field(default_factory=lambda: {CPU: 100, PODS: 1})
    max_nodes_per_scale_up: int = 1000
    max_nodes_total: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """One scale-up: `group` goes from `before` to `after` nodes of at most `maximum`; `options` are all that were weighed."""

    group: str
    before: int
    after: int
    maximum: int
    options: tuple[Option, ...] = ()

    def row(self) -> tuple[str, int, int, int]:
        """As the recordings and the real log write it."""
        return self.group, self.before, self.after, self.maximum


@dataclass(frozen=True, slots=True)
class Growth:
    """Scale-ups in order, group sizes afterwards, pods that nothing helps (by namespace/name) and why."""

    plans: tuple[Plan, ...]
    nodes_after: Mapping[str, int]
    left: tuple[str, ...]


DEFAULTS = ScaleUpSettings()


def options_for(
    groups: Sequence[NodeGroup], sizes: Mapping[str, int], total: int, kinds: Kinds, counts: Vector, settings: ScaleUpSettings
) -> list[Option]:
    """What every group that may grow would do about the pending pods; groups that help no pod are left out."""
    found = []
    for group in groups:
        room = min(group.maximum - sizes[group.name], settings.max_nodes_per_scale_up)
        if settings.max_nodes_total:
            room = min(room, settings.max_nodes_total - total)
        wanted = np.where(kinds.allowed(group.node), counts, 0)
        node = kinds.vector(group.node.allocatable)
        answer = estimate(template(group, kinds, settings), node, kinds.requests, wanted, max(room, 0))
        if answer.nodes > 0:
            asked = answer.placed @ kinds.requests
            helped = (int(answer.placed.sum()), int(asked[0]), int(asked[1]))
            found.append(Option(group.name, answer.nodes, *helped, int(node[0]), int(node[1]), group.price_usd_per_h))
    return found


def next_plan(
    groups: Sequence[NodeGroup],
    sizes: Mapping[str, int],
    total: int,
    kinds: Kinds,
    counts: Vector,
    settings: ScaleUpSettings,
    chance: np.random.Generator,
) -> Plan | None:
    """The scale-up of one loop for `counts` pending pods of each kind, None when no group helps.

    `sizes` are the groups' target sizes; leave out of `groups` those in back-off. `total` is the nodes of the cluster.
    """
    options = options_for(groups, sizes, total, kinds, counts, settings)
    if not options:
        return None
    best = choose(options, settings.expanders, settings.priorities, chance)
    group = next(group for group in groups if group.name == best.group)
    before = sizes[group.name]
    return Plan(group.name, before, min(before + best.nodes, group.maximum), group.maximum, tuple(options))


def template(group: NodeGroup, kinds: Kinds, settings: ScaleUpSettings) -> Vector:
    """What the autoscaler believes to be free on a new node of `group`: int64 [axes]."""
    return kinds.vector(group.node.allocatable) - kinds.vector(settings.template_overhead)


def grow(
    pending: Sequence[Pod],
    groups: Sequence[NodeGroup],
    nodes: Sequence[Node] = (),
    bound: Sequence[Pod] = (),
    settings: ScaleUpSettings = DEFAULTS,
    sizes: Mapping[str, int] | None = None,
    seed: int = RECORDED_SEED,
) -> Growth:
    """Scale-ups for pods that all wait at once, loop after loop until nothing helps; new nodes are ready by the next loop.

    pending : pods that no node of `nodes` took; bound : pods that run, each with its `node`
    sizes : nodes that each group has now (default: none)

    The order in which the files list pods and nodes does not matter.
    """
    chance = Streams(seed)("cluster-autoscaler-order")
    kinds, queue = _canonical(pending)
    standing = {group.name: (sizes or {}).get(group.name, 0) for group in groups}
    plans: list[Plan] = []
    if any(constrained(pod) for pod in kinds.pods):
        from simulator.engine.autoscalers.cluster_autoscaler_constrained import grow_constrained  # it builds on the types of this module

        plans, left = grow_constrained(kinds, queue, groups, nodes, bound, settings, standing, chance)
        return Growth(tuple(plans), standing, _names(pending, kinds, left))
    free, allowed = _free(nodes, bound, kinds)
    while True:
        order = chance.permutation(queue)
        left, _ = pack(free, allowed, kinds.requests, order, chance.random(order.size))
        plan = next_plan(groups, standing, len(free), kinds, left, settings, chance) if left.any() else None
        if plan is None:
            return Growth(tuple(plans), standing, _names(pending, kinds, left))
        plans.append(plan)
        standing[plan.group] = plan.after
        group = next(group for group in groups if group.name == plan.group)
        fresh = np.repeat(kinds.vector(group.node.allocatable)[None, :], plan.after - plan.before, axis=0)
        free = np.concatenate([free, fresh])
        allowed = np.concatenate([allowed, np.repeat(kinds.allowed(group.node)[:, None], len(fresh), axis=1)], axis=1)


def _canonical(pending: Sequence[Pod]) -> tuple[Kinds, Vector]:
    """Kinds in falling order of size, and one entry per pod: int64 [pods]."""
    first: dict[object, Pod] = {}
    for pod in pending:
        first.setdefault(kind_key(pod), pod)
    ordered = sorted(first, key=lambda key: (-first[key].requests.get(CPU, 0), -first[key].requests.get(MEMORY, 0), repr(key)))
    number = {key: index for index, key in enumerate(ordered)}
    queue = np.sort(np.array([number[kind_key(pod)] for pod in pending], dtype=np.int64))
    return Kinds.of([first[key] for key in ordered]), queue


def _free(nodes: Sequence[Node], bound: Sequence[Pod], kinds: Kinds) -> tuple[Matrix, NDArray[np.bool_]]:
    """Free amounts int64 [nodes, axes] and which kinds may run where: bool [kinds, nodes]; cordoned nodes take none."""
    usable = sorted((node for node in nodes if not node.unschedulable), key=lambda node: node.name)
    used: dict[str, Vector] = {}
    for pod in bound:
        used[pod.node] = used.get(pod.node, 0) + kinds.vector({**pod.requests, PODS: 1})
    zero = kinds.vector({})
    free = np.array([kinds.vector(node.allocatable) - used.get(node.name, zero) for node in usable], dtype=np.int64)
    allowed = np.array([kinds.allowed(node) for node in usable], dtype=np.bool_)
    return free.reshape(len(usable), len(kinds.axes)), allowed.reshape(len(usable), len(kinds.pods)).T


def _names(pending: Sequence[Pod], kinds: Kinds, left: Vector) -> tuple[str, ...]:
    """As many names of each kind as are left, in name order."""
    names: list[str] = []
    for pod, count in zip(kinds.pods, left.tolist(), strict=True):
        same = sorted(other.key for other in pending if kind_key(other) == kind_key(pod))
        names += same[:count]
    return tuple(sorted(names))
