"""The what-if of a session: kept in the URL, so that a link shows the same answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

import streamlit as st

from models.scenario import PlannerPart, Scenario
from simulator import catalog
from simulator.wording import Language

Currency = Literal["USD", "KRW"]
OBJECTIVES: tuple[str, ...] = get_args(PlannerPart.model_fields["objective"].annotation)
DISPATCHES: tuple[str, ...] = get_args(PlannerPart.model_fields["dispatch"].annotation)


@dataclass(frozen=True)
class WhatIf:
    """What the overview page can change; everything else comes from the case."""

    case: str
    language: Language
    currency: Currency
    growth_share: float
    discount_share: float
    build_share: float
    lead_time_weeks: float
    staff_fte: float
    objective: str
    dispatch: str

    def scenario(self, bills: tuple[str, ...] = ()) -> Scenario:
        """The case with these changes applied, and demand rebuilt from `bills` when some are given."""
        changes: dict[str, Any] = {
            "language": self.language,
            "money.currency": self.currency,
            "demand.growth_share_per_year": self.growth_share,
            "aws.commitment_discount_share": self.discount_share,
            "demand.build_share": self.build_share,
            "planner.staff_fte": self.staff_fte,
            "planner.objective": self.objective,
            "planner.dispatch": self.dispatch,
        }
        case = catalog.load_scenario(self.case)
        changes |= {f"zones.{i}.lead_time_weeks": self.lead_time_weeks for i in range(len(case.zones))}
        if bills:
            changes |= {"data.bills": list(bills), "demand.history": "bill"}
        return case.varied(changes)


def read() -> WhatIf:
    """The what-if in the URL; absent or broken values fall back to the case's own."""
    names = catalog.scenario_names()
    query = st.query_params
    case_name = query.get("case", "half-private-40")
    case = catalog.load_scenario(case_name if case_name in names else names[0])
    return WhatIf(
        case=case.scenario,
        language=cast(Language, _choice("lang", ("en", "ko"), case.language)),
        currency=cast(Currency, _choice("currency", ("USD", "KRW"), case.money.currency)),
        growth_share=_number("growth", case.demand.growth_share_per_year, -0.5, 1.0),
        discount_share=_number("discount", case.aws.commitment_discount_share, 0.0, 0.72),
        build_share=_number("share", case.demand.build_share, 0.0, 1.0),
        lead_time_weeks=_number("lead", case.zones[0].lead_time_weeks, 0.0, 52.0),
        staff_fte=_number("staff", case.planner.staff_fte, 0.0, 10.0),
        objective=_choice("objective", OBJECTIVES, case.planner.objective),
        dispatch=_choice("dispatch", DISPATCHES, case.planner.dispatch),
    )


def write(what_if: WhatIf, *, only_case: bool = False) -> None:
    """Put the what-if into the URL; with `only_case` the case's own numbers apply again."""
    query = {"case": what_if.case, "lang": what_if.language, "currency": what_if.currency}
    if not only_case:
        query |= {
            "growth": f"{what_if.growth_share:g}",
            "discount": f"{what_if.discount_share:g}",
            "share": f"{what_if.build_share:g}",
            "lead": f"{what_if.lead_time_weeks:g}",
            "staff": f"{what_if.staff_fte:g}",
            "objective": what_if.objective,
            "dispatch": what_if.dispatch,
        }
    st.query_params.from_dict(query)


def _choice(key: str, allowed: tuple[str, ...], otherwise: str) -> str:
    value = st.query_params.get(key, otherwise)
    return value if value in allowed else otherwise


def _number(key: str, otherwise: float, low: float, high: float) -> float:
    try:
        value = float(st.query_params.get(key, otherwise))
    except ValueError:
        return otherwise
    return min(max(value, low), high)
