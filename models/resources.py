"""ResourceAxes: which resources an array's last axis holds, in which order and unit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CPU = "cpu_m"
MEMORY = "memory_mib"
PODS = "pods"


@dataclass(frozen=True, slots=True)
class ResourceAxes:
    """Names in order: cpu_m, memory_mib, pods, then extended resources by their Kubernetes name."""

    names: tuple[str, ...] = (CPU, MEMORY, PODS)

    def __post_init__(self) -> None:
        if self.names[:3] != (CPU, MEMORY, PODS) or len(set(self.names)) != len(self.names):
            raise ValueError(f"axes must start with cpu_m, memory_mib, pods and not repeat: {self.names}")

    def __len__(self) -> int:
        return len(self.names)

    def index(self, name: str) -> int:
        """Position of `name` on the axis."""
        return self.names.index(name)

    def vector(self, amounts: Mapping[str, float]) -> NDArray[np.float64]:
        """float64 [axes] of `amounts`; absent names are 0, unknown names are refused."""
        unknown = set(amounts) - set(self.names)
        if unknown:
            raise ValueError(f"unknown resources {sorted(unknown)}; axes are {self.names}")
        return np.array([amounts.get(name, 0.0) for name in self.names])
