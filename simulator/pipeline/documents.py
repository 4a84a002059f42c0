"""What people read of a plan: the JSON document in the chosen currency, the report page, tiles, tables and figures."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from models.outcome import RunResult
from models.units import MONTHS_PER_YEAR
from simulator import charts
from simulator.export.report import Section, Table, Tile, render
from simulator.finance.opponents import AS_BILLED, BEST, HYBRID, PRIVATE
from simulator.pipeline.currency import Currency
from simulator.pipeline.planning import Planned
from simulator.record import plain
from simulator.wording import Language, words

HOURS_PER_WEEK = 168
HOURS_PER_DAY = 24
OPPONENTS = (AS_BILLED, BEST, PRIVATE, HYBRID)


def currency_of(planned: Planned) -> Currency:
    """The currency that the scenario asks for."""
    return Currency.of(planned.case)


def in_currency(document: Any, currency: Currency) -> Any:
    """Rename keys that end in `_usd` or hold `_usd_per_` and convert their numbers; everything else stays."""
    if isinstance(document, Mapping):
        return {_renamed(key, currency): _converted(key, value, currency) for key, value in document.items()}
    if isinstance(document, list):
        return [in_currency(item, currency) for item in document]
    return document


def _is_money(key: str) -> bool:
    return key.endswith("_usd") or "_usd_per_" in key


def _renamed(key: str, currency: Currency) -> str:
    return key.replace("_usd", f"_{currency.code.lower()}") if _is_money(key) else key


def _converted(key: str, value: Any, currency: Currency) -> Any:
    if _is_money(key) and isinstance(value, int | float):
        return value * currency.rate
    return in_currency(value, currency)


def plan_json(planned: Planned) -> dict[str, Any]:
    """`plan.json` for `--json`: the plan with its money in the scenario's currency. The file on disk always keeps USD."""
    document: dict[str, Any] = in_currency(plain(planned.plan), currency_of(planned))
    return document


def tiles(planned: Planned, language: Language) -> list[Tile]:
    """The headline numbers."""
    w, plan, currency = words(language), planned.plan, currency_of(planned)
    low, high = plan.recommendation.range_1pct
    months = plan.money.payback_months
    grade = plan.recommendation.confidence.partition(":")[0]
    days = planned.case.demand.size / HOURS_PER_DAY
    return [
        Tile(w["recommended_nodes"], str(plan.recommendation.private_nodes), f"{low}-{high} {w['within_1pct']}"),
        Tile(w["npv"], currency.short(plan.money.npv_usd), f"{planned.scenario.money.years * MONTHS_PER_YEAR} {w['months']}"),
        Tile(w["payback"], w["never"] if months is None else f"{months:.0f} {w['months']}"),
        Tile(w["capex"], currency.short(plan.money.capex_usd)),
        Tile(
            w["hybrid"],
            currency.short(plan.money.hybrid_usd_per_year),
            f"{w['aws_best']}: {currency.short(plan.money.aws_best_usd_per_year)}",
        ),
        Tile(w["confidence"], w[f"grade_{grade}"], f"{days:.0f} {w['days_of_history']}"),
    ]


def notes(planned: Planned, language: Language) -> tuple[str, ...]:
    """What to know of the inputs: filled gaps, assumed pods, the bill's own rate, values outside the catalog's range."""
    w = words(language)
    asked, used = planned.scenario.aws.commitment_discount_share, planned.case.scenario.aws.commitment_discount_share
    own_rate = [w["own_rate"].format(used=used, asked=asked)] if used != asked else []
    outside = planned.case.parameters.outside()
    strange = [w["outside_range"].format(name=p.name, value=p.value, low=p.low, high=p.high, unit=p.unit) for p in outside]
    return (*planned.inputs.notes, *(w.get(note, note) for note in planned.comparison.notes), *own_rate, *strange)


