"""Scheduler policies: one file each, weights for the shared placement kernel.

Register with `POLICIES.register("default", Policy(...))`; a new file is found at the first look-up.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.registry import Registry

MAX_WEIGHT_SUM = 10


@dataclass(frozen=True, slots=True)
class Policy:
    """Weights of the resource plug-ins of a kube-scheduler profile; each plug-in scores 0..100.

    `fit` scores free room (LeastAllocated), or used room with `most_allocated`; `balance` is BalancedAllocation.
    """

    title: str
    fit: int = 1
    balance: int = 1
    most_allocated: bool = False

    def __post_init__(self) -> None:
        if self.fit < 0 or self.balance < 0 or not 0 < self.fit + self.balance <= MAX_WEIGHT_SUM:
            raise ValueError(f"policy weights must be >= 0 and sum to 1..{MAX_WEIGHT_SUM}: fit {self.fit}, balance {self.balance}")

    def rules(self, kubernetes_version: str) -> NDArray[np.int32]:
        """int32 [5] for the kernel: fit weight, balance weight, most allocated, balance mask and shift of the version."""
        changed = scores_change_of_balance(kubernetes_version)
        return np.array([self.fit, self.balance, int(self.most_allocated), -int(changed), int(changed)], dtype=np.int32)


def scores_change_of_balance(kubernetes_version: str) -> bool:
    """Whether BalancedAllocation scores the change a pod brings: since 1.36 (kubernetes/kubernetes#135573).

    >>> scores_change_of_balance("1.35"), scores_change_of_balance("1.36")
    (False, True)
    """
    major, minor = kubernetes_version.split(".")[:2]
    return (int(major), int(minor)) >= (1, 36)


POLICIES: Registry[Policy] = Registry("scheduler policy", __name__)
