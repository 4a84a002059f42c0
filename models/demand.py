"""Demand: requested resources by hour and workload, the quantity that capacity is built for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from models.horizon import Horizon
from models.node import NodeShape
from models.resources import CPU, MEMORY, PODS, ResourceAxes
from models.workload import Workload


@dataclass(frozen=True)
class Demand:
    """requests : float64 [hours, classes, axes]; `classes` are workloads (namespace/name) in the order of the array.

    `workloads` gives pod shapes and replicas where they are known (`source` "requests"); a demand rebuilt from a bill
    alone (`source` "bill") has none, and its classes are instance types. `notes` say what was filled in or left out.
    `replaced` are measured workloads that are not in it because a workload of the scenario stands in their place.
    `grown`: by which factor it stands above what was measured; controllers see their load grown so too.
    """

    horizon: Horizon
    axes: ResourceAxes
    classes: tuple[str, ...]
    requests: NDArray[np.float64]
    workloads: tuple[Workload, ...]
    source: Literal["requests", "bill"]
    notes: tuple[str, ...] = ()
    replaced: tuple[Workload, ...] = ()
    grown: float = 1.0

    def total(self, axis: str) -> NDArray[np.float64]:
        """Sum over classes: float64 [hours] in the axis's unit."""
        return np.asarray(self.requests[:, :, self.axes.index(axis)].sum(axis=1))

    def binding_axis(self, shape: NodeShape) -> str:
        """The resource whose peak needs most nodes of `shape`; cpu on a tie."""
        room = {CPU: shape.schedulable_cpu_m, MEMORY: shape.schedulable_memory_mib, PODS: shape.schedulable_pods}
        return max(room, key=lambda axis: (float(self.total(axis).max(initial=0.0)) / room[axis], axis == CPU))
