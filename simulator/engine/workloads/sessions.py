"""Interactive workspaces: a pod for every session of a user, culled once it has been idle for long enough.

Sessions arrive as a Poisson process whose rate follows a curve; users stay for exponential times. A workspace whose node is lost is
started again for its user.
"""

from __future__ import annotations

import numpy as np

from models.scenario_workloads import SessionsPart
from models.units import MS_PER_H, MS_PER_S
from simulator.engine.environment import Story
from simulator.engine.workloads.curve import Steps
from simulator.engine.workloads.log import WorkloadLog
from simulator.engine.workloads.pods import Pod, PodHub


class Sessions:
    """`arrivals` per hour; `rng` draws when users come and how long they stay."""

    def __init__(self, hub: PodHub, part: SessionsPart, arrivals: Steps, rng: np.random.Generator) -> None:
        self.hub, self.part = hub, part
        self.log = WorkloadLog(part.full_name, part.kind)
        self._arrivals, self._rng = arrivals, rng
        self._stays: dict[int, int] = {}
        self._waiting: list[int] = []
        hub.env.process(self._arrive())

    def _arrive(self) -> Story:
        """Users come one by one; where the rate changes, waiting for the next one starts anew (it has no memory)."""
        env = self.hub.env
        while True:
            now, rate = env.ms, self._arrivals.at(env.ms)
            change = self._arrivals.next_after(now)
            gap = max(1, round(float(self._rng.exponential(MS_PER_H / rate)))) if rate > 0.0 else None
            if gap is not None and (change is None or now + gap < change):
                yield env.timeout(gap)
                self._begin(max(1, round(float(self._rng.exponential(self.part.active_s)) * MS_PER_S)))
            elif change is not None:
                yield env.timeout(change - now)
            else:
                return

    def _begin(self, stay_ms: int) -> None:
        """A workspace for one user who will work for `stay_ms`; put off when too many workspaces exist."""
        pods = self.hub.create(self, 1)
        if pods:
            self._stays[pods[0].number] = stay_ms
        else:
            self._waiting.append(stay_ms)

    def pod_running(self, pod: Pod) -> None:
        """The user still waits."""

    def pod_ready(self, pod: Pod) -> None:
        """The user works, leaves, and the workspace is culled after its idle time."""
        idle_ms = round(self.part.idle_s * MS_PER_S)
        self.hub.after(self._stays[pod.number] + idle_ms, lambda: self.hub.stop([pod]))

    def pod_lost(self, pod: Pod) -> None:
        """Its user gets another one."""
        self._begin(self._stays[pod.number])

    def room_again(self) -> None:
        """Users who were put off come first."""
        put_off, self._waiting = self._waiting, []
        for stay_ms in put_off:
            self._begin(stay_ms)

    def close(self) -> None:
        """The run is over."""
