"""The currency of the reader: USD, or won at the scenario's dated rate."""

from __future__ import annotations

from dataclasses import dataclass

from models.case import Case
from models.units import money_short, money_text


@dataclass(frozen=True, slots=True)
class Currency:
    """`rate` units of `code` for one USD, as the scenario's dated parameter says."""

    code: str
    rate: float

    @classmethod
    def of(cls, case: Case) -> Currency:
        """The currency that the scenario asks for."""
        code = case.scenario.money.currency
        return cls(code, 1.0 if code == "USD" else case.parameters["krw_per_usd"])

    def text(self, usd: float) -> str:
        """Money for people, whole units."""
        return money_text(usd * self.rate, self.code, decimals=0)

    def short(self, usd: float) -> str:
        """Money for a headline."""
        return money_short(usd * self.rate, self.code)
