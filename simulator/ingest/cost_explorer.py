"""Cost Explorer through boto3: an independent total against which an imported bill is checked; no rows, no worker hours.

One call per import and month range costs 0.01 USD. `End` is exclusive; amounts come as text and stay decimal.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from models.bill import BillPeriod
from models.errors import BillingFormatError, Problem
from models.unknown import Unknown

_METRICS = {"unblended": "UnblendedCost", "amortised": "AmortizedCost"}
TOLERANCE = Decimal("0.01")


@dataclass(frozen=True)
class CrossCheck:
    """One total of a period beside what Cost Explorer says. Money in `currency`."""

    period: str
    measure: str
    currency: str
    bill: Decimal | Unknown
    cost_explorer: Decimal
    passed: bool

    @property
    def difference(self) -> Decimal | Unknown:
        """Bill minus Cost Explorer."""
        return self.bill if isinstance(self.bill, Unknown) else self.bill - self.cost_explorer


def cross_check(periods: Iterable[BillPeriod], client: Any = None) -> tuple[CrossCheck, ...]:
    """Compare every period's unblended and amortised totals with Cost Explorer, to the cent of each month."""
    wanted = sorted(periods, key=lambda period: period.period)
    if not wanted:
        return ()
    totals = _totals(client, wanted[0].period, _next(wanted[-1].period))
    checks = []
    for period in wanted:
        for measure, metric in _METRICS.items():
            found = totals.get((period.period, metric))
            if found is None:
                raise BillingFormatError(Problem("Cost Explorer", f"no total for {period.period}", "check the account and the month"))
            amount, currency = found
            bill: Decimal | Unknown = getattr(period, measure)
            same = not isinstance(bill, Unknown) and currency == period.currency and abs(bill - amount) <= TOLERANCE
            checks.append(CrossCheck(period.period, measure, currency, bill, amount, same))
    return tuple(checks)


def _totals(client: Any, start: str, end: str) -> dict[tuple[str, str], tuple[Decimal, str]]:
    """(month, metric) -> (amount, currency), every page read."""
    request: dict[str, Any] = {
        "TimePeriod": {"Start": f"{start}-01", "End": f"{end}-01"},
        "Granularity": "MONTHLY",
        "Metrics": list(_METRICS.values()),
    }
    found: dict[tuple[str, str], tuple[Decimal, str]] = {}
    try:
        explorer = client or boto3.client("ce")
        while True:
            answer = explorer.get_cost_and_usage(**request)
            for result in answer["ResultsByTime"]:
                for metric, value in result["Total"].items():
                    found[result["TimePeriod"]["Start"][:7], metric] = (Decimal(value["Amount"]), value["Unit"])
            if not answer.get("NextPageToken"):
                return found
            request["NextPageToken"] = answer["NextPageToken"]
    except (BotoCoreError, ClientError) as error:
        reason = error.response.get("Error", {}).get("Code", "refused") if isinstance(error, ClientError) else type(error).__name__
        raise BillingFormatError(Problem("Cost Explorer", f"no answer ({reason})", "check credentials and ce:GetCostAndUsage")) from None


def _next(month: str) -> str:
    year, number = int(month[:4]), int(month[5:7])
    return f"{year + number // 12}-{number % 12 + 1:02d}"
