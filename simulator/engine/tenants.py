"""Tenants: businesses with nodes of their own. Their pools are tainted, their pods tolerate that taint and no other tenant's.

AWS is open to all of them. Workloads are dealt to tenants in turn; where there are fewer workloads than tenants, every
workload has a part of its replicas with each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.fleet import NodePool
from models.scenario import Scenario, ZonePart
from simulator.engine.constraints import Constraints
from simulator.engine.kube.objects import Toleration


@dataclass(frozen=True, slots=True)
class Tenants:
    """How many share the demand, and the taint key of their nodes; one tenant is no tenant."""

    count: int = 1
    key: str = ""

    def name(self, number: int) -> str:
        """The value of the taint of tenant `number`, counted from 0."""
        return f"t{number + 1}"

    def constraints(self, number: int) -> Constraints | None:
        """What the pods of a tenant tolerate; None without tenants."""
        if self.count == 1:
            return None
        return Constraints(tolerations=(Toleration(self.key, "Equal", self.name(number), "NoSchedule"),))

    def parts(self, replicas: NDArray[np.int64], position: int, workloads: int) -> list[tuple[int, NDArray[np.int64]]]:
        """(tenant, replicas) of the workload at `position` among `workloads`.

        >>> [(n, part.tolist()) for n, part in Tenants(2, "k").parts(np.array([5, 2]), 3, 4)]
        [(1, [5, 2])]
        >>> [(n, part.tolist()) for n, part in Tenants(2, "k").parts(np.array([5, 2]), 0, 1)]
        [(0, [3, 1]), (1, [2, 1])]
        """
        if workloads >= self.count:
            return [(position % self.count, replicas)]
        whole, rest = np.divmod(replicas, self.count)
        return [(n, whole + (rest > n)) for n in range(self.count)]


def tenants_of(scenario: Scenario) -> Tenants:
    """The tenants of the zones that give them nodes of their own."""
    count = max((zone.tenants for zone in scenario.zones if zone.own_nodes), default=1)
    return Tenants(count, f"{scenario.export.label_prefix}/tenant") if count > 1 else Tenants()


def split_pools(pools: Sequence[NodePool], zone: ZonePart, tenants: Tenants) -> list[NodePool]:
    """The pools of a zone, one for each tenant where they have nodes of their own; the first tenants take what is left over."""
    if not zone.own_nodes or zone.tenants == 1:
        return list(pools)
    out = []
    for pool in pools:
        for n in range(zone.tenants):
            nodes, most = (_part(total, n, zone.tenants) for total in (pool.nodes, pool.max_nodes))
            taint = f"{tenants.key}={tenants.name(n)}:NoSchedule"
            name = f"{pool.name}-{tenants.name(n)}"
            out.append(replace(pool, name=name, nodes=nodes, max_nodes=most, taints=(*pool.taints, taint)))
    return out


def _part(total: int, number: int, parts: int) -> int:
    """Share `number` of `total` in `parts` whole shares.

    >>> [_part(7, n, 3) for n in range(3)]
    [3, 2, 2]
    """
    return total // parts + (number < total % parts)
