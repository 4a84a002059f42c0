"""`bill_line`: the one table of imported bill rows, grouped, that every later number comes from.

A row stands for all rows of a bill that share its keys. Hours are kept for EC2 node rows and commitment rows; other rows
are folded into their billing period, so a month of 50 million rows becomes some hundred thousand. Money is DECIMAL(38,16)
in the bill's own currency and is summed without rounding. The keys of a row are the filter by which its source rows are found.
"""

from __future__ import annotations

MONEY = "DECIMAL(38,16)"

KEY_TYPES = {
    "provider": "VARCHAR",
    "account": "VARCHAR",
    "charge_start": "TIMESTAMP",
    "charge_end": "TIMESTAMP",
    "line_type": "VARCHAR",
    "category": "VARCHAR",
    "service": "VARCHAR",
    "usage_type": "VARCHAR",
    "operation": "VARCHAR",
    "instance_type": "VARCHAR",
    "purchase_option": "VARCHAR",
    "region": "VARCHAR",
    "commitment": "VARCHAR",
    "tag": "VARCHAR",
    "worker": "BOOLEAN",
    "movable": "BOOLEAN",
    "explained": "VARCHAR",
    "provisional": "BOOLEAN",
    "billed_currency": "VARCHAR",
}
"""explained: '' for a row that counts, else why its cost is left out (it repeats another row's cost).
billed_currency: the currency of the source rows; `billed` keeps their unblended cost in it, the other sums are converted."""

SUM_TYPES = {
    "rows": "BIGINT",
    "untagged_rows": "BIGINT",
    "bare_rows": "BIGINT",
    "quantity": MONEY,
    "billed": MONEY,
    "unblended": MONEY,
    "amortised": MONEY,
    "list_cost": MONEY,
    "contracted": MONEY,
    "net_unblended": MONEY,
    "net_amortised": MONEY,
    "mapped_discount": MONEY,
    "upfront_bought": MONEY,
    "upfront_amortised": MONEY,
    "fee": MONEY,
    "used": MONEY,
    "unused": MONEY,
    "net_rows": "BIGINT",
    "unpriced_rows": "BIGINT",
    "unamortised_rows": "BIGINT",
    "fallback_rows": "BIGINT",
}
"""untagged_rows lack the chosen tag, bare_rows any user tag. fee, used, unused: a plan's or reservation's cost in the period.
net_rows carry a net cost; unpriced_rows a list price that is no number; unamortised_rows lack what their effective cost needs;
fallback_rows had it worked out from fees."""

BILL_KEYS = {"bill": "VARCHAR", "period": "VARCHAR", "currency": "VARCHAR"}

BILL_LINE = "CREATE TABLE bill_line (" + ", ".join(f"{name} {kind}" for name, kind in {**BILL_KEYS, **KEY_TYPES, **SUM_TYPES}.items()) + ")"
BILL_PERIOD = """CREATE TABLE bill_period (
    bill VARCHAR, period VARCHAR, currency VARCHAR, format VARCHAR, place VARCHAR, tag_key VARCHAR, rows_in BIGINT,
    doubt VARCHAR, notes VARCHAR[], PRIMARY KEY (bill, period))"""
BILL_SOURCE = "CREATE TABLE bill_source (bill VARCHAR, period VARCHAR, path VARCHAR, bytes BIGINT)"

BILLS_VERSION = 1
BILLS_DDL = ";\n".join((BILL_LINE, BILL_PERIOD, BILL_SOURCE))

SOURCE_ROWS = "burstline_source_rows"
"""Column of a table that was grouped before: how many rows of the bill each of its rows stands for."""

ODD_END = "CASE WHEN hourly AND ended <> began + INTERVAL 1 HOUR THEN ended END"
"""Key of a group: the end of rows that keep their hours, where it is not one hour after the start, as it nearly always is."""


def charge_end(hourly: str) -> str:
    """SQL over groups with the key `ODD_END` as charge_end: the end of rows that keep their hours, which `hourly` tells."""
    return f"CASE WHEN {hourly} THEN coalesce(charge_end, charge_start + INTERVAL 1 HOUR) END"