def marks(planned: Planned, language: Language) -> dict[str, int]:
    """Other answers to mark on the cost curve."""
    w, plan = words(language), planned.plan
    found = {w["by_peak"]: plan.readings.by_peak_nodes, w["by_worker_hours"]: plan.readings.by_worker_hours_nodes}
    return found | {w["measured_packing"]: plan.verification.nodes_at_measured_packing}


def cost_curve(planned: Planned, language: Language) -> go.Figure:
    """Cost of every number of private nodes."""
    screening, currency = planned.advice.screening, currency_of(planned)
    return charts.cost_curve(
        screening.nodes,
        screening.private_usd_per_year * currency.rate,
        screening.aws_usd_per_year * currency.rate,
        chosen=planned.plan.recommendation.private_nodes,
        range_1pct=planned.plan.recommendation.range_1pct,
        marks=marks(planned, language),
        words=words(language),
        currency=currency.code,
    )


def load_duration(planned: Planned, language: Language) -> go.Figure:
    """How busy each node would be, against the break-even."""
    screening = planned.advice.screening
    return charts.busy_nodes(screening.busy_share, screening.breakeven, chosen=planned.advice.working, words=words(language))


def busiest_week(run: RunResult) -> slice:
    """The aligned 168 hours with most demand."""
    hours = run.demand_cpu_h.size
    starts = range(0, max(hours - HOURS_PER_WEEK, 0) + 1, HOURS_PER_WEEK)
    first = max(starts, key=lambda start: float(run.demand_cpu_h[start : start + HOURS_PER_WEEK].sum()))
    return slice(first, first + HOURS_PER_WEEK)


def timeline(planned: Planned, language: Language) -> go.Figure:
    """The fleet in its busiest week, replication 0."""
    run = planned.outcome.first
    week = busiest_week(run)
    own = np.array(run.private, dtype=bool)
    capacity = run.node_hours[:, own] @ np.array([pool.shape.schedulable_cpu_m / 1000 for pool in planned.fleet.pools if pool.private])
    return charts.fleet_timeline(
        run.horizon.times()[week],
        run.busy_cpu_h[week][:, own].sum(axis=1),
        run.busy_cpu_h[week][:, ~own].sum(axis=1),
        np.asarray(capacity[week]),
        run.pending_cpu_h[week],
        words=words(language),
    )


def cash_flow(planned: Planned, language: Language) -> go.Figure:
    """Money spent until each month, for every way to serve the demand."""
    rate = currency_of(planned).rate
    spent: dict[str, NDArray[np.float64]] = {name: np.cumsum(planned.comparison.flow(name).usd) * rate for name in OPPONENTS}
    months = np.arange(spent[HYBRID].size)
    return charts.cash_flow(months, spent, words=words(language), currency=currency_of(planned).code)


def answers(planned: Planned, language: Language) -> Table:
    """Every question and its number of nodes."""
    w, plan = words(language), planned.plan
    halves = {
        "by_users": plan.readings.by_users_nodes,
        "by_peak": plan.readings.by_peak_nodes,
        "by_worker_hours": plan.readings.by_worker_hours_nodes,
    }
    rows = [(w[name], "-" if nodes is None else str(nodes)) for name, nodes in halves.items()]
    rows += [(w[name], str(nodes)) for name, nodes in plan.alternatives.items() if name not in halves]
    rows.append((w["measured_packing"], str(plan.verification.nodes_at_measured_packing)))
    return Table((w["question"], w["nodes"]), rows, frozenset({1}))


def money_table(planned: Planned, language: Language) -> Table:
    """A year and the whole horizon of every way to serve the demand."""
    w, currency, comparison = words(language), currency_of(planned), planned.comparison
    listed = {AS_BILLED: f"{w[AS_BILLED]} ({w['list_price']})"} if comparison.billed_is_list else {}
    rows = [
        (listed.get(name, w[name]), currency.text(comparison.statement(name).usd_per_year), currency.text(comparison.flow(name).total_usd))
        for name in OPPONENTS
    ]
    return Table(("", w["cost_per_year"], f"{planned.scenario.money.years * MONTHS_PER_YEAR} {w['months']}"), rows, frozenset({1, 2}))


