"""The workbook: assumptions, purchases, yearly cost, cost curve, cash flow, sensitivity; formulas that recalculate."""

from __future__ import annotations

from pathlib import Path

from models.case import Case
from models.statement import CostStatement
from models.units import HOURS_PER_YEAR, MONTHS_PER_YEAR
from models.zones import BomLine
from simulator.finance.opponents import BEST, HYBRID, SIDES, best_rate, yearly_worker_hours
from simulator.finance.pages import Book, Page, cell, span
from simulator.finance.report import FinanceReport
from simulator.finance.workbook_cash import cash_page, summary_page
from simulator.finance.workbook_check import check_page
from simulator.record import writing


def write_workbook(path: Path, report: FinanceReport) -> None:
    """Write the workbook atomically; the same report gives the same bytes."""
    with writing(path) as temporary:
        book = Book(temporary, report.case.scenario.as_of)
        summary = book.page("Summary", (46, 22, 70))
        assumptions_page(book, report)
        private_page(book, report)
        curve_page(book, report)
        aws_page(book, report)
        cash_page(book, report)
        check_page(book, report)
        sensitivity_page(book, report)
        summary_page(summary, report)
        book.close()


def assumptions_page(book: Book, report: FinanceReport) -> None:
    """Every input with range, source, date and confidence; the blue cells are what the other pages calculate from."""
    page = book.page("Assumptions", (40, 16, 30, 12, 12, 12, 12, 90))
    page.line("Assumptions: change a blue cell and everything recalculates", style="title")
    page.line("name", "value", "unit", "low", "high", "confidence", "as of", "source", style="head")
    case = report.case
    for p in case.used_parameters():
        confidence = "set here" if p.overridden else p.confidence
        _assumption(page, p.name, p.value, p.unit)
        page.put(page.row - 1, 3, p.low, "input")
        page.put(page.row - 1, 4, p.high, "input")
        page.put(page.row - 1, 5, confidence)
        page.put(page.row - 1, 6, p.as_of)
        page.put(page.row - 1, 7, "scenario" if p.overridden else p.source)
    page.line("Scenario", style="head")
    aws = case.scenario.aws
    _assumption(page, "on_demand_usd_per_h", case.on_demand_usd_per_h, f"USD per h, {aws.worker} in {aws.region}")
    _assumption(page, "commitment_discount_share", aws.commitment_discount_share, "share of list price")
    _assumption(page, "staff_fte", case.scenario.planner.staff_fte, "FTE")
    for number, zone in enumerate(case.zones):
        _assumption(page, f"nodes_{number}", report.nodes.get(zone.part.name, 0), f"nodes in {zone.part.name}, spares included")


def _assumption(page: Page, name: str, value: float, unit: str) -> None:
    row = page.line(name)
    page.put(row, 1, value, "input")
    page.put(row, 2, unit)
    page.named(f"a_{name}", row, 1)


def private_page(book: Book, report: FinanceReport) -> None:
    """The purchase list and the yearly cost of what is bought."""
    page = book.page("Private", (34, 12, 14, 16, 10, 12, 10, 50, 14))
    page.line("What is owned and what it costs a year", style="title")
    page.line("item", "quantity", "unit USD", "USD", "W each", "supported", "worker", "why", "already stands", style="head")
    case, statement = report.case, report.comparison.statement(HYBRID)
    first = page.row
    for number, zone in enumerate(case.zones):
        standing = {line.item: line.quantity for line in zone.purchases(zone.part.existing_nodes)}
        for line in zone.purchases(report.nodes.get(zone.part.name, 0)):
            _purchase(page, line, f"a_nodes_{number}", zone.per_server)
            page.put(page.row - 1, 8, standing.get(line.item, 0.0), "input")
    if page.row == first:
        page.line("nothing is bought", 0, 0, 0, 0, 0, 0, None, 0)
    _totals(page, statement, case, first, page.row - 1)
    _yearly(page, statement, case)


def _purchase(page: Page, line: BomLine, nodes: str, per_server: int) -> None:
    row = page.line(line.item)
    workers = cell(row, 1)
    formulas = {
        "optics": f"{cell(row - 2, 1)}*a_optics_per_server",
        "ToR switch": f"ROUNDUP({cell(row - 1, 1)}/a_servers_per_rack,0)*a_tor_per_rack",
        "DNS and proxy server": "a_dns_proxy_servers",
    }
    formula = f"IF({nodes}=0,0,ROUNDUP({nodes}/{per_server},0))" if line.worker else formulas.get(line.item)
    if formula:
        page.calc(row, 1, formula, line.quantity, "whole")
    else:
        page.put(row, 1, line.quantity, "input")
    page.calc(row, 2, f"a_{line.priced_by}*{line.price_share:g}", line.unit_usd)
    page.calc(row, 3, f"{workers}*{cell(row, 2)}", line.usd)
    for column, value in ((4, line.watts_each), (5, float(line.supported)), (6, float(line.worker))):
        page.put(row, column, value, "input")
    page.put(row, 7, line.why)


