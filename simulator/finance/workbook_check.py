"""The workbook's page on the rule of half: its private cost, what each dispatch leaves to AWS, and the least-cost table."""

from __future__ import annotations

from models.units import MONTHS_PER_YEAR
from simulator.finance.opponents import yearly_worker_hours
from simulator.finance.pages import Book, cell, span
from simulator.finance.report import FinanceReport

PAGE = "Rule of half"
_LIST, _BEST = "a_on_demand_usd_per_h", "t_best_usd_per_h"


def check_page(book: Book, report: FinanceReport) -> None:
    """Private lines and worker-hours are the model's run; sums and AWS money are formulas."""
    page = book.page(PAGE, (34, 20, 20, 20, 20, 20))
    check = report.check
    page.line(f"What the rule of half costs: {check.nodes} nodes", style="title")
    page.line("private side", "USD a year", style="head")
    first = page.row
    for line in check.without_staff.lines:
        page.put(page.line(line.item), 1, line.usd_per_year, "input")
    total = page.line("without staff")
    page.calc(total, 1, f"SUM({span(PAGE, first, total - 1, 1)})", check.without_staff.usd_per_year, "total")
    staffed = page.line(f"with {check.fte:g} full-time staff")
    staff = f"{check.fte:g}*a_staff_krw_per_month*{MONTHS_PER_YEAR}/a_krw_per_usd"
    page.calc(staffed, 1, f"{cell(total, 1)}+{staff}", check.with_staff_usd_per_year, "total")
    page.skip()
    page.line(
        "dispatch",
        "AWS worker-hours left",
        "AWS left at list price",
        "avoided at list price",
        "avoided at best price",
        "saving",
        style="head",
    )
    everything = yearly_worker_hours(report.case, 0.0)
    for d in check.dispatches:
        row = page.line(d.dispatch)
        page.put(row, 1, d.worker_hours, "input")
        hours = f"({everything:.10g}-{cell(row, 1)})"
        page.calc(row, 2, f"{cell(row, 1)}*{_LIST}", d.left_usd)
        page.calc(row, 3, f"{hours}*{_LIST}", d.avoided_usd)
        page.calc(row, 4, f"{hours}*{_BEST}", d.avoided_best_usd)
        page.calc(row, 5, f"{cell(row, 4)}-{cell(staffed, 1)}", d.saving_usd)
    page.skip()
    page.line("cost of a server (model run)", "USD a year", "least cost on demand, nodes", "least cost at best price, nodes", style="head")
    for view in report.views:
        row = page.line(view.name)
        page.put(row, 1, view.usd_per_node_year, "number")
        page.put(row, 2, view.on_demand_nodes, "whole")
        page.put(row, 3, view.best_nodes, "whole")
