"""A mixed-integer problem with named columns and rows: built once, printed as LP text, handed to the solver as arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf


@dataclass
class Problem:
    """Minimise cost x subject to low <= row x <= high and column bounds. Names are the only way to address columns."""

    columns: dict[str, int] = field(default_factory=dict)
    cost: list[float] = field(default_factory=list)
    low: list[float] = field(default_factory=list)
    high: list[float] = field(default_factory=list)
    integer: list[bool] = field(default_factory=list)
    rows: dict[str, tuple[dict[str, float], float, float]] = field(default_factory=dict)

    def column(self, name: str, cost: float, *, low: float = 0.0, high: float = inf, integer: bool = False) -> None:
        """Add a variable."""
        if name in self.columns:
            raise ValueError(f"column {name} exists")
        self.columns[name] = len(self.columns)
        for values, value in ((self.cost, cost), (self.low, low), (self.high, high)):
            values.append(value)
        self.integer.append(integer)

    def row(self, name: str, terms: Mapping[str, float], *, low: float = -inf, high: float = inf) -> None:
        """Add a limit on a weighted sum of columns."""
        if name in self.rows:
            raise ValueError(f"row {name} exists")
        unknown = set(terms) - set(self.columns)
        if unknown:
            raise ValueError(f"row {name} names unknown columns {sorted(unknown)}")
        self.rows[name] = (dict(terms), low, high)

    def to_lp(self) -> str:
        """The model as text, columns and rows in the order they were added."""
        names = list(self.columns)
        lines = ["minimise", "  " + _sum({name: self.cost[i] for i, name in enumerate(names) if self.cost[i]}), "subject to"]
        for name, (terms, low, high) in self.rows.items():
            limits = [f"= {low:.10g}"] if low == high else [f">= {low:.10g}"] * (low > -inf) + [f"<= {high:.10g}"] * (high < inf)
            lines += [f"  {name}: {_sum(terms)} {limit}" for limit in limits]
        lines.append("bounds")
        lines += [f"  {self.low[i]:.10g} <= {name} <= {self.high[i]:.10g}" for i, name in enumerate(names)]
        lines += ["integer", "  " + " ".join(name for i, name in enumerate(names) if self.integer[i]), "end"]
        return "\n".join(lines) + "\n"


def _sum(terms: Mapping[str, float]) -> str:
    """A weighted sum.

    >>> _sum({"x": 2.0, "y": -1.0})
    '2 x - 1 y'
    """
    text = " ".join(f"{'-' if value < 0 else '+'} {abs(value):.10g} {name}" for name, value in terms.items())
    return text.removeprefix("+ ") or "0"