def _totals(page: Page, statement: CostStatement, case: Case, first: int, last: int) -> None:
    """Sums of the purchase list, named for the other formulas."""
    prices = case.prices.private
    quantity, watts, supported, worker = (span("Private", first, last, column) for column in (1, 4, 5, 6))
    draw = f"{worker}*a_worker_mean_draw_share+(1-{worker})*a_infrastructure_mean_draw_share"
    by_item = {line.item: line for line in statement.lines}
    rows = (
        ("t_capex", "purchase list, USD", f"SUM({span('Private', first, last, 3)})", statement.purchases_usd),
        (
            "t_bought",
            "capital bought beyond what stands, USD",
            f"MAX(0,t_capex-SUMPRODUCT({span('Private', first, last, 2)},{span('Private', first, last, 8)}))",
            statement.capex_usd,
        ),
        ("t_peak_kw", "peak kW", f"SUMPRODUCT({quantity},{watts})/1000", by_item["colocation"].quantity),
        ("t_mean_kw", "mean kW", f"SUMPRODUCT({quantity}*{watts}*({draw}))/1000", by_item["energy"].quantity),
        ("t_supported", "supported servers", f"SUMPRODUCT({quantity},{supported})", by_item["operating-system support"].quantity),
        ("t_workers", "worker servers", f"SUMPRODUCT({quantity},{worker})", sum(x.quantity for x in statement.purchases if x.worker)),
        ("t_life", "life, whole years", "MAX(1,ROUND(a_server_life_years,0))", prices.life_years),
        (
            "t_kw_year",
            "USD per kW and year of energy",
            f"a_pue*{HOURS_PER_YEAR}*a_energy_krw_per_kwh/a_krw_per_usd",
            prices.energy_usd_per_kw_year,
        ),
    )
    for name, text, formula, value in rows:
        row = page.line(text)
        page.calc(row, 3, formula, value, "total")
        page.named(name, row, 3)


def _yearly(page: Page, statement: CostStatement, case: Case) -> None:
    """The yearly lines of the private side."""
    page.skip()
    page.line("yearly cost", None, None, "USD a year", style="head")
    formulas = {
        "capital": "PMT(a_discount_rate_share,t_life,-t_capex,a_residual_share*t_capex)",
        "colocation": f"t_peak_kw*a_colocation_usd_per_kw_month*{MONTHS_PER_YEAR}",
        "energy": "t_mean_kw*t_kw_year",
        "operating-system support": "t_supported*a_os_support_usd_per_node_year",
        "hardware maintenance": "t_capex*a_hardware_maintenance_share_per_year",
        "staff": f"IF(t_workers=0,0,a_staff_fte*a_staff_krw_per_month*{MONTHS_PER_YEAR}/a_krw_per_usd)",
        "migration": "PMT(a_discount_rate_share,t_life,-t_workers*a_migration_usd_per_node)",
    }
    values = {line.item: line.usd_per_year for line in statement.lines}
    first = page.row
    for item, formula in formulas.items():
        row = page.line(item)
        page.calc(row, 3, formula, values.get(item, 0.0))
    total = page.line("private side a year")
    owned = sum(values.get(item, 0.0) for item in formulas)
    page.calc(total, 3, f"SUM({span('Private', first, total - 1, 3)})", owned, "total")
    page.named("t_private_year", total, 3)
    row = page.line("of it paid every year")
    cash = owned - values["capital"] - values.get("migration", 0.0)
    page.calc(row, 3, f"t_private_year-{cell(first, 3)}-{cell(total - 1, 3)}", cash, "total")
    page.named("t_private_cash", row, 3)


def curve_page(book: Book, report: FinanceReport) -> None:
    """Cost for every number of nodes; hours and private cost are the model's run, money follows the assumptions."""
    page = book.page("Curve", (10, 14, 18, 18, 18, 18))
    curve, price = report.curve, best_rate(report.arrival).usd_per_h
    page.line("Cost for every number of owned nodes, AWS at its best price", style="title")
    page.line("nodes", "busy share", "AWS worker-hours", "private USD a year", "AWS USD a year", "total USD a year", style="head")
    first = page.row
    for k in range(curve.nodes.size):
        row = page.line(int(curve.nodes[k]), style="whole")
        page.put(row, 1, float(curve.busy_share[k]), "share")
        page.put(row, 2, float(curve.aws_worker_hours[k]), "input")
        page.put(row, 3, float(curve.private_usd[k]), "input")
        aws = float(curve.aws_worker_hours[k]) * price
        page.calc(row, 4, f"{cell(row, 2)}*t_best_usd_per_h", aws)
        page.calc(row, 5, f"{cell(row, 3)}+{cell(row, 4)}", float(curve.private_usd[k]) + aws)
    last = page.row - 1
    page.book.file.define_name("c_nodes", f"={span('Curve', first, last, 0)}")
    page.book.file.define_name("c_hours", f"={span('Curve', first, last, 2)}")
    chart = book.file.add_chart({"type": "line"})
    for column, name in ((3, "private"), (4, "AWS"), (5, "total")):
        chart.add_series(
            {"name": name, "categories": f"={span('Curve', first, last, 0)}", "values": f"={span('Curve', first, last, column)}"}
        )
    chart.set_title({"name": "Cost a year by owned nodes"})
    page.sheet.insert_chart("H3", chart, {"x_scale": 1.6, "y_scale": 1.4})


