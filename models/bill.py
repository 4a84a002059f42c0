"""Charges: what a bill says, reconciled: totals per period, worker hours by hour.

Rows stay in the store (they may not fit in memory); these are the aggregates that later stages need.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from models.horizon import Horizon
from models.unknown import Unknown

PurchaseOption = Literal["on_demand", "reserved", "savings_plan", "spot"]


_NOT_READ = Unknown("not read from the bill")

DiscountForm = Literal["none", "lines", "net", "map"]
"""Where private discounts stand: not at all, as lines, in net columns, in a map. Only one of them is ever counted."""


@dataclass(frozen=True)
class CommitmentCost:
    """One Savings Plan or reservation in one period: fee (with its amortised upfront part) = used + unused + residual."""

    kind: Literal["savings_plan", "reservation"]
    name: str
    fee: Decimal
    used: Decimal
    unused: Decimal

    @property
    def residual(self) -> Decimal:
        """What the bill leaves unexplained; 0 when it reconciles."""
        return self.fee - self.used - self.unused


@dataclass(frozen=True)
class BillPeriod:
    """One billing period after import. Money in `currency`, DECIMAL; `rows_in = rows_used + rows_explained`.

    unblended is cash, amortised is effective cost; they are never mixed. invoice is the cash total with private discounts
    counted once. identity_error = amortised - (unblended - upfront bought + upfront amortised).
    bridge: (step, amount) from the invoice to the addressable run rate; the amounts sum to `addressable`.
    effective_as_written: the sum of the bill's effective cost even where it is known to be wrong and amortised is Unknown.
    untagged_share: share of rows without the tag `tag_key`; bare_share: without any user tag.
    """

    period: str
    format: str
    currency: str
    unblended: Decimal
    amortised: Decimal | Unknown
    invoice: Decimal
    addressable: Decimal | Unknown
    by_category: tuple[tuple[str, Decimal], ...]
    worker_hours: float
    rows_in: int
    rows_used: int
    rows_explained: int
    identity_error: Decimal | Unknown
    provisional: bool
    untagged_share: float | Unknown
    notes: tuple[str, ...] = ()
    place: str = ""
    tag_key: str = ""
    bare_share: float | Unknown = _NOT_READ
    list_cost: Decimal | Unknown = _NOT_READ
    contracted: Decimal | Unknown = _NOT_READ
    effective_as_written: Decimal | Unknown = _NOT_READ
    net_amortised: Decimal | Unknown = _NOT_READ
    discount_form: DiscountForm = "none"
    discounts: Decimal = Decimal(0)
    upfront_bought: Decimal = Decimal(0)
    upfront_amortised: Decimal = Decimal(0)
    unused_commitment: Decimal | Unknown = Decimal(0)
    amortised_by_category: tuple[tuple[str, Decimal], ...] = ()
    rows_by_category: tuple[tuple[str, int], ...] = ()
    bridge: tuple[tuple[str, Decimal], ...] = ()
    commitments: tuple[CommitmentCost, ...] = ()
    worker_hours_by_option: tuple[tuple[str, float], ...] = ()
    worker_hours_by_type: tuple[tuple[str, float], ...] = ()
    worker_hours_by_tag: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class BillRefusal:
    """A file or period that was not imported: nothing of it is in the store."""

    path: str
    place: str
    found: str
    mend: str


@dataclass(frozen=True)
class BillReport:
    """What an import did. `ignored`: (path, why) of files in a folder that are no part of a bill or are superseded."""

    periods: tuple[BillPeriod, ...]
    refused: tuple[BillRefusal, ...] = ()
    ignored: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class WorkerSeries:
    """Names one column of `Charges.worker_hours`."""

    instance_type: str
    purchase_option: PurchaseOption
    region: str = ""
    tag: str = ""


@dataclass(frozen=True)
class Charges:
    """worker_hours : float64 [hours, series]; worker_cost : float64 [hours, series], amortised, in `currency`."""

    periods: tuple[BillPeriod, ...]
    currency: str
    horizon: Horizon
    series: tuple[WorkerSeries, ...]
    worker_hours: NDArray[np.float64]
    worker_cost: NDArray[np.float64]
