"""Reconciliation: what one imported period adds up to, the identities it must satisfy, and why it is refused.

    rows in = rows used + rows explained
    amortised = unblended - upfront fees bought + upfront fees amortised in the period
    every Savings Plan and reservation: fee = used + unused
    covered usage at list + Savings Plan negation = 0

Example: October 2018 of the workshop bill: 4195.957109 = 4064.483132 - 0 + 131.473977.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import duckdb

from models.bill import BillPeriod, CommitmentCost, DiscountForm
from models.unknown import Unknown
from simulator.ingest.tabular import text_literal

TOLERANCE = Decimal("0.005")  # half a cent: what a bill's own rounding may leave
TOLERANCE_SHARE = Decimal("1e-7")  # of the cost by category: 10-digit costs of millions of rows


@dataclass(frozen=True)
class PeriodHeader:
    """What is known of a period beside its lines. `doubt`: why amortised cost cannot be trusted, or ''."""

    bill: str
    period: str
    currency: str
    format: str
    place: str
    tag_key: str
    rows_in: int
    doubt: str
    notes: tuple[str, ...]


def reconcile(connection: duckdb.DuckDBPyConnection, lines: str, header: PeriodHeader) -> BillPeriod:
    """Add up the rows of `header`'s period in the table `lines` (`bill_line` or a stage of the same shape)."""
    sums = _sums(connection, lines, header)
    categories = _categories(connection, lines, header)
    reason = _unamortised_reason(sums, header)
    amortised: Decimal | Unknown = Unknown(reason) if reason else sums["amortised"]
    form, discounts, invoice = _discounts(sums, categories)
    expected = sums["unblended"] - sums["upfront_bought"] + sums["upfront_amortised"]
    addressable: Decimal | Unknown = Unknown(reason) if reason else _addressable(sums, form)
    hours = _hours(connection, lines, header)
    return BillPeriod(
        period=header.period,
        format=header.format,
        currency=header.currency,
        unblended=sums["unblended"],
        amortised=amortised,
        invoice=invoice,
        addressable=addressable,
        by_category=tuple((row["category"], row["cash"]) for row in categories),
        worker_hours=float(sums["worker_hours"]),
        rows_in=header.rows_in,
        rows_used=sums["rows_used"],
        rows_explained=sums["rows_explained"],
        identity_error=Unknown(reason) if reason else sums["amortised"] - expected,
        provisional=bool(sums["provisional"]),
        untagged_share=_share(sums["untagged_rows"], sums["rows_used"], "no known tag key" if not header.tag_key else ""),
        notes=(*header.notes, *_notes(sums, categories, form, reason)),
        place=header.place,
        tag_key=header.tag_key,
        bare_share=_share(sums["bare_rows"], sums["rows_used"], ""),
        list_cost=_list_cost(sums),
        contracted=Unknown("no contracted cost in the bill") if sums["contracted"] is None else sums["contracted"],
        effective_as_written=sums["amortised"],
        net_amortised=Unknown(reason) if reason else _net_amortised(sums, form, discounts),
        discount_form=form,
        discounts=discounts,
        upfront_bought=sums["upfront_bought"],
        upfront_amortised=sums["upfront_amortised"],
        unused_commitment=Unknown(reason) if reason else sums["unused"],
        amortised_by_category=() if reason else tuple((row["category"], row["amortised"]) for row in categories),
        rows_by_category=tuple((row["category"], row["rows"]) for row in categories),
        bridge=_bridge(invoice, categories, form, addressable),
        commitments=_commitments(connection, lines, header) if not reason else (),
        worker_hours_by_option=_sorted(hours["purchase_option"]),
        worker_hours_by_type=_sorted(hours["instance_type"]),
        worker_hours_by_tag=_sorted(hours["tag"]) if header.tag_key else (),
    )


@dataclass(frozen=True)
class Fault:
    """Why a period does not reconcile. `rows`: SQL over the group keys that finds the rows concerned."""

    found: str
    mend: str
    rows: str


