"""How bills are shown: the JSON document of `burstline bill` and its tables."""

from __future__ import annotations

from decimal import Decimal
from itertools import groupby
from typing import TYPE_CHECKING, Any

from models.unknown import Unknown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from models.bill import BillPeriod, BillReport
    from simulator.ingest.bill_trace import Trace, TracedRow
    from simulator.ingest.cost_explorer import CrossCheck

_MONEY = (
    "unblended",
    "amortised",
    "invoice",
    "addressable",
    "list_cost",
    "contracted",
    "effective_as_written",
    "net_amortised",
    "discounts",
    "upfront_bought",
    "upfront_amortised",
    "unused_commitment",
    "identity_error",
)
_PLAIN = (
    "rows_in",
    "rows_used",
    "rows_explained",
    "worker_hours",
    "provisional",
    "untagged_share",
    "bare_share",
    "tag_key",
    "discount_form",
)

_KEY_MONEY = ("invoice", "unblended", "amortised", "addressable")
_FEW, _LABEL_WIDTH, _AMOUNT_WIDTH = 2, 42, 23
"""Periods that always stand side by side; more of them when the terminal has the characters for a label and its amounts."""


def as_document(
    report: BillReport, checks: Sequence[CrossCheck] = (), ledger_rows: int | None = None, trace: Trace | None = None
) -> dict[str, Any]:
    """The JSON document: money keys end in the bill's currency code."""
    currencies = sorted({period.currency for period in report.periods})
    return {
        "currency": currencies[0] if len(currencies) == 1 else currencies,
        "periods": [_period(period) for period in report.periods],
        "refused": list(report.refused),
        "ignored": [{"path": path, "found": why} for path, why in report.ignored],
        **({"cross_check": [_checked(check) for check in checks]} if checks else {}),
        **({"ledger_rows": ledger_rows} if ledger_rows is not None else {}),
        **({"trace": _traced(trace)} if trace else {}),
    }


def _traced(trace: Trace) -> dict[str, Any]:
    return {
        "where": dict(trace.where),
        "count": trace.count,
        **{f"unblended_{currency.lower()}": amount for currency, amount in trace.unblended},
        "agrees_with_store": trace.agrees,
        "rows": [
            {
                "file": row.file,
                "row": row.row,
                "name": row.name,
                "period": row.period,
                **dict(row.keys),
                "quantity": row.quantity,
                f"unblended_{row.currency.lower()}": row.unblended,
                f"amortised_{row.currency.lower()}": row.amortised,
            }
            for row in trace.rows
        ],
    }


def _checked(check: CrossCheck) -> dict[str, Any]:
    end = f"_{check.currency.lower()}"
    return {
        "period": check.period,
        "measure": check.measure,
        "bill" + end: check.bill,
        "cost_explorer" + end: check.cost_explorer,
        "difference" + end: check.difference,
        "passed": check.passed,
    }


def _period(period: BillPeriod) -> dict[str, Any]:
    end = f"_{period.currency.lower()}"
    categories = {name: {"rows": rows} for name, rows in period.rows_by_category}
    amounts: dict[str, dict[str, Any]] = {name: dict(value) for name, value in categories.items()}
    for kind, pairs in (("unblended", period.by_category), ("amortised", period.amortised_by_category)):
        for name, amount in pairs:
            amounts[name][kind + end] = amount
    return {
        "period": period.period,
        "format": period.format,
        "currency": period.currency,
        "place": period.place,
        **{name + end: getattr(period, name) for name in _MONEY},
        **{name: getattr(period, name) for name in _PLAIN},
        "by_category": amounts,
        "bridge": [{"step": step, "amount" + end: amount} for step, amount in period.bridge],
        "commitments": [
            {
                "kind": cost.kind,
                "name": cost.name,
                "fee" + end: cost.fee,
                "used" + end: cost.used,
                "unused" + end: cost.unused,
                "residual" + end: cost.residual,
            }
            for cost in period.commitments
        ],
        "worker_hours_by_purchase_option": dict(period.worker_hours_by_option),
        "worker_hours_by_instance_type": dict(period.worker_hours_by_type),
        "worker_hours_by_tag": dict(period.worker_hours_by_tag),
        "notes": list(period.notes),
    }


