"""Where each pending pod goes: the scheduler's queue played once over a snapshot of a cluster, every step explained.

Pods are taken by priority, then age, then input order. A refused pod may preempt; its victims leave at once. Pods
refused are tried again as long as another pod was placed since, which is what the real queue's hints come to.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from models.errors import InputError, Problem
from simulator.engine.kube.cluster_state import Cluster
from simulator.engine.kube.default_spreading import default_selectors
from simulator.engine.kube.objects import DEFAULT_SCHEDULER, Pod
from simulator.engine.kube.objects_reader import OWNERS_THAT_SPREAD, Objects
from simulator.engine.kube.plugins import Settings
from simulator.engine.kube.preemption import Candidate, preempt
from simulator.engine.kube.scheduler import Decision, decide, refusal_message
from simulator.engine.scores_kernels import nodes_to_examine
from simulator.progress import SILENT, Progress
from simulator.streams import Streams

GATED = "Scheduling is blocked due to non-empty scheduling gates"
NO_NODES = "no nodes available to schedule pods"
SHOWN = 5
"""Names listed in a warning before the rest is counted."""


@dataclass(frozen=True)
class PlaceOptions:
    """How pods are placed. `ties` picks among equal totals; `percentage` is percentageOfNodesToScore (100 scores all,
    0 adapts as the real default does). With `follow`, pods that name a node go there after being scored, one by one
    in input order. An input without nodes is refused unless `nodes_needed` is off.
    """

    settings: Settings = field(default_factory=Settings)
    ties: Literal["lowest", "random"] = "lowest"
    seed: int = 0
    percentage: int = 100
    follow: bool = False
    preemption: bool = True
    nodes_needed: bool = True


@dataclass(frozen=True, eq=False)
class PlacedPod:
    """One pod's answer. `node` is None while it stays pending, and `message` then says why as the scheduler's event.

    `decision` is None for pods that were not looked at (gated, or another scheduler's). `preempted` pods left for it.
    """

    pod: Pod
    node: str | None
    decision: Decision | None = None
    message: str = ""
    preempted: tuple[str, ...] = ()

    @property
    def asked(self) -> bool:
        """Whether this scheduler looked for a node."""
        return self.decision is not None


@dataclass(frozen=True, eq=False)
class Placement:
    """All answers in queue order, the cluster afterwards, and what the answer does not cover."""

    pods: tuple[PlacedPod, ...]
    cluster: Cluster
    warnings: tuple[str, ...]


def place(
    snapshot: Objects, incoming: Objects | None = None, options: PlaceOptions | None = None, progress: Progress = SILENT
) -> Placement:
    """Place the pending pods of `snapshot` and `incoming`; bound pods of both count as running.

    With `follow`, the pods of `incoming` that name a node are scored like the others and then put where they say.
    """
    options, incoming = options or PlaceOptions(), incoming or Objects()
    both = _merged(snapshot, incoming)
    if options.nodes_needed and not both.nodes:
        raise InputError(Problem("cluster", "no Node", "give the output of kubectl get nodes,pods -A -o yaml"))
    cluster = Cluster(both.nodes, both.namespaces)
    queue, bound, warnings = _sorted_out(snapshot, incoming, cluster, options)
    for pod in bound:
        cluster.add(pod, cluster.rows[pod.node])
    settings = replace(options.settings, default_selectors=default_selectors(both.selectors))
    run = _Run(cluster, both, replace(options, settings=settings))
    progress.stage("placing pods", len(queue))
    for pod in queue:
        run.attempt(pod)
        progress.advance()
    if not options.follow:
        run.retry()
    answers = tuple(run.answers[pod.key] for pod in queue)
    return Placement(answers, cluster, (*warnings, *_unmodelled(both, queue), *_limits(answers, cluster, options)))


def _merged(snapshot: Objects, incoming: Objects) -> Objects:
    return Objects(
        nodes=(*snapshot.nodes, *incoming.nodes),
        pods=(*snapshot.pods, *incoming.pods),
        namespaces={**snapshot.namespaces, **incoming.namespaces},
        selectors={**snapshot.selectors, **incoming.selectors},
        budgets=(*snapshot.budgets, *incoming.budgets),
        unknown={
            finding: (*snapshot.unknown.get(finding, ()), *incoming.unknown.get(finding, ()))
            for finding in dict.fromkeys((*snapshot.unknown, *incoming.unknown))
        },
        skipped={
            kind: snapshot.skipped.get(kind, 0) + incoming.skipped.get(kind, 0) for kind in sorted({*snapshot.skipped, *incoming.skipped})
        },
    )


def _sorted_out(snapshot: Objects, incoming: Objects, cluster: Cluster, options: PlaceOptions) -> tuple[list[Pod], list[Pod], list[str]]:
    """The queue, the pods that run, and warnings about bound pods whose node is not in the input."""
    followed = {pod.key for pod in incoming.pods if options.follow and pod.node}
    alive = [pod for pod in (*snapshot.pods, *incoming.pods) if not pod.finished]
    pending = [pod for pod in alive if pod.key in followed or not pod.node]
    _check_followed(pod for pod in pending if pod.node and pod.node not in cluster.rows)
    queue = pending if options.follow else sorted(pending, key=lambda pod: (-pod.priority, not pod.created, pod.created))
    bound = [pod for pod in alive if pod.node and pod.key not in followed]
    lost = [pod for pod in bound if pod.node not in cluster.rows]
    warnings = [f"pod {pod.key} is bound to node {pod.node}, which is not in the input: not counted" for pod in lost]
    return queue, [pod for pod in bound if pod.node in cluster.rows], warnings


def _check_followed(lost: Iterable[Pod]) -> None:
    problems = [Problem(f"Pod {pod.key} spec.nodeName", pod.node, "name a node of the input") for pod in lost]
    if problems:
        raise InputError(problems)


class _Run:
    """The scheduling loop: one answer per pod, the latest attempt counts."""

    def __init__(self, cluster: Cluster, objects: Objects, options: PlaceOptions) -> None:
        self.cluster = cluster
        self.budgets = objects.budgets
        self.options = options
        self.answers: dict[str, PlacedPod] = {}
        self._placed = 0
        self._tried_at: dict[str, int] = {}
        self._start = 0
        self._chance = Streams(options.seed)("scheduler-ties")

    def attempt(self, pod: Pod) -> None:
        """One scheduling cycle."""
        self._tried_at[pod.key] = self._placed
        if pod.gates and not pod.node:
            self.answers[pod.key] = PlacedPod(pod, None, message=f"{GATED}: {', '.join(pod.gates)}")
        elif pod.scheduler != DEFAULT_SCHEDULER and not pod.node:
            self.answers[pod.key] = PlacedPod(pod, None, message=f"left to scheduler {pod.scheduler}")
        else:
            self.answers[pod.key] = self._scheduled(pod)

    def retry(self) -> None:
        """Try refused pods again while any other pod was placed after their last attempt."""
        while True:
            stale = [
                key for key, answer in self.answers.items() if answer.node is None and answer.asked and self._tried_at[key] < self._placed
            ]
            if not stale:
                return
            for key in stale:
                self.attempt(self.answers[key].pod)

    def _scheduled(self, pod: Pod) -> PlacedPod:
        options = self.options
        decision = decide(self.cluster, pod, options.settings, options.percentage, self._start)
        self._start = (self._start + decision.examined) % max(len(self.cluster), 1)
        if pod.node:
            return self._followed(pod, decision)
        if decision.rows.size:
            best = decision.best
            row = int(best[0] if options.ties == "lowest" else self._chance.choice(best))
            return self._bind(pod, row, PlacedPod(pod, self.cluster.nodes[row].name, decision))
        return self._refused(pod, decision)

    def _followed(self, pod: Pod, decision: Decision) -> PlacedPod:
        """Put a pod where it says; if that node refuses it, lower pods leave as preemption on that node would choose."""
        row = self.cluster.rows[pod.node]
        reasons = decision.verdict.reasons(row)
        if not reasons:
            return self._bind(pod, row, PlacedPod(pod, pod.node, decision))
        answer = preempt(self.cluster, pod, decision.verdict, self.options.settings, self.budgets, row)
        note = f"put on {pod.node} as told, which refuses it: {', '.join(reasons)}"
        left = self._evict(answer.candidate, pod)
        return self._bind(pod, row, PlacedPod(pod, pod.node, decision, note, left))

    def _refused(self, pod: Pod, decision: Decision) -> PlacedPod:
        message = refusal_message(self.cluster, decision.verdict) if len(self.cluster) else NO_NODES
        if not len(self.cluster) or not self.options.preemption:
            return PlacedPod(pod, None, decision, message)
        answer = preempt(self.cluster, pod, decision.verdict, self.options.settings, self.budgets)
        if answer.candidate is None:
            return PlacedPod(pod, None, decision, f"{message} {answer.message}")
        row = answer.candidate.row
        left = self._evict(answer.candidate, pod)
        return self._bind(pod, row, PlacedPod(pod, self.cluster.nodes[row].name, decision, message, left))

    def _evict(self, candidate: Candidate | None, pod: Pod) -> tuple[str, ...]:
        """Take the victims off their node; those placed in this run are pending again."""
        if candidate is None:
            return ()
        for victim in candidate.victims:
            self.cluster.remove(victim, candidate.row)
            if victim.key in self.answers:
                self.answers[victim.key] = PlacedPod(victim, None, message=f"preempted by {pod.key}")
        return tuple(victim.key for victim in candidate.victims)

    def _bind(self, pod: Pod, row: int, answer: PlacedPod) -> PlacedPod:
        self.cluster.add(pod.on(self.cluster.nodes[row].name), row)
        self._placed += 1
        return answer


def _limits(answers: Sequence[PlacedPod], cluster: Cluster, options: PlaceOptions) -> list[str]:
    """Where the real scheduler may do otherwise with these very inputs."""
    found = []
    most, scored = nodes_to_examine(len(cluster)), max((answer.decision.rows.size for answer in answers if answer.decision), default=0)
    if options.percentage == 100 and scored > most:
        found.append(f"all {scored} feasible nodes are scored; the real default stops at {most} (--percentage 0)")
    if any(answer.preempted for answer in answers):
        found.append("pods that leave by preemption leave at once and are not created again")
    return found


def _some(names: Sequence[str]) -> str:
    """The first name, and how many more there are."""
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def _unmodelled(objects: Objects, queue: Sequence[Pod]) -> list[str]:
    """What the answer does not cover, each named once."""
    found = [f"pod {pod.key}: {what}" for pod in queue for what in pod.unmodelled]
    found += [f"{_some(names)}: {finding}" for finding, names in objects.unknown.items()]
    found += [f"{count} {kind} in the input: not used" for kind, count in objects.skipped.items()]
    soft = [pod for pod in queue if not pod.spreads]
    owned = [pod for pod in soft if pod.owner and pod.owner[0] in OWNERS_THAT_SPREAD]
    lost = {(pod.owner[0], pod.namespace, pod.owner[1]) for pod in owned if pod.owner} - {*objects.selectors}
    if lost:
        names = [f"{kind} {namespace}/{name}" for kind, namespace, name in sorted(lost)]
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        found.append(f"not in the input, so default spreading tells their pods by labels: {', '.join(names[:SHOWN])}{more}")
    if any(pod.labels for pod in soft) and not any(kind == "Service" for kind, _, _ in objects.selectors):
        found.append("no Service in the input: default spreading is worked out from controllers alone")
    return found
