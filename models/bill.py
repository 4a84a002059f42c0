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


@dataclass(frozen=True)
class BillPeriod:
    """One billing period after import. Money in `currency`, DECIMAL; `rows_in = rows_used + rows_explained`.

    identity_error = amortised - (unblended - upfront bought + upfront amortised).
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
