"""FOCUS 1.0 to 1.3 (focus.finops.org): BilledCost is cash, EffectiveCost is amortised.

AWS writes it as FOCUS_1_2_AWS with the extra columns x_ServiceCode, x_UsageType and x_Operation. The specification's own
samples are not clean; what they break (text `NULL`, dates like 5/1/25, costs like "$10,100.00 ", whole-dollar effective
cost, shifted columns) is read where it is plain what was meant, and told.
"""

from __future__ import annotations

from collections.abc import Mapping

import duckdb

from simulator.ingest.formats import FORMATS, Check, Grouping, Options
from simulator.ingest.formats.aws_cur2 import map_keys, map_value
from simulator.ingest.tabular import Table, letters

_REQUIRED = ("BilledCost", "BillingPeriodStart", "ChargePeriodStart", "ChargePeriodEnd", "ChargeCategory")
_SURE = (*_REQUIRED, "EffectiveCost", "ChargeFrequency", "PricingCategory")
_NODE_USAGE = "(^|-)(BoxUsage|SpotUsage|DedicatedUsage|HostBoxUsage)(:|$)"
_EC2 = "(service IN ('AmazonEC2', 'Amazon Elastic Compute Cloud', 'Amazon Elastic Compute Cloud - Compute'))"


class Focus:
    """Rows of the FinOps cost and usage specification."""

    title = "FOCUS 1.0-1.3"

    def sniff(self, table: Table) -> float:
        """Sure when the specification's column names are there."""
        return 0.95 * sum(table.has(name) for name in _SURE) / len(_SURE)

    def missing(self, table: Table) -> list[str]:
        """Required columns that the table lacks."""
        return [name for name in _REQUIRED if not table.has(name)]

    def group(self, connection: duckdb.DuckDBPyConnection, table: Table, options: Options) -> Grouping:
        """Keys and sums; hours are kept for EC2 node rows and rows of a commitment.

        What is prepaid: one-time purchases are bought upfront; covered usage less the recurring fees of the period is what
        of it is amortised.
        """
        tag, tag_key, bare = _tags(connection, table, options)
        return Grouping(
            keys=_keys(table, tag),
            sums=_sums(table, tag, bare),
            checks=_checks(table),
            row_id=table.text("ResourceId", "SkuPriceId", "ChargeDescription"),
            tag_key=tag_key,
            suspect=_odd_effective(table),
            notes=_notes(table),
        )

    def derive(self) -> Mapping[str, str]:
        """SQL of every `bill_line` column."""
        return _DERIVED

    def doubts(self) -> str | None:
        """Effective cost that is empty, or whole units where billed cost is not, tells nothing about amortisation."""
        return """
            SELECT strftime(period_start, '%Y-%m'),
                   'EffectiveCost is rounded to whole units on all ' || sum(rows) || ' rows of ' || provider
                   || ' (' || sum(effective) || ' against ' || sum(unblended) || ' billed)'
            FROM raw_group GROUP BY period_start, provider
            HAVING sum(odd_effective) > 0 AND sum(whole_effective) = sum(rows) AND sum(whole_billed) < sum(rows)
            UNION ALL
            SELECT strftime(period_start, '%Y-%m'), 'EffectiveCost is empty in ' || sum(effective_missing) || ' rows of ' || provider
            FROM raw_group GROUP BY period_start, provider HAVING sum(effective_missing) > 0"""

    def remarks(self) -> str | None:
        """Rules of the specification that rows break without harm to the totals."""
        hits = " UNION ALL ".join(
            f"SELECT strftime(period_start, '%Y-%m') AS period, sum({name}) || '{text}' AS note FROM raw_group "
            f"GROUP BY period_start HAVING sum({name}) > 0"
            for name, text in _HITS.items()
        )
        return f"SELECT period, note FROM ({hits}) ORDER BY period, note"


_HITS = {
    "odd_az": " rows hold a number in AvailabilityZone: columns of the source are shifted",
    "contracted_missing": " rows without ContractedCost",
    "odd_frequency": " rows spell ChargeFrequency otherwise than the specification",
    "outside_period": " rows have a charge period outside their billing period",
}


def _tags(connection: duckdb.DuckDBPyConnection, table: Table, options: Options) -> tuple[str, str, str]:
    if not table.has("Tags"):
        return "''", "", "true"
    mine = [key for key in map_keys(connection, table, "Tags") if not letters(key).startswith("aws")]
    spelt = {name: [key for key in mine if letters(key) in (letters(name), "user" + letters(name))] for name in options.tag_keys}
    chosen = next((name for name in options.tag_keys if spelt[name]), "")
    return _first_of(table, spelt.get(chosen, [])), chosen, f"{_first_of(table, mine)} = ''"


