"""CronJobs: a run at every time of a schedule, subject to its concurrency policy and starting deadline.

Source: kubernetes/kubernetes pkg/controller/cronjob/cronjob_controllerv2.go (syncCronJob). With Forbid a time that finds a run active
is not forgotten: when that run ends, the latest missed time starts, unless its deadline has passed; earlier ones are skipped.
"""

from __future__ import annotations

from models.scenario_workloads import CronJobPart
from models.units import MS_PER_S
from simulator.engine.workloads.jobs import Job, Jobs
from simulator.engine.workloads.pods import PodHub


class CronJobs(Jobs):
    """`part` is a CronJobPart; `times_ms` are the times of its schedule."""

    def __init__(self, hub: PodHub, part: CronJobPart, times_ms: list[int]) -> None:
        self._policy, self._deadline_s = part.concurrency_policy, part.starting_deadline_s
        self._missed: int | None = None
        super().__init__(hub, part, times_ms)

    def due(self, when: int) -> None:
        """A time of the schedule has come."""
        if self._policy == "Forbid" and self.jobs:
            self.log.skipped += self._missed is not None
            self._missed = when
            return
        if self._policy == "Replace":
            for job in list(self.jobs):
                job.finish("replaced")
        self.start(when)

    def finished(self, job: Job) -> None:
        """A run is over: a missed time may start now."""
        super().finished(job)
        missed, self._missed = self._missed, None
        if missed is None or self.jobs:
            self._missed = missed
            return
        if self._deadline_s is not None and missed + self._deadline_s * MS_PER_S < self.hub.env.ms:
            self.log.skipped += 1
        else:
            self.start(missed)

    def close(self) -> None:
        """A missed time that nothing has started by the end is skipped."""
        self.log.skipped += self._missed is not None
        self._missed = None
