"""Advice: what the screening tier says about one case."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from models.plan import Limit, Readings, Recommendation, Step
from models.reason import Reason
from models.statement import CostView
from simulator.planner.screening import Screening


@dataclass(frozen=True)
class Advice:
    """What the screening tier says. `views` is the least-cost table; `screening` belongs to the demand of the first arrival."""

    recommendation: Recommendation
    readings: Readings
    alternatives: Mapping[str, int]
    views: tuple[CostView, ...]
    screening: Screening
    working: int
    steps: tuple[Step, ...]
    limits: tuple[Limit, ...]
    reasons: tuple[Reason, ...]
    unverified: tuple[str, ...]
