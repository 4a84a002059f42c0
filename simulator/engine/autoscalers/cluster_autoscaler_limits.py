"""Limits of the whole cluster: `--cores-total`, `--memory-total` and `--gpu-total`.

Source: kubernetes/autoscaler cluster-autoscaler/resourcequotas (tracker, cloud quotas) and
core/scaleup/orchestrator applyLimits, capScaleUpsByQuota at 1.36.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from simulator.engine.kube.objects import CPU, Amounts

MILLI = 1000


@dataclass(frozen=True, slots=True)
class Limits:
    """Most (`highest`) and least (`lowest`) of each resource: cpu in cores, memory in bytes, GPUs in pieces."""

    highest: Mapping[str, int] = field(default_factory=dict)
    lowest: Mapping[str, int] = field(default_factory=dict)

    def allowed(self, used: Amounts, node: Amounts, wanted: int) -> int:
        """How many of `wanted` nodes fit under the limits.

        >>> Limits({"cpu": 40}).allowed({"cpu": 8}, {"cpu": 15_000}, 5)
        2
        """
        least = wanted
        for axis, highest in self.highest.items():
            each = counted(axis, node)
            if each > 0:
                least = min(least, (highest - used.get(axis, 0)) // each)
        return max(least, 0)

    def spare(self, used: Amounts, node: Amounts) -> bool:
        """Whether the cluster keeps its least amounts without one such node."""
        return all(used.get(axis, 0) - counted(axis, node) >= lowest for axis, lowest in self.lowest.items() if counted(axis, node))

    @staticmethod
    def added(used: Amounts, node: Amounts, nodes: int) -> dict[str, int]:
        """`used` with that many more nodes."""
        return {axis: used.get(axis, 0) + nodes * counted(axis, node) for axis in {*used, *node}}


def counted(axis: str, node: Amounts) -> int:
    """What one node counts for: whole cores, rounded up; everything else as it is."""
    amount = node.get(axis, 0)
    return -(-amount // MILLI) if axis == CPU else amount