def _first_of(table: Table, keys: list[str]) -> str:
    values = ", ".join(map_value(table, "Tags", key) for key in keys)
    return f"coalesce({values}, '')" if keys else "''"


def _keys(table: Table, tag: str) -> dict[str, str]:
    usage_type = table.text("x_UsageType", "SkuMeter")
    commitment = table.text("CommitmentDiscountId")
    start, end, period = table.time("ChargePeriodStart"), table.time("ChargePeriodEnd"), table.time("BillingPeriodStart")
    by_hour = f"({commitment} <> '' OR regexp_matches({usage_type}, '{_NODE_USAGE}'))"
    return {
        "payer": table.text("BillingAccountId"),
        "period_start": period,
        "account": table.text("SubAccountId", "BillingAccountId"),
        "provider": table.text("ProviderName", "ServiceProviderName", "PublisherName"),
        "currency": f"upper({table.text('BillingCurrency')})" if table.has("BillingCurrency") else "'USD'",
        "charge_category": table.text("ChargeCategory"),
        "charge_class": table.text("ChargeClass"),
        "charge_start": f"CASE WHEN {by_hour} THEN {start} ELSE {period} END",
        "charge_end": f"CASE WHEN {by_hour} THEN {end} END",
        "service": table.text("x_ServiceCode", "ServiceName"),
        "service_category": table.text("ServiceCategory"),
        "usage_type": usage_type,
        "operation": table.text("x_Operation"),
        "region": table.text("RegionId"),
        "pricing_category": table.text("PricingCategory"),
        "commitment": commitment,
        "commitment_type": table.text("CommitmentDiscountType"),
        "commitment_status": table.text("CommitmentDiscountStatus"),
        "support": f"contains(lower({table.text('ServiceName')}), 'support')",
        "marketplace": _marketplace(table),
        "free": f"coalesce({table.money('BilledCost', symbols=True)}, 0) = 0",
        "recurring": f"({table.text('ChargeFrequency')} = 'Recurring')",
        "returned": f"contains(lower({table.text('ChargeDescription')}), 'refund')",
        "provisional": f"({table.text('InvoiceId')} = '')" if table.has("InvoiceId") else "false",
        "tag": f"CASE WHEN {by_hour} THEN {tag} ELSE '' END",
    }


def _marketplace(table: Table) -> str:
    """Bought through AWS from another publisher."""
    names = f"lower({table.text('ProviderName')} || ' ' || {table.text('PublisherName')} || ' ' || {table.text('InvoiceIssuerName')})"
    publisher = f"lower({table.text('PublisherName')})"
    ours = f"({publisher} = '' OR starts_with({publisher}, 'amazon') OR starts_with({publisher}, 'aws'))"
    return f"(contains({names}, 'marketplace') OR (upper({table.text('ProviderName')}) = 'AWS' AND NOT {ours}))"


def _sums(table: Table, tag: str, bare: str) -> dict[str, str]:
    billed, effective = table.money("BilledCost", symbols=True), table.money("EffectiveCost", symbols=True)
    contracted = table.money("ContractedCost", symbols=True)
    frequency = table.text("ChargeFrequency")
    zone = table.text("AvailabilityZone")
    start, period = table.time("ChargePeriodStart"), table.time("BillingPeriodStart")
    return {
        "unblended": f"sum({billed})",
        "effective": f"sum({effective})",
        "list_cost": f"sum({table.money('ListCost', symbols=True)})",
        "contracted": f"sum({contracted})",
        "quantity": f"sum({table.money('ConsumedQuantity', symbols=True)})",
        "untagged_rows": f"count_if({tag} = '')",
        "bare_rows": f"count_if({bare})",
        "effective_missing": f"count_if({effective} IS NULL)",
        "unpriced_rows": f"count_if({table.money('ListCost', symbols=True)} IS NULL)",
        "odd_effective": f"count_if({_odd_effective(table)})",
        "whole_effective": f"count_if({effective} = round({effective}))",
        "whole_billed": f"count_if({billed} = round({billed}))",
        "odd_az": f"count_if(TRY_CAST({zone} AS DOUBLE) IS NOT NULL)",
        "contracted_missing": f"count_if({contracted} IS NULL)" if table.has("ContractedCost") else "0",
        "odd_frequency": f"count_if({frequency} NOT IN ('One-Time', 'Recurring', 'Usage-Based', ''))",
        "outside_period": f"count_if({start} < {period} AND {table.text('ChargeCategory')} = 'Usage')",
    }


