"""WorkloadResult: what one replication says of a workload that a controller ran."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from models.units import ceil_int

RunOutcome = Literal["completed", "failed", "timed_out", "replaced", "running", "waiting"]


@dataclass(frozen=True, slots=True)
class ScaleOut:
    """One growth of a Deployment: from the first larger wish until every wanted replica was Ready; seconds of the horizon.

    `load_at_s` is when the load had last changed before it; `ready_at_s` None when it never came to rest.
    """

    load_at_s: float
    at_s: float
    from_replicas: int
    to_replicas: int
    ready_at_s: float | None


@dataclass(frozen=True, slots=True)
class JobRun:
    """One run of a Job, CronJob or gang; seconds of the horizon. `started_s`: its first pod (a gang: all of them) got nodes."""

    due_s: float
    started_s: float | None
    finished_s: float | None
    outcome: RunOutcome


@dataclass(frozen=True)
class WorkloadResult:
    """`ready_s` : float64 [pods that became Ready] from creation to Ready; `wait_s` to a node; `pull_s` from there to the image.

    `replicas`: (second, wanted) at every change. `surge_pods`: most pods above the wanted ones while versions changed.
    `warm_pods[pool]`: most replicas added within `window_s[pool]`, the time that a new node of the pool takes at p95.
    `extended`: extended resources of one pod. `pods_per_node[pool]`: how many of its pods an empty node holds, 0 where none may run.
    """

    name: str
    kind: str
    pods: int
    peak_pods: int
    pod_hours: float
    extended_hours: Mapping[str, float]
    ready_s: NDArray[np.float64]
    ready_by_pool_s: Mapping[str, NDArray[np.float64]]
    wait_s: NDArray[np.float64]
    pull_s: NDArray[np.float64]
    lost: int
    replicas: tuple[tuple[float, int], ...]
    scale_outs: tuple[ScaleOut, ...]
    surge_pods: int
    rollouts_s: tuple[tuple[float, float], ...]
    runs: tuple[JobRun, ...]
    skipped: int
    restarts: int
    extended: Mapping[str, int]
    pods_per_node: Mapping[str, int]
    warm_pods: Mapping[str, int]
    window_s: Mapping[str, float]

    def nodes_for(self, pods: int) -> dict[str, int]:
        """Empty nodes of every pool that hold `pods` more of its pods; pools that hold none are left out."""
        return {pool: ceil_int(pods / held) for pool, held in self.pods_per_node.items() if held > 0}

    @property
    def unserved(self) -> int:
        """Runs that gave up, or still waited for their first pod at the end."""
        return sum(run.outcome in ("timed_out", "waiting") for run in self.runs)

    @property
    def warm_nodes(self) -> dict[str, int]:
        """Nodes that must stand ready in each pool so that no growth waits for a new one."""
        return {pool: ceil_int(pods / self.pods_per_node[pool]) for pool, pods in self.warm_pods.items() if self.pods_per_node[pool] > 0}
