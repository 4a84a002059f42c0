"""How the money commands print: statements, placements and drivers as tables."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from models.unknown import Unknown
from simulator.finance.documents import SideBySide, or_reason
from simulator.finance.generations import generations
from simulator.finance.opponents import AS_BILLED, best_rate
from simulator.finance.report import FinanceReport
from simulator.wording import Language, words
from simulator.wording_tables import Say, say_known, speaker

_WIDE = 200


def console() -> Console:
    """Standard output, wide enough for tables when it is no terminal."""
    out = Console()
    return out if out.is_terminal else Console(width=_WIDE)


def draw_placements(found: SideBySide, language: Language) -> None:
    """One column a placement, one row a measure."""
    say = speaker(language)
    table = Table(say("measure"), say("unit"), *found.columns, say("what it shows"))
    for row in found.rows:
        measure, proves = (row.measure, row.proves) if language == "en" else (say(row.measure), row.proves and say(row.proves))
        table.add_row(measure, say(row.unit), *[_number(value, row.unit) for value in row.values], proves)
    out = console()
    out.print(table)
    for line in found.cheapest:
        out.print(say("cheapest private placement, {line}", line=line))
    for scenario, unfit in found.left_out.items():
        for one in unfit:
            why = {"scenario": scenario, "placement": say_known(say, one.placement), "node": one.node, "lacks": ", ".join(one.lacks)}
            out.print(say("{scenario}: no column for {placement}: a node {node} offers no {lacks}", **why), highlight=False)
    out.print(say("unverified values used: {names}", names=", ".join(found.unverified) or say("none")), highlight=False)


def draw_finance(report: FinanceReport, currency: str, language: Language) -> None:
    """Opponents, the figures of the decision, the widest drivers."""
    c, out, say = report.comparison, console(), speaker(language)
    rate = report.case.prices.private.krw_per_usd if currency == "KRW" else 1.0
    yearly, span = say("{currency} a year", currency=currency), say("cash over {years} years", years=report.case.scenario.money.years)
    table = Table(say("way"), yearly, say("to buy"), span)
    for statement in c.statements:
        cash = c.flow(statement.name).total_usd
        name = say_known(say, statement.name)
        if c.billed_is_list and statement.name == AS_BILLED:
            name = say("{name} (list price, no bill)", name=name)
        table.add_row(name, *[f"{value * rate:,.0f}" for value in (statement.usd_per_year, statement.capex_usd, cash)])
    out.print(table)
    irr = c.irr if isinstance(c.irr, Unknown) else 100.0 * c.irr
    rates = {"currency": currency, "npv": c.npv_usd * rate, "irr": _told(say, irr, "IRR {value:.1f} %", "no IRR: {reason}")}
    out.print(say("NPV against AWS at its best: {currency} {npv:,.0f}; {irr}", **rates))
    payback = _told(say, c.payback_months, "payback after {value:.1f} months", "no payback: {reason}")
    out.print(f"{payback}; {_told(say, c.breakeven_nodes, 'break-even at {value:.0f} nodes', 'no break-even: {reason}')}")
    out.print(say("one more server pays when it works in more than {share:.1%} of hours", share=c.breakeven_share))
    _draw_check(report, currency, rate, out, say)
    low = say("{currency} a year at low", currency=currency)
    drivers = Table(say("what moves the cost most"), low, *map(say, ("at high", "nodes at low", "at high", "plan changes at")))
    for d in report.drivers[:5]:
        costs = [f"{value * rate:,.0f}" for value in (d.cost_low_usd, d.cost_high_usd)]
        drivers.add_row(d.parameter, *costs, str(d.nodes_low), str(d.nodes_high), say_known(say, or_reason(d.turning_value, "{:,.4g}")))
    out.print(drivers)
    regret = Table(say("regret of owning"), say("nodes"), *(say_known(say, future) for future in report.regret.futures))
    for (name, nodes), row in zip(report.regret.plans, report.regret.regret, strict=True):
        mark = say(" (smallest worst)") if name == report.regret.minimax else ""
        regret.add_row(say_known(say, name) + mark, str(nodes), *[f"{value:.1%}" for value in row])
    out.print(regret)
    worth = {"currency": currency, "usd": report.regret.evpi_usd * rate}
    out.print(say("knowing which of these futures comes would be worth {currency} {usd:,.0f} a year", **worth))
    _draw_generations(report, currency, rate, out, say)
    known = words(language)
    for note in c.notes:
        out.print(known.get(note, note), highlight=False)
    out.print(say("unverified values used: {names}", names=", ".join(report.case.unverified()) or say("none")), highlight=False)


def _told(say: Say, value: float | Unknown, known: str, unknown: str) -> str:
    """A number as a phrase, or why there is none."""
    return say(unknown, reason=value.reason) if isinstance(value, Unknown) else say(known, value=value)


def _draw_generations(report: FinanceReport, currency: str, rate: float, out: Console, say: Say) -> None:
    """Old servers of every zone that has some against new ones for the same work."""
    found = generations(report.case)
    if not found:
        return
    yearly = say("{currency} a year", currency=currency)
    head = ("age", "servers", "to buy", "power, kWh a year", "failures a year")
    table = Table(say("old servers against new"), *map(say, head), yearly)
    for one in found:
        for name, side, age in ((say("old"), one.old, one.age_years), (say("new"), one.new, 0.0)):
            figures = (
                f"{side.capex_usd * rate:,.0f}",
                f"{side.energy_kwh:,.0f}",
                f"{side.failures_per_year:.2f}",
                f"{side.usd_per_year * rate:,.0f}",
            )
            table.add_row(f"{one.zone}: {name}", f"{age:g}", f"{side.servers}", *figures)
    out.print(table)
    for one in found:
        age_or_none = one.crossover_age
        if isinstance(age_or_none, Unknown):
            reason = say("the old servers cost less at every age up to {age:g} years", age=one.years[-1][0])
            out.print(say("{zone}: new servers never cost less: {reason}", zone=one.zone, reason=reason))
        else:
            out.print(say("{zone}: new servers cost less from an age of {age:g} years on", zone=one.zone, age=age_or_none))


def _draw_check(report: FinanceReport, currency: str, rate: float, out: Console, say: Say) -> None:
    """The rule of half: its private cost, what each dispatch leaves to AWS, and the least-cost table."""
    check = report.check
    if not check.nodes:
        return
    plain, staffed = (f"{currency} {value * rate:,.2f}" for value in (check.without_staff.usd_per_year, check.with_staff_usd_per_year))
    scenario = report.case.scenario
    half = say("{share:.0%} of the users" if check.by_users else "{share:.0%} of the peak", share=scenario.demand.build_share)
    cost = {"nodes": check.nodes, "half": half, "plain": plain, "staffed": staffed}
    out.print(say("private cost of the rule's {nodes} nodes ({half}): {plain} a year without staff, {staffed} with", **cost))
    discount = say("{share:.0%} off", share=scenario.aws.commitment_discount_share)
    off = say("the bill's rate") if best_rate(report.case).of_bill else discount
    left = say("AWS left, {currency} a year", currency=currency)
    heads = (left, say("avoided at list price"), say("avoided at {off}", off=off), say("saving at {off}", off=off))
    table = Table(say("dispatch of these nodes"), *heads)
    for d in check.dispatches:
        table.add_row(
            say_known(say, d.dispatch), *[f"{v * rate:,.0f}" for v in (d.left_usd, d.avoided_usd, d.avoided_best_usd, d.saving_usd)]
        )
    out.print(table)
    if report.views:
        yearly = say("{currency} a year", currency=currency)
        least = Table(say("cost of a server"), yearly, say("nodes that cost least on demand"), say("at {off}", off=discount))
        for view in report.views:
            least.add_row(
                say_known(say, view.name), f"{view.usd_per_node_year * rate:,.0f}", str(view.on_demand_nodes), str(view.best_nodes)
            )
        out.print(least)


def _number(value: float, unit: str) -> str:
    return f"{value:.1%}" if unit == "share" else f"{value:,.0f}"