def _odd_effective(table: Table) -> str:
    """Rows that neither buy nor use a commitment and still cost otherwise than billed."""
    billed, effective = table.money("BilledCost", symbols=True), table.money("EffectiveCost", symbols=True)
    plain = f"{table.text('ChargeCategory')} <> 'Purchase' AND {table.text('CommitmentDiscountId')} = '' AND coalesce({billed}, 0) <> 0"
    return f"({plain} AND abs({effective} - {billed}) > 0.000001)"


def _checks(table: Table) -> tuple[Check, ...]:
    mend = "correct the row at its source"
    money = ("BilledCost", "EffectiveCost", "ListCost", "ContractedCost", "ConsumedQuantity")
    times = ("ChargePeriodStart", "ChargePeriodEnd", "BillingPeriodStart")
    start, end = table.time("ChargePeriodStart"), table.time("ChargePeriodEnd")
    return (
        *(Check(table.not_a_number(name, symbols=True), f"no number in {name}", mend) for name in money if table.has(name)),
        *(Check(table.not_a_time(name), f"no possible time in {name}", mend) for name in times),
        Check(table.absent("BilledCost"), "no value in BilledCost", mend),
        Check(table.absent("BillingPeriodStart"), "no billing period", mend),
        Check(f"{table.absent('ChargePeriodStart')} OR {table.absent('ChargePeriodEnd')}", "no charge period", mend),
        Check(f"{end} < {start}", "hours that end before they start", mend),
        *((Check(f"{table.text('BillingCurrency')} = ''", "no currency", mend),) if table.has("BillingCurrency") else ()),
    )


def _notes(table: Table) -> tuple[str, ...]:
    notes = []
    if not table.has("BillingCurrency"):
        notes.append("no BillingCurrency column: read as USD")
    if not table.has("EffectiveCost"):
        notes.append("no EffectiveCost column")
    unknown = sorted(column.name for group in table.columns.values() for column in group if not _is_known(column.name))
    if unknown:
        notes.append(f"columns that the specification does not have: {', '.join(unknown)}")
    stamp = table.columns[letters("ChargePeriodStart")][0]
    if stamp.type in ("VARCHAR", "TIMESTAMP") and not table.is_text:
        notes.append("charge periods without a zone are read as UTC")
    return tuple(notes)


def _is_known(name: str) -> bool:
    return name.lower().startswith("x_") or letters(name) in _COLUMN_LETTERS


_WORKER = f"({_EC2} AND charge_category = 'Usage' AND commitment_status <> 'Unused' AND regexp_matches(usage_type, '{_NODE_USAGE}'))"
_PREPAID = "(charge_category = 'Purchase')"
_COVERED = "(charge_category = 'Usage' AND (commitment <> '' OR free))"
_COMPUTE = (
    f"(({_EC2} AND regexp_matches(usage_type, '(BoxUsage|SpotUsage|DedicatedUsage|Host|CPUCredits)')) OR contains(usage_type, 'Fargate'))"
)
_EKS = """service IN ('AmazonEKS', 'Amazon Elastic Kubernetes Service', 'Amazon Elastic Container Service for Kubernetes')"""
_NETWORK = "regexp_matches(usage_type, '(Bytes|DataTransfer|NatGateway|LoadBalancer|ElasticIP|PublicIPv4)')"
_CATEGORY = f"""(CASE
    WHEN charge_category = 'Tax' THEN 'tax'
    WHEN charge_category IN ('Adjustment', 'Credit') AND returned THEN 'refund'
    WHEN charge_category = 'Credit' THEN 'credit'
    WHEN charge_category = 'Adjustment' THEN 'discount'
    WHEN marketplace THEN 'marketplace'
    WHEN support THEN 'support'
    WHEN charge_category = 'Purchase' AND commitment <> '' THEN 'commitment_fee'
    WHEN charge_category = 'Purchase' THEN 'fee'
    WHEN charge_category <> 'Usage' THEN 'unknown'
    WHEN commitment_status = 'Unused' THEN 'commitment_fee'
    WHEN {_COMPUTE} THEN 'compute'
    WHEN {_EC2} AND contains(usage_type, 'EBS:') THEN 'block_storage'
    WHEN {_EKS} THEN 'control_plane'
    WHEN service_category IN ('Networking', 'Compute') AND {_NETWORK} THEN 'network'
    ELSE 'managed_services' END)"""
_EC2_BESIDE = "service IN ('ComputeSavingsPlans', 'AWSDataTransfer', 'AWSELB', 'AmazonVPC', 'AmazonECS')"
_MOVABLE = (
    f"({_CATEGORY} IN ('compute', 'block_storage', 'control_plane', 'network', 'commitment_fee') "
    f"OR ({_CATEGORY} = 'discount' AND ({_EC2} OR {_EKS} OR {_EC2_BESIDE})))"
)

