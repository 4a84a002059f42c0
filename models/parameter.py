"""Parameter: one domain default with its range, source and confidence; Parameters: all of them, with overrides.

Values live in `data/catalog/parameters.yaml`. A record class such as `PriceBook` names the parameters it needs by its
field names, so what a result used can always be listed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import date
from typing import Literal, TypeVar

from models.errors import Problem, ScenarioError, UnknownName

Confidence = Literal["A", "B", "C", "D", "M"]
UNVERIFIED: frozenset[str] = frozenset({"C", "M"})
R = TypeVar("R")
_NEVER_ZERO = (
    "_s",
    "_h",
    "_years",
    "krw_per_usd",
    "_per_rack",
    "_per_conductor",
    "_per_host",
    "_deploys",
    "_cleans",
    "_launches",
    "_installs",
)


@dataclass(frozen=True, slots=True)
class Parameter:
    """`confidence`: A first-hand, B published, C single claim, D derived, M general knowledge, unverified."""

    name: str
    value: float
    low: float
    high: float
    unit: str
    source: str
    as_of: date
    confidence: Confidence
    overridden: bool = False

    @property
    def unverified(self) -> bool:
        """True when a report must list this value before anyone relies on it."""
        return self.confidence in UNVERIFIED and not self.overridden


@dataclass(frozen=True)
class Parameters:
    """Every parameter by name, with a scenario's overrides already applied."""

    by_name: Mapping[str, Parameter]

    @classmethod
    def of(cls, rows: Iterable[Parameter], overrides: Mapping[str, float] | None = None) -> Parameters:
        """Join catalog rows and overrides; every unknown override is reported at once."""
        known = {row.name: row for row in rows}
        wrong = [UnknownName("parameters", name, list(known)).problems[0] for name in (overrides or {}) if name not in known]
        wrong += [problem for name, value in (overrides or {}).items() if name in known and (problem := _unusable(known[name], value))]
        if wrong:
            raise ScenarioError(wrong)
        for name, value in (overrides or {}).items():
            known[name] = replace(known[name], value=float(value), overridden=True)
        return cls(known)

    def __getitem__(self, name: str) -> float:
        if name not in self.by_name:
            raise UnknownName("parameter", name, list(self.by_name))
        return self.by_name[name].value

    def fill(self, record: type[R]) -> R:
        """Build a record class whose every field is a parameter name."""
        missing = [f.name for f in fields(record) if f.name not in self.by_name]  # type: ignore[arg-type]
        if missing:
            raise ScenarioError(Problem(record.__name__, f"no parameter {', '.join(missing)}", "add it to the catalog"))
        return record(**{f.name: self.by_name[f.name].value for f in fields(record)})  # type: ignore[arg-type]

    def behind(self, *records: type) -> tuple[Parameter, ...]:
        """The parameters that these record classes use, by name."""
        names = sorted({f.name for record in records for f in fields(record)})
        return tuple(self.by_name[name] for name in names)

    def outside(self) -> tuple[Parameter, ...]:
        """Overridden values outside the catalog's range, by name."""
        return tuple(p for _, p in sorted(self.by_name.items()) if p.overridden and not p.low <= p.value <= p.high)

    def with_value(self, name: str, value: float) -> Parameters:
        """A copy with one value changed (sensitivity)."""
        return Parameters({**self.by_name, name: replace(self.by_name[name], value=value)})


def _unusable(row: Parameter, value: float) -> Problem | None:
    """Why an override cannot be used: no number, a sign that its range rules out, or a share above one."""
    place, range_text = f"parameters.{row.name}", f"the catalog's range is {row.low:g} to {row.high:g} {row.unit}"
    if not math.isfinite(value):
        return Problem(place, repr(value), f"give a number; {range_text}")
    if value < 0 <= row.low:
        return Problem(place, repr(value), f"give a value of at least 0; {range_text}")
    if value == 0 and row.name.endswith(_NEVER_ZERO):
        return Problem(place, repr(value), f"give a value above 0; {range_text}")
    if row.name.endswith("_share") and value > 1:
        return Problem(place, repr(value), f"shares lie in 0..1; {range_text}")
    return None