def faults_of(connection: duckdb.DuckDBPyConnection, lines: str, header: PeriodHeader, period: BillPeriod) -> list[Fault]:
    """Why the period does not reconcile; empty when it does."""
    faults = []
    if period.rows_used + period.rows_explained != period.rows_in:
        found = f"{period.rows_in} rows of which {period.rows_used + period.rows_explained} are accounted for"
        faults.append(Fault(found, "fetch the bill again", "true"))
    if isinstance(period.identity_error, Unknown):
        return faults
    tolerance = TOLERANCE + TOLERANCE_SHARE * sum(abs(amount) for _, amount in period.by_category)
    for cost in period.commitments if header.format.startswith("aws_") else ():
        if abs(cost.residual) > tolerance:
            types = _LINE_TYPES[cost.kind]
            found = f"fee {cost.fee:.6f} of {cost.name or 'a plan without name'}, used {cost.used:.6f}, unused {cost.unused:.6f}"
            rows = f"commitment = {text_literal(cost.name)} AND line_type IN ({', '.join(map(text_literal, types))})"
            faults.append(Fault(found, "fee = used + unused must hold; fetch the whole bill of the payer account", rows))
    if any(cost.kind == "savings_plan" for cost in period.commitments):
        faults += _unbalanced(connection, lines, header, tolerance)
    if abs(period.identity_error) > tolerance and not faults:
        found = f"amortised off by {period.identity_error:.6f} from unblended - upfront bought + amortised{_worst(period)}"
        faults.append(Fault(found, "fetch the bill again; its rows contradict each other", ""))
    return faults


_LINE_TYPES = {
    "savings_plan": ("SavingsPlanRecurringFee", "SavingsPlanCoveredUsage"),
    "reservation": ("RIFee", "DiscountedUsage"),
}
_NEGATION_MEND = "covered usage and its negation must cancel; fetch the bill again"

_SUMS = """
    coalesce(sum(rows) FILTER (explained = ''), 0)::BIGINT AS rows_used,
    coalesce(sum(rows) FILTER (explained <> ''), 0)::BIGINT AS rows_explained,
    sum(unblended) AS unblended, sum(amortised) AS amortised, sum(net_unblended) AS net_unblended,
    sum(net_amortised) AS net_amortised, sum(mapped_discount) AS mapped_discount,
    sum(upfront_bought) AS upfront_bought, sum(upfront_amortised) AS upfront_amortised, sum(unused) AS unused,
    sum(list_cost) AS list_cost, sum(contracted) AS contracted,
    sum(unpriced_rows)::BIGINT AS unpriced_rows, sum(net_rows)::BIGINT AS net_rows,
    sum(unamortised_rows)::BIGINT AS unamortised_rows, sum(fallback_rows)::BIGINT AS fallback_rows,
    coalesce(sum(untagged_rows) FILTER (explained = ''), 0)::BIGINT AS untagged_rows,
    coalesce(sum(bare_rows) FILTER (explained = ''), 0)::BIGINT AS bare_rows,
    bool_or(provisional) AS provisional, coalesce(sum(quantity) FILTER (worker), 0) AS worker_hours,
    coalesce(sum(unblended) FILTER (movable), 0) AS movable_cash,
    coalesce(sum(unblended) FILTER (movable AND category = 'discount'), 0) AS movable_discount,
    coalesce(sum(amortised) FILTER (movable), 0) AS movable_amortised,
    coalesce(sum(net_amortised) FILTER (movable), 0) AS movable_net,
    coalesce(sum(mapped_discount) FILTER (movable), 0) AS movable_mapped,
    coalesce(sum(rows) FILTER (billed_currency <> $currency), 0)::BIGINT AS converted_rows"""


def _where(header: PeriodHeader) -> dict[str, str]:
    return {"bill": header.bill, "period": header.period}


def _sums(connection: duckdb.DuckDBPyConnection, lines: str, header: PeriodHeader) -> dict[str, Any]:
    query = f"SELECT {_SUMS} FROM {lines} WHERE bill = $bill AND period = $period"
    return _dicts(connection, query, {**_where(header), "currency": header.currency})[0]


def _categories(connection: duckdb.DuckDBPyConnection, lines: str, header: PeriodHeader) -> list[dict[str, Any]]:
    query = f"""SELECT category, sum(rows)::BIGINT AS rows, sum(unblended) AS cash, sum(amortised) AS amortised,
        coalesce(sum(unblended) FILTER (NOT movable), 0) AS fixed_cash,
        coalesce(sum(net_unblended) FILTER (NOT movable), 0) AS fixed_net,
        coalesce(sum(mapped_discount) FILTER (NOT movable), 0) AS fixed_mapped
        FROM {lines} WHERE bill = $bill AND period = $period AND explained = '' GROUP BY category ORDER BY category"""
    return _dicts(connection, query, _where(header))


