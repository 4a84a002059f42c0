"""How the money commands print: statements, placements and drivers as tables."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from models.unknown import Unknown
from simulator.finance.documents import SideBySide, figure, or_reason
from simulator.finance.opponents import AS_BILLED, best_rate
from simulator.finance.report import FinanceReport

_WIDE = 200


def console() -> Console:
    """Standard output, wide enough for tables when it is no terminal."""
    out = Console()
    return out if out.is_terminal else Console(width=_WIDE)


def draw_placements(found: SideBySide) -> None:
    """One column a placement, one row a measure."""
    table = Table("measure", "unit", *found.columns, "what it shows")
    for row in found.rows:
        table.add_row(row.measure, row.unit, *[_number(value, row.unit) for value in row.values], row.proves)
    out = console()
    out.print(table)
    for line in found.cheapest:
        out.print(f"cheapest private placement, {line}")
    out.print(f"unverified values used: {', '.join(found.unverified) or 'none'}", highlight=False)


def draw_finance(report: FinanceReport, currency: str) -> None:
    """Opponents, the figures of the decision, the widest drivers."""
    c, out = report.comparison, console()
    rate = report.case.prices.private.krw_per_usd if currency == "KRW" else 1.0
    table = Table("way", f"{currency} a year", "to buy", f"cash over {report.case.scenario.money.years} years")
    for statement in c.statements:
        cash = c.flow(statement.name).total_usd
        name = f"{statement.name} (list price, no bill)" if c.billed_is_list and statement.name == AS_BILLED else statement.name
        table.add_row(name, *[f"{value * rate:,.0f}" for value in (statement.usd_per_year, statement.capex_usd, cash)])
    out.print(table)
    irr = c.irr if isinstance(c.irr, Unknown) else 100.0 * c.irr
    out.print(f"NPV against AWS at its best: {currency} {c.npv_usd * rate:,.0f}; {figure('IRR', irr, '{:.1f} %')}")
    out.print(f"{figure('payback', c.payback_months, 'after {:.1f} months')}; {figure('break-even', c.breakeven_nodes, 'at {:.0f} nodes')}")
    out.print(f"one more server pays when it works in more than {c.breakeven_share:.1%} of hours")
    _draw_check(report, currency, rate, out)
    drivers = Table("what moves the cost most", f"{currency} a year at low", "at high", "nodes at low", "at high", "plan changes at")
    for d in report.drivers[:5]:
        costs = [f"{value * rate:,.0f}" for value in (d.cost_low_usd, d.cost_high_usd)]
        drivers.add_row(d.parameter, *costs, str(d.nodes_low), str(d.nodes_high), or_reason(d.turning_value, "{:,.4g}"))
    out.print(drivers)
    regret = Table("regret of owning", "nodes", *report.regret.futures)
    for (name, nodes), row in zip(report.regret.plans, report.regret.regret, strict=True):
        mark = " (smallest worst)" if name == report.regret.minimax else ""
        regret.add_row(name + mark, str(nodes), *[f"{value:.1%}" for value in row])
    out.print(regret)
    out.print(f"knowing which of these futures comes would be worth {currency} {report.regret.evpi_usd * rate:,.0f} a year")
    for note in c.notes:
        out.print(note, highlight=False)
    out.print(f"unverified values used: {', '.join(report.case.unverified()) or 'none'}", highlight=False)


def _draw_check(report: FinanceReport, currency: str, rate: float, out: Console) -> None:
    """The rule of half: its private cost, what each dispatch leaves to AWS, and the least-cost table."""
    check = report.check
    if not check.nodes:
        return
    plain, staffed = (f"{currency} {value * rate:,.2f}" for value in (check.without_staff.usd_per_year, check.with_staff_usd_per_year))
    half = f"{report.case.scenario.demand.build_share:.0%} of the {'users' if check.by_users else 'peak'}"
    out.print(f"private cost of the rule's {check.nodes} nodes ({half}): {plain} a year without staff, {staffed} with")
    off = "the bill's rate" if best_rate(report.case).of_bill else f"{report.case.scenario.aws.commitment_discount_share:.0%} off"
    table = Table(
        "dispatch of these nodes", f"AWS left, {currency} a year", "avoided at list price", f"avoided at {off}", f"saving at {off}"
    )
    for d in check.dispatches:
        table.add_row(d.dispatch, *[f"{v * rate:,.0f}" for v in (d.left_usd, d.avoided_usd, d.avoided_best_usd, d.saving_usd)])
    out.print(table)
    if report.views:
        discount = f"{report.case.scenario.aws.commitment_discount_share:.0%} off"
        least = Table("cost of a server", f"{currency} a year", "nodes that cost least on demand", f"at {discount}")
        for view in report.views:
            least.add_row(view.name, f"{view.usd_per_node_year * rate:,.0f}", str(view.on_demand_nodes), str(view.best_nodes))
        out.print(least)


def _number(value: float, unit: str) -> str:
    return f"{value:.1%}" if unit == "share" else f"{value:,.0f}"
