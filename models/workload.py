"""Workload: pods of one shape whose number changes by the hour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

WorkloadClass = Literal["service", "batch", "ml"]


@dataclass(frozen=True)
class Workload:
    """A Deployment, Job or the like. `replicas : int64 [hours]`, requests per pod in millicores and MiB.

    `controlled`: `replicas` are what to expect; in a simulation a controller of the scenario decides how many there are.
    """

    name: str
    namespace: str
    cpu_m: int
    memory_mib: int
    replicas: NDArray[np.int64]
    workload_class: WorkloadClass = "service"
    team: str = ""
    users: int = 0
    may_burst: bool = True
    priority: int = 0
    extended: Mapping[str, int] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    controlled: bool = False

    @property
    def full_name(self) -> str:
        """namespace/name, unique in a cluster."""
        return f"{self.namespace}/{self.name}"
