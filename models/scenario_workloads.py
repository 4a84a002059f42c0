"""Workloads that a scenario adds to the measured demand, each run by its controller: Deployment, Job, CronJob, gang.

Pods ask for `cpu_m` millicores and `memory_mib` MiB as everywhere; hours count from the start of the horizon. Defaults are those of
Kubernetes 1.36 (autoscaling/v2, batch/v1, apps/v1) and of kube-controller-manager's flags.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, model_validator

from models.autoscaling import HpaPart, StrictPart
from models.node import NodeShape

NAME = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
DAY_H, WEEK_H = 24, 168


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError(f"{name!r} is no time zone of the IANA database (example: Asia/Seoul)") from None
    return name


def _amount(text: int | str) -> int | str:
    """A number of pods, or a percentage such as "25%", as Kubernetes' IntOrString."""
    if isinstance(text, str) and not (text.endswith("%") and text[:-1].isdigit()):
        raise ValueError(f'{text!r} is neither a number of pods nor a percentage such as "25%"')
    if isinstance(text, int) and text < 0:
        raise ValueError("a number of pods is not negative")
    return text


TimeZone = Annotated[str, AfterValidator(_known_zone)]
PodsOrPercent = Annotated[int | str, AfterValidator(_amount)]


class CurvePart(StrictPart):
    """A value that changes in steps: 24 values for every day or 168 for every week from Monday on, or (hour, value) steps."""

    by_hour: tuple[float, ...] = Field((), description="24 or 168 values, by local hour")
    steps: tuple[tuple[float, float], ...] = Field((), description="(hours since the horizon's start, value from then on)")
    time_zone: TimeZone = "UTC"

    @model_validator(mode="after")
    def _one_way(self) -> CurvePart:
        if bool(self.by_hour) == bool(self.steps):
            raise ValueError("give by_hour or steps, one of the two")
        if self.by_hour and len(self.by_hour) not in (DAY_H, WEEK_H):
            raise ValueError(f"by_hour has {len(self.by_hour)} values; give {DAY_H} for a day or {WEEK_H} for a week")
        hours = [hour for hour, _ in self.steps]
        if any(later <= earlier for earlier, later in pairwise(hours)) or any(hour < 0 for hour in hours):
            raise ValueError("steps come in rising order of their hour, from 0 on")
        if any(value < 0 for value in (*self.by_hour, *(value for _, value in self.steps))):
            raise ValueError("values are not negative")
        return self


class ImagePart(StrictPart):
    """What a node pulls before the first pod of a workload starts there: own layers, and those of a base that others share."""

    mib: float = Field(ge=0.0, description="compressed MiB of the layers that only this image has")
    base: str = Field("", description="name of the base whose layers are shared")
    base_mib: float = Field(0.0, ge=0.0, description="compressed MiB of the base; equal wherever the base is named")


class CanaryStep(StrictPart):
    """A share of the pods runs the new version for a while."""

    weight_share: float = Field(gt=0.0, le=1.0)
    pause_s: float = Field(0.0, ge=0.0)


class RolloutPart(StrictPart):
    """How and when a new version replaces the old one. Times: a cron `schedule`, or hours of the horizon in `at_h`."""

    strategy: Literal["rolling", "blue_green", "canary", "recreate"] = "rolling"
    schedule: str = ""
    at_h: tuple[float, ...] = ()
    time_zone: TimeZone = "UTC"
    max_surge: PodsOrPercent = "25%"
    max_unavailable: PodsOrPercent = "25%"
    min_ready_s: float = Field(0.0, ge=0.0)
    keep_old_s: float = Field(30.0, ge=0.0, description="blue/green: the old version stays for this long after the switch")
    steps: tuple[CanaryStep, ...] = Field((CanaryStep(weight_share=0.2, pause_s=60.0),), min_length=1, description="canary")

    @model_validator(mode="after")
    def _some_time(self) -> RolloutPart:
        if bool(self.schedule) == bool(self.at_h):
            raise ValueError("give schedule or at_h, one of the two")
        return self