def _commitments(connection: duckdb.DuckDBPyConnection, lines: str, header: PeriodHeader) -> tuple[CommitmentCost, ...]:
    query = f"""SELECT {kind_sql()} AS kind, commitment, sum(fee) AS fee, sum(used) AS used, sum(unused) AS unused FROM {lines}
        WHERE bill = $bill AND period = $period AND (fee <> 0 OR used <> 0 OR unused <> 0) GROUP BY ALL ORDER BY 1, 2"""
    return tuple(
        CommitmentCost(row["kind"], row["commitment"], row["fee"], row["used"], row["unused"])
        for row in _dicts(connection, query, _where(header))
    )


def kind_sql() -> str:
    """SQL: which kind of commitment a line belongs to."""
    return (
        "CASE WHEN starts_with(line_type, 'SavingsPlan') OR contains(lower(commitment), 'savingsplan') "
        "THEN 'savings_plan' ELSE 'reservation' END"
    )


def _hours(connection: duckdb.DuckDBPyConnection, lines: str, header: PeriodHeader) -> dict[str, dict[str, Decimal]]:
    """Worker hours by each of purchase option, instance type and tag."""
    query = f"""SELECT purchase_option, instance_type, tag, sum(quantity) AS hours FROM {lines}
        WHERE bill = $bill AND period = $period AND worker GROUP BY ALL ORDER BY ALL"""
    result: dict[str, dict[str, Decimal]] = {"purchase_option": {}, "instance_type": {}, "tag": {}}
    for row in _dicts(connection, query, _where(header)):
        for key, found in result.items():
            found[row[key]] = found.get(row[key], Decimal(0)) + row["hours"]
    return result


def _sorted(hours: dict[str, Decimal]) -> tuple[tuple[str, float], ...]:
    return tuple((name, float(hours[name])) for name in sorted(hours))


def _unbalanced(connection: duckdb.DuckDBPyConnection, lines: str, header: PeriodHeader, tolerance: Decimal) -> list[Fault]:
    query = f"""SELECT usage_type, sum(unblended) FILTER (line_type = 'SavingsPlanCoveredUsage') AS covered,
        sum(unblended) FILTER (line_type = 'SavingsPlanNegation') AS negated FROM {lines}
        WHERE bill = $bill AND period = $period AND line_type IN ('SavingsPlanCoveredUsage', 'SavingsPlanNegation')
        GROUP BY usage_type ORDER BY usage_type"""
    faults = []
    for row in _dicts(connection, query, _where(header)):
        covered, negated = row["covered"] or Decimal(0), row["negated"] or Decimal(0)
        if abs(covered + negated) > tolerance:
            found = f"SavingsPlanCoveredUsage of {row['usage_type']} at {covered:.6f}, its SavingsPlanNegation at {negated:.6f}"
            rows = f"usage_type = {text_literal(row['usage_type'])} AND line_type IN ('SavingsPlanCoveredUsage', 'SavingsPlanNegation')"
            faults.append(Fault(found, _NEGATION_MEND, rows))
    return faults


def _discounts(sums: dict[str, Any], categories: list[dict[str, Any]]) -> tuple[DiscountForm, Decimal, Decimal]:
    """(form, amount, invoice): discount lines first, else net columns, else the map; never two of them."""
    lines = sum((row["cash"] for row in categories if row["category"] == "discount"), Decimal(0))
    net = sums["net_unblended"] - sums["unblended"]
    if any(row["category"] == "discount" for row in categories):
        return "lines", lines, sums["unblended"]
    if sums["net_rows"] and net:
        return "net", net, sums["net_unblended"]
    if sums["mapped_discount"]:
        return "map", sums["mapped_discount"], sums["unblended"] + sums["mapped_discount"]
    return "none", Decimal(0), sums["unblended"]


def _net_amortised(sums: dict[str, Any], form: DiscountForm, discounts: Decimal) -> Decimal | Unknown:
    """Effective cost after private discounts, the same in whichever form they stand.

    Net columns tell it row by row; from lines or a map it is the addressable cost and, for what cannot move and is bought
    without commitments, cost less discount.
    """
    if form in ("lines", "map"):
        movable_discount: Decimal = sums["movable_discount"] + (sums["movable_mapped"] if form == "map" else Decimal(0))
        gross = sums["amortised"] - (discounts if form == "lines" else Decimal(0))
        fixed: Decimal = gross - (sums["movable_amortised"] - sums["movable_discount"])
        return _addressable(sums, form) + fixed + discounts - movable_discount
    if not sums["net_rows"]:
        return Unknown("no net columns")
    net: Decimal = sums["net_amortised"]
    return net


