"""Dated exchange rates: costs of another currency are converted at the rim, the billed amount is kept beside.

A rate file is YAML, one row per month and pair, with its source:

    - {month: 2025-01, from: KRW, to: USD, rate: 0.000689, source: monthly mean}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import yaml

from models.errors import BillingFormatError, Problem


@dataclass(frozen=True)
class Rates:
    """(month, from, to) -> units of `to` for one unit of `from`, as written."""

    place: str
    values: Mapping[tuple[str, str, str], Decimal]

    def missing(self, source: str, target: str, month: str) -> Problem | None:
        """The problem when no rate of that month leads from `source` to `target`."""
        if source in self.factors(target, month):
            return None
        return Problem(self.place, f"no rate from {source} to {target} for {month}", "add the month's rate with its source")

    def factors(self, target: str, month: str) -> dict[str, str]:
        """SQL to append to an amount, by source currency: `* rate`, or `/ rate` where the pair is given the other way round."""
        found = {source: f"* {rate}::DECIMAL(18,9)" for (when, source, to), rate in self.values.items() if (when, to) == (month, target)}
        for (when, source, to), rate in self.values.items():
            if (when, source) == (month, target):
                found.setdefault(to, f"/ {rate}::DECIMAL(18,9)")
        return found


def load_rates(path: Path) -> Rates:
    """Read a rate file; every wrong row is told at once."""
    try:
        rows = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BillingFormatError(Problem(str(path), f"no readable rates ({type(error).__name__})", "give a YAML list of rates")) from None
    problems, values = [], {}
    for number, row in enumerate(rows if isinstance(rows, list) else [None], start=1):
        try:
            month, rate = str(row["month"])[:7], Decimal(str(row["rate"])).quantize(Decimal("1e-9"))
            if not 0 < rate < 10**9 or not str(row["source"]):
                raise ValueError
            values[month, str(row["from"]).upper(), str(row["to"]).upper()] = rate
        except (TypeError, KeyError, ValueError, ArithmeticError):
            mend = "write {month: 2025-01, from: KRW, to: USD, rate: 0.000689, source: where it is from}"
            problems.append(Problem(f"{path}: row {number}", repr(row), mend))
    if problems:
        raise BillingFormatError(problems)
    return Rates(str(path), values)
