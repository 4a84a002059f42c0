"""The workbook's cash flow and summary: monthly flows, NPV, IRR and payback as formulas."""

from __future__ import annotations

from models.statement import Comparison
from models.units import HOURS_PER_MONTH, MONTHS_PER_YEAR
from models.unknown import Unknown
from simulator.finance.cashflow import MONTHS_PER_QUARTER, at_quarter, batches, fleet_by_quarter
from simulator.finance.opponents import BEST, HYBRID, hybrid, working_room, yearly_worker_hours
from simulator.finance.pages import Book, Page, cell, span
from simulator.finance.report import FinanceReport

PAGE = "Cash flow"
_HEAD = (
    "month", "AWS volume", "AWS price", "burst volume", "running scale", "bought share", "aws_as_billed", "aws_on_demand", "aws_best",
    "private (model run)", "hybrid", "saving", "discount factor", "present value", "running saving",
    "saving without refresh and terminal value", "its running sum", "month not below zero",
)  # fmt: skip
_COLUMNS = (
    "m", "v", "p", "b", "s", "f", "billed", "listed", "best", "private", "hybrid", "saving", "d", "pv", "run",
    "recovering", "recovered", "first",
)  # fmt: skip


def cash_page(book: Book, report: FinanceReport) -> None:
    """Month by month; volumes and scales are the model's run (1 without growth), money follows the assumptions."""
    page = book.page(PAGE, (8, *(14,) * 17))
    page.line("Cash flow by the month; month 0 is the day the first servers are ready", style="title")
    batch_rows = _batches(page, report)
    page.line(*_HEAD, style="head")
    first = page.row
    last = first + report.comparison.saving_usd.size - 1
    for month in range(report.comparison.saving_usd.size):
        _month(page, report, month, batch_rows, first, last)
    _results(page, report.comparison, first, last)
    chart = book.file.add_chart({"type": "line"})
    chart.add_series(
        {"name": "running saving", "categories": f"={span(PAGE, first, last, 0)}", "values": f"={span(PAGE, first, last, 14)}"}
    )
    chart.set_title({"name": "Saving against AWS at its best, running sum"})
    page.sheet.insert_chart("T5", chart, {"x_scale": 1.5, "y_scale": 1.3})


def _batches(page: Page, report: FinanceReport) -> tuple[str, str]:
    """Orders: month and price as a share of the capital bought first."""
    page.line("order arrives in month", "share of capital bought", style="head")
    capex = _base(report)[1]
    bought = batches(report.case, fleet_by_quarter(report.case, report.steps))
    first = page.row
    for batch in bought:
        row = page.line(batch.month, style="whole")
        page.put(row, 1, batch.usd / capex if capex else 0.0, "input")
    if not bought:
        page.line(0, 0.0)
    last = page.row - 1
    page.skip()
    return span(PAGE, first, last, 0), span(PAGE, first, last, 1)


def _base(report: FinanceReport) -> tuple[str, float]:
    """Name and USD of what orders are shares of: the capital bought first, or the purchase list when all of it stands."""
    statement = report.comparison.statement(HYBRID)
    return ("t_bought", statement.capex_usd) if statement.capex_usd else ("t_capex", statement.purchases_usd)


