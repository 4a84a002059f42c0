"""Jobs: pods that run once. Source: kubernetes/kubernetes pkg/controller/job (1.31): parallelism, completions, back-off, its limit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from models.scenario_workloads import CronJobPart, JobPart
from models.units import MS_PER_S
from models.workload_result import JobRun, RunOutcome
from simulator.engine.environment import Story
from simulator.engine.workloads.log import WorkloadLog
from simulator.engine.workloads.pods import Pod, PodHub

BACKOFF_S, MOST_BACKOFF_S = 10, 600
"""Pods of a Job that failed are created again after 10 s, 20 s, 40 s ... at most 10 minutes."""


class Job:
    """One run: `completions` pods of `duration_s`, `parallelism` at a time; lost pods are failures."""

    def __init__(self, controller: Jobs, due_ms: int, finished: Callable[[Job], None]) -> None:
        self.controller, self._finished = controller, finished
        self.active: list[Pod] = []
        self.succeeded = 0
        self.failed = 0
        self.over = False
        self._open_ms = due_ms
        self._place = len(controller.log.runs)
        controller.log.runs.append(JobRun(due_ms / MS_PER_S, None, None, "waiting"))

    def reconcile(self) -> None:
        """Create what may run beside the active pods; a failure closes the door for its back-off."""
        if self.over or self.controller.hub.env.ms < self._open_ms:
            return
        part = self.controller.part
        wanted = min(part.parallelism, part.completions - self.succeeded) - len(self.active)
        if wanted > 0:
            pods = self.controller.hub.create(self.controller, wanted)
            self.active += pods
            self.controller.adopt(self, pods)

    def running(self, pod: Pod) -> None:
        """The containers of a pod start: from here on it runs for its duration."""
        run = self.controller.log.runs[self._place]
        if run.started_s is None:
            self._note(replace(run, started_s=pod.placed_ms / MS_PER_S, outcome="running"))
        self.controller.hub.after(round(self.controller.part.duration_s * MS_PER_S), lambda: self._done(pod))

    def _done(self, pod: Pod) -> None:
        if pod.stopped:
            return
        self.active.remove(pod)
        self.succeeded += 1
        self.controller.hub.stop([pod], at_once=True)
        if self.succeeded >= self.controller.part.completions:
            self.finish("completed")
        else:
            self.reconcile()

    def lost(self, pod: Pod) -> None:
        """A pod went with its node."""
        self.active.remove(pod)
        self.failed += 1
        if self.failed > self.controller.part.backoff_limit:
            self.finish("failed")
            return
        delay = min(BACKOFF_S * 2 ** (self.failed - 1), MOST_BACKOFF_S) * MS_PER_S
        self._open_ms = self.controller.hub.env.ms + delay
        self.controller.hub.after(delay, self.reconcile)

    def finish(self, outcome: RunOutcome) -> None:
        """The run is over; pods that still run are stopped."""
        self.over = True
        active, self.active = self.active, []
        self.controller.hub.stop(active)
        self._note(replace(self.controller.log.runs[self._place], finished_s=self.controller.hub.env.ms / MS_PER_S, outcome=outcome))
        self._finished(self)

    def _note(self, run: JobRun) -> None:
        self.controller.log.runs[self._place] = run


class Jobs:
    """The runs of one workload: at given times (a Job), or as a CronJob decides."""

    def __init__(self, hub: PodHub, part: JobPart | CronJobPart, times_ms: list[int]) -> None:
        self.hub, self.part = hub, part
        self.log = WorkloadLog(part.full_name, part.kind)
        self.jobs: list[Job] = []
        self._of: dict[int, Job] = {}
        hub.env.process(self._start_at(times_ms))

    def _start_at(self, times_ms: list[int]) -> Story:
        """Every time of the schedule in turn."""
        for when in times_ms:
            yield self.hub.env.timeout(when - self.hub.env.ms)
            self.due(when)

    def due(self, when: int) -> None:
        """A run is due: it starts."""
        self.start(when)

    def start(self, due_ms: int) -> None:
        """Start the run of `due_ms` now."""
        job = Job(self, due_ms, self.finished)
        self.jobs.append(job)
        job.reconcile()

    def finished(self, job: Job) -> None:
        """A run is over."""
        self.jobs.remove(job)

    def adopt(self, job: Job, pods: list[Pod]) -> None:
        """These pods belong to `job`."""
        self._of |= {pod.number: job for pod in pods}

    def pod_running(self, pod: Pod) -> None:
        """Its run counts its time."""
        self._of[pod.number].running(pod)

    def pod_ready(self, pod: Pod) -> None:
        """Readiness means nothing to a Job."""

    def pod_lost(self, pod: Pod) -> None:
        """Its run counts a failure."""
        self._of[pod.number].lost(pod)

    def room_again(self) -> None:
        """Runs that are short of pods try again."""
        for job in list(self.jobs):
            job.reconcile()

    def close(self) -> None:
        """The run is over; what runs or waits is written down as such already."""
