"""A company of our making: 1,000 developers in five teams on AWS, the shipped 40-node case.

Its calendar, teams and prices are the data set behind the case and are all assumed: five vCPU of requests per active
developer, the active share of every hour of a weekday and of a weekend day, 365 days from Monday 2025-01-06 00:00 KST,
no holidays and no noise. The seed changes names and ids only, never an amount. How the company pays for its workers
(reserved, Savings Plan, spot, on demand) is in `Purchases`; the on-demand list view of the same hours needs none of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from models.dispatch import workers_for
from models.horizon import Horizon
from models.resources import CPU, MEMORY, PODS, ResourceAxes
from models.units import HOURS_PER_YEAR
from models.usage import UsageHistory, WorkloadKey
from models.workload import Workload

Extra = Literal["edp-lines", "edp-net", "edp-map", "split", "mixed-currency", "marketplace", "legacy-cur", "cur2-csv"]
EXTRAS: tuple[Extra, ...] = ("edp-lines", "edp-net", "edp-map", "split", "mixed-currency", "marketplace", "legacy-cur", "cur2-csv")

START = datetime(2025, 1, 5, 15, tzinfo=UTC)
"""Monday 2025-01-06 00:00 KST; the hours of the calendar below are KST."""

WEEKDAY = (
    0.06, 0.05, 0.05, 0.05, 0.05, 0.06, 0.08, 0.12, 0.30, 0.62, 0.78, 0.80,
    0.56, 0.74, 0.80, 0.80, 0.79, 0.74, 0.55, 0.40, 0.30, 0.22, 0.15, 0.09,
)  # fmt: skip
WEEKEND = (
    0.04, 0.03, 0.03, 0.03, 0.03, 0.03, 0.04, 0.05, 0.07, 0.10, 0.12, 0.12,
    0.10, 0.11, 0.12, 0.12, 0.12, 0.11, 0.09, 0.08, 0.07, 0.06, 0.05, 0.04,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Team:
    """`cpu_use_share` and `memory_use_share` are measured use over request, constant (assumed)."""

    name: str
    users: int
    cpu_use_share: float
    memory_use_share: float


TEAMS = (
    Team("data", 200, 0.58, 0.70),
    Team("mobile", 200, 0.46, 0.55),
    Team("payments", 200, 0.42, 0.60),
    Team("platform", 200, 0.54, 0.65),
    Team("web", 200, 0.50, 0.50),
)


@dataclass(frozen=True, slots=True)
class Purchases:
    """How the worker hours are bought. Slots (one worker each) are taken in this order by every hour's count.

    The first `reserved` slots are reserved instances, the next `savings_plan` (a half slot makes a row of half an
    hour) are covered by a Savings Plan, then every fifth slot is spot and the rest on demand. Rates in USD per hour.
    """

    reserved: int = 14
    savings_plan: float = 16.5
    spot_every: int = 5
    on_demand_usd_per_h: float = 0.944
    reserved_discount_share: float = 0.37
    savings_plan_discount_share: float = 0.28
    spot_discount_share: float = 0.68
    upfront_share: float = 0.5

    @property
    def reserved_usd_per_h(self) -> float:
        """Effective hourly price of a reserved instance, upfront part included."""
        return self.on_demand_usd_per_h * (1.0 - self.reserved_discount_share)

    @property
    def savings_plan_usd_per_h(self) -> float:
        """Savings Plan price of one worker hour."""
        return self.on_demand_usd_per_h * (1.0 - self.savings_plan_discount_share)

    @property
    def spot_usd_per_h(self) -> float:
        """Spot price of one worker hour."""
        return self.on_demand_usd_per_h * (1.0 - self.spot_discount_share)


@dataclass(frozen=True)
class Company:
    """The company's size and habits. `seed` names things; amounts do not depend on it."""

    seed: int = 40
    hours: int = HOURS_PER_YEAR
    teams: tuple[Team, ...] = TEAMS
    pod_cpu_m: int = 5000
    pod_memory_mib: int = 8192
    worker: str = "m5.4xlarge"
    worker_schedulable_cpu_m: int = 15540
    packing_share: float = 0.85
    region: str = "ap-northeast-2"
    purchases: Purchases = field(default_factory=Purchases)
    extras: frozenset[Extra] = frozenset()

    def __post_init__(self) -> None:
        if self.hours < 1:
            raise ValueError(f"a company needs at least one hour, not {self.hours}")
        if sum(name.startswith("edp-") for name in self.extras) > 1:
            raise ValueError("choose one form of the enterprise discount: edp-lines, edp-net or edp-map")

    @property
    def horizon(self) -> Horizon:
        """The hours covered."""
        return Horizon(START, self.hours)


def active_share(hours: int) -> NDArray[np.float64]:
    """Share of developers at work, hour by hour from Monday 00:00 KST: float64 [hours].

    >>> active_share(12)[11], active_share(24 * 6 + 12)[-1]
    (np.float64(0.8), np.float64(0.12))
    """
    week = np.array(WEEKDAY * 5 + WEEKEND * 2)
    return np.resize(week, hours)


def replicas(company: Company) -> NDArray[np.int64]:
    """One workspace pod per active developer: int64 [hours, teams]."""
    users = np.array([team.users for team in company.teams])
    return np.asarray(np.rint(active_share(company.hours)[:, None] * users), dtype=np.int64)


def workers(company: Company) -> NDArray[np.int64]:
    """AWS workers that hold the requests at the company's packing: int64 [hours]."""
    demand_m = replicas(company).sum(axis=1) * float(company.pod_cpu_m)
    return workers_for(demand_m, company.worker_schedulable_cpu_m * company.packing_share)


def namespace(team: Team) -> str:
    """Every team has a namespace of its own with one Deployment `workspace`."""
    return f"team-{team.name}"


def usage_history(company: Company) -> UsageHistory:
    """What the cluster's metrics say: requests and use per team and hour, without a gap."""
    axes = ResourceAxes()
    pods = replicas(company).astype(np.float64)
    shape = axes.vector({CPU: company.pod_cpu_m, MEMORY: company.pod_memory_mib, PODS: 1})
    share = np.array([axes.vector({CPU: team.cpu_use_share, MEMORY: team.memory_use_share, PODS: 1}) for team in company.teams])
    requests = pods[:, :, None] * shape
    keys = tuple(WorkloadKey(namespace(team), "workspace", {"team": team.name, "users": str(team.users)}) for team in company.teams)
    return UsageHistory(company.horizon, axes, keys, pods, requests, requests * share, source="shipped company")


def workloads(company: Company) -> tuple[Workload, ...]:
    """One Deployment a team, with its exact replicas by hour."""
    counts = replicas(company)
    return tuple(
        Workload(
            name="workspace",
            namespace=namespace(team),
            cpu_m=company.pod_cpu_m,
            memory_mib=company.pod_memory_mib,
            replicas=counts[:, index],
            team=team.name,
            users=team.users,
            labels={"team": team.name, "users": str(team.users)},
        )
        for index, team in enumerate(company.teams)
    )
