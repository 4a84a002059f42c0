"""Export: a plan becomes node pools and autoscaler settings; one file per target, found by name.

A target file calls `TARGETS.register(name, Target(...))`; its `emit` is a pure function of the plan. Two burst modes
exclude each other, because two autoscalers that see the same pods both buy: `karpenter` (fixed private replicas, AWS
through NodePools) and `cluster-autoscaler` (annotated private groups, managed AWS groups, ordered by priority).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from models.plan import BuildPlan
from models.registry import Registry
from simulator.export.manifest import Manifest

MODES = ("karpenter", "cluster-autoscaler")


@dataclass(frozen=True, slots=True)
class Target:
    """One export target: in which burst modes it may appear, whether it is emitted unasked, and how.

    `instead_of_cluster_api` names zone kinds whose groups this target makes itself: when it is asked for, the Cluster API
    target leaves those kinds out, because two owners of one group would both build it.
    """

    title: str
    modes: tuple[str, ...]
    emit: Callable[[BuildPlan], tuple[Manifest, ...]]
    by_default: bool = True
    instead_of_cluster_api: tuple[str, ...] = ()


TARGETS: Registry[Target] = Registry("export target", __name__)
