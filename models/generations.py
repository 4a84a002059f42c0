"""Server generations: how often servers fail at an age, and from which age on a new server costs less than the old one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from models.parameter import Parameters
from models.unknown import Unknown


def failures_per_year(base: float, age_years: float, flat_until_years: float, old_years: float, old_factor: float) -> float:
    """Server-down failures a year at an age: `base` until `flat_until_years`, then a straight line to `old_factor` times.

    The line passes `old_factor` at `old_years` and goes on. Drives: 4.25 % at 10.25 years against 1.57 % over all ages,
    a factor of 2.71 (Backblaze); service calls are flat until then. At 7 years: 0.04 x (1 + 1.71 x 2 / 5.25) = 0.066.

    >>> round(failures_per_year(0.04, 7.0, 5.0, 10.25, 2.71), 4), failures_per_year(0.04, 3.0, 5.0, 10.25, 2.71)
    (0.0661, 0.04)
    """
    beyond = max(age_years - flat_until_years, 0.0) / (old_years - flat_until_years)
    return base * (1.0 + (old_factor - 1.0) * beyond)


def failures_at(base: float, age_years: float, parameters: Parameters) -> float:
    """Failures a year at an age, as the parameters `ageing_*` say."""
    p = parameters
    return failures_per_year(base, age_years, p["ageing_from_years"], p["ageing_at_years"], p["ageing_factor"])


@dataclass(frozen=True, slots=True)
class Keeping:
    """Yearly cost of the work of one zone on servers of one generation; `capital` is the annuity of what is bought."""

    servers: int
    capex_usd: float
    capital_usd: float
    space_usd: float
    energy_usd: float
    energy_kwh: float
    support_usd: float
    maintenance_usd: float
    failures_per_year: float
    failure_usd: float

    @property
    def usd_per_year(self) -> float:
        """All of it."""
        return self.capital_usd + self.space_usd + self.energy_usd + self.support_usd + self.maintenance_usd + self.failure_usd


@dataclass(frozen=True)
class Generation:
    """One zone's servers as they are against new ones for the same work.

    `years` gives (age, old USD a year, new USD a year) for every year ahead. `crossover_age` is the first age at which
    the old ones cost more.
    """

    zone: str
    server: str
    replaced_by: str
    age_years: float
    old: Keeping
    new: Keeping
    years: tuple[tuple[float, float, float], ...]

    @property
    def crossover_age(self) -> float | Unknown:
        """First age at which the new server costs less; the present age when it does already."""
        return crossover(self.years)


def crossover(years: Sequence[tuple[float, float, float]]) -> float | Unknown:
    """First age whose old cost exceeds the new one.

    >>> crossover([(7.0, 90.0, 100.0), (8.0, 99.0, 100.0), (9.0, 110.0, 100.0)])
    9.0
    """
    found = next((age for age, old, new in years if old > new), None)
    if found is not None:
        return found
    return Unknown(f"the old servers cost less at every age up to {years[-1][0]:g} years" if years else "no year to compare")
