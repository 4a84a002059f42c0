"""Bills beyond one machine: Athena groups the rows where they lie, the groups are imported like any other bill.

Needs the extra `burstline[aws]` (awswrangler). The table is a legacy CUR or CUR 2.0 table of the Glue catalog; only EC2 node
and commitment rows keep their hours, so the answer is some hundred thousand rows however large the bill is. Its `rows_in` counts these
groups, not the source rows.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from models.errors import BillingFormatError, Problem

KEYS = (
    *("bill_invoice_id", "bill_billing_entity", "bill_payer_account_id", "bill_billing_period_start_date", "line_item_usage_account_id"),
    *("line_item_line_item_type", "line_item_product_code", "line_item_usage_type", "line_item_operation", "line_item_currency_code"),
    *("product_instance_type", "product_region_code", "savings_plan_savings_plan_a_r_n", "reservation_reservation_a_r_n"),
)
SUMS = (
    *("line_item_usage_amount", "line_item_unblended_cost", "line_item_net_unblended_cost", "pricing_public_on_demand_cost"),
    *("savings_plan_savings_plan_effective_cost", "savings_plan_total_commitment_to_date", "savings_plan_used_commitment"),
    *("savings_plan_amortized_upfront_commitment_for_billing_period", "savings_plan_recurring_commitment_for_billing_period"),
    *("reservation_effective_cost", "reservation_amortized_upfront_fee_for_billing_period", "reservation_unused_recurring_fee"),
    "reservation_unused_amortized_upfront_fee_for_billing_period",
)
_HOURLY = """(regexp_like(line_item_usage_type, '(BoxUsage|SpotUsage|DedicatedUsage)') OR line_item_line_item_type IN
    ('DiscountedUsage', 'SavingsPlanCoveredUsage', 'SavingsPlanNegation', 'SavingsPlanRecurringFee'))"""


def query(table: str, period: str, columns: Sequence[str]) -> str:
    """The grouping query (Athena's SQL) of one billing period ("2025-01") over the columns that the table has.

    A description is kept for refunds only, which is where it decides the effective cost.
    """
    if not re.fullmatch(r"\d{4}-\d{2}", period):
        raise BillingFormatError(Problem(f"athena: {period}", "no billing period", "write YYYY-MM"))
    if not re.fullmatch(r"\w+(\.\w+)?", table):
        raise BillingFormatError(Problem(f"athena: {table}", "no table name", "write database.table"))
    keys = [name for name in KEYS if name in columns]
    sums = [f"sum({_decimal(name, columns)}) AS {name}" for name in SUMS if name in columns]
    first, last = "line_item_usage_start_date", "line_item_usage_end_date"
    hours = [
        f"CASE WHEN {_HOURLY} THEN {first} ELSE bill_billing_period_start_date END AS {first}",
        f"CASE WHEN {_HOURLY} THEN {last} ELSE bill_billing_period_start_date END AS {last}",
    ]
    text = "CASE WHEN line_item_line_item_type = 'Refund' THEN line_item_line_item_description ELSE '' END"
    described = [f"{text} AS line_item_line_item_description"] if "line_item_line_item_description" in columns else []
    grouped = [*keys, *hours, *described]
    by = ", ".join(str(number) for number in range(1, len(grouped) + 1))
    where = f"date_format(bill_billing_period_start_date, '%Y-%m') = '{period}'"
    return f"SELECT {', '.join([*grouped, 'count(*) AS source_rows', *sums])} FROM {table} WHERE {where} GROUP BY {by}"


def _decimal(name: str, columns: Sequence[str]) -> str:
    """The column as DECIMAL; a net column falls back to its plain one row by row."""
    own, plain = f"CAST({name} AS DECIMAL(38, 16))", name.replace("_net_", "_")
    return f"coalesce({own}, CAST({plain} AS DECIMAL(38, 16)))" if plain != name and plain in columns else own


def fetch(address: str, folder: Path, client: Any = None) -> Path:
    """Run the query of `athena://database.table/2025-01` and keep its answer as one parquet file in `folder`."""
    match = re.fullmatch(r"athena://([\w.]+)/(\S+)", address)
    if match is None:
        raise BillingFormatError(Problem(address, "no Athena address", "write athena://database.table/YYYY-MM"))
    table, period = match.groups()
    wrangler = client or _wrangler()
    database, _, name = table.rpartition(".")
    try:
        columns = wrangler.catalog.get_table_types(database=database or "default", table=name)
        if not columns:
            raise BillingFormatError(Problem(f"athena: {table}", "no such table", "check the database and the table"))
        frame = wrangler.athena.read_sql_query(query(table, period, list(columns)), database=database or "default", ctas_approach=False)
    except BillingFormatError:
        raise
    except Exception as error:  # every AWS and network failure of the library becomes one clear message
        raise BillingFormatError(Problem(f"athena: {table}", f"no answer ({type(error).__name__})", "check the credentials")) from None
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}-{period}.parquet"
    frame.to_parquet(file)
    return file


def _wrangler() -> Any:
    try:
        return importlib.import_module("awswrangler")
    except ImportError:
        raise BillingFormatError(Problem("athena", "no awswrangler", "install burstline[aws]")) from None