class PodPart(StrictPart):
    """What every workload says about its pods. `like` copies requests (and replicas, of a Deployment) of a measured workload.

    `instead` takes that measured workload out of the measured demand, so that the controller runs it in its place.
    """

    name: str = Field(pattern=NAME)
    namespace: str = Field("extra", pattern=NAME)
    like: str | None = Field(None, description="namespace/name of a measured workload")
    instead: bool = False
    cpu_m: int | None = Field(None, ge=1)
    memory_mib: int | None = Field(None, ge=1)
    extended: dict[str, int] = Field(default_factory=dict, description="one extended resource at most, such as nvidia.com/gpu")
    priority: int = 0
    home: Literal["any", "private", "burst"] = Field("any", description="the side its pods may run on")
    image: ImagePart | None = Field(None, description="nothing to pull when absent")
    start_s: float | None = Field(None, ge=0.0, description="image there to Ready; the catalog's pod_start_p50_s when absent")
    grace_s: float = Field(0.0, ge=0.0, description="time that a stopped pod takes to end, at most its terminationGracePeriodSeconds")
    suspend: bool = Field(False, description="nothing of it starts: no run, no replica")
    meshed: bool = Field(True, description="carries the mesh's proxy, where the platform has a mesh")

    @property
    def full_name(self) -> str:
        """namespace/name."""
        return f"{self.namespace}/{self.name}"

    @model_validator(mode="after")
    def _requests(self) -> PodPart:
        if self.like is None and (self.cpu_m is None or self.memory_mib is None):
            raise ValueError("give cpu_m and memory_mib, or name a measured workload in `like`")
        if self.instead and self.like is None:
            raise ValueError("`instead` needs `like`: the measured workload whose place is taken")
        if len(self.extended) > 1:
            raise ValueError("the engine schedules one extended resource per pod")
        return self


class DeploymentPart(PodPart):
    """Replicas that stand still, follow a curve, or follow a load through an autoscaler."""

    kind: Literal["deployment"]
    workload_class: Literal["service", "ml"] = "service"
    replicas: int | CurvePart | None = Field(None, description="pods, or a curve of them; with an hpa: the first hour's (default min)")
    times: float = Field(1.0, gt=0.0, description="factor on replicas and load")
    load: CurvePart | None = Field(None, description="what the hpa's metrics measure, in units of their targets")
    cpu_per_load_m: float = Field(0.0, ge=0.0, description="millicores that one unit of load uses (metric cpu)")
    memory_per_load_mib: float = Field(0.0, ge=0.0, description="MiB that one unit of load uses (metric memory)")
    hpa: HpaPart | None = None
    rollouts: tuple[RolloutPart, ...] = ()

    @model_validator(mode="after")
    def _driven(self) -> DeploymentPart:
        if self.hpa is None and self.load is not None:
            raise ValueError("a load without an hpa has no effect: add one, or give replicas as a curve")
        if self.hpa is not None and self.load is None:
            raise ValueError("an hpa needs a load")
        if self.hpa is not None and isinstance(self.replicas, CurvePart):
            raise ValueError("an hpa sets the replicas itself: give a number to start from, or nothing")
        if self.hpa is None and self.replicas is None and self.like is None:
            raise ValueError("give replicas, a load with an hpa, or name a measured workload in `like`")
        used = {"cpu": self.cpu_per_load_m, "memory": self.memory_per_load_mib}
        missing = [metric.kind for metric in (self.hpa.metrics if self.hpa else ()) if used.get(metric.kind) == 0.0]
        if missing:
            raise ValueError(f"metric {missing[0]} needs {missing[0]}_per_load_{'m' if missing[0] == 'cpu' else 'mib'}")
        return self


class JobPart(PodPart):
    """Pods that run once: `completions` of them, `parallelism` at one time. Lost pods count towards `backoff_limit`."""

    kind: Literal["job"]
    workload_class: Literal["batch", "ml"] = "batch"
    at_h: tuple[float, ...] = Field((0.0,), min_length=1)
    duration_s: float = Field(gt=0.0, description="run time of a pod, from its start on")
    completions: int = Field(1, ge=1)
    parallelism: int = Field(1, ge=1)
    backoff_limit: int = Field(6, ge=0)


