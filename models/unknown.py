"""Unknown: a value that cannot be computed, with the reason; never a silent NaN or zero."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Unknown:
    """Stands where a number would; reports print `reason`, JSON shows {"unknown": reason}."""

    reason: str

    def __str__(self) -> str:
        return f"unknown ({self.reason})"


def known(value: float | Unknown, what: str) -> float:
    """Return the number, or raise ValueError naming what was needed and why it is unknown."""
    if isinstance(value, Unknown):
        raise ValueError(f"{what} is needed but {value}")
    return value
