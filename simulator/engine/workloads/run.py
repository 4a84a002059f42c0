"""The workloads of a run: their controllers put on its clock at the start, their stories read out at the end."""

from __future__ import annotations

from collections.abc import Mapping

from models.scenario_workloads import DeploymentPart, GangPart, SessionsPart
from models.units import MS_PER_H
from models.workload_result import WorkloadResult
from models.zones import Provisioning
from simulator.engine.environment import HybridEnvironment
from simulator.engine.recorder import Recorder
from simulator.engine.workloads.cronjobs import CronJobs
from simulator.engine.workloads.curve import Steps
from simulator.engine.workloads.deployment import Deployment
from simulator.engine.workloads.gangs import Gang, GangQueue
from simulator.engine.workloads.hpa_control import HpaController
from simulator.engine.workloads.images import Images
from simulator.engine.workloads.jobs import Jobs
from simulator.engine.workloads.pods import PodHub, StartTimes, pods_per_node
from simulator.engine.workloads.sessions import Sessions
from simulator.engine.workloads.setup import Prepared, WorkloadSetup
from simulator.streams import Streams

Controller = Deployment | Jobs | Gang | Sessions


class RunningWorkloads:
    """Every controller of a run. `event_driven` False makes the HPA look at every sync; the results are the same."""

    def __init__(
        self, env: HybridEnvironment, recorder: Recorder, setup: WorkloadSetup, streams: Streams, *, event_driven: bool = True
    ) -> None:
        self._env, self._setup = env, setup
        images = Images(env, setup.registry, setup.extract_mib_per_s)
        self.hub = PodHub(env, recorder, images, StartTimes(setup.start_p50_s, setup.start_p95_s))
        self._gangs = GangQueue(env, self.hub)
        self.controllers: list[Controller] = []
        first = env.state.trace.pods
        for item in setup.workloads:
            controller = self._controller(item, streams)
            self.hub.register(controller, range(first, first + item.slots), streams(f"pod-start/{item.part.full_name}"))
            self.controllers.append(controller)
            first += item.slots
        deployments = [controller for controller in self.controllers if isinstance(controller, Deployment)]
        self.hpa = HpaController(env, deployments, event_driven=event_driven)

    def _controller(self, item: Prepared, streams: Streams) -> Controller:
        part = item.part
        if isinstance(part, SessionsPart):
            return Sessions(self.hub, part, item.load or Steps((0,), (0.0,)), streams(f"sessions/{part.full_name}"))
        if isinstance(part, DeploymentPart):
            return Deployment(self.hub, part, item.replicas or Steps((0,), (0.0,)), list(item.rollouts), item.load)
        if isinstance(part, GangPart):
            return Gang(self.hub, self._gangs, part, item.shape, list(item.times_ms))
        if part.kind == "cronjob":
            return CronJobs(self.hub, part, list(item.times_ms))
        return Jobs(self.hub, part, list(item.times_ms))

    def results(self, provisioning: Mapping[str, Provisioning]) -> tuple[WorkloadResult, ...]:
        """What happened to each, in the scenario's order; `provisioning` says how long a new node of each pool takes."""
        state, found = self._env.state, []
        end = state.trace.hours * MS_PER_H
        for controller, item in zip(self.controllers, self._setup.workloads, strict=True):
            controller.close()
            running = [pod for pod in self.hub.by_number.values() if pod.owner is controller and pod.placed_ms >= 0 and not pod.stopped]
            held = pods_per_node(item.shape, state)
            windows = {name: provisioning[name].p95_s for name in held if name in provisioning}
            ran = sum(end - pod.placed_ms for pod in running)
            found.append(controller.log.result(ran, item.part.extended, held, windows))
        return tuple(found)
