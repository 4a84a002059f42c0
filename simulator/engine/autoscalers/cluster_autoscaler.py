"""Cluster Autoscaler's scale-up: how many nodes of which group pending pods need, decided as the real program does.

Every group that may grow is asked how many nodes the pods need (first fit decreasing over pods of one kind), the expander
takes one option, limits cap it, and similar groups share it. `cluster_autoscaler_growth.grow` repeats this against a
scheduler until nothing helps. Source: kubernetes/autoscaler cluster-autoscaler/core/scaleup/orchestrator at 1.36.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from simulator.engine.autoscalers.binpacking import Kinds, Vector, estimate
from simulator.engine.autoscalers.cluster_autoscaler_balance import Ratios, share, similar
from simulator.engine.autoscalers.cluster_autoscaler_limits import Limits
from simulator.engine.autoscalers.expanders import Option, choose
from simulator.engine.kube.objects import CPU, PODS, Amounts, Node

NOT_READY = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
"""Taints of nodes that are not ready."""

Fits = Mapping[str, NDArray[np.bool_]]
"""Group -> which kinds an empty new node of it takes: bool [kinds]."""


@dataclass(frozen=True, slots=True)
class NodeGroup:
    """A group that the autoscaler may size between `minimum` and `maximum`; `node` is what a new node looks like.

    `overhead` is what the autoscaler's picture of a new node already carries, None for `ScaleUpSettings.template_overhead`;
    `template` is that picture when a node of the group is known, None while it is `node`.
    """

    name: str
    node: Node
    maximum: int
    minimum: int = 0
    price_usd_per_h: float | None = None
    overhead: Amounts | None = None
    template: Node | None = None

    @property
    def picture(self) -> Node:
        """What the autoscaler believes a new node to look like."""
        return self.template or self.node


@dataclass(frozen=True, slots=True)
class ScaleUpSettings:
    """What the flags say about growing.

    `template_overhead` is what the autoscaler's picture of a new node already carries and the node itself may not:
    the kwok provider adds a kube-proxy pod of 100m. Pods below `expendable_below` cause no growth. `scattered`: estimates
    put a pod on any of the nodes that take it, by chance as the real program does, instead of the first.
    """

    expanders: tuple[str, ...] = ("least-waste",)
    priorities: Mapping[int, tuple[str, ...]] | None = None
    template_overhead: Amounts = field(default_factory=lambda: {CPU: 100, PODS: 1})
    max_nodes_per_scale_up: int = 1000
    max_nodes_total: int = 0
    limits: Limits = field(default_factory=Limits)
    balance: Ratios | None = None
    enforce_minimum: bool = False
    expendable_below: int = -10
    scattered: bool = False
    most_unready_percent: float = 45.0
    unready_at_ease: int = 3


@dataclass(frozen=True, slots=True)
class Plan:
    """`group` goes from `before` to `after` nodes of at most `maximum`."""

    group: str
    before: int
    after: int
    maximum: int

    def row(self) -> tuple[str, int, int, int]:
        """As the recordings and the real log write it."""
        return self.group, self.before, self.after, self.maximum


@dataclass(frozen=True, slots=True)
class ScaleUp:
    """One scale-up: a plan for each group that grows, and all options that were weighed."""

    plans: tuple[Plan, ...]
    options: tuple[Option, ...] = ()

    def rows(self) -> list[list[str | int]]:
        """`[[group, from, to, max]]`, as the recordings write it."""
        return [list(plan.row()) for plan in self.plans]


@dataclass(frozen=True, slots=True)
class Scene:
    """What one decision looks at. sizes : target size of each group; total : nodes of the cluster, those on their way
    included; used : what all nodes of the cluster hold, for the limits. Leave out of `groups` those in back-off.
    """

    groups: Sequence[NodeGroup]
    sizes: Mapping[str, int]
    total: int
    used: Amounts

    def valid(self, settings: ScaleUpSettings) -> list[NodeGroup]:
        """Groups that may take one more node."""
        free = (group for group in self.groups if self.sizes[group.name] < group.maximum)
        return [group for group in free if settings.limits.allowed(self.used, group.node.allocatable, 1) > 0]

    def room(self, group: NodeGroup, siblings: Sequence[NodeGroup], settings: ScaleUpSettings) -> int:
        """Most nodes that an estimate may add: thresholds of group and siblings, of one scale-up and of the cluster."""
        room = sum(max(each.maximum - self.sizes[each.name], 0) for each in (group, *siblings))
        if settings.max_nodes_per_scale_up > 0:
            room = min(room, settings.max_nodes_per_scale_up)
        return max(min(room, settings.max_nodes_total - self.total) if settings.max_nodes_total > 0 else room, 0)


def siblings_of(group: NodeGroup, groups: Sequence[NodeGroup], fits: Fits, settings: ScaleUpSettings) -> list[NodeGroup]:
    """Groups like `group` that take every kind that it takes. fits : group -> bool [kinds]."""
    if settings.balance is None:
        return []
    alike = [other for other in groups if other.name != group.name and _similar(group, other, settings)]
    return [other for other in alike if bool(fits[other.name][fits[group.name]].all())]


def _similar(one: NodeGroup, other: NodeGroup, settings: ScaleUpSettings) -> bool:
    assert settings.balance is not None
    return similar(one.picture, overhead_of(one, settings), other.picture, overhead_of(other, settings), settings.balance)


def options_for(
    scene: Scene, kinds: Kinds, counts: Vector, settings: ScaleUpSettings, chance: np.random.Generator | None = None
) -> list[Option]:
    """What every group that may grow would do about the pending pods; groups that help no pod are left out."""
    valid = scene.valid(settings)
    fits = {group.name: fitting(group, kinds, counts, settings) for group in valid}
    found = []
    for group in valid:
        wanted = np.where(fits[group.name], counts, 0)
        room = scene.room(group, siblings_of(group, valid, fits, settings), settings)
        node = kinds.vector(group.picture.allocatable)
        answer = estimate(template(group, kinds, settings), node, kinds.requests, wanted, room, chance if settings.scattered else None)
        if answer.nodes > 0:
            found.append(option(group, answer.nodes, answer.placed, kinds))
    return found


def fitting(group: NodeGroup, kinds: Kinds, counts: Vector, settings: ScaleUpSettings) -> NDArray[np.bool_]:
    """Which waiting kinds an empty new node of `group` takes: bool [kinds]."""
    room = (kinds.requests <= template(group, kinds, settings)).all(axis=1)
    return np.asarray(kinds.allowed(group.picture) & room & (counts > 0))


def option(group: NodeGroup, nodes: int, placed: Vector, kinds: Kinds) -> Option:
    """The option as expanders weigh it."""
    asked, node = placed @ kinds.requests, kinds.vector(group.picture.allocatable)
    helped = (int(placed.sum()), int(asked[0]), int(asked[1]))
    return Option(group.name, nodes, *helped, int(node[0]), int(node[1]), group.price_usd_per_h)


def next_scale_up(scene: Scene, kinds: Kinds, counts: Vector, settings: ScaleUpSettings, chance: np.random.Generator) -> ScaleUp | None:
    """The scale-up of one loop for `counts` pending pods of each kind, None when no group helps."""
    options = options_for(scene, kinds, counts, settings, chance)
    valid = scene.valid(settings)
    fits = {group.name: fitting(group, kinds, counts, settings) for group in valid} if settings.balance else {}
    return decide(scene, options, fits, settings, chance)


def decide(scene: Scene, options: Sequence[Option], fits: Fits, settings: ScaleUpSettings, chance: np.random.Generator) -> ScaleUp | None:
    """Let the expander choose, cap the choice by the limits and share it among similar groups."""
    best = choose(options, settings.expanders, settings.priorities, chance) if options else None
    if best is None:
        return None
    group = next(group for group in scene.groups if group.name == best.group)
    nodes = settings.limits.allowed(scene.used, group.node.allocatable, best.nodes)
    if settings.max_nodes_total > 0:
        nodes = min(nodes, settings.max_nodes_total - scene.total)
    valid = [other for other in scene.groups if other.name in fits]
    targets = [group, *siblings_of(group, valid, fits, settings)]
    shares = share(nodes, [(each.name, scene.sizes[each.name], each.maximum) for each in targets])
    used, plans, nodes_of = dict(scene.used), [], {each.name: each.node.allocatable for each in targets}
    for name, before, after, maximum in shares:
        delta = settings.limits.allowed(used, nodes_of[name], after - before)
        used = settings.limits.added(used, nodes_of[name], delta)
        plans += [Plan(name, before, before + delta, maximum)] if delta > 0 else []
    return ScaleUp(tuple(plans), tuple(options)) if plans else None


def to_minimum(scene: Scene, settings: ScaleUpSettings) -> ScaleUp | None:
    """With `--enforce-node-group-min-size`: every group below its minimum grows to it."""
    if not settings.enforce_minimum:
        return None
    plans = []
    for group in scene.groups:
        size = scene.sizes[group.name]
        wanted = settings.limits.allowed(scene.used, group.node.allocatable, group.minimum - size)
        if settings.max_nodes_total > 0:
            wanted = min(wanted, settings.max_nodes_total - size)
        plans += [Plan(group.name, size, size + wanted, group.maximum)] if wanted > 0 else []
    return ScaleUp(tuple(plans)) if plans else None


def unhealthy(nodes: Sequence[Node], settings: ScaleUpSettings) -> str | None:
    """Why the program would halt over nodes that are not ready, None when it would not (clusterstate, IsClusterHealthy)."""
    unready = sum(any(taint.key in NOT_READY for taint in node.taints) for node in nodes)
    if unready <= settings.unready_at_ease or unready <= settings.most_unready_percent / 100 * len(nodes):
        return None
    return f"{unready} of {len(nodes)} nodes are not ready, more than max-total-unready-percentage: nothing grows or shrinks"


def overhead_of(group: NodeGroup, settings: ScaleUpSettings) -> Amounts:
    """What the autoscaler believes to run on a new node of `group` already."""
    return settings.template_overhead if group.overhead is None else group.overhead


def template(group: NodeGroup, kinds: Kinds, settings: ScaleUpSettings) -> Vector:
    """What the autoscaler believes to be free on a new node of `group`: int64 [axes]."""
    return kinds.vector(group.picture.allocatable) - kinds.vector(overhead_of(group, settings))


def held(nodes: Sequence[Node]) -> dict[str, int]:
    """What `nodes` hold in all: cpu in whole cores rounded up per node, as the program counts them, the rest as it is."""
    total: dict[str, int] = {}
    for node in nodes:
        for axis, amount in node.allocatable.items():
            total[axis] = total.get(axis, 0) + (-(-amount // 1000) if axis == CPU else amount)
    return total