def _month(page: Page, report: FinanceReport, month: int, orders: tuple[str, str], first: int, last: int) -> None:
    c, row = report.comparison, page.line(month, style="whole")
    months, shares = orders
    at = {name: cell(row, column) for column, name in enumerate(_COLUMNS)}
    volume, change, burst, scale = _scales(report, month)
    page.put(row, 1, volume, "input")
    page.calc(row, 2, f"IF({at['m']}=0,0,(1+a_aws_price_change_share_per_year)^INT(({at['m']}-1)/{MONTHS_PER_YEAR}))", change, "factor")
    page.put(row, 3, burst, "input")
    page.put(row, 4, scale, "input")
    life = f"(t_life*{MONTHS_PER_YEAR})"
    base = _base(report)[0]
    again = f"({at['m']}>{months})*(MOD({at['m']}-{months},{life})=0)*({at['m']}<{cell(last, 0)})*(1-a_residual_share)"
    page.calc(row, 5, f"SUMPRODUCT({shares}*(({at['m']}={months})+{again}))", _bought_share(report, month), "factor")
    for column, name in ((6, "aws_as_billed"), (7, "aws_on_demand"), (8, "aws_best")):
        page.calc(row, column, f"t_{name}*{at['v']}*{at['p']}/{MONTHS_PER_YEAR}", float(c.flow(name).usd[month]))
    page.put(row, 9, float(c.flow("private").usd[month]), "number")
    running = f"((t_private_cash+t_link_year)*{at['s']}+t_burst_year*{at['b']}*{at['p']})/{MONTHS_PER_YEAR}"
    promised = f"a_aws_committed_usd_per_h*{HOURS_PER_MONTH}*({at['m']}>0)*({at['m']}<=a_aws_commitment_months_left)"
    lost = f"+MAX(0,{promised}-t_burst_year*{at['b']}*{at['p']}/{MONTHS_PER_YEAR})"
    once = "+t_workers*a_migration_usd_per_node" if month == 0 else ""
    age = f"(MOD({cell(last, 0)}-{months}-1,{life})+1)"
    worth = f"-{base}*SUMPRODUCT({shares}*(a_residual_share+(1-a_residual_share)*(1-{age}/{life})))" if row == last else ""
    page.calc(row, 10, f"{base}*{at['f']}+{running}{lost}{once}{worth}", float(c.flow(HYBRID).usd[month]))
    page.calc(row, 11, f"{at['best']}-{at['hybrid']}", float(c.saving_usd[month]))
    rate = report.case.prices.private.discount_rate_share
    factor = (1.0 + rate) ** (-month / MONTHS_PER_YEAR)
    page.calc(row, 12, f"(1+a_discount_rate_share)^(-{at['m']}/{MONTHS_PER_YEAR})", factor, "factor")
    page.calc(row, 13, f"{at['saving']}*{at['d']}", float(c.saving_usd[month]) * factor)
    total = float(c.saving_usd[: month + 1].sum())
    page.calc(row, 14, f"SUM({cell(first, 11)}:{at['saving']})", total)
    page.calc(row, 15, f"{at['saving']}+{base}*SUMPRODUCT({shares}*({again})){worth}", float(c.recovering_usd[month]))
    recovered = float(c.recovering_usd[: month + 1].sum())
    page.calc(row, 16, f"SUM({cell(first, 15)}:{at['recovering']})", recovered)
    never = last - first + 1
    page.calc(row, 17, f"IF({at['recovered']}<0,{never},{at['m']})", float(never if recovered < 0 else month), "whole")


