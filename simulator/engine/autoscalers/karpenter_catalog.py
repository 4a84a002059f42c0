"""What Karpenter may launch: instance types with their labels and offerings, and NodePools.

Source: kubernetes-sigs/karpenter pkg/cloudprovider/types.go, kwok/cloudprovider and pkg/apis/v1/nodepool.go at 1.14.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from simulator.engine.autoscalers.binpacking import Matrix
from simulator.engine.autoscalers.karpenter_budgets import Budget
from simulator.engine.autoscalers.karpenter_requirements import ANY, Allowed, Requirements, intersects
from simulator.engine.kube.objects import ZONE, Amounts, Labels, Node, Taint

Flags = NDArray[np.bool_]
CAPACITY_TYPE = "karpenter.sh/capacity-type"
INSTANCE_TYPE = "node.kubernetes.io/instance-type"
NODEPOOL = "karpenter.sh/nodepool"
ARCH = "kubernetes.io/arch"
OS = "kubernetes.io/os"
WELL_KNOWN = frozenset(
    (NODEPOOL, ZONE, "topology.kubernetes.io/region", INSTANCE_TYPE, ARCH, OS, CAPACITY_TYPE, "node.kubernetes.io/windows-build")
)
MOST_TYPES = 600
"""Instance types that a claim may name, cheapest first (MaxInstanceTypes)."""


@dataclass(frozen=True, slots=True)
class Offering:
    """An instance type in one zone under one capacity type."""

    zone: str
    capacity_type: str
    usd_per_h: float

    def suits(self, requirements: Requirements) -> bool:
        """Whether a node with these requirements may use it."""
        return requirements.get(ZONE, ANY).has(self.zone) and requirements.get(CAPACITY_TYPE, ANY).has(self.capacity_type)


@dataclass(frozen=True, slots=True)
class InstanceType:
    """One type: what it has, what it is labelled with, where it is offered (only offerings that are available)."""

    name: str
    capacity: Amounts
    requirements: Requirements
    offerings: tuple[Offering, ...]

    def cheapest(self, requirements: Requirements) -> float:
        """Price of the cheapest offering that suits, infinite when none does."""
        return min((part.usd_per_h for part in self.offerings if part.suits(requirements)), default=float("inf"))

    def worst(self, requirements: Requirements) -> float:
        """The dearest offering of the capacity type that would be launched: reserved, else spot, else on-demand."""
        for kind in ("reserved", "spot", "on-demand"):
            prices = [part.usd_per_h for part in self.offerings if part.capacity_type == kind and part.suits(requirements)]
            if prices:
                return max(prices)
        return float("inf")


@dataclass(frozen=True, slots=True)
class Catalog:
    """Every type, with allocatable: int64 [types, axes]; `known` are labels that a node may have without a pool naming them."""

    types: tuple[InstanceType, ...]
    allocatable: Matrix
    known: frozenset[str] = WELL_KNOWN
    _masks: dict[tuple[Allowed | None, ...], Flags] = field(default_factory=dict)
    _keys: list[str] = field(default_factory=list)

    @property
    def names(self) -> tuple[str, ...]:
        """Names in the order of the file."""
        return tuple(kind.name for kind in self.types)

    def suiting(self, requirements: Requirements) -> Flags:
        """Types that meet the requirements and have an offering for them: bool [types]."""
        if not self._keys:
            self._keys.extend(sorted({key for kind in self.types for key in kind.requirements}))
        signature = tuple(requirements.get(key) for key in self._keys)
        if signature not in self._masks:
            fits = [
                intersects(kind.requirements, requirements) and any(part.suits(requirements) for part in kind.offerings)
                for kind in self.types
            ]
            self._masks[signature] = np.array(fits, dtype=np.bool_)
        return self._masks[signature]

    def varied(self, types: Flags, requirements: Requirements) -> bool:
        """Whether `types` offer as many different values as every `minValues` wants."""
        wished = ((key, allowed.min_values) for key, allowed in requirements.items() if allowed.min_values is not None)
        return all(self._values(types, key) >= least for key, least in wished)

    def lowered(self, types: Flags, requirements: Requirements) -> dict[str, Allowed]:
        """The requirements with every `minValues` lowered to what `types` offer."""
        return {
            key: allowed if allowed.min_values is None else replace(allowed, min_values=min(allowed.min_values, self._values(types, key)))
            for key, allowed in requirements.items()
        }

    def _values(self, types: Flags, key: str) -> int:
        """Different values of a label that `types` offer."""
        return len(frozenset[str]().union(*(self.types[int(at)].requirements.get(key, ANY).values for at in np.flatnonzero(types))))

    def cheapest_first(self, types: Flags, requirements: Requirements) -> list[int]:
        """Rows of `types` by the price of their cheapest offering that suits, at most `MOST_TYPES`."""
        rows = np.flatnonzero(types).tolist()
        return sorted(rows, key=lambda at: self.types[at].cheapest(requirements))[:MOST_TYPES]

    def launched(self, types: Flags, requirements: Requirements, pick: Callable[[int], int]) -> tuple[int, Offering]:
        """The type and offering that the provider takes: the cheapest; of equal types the first by name, of its offerings any."""
        rows = sorted(self.cheapest_first(types, requirements), key=lambda at: self.types[at].name)
        best = min(rows, key=lambda at: self.types[at].cheapest(requirements))
        least = self.types[best].cheapest(requirements)
        equal = [part for part in self.types[best].offerings if part.suits(requirements) and part.usd_per_h == least]
        return best, equal[pick(len(equal))]


@dataclass(frozen=True, slots=True)
class Pool:
    """A NodePool. `limits` are amounts by resource (`nodes` among them); times are milliseconds, None for Never.

    policy : WhenEmpty, WhenEmptyOrUnderutilized or Balanced; replicas: nodes of a static pool, which takes no pods by itself.
    """

    name: str
    weight: int
    requirements: Requirements
    labels: Labels
    limits: Mapping[str, int] = field(default_factory=dict)
    taints: tuple[Taint, ...] = ()
    policy: str = "WhenEmptyOrUnderutilized"
    consolidate_after_ms: int | None = 0
    budgets: tuple[Budget, ...] = ()
    expire_after_ms: int | None = None
    grace_ms: int | None = None
    replicas: int | None = None


def by_weight(pools: tuple[Pool, ...]) -> tuple[Pool, ...]:
    """Pools in the order they are tried: heavier first, then by falling name (nodepool.OrderByWeight)."""
    return tuple(sorted(sorted(pools, key=lambda pool: pool.name, reverse=True), key=lambda pool: -pool.weight))


def launchable(pool: Pool, kind: InstanceType) -> tuple[Node, ...]:
    """The nodes of this type that the pool may make, one for each offering, by their labels."""
    single = {key: next(iter(part.values)) for key, part in kind.requirements.items() if part.listed and len(part.values) == 1}
    fixed = {key: next(iter(part.values)) for key, part in pool.requirements.items() if part.listed and len(part.values) == 1}
    return tuple(
        Node(kind.name, {}, {**pool.labels, **fixed, **single, ZONE: part.zone, CAPACITY_TYPE: part.capacity_type}, pool.taints)
        for part in kind.offerings
        if part.suits(pool.requirements)
    )
