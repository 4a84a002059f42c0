"""BuildPlan: what to build, when, why, at what price; everything that export and finance need, and nothing else."""

from __future__ import annotations

import hashlib
import json
from datetime import date
from typing import Any

from pydantic import BaseModel, ConfigDict

from models.site import Site


class Frozen(BaseModel):
    """Base of every document that is written to disk: frozen, unknown fields refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Step(Frozen):
    """One order: placed on `order_on`, ready for pods on `arrive_on`."""

    order_on: date
    arrive_on: date
    zone: str
    shape: str
    nodes: int


class Limit(Frozen):
    """A limit of the plan; `shadow_price` is USD a year for one unit more of it (None when not priced)."""

    name: str
    binding: bool
    shadow_price: float | None = None


class Readings(Frozen):
    """The three readings of "half", each its own question: half the users, half the peak, half the worker hours."""

    by_users_nodes: int | None
    by_peak_nodes: int
    by_worker_hours_nodes: int


class Verification(Frozen):
    """What the simulation said of the plan.

    `packing_*` = schedulable share of a node that pods really filled at its fullest; `nodes_at_measured_packing` is the
    same recommendation with the measured share; `pinned_*` is the half of the users without burst and with spares down.
    `pending_*` are over all pods; `burst_start_p95_s` is over those that had to wait for a new node.
    """

    packing_assumed_share: float
    packing_measured_share: float
    nodes_at_measured_packing: int
    pinned_holds_at: int
    pinned_fails_at: int
    pending_p95_s: float
    pending_p99_s: float
    burst_start_p95_s: float
    slo_met: bool
    replications: int


class Recommendation(Frozen):
    """The answer. `range_1pct`: node counts whose yearly cost is within 1 % of the least."""

    private_nodes: int
    by_zone: dict[str, int]
    range_1pct: tuple[int, int]
    confidence: str


class Money(Frozen):
    """Yearly and present values in USD; NPV and payback compare hybrid with AWS at its best."""

    aws_as_billed_usd_per_year: float
    aws_best_usd_per_year: float
    private_usd_per_year: float
    hybrid_usd_per_year: float
    npv_usd: float
    payback_months: float | None
    capex_usd: float


class PoolPlan(Frozen):
    """One pool to export. Reservations and allocatable in millicores and MiB; times measured in the runs, seconds."""

    name: str
    zone: str
    kind: str
    shape: str
    private: bool
    nodes: int
    max_nodes: int
    cpu_m: int
    memory_mib: int
    max_pods: int
    kube_reserved_cpu_m: int
    kube_reserved_memory_mib: int
    system_reserved_cpu_m: int
    system_reserved_memory_mib: int
    eviction_memory_mib: int
    allocatable_cpu_m: int
    allocatable_memory_mib: int
    provision_p95_s: float
    priority: int
    instance_types: tuple[str, ...] = ()
    extended: dict[str, int] = {}
    arch: str = "amd64"


class BuildPlan(Frozen):
    """`plan.json`. The digest covers everything else in the document."""

    scenario: str
    as_of: date
    kubernetes_version: str
    currency: str
    recommendation: Recommendation
    readings: Readings
    alternatives: dict[str, int]
    verification: Verification
    money: Money
    steps: tuple[Step, ...]
    limits: tuple[Limit, ...]
    pools: tuple[PoolPlan, ...]
    burst_mode: str
    label_prefix: str
    namespace: str
    cluster: str
    site: Site = Site()
    reasons: tuple[str, ...]
    unverified: tuple[str, ...]
    seed: int
    digest: str = ""

    def sealed(self) -> BuildPlan:
        """The same plan with its digest filled in."""
        body: dict[str, Any] = self.model_dump(mode="json", exclude={"digest"})
        text = json.dumps(body, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return self.model_copy(update={"digest": "sha256:" + hashlib.sha256(text.encode()).hexdigest()})
