"""EngineConfig: everything a run needs besides pods and pools, as one frozen value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from models.control import DeschedulerPart, KarpenterPart, UpgradePart, WaitPart
from models.workload import WorkloadClass
from models.zones import Provisioning
from simulator.engine.workloads.setup import WorkloadSetup

SCAN_S = {"karpenter": 1.0, "cluster_autoscaler": 10.0}
"""Karpenter batches for 1 s of silence; Cluster Autoscaler looks every 10 s (`--scan-interval`)."""

IDLE_S = {"karpenter": 300.0, "cluster_autoscaler": 600.0}
"""How long a node stays empty before it goes: the exported `consolidateAfter` and the default `scale-down-unneeded-time`."""


@dataclass(frozen=True, slots=True)
class FailureModel:
    """Server-down failures of private nodes: exponential gaps, log-normal repair through p50 and p95."""

    per_year: float = 0.0
    repair_p50_h: float = 8.0
    repair_p95_h: float = 48.0


@dataclass(frozen=True, slots=True)
class CloudRisk:
    """What a cloud may refuse or take back; pools that are not private.

    An order fails with `insufficient_share`; the pool is not asked again for `retry_s` (Karpenter remembers an unavailable
    offering for 3 min). Spot capacity is taken back `interruptions_per_h` times per hour of a standing pool, each node
    with `co_interruption_share` (losses come together: 92 % of a type and zone within 3 min, arxiv.org/abs/2604.16457);
    the notice of two minutes is spent draining, so its pods queue at the notice and the node is paid until its end.
    """

    insufficient_share: float = 0.0
    retry_s: float = 180.0
    interruptions_per_h: float = 0.0
    co_interruption_share: float = 0.92
    notice_s: float = 120.0


@dataclass(frozen=True, slots=True)
class Autoscaling:
    """One node autoscaler: looks on a grid of `scan_s`, removes nodes that were empty for `idle_s`.

    `patience_s` is the waiting budget: a pod is worth a new node only once it has waited for that long, in the hope of
    room on nodes that stand (Cluster Autoscaler's `--new-pod-scale-up-delay`). `event_driven` sleeps through looks that
    cannot do anything; the log is the same as with polling.
    """

    scan_s: float = 10.0
    idle_s: float = 600.0
    patience_s: float = 0.0
    event_driven: bool = True


@dataclass(frozen=True)
class EngineConfig:
    """How a run behaves. `provisioning` maps a pool's name to its times; a pool without an entry is ready at once.

    `nodes_down` takes the last nodes of the private pools away for the whole run (the spare that is not counted on).
    `tree` forces the placement engine (None: by size); both give the same placements. `autoscaler` names a registered
    node autoscaler: "grid" is the simple one of `Autoscaling`, the others follow the real programs. `risks` are the risks
    of single pools, by name, instead of `cloud`; `pool_failures` stands instead of `failures` in the same way (old servers).
    `start` dates hour 0, for schedules. `workloads` are run by their controllers; the trace needs their slots
    (`Trace.with_dynamic(workloads.slots)`). `preemption`: pods of higher priority evict lower ones. `start_latency_s` by pool:
    how long a job holds its place before its work begins.
    """

    kubernetes_version: str = "1.36"
    policy: str = "default"
    ties: Literal["lowest", "random"] = "random"
    provisioning: Mapping[str, Provisioning] = field(default_factory=dict)
    failures: FailureModel = FailureModel()
    pool_failures: Mapping[str, FailureModel] = field(default_factory=dict)
    cloud: CloudRisk = CloudRisk()
    autoscaling: Autoscaling = Autoscaling()
    nodes_down: int = 0
    tree: bool | None = None
    autoscaler: str = "grid"
    karpenter: KarpenterPart = field(default_factory=KarpenterPart)
    consolidates: bool = False
    flags: Mapping[str, Any] = field(default_factory=dict)
    descheduler: DeschedulerPart | None = None
    wait: Mapping[WorkloadClass, WaitPart] = field(default_factory=dict)
    upgrades: tuple[UpgradePart, ...] = ()
    risks: Mapping[str, CloudRisk] = field(default_factory=dict)
    start: datetime = datetime(2026, 1, 5, tzinfo=UTC)
    preemption: bool = False
    percentage_of_nodes_to_score: int = 100
    start_latency_s: Mapping[str, float] = field(default_factory=dict)
    workloads: WorkloadSetup | None = None
