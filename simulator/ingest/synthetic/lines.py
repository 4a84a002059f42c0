"""The company's bill as blocks of equal lines, before any file format: what was charged, for which hours, at which cost.

Every block carries three costs: unblended (cash), effective (amortised: upfront parts spread over the hours they pay for,
unused commitment on the fee that bought it) and list (public on-demand). They reconcile by construction:
effective - unblended = upfront amortised - upfront bought.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from models.horizon import Horizon
from models.units import HOURS_PER_YEAR
from simulator.ingest.synthetic.company import Company

Floats = NDArray[np.float64]
Times = NDArray[np.datetime64]

ACCOUNT = "444455556666"
TERM_H = HOURS_PER_YEAR
HOUR = np.timedelta64(3600, "s")


@dataclass(frozen=True, slots=True)
class Service:
    """A product as the bill names it, with its FOCUS category."""

    code: str
    name: str
    family: str = ""
    category: str = "Compute"
    subcategory: str = "Virtual Machines"
    entity: str = "AWS"


EC2 = Service("AmazonEC2", "Amazon Elastic Compute Cloud", "Compute Instance")
EBS = Service("AmazonEC2", "Amazon Elastic Compute Cloud", "Storage", "Storage", "Block Storage")
TRANSFER = Service("AWSDataTransfer", "AWS Data Transfer", "Data Transfer", "Networking", "Other (Networking)")
EKS = Service("AmazonEKS", "Amazon Elastic Container Service for Kubernetes", "Compute", "Compute", "Containers")
PLAN = Service("ComputeSavingsPlans", "Savings Plans for AWS Compute usage")
SUPPORT = Service("AWSSupportBusiness", "AWS Support (Business)", "", "Other", "Other (Other)")
MARKETPLACE = Service("8zk1q0ap3h2m5rj7cw9vd4x6t", "Log shipper, priority support", "", "Other", "Other (Other)", "AWS Marketplace")


@dataclass(frozen=True)
class Lines:
    """Equal lines of one billing period. Arrays are [rows]; `slot` -1 where a line has no resource.

    `columns` holds further CUR 2.0 columns, each one value for all rows or an array. Costs are USD; the file shows them
    times `fx` in `currency`.
    """

    item_type: str
    service: Service
    usage_type: str
    operation: str
    description: str
    unit: str
    start: Times
    end: Times
    amount: Floats
    unblended: Floats
    effective: Floats
    listed: Floats
    slot: NDArray[np.int64]
    hour: NDArray[np.int64]
    term: str = ""
    commitment: str = ""
    currency: str = "USD"
    fx: float = 1.0
    discountable: bool = True
    tags: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.start)


@dataclass(frozen=True, slots=True)
class Period:
    """Part of a UTC billing month inside the horizon: hours [first, last). `open` months are not invoiced yet."""

    name: str
    start: datetime
    end: datetime
    first: int
    last: int
    number: int
    open: bool

    @property
    def month_hours(self) -> float:
        """Hours of the whole calendar month."""
        return (self.end - self.start).total_seconds() / 3600.0


def billing_periods(horizon: Horizon) -> tuple[Period, ...]:
    """UTC months that the horizon touches; the first and the last are usually partial."""
    found: list[Period] = []
    month = horizon.start.replace(day=1, hour=0)
    while month < horizon.end:
        following = datetime(month.year + month.month // 12, month.month % 12 + 1, 1, tzinfo=UTC)
        first, last = max(0, horizon.index(month)), min(horizon.hours, horizon.index(following))
        found.append(Period(f"{month:%Y-%m}", month, following, first, last, len(found), horizon.end < following))
        month = following
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Span:
    """Hours [first, last) of one period inside one commitment term."""

    company: Company
    period: Period
    first: int
    last: int
    counts: NDArray[np.int64]
    active: NDArray[np.int64]
    times: Times

    @property
    def hours(self) -> int:
        """Number of hours."""
        return self.last - self.first

    @property
    def renewal(self) -> bool:
        """True when the commitments of a new term are bought in the first hour."""
        return self.first % TERM_H == 0

    @property
    def reserved_arn(self) -> str:
        """The reservation of this term."""
        return f"arn:aws:ec2:{self.company.region}:{ACCOUNT}:reserved-instances/{uuid(self.company.seed, 'ri', self.first // TERM_H)}"

    @property
    def plan_arn(self) -> str:
        """The Savings Plan of this term."""
        return f"arn:aws:savingsplans::{ACCOUNT}:savingsplan/{uuid(self.company.seed, 'sp', self.first // TERM_H)}"

    @property
    def term_start(self) -> datetime:
        """First hour of the commitment term."""
        return self.company.horizon.at(self.first // TERM_H * TERM_H)

    @property
    def term_end(self) -> datetime:
        """First hour after it."""
        return self.company.horizon.at((self.first // TERM_H + 1) * TERM_H)


def single(
    span: Span, item_type: str, service: Service, description: str, usd: float, *, effective: float, usage_type: str,
    operation: str = "", term: str = "", amount: float = 1.0, commitment: str = "", through: int | None = None,
    columns: Mapping[str, Any] | None = None,
) -> Lines:  # fmt: skip
    """One line from the span's first hour, an hour long unless it runs `through` another; a RIFee ends one second early."""
    start = span.times[:1]
    end = start + (HOUR if through is None else HOUR * (through - span.first))
    if item_type == "RIFee":
        end = end - np.timedelta64(1, "s")
    one = np.ones(1)
    return Lines(
        item_type, service, usage_type, operation, description, "", start, end, one * amount, one * usd, one * effective,
        np.zeros(1), np.full(1, -1), np.full(1, span.first), term, commitment, columns=columns or {},
    )  # fmt: skip


def availability_zone(region: str, slot: int) -> str:
    """Workers alternate between the zones a and c."""
    return f"{region}{'ac'[slot % 2]}"


def node_tags() -> dict[str, str]:
    """Cost allocation tags of everything that belongs to the cluster's nodes."""
    return {"aws_eks_cluster_name": "workspaces", "user_environment": "production", "user_service": "workspace"}


def uuid(seed: int, name: str, number: int) -> str:
    """The `number`-th id of its kind."""
    text = "".join(f"{bits:016x}" for bits in named_bits(seed, name, np.array([2 * number, 2 * number + 1], dtype=np.uint64)))
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def named_bits(seed: int, name: str, numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """64 well-mixed bits for each number, different for every seed and name (splitmix64): uint64, same shape."""
    with np.errstate(over="ignore"):
        mixed = numbers + np.uint64(crc32(f"{seed}/{name}".encode()) + 1) * np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return cast("NDArray[np.uint64]", mixed ^ (mixed >> np.uint64(31)))
