"""A Deployment: keeps as many pods as are wanted, replaces lost ones, and changes versions the way its strategy says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from models.scenario_workloads import DeploymentPart, RolloutPart
from models.units import MS_PER_S
from models.workload_result import ScaleOut
from simulator.engine.environment import Story
from simulator.engine.workloads.curve import Steps
from simulator.engine.workloads.log import WorkloadLog
from simulator.engine.workloads.pods import NOT_YET, Pod, PodHub
from simulator.engine.workloads.surge import Versions, canary_pods, fenceposts, rolling_step


class Deployment:
    """`curve` gives the wanted replicas where no autoscaler does; `rollouts` are (ms, how) in order of time."""

    def __init__(
        self, hub: PodHub, part: DeploymentPart, curve: Steps, rollouts: list[tuple[int, RolloutPart]], load: Steps | None
    ) -> None:
        self.hub, self.part = hub, part
        self.log = WorkloadLog(part.full_name, part.kind)
        self.replicas = round(curve.at(0))
        self.pods: list[Pod] = []
        self.changed_ms = 0
        self.on_change: Callable[[], None] | None = None
        self.load = load
        self._curve = curve
        self._version = 0
        self._how: RolloutPart | None = None
        self._stage = 0
        self._paused = False
        self._began_ms = 0
        self._closed_until_ms = 0
        self._growth: ScaleOut | None = None
        self._grown_ms = 0
        self._rest_ms: int | None = None
        self.log.wanted(0, self.replicas)
        hub.env.process(self._live())
        if rollouts:
            hub.env.process(self._new_versions(rollouts))

    def _live(self) -> Story:
        """Creates its first pods, then follows its curve."""
        yield self.hub.env.timeout(0)
        self.reconcile()
        while (following := self._curve.next_after(self.hub.env.ms)) is not None:
            yield self.hub.env.timeout(following - self.hub.env.ms)
            self.scale(round(self._curve.at(following)))

    def _new_versions(self, rollouts: list[tuple[int, RolloutPart]]) -> Story:
        """Starts each rollout at its time; one that begins before the last has ended takes over from it."""
        for when, how in rollouts:
            yield self.hub.env.timeout(max(0, when - self.hub.env.ms))
            self._version += 1
            self._how, self._stage, self._paused, self._began_ms = how, 0, False, self.hub.env.ms
            self.reconcile()

    def scale(self, replicas: int) -> None:
        """From now on so many replicas are wanted."""
        now = self.hub.env.ms
        if replicas > self.replicas:
            self._grow(replicas)
        self.replicas = replicas
        self.log.wanted(now, replicas)
        self.reconcile()

    def _changed(self) -> None:
        """A pod came, went or moved on: an autoscaler that looks at pods has something new to see."""
        self.changed_ms = self.hub.env.ms
        if self.on_change is not None:
            self.on_change()

    def pod_running(self, pod: Pod) -> None:
        """Its containers start."""
        self._changed()

    def pod_ready(self, pod: Pod) -> None:
        """Counts as available after `min_ready_s` of the running rollout."""
        self._changed()
        least = round(self._how.min_ready_s * MS_PER_S) if self._how else 0
        if least:
            self.hub.after(least, self.reconcile)
        self.reconcile()

    def pod_lost(self, pod: Pod) -> None:
        """Its ReplicaSet creates another."""
        self._changed()
        self.pods.remove(pod)
        self.reconcile()

    def room_again(self) -> None:
        """Pods that could not be created for want of a number can be now."""
        self.reconcile()

    def available(self, pod: Pod) -> bool:
        """Ready for long enough."""
        least = round(self._how.min_ready_s * MS_PER_S) if self._how else 0
        return pod.ready and self.hub.env.ms >= pod.ready_ms + least

    def reconcile(self) -> None:
        """Create and stop pods until nothing is left to do now."""
        old = [pod for pod in self.pods if pod.version != self._version]
        if self._how is None or not old:
            if self.hub.env.ms >= self._closed_until_ms:
                self._fit(self.replicas)
        else:
            self._roll(self._how)
        self._finish_rollout()
        self._note_surge()
        self._note_growth()

    def _fit(self, wanted: int) -> None:
        """Only one version: create what is missing, stop what is too much."""
        if len(self.pods) < wanted:
            self._create(wanted - len(self.pods))
        elif len(self.pods) > wanted:
            self._stop(self._victims(self.pods)[: len(self.pods) - wanted])

    def _create(self, count: int) -> None:
        if count > 0:
            self._changed()
            self.pods += self.hub.create(self, count, self._version)

    def _stop(self, victims: list[Pod]) -> None:
        if victims:
            self._changed()
            gone = set(map(id, victims))
            self.pods = [pod for pod in self.pods if id(pod) not in gone]
            self.hub.stop(victims)

    def _roll(self, how: RolloutPart) -> None:
        match how.strategy:
            case "recreate":
                self._stop(self._split()[1])
                grace_ms = round(self.part.grace_s * MS_PER_S)
                self._closed_until_ms = self.hub.env.ms + grace_ms
                self.hub.after(grace_ms, self.reconcile)
            case "blue_green":
                self._blue_green(how)
            case "canary" if self._stage < len(how.steps):
                self._canary(how)
            case "canary":
                self._rolling(max(canary_pods(step.weight_share, self.replicas) for step in how.steps), 0)
            case _:
                self._rolling(*fenceposts(how.max_surge, how.max_unavailable, self.replicas))

    def _rolling(self, surge: int, unavailable: int) -> None:
        while True:
            new, old = self._split()
            now = Versions(len(new), sum(map(self.available, new)), len(old), sum(map(self.available, old)))
            wanted = rolling_step(self.replicas, surge, unavailable, now)
            self._stop(self._victims(new)[: max(0, len(new) - wanted.new)])
            self._stop(self._victims(old)[: len(old) - wanted.old])
            before = len(self.pods)
            self._create(wanted.new - len(new))
            if (wanted.new, wanted.old) == (len(new), len(old)) or (wanted.old == len(old) and len(self.pods) == before):
                break

    def _blue_green(self, how: RolloutPart) -> None:
        """The new version in full beside the old one; the switch when all of it is available; the old one goes later."""
        new, old = self._split()
        self._fit_old(old)
        self._create(self.replicas - len(new))
        new = self._split()[0]
        if len(new) >= self.replicas and all(map(self.available, new)) and not self._paused:
            self._paused = True
            version = self._version
            self.hub.after(round(how.keep_old_s * MS_PER_S), lambda: self._drop_old(version))

    def _fit_old(self, old: list[Pod]) -> None:
        """An old version that shall shrink with its Deployment does; it never grows."""
        self._stop(self._victims(old)[: max(0, len(old) - self.replicas)])

    def _drop_old(self, version: int) -> None:
        if version == self._version:
            self._stop(self._split()[1])
            self.reconcile()

    def _canary(self, how: RolloutPart) -> None:
        """A share of new pods beside the full old version, then a pause, step by step."""
        new, old = self._split()
        self._fit_old(old)
        self._create(canary_pods(how.steps[self._stage].weight_share, self.replicas) - len(new))
        new = self._split()[0]
        if all(map(self.available, new)) and not self._paused:
            self._paused = True
            version, stage = self._version, self._stage
            self.hub.after(round(how.steps[stage].pause_s * MS_PER_S), lambda: self._next_stage(version, stage))

    def _next_stage(self, version: int, stage: int) -> None:
        if (version, stage) == (self._version, self._stage):
            self._stage, self._paused = stage + 1, False
            self.reconcile()

    def _victims(self, pods: list[Pod]) -> list[Pod]:
        """`pods` in the order in which a ReplicaSet stops them.

        Without a node, image not there, not Ready, most pods of the set on the node, Ready for the shortest time, newest.
        """
        beside = Counter(pod.slot for pod in self.pods)
        rank = lambda pod: (  # noqa: E731
            pod.placed_ms != NOT_YET, pod.running_ms != NOT_YET, pod.ready, -beside[pod.slot], -pod.ready_ms, -pod.created_ms, -pod.number
        )  # fmt: skip
        return sorted(pods, key=rank)

    def _split(self) -> tuple[list[Pod], list[Pod]]:
        new = [pod for pod in self.pods if pod.version == self._version]
        return new, [pod for pod in self.pods if pod.version != self._version]

    def _finish_rollout(self) -> None:
        """The new version is alone and all of it is available."""
        news = len(self.pods) >= self.replicas and all(pod.version == self._version and self.available(pod) for pod in self.pods)
        if self._how is not None and news:
            self.log.rollouts.append((self._began_ms, self.hub.env.ms))
            self._how = None

    def _note_surge(self) -> None:
        if self._how is not None:
            self.log.surge = max(self.log.surge, len(self.pods) - self.replicas)

    def _note_growth(self) -> None:
        """All that is wanted is ready: the growth is over, unless more is asked for at one of the next syncs."""
        if self._growth is not None and self._rest_ms is None and sum(pod.ready for pod in self.pods) >= self.replicas:
            self._rest_ms = self.hub.env.ms

    def _grow(self, replicas: int) -> None:
        """More replicas are wanted: a growth begins, or goes on when the last wish is no older than two syncs."""
        now, growth = self.hub.env.ms, self._growth
        sync_s = self.part.hpa.sync_s if self.part.hpa else 0
        if growth is not None and (self._rest_ms is None or now <= self._grown_ms + 2 * sync_s * MS_PER_S):
            self._growth = replace(growth, to_replicas=max(growth.to_replicas, replicas))
        else:
            self._close_growth()
            load_at = self.load.last_until(now) if self.load else now
            self._growth = ScaleOut(load_at / MS_PER_S, now / MS_PER_S, self.replicas, replicas, None)
        self._rest_ms, self._grown_ms = None, now

    def _close_growth(self) -> None:
        if self._growth is not None:
            rest = self._rest_ms
            self.log.scale_outs.append(replace(self._growth, ready_at_s=None if rest is None else rest / MS_PER_S))
            self._growth = None

    def close(self) -> None:
        """The run is over: a growth that never came to rest is written down as such."""
        self._close_growth()
        if self._how is not None:
            self.log.rollouts.append((self._began_ms, self.hub.env.ms))
