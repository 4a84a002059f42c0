"""Zone kinds: one file each; what a placement costs besides its workers, and how fast it grows.

A kind is stateless: it turns catalog parameters and a server into node shapes, a bill of materials and provisioning
times. Register with `ZONES.register("baremetal", BareMetal())`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from models.node import NodeShape
from models.parameter import Parameters
from models.registry import Registry
from models.scenario import ZonePart


@dataclass(frozen=True, slots=True)
class BomLine:
    """One line of the purchase list; `watts_each` at peak counts towards colocation and energy."""

    item: str
    quantity: float
    unit_usd: float
    watts_each: float = 0.0
    supported: bool = True
    why: str = ""


@dataclass(frozen=True, slots=True)
class Provisioning:
    """How a node of this zone comes to life. Log-normal through p50 and p95; `concurrent` deployments at one time.

    `clean_*` is what a returned node needs before its next life (0 where nothing is cleaned).
    """

    p50_s: float
    p95_s: float
    concurrent: int
    clean_p50_s: float = 0.0
    clean_p95_s: float = 0.0


class ZoneKind(Protocol):
    """The rules of one placement."""

    title: str
    private: bool
    masters_are_servers: bool
    needs_l4_pair: bool

    def node(self, part: ZonePart, server: NodeShape, vm: NodeShape | None, parameters: Parameters) -> NodeShape:
        """The Kubernetes worker that pods see: reservations, overhead and speed applied."""
        ...

    def workers_per_server(self, part: ZonePart, server: NodeShape, vm: NodeShape | None, parameters: Parameters) -> float:
        """How many such workers one server carries (1 on metal)."""
        ...

    def bill_of_materials(self, part: ZonePart, servers: int, server_usd: float, parameters: Parameters) -> tuple[BomLine, ...]:
        """Everything to buy for `servers` worker servers."""
        ...

    def provisioning(self, parameters: Parameters) -> Provisioning:
        """Time from a request to a Ready node once hardware stands in the rack."""
        ...

    def parameter_names(self) -> tuple[str, ...]:
        """Catalog parameters that this kind reads, for the list of what a result used."""
        ...


ZONES: Registry[ZoneKind] = Registry("zone kind", __name__)
