"""Comparison: all opponents over the horizon, with NPV, IRR, payback and break-even of the plan against AWS at its best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from models.case import Case
from models.costs import internal_rate, monthly_rate, payback_periods, present_value
from models.plan import Money, Step
from models.statement import Comparison
from models.units import MONTHS_PER_YEAR
from models.unknown import Unknown
from simulator.finance.cashflow import all_flows, at_quarter, fleet_by_quarter, opponent_flow, renewals, saving
from simulator.finance.opponents import (
    AS_BILLED,
    BEST,
    HYBRID,
    PRIVATE,
    aws_opponents,
    breakeven_nodes,
    breakeven_share,
    hybrid,
    private_only,
)


def compare_opponents(case: Case, nodes: Mapping[str, int], steps: Sequence[Step]) -> Comparison:
    """Statements of the first year after the first order arrives, flows over the horizon and what they say.

    `nodes` by zone at the first arrival, `steps` as planned. NPV discounts monthly at (1 + r)^(1/12) - 1; depreciation never enters it.
    Payback leaves out servers bought again and the terminal value, so that it does not depend on the horizon.
    """
    arrival = at_quarter(case, 0)
    statements = (*aws_opponents(arrival), private_only(arrival), hybrid(arrival, nodes))
    flows = all_flows(case, steps)
    chosen = next(flow for flow in flows if flow.name == HYBRID)
    gain = saving(opponent_flow(flows), chosen)
    rate = monthly_rate(case.prices.private.discount_rate_share)
    recovering = gain + renewals(case, fleet_by_quarter(case, steps))
    least = breakeven_nodes(arrival)
    return Comparison(
        statements=statements,
        flows=flows,
        chosen=HYBRID,
        opponent=BEST,
        saving_usd=gain,
        recovering_usd=recovering,
        npv_usd=present_value(rate, gain),
        irr=_yearly(internal_rate(gain)),
        payback_months=_payback(recovering),
        discounted_payback_months=_payback(recovering / (1.0 + rate) ** np.arange(gain.size)),
        breakeven_nodes=Unknown("no number of nodes costs less than AWS at its best") if least is None else least,
        breakeven_share=breakeven_share(arrival),
        billed_is_list=case.billed_usd_per_year is None,
        notes=_notes(case),
    )


def money(comparison: Comparison) -> Money:
    """The figures of a plan document."""
    months = comparison.payback_months
    chosen = comparison.statement(HYBRID)
    return Money(
        aws_as_billed_usd_per_year=comparison.statement(AS_BILLED).usd_per_year,
        aws_best_usd_per_year=comparison.statement(BEST).usd_per_year,
        private_usd_per_year=comparison.statement(PRIVATE).usd_per_year,
        hybrid_usd_per_year=chosen.usd_per_year,
        npv_usd=comparison.npv_usd,
        payback_months=None if isinstance(months, Unknown) else months,
        capex_usd=chosen.capex_usd,
    )


def _payback(recovering: NDArray[np.float64]) -> float | Unknown:
    return payback_periods(recovering) if recovering.any() else Unknown("the plan builds nothing")


def _yearly(rate: float | Unknown) -> float | Unknown:
    return rate if isinstance(rate, Unknown) else (1.0 + rate) ** MONTHS_PER_YEAR - 1.0


def _notes(case: Case) -> tuple[str, ...]:
    notes = ["Month 0 is the day the first servers are ready; until then every opponent pays AWS the same."]
    if case.billed_usd_per_year is None:
        notes.append("No bill was given: AWS as billed shows the list price of the rebuilt worker hours.")
    if any(zone.part.existing_nodes for zone in case.zones):
        notes.append(
            "Nodes that already stand are not bought again: capital to spend, cash flow, NPV and payback leave them out. "
            "The yearly cost still counts their annuity, as the cost curve does."
        )
    return tuple(notes)
