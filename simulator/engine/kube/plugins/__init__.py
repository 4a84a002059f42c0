"""The scheduler's plug-ins: one file each, named and weighted as in kube-scheduler's default profile.

A plug-in may filter (give the nodes it refuses, with the upstream reason), score (an integer per node, already
normalised to 0..100), or both. A score of None means that the plug-in skips this pod, as upstream does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from models.registry import Registry
from simulator.engine.kube.cluster_state import Cluster, Ints, Mask
from simulator.engine.kube.objects import Pod, Selector

MAX_SCORE = 100
ORDER = (
    "NodeUnschedulable",
    "TaintToleration",
    "NodeAffinity",
    "NodePorts",
    "NodeResourcesFit",
    "PodTopologySpread",
    "InterPodAffinity",
    "DynamicResources",
    "NodeResourcesBalancedAllocation",
    "ImageLocality",
)
"""The default profile; a node is refused by the first filter in this order."""


@dataclass(frozen=True)
class Settings:
    """What a KubeSchedulerConfiguration may change.

    `kubernetes_minor` picks the formulas (BalancedAllocation changed in 1.36). `fit_strategy` is LeastAllocated,
    MostAllocated or RequestedToCapacityRatio over `fit_resources` (resource -> weight); `fit_shape` holds its points as
    (utilisation 0..100, score 0..10). `default_selectors` gives the pods of a Service or controller for default
    spreading; None leaves it off. `weights` override the default profile's, and `filters` lists the plug-ins that may
    refuse.
    """

    kubernetes_minor: int = 36
    fit_strategy: str = "LeastAllocated"
    fit_resources: Mapping[str, int] = field(default_factory=lambda: {"cpu": 1, "memory": 1})
    fit_shape: tuple[tuple[int, int], ...] = ((0, 0), (100, 10))
    balance_resources: tuple[str, ...] = ("cpu", "memory")
    hard_pod_affinity_weight: int = 1
    weights: Mapping[str, int] = field(default_factory=dict)
    filters: tuple[str, ...] = ORDER
    default_selectors: Callable[[Pod], Selector | None] | None = None


@dataclass(frozen=True)
class Refusal:
    """Nodes refused for one reason. `resolvable` nodes might take the pod if other pods left (upstream Unschedulable)."""

    nodes: Mask
    reason: str
    resolvable: Mask


class Cycle:
    """One pod against the cluster: what several plug-ins need is worked out once."""

    def __init__(self, cluster: Cluster, pod: Pod, settings: Settings) -> None:
        self.cluster = cluster
        self.pod = pod
        self.settings = settings

    @cached_property
    def affine(self) -> Mask:
        """Nodes that nodeSelector and required node affinity allow: bool [nodes]."""
        from simulator.engine.kube.plugins.node_affinity import affine_nodes

        return affine_nodes(self.cluster, self.pod)

    @cached_property
    def tolerated(self) -> Mask:
        """Nodes without a NoSchedule or NoExecute taint that the pod does not tolerate: bool [nodes]."""
        from simulator.engine.kube.objects import untolerated

        return self.cluster.where_taints(lambda taints: int(untolerated(taints, self.pod) is None)).astype(np.bool_)


FilterFunction = Callable[[Cycle], Iterable[Refusal]]
ScoreFunction = Callable[[Cycle, Ints], Ints | None]


@dataclass(frozen=True)
class Plugin:
    """`narrow(cycle)` gives refusals before any filter runs (upstream PreFilter), `filter(cycle)` in the profile's order;
    `score(cycle, rows)` gives int64 [rows] in 0..100, or None to skip the pod.
    """

    weight: int = 1
    narrow: FilterFunction | None = None
    filter: FilterFunction | None = None
    score: ScoreFunction | None = None


PLUGINS: Registry[Plugin] = Registry("scheduler plug-in", __name__)


def refuse(nodes: Mask, reason: str, resolvable: bool | Mask) -> Refusal:
    """A refusal whose nodes are all resolvable or all not, or as the mask says."""
    return Refusal(nodes, reason, nodes & resolvable)


def normalised(scores: Ints, reverse: bool = False) -> Ints:
    """Scale to 0..100 by the highest score, in integers (plug-in helper DefaultNormalizeScore).

    >>> normalised(np.array([1, 2, 3])).tolist(), normalised(np.array([0, 2]), reverse=True).tolist()
    ([33, 66, 100], [100, 0])
    """
    highest = int(scores.max(initial=0))
    if highest == 0:
        return np.full_like(scores, MAX_SCORE) if reverse else scores
    scaled = scores * MAX_SCORE // highest
    return MAX_SCORE - scaled if reverse else scaled
