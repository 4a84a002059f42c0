"""What Cluster Autoscaler adds for pods that all wait at once: its loop against a scheduler, until nothing helps.

The first scale-up hangs on no chance. What follows does: nodes come one after the other, kube-scheduler fills those that
are ready, and the next loop finds some pods bound, some nodes on their way, and packs what still waits in the order of Go
maps. So the loop is played many times on the clock of a replay and the most frequent course of scale-ups is the answer;
`shares` tells how frequent each course was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import simpy

from models.units import MS_PER_S
from simulator.engine.autoscalers.binpacking import Kinds, Vector, kind_key
from simulator.engine.autoscalers.binpacking_pods import constrained
from simulator.engine.autoscalers.cluster_autoscaler import NodeGroup, ScaleUp, ScaleUpSettings, unhealthy
from simulator.engine.autoscalers.cluster_autoscaler_flags import LABEL, GroupsFile, ScaleDownSettings
from simulator.engine.autoscalers.replay_cluster_autoscaler import ClusterAutoscaler
from simulator.engine.autoscalers.replay_rows import Latencies, RunningPod
from simulator.engine.autoscalers.replay_world import World
from simulator.engine.kube.objects import CPU, MEMORY, PODS, Node, Pod
from simulator.streams import Streams

RUNS = ((400, 9), (1_000, 5), (10**9, 1))
"""Most runs up to so many pods."""

SEED = 6
"""The recordings show one course of each case, common or not: with this seed, as with 14 of 1,000, ours are the same ones."""

FILTER_RUNS = ((50, 9), (200, 3), (10**9, 1))
"""The same with every filter, where chance has less to say."""

PASSING_TAINTS = (
    "node.kubernetes.io/",
    "node.cloudprovider.kubernetes.io/",
    "ToBeDeletedByClusterAutoscaler",
    "DeletionCandidateOfClusterAutoscaler",
)
"""Taints of one node's present state, which the picture of a new one does not carry (utils/taints)."""

QUIET_MS = 3 * MS_PER_S
OLD_MS = 3600 * MS_PER_S


@dataclass(frozen=True, slots=True)
class Growth:
    """Scale-ups in order, group sizes afterwards, pods that nothing helps (by namespace/name).

    `shares` are the courses that were seen with their share of the runs, most frequent first.
    """

    plans: tuple[ScaleUp, ...]
    nodes_after: Mapping[str, int]
    left: tuple[str, ...]
    shares: tuple[tuple[tuple[ScaleUp, ...], float], ...] = ()


@dataclass(frozen=True, slots=True)
class Start:
    """What the loop begins with. `queue` : int64 [pods], the kind of each pod; `members` : node name -> its group."""

    kinds: Kinds
    queue: Vector
    groups: tuple[NodeGroup, ...]
    nodes: tuple[Node, ...]
    bound: tuple[Pod, ...]
    settings: ScaleUpSettings
    down: ScaleDownSettings
    members: Mapping[str, str]


Course = tuple[tuple[ScaleUp, ...], Vector]
"""Scale-ups in order, and pods of each kind that wait at the end: int64 [kinds]."""


def grow(
    pending: Sequence[Pod],
    groups: Sequence[NodeGroup],
    nodes: Sequence[Node] = (),
    bound: Sequence[Pod] = (),
    settings: ScaleUpSettings | None = None,
    seed: int = SEED,
    down: ScaleDownSettings | None = None,
    label: str = LABEL,
) -> Growth:
    """Scale-ups for pods that all wait at once, loop after loop until nothing helps.

    pending : pods that no node of `nodes` took; bound : pods that run, each with its `node`
    down : the flags about time; label : the node label whose value names a node's group

    The order in which the files list pods and nodes does not matter. Pods of DaemonSets and expendable pods grow nothing.
    """
    up = settings or ScaleUpSettings()
    counted = [pod for pod in pending if pod.priority >= up.expendable_below and not _daemon(pod)]
    kinds, queue = _canonical(counted)
    members = {node.name: node.labels.get(label, "") for node in nodes}
    sizes = Counter(members.values())
    standing = {group.name: sizes[group.name] for group in groups}
    running = tuple(pod for pod in bound if pod.priority >= up.expendable_below)
    known = tuple(with_known_node(group, [node for node in nodes if members[node.name] == group.name], bound) for group in groups)
    ruled = next((pod for pod in running if constrained(pod)), None)
    if ruled is not None:
        kinds = Kinds.of([*kinds.pods, ruled])
    start = Start(kinds, queue, known, tuple(nodes), running, up, down or ScaleDownSettings(), members)
    if unhealthy(nodes, up) is not None:
        return Growth((), standing, tuple(sorted(pod.key for pod in pending)), (((), 1.0),))
    courses = _courses(start, seed, FILTER_RUNS if any(map(constrained, start.kinds.pods)) else RUNS)
    ranked = Counter(_rows(plans) for plans, _ in courses).most_common()
    seen = {_rows(plans): (plans, left) for plans, left in reversed(courses)}
    plans, left = seen[ranked[0][0]]
    after = {**standing, **{plan.group: plan.after for scale_up in plans for plan in scale_up.plans}}
    shares = tuple((seen[rows][0], count / len(courses)) for rows, count in ranked)
    uncounted = {pod.key for pod in pending} - {pod.key for pod in counted}
    return Growth(plans, after, tuple(sorted({*_names(counted, kinds, left), *uncounted})), shares)


