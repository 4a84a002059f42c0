"""NodePool and Fleet: how many nodes, of which shape, in which zone, from which hour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from models.node import NodeShape


@dataclass(frozen=True)
class NodePool:
    """Nodes of one shape in one zone that scale together.

    `nodes` stand from `from_hour`; an autoscaler may grow the pool to `max_nodes` (equal for a static pool).
    Higher `priority` is filled first: private pools stand above burst pools. `usd_per_h` is the price of a rented node,
    None where unknown or owned; pools of one `group` share `group_max` nodes and are tried by `weight`. Jobs begin their
    work `start_latency_ms` after they got a node here (image pull, driver), and hold their place meanwhile.
    """

    name: str
    zone: str
    kind: str
    shape: NodeShape
    nodes: int
    max_nodes: int
    private: bool
    priority: int = 0
    from_hour: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[str, ...] = ()
    usd_per_h: float | None = None
    spot: bool = False
    group: str = ""
    group_max: int | None = None
    weight: int = 0
    start_latency_ms: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.nodes <= self.max_nodes:
            raise ValueError(f"pool {self.name}: nodes {self.nodes} must lie in 0..max_nodes {self.max_nodes}")


@dataclass(frozen=True)
class Fleet:
    """All pools of a scenario; the order is the tie-break order of the engine."""

    pools: tuple[NodePool, ...]

    @property
    def private_nodes(self) -> int:
        """Nodes owned."""
        return sum(pool.nodes for pool in self.pools if pool.private)