_DERIVED: Mapping[str, str] = {
    "provider": "provider",
    "account": "account",
    "charge_start": "charge_start",
    "charge_end": "charge_end",
    "line_type": "charge_category",
    "category": _CATEGORY,
    "service": "service",
    "usage_type": "usage_type",
    "operation": "operation",
    "instance_type": f"CASE WHEN {_WORKER} THEN coalesce(nullif(regexp_extract(usage_type, ':(.+)$', 1), ''), 'm1.small') ELSE '' END",
    "purchase_option": f"""CASE WHEN NOT {_WORKER} THEN '' WHEN pricing_category = 'Dynamic' THEN 'spot'
        WHEN contains(commitment_type, 'Savings Plan') THEN 'savings_plan' WHEN commitment <> '' THEN 'reserved' ELSE 'on_demand' END""",
    "region": "region",
    "commitment": "commitment",
    "tag": "tag",
    "worker": _WORKER,
    "movable": _MOVABLE,
    "explained": "''",
    "provisional": "provisional",
    "billed_currency": "currency",
    "untagged_rows": "untagged_rows",
    "bare_rows": "bare_rows",
    "quantity": "coalesce(quantity, 0)",
    "billed": "unblended",
    "unblended": "unblended",
    "amortised": "coalesce(effective, 0)",
    "list_cost": "list_cost",
    "contracted": "contracted",
    "net_unblended": "unblended",
    "net_amortised": "coalesce(effective, 0)",
    "mapped_discount": "0",
    "upfront_bought": f"CASE WHEN {_PREPAID} AND NOT recurring THEN unblended - coalesce(effective, 0) ELSE 0 END",
    "upfront_amortised": f"CASE WHEN {_COVERED} OR ({_PREPAID} AND recurring) THEN coalesce(effective, 0) - unblended ELSE 0 END",
    "fee": f"CASE WHEN {_PREPAID} AND commitment <> '' THEN unblended ELSE 0 END",
    "used": """CASE WHEN commitment <> '' AND charge_category = 'Usage' AND commitment_status <> 'Unused'
        THEN coalesce(effective, 0) ELSE 0 END""",
    "unused": "CASE WHEN commitment <> '' AND commitment_status = 'Unused' THEN coalesce(effective, 0) ELSE 0 END",
    "net_rows": "0",
    "unpriced_rows": "unpriced_rows",
    "unamortised_rows": "effective_missing",
    "fallback_rows": "0",
}

COLUMNS_1_2 = (
    "AvailabilityZone",
    "BilledCost",
    "BillingAccountId",
    "BillingAccountName",
    "BillingAccountType",
    "BillingCurrency",
    "BillingPeriodEnd",
    "BillingPeriodStart",
    "CapacityReservationId",
    "CapacityReservationStatus",
    "ChargeCategory",
    "ChargeClass",
    "ChargeDescription",
    "ChargeFrequency",
    "ChargePeriodEnd",
    "ChargePeriodStart",
    "CommitmentDiscountCategory",
    "CommitmentDiscountId",
    "CommitmentDiscountName",
    "CommitmentDiscountQuantity",
    "CommitmentDiscountStatus",
    "CommitmentDiscountType",
    "CommitmentDiscountUnit",
    "ConsumedQuantity",
    "ConsumedUnit",
    "ContractedCost",
    "ContractedUnitPrice",
    "EffectiveCost",
    "InvoiceId",
    "InvoiceIssuerName",
    "ListCost",
    "ListUnitPrice",
    "PricingCategory",
    "PricingCurrency",
    "PricingCurrencyContractedUnitPrice",
    "PricingCurrencyEffectiveCost",
    "PricingCurrencyListUnitPrice",
    "PricingQuantity",
    "PricingUnit",
    "ProviderName",
    "PublisherName",
    "RegionId",
    "RegionName",
    "ResourceId",
    "ResourceName",
    "ResourceType",
    "ServiceCategory",
    "ServiceName",
    "ServiceSubcategory",
    "SkuId",
    "SkuMeter",
    "SkuPriceDetails",
    "SkuPriceId",
    "SubAccountId",
    "SubAccountName",
    "SubAccountType",
    "Tags",
)
_COLUMNS_1_3 = (
    "AllocatedMethodDetails",
    "AllocatedMethodId",
    "AllocatedResourceId",
    "AllocatedResourceName",
    "AllocatedTags",
    "ContractApplied",
    "HostProviderName",
    "ServiceProviderName",
)
_COLUMN_LETTERS = {letters(name) for name in (*COLUMNS_1_2, *_COLUMNS_1_3)}

FORMATS.register("focus", Focus())