def _courses(start: Start, seed: int, runs: Sequence[tuple[int, int]]) -> list[Course]:
    """Courses until one has won: all alike, or ahead by more than the runs to come."""
    most = next(count for pods, count in runs if len(start.queue) <= pods)
    found: list[Course] = []
    for run in range(most):
        found.append(_played(start, Streams(seed, run)))
        first, *rest = [count for _, count in Counter(_rows(plans) for plans, _ in found).most_common(2)]
        if first - sum(rest) > most - len(found):
            break
    return found


def _rows(plans: Sequence[ScaleUp]) -> tuple[tuple[tuple[str, int, int, int], ...], ...]:
    return tuple(tuple(plan.row() for plan in scale_up.plans) for scale_up in plans)


def _daemon(pod: Pod) -> bool:
    return pod.owner is not None and pod.owner[0] == "DaemonSet"


def with_known_node(group: NodeGroup, nodes: Sequence[Node], bound: Sequence[Pod]) -> NodeGroup:
    """`group` as the autoscaler sees it once a node of it runs: like that node, with its DaemonSet and static pods.

    Of several nodes the first by name counts (the real program takes any that has been ready for a minute).
    """
    usable = sorted((node for node in nodes if not node.unschedulable), key=lambda node: node.name)
    if not usable:
        return group
    node = usable[0]
    overhead: Counter[str] = Counter()
    for pod in bound:
        if pod.node == node.name and pod.owner is not None and pod.owner[0] in ("DaemonSet", "Node"):
            overhead.update({**pod.requests, PODS: 1})
    taints = tuple(taint for taint in node.taints if not taint.key.startswith(PASSING_TAINTS))
    return replace(group, template=replace(node, taints=taints), overhead=dict(overhead))


def _played(start: Start, streams: Streams) -> Course:
    """One course on the clock of a replay, by a program that has just started: its API client has spent its burst."""
    env = simpy.Environment()
    world = World(env, start.kinds, streams, Latencies(pace=0.0))
    _stand(world, start)
    _wait(world, start, streams)
    file = GroupsFile(start.groups, start.settings, replace(start.down, enabled=False, new_pod_delay_s=0.0, provision_s=OLD_MS), "", {})
    autoscaler = ClusterAutoscaler(world, file, {}, streams, crowded=True, standing=_by_node(start.bound))
    env.process(autoscaler.run())
    while True:
        before = len(autoscaler.scale_ups)
        env.run(until=env.now + QUIET_MS + 2 * round(start.down.scan_interval_s * MS_PER_S))
        if len(autoscaler.scale_ups) == before and not autoscaler.upcoming:
            break
    left = np.zeros(len(start.kinds.pods), dtype=np.int64)
    for pod in world.waiting:
        left[pod.kind] += 1
    return tuple(scale_up for _, scale_up in autoscaler.scale_ups), left


def _stand(world: World, start: Start) -> None:
    """Nodes that exist, with what runs on them."""
    rows = {}
    for node in sorted(start.nodes, key=lambda node: node.name):
        rows[node.name] = row = world.add_node(node, start.members[node.name])
        world.make_ready(row)
        world.machines[row].ready_ms = -OLD_MS
        if node.unschedulable:
            world.cordon(row)
    for name, pods in _by_node(start.bound).items():
        if name in rows:
            world.reserve(rows[name], pods)


def _by_node(pods: Sequence[Pod]) -> dict[str, list[Pod]]:
    found: dict[str, list[Pod]] = {}
    for pod in pods:
        found.setdefault(pod.node, []).append(pod)
    return found


def _wait(world: World, start: Start, streams: Streams) -> None:
    """The pods, made and refused long ago: kind after kind, in an order that nobody knows, unless priorities say more."""
    chance = streams("cluster-autoscaler-order")
    rank = chance.permutation(len(start.kinds.pods))
    for kind in sorted(start.queue.tolist(), key=lambda kind: (-start.kinds.pods[kind].priority, rank[kind])):
        pod = RunningPod(int(kind), -OLD_MS, float(chance.random()), float(chance.random()), attempts=1)
        world.live[pod.kind].append(pod)
        world.waiting.append(pod)
        world.desired[pod.kind] += 1


def _canonical(pending: Sequence[Pod]) -> tuple[Kinds, Vector]:
    """Kinds in falling order of size, and one entry per pod: int64 [pods]."""
    first: dict[object, Pod] = {}
    for pod in pending:
        first.setdefault(kind_key(pod), pod)
    ordered = sorted(first, key=lambda key: (-first[key].requests.get(CPU, 0), -first[key].requests.get(MEMORY, 0), repr(key)))
    number = {key: index for index, key in enumerate(ordered)}
    queue = np.sort(np.array([number[kind_key(pod)] for pod in pending], dtype=np.int64))
    return Kinds.of([first[key] for key in ordered]), queue


def _names(pending: Sequence[Pod], kinds: Kinds, left: Vector) -> tuple[str, ...]:
    """As many names of each kind as are left, in name order."""
    names: dict[object, list[str]] = {}
    for pod in pending:
        names.setdefault(kind_key(pod), []).append(pod.key)
    counts = zip(kinds.pods, left.tolist(), strict=True)
    return tuple(name for pod, count in counts for name in sorted(names.get(kind_key(pod), ()))[:count])
