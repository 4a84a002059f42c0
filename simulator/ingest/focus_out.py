"""FOCUS 1.2 out: the bills of a store, and simulated private rows beside them, as one ledger in csv.

A negation row has no FOCUS row: covered usage is billed 0 and costs its commitment price. A recurring commitment fee becomes
a purchase (billed, effective 0) and, where part of it was not used, a usage row marked Unused. So BilledCost adds up to
unblended and EffectiveCost to amortised cost.

    rows of a plan: fee 1.70, used 1.50 -> Purchase billed 1.70 effective 0; Usage billed 0 effective 1.50 and Unused 0.20
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import duckdb

from models.errors import BillingFormatError, Problem
from simulator.ingest.focus_columns import COLUMNS_1_2
from simulator.ingest.focus_rules import check_focus
from simulator.ingest.tabular import damaged, open_table, quoted
from simulator.record import writing


def write_focus(store: duckdb.DuckDBPyConnection, path: Path, beside: Sequence[Path] = ()) -> int:
    """Write the store's bills and the FOCUS files `beside` as one ledger; returns the number of rows.

    Raises `BillingFormatError` when amortised cost of a bill is unknown, or when the ledger would break a rule.
    """
    unknown = store.execute("SELECT period FROM bill_period WHERE doubt <> '' ORDER BY 1").fetchall()
    unknown += store.execute("SELECT DISTINCT period FROM bill_line WHERE unamortised_rows > 0 ORDER BY 1").fetchall()
    if unknown:
        found = f"{', '.join(row[0] for row in unknown)} without a known effective cost"
        raise BillingFormatError(Problem("store", found, "import a bill with the columns that amortisation needs"))
    parts = [f"SELECT {', '.join(f'{sql} AS {name}' for name, sql in _COLUMNS.items())} FROM ({_CHARGES})"]
    with writing(path) as temporary:
        try:
            parts += [_beside(store, file, path.parent) for file in beside]
            union = " UNION ALL BY NAME ".join(f"({part})" for part in parts)
            names = ", ".join(COLUMNS_1_2)
            order = f"BillingPeriodStart, ProviderName, ChargePeriodStart, ServiceName, ChargeCategory, SkuPriceId, {names}"
            query = f"SELECT {names} FROM ({union}) ORDER BY {order}"
            store.execute(f"COPY ({query}) TO '{temporary}' (FORMAT csv, HEADER)").fetchall()
        except duckdb.Error as error:
            raise BillingFormatError(damaged([*beside, path], error)) from None
        broken = check_focus(temporary)
        if broken:
            raise BillingFormatError([Problem(str(path), problem.found, problem.mend) for problem in broken])
        rows: int = store.execute(f"SELECT count(*) FROM read_csv('{temporary}', all_varchar=true)").fetchall()[0][0]
    return rows


def _beside(store: duckdb.DuckDBPyConnection, file: Path, scratch: Path) -> str:
    table = open_table(store, [file], scratch)
    missing = [name for name in COLUMNS_1_2 if not table.has(name)]
    if missing:
        raise BillingFormatError(Problem(str(file), f"no column {', '.join(missing)}", "give a FOCUS 1.2 file"))
    return f"SELECT {', '.join(f'{table.text(name)} AS {quoted(name)}' for name in COLUMNS_1_2)} FROM {table.relation}"


_FEES = "line_type IN ('SavingsPlanRecurringFee', 'RIFee')"
_PURCHASES = (
    "(line_type IN ('SavingsPlanUpfrontFee', 'Fee', 'FlatRateSubscription', 'Purchase') OR category = 'commitment_upfront' OR fee_row)"
)
_CHARGE_CATEGORY = f"""CASE WHEN line_type IN ('Tax', 'Credit', 'Adjustment') THEN line_type
    WHEN line_type = 'Refund' THEN 'Credit' WHEN category = 'discount' THEN 'Adjustment'
    WHEN {_PURCHASES} THEN 'Purchase' ELSE 'Usage' END"""
_COUNTED = "explained = '' AND line_type <> 'SavingsPlanNegation'"
_PLAN = "(contains(lower(commitment), 'savingsplan') OR starts_with(line_type, 'SavingsPlan') OR purchase_option = 'savings_plan')"
_COMMITTED = f"""CASE WHEN charge_category IN ('Usage', 'Purchase') AND (commitment <> '' OR fee_row OR unused_row
    OR line_type IN ('SavingsPlanCoveredUsage', 'DiscountedUsage', 'SavingsPlanUpfrontFee') OR category = 'commitment_upfront')
    THEN coalesce(nullif(commitment, ''), CASE WHEN {_PLAN} THEN 'savings plan' ELSE 'reservation' END) END"""
_BILLED = "CASE WHEN line_type = 'SavingsPlanCoveredUsage' OR unused_row THEN 0 ELSE unblended END"
_EFFECTIVE = "CASE WHEN unused_row THEN unused WHEN fee_row THEN 0 ELSE amortised END"
_CHARGES = f"""
    SELECT *, {_CHARGE_CATEGORY} AS charge_category, {_COMMITTED} AS commitment_id, CAST({_BILLED} AS DECIMAL(38,12)) AS billed_cost,
        CAST({_EFFECTIVE} AS DECIMAL(38,12)) AS effective_cost,
        CAST(CASE WHEN unused_row OR fee_row OR {_CHARGE_CATEGORY} <> 'Usage' THEN {_BILLED}
            WHEN line_type = 'DiscountedUsage' THEN coalesce(list_cost, amortised) ELSE coalesce(contracted, unblended) END
            AS DECIMAL(38,12)) AS contracted_cost,
        CASE WHEN unused_row OR fee_row OR quantity <= 0 THEN 1 ELSE CAST(quantity AS DECIMAL(38,12)) END AS priced_quantity,
        coalesce(charge_start, period_start) AS begins, coalesce(charge_end, period_end) AS ends
    FROM (
        SELECT *, {_FEES} AS fee_row, (line_type = 'Usage' AND category = 'commitment_fee') AS unused_row FROM bill_line
        WHERE {_COUNTED}
        UNION ALL SELECT *, false, true FROM bill_line WHERE {_COUNTED} AND {_FEES} AND unused <> 0),
        LATERAL (SELECT CAST(period || '-01' AS TIMESTAMP) AS period_start),
        LATERAL (SELECT period_start + INTERVAL 1 MONTH AS period_end)"""

_PRICED = "charge_category IN ('Usage', 'Purchase')"
_LISTED = "CASE WHEN charge_category = 'Usage' AND NOT unused_row AND list_cost > 0 THEN list_cost ELSE contracted_cost END"
_USED = "charge_category = 'Usage' AND NOT unused_row"


def _time(sql: str) -> str:
    return f"strftime({sql}, '%Y-%m-%dT%H:%M:%SZ')"


def _number(sql: str) -> str:
    plain = f"CAST(CAST({sql} AS DECIMAL(38,12)) AS VARCHAR)"
    return f"regexp_replace(regexp_replace({plain}, '0+$', ''), '\\.$', '')"


def _when(condition: str, sql: str) -> str:
    return f"CASE WHEN {condition} THEN {sql} END"


_SERVICE = """CASE WHEN category IN ('compute', 'commitment_fee', 'commitment_upfront', 'discount', 'control_plane') THEN 'Compute'
    WHEN category = 'block_storage' THEN 'Storage' WHEN category = 'network' THEN 'Networking' ELSE 'Other' END"""
_SUBSERVICE = """CASE WHEN category = 'control_plane' THEN 'Containers' WHEN category = 'block_storage' THEN 'Block Storage'
    WHEN category = 'network' THEN 'Network Connectivity' WHEN category IN ('compute', 'commitment_fee', 'commitment_upfront', 'discount')
    THEN 'Virtual Machines' ELSE 'Other (Other)' END"""
_SKU = "service || coalesce('/' || nullif(usage_type, ''), '')"
_COLUMNS = {
    **dict.fromkeys(COLUMNS_1_2, "NULL"),
    "BilledCost": _number("billed_cost"),
    "BillingAccountId": "coalesce(nullif(bill, ''), 'unknown')",
    "BillingAccountType": "'Account'",
    "BillingCurrency": "currency",
    "BillingPeriodEnd": _time("period_end"),
    "BillingPeriodStart": _time("period_start"),
    "ChargeCategory": "charge_category",
    "ChargeDescription": "concat_ws(' ', CASE WHEN category = 'refund' THEN 'Refund' END, nullif(line_type, ''), nullif(usage_type, ''), "
    "nullif(category, ''))",
    "ChargeFrequency": "CASE WHEN charge_category = 'Usage' THEN 'Usage-Based' WHEN fee_row OR category = 'support' "
    "OR (category = 'commitment_fee' AND upfront_bought = 0) THEN 'Recurring' ELSE 'One-Time' END",
    "ChargePeriodEnd": _time("ends"),
    "ChargePeriodStart": _time("begins"),
    "CommitmentDiscountCategory": _when("commitment_id IS NOT NULL", f"CASE WHEN {_PLAN} THEN 'Spend' ELSE 'Usage' END"),
    "CommitmentDiscountId": "commitment_id",
    "CommitmentDiscountName": "commitment_id",
    "CommitmentDiscountQuantity": _when(
        "commitment_id IS NOT NULL", _number("CASE WHEN charge_category = 'Purchase' THEN billed_cost ELSE effective_cost END")
    ),
    "CommitmentDiscountStatus": _when(
        "commitment_id IS NOT NULL AND charge_category = 'Usage'", "CASE WHEN unused_row THEN 'Unused' ELSE 'Used' END"
    ),
    "CommitmentDiscountType": _when("commitment_id IS NOT NULL", f"CASE WHEN {_PLAN} THEN 'Savings Plan' ELSE 'Reservation' END"),
    "CommitmentDiscountUnit": _when("commitment_id IS NOT NULL", "currency"),
    "ConsumedQuantity": _when(_USED, _number("priced_quantity")),
    "ConsumedUnit": _when(_USED, "CASE WHEN worker THEN 'Hours' ELSE 'Units' END"),
    "ContractedCost": _number("contracted_cost"),
    "ContractedUnitPrice": _when(_PRICED, _number("contracted_cost::DOUBLE / priced_quantity::DOUBLE")),
    "EffectiveCost": _number("effective_cost"),
    "InvoiceIssuerName": "coalesce(nullif(provider, ''), 'unknown')",
    "ListCost": _number(_LISTED),
    "ListUnitPrice": _when(_PRICED, _number(f"({_LISTED})::DOUBLE / priced_quantity::DOUBLE")),
    "PricingCategory": _when(
        _PRICED,
        "CASE WHEN purchase_option = 'spot' THEN 'Dynamic' WHEN commitment_id IS NOT NULL AND charge_category = 'Usage' THEN 'Committed' "
        "ELSE 'Standard' END",
    ),
    "PricingCurrency": "currency",
    "PricingCurrencyContractedUnitPrice": _when(_PRICED, _number("contracted_cost::DOUBLE / priced_quantity::DOUBLE")),
    "PricingCurrencyEffectiveCost": _number("effective_cost"),
    "PricingCurrencyListUnitPrice": _when(_PRICED, _number(f"({_LISTED})::DOUBLE / priced_quantity::DOUBLE")),
    "PricingQuantity": _when(_PRICED, _number("priced_quantity")),
    "PricingUnit": _when(_PRICED, "CASE WHEN worker THEN 'Hours' ELSE 'Units' END"),
    "ProviderName": "coalesce(nullif(provider, ''), 'unknown')",
    "PublisherName": "coalesce(nullif(provider, ''), 'unknown')",
    "RegionId": "nullif(region, '')",
    "RegionName": "nullif(region, '')",
    "ResourceType": "CASE WHEN worker THEN 'Instance' END",
    "ServiceCategory": _SERVICE,
    "ServiceName": "coalesce(nullif(service, ''), 'unknown')",
    "ServiceSubcategory": _SUBSERVICE,
    "SkuId": _when(_PRICED, f"coalesce(nullif({_SKU}, ''), 'unknown')"),
    "SkuMeter": _when(_PRICED, "nullif(usage_type, '')"),
    "SkuPriceId": _when(_PRICED, f"coalesce(nullif({_SKU}, ''), 'unknown') || '/' || lower(line_type)"),
    "SubAccountId": "nullif(account, '')",
    "SubAccountName": "nullif(account, '')",
    "SubAccountType": _when("account <> ''", "'Account'"),
    "Tags": "CASE WHEN tag <> '' THEN CAST(to_json({'tag': tag}) AS VARCHAR) ELSE '{}' END",
}