def steps_table(planned: Planned, language: Language) -> Table:
    """Orders with their dates."""
    w = words(language)
    rows = [(step.order_on.isoformat(), step.arrive_on.isoformat(), step.zone, step.shape, str(step.nodes)) for step in planned.plan.steps]
    return Table((w["order_on"], w["arrive_on"], w["zone"], w["shape"], w["nodes"]), rows, frozenset({4}))


def unverified_table(planned: Planned, language: Language) -> Table:
    """Values that nobody has confirmed."""
    w = words(language)
    rows = [(p.name, f"{p.value:g} {p.unit}", f"{p.low:g}-{p.high:g}", p.confidence, p.source) for p in planned.unverified]
    return Table((w["parameter"], w["value"], w["range"], w["confidence"], w["source"]), rows, frozenset({1, 2}))


def bill_table(planned: Planned, language: Language) -> Table | None:
    """The bill's reconciliation, period by period."""
    charges = planned.inputs.charges
    if charges is None:
        return None
    w = words(language)

    def money(value: object) -> str:
        return f"{round(value, 2) + 0:,.2f}" if isinstance(value, Decimal) else str(value)

    rows = [
        (
            p.period,
            money(p.invoice),
            money(p.unblended),
            money(p.amortised),
            money(p.addressable),
            f"{p.worker_hours:,.1f}",
            money(p.identity_error),
        )
        for p in charges.periods
    ]
    header = (w["period"], w["invoice"], w["unblended"], w["amortised"], w["addressable"], w["worker_hours"], w["identity_error"])
    return Table(header, rows, frozenset(range(1, 7)))


def bridge_table(planned: Planned, language: Language) -> Table | None:
    """From every invoice to the run rate that private nodes can take over, step by step."""
    charges = planned.inputs.charges
    if charges is None:
        return None
    w = words(language)
    steps = list(dict.fromkeys(step for period in charges.periods for step, _ in period.bridge))
    rows = []
    for period in charges.periods:
        amounts = dict(period.bridge)
        total = sum(amounts.values(), Decimal(0))
        rows.append((period.period, *(f"{amounts.get(step, Decimal(0)):,.2f}" for step in steps), f"{total:,.2f}"))
    return Table((w["period"], *(w.get(step, step) for step in steps), w["addressable"]), rows, frozenset(range(1, len(steps) + 2)))


def report_page(planned: Planned, language: Language) -> str:
    """report.html."""
    w, plan = words(language), planned.plan
    bill, bridge = bill_table(planned, language), bridge_table(planned, language)
    sections = [
        Section(w["why"], (*plan.reasons, *notes(planned, language))),
        Section(w["cost_curve"], figure=cost_curve(planned, language)),
        Section(w["alternatives"], table=answers(planned, language)),
        Section(w["load_duration"], figure=load_duration(planned, language)),
        Section(w["timeline"], figure=timeline(planned, language)),
        Section(w["money"], table=money_table(planned, language)),
        Section(w["cash_flow"], figure=cash_flow(planned, language)),
        Section(w["steps"], table=steps_table(planned, language)),
        *([Section(w["reconciliation"], table=bill)] if bill else []),
        *([Section(w["bridge"], table=bridge)] if bridge else []),
        Section(w["unverified"], table=unverified_table(planned, language)),
    ]
    footer = {w["digest"]: plan.digest, "seed": str(plan.seed), "as of": plan.as_of.isoformat()}
    title = planned.scenario.title.get(language) or planned.scenario.scenario
    return render(title, f"{w['app_title']}: {w['app_claim']}", tiles(planned, language), sections, footer, language)
