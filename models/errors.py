"""The whole error tree.

    CapacityError
    ├── InputError            something a person wrote or pointed at cannot be used (exit 2)
    │   ├── ScenarioError     a scenario file or override
    │   ├── BillingFormatError  a bill
    │   ├── MetricsError      Prometheus, exposition text, usage files
    │   └── UnknownName       a name that no registry or catalog holds
    ├── InfeasiblePlan        the limits contradict each other (exit 3)
    └── ApplyError            a cluster refused, or an apply stopped part-way (exit 4)

An `InputError` gathers every problem first and is raised once. Programming mistakes stay built-in errors.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding: where it is, what was found there and how to mend it."""

    place: str
    found: str
    mend: str

    def __str__(self) -> str:
        return f"{self.place}: found {self.found}; {self.mend}"


class CapacityError(Exception):
    """Base of every error that is shown to a person without a traceback."""

    exit_code = 1


class InputError(CapacityError):
    """Input that cannot be used; carries every problem found, never only the first."""

    exit_code = 2

    def __init__(self, problems: Problem | Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = (problems,) if isinstance(problems, Problem) else tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


class ScenarioError(InputError):
    """A scenario or one of its overrides is wrong."""


class BillingFormatError(InputError):
    """A bill is damaged, of no known format, or does not reconcile."""


class MetricsError(InputError):
    """A usage source is unreachable, damaged or incomplete."""


class UnknownName(InputError):
    """A name that is not among the known ones; the message offers near misses."""

    def __init__(self, kind: str, name: str, known: Sequence[str]) -> None:
        near = get_close_matches(name, known, n=3, cutoff=0.5)
        hint = f"did you mean {', '.join(near)}?" if near else f"known: {', '.join(sorted(known))}"
        super().__init__(Problem(kind, repr(name), hint))


class InfeasiblePlan(CapacityError):
    """No plan satisfies all limits; names the limits in conflict."""

    exit_code = 3

    def __init__(self, limits: Sequence[str], detail: str) -> None:
        self.limits = tuple(limits)
        super().__init__(f"no plan satisfies {' and '.join(limits)}: {detail}")


class ApplyError(CapacityError):
    """An apply was refused or stopped; `report` holds what was done until then."""

    exit_code = 4

    def __init__(self, message: str, report: object | None = None) -> None:
        self.report = report
        super().__init__(message)
