"""A small cluster in motion for replays: nodes that boot and leave, ReplicaSets that follow a curve, a scheduler.

Time is integer milliseconds of a simpy clock. The scheduler scores as kube-scheduler's default profile does and draws
among the best nodes; a pod that finds no node is looked at again when something changed, without waiting for its
back-off while no other pod is queued (SchedulerPopFromBackoffQ, on since 1.33). A node that appears is still closed by
its start-up taints, so it brings back no pod that only closed nodes refused (queueing hints of TaintToleration), and a
pod refused while there was no node at all waits as `replay_backoff` says; its second refusal in a row has the message of
the first, so nothing is written and no time passes (schedule_one.go, updatePod). Latencies are those of the recordings.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import simpy
from numpy.typing import NDArray

from models.units import MS_PER_S
from simulator.engine.autoscalers.binpacking import Kinds
from simulator.engine.autoscalers.polling import Story
from simulator.engine.autoscalers.replay_backoff import back_at_ms
from simulator.engine.autoscalers.replay_kernels import node_scores
from simulator.engine.autoscalers.replay_rows import Latencies, Machine, Rows, RunningPod
from simulator.engine.autoscalers.replay_scheduler import FullScheduler, with_rules
from simulator.engine.autoscalers.replica_sets import Candidate, victims
from simulator.engine.kube.objects import CPU, MEMORY, PODS, Node, Pod
from simulator.streams import Streams

BUSY_MS = 250
"""How long the API server is taken to be busy with a Deployment after its last pod was made."""


class World:
    """Nodes and pods in motion on a simpy clock; an autoscaler hears of every change through `on_change`."""

    def __init__(self, env: simpy.Environment, kinds: Kinds, streams: Streams, latencies: Latencies) -> None:
        self.env, self.kinds, self.latencies = env, kinds, latencies
        self.scored_requests = np.array([[pod.scored[CPU], pod.scored[MEMORY]] for pod in kinds.pods], dtype=np.int64)
        self.rows = Rows.empty(len(kinds.axes), len(kinds.pods))
        self.machines: list[Machine] = []
        self.live: list[list[RunningPod]] = [[] for _ in kinds.pods]
        self.creating = [0] * len(kinds.pods)
        self.desired = [0] * len(kinds.pods)
        self.waiting: list[RunningPod] = []
        self.on_unschedulable: Callable[[], None] = lambda: None
        self.on_refused: Callable[[RunningPod], None] = lambda pod: None
        self.on_change: Callable[[], None] = lambda: None
        self.on_pod: Callable[[int], None] = lambda row: None
        self._chance = streams("replay-cluster")
        self._ties = streams("replay-scheduler-ties")
        self._timing = streams("replay-latencies")
        self._pace = 1.0 - latencies.pace + 2.0 * latencies.pace * float(self._timing.random())
        self._active: deque[RunningPod] = deque()
        self._arrival = env.event()
        self._moves = self._openings = 0
        self._wall_ms = int(streams("replay-wall-clock").integers(MS_PER_S))
        env.process(self._schedule())
        self._zones: dict[str, int] = {}
        self._full = FullScheduler(kinds, self.rows, self.machines) if any(map(with_rules, kinds.pods)) else None

    @property
    def now(self) -> int:
        """Milliseconds since the start."""
        return int(self.env.now)

    # -- nodes

    def add_node(self, node: Node, group: str, zone: str = "", *, seen: bool = True) -> int:
        """A node object appears; it takes pods once `make_ready` is called. Returns its row.

        seen : the scheduler hears of it now; else once `show_nodes` is called.
        """
        row = len(self.machines)
        self.rows.room_for(row)
        rows = self.rows
        rows.allocatable[row] = self.kinds.vector(node.allocatable)
        rows.allowed[row] = self.kinds.allowed(node)
        rows.preferred[row] = [sum(term.weight for term in pod.preferred if term.term.matches(node)) for pod in self.kinds.pods]
        rows.avoided[row] = [_soft_taints(node, pod) for pod in self.kinds.pods]
        rows.zone[row] = self._zones.setdefault(zone, len(self._zones)) if zone else -1
        rows.present[row] = True
        self.machines.append(Machine(node, group, self.now, float(self._chance.random())))
        self._note_nodes()
        if seen:
            self.show_nodes()
        return row

    def show_nodes(self) -> None:
        """The scheduler hears of new nodes, closed as they still are."""
        self._moves += 1
        self._queue([pod for pod in self.waiting if pod.attempts and not pod.queued and not pod.shut_out])

    def make_ready(self, row: int) -> None:
        """The node is ready and untainted."""
        if self.rows.present[row]:
            self.machines[row].ready_ms = self.now
            self.rows.open[row] = not self.machines[row].leaving
            self._note_nodes()
            self.wake()

    def cordon(self, row: int) -> None:
        """The node takes no new pods: it is about to be deleted."""
        self.machines[row].leaving = True
        self.rows.open[row] = False
        self._note_nodes()

    def uncordon(self, row: int) -> None:
        """The node is kept after all."""
        self.machines[row].leaving = False
        self.rows.open[row] = self.machines[row].ready_ms >= 0
        self._note_nodes()
        self.wake()

    def evict(self, row: int, spared: frozenset[int] = frozenset()) -> None:
        """Every pod of the node goes but those of the kinds in `spared`."""
        self.evict_pods([pod for pod in self.machines[row].pods if pod.kind not in spared])

    def evict_pods(self, pods: Sequence[RunningPod]) -> None:
        """These pods go; the ReplicaSets make new ones."""
        for pod in pods:
            self.delete_pod(pod)
        for kind in sorted({pod.kind for pod in pods}):
            self.env.process(self._reconcile(kind, self.jitter(self.latencies.recreate)))

    def remove_node(self, row: int) -> None:
        """The node object goes, with what still runs on it."""
        self.evict(row)
        self.rows.present[row] = self.rows.open[row] = False
        self._note_nodes()

    def group_rows(self, group: str) -> NDArray[np.int64]:
        """Rows of the nodes of `group` that exist."""
        return np.array([row for row in self.present() if self.machines[row].group == group], dtype=np.int64)

    def present(self) -> list[int]:
        """Rows of the nodes that exist."""
        return [int(row) for row in np.flatnonzero(self.rows.present[: len(self.machines)])]

    def free(self) -> NDArray[np.int64]:
        """int64 [rows, axes] of every row ever made."""
        size = len(self.machines)
        return np.asarray(self.rows.allocatable[:size] - self.rows.used[:size], dtype=np.int64)

    # -- pods

    def follow(self, kind: int, replicas: int) -> None:
        """The Deployment of `kind` now wants `replicas` pods."""
        self.desired[kind] = replicas
        self.env.process(self._reconcile(kind, self.jitter(self.latencies.first_pod)))

    def reserve(self, row: int, pods: Sequence[Pod]) -> None:
        """Pods that run on the node from the start, such as those of DaemonSets; they count as used, not as bound."""
        for pod in pods:
            self.rows.used[row] += self.kinds.vector({**pod.requests, PODS: 1})
            self.rows.scored[row] += np.array([pod.scored[CPU], pod.scored[MEMORY]], dtype=np.int64)
        if self._full is not None:
            self._full.standing[row] = [replace(pod, name=f"{pod.name}-on-{row}") for pod in pods]
        self._note()

    def delete_pod(self, pod: RunningPod) -> None:
        """The pod is gone at once and its room is free."""
        pod.gone = True
        self.live[pod.kind].remove(pod)
        if pod.node >= 0:
            self._account(pod, -1)
            self.machines[pod.node].pods.remove(pod)
            self.wake()
        else:
            self.waiting.remove(pod)
        self._note()

    def bound_pods(self) -> int:
        """Pods that have a node."""
        return sum(len(pods) for pods in self.live) - len(self.waiting)

    def jitter(self, milliseconds: int) -> int:
        """`milliseconds`, more or less."""
        spread = self.latencies.spread
        return max(1, round(milliseconds * self._pace * (1.0 - spread + 2.0 * spread * float(self._timing.random()))))

    def _reconcile(self, kind: int, delay_ms: int) -> Story:
        """The ReplicaSet controller looks once: makes what is missing, one pod after the other, or deletes what is too much."""
        yield self.env.timeout(delay_ms)
        missing = self.desired[kind] - len(self.live[kind]) - self.creating[kind]
        if missing < 0:
            self._shrink(kind, -missing)
        self.creating[kind] += max(missing, 0)
        last_of_burst = 1
        for number in range(1, missing + 1):
            if self.creating[kind] + len(self.live[kind]) > self.desired[kind]:
                self.creating[kind] -= 1
                continue
            self.creating[kind] -= 1
            pod = RunningPod(kind, self.now, float(self._chance.random()), float(self._chance.random()))
            self.live[kind].append(pod)
            self.waiting.append(pod)
            self._queue([pod])
            self._note()
            if not self.latencies.burst:
                yield self.env.timeout(self.jitter(self.latencies.each_pod))
            elif number == last_of_burst:
                last_of_burst += last_of_burst + 1
                yield self.env.timeout(self.jitter(self.latencies.burst))

    def _shrink(self, kind: int, count: int) -> None:
        now, pods = self.now, self.live[kind]
        draws = self._chance.random(len(pods))
        ranked = [
            Candidate(pod.node, pod.node >= 0, pod.node >= 0, 0, now - pod.bound_ms, now - pod.created_ms, float(draw))
            for pod, draw in zip(pods, draws, strict=True)
        ]
        for pod in [pods[at] for at in victims(ranked, count)]:
            self.delete_pod(pod)

    # -- scheduler

    def wake(self) -> None:
        """Something changed: pods that were refused are looked at again."""
        self._moves += 1
        self._openings += 1
        self._queue([pod for pod in self.waiting if pod.attempts and not pod.queued])

    def _queue(self, pods: list[RunningPod]) -> None:
        for pod in pods:
            pod.queued = True
            self._active.append(pod)
        if pods and not self._arrival.triggered:
            self._arrival.succeed()

    def _schedule(self) -> Story:
        """The scheduler takes pods from its queue one after the other."""
        while True:
            while not self._active:
                self._arrival = self.env.event()
                yield self._arrival
            pod = self._active.popleft()
            if pod.gone:
                continue
            moves, openings = self._moves, self._openings
            if self._place(pod):
                if self.latencies.bind:
                    yield self.env.timeout(self.jitter(self.latencies.bind))
                continue
            size = len(self.machines)
            pod.errors = 0 if self.rows.present[:size].any() else pod.errors + 1
            pod.shut_out = not (self.rows.present[:size] & self.rows.open[:size]).any()
            if pod.errors <= 1:
                yield self.env.timeout(self.jitter(self._refusal_ms()))
            pod.attempts += 1
            if not pod.gone:
                self._put_back(pod, changed=openings != self._openings if pod.shut_out else moves != self._moves)

    def _put_back(self, pod: RunningPod, *, changed: bool) -> None:
        """The pod was refused; whoever watches hears of it, unless it is told of an empty cluster once more.

        changed : something that may concern it happened meanwhile, so it is looked at again.
        """
        if pod.errors:
            self.env.process(self._back_off(pod))
        else:
            pod.queued = False
            self._queue([pod] if changed else [])
        self._note()
        if pod.errors <= 1:
            self.on_refused(pod)
        self.on_unschedulable()

    def _back_off(self, pod: RunningPod) -> Story:
        """The pod comes back after its back-off, whatever happens before."""
        yield self.env.timeout(back_at_ms(self.now, pod.errors, self._wall_ms) - self.now)
        if not pod.gone:
            self._queue([pod])

    def _refusal_ms(self) -> int:
        others = len({waiting.kind for waiting in self.waiting}) - 1
        cost = self.latencies.refuse + self.latencies.refuse_kind * max(others, 0)
        making = sum(self.now - pods[-1].created_ms < BUSY_MS for pods in self.live if pods)
        return max(cost, self.latencies.refuse_busy) if making > 1 else cost

    def _place(self, pod: RunningPod) -> bool:
        best = self._best(pod) if self._full is None else self._full.best(pod)
        if not best.size:
            return False
        pod.node = int(best[int(self._ties.integers(best.size))]) if best.size > 1 else int(best[0])
        pod.bound_ms = self.now
        self.waiting.remove(pod)
        self.machines[pod.node].pods.append(pod)
        self._account(pod, 1)
        self._note()
        return True

    def _best(self, pod: RunningPod) -> NDArray[np.int64]:
        """Rows of the best nodes, none when no node takes the pod: int64 [nodes]."""
        size, rows, kind = len(self.machines), self.rows, pod.kind
        request = self.kinds.requests[kind]
        feasible = rows.open[:size] & rows.allowed[:size, kind] & (self.free() >= request).all(axis=1)
        if not feasible.any():
            return np.zeros(0, dtype=np.int64)
        avoided = rows.avoided[:size, kind] + rows.soft[:size]
        scores = node_scores(
            rows.allocatable[:size], rows.used[:size], rows.scored[:size], request, self.scored_requests[kind], feasible,
            rows.counts[:size, kind], rows.zone[:size], rows.preferred[:size, kind], avoided,
        )  # fmt: skip
        return np.flatnonzero(scores == scores.max())

    def _account(self, pod: RunningPod, sign: int) -> None:
        self.rows.used[pod.node] += sign * self.kinds.requests[pod.kind]
        self.rows.scored[pod.node] += sign * self.scored_requests[pod.kind]
        self.rows.counts[pod.node, pod.kind] += sign
        if self._full is not None:
            self._full.account(pod, sign)
        self.on_pod(pod.node)

    def _note(self) -> None:
        self.on_change()

    def _note_nodes(self) -> None:
        if self._full is not None:
            self._full.changed()
        self.on_change()


def unschedulable(world: World) -> list[RunningPod]:
    """Pods that the scheduler has looked at and refused, in the order of their draws."""
    return sorted((pod for pod in world.waiting if pod.attempts), key=lambda pod: pod.order)


def _soft_taints(node: Node, pod: Pod) -> int:
    return sum(taint.effect == "PreferNoSchedule" and not pod.tolerates(taint) for taint in node.taints)