def aws_page(book: Book, report: FinanceReport) -> None:
    """The three ways to stay on AWS, and what the hybrid leaves there."""
    page = book.page("AWS", (34, 20, 20, 22, 60))
    case, comparison = report.case, report.comparison
    page.line("AWS by the year", style="title")
    page.line("way", "worker-hours", "USD per h", "USD a year", "why", style="head")
    for statement in comparison.statements[:3]:
        line = statement.lines[0]
        row = page.line(statement.name)
        page.put(row, 1, line.quantity, "input")
        if line.unit == "bill":
            page.put(row, 2, line.unit_usd, "input")
        else:
            page.calc(row, 2, "t_best_usd_per_h" if statement.name == BEST else "a_on_demand_usd_per_h", line.unit_usd, "factor")
        page.calc(row, 3, f"{cell(row, 1)}*{cell(row, 2)}", line.usd_per_year)
        page.put(row, 4, line.why)
        page.named(f"t_{statement.name}", row, 3)
    burst = next(line for line in comparison.statement(HYBRID).lines if line.item == "AWS burst")
    row = page.line("hybrid: AWS burst")
    in_curve = len(case.zones) == 1 and report.nodes and burst.quantity in report.curve.aws_worker_hours
    if in_curve:
        page.calc(row, 1, "INDEX(c_hours,MATCH(a_nodes_0,c_nodes,0))", burst.quantity)
    else:
        page.put(row, 1, burst.quantity, "input")
    page.calc(row, 2, "t_best_usd_per_h", burst.unit_usd, "factor")
    page.calc(row, 3, f"{cell(row, 1)}*{cell(row, 2)}", burst.usd_per_year)
    page.put(row, 4, burst.why)
    page.named("t_burst_hours", row, 1)
    page.named("t_burst_year", row, 3)
    _link(page, report)
    _best_rate(page, report.arrival)


def _best_rate(page: Page, case: Case) -> None:
    """The price of a worker-hour at AWS's best: the commitment's, or the bill's own where that is lower."""
    hours, row = yearly_worker_hours(case, 0.0), page.line("all demand, worker-hours")
    page.put(row, 1, hours, "whole")
    everything = cell(row, 1)
    rate, row = best_rate(case), page.line("AWS at its best, USD per h")
    offered = "a_on_demand_usd_per_h*(1-a_commitment_discount_share)"
    billed = case.billed_usd_per_year is not None and hours > 0
    page.calc(row, 2, f"MIN({offered},t_aws_as_billed/{everything})" if billed else offered, rate.usd_per_h, "factor")
    page.put(row, 4, rate.why)
    page.named("t_best_usd_per_h", row, 2)


def _link(page: Page, report: FinanceReport) -> None:
    lines = report.comparison.statement(HYBRID).lines
    value = sum(line.usd_per_year for line in lines if line.item in ("Direct Connect ports", "data over the link", SIDES))
    row = page.line("hybrid: link to AWS")
    ports = f"a_direct_connect_ports*a_direct_connect_port_usd_per_h*{HOURS_PER_YEAR}"
    data = "t_burst_hours*a_egress_gb_per_burst_node_h*a_direct_connect_usd_per_gb"
    moved = sum(line.usd_per_year for line in lines if line.item == SIDES)
    simulated = f"+{moved!r}" if moved else ""
    page.calc(row, 3, f"IF(t_workers=0,0,{ports}+{data}{simulated})", value)
    page.named("t_link_year", row, 3)


def sensitivity_page(book: Book, report: FinanceReport) -> None:
    """The tornado, widest bar first; a model run, not formulas."""
    page = book.page("Sensitivity", (40, 12, 14, 14, 14, 20, 20, 18, 12, 12, 50))
    page.line("Yearly cost of the plan, and the best number of nodes, at both ends of every range (model run)", style="title")
    page.line(
        "assumption", "confidence", "value", "low", "high", "USD a year at low", "USD a year at high", "swing", "nodes low", "nodes high",
        "plan changes at", style="head",
    )  # fmt: skip
    for d in report.drivers:
        row = page.line(d.parameter, d.confidence)
        numbers = (d.value, d.low, d.high, d.cost_low_usd, d.cost_high_usd, d.swing_usd, d.nodes_low, d.nodes_high)
        for column, number in enumerate(numbers, start=2):
            page.put(row, column, number, "input" if column < 5 else "whole")
        page.put(row, 10, d.turning_value, "input")
