"""Inventory: servers and flavours that a company already has, generation by generation, old hardware included."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from models.node import NodeShape, gke_reserved_memory_mib, kube_reserved_cpu_m
from models.unknown import Unknown, known

DAYS_PER_YEAR = 365.25
NOT_GIVEN = Unknown("not in the inventory")
MILLICORES_PER_THREAD = 1000


@dataclass(frozen=True, slots=True)
class ServerGroup:
    """Servers of one generation. `speed` is work per thread relative to the AWS worker's; watts are for one server.

    `used_threads` and `used_memory_mib` say how much of the whole group is taken already; `service` names where it stands:
    "static", "nova" (a hypervisor) or "ironic" (bare metal that can be deployed).
    """

    name: str
    count: int
    threads: int
    memory_mib: int
    cores: int | Unknown = NOT_GIVEN
    bought: date | Unknown = NOT_GIVEN
    watts_idle: float | Unknown = NOT_GIVEN
    watts_peak: float | Unknown = NOT_GIVEN
    speed: float | Unknown = NOT_GIVEN
    failures_per_year: float | Unknown = NOT_GIVEN
    book_value_usd: float | Unknown = NOT_GIVEN
    support_usd_per_year: float | Unknown = NOT_GIVEN
    used_threads: float | Unknown = NOT_GIVEN
    used_memory_mib: float | Unknown = NOT_GIVEN
    gpus: Mapping[str, int] = field(default_factory=dict)
    service: str = "static"

    def age_years(self, as_of: date) -> float | Unknown:
        """Years in service on `as_of`.

        >>> round(ServerGroup("r640", 12, 64, 524288, bought=date(2019, 5, 1)).age_years(date(2026, 5, 1)), 2)
        7.0
        """
        return self.bought if isinstance(self.bought, Unknown) else (as_of - self.bought).days / DAYS_PER_YEAR

    @property
    def unknowns(self) -> tuple[str, ...]:
        """Names of the fields that the inventory does not say."""
        return tuple(name for name in self.__slots__ if isinstance(getattr(self, name), Unknown))

    def node_shape(self, *, max_pods: int = 110) -> NodeShape:
        """One such server as a Kubernetes node; needs speed and watts.

        >>> ServerGroup("r640", 1, 64, 524288, speed=0.8, watts_idle=180.0, watts_peak=450.0).node_shape().allocatable_cpu_m
        63770
        """
        return NodeShape(
            name=self.name,
            cpu_m=self.threads * MILLICORES_PER_THREAD,
            memory_mib=self.memory_mib,
            max_pods=max_pods,
            kube_reserved_cpu_m=kube_reserved_cpu_m(self.threads),
            kube_reserved_memory_mib=gke_reserved_memory_mib(self.memory_mib),
            extended=dict(self.gpus),
            speed=known(self.speed, f"speed of {self.name}"),
            watts_idle=known(self.watts_idle, f"watts_idle of {self.name}"),
            watts_peak=known(self.watts_peak, f"watts_peak of {self.name}"),
        )


@dataclass(frozen=True, slots=True)
class Flavour:
    """A VM size that a cloud offers; `extra` holds its extra specs."""

    name: str
    threads: int
    memory_mib: int
    disk_gib: int
    extra: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Inventory:
    """All groups and flavours of one source, in name order."""

    groups: tuple[ServerGroup, ...]
    flavours: tuple[Flavour, ...] = ()
    source: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def servers(self) -> int:
        """Servers in all groups."""
        return sum(group.count for group in self.groups)

    @property
    def threads(self) -> int:
        """Threads of all servers."""
        return sum(group.count * group.threads for group in self.groups)

    @property
    def memory_mib(self) -> int:
        """Memory of all servers."""
        return sum(group.count * group.memory_mib for group in self.groups)