def _scales(report: FinanceReport, month: int) -> tuple[float, float, float, float]:
    """AWS volume, AWS price, burst volume and running cost of the private side in a month, relative to the first year's statement."""
    if month == 0:
        return 0.0, 0.0, 0.0, 0.0
    case, quarter = report.case, (month - 1) // MONTHS_PER_QUARTER
    at, fleet = at_quarter(case, quarter), fleet_by_quarter(case, report.steps)[quarter]
    arrival = report.arrival
    base = hybrid(arrival, report.nodes)
    change = (1.0 + case.prices.aws.price_change_share_per_year) ** (quarter // 4)
    volume = yearly_worker_hours(at, 0.0) / max(yearly_worker_hours(arrival, 0.0), 1e-300)
    left = yearly_worker_hours(arrival, working_room(arrival, report.nodes))
    burst = yearly_worker_hours(at, working_room(case, fleet)) / left if left else 0.0
    owned = base.of("operation", "staff")
    now = hybrid(at, fleet).of("operation", "staff")
    return volume, change, burst, now / owned if owned else 0.0


def _bought_share(report: FinanceReport, month: int) -> float:
    capex, prices = _base(report)[1], report.case.prices.private
    life, end = prices.life_years * MONTHS_PER_YEAR, report.comparison.saving_usd.size - 1
    share = 0.0
    for batch in batches(report.case, fleet_by_quarter(report.case, report.steps)):
        first = month == batch.month
        again = month > batch.month and (month - batch.month) % life == 0 and month < end
        share += batch.usd / capex * (float(first) + float(again) * (1.0 - prices.residual_share)) if capex else 0.0
    return share


def _results(page: Page, c: Comparison, first: int, last: int) -> None:
    """NPV, IRR and payback under the table, named for the summary."""
    page.skip()
    saving, recovering, recovered, first_month = (span(PAGE, first, last, column) for column in (11, 15, 16, 17))
    none = "not within the horizon"
    month = f"MIN({first_month})"
    before = f"INDEX({recovered},{month})"
    payback = (
        f'IF(COUNTIF({recovering},"<>0")=0,"{none}",IF({month}>{last - first},"{none}",IF({month}=0,0,'
        f"{month}-1-{before}/(INDEX({recovered},{month}+1)-{before}))))"
    )
    rows = (
        ("r_npv", "NPV, USD", f"SUM({span(PAGE, first, last, 13)})", c.npv_usd, "number"),
        ("r_irr", "IRR a year", f'IFERROR((1+IRR({saving},0.01))^{MONTHS_PER_YEAR}-1,"{none}")', _or_text(c.irr, none), "share"),
        ("r_payback", "payback, months", payback, _or_text(c.payback_months, none), "number"),
    )
    for name, text, formula, value, style in rows:
        row = page.line(text)
        page.calc(row, 11, formula, value, style)
        page.named(name, row, 11)


def _or_text(value: float | Unknown, text: str) -> float | str:
    return text if isinstance(value, Unknown) else value


def summary_page(page: Page, report: FinanceReport) -> None:
    """One page for the decision."""
    case, c = report.case, report.comparison
    chosen = c.statement(HYBRID)
    page.line(f"{case.scenario.scenario}: own {sum(report.nodes.values())} nodes, leave the rest to AWS", style="title")
    page.line("figure", "value", "note", style="head")
    rows: tuple[tuple[str, str, float | str, str, str], ...] = (
        ("AWS as billed, USD a year", "t_aws_as_billed", c.statement("aws_as_billed").usd_per_year, "number", ""),
        ("AWS on demand, USD a year", "t_aws_on_demand", c.statement("aws_on_demand").usd_per_year, "number", ""),
        ("AWS at its best, USD a year", "t_aws_best", c.statement(BEST).usd_per_year, "number", "the opponent of NPV and payback"),
        ("hybrid, USD a year", "t_private_year+t_burst_year+t_link_year", chosen.usd_per_year, "number", "annuity of capital included"),
        ("capital bought, USD", "t_bought", chosen.capex_usd, "number", ""),
        ("NPV of the saving, USD", "r_npv", c.npv_usd, "number", "cash only; depreciation never enters it"),
        ("IRR a year", "r_irr", _or_text(c.irr, "not within the horizon"), "share", ""),
        ("payback, months", "r_payback", _or_text(c.payback_months, "not within the horizon"), "number", "undiscounted"),
    )
    for text, formula, value, style, note in rows:
        row = page.line(text)
        page.calc(row, 1, formula, value, style)
        page.put(row, 2, note, "note")
    page.put(page.line("break-even nodes"), 1, c.breakeven_nodes, "whole")
    page.put(page.line("break-even busy share of one more server"), 1, c.breakeven_share, "share")
    page.skip()
    for note in c.notes:
        page.line(note, style="note")
    doubtful = case.unverified()
    page.line(f"Unverified values used ({len(doubtful)}): {', '.join(doubtful) or 'none'}", style="note")