_STEPS = ("tax", "credit", "refund", "marketplace", "support", "fee", "unknown")


def _addressable(sums: dict[str, Any], form: DiscountForm) -> Decimal:
    """Effective cost of what could move, after private discounts.

    Discounts that stand in lines or in a map are cash of the month, upfront fees included, so their rate is applied to
    effective cost: amortised x (1 + discount / gross cash).
    """
    if form == "net":
        net: Decimal = sums["movable_net"]
        return net
    discount: Decimal = sums["movable_discount"] + (sums["movable_mapped"] if form == "map" else Decimal(0))
    gross_cash: Decimal = sums["movable_cash"] - sums["movable_discount"]
    gross: Decimal = sums["movable_amortised"] - sums["movable_discount"]
    return gross * (1 + discount / gross_cash) if discount and gross_cash else gross + discount


def _bridge(
    invoice: Decimal, categories: list[dict[str, Any]], form: DiscountForm, addressable: Decimal | Unknown
) -> tuple[tuple[str, Decimal], ...]:
    """Invoice, less what cannot move, then commitments from cash to effective cost; sums to the addressable run rate."""
    fixed = {row["category"]: _fixed(row, form) for row in categories}
    steps: list[tuple[str, Decimal]] = [("invoice", invoice)]
    steps += [(f"less {name}", -fixed[name]) for name in _STEPS if fixed.get(name)]
    rest = sum((amount for name, amount in fixed.items() if name not in _STEPS), Decimal(0))
    steps.append(("less services that do not move", -rest))
    if not isinstance(addressable, Unknown):
        steps.append(("commitments from cash to effective cost", addressable - sum(amount for _, amount in steps)))
    return tuple(steps)


def _fixed(row: dict[str, Any], form: DiscountForm) -> Decimal:
    amount: Decimal = row["fixed_net"] if form == "net" else row["fixed_cash"]
    return amount + (row["fixed_mapped"] if form == "map" else Decimal(0))


def _unamortised_reason(sums: dict[str, Any], header: PeriodHeader) -> str:
    if header.doubt:
        return header.doubt
    if sums["unamortised_rows"]:
        return f"{sums['unamortised_rows']} rows lack the columns or values that their effective cost needs"
    return ""


def _notes(sums: dict[str, Any], categories: list[dict[str, Any]], form: DiscountForm, reason: str) -> tuple[str, ...]:
    notes = [f"amortised cost is unknown: {reason}"] if reason else []
    if sums["provisional"]:
        notes.append("provisional: rows without an invoice id are estimates")
    if sums["fallback_rows"]:
        notes.append(f"{sums['fallback_rows']} fee rows without commitment values: unused = fee + amortised upfront - effective cost")
    for row in categories:
        if row["category"] == "unknown":
            notes.append(f"{row['rows']} rows of unknown line types are kept at unblended cost {row['cash']:.6f}")
    if sums["rows_explained"]:
        notes.append(f"{sums['rows_explained']} rows explained: split costs of charges that have their own rows")
    if form == "lines" and sums["net_rows"] and sums["net_unblended"] != sums["unblended"]:
        notes.append(f"discounts are lines; the net columns' total {sums['net_unblended']:.6f} is not used as well")
    if sums["converted_rows"]:
        notes.append(f"{sums['converted_rows']} rows were billed in another currency and converted at the dated rate")
    return tuple(notes)


def _list_cost(sums: dict[str, Any]) -> Decimal | Unknown:
    if sums["unpriced_rows"]:
        return Unknown(f"{sums['unpriced_rows']} usage rows have no list price")
    if sums["list_cost"] is None:
        return Unknown("no list prices in the bill")
    total: Decimal = sums["list_cost"]
    return total


def _share(part: int, whole: int, why_not: str) -> float | Unknown:
    if why_not or not whole:
        return Unknown(why_not or "no rows")
    return part / whole


def _worst(period: BillPeriod) -> str:
    if not isinstance(period.amortised, Decimal) or not period.amortised_by_category:
        return ""
    cash = dict(period.by_category)
    name, amount = max(period.amortised_by_category, key=lambda pair: abs(pair[1] - cash[pair[0]]))
    return f"; largest difference in {name} rows: {amount:.6f} against {cash[name]:.6f}"


def _dicts(connection: duckdb.DuckDBPyConnection, query: str, parameters: dict[str, str]) -> list[dict[str, Any]]:
    cursor = connection.execute(query, parameters)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