def draw(report: BillReport, checks: Sequence[CrossCheck] = (), trace: Trace | None = None) -> None:
    """Print the reconciliation, of many periods the key amounts, to stdout, what was refused to stderr."""
    from rich.console import Console

    out, err = Console(), Console(stderr=True)
    if report.periods and len(report.periods) <= max(_FEW, (out.width - _LABEL_WIDTH) // _AMOUNT_WIDTH):
        out.print(_side_by_side(report.periods))
    elif report.periods:
        out.print(_one_row_each(report.periods))
        if any(period.provisional for period in report.periods):
            out.print("* provisional: not invoiced yet", markup=False, highlight=False)
        out.print("From each invoice to its addressable run rate: --json", markup=False, highlight=False)
    for note, periods in _noted(report.periods).items():
        others = f" and {len(periods) - 1} more" if len(periods) > 1 else ""
        out.print(f"{periods[0]}{others}: {note}", markup=False, highlight=False)
    for check in checks:
        same = "agrees with" if check.passed else "differs from"
        amounts = f"{_money(check.bill, check.currency)} {same} Cost Explorer's {_money(check.cost_explorer, check.currency)}"
        out.print(f"{check.period}: {check.measure} {amounts}", markup=False, highlight=False)
    if trace:
        for file, rows in groupby(trace.rows, key=lambda row: row.file):
            out.print(f"rows of {file}", markup=False, highlight=False, soft_wrap=True)
            out.print(_trace_table(list(rows)))
        sums = " and ".join(_money(amount, currency) for currency, amount in trace.unblended)
        stored = " and ".join(_money(amount, currency) for currency, amount in trace.stored_unblended)
        same = "as in the store" if trace.agrees else f"but {trace.stored_count:,} rows of {stored} in the store: import the bill again"
        more = f"{trace.count - len(trace.rows):,} of them not listed (--trace-rows); " if trace.count > len(trace.rows) else ""
        out.print(f"{trace.count:,} rows of {sums}, {more}{same}", markup=False, highlight=False)
    if report.ignored:
        out.print(
            f"{len(report.ignored)} files left aside, e.g. {report.ignored[0][0]}: {report.ignored[0][1]}", markup=False, highlight=False
        )
    for refusal in report.refused:
        err.print(f"refused {refusal.place}: found {refusal.found}; {refusal.mend}", markup=False, highlight=False, soft_wrap=True)


def _trace_table(rows: Sequence[TracedRow]) -> Table:
    """The listed source rows of one file: what each is and costs."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("row", justify="right", no_wrap=True)
    for name in ("line item", "what"):
        table.add_column(name, overflow="fold")
    for name in ("quantity", "unblended", "amortised"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        keys = dict(row.keys)
        what = " ".join(keys[name] for name in ("line_type", "service", "usage_type") if name in keys)
        amounts = (f"{row.quantity:,.3f}", _money(row.unblended, row.currency), _money(row.amortised, row.currency))
        table.add_row(f"{row.row:,}", row.name, what, *amounts)
    return table


def _side_by_side(periods: tuple[BillPeriod, ...]) -> Table:
    """Every step of few periods, one column a period."""
    from rich.table import Table

    table = Table(title="Bills, reconciled", title_justify="left")
    table.add_column("")
    for period in periods:
        table.add_column(f"{period.period}{' (provisional)' if period.provisional else ''}\n{period.format}", justify="right")
    for label, cells in _lines(periods):
        table.add_row(label, *cells)
    return table


def _one_row_each(periods: tuple[BillPeriod, ...]) -> Table:
    """The key amounts of many periods, one row a period, and their sum where they share a currency."""
    from rich.table import Table

    currencies = sorted({period.currency for period in periods})
    formats = ", ".join(sorted({period.format for period in periods}))
    title = f"{len(periods)} bills, reconciled, in {' and '.join(currencies)} ({formats})"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("period", no_wrap=True)
    for name in ("invoice", "cash", "amortised", "addressable", "worker h", "rows"):
        table.add_column(name, justify="right", no_wrap=True)
    for period in periods:
        money = [_short(getattr(period, name), period.currency, len(currencies) > 1) for name in _KEY_MONEY]
        name = f"{period.period}{'*' if period.provisional else ''}"
        table.add_row(name, *money, f"{period.worker_hours:,.1f}", f"{period.rows_in:,}")
    if len(currencies) == 1:
        sums = [_short(_total([getattr(period, name) for period in periods]), currencies[0], False) for name in _KEY_MONEY]
        hours, rows = sum(period.worker_hours for period in periods), sum(period.rows_in for period in periods)
        table.add_row("sum", *sums, f"{hours:,.1f}", f"{rows:,}", style="bold")
    return table


def _total(values: Sequence[Decimal | Unknown]) -> Decimal | Unknown:
    unknown = [value for value in values if isinstance(value, Unknown)]
    return unknown[0] if unknown else sum((value for value in values if isinstance(value, Decimal)), Decimal(0))


def _short(value: Decimal | Unknown, currency: str, named: bool) -> str:
    if isinstance(value, Unknown):
        return "unknown"
    return f"{round(value, 2) or Decimal(0):,.2f}{f' {currency}' if named else ''}"


def _noted(periods: tuple[BillPeriod, ...]) -> dict[str, list[str]]:
    """Notes in the order of their first period, with the periods that have them."""
    notes: dict[str, list[str]] = {}
    for period in periods:
        for note in period.notes:
            notes.setdefault(note, []).append(period.period)
    return notes


def _lines(periods: tuple[BillPeriod, ...]) -> list[tuple[str, list[str]]]:
    def row(label: str, name: str) -> tuple[str, list[str]]:
        return label, [_money(getattr(period, name), period.currency) for period in periods]

    steps = list(dict.fromkeys(step for period in periods for step, _ in period.bridge if step != "invoice"))
    return [
        row("unblended (cash)", "unblended"),
        row("- upfront bought", "upfront_bought"),
        row("+ upfront amortised", "upfront_amortised"),
        row("= amortised", "amortised"),
        row("  identity error", "identity_error"),
        row("invoice", "invoice"),
        *((step, [_money(dict(period.bridge).get(step, Decimal(0)), period.currency) for period in periods]) for step in steps),
        row("= addressable", "addressable"),
        row("unused commitment", "unused_commitment"),
        ("worker hours", [f"{period.worker_hours:,.3f}" for period in periods]),
        *(
            (f"  {option}", [f"{dict(period.worker_hours_by_option).get(option, 0.0):,.3f}" for period in periods])
            for option in sorted({option for period in periods for option, _ in period.worker_hours_by_option})
        ),
        ("rows in", [f"{period.rows_in:,}" for period in periods]),
        ("= used + explained", [f"{period.rows_used:,} + {period.rows_explained:,}" for period in periods]),
        ("untagged rows", [_share(period.untagged_share, period.tag_key) for period in periods]),
    ]


def _money(value: Decimal | Unknown, currency: str) -> str:
    if isinstance(value, Unknown):
        return "unknown"
    return f"{round(value, 6) or Decimal(0):,.6f} {currency}"


def _share(value: float | Unknown, key: str) -> str:
    return "unknown" if isinstance(value, Unknown) else f"{value:.1%} without {key}"
