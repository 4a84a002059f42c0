"""Gangs: pods that start all together or not at all, as Kueue admits a workload or a PodGroup is scheduled.

Waiting gangs stand in one queue, by priority, then arrival, then name. A gang is admitted only at an instant in which all its members
fit, and then takes all its room at once; one that does not fit holds nothing and lets later ones pass. So two gangs never wait for each
other's half. The node autoscaler sees what a waiting gang lacks (`State.held`) and keeps empty nodes for it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from models.scenario_workloads import GangPart
from models.units import MS_PER_S
from models.workload_result import JobRun, RunOutcome
from simulator.engine.environment import HybridEnvironment, Story
from simulator.engine.kernels import HELPABLE, WAITING_HELPABLE
from simulator.engine.state import State
from simulator.engine.trace import PodShape
from simulator.engine.workloads.log import WorkloadLog
from simulator.engine.workloads.pods import Pod, PodHub, pods_per_node

RETRY_MS = 5 * MS_PER_S
"""A waiting gang is tried when pods of controllers end or nodes change, and this often for all other reasons."""


def room_for(state: State, s: int) -> int:
    """How many pods of shape `s` fit on the nodes that stand now, one beside the other."""
    shapes = state.shape_cpu.size
    allowed = state.tier.reshape(-1, shapes)[:, s][state.pool_of] >= 0
    rooms = np.minimum(state.free_cpu // state.shape_cpu[s], state.free_memory // state.shape_memory[s])
    rooms = np.minimum(rooms, state.free_pods)
    if state.shape_extended[s] > 0:
        slots = state.free_cpu.size
        axis = int(state.shape_axis[s])
        rooms = np.minimum(rooms, state.free_extended[axis * slots : (axis + 1) * slots] // state.shape_extended[s])
    return int(np.maximum(rooms, 0)[allowed].sum())


def most_for(state: State, s: int) -> int:
    """How many pods of shape `s` an empty fleet holds with every node that can be had."""
    shape = state.trace.shapes[s]
    held = pods_per_node(shape, state)
    return sum(pool.max_nodes * held.get(pool.name, 0) for pool in state.layout.pools)


class GangRun:
    """One run of a gang: waits, runs with all its members, starts over when it loses one."""

    def __init__(self, gang: Gang, due_ms: int) -> None:
        self.gang, self.since_ms = gang, due_ms
        self.pods: list[Pod] = []
        self.losses = 0
        self._place = len(gang.log.runs)
        gang.log.runs.append(JobRun(due_ms / MS_PER_S, None, None, "waiting"))

    @property
    def rank(self) -> tuple[int, int, str]:
        """Place in the queue."""
        return -self.gang.part.priority, self.since_ms, self.gang.part.full_name

    @property
    def started(self) -> bool:
        """Whether it was ever admitted."""
        return self.gang.log.runs[self._place].started_s is not None

    def admit(self) -> None:
        """Take the room for all members."""
        hub = self.gang.hub
        now = hub.env.ms
        run = self.gang.log.runs[self._place]
        self.pods = hub.create(self.gang, self.gang.part.members)
        self.gang.adopt(self)
        started = run.started_s if run.started_s is not None else now / MS_PER_S
        self._note(replace(run, started_s=started, outcome="running"))

    def all_ready(self) -> bool:
        """Whether every member is Ready."""
        return bool(self.pods) and all(pod.ready for pod in self.pods)

    def release(self) -> None:
        """All members end at once."""
        pods, self.pods = self.pods, []
        self.gang.hub.stop(pods, at_once=True)

    def finish(self, outcome: RunOutcome) -> None:
        """The run is over."""
        self.release()
        self._note(replace(self.gang.log.runs[self._place], finished_s=self.gang.hub.env.ms / MS_PER_S, outcome=outcome))

    def _note(self, run: JobRun) -> None:
        self.gang.log.runs[self._place] = run


class Gang:
    """The runs of one gang workload."""

    def __init__(self, hub: PodHub, queue: GangQueue, part: GangPart, shape: PodShape, times_ms: list[int]) -> None:
        self.hub, self.queue, self.part = hub, queue, part
        self.log = WorkloadLog(part.full_name, part.kind)
        self.shape_index = hub.env.state.trace.shapes.index(shape)
        self._of: dict[int, GangRun] = {}
        hub.env.process(self._start_at(times_ms))

    def _start_at(self, times_ms: list[int]) -> Story:
        """Queues a run at every time."""
        for when in times_ms:
            yield self.hub.env.timeout(when - self.hub.env.ms)
            run = GangRun(self, when)
            self.queue.join(run)
            if self.part.timeout_s is not None:
                self.hub.after(round(self.part.timeout_s * MS_PER_S), lambda run=run: self._give_up(run))  # type: ignore[misc]

    def _give_up(self, run: GangRun) -> None:
        """Not admitted for too long."""
        if self.queue.leave(run):
            run.finish("timed_out")

    def adopt(self, run: GangRun) -> None:
        """The pods of `run` are known as its members."""
        self._of |= {pod.number: run for pod in run.pods}

    def pod_running(self, pod: Pod) -> None:
        """Members wait for each other."""

    def pod_ready(self, pod: Pod) -> None:
        """With the last member the work begins."""
        run = self._of[pod.number]
        if run.all_ready():
            members = tuple(run.pods)
            self.hub.after(round(self.part.duration_s * MS_PER_S), lambda: self._done(run, members))

    def _done(self, run: GangRun, members: tuple[Pod, ...]) -> None:
        if tuple(run.pods) == members:
            run.finish("completed")

    def pod_lost(self, pod: Pod) -> None:
        """All start over, or the run fails."""
        run = self._of[pod.number]
        if pod not in run.pods:
            return
        run.losses += 1
        run.release()
        if run.losses > self.part.backoff_limit:
            run.finish("failed")
        else:
            self.log.restarts += 1
            self.queue.join(run)

    def room_again(self) -> None:
        """Numbers are free again: the queue tries once more."""
        self.queue.try_again()

    def close(self) -> None:
        """Runs that wait or run at the end are written down as such already."""


class GangQueue:
    """Gangs that wait, tried in order whenever room may have come."""

    def __init__(self, env: HybridEnvironment, hub: PodHub) -> None:
        self._env, self._hub = env, hub
        self._waiting: list[GangRun] = []
        self._trying = False
        self._alarm_set = False
        hub.on_end.append(self.try_again)
        env.process(self._nodes_change())

    def _nodes_change(self) -> Story:
        """A node that joined or left may matter to those who wait."""
        while True:
            yield self._env.next_change()
            self.try_again()

    def join(self, run: GangRun) -> None:
        """A run waits for room."""
        self._waiting.append(run)
        self._waiting.sort(key=lambda item: item.rank)
        self.try_again()

    def leave(self, run: GangRun) -> bool:
        """A run that waited and was never admitted gives up; False when it does not wait, or has run before."""
        if run not in self._waiting or run.started:
            return False
        self._waiting.remove(run)
        self._show_demand()
        return True

    def try_again(self) -> None:
        """At this instant, once, after what happens now."""
        if self._waiting and not self._trying:
            self._trying = True
            self._hub.after(0, self._admit)

    def _admit(self) -> None:
        self._trying = False
        state, free_numbers = self._env.state, self._hub.free_numbers
        for run in list(self._waiting):
            members = run.gang.part.members
            if free_numbers(run.gang) >= members and room_for(state, run.gang.shape_index) >= members:
                self._waiting.remove(run)
                run.admit()
        self._show_demand()
        if self._waiting and not self._alarm_set:
            self._alarm_set = True
            self._hub.after(RETRY_MS, self._ring)

    def _ring(self) -> None:
        self._alarm_set = False
        self.try_again()

    def _show_demand(self) -> None:
        """Tell the node autoscaler what waiting gangs lack beyond the room that stands, in the order they would take it."""
        state = self._env.state
        before = state.held.copy()
        helpable = int(((state.shape_flags & HELPABLE) != 0) @ before)
        state.held[:] = 0
        hopeful = [run for run in self._waiting if run.gang.part.members <= most_for(state, run.gang.shape_index)]
        for run in hopeful:
            state.held[run.gang.shape_index] += run.gang.part.members
        for s in {run.gang.shape_index for run in hopeful}:
            state.held[s] = max(int(state.held[s]) - room_for(state, s), 1)
        state.clock[WAITING_HELPABLE] += int(((state.shape_flags & HELPABLE) != 0) @ state.held) - helpable
        if not np.array_equal(before, state.held):
            self._env.control_changed()