class CronJobPart(PodPart):
    """Jobs by a five-field cron schedule in a time zone."""

    kind: Literal["cronjob"]
    workload_class: Literal["batch", "ml"] = "batch"
    schedule: str
    time_zone: TimeZone = "UTC"
    concurrency_policy: Literal["Allow", "Forbid", "Replace"] = "Allow"
    starting_deadline_s: float | None = Field(None, ge=0.0)
    duration_s: float = Field(gt=0.0)
    completions: int = Field(1, ge=1)
    parallelism: int = Field(1, ge=1)
    backoff_limit: int = Field(6, ge=0)


class GangPart(PodPart):
    """Pods that start together or not at all, as a PodGroup or an all-or-nothing Kueue workload; lost together too."""

    kind: Literal["gang"]
    workload_class: Literal["batch", "ml"] = "ml"
    members: int = Field(ge=1)
    schedule: str = ""
    at_h: tuple[float, ...] = ()
    time_zone: TimeZone = "UTC"
    duration_s: float = Field(gt=0.0, description="run time once all members are ready")
    timeout_s: float | None = Field(None, gt=0.0, description="gives up when not admitted for this long; waits for ever when absent")
    backoff_limit: int = Field(3, ge=0, description="starts over this often when a node is lost")

    @model_validator(mode="after")
    def _some_time(self) -> GangPart:
        if bool(self.schedule) == bool(self.at_h):
            raise ValueError("give schedule or at_h, one of the two")
        return self


class SessionsPart(PodPart):
    """Interactive workspaces: one pod a session, culled when idle."""

    kind: Literal["sessions"]
    workload_class: Literal["service", "ml"] = "service"
    arrivals: CurvePart = Field(description="sessions begun per hour")
    times: float = Field(1.0, gt=0.0, description="factor on arrivals")
    active_s: float = Field(3600.0, gt=0.0, description="mean time that a user works; exponential")
    idle_s: float = Field(3600.0, ge=0.0, description="how long a workspace stands after its user has left")


WorkloadPart = Annotated[DeploymentPart | JobPart | CronJobPart | GangPart | SessionsPart, Field(discriminator="kind")]


class RegistryPart(StrictPart):
    """The link that image pulls share, and what a node does with an image."""

    gbit_per_s: float = Field(10.0, gt=0.0, description="the registry's link")
    node_gbit_per_s: float | None = Field(None, gt=0.0, description="most that one pull can take; the link alone limits when absent")
    serial: bool = Field(True, description="a node pulls one image at a time (kubelet's serializeImagePulls)")


class DaemonSetPart(StrictPart):
    """One more pod on every node."""

    name: str = Field(pattern=NAME)
    cpu_m: int = Field(ge=0)
    memory_mib: int = Field(ge=0)


class PlatformPart(StrictPart):
    """What every pod or node carries besides the work: a service mesh's proxy, more DaemonSets."""

    mesh: Literal["none", "linkerd", "istio"] = "none"
    mesh_measured: bool = Field(True, description="measured services carry the proxy too; jobs never do")
    daemonsets: tuple[DaemonSetPart, ...] = ()

    def on_node(self, shape: NodeShape) -> NodeShape:
        """The node with the further DaemonSets on it: their requests, and a pod slot each."""
        if not self.daemonsets:
            return shape
        return replace(
            shape,
            daemonset_cpu_m=shape.daemonset_cpu_m + sum(part.cpu_m for part in self.daemonsets),
            daemonset_memory_mib=shape.daemonset_memory_mib + sum(part.memory_mib for part in self.daemonsets),
            daemonset_pods=shape.daemonset_pods + len(self.daemonsets),
        )


WORKLOAD_KINDS: dict[str, type[PodPart]] = {
    "deployment": DeploymentPart,
    "job": JobPart,
    "cronjob": CronJobPart,
    "gang": GangPart,
    "sessions": SessionsPart,
}
