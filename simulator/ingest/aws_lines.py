"""AWS line items: what both CUR generations share - keys, sums, categories and the effective cost of each line type.

Effective cost (docs.aws.amazon.com/cur, Lineitem-columns and savings-plans-columns; the same rules as the Cloud
Intelligence Dashboards `summary_view`):

    SavingsPlanCoveredUsage   savingsPlan/SavingsPlanEffectiveCost
    SavingsPlanNegation       0
    SavingsPlanRecurringFee   TotalCommitmentToDate - UsedCommitment = unused; when empty, fee + amortised upfront - effective
    SavingsPlanUpfrontFee     0
    DiscountedUsage           reservation/EffectiveCost
    RIFee                     UnusedAmortizedUpfrontFeeForBillingPeriod + UnusedRecurringFee; when empty as above
    Fee of a reservation      0 (it is spread over the term)
    Refund of a plan's upfront fee  0
    everything else           unblended cost

Example: a plan of 1.70 USD/h of which 1.50 is used for one hour: covered usage 1.50, recurring fee row 1.70 - 1.50 = 0.20,
so used + unused = 1.70 = the fee.
"""

from __future__ import annotations

from collections.abc import Mapping

from simulator.ingest.formats import Check, Grouping
from simulator.ingest.tabular import Table

REQUIRED = (
    "bill/BillingPeriodStartDate",
    "lineItem/LineItemType",
    "lineItem/UsageStartDate",
    "lineItem/UsageEndDate",
    "lineItem/ProductCode",
    "lineItem/UsageType",
    "lineItem/UsageAmount",
    "lineItem/CurrencyCode",
    "lineItem/UnblendedCost",
)

_MONEY_COLUMNS = {
    "unblended": "lineItem/UnblendedCost",
    "quantity": "lineItem/UsageAmount",
    "sp_effective": "savingsPlan/SavingsPlanEffectiveCost",
    "sp_total": "savingsPlan/TotalCommitmentToDate",
    "sp_used": "savingsPlan/UsedCommitment",
    "sp_recurring": "savingsPlan/RecurringCommitmentForBillingPeriod",
    "sp_upfront": "savingsPlan/AmortizedUpfrontCommitmentForBillingPeriod",
    "ri_fee_upfront": "reservation/AmortizedUpfrontFeeForBillingPeriod",
    "ri_unused_upfront": "reservation/UnusedAmortizedUpfrontFeeForBillingPeriod",
    "ri_unused_recurring": "reservation/UnusedRecurringFee",
}
_NET_COLUMNS = {
    "net_unblended": ("lineItem/NetUnblendedCost", "unblended"),
    "net_sp_effective": ("savingsPlan/NetSavingsPlanEffectiveCost", "sp_effective"),
    "net_sp_recurring": ("savingsPlan/NetRecurringCommitmentForBillingPeriod", "sp_recurring"),
    "net_sp_upfront": ("savingsPlan/NetAmortizedUpfrontCommitmentForBillingPeriod", "sp_upfront"),
    "net_ri_effective": ("reservation/NetEffectiveCost", "ri_effective"),
    "net_ri_unused_upfront": ("reservation/NetUnusedAmortizedUpfrontFeeForBillingPeriod", "ri_unused_upfront"),
    "net_ri_unused_recurring": ("reservation/NetUnusedRecurringFee", "ri_unused_recurring"),
}

USAGE_TYPES = ("Usage", "DiscountedUsage", "SavingsPlanCoveredUsage")
_NODE_USAGE = "(^|-)(BoxUsage|SpotUsage|DedicatedUsage|HostBoxUsage)(:|$)"
_MOVABLE_SERVICES = ("AmazonEC2", "AmazonEKS", "AmazonECS", "AWSELB", "AmazonVPC", "AWSDataTransfer", "ComputeSavingsPlans")
_MOVABLE_CATEGORIES = ("compute", "block_storage", "network", "control_plane", "commitment_fee", "commitment_upfront", "discount")
_DISCOUNTS = ("EdpDiscount", "PrivateRateDiscount", "BundledDiscount", "Discount", "SppDiscount", "DistributorDiscount")
_KNOWN = (
    *USAGE_TYPES,
    *_DISCOUNTS,
    "RIFee",
    "Fee",
    "SavingsPlanNegation",
    "SavingsPlanRecurringFee",
    "SavingsPlanUpfrontFee",
    "Tax",
    "Credit",
    "Refund",
    "FlatRateSubscription",
)


def _one_of(column: str, values: tuple[str, ...]) -> str:
    return f"{column} IN ({', '.join(repr(value) for value in values)})"


def grouping(table: Table, *, tag: str, tag_key: str, bare: str, mapped_discount: str, notes: tuple[str, ...] = ()) -> Grouping:
    """Keys and sums of an AWS bill. `tag`, `bare` (no user tag at all) and `mapped_discount` are SQL of the format."""
    line_type = table.text("lineItem/LineItemType")
    usage_type = table.text("lineItem/UsageType")
    start, end = table.time("lineItem/UsageStartDate"), table.time("lineItem/UsageEndDate")
    period_start = table.time("bill/BillingPeriodStartDate")
    by_hour = (
        f"(contains({usage_type}, 'BoxUsage') OR contains({usage_type}, 'SpotUsage') OR contains({usage_type}, 'DedicatedUsage') "
        f"OR {_one_of(line_type, ('DiscountedUsage', 'SavingsPlanCoveredUsage', 'SavingsPlanNegation', 'SavingsPlanRecurringFee'))})"
    )
    totals_blank = f"({table.money('savingsPlan/TotalCommitmentToDate')} IS NULL OR {table.money('savingsPlan/UsedCommitment')} IS NULL)"
    unused_blank = (
        f"({table.money('reservation/UnusedAmortizedUpfrontFeeForBillingPeriod')} IS NULL "
        f"AND {table.money('reservation/UnusedRecurringFee')} IS NULL)"
    )
    description = table.text("lineItem/LineItemDescription")
    keys = {
        "payer": table.text("bill/PayerAccountId", "lineItem/UsageAccountId"),
        "period_start": period_start,
        "account": table.text("lineItem/UsageAccountId", "bill/PayerAccountId"),
        "currency": table.text("lineItem/CurrencyCode"),
        "line_type": line_type,
        "charge_start": f"CASE WHEN {by_hour} THEN {start} ELSE {period_start} END",
        "charge_end": f"CASE WHEN {by_hour} THEN {end} END",
        "service": table.text("lineItem/ProductCode"),
        "usage_type": usage_type,
        "operation": table.text("lineItem/Operation"),
        "instance_type": table.text("product/instanceType"),
        "region": table.text("product/regionCode", "product/region", "lineItem/AvailabilityZone"),
        "marketplace": f"({table.text('bill/BillingEntity')} = 'AWS Marketplace')",
        "provisional": f"({table.text('bill/InvoiceId')} = '')",
        "commitment": table.text("savingsPlan/SavingsPlanARN", "reservation/ReservationARN", "reservation/SubscriptionId"),
        "blank": f"CASE {line_type} WHEN 'SavingsPlanRecurringFee' THEN {totals_blank} WHEN 'RIFee' THEN {unused_blank} ELSE false END",
        "upfront_refund": f"({line_type} = 'Refund' AND {description} LIKE 'Refund for one-time fee for Savings Plan%')",
        "split": f"({table.text('splitLineItem/ParentResourceId')} <> '' OR {_split_operation(table)})",
        "tag": f"CASE WHEN {by_hour} THEN {tag} ELSE '' END",
    }
    return Grouping(
        keys=keys,
        sums=_sums(table, tag=tag, bare=bare, mapped_discount=mapped_discount, line_type=line_type),
        checks=_checks(table),
        row_id=table.text("identity/LineItemId"),
        duplicate_key=_duplicate_key(table),
        tag_key=tag_key,
        notes=notes,
    )


def _split_operation(table: Table) -> str:
    return _one_of(table.text("lineItem/Operation"), ("EKSPod-EC2", "ECSTask-EC2"))


def _duplicate_key(table: Table) -> str | None:
    if not (table.has("identity/LineItemId") and table.has("identity/TimeInterval")):
        return None
    split = f"coalesce({table.text('splitLineItem/ParentResourceId')}, '') || {table.text('lineItem/ResourceId')}"
    return f"hash({table.text('identity/LineItemId')}, {table.text('identity/TimeInterval')}, {split})"


def _sums(table: Table, *, tag: str, bare: str, mapped_discount: str, line_type: str) -> dict[str, str]:
    money = {name: table.money(column) for name, column in _MONEY_COLUMNS.items()}
    money["ri_effective"] = (
        f"coalesce({table.money('reservation/EffectiveCost')}, {table.money('reservation/AmortizedUpfrontCostForUsage')} "
        f"+ {table.money('reservation/RecurringFeeForUsage')})"
    )
    sums = {name: f"sum({value})" for name, value in money.items()}
    for name, (column, plain) in _NET_COLUMNS.items():
        sums[name] = f"sum(coalesce({table.money(column)}, {money[plain]}))" if table.has(column) else sums[plain]
    listed = table.money("pricing/publicOnDemandCost")
    net = f"count({table.money('lineItem/NetUnblendedCost')})" if table.has("lineItem/NetUnblendedCost") else "0"
    return {
        **sums,
        "list_cost": f"sum({listed})",
        "unpriced_rows": f"count_if({listed} IS NULL AND {_one_of(line_type, USAGE_TYPES)})",
        "mapped_discount": f"sum({mapped_discount})",
        "net_rows": net,
        "untagged_rows": f"count_if({tag} = '')",
        "bare_rows": f"count_if({bare})",
        "unamortised_rows": f"count_if({_unamortised(table, line_type, money)})",
    }


def _unamortised(table: Table, line_type: str, money: Mapping[str, str]) -> str:
    """Rows whose effective cost neither their own columns nor the fees of the period can tell."""
    uncovered = f"({line_type} = 'SavingsPlanCoveredUsage' AND {money['sp_effective']} IS NULL)"
    plan = f"{line_type} = 'SavingsPlanRecurringFee' AND {money['sp_total']} IS NULL AND {money['sp_upfront']} IS NULL"
    usage_type = table.text("lineItem/UsageType")
    prepaid = f"({plan} AND contains({usage_type}, 'Upfront') AND NOT contains({usage_type}, 'NoUpfront'))"
    if table.first("reservation/EffectiveCost", "reservation/AmortizedUpfrontCostForUsage"):
        return f"{uncovered} OR {prepaid}"
    return f"{uncovered} OR {prepaid} OR {_one_of(line_type, ('DiscountedUsage', 'RIFee'))}"


def _checks(table: Table) -> tuple[Check, ...]:
    start, end = table.time("lineItem/UsageStartDate"), table.time("lineItem/UsageEndDate")
    node = f"regexp_matches({table.text('lineItem/UsageType')}, '{_NODE_USAGE}') AND {table.text('lineItem/ProductCode')} = 'AmazonEC2'"
    usage = _one_of(table.text("lineItem/LineItemType"), USAGE_TYPES)
    no_hours = f"{table.absent('lineItem/UsageStartDate')} OR {table.absent('lineItem/UsageEndDate')}"
    again = "fetch the bill again; such a row cannot come from AWS"
    numbers = [column for column in (*_MONEY_COLUMNS.values(), "reservation/EffectiveCost") if table.has(column)]
    numbers += [column for column, _ in _NET_COLUMNS.values() if table.has(column)]
    times = ("lineItem/UsageStartDate", "lineItem/UsageEndDate", "bill/BillingPeriodStartDate")
    return (
        *(Check(table.not_a_number(column), f"no number in {column}", again) for column in numbers),
        *(Check(table.not_a_time(column), f"no possible time in {column}", again) for column in times),
        Check(table.absent("lineItem/UnblendedCost"), "no value in lineItem/UnblendedCost", again),
        Check(table.absent("bill/BillingPeriodStartDate"), "no billing period", again),
        Check(f"{end} < {start}", "hours that end before they start", again),
        Check(f"{node} AND {usage} AND ({no_hours})", "a node row without its hours", again),
        Check(f"{node} AND {usage} AND {table.absent('lineItem/UsageAmount')}", "a node row without its usage amount", again),
        Check(f"{table.text('lineItem/CurrencyCode')} = ''", "no currency", again),
    )


def derive() -> Mapping[str, str]:
    """SQL of every `bill_line` column over the groups."""
    return {
        "provider": "'AWS'",
        "account": "account",
        "charge_start": "charge_start",
        "charge_end": "charge_end",
        "line_type": "line_type",
        "category": _CATEGORY,
        "service": "service",
        "usage_type": "usage_type",
        "operation": "operation",
        "instance_type": f"CASE WHEN {_WORKER} AND instance_type = '' THEN {_PARSED_TYPE} ELSE instance_type END",
        "purchase_option": _PURCHASE,
        "region": "CASE WHEN regexp_matches(region, '^[a-z]+(-[a-z]+)+-[0-9][a-z]$') THEN left(region, -1) ELSE region END",
        "commitment": "commitment",
        "tag": "tag",
        "worker": _WORKER,
        "movable": f"(NOT split AND {_one_of(_CATEGORY, _MOVABLE_CATEGORIES)} AND {_one_of('service', _MOVABLE_SERVICES)})",
        "explained": "CASE WHEN split THEN 'split cost of an instance that has its own row' ELSE '' END",
        "provisional": "provisional",
        "billed_currency": "currency",
        **_MONEY_OUT,
    }


_INSTANCES = "'(BoxUsage|SpotUsage|DedicatedUsage|Host|UnusedBox|UnusedDed|CPUCredits)'"
_COMPUTE = f"(service = 'AmazonEC2' AND regexp_matches(usage_type, {_INSTANCES}))"
_CONTAINERS = "(service = 'AmazonECS' OR (service = 'AmazonEKS' AND contains(usage_type, 'Fargate')))"
_TRANSFER = "regexp_matches(usage_type, '(Bytes|DataTransfer|NatGateway|LoadBalancer|ElasticIP|PublicIPv4|VpcEndpoint|LCUUsage)')"
_CATEGORY = f"""(CASE
    WHEN line_type = 'Tax' THEN 'tax'
    WHEN line_type = 'Credit' THEN 'credit'
    WHEN line_type = 'Refund' THEN 'refund'
    WHEN marketplace THEN 'marketplace'
    WHEN {_one_of("line_type", _DISCOUNTS)} THEN 'discount'
    WHEN contains(service, 'Support') OR service = 'AWSEnterpriseOnRamp' THEN 'support'
    WHEN line_type = 'SavingsPlanUpfrontFee' OR (line_type = 'Fee' AND commitment <> '') THEN 'commitment_upfront'
    WHEN line_type IN ('SavingsPlanRecurringFee', 'RIFee') THEN 'commitment_fee'
    WHEN NOT {_one_of("line_type", _KNOWN)} THEN 'unknown'
    WHEN line_type IN ('Fee', 'FlatRateSubscription') THEN 'fee'
    WHEN {_COMPUTE} OR {_CONTAINERS} THEN 'compute'
    WHEN service = 'AmazonEC2' AND contains(usage_type, 'EBS:') THEN 'block_storage'
    WHEN service = 'AmazonEKS' THEN 'control_plane'
    WHEN service IN ('AmazonEC2', 'AmazonVPC', 'AWSELB', 'AWSDataTransfer') AND {_TRANSFER} THEN 'network'
    ELSE 'managed_services' END)"""
_WORKER = (
    f"(NOT split AND NOT marketplace AND service = 'AmazonEC2' AND {_one_of('line_type', USAGE_TYPES)} "
    f"AND regexp_matches(usage_type, '{_NODE_USAGE}'))"
)
_PARSED_TYPE = "coalesce(nullif(regexp_extract(usage_type, ':(.+)$', 1), ''), 'm1.small')"
_PURCHASE = f"""(CASE WHEN NOT {_WORKER} THEN '' WHEN contains(usage_type, 'SpotUsage') THEN 'spot'
    WHEN line_type = 'DiscountedUsage' THEN 'reserved' WHEN line_type = 'SavingsPlanCoveredUsage' THEN 'savings_plan'
    ELSE 'on_demand' END)"""
_UPFRONT = "(line_type = 'SavingsPlanUpfrontFee' OR (line_type = 'Fee' AND commitment <> '') OR upfront_refund)"


_NET_UNUSED = """(sp_total - sp_used) * CASE WHEN coalesce(sp_recurring, 0) + coalesce(sp_upfront, 0) = 0 THEN 1
        ELSE (coalesce(net_sp_recurring, 0) + coalesce(net_sp_upfront, 0))::DOUBLE
            / (coalesce(sp_recurring, 0) + coalesce(sp_upfront, 0))::DOUBLE END"""


def _effective(prefix: str) -> str:
    """SQL of the effective cost; `prefix` "net_" takes the net columns. NULL where fees must tell it."""
    return f"""CASE
        WHEN split THEN 0
        WHEN line_type = 'SavingsPlanCoveredUsage' THEN coalesce({prefix}sp_effective, 0)
        WHEN line_type = 'SavingsPlanNegation' OR {_UPFRONT} THEN 0
        WHEN line_type = 'DiscountedUsage' THEN coalesce({prefix}ri_effective, 0)
        WHEN blank THEN NULL
        WHEN line_type = 'SavingsPlanRecurringFee' THEN {_NET_UNUSED if prefix else "sp_total - sp_used"}
        WHEN line_type = 'RIFee' THEN coalesce({prefix}ri_unused_upfront, 0) + coalesce({prefix}ri_unused_recurring, 0)
        ELSE {prefix}unblended END"""


def _counted(value: str) -> str:
    return f"CASE WHEN split THEN 0 ELSE {value} END"


_MONEY_OUT = {
    "untagged_rows": "untagged_rows",
    "bare_rows": "bare_rows",
    "quantity": "coalesce(quantity, 0)",
    "billed": _counted("unblended"),
    "unblended": _counted("unblended"),
    "amortised": _effective(""),
    "list_cost": f"CASE WHEN split OR line_type = 'SavingsPlanNegation' THEN 0 WHEN {_one_of('line_type', USAGE_TYPES)} THEN list_cost END",
    "contracted": "CAST(NULL AS DECIMAL(38,16))",
    "net_unblended": _counted("net_unblended"),
    "net_amortised": _effective("net_"),
    "mapped_discount": _counted("coalesce(mapped_discount, 0)"),
    "upfront_bought": f"CASE WHEN {_UPFRONT} THEN unblended ELSE 0 END",
    "upfront_amortised": """CASE line_type WHEN 'SavingsPlanRecurringFee' THEN coalesce(sp_upfront, 0)
        WHEN 'RIFee' THEN coalesce(ri_fee_upfront, 0) ELSE 0 END""",
    "fee": """CASE line_type WHEN 'SavingsPlanRecurringFee' THEN unblended + coalesce(sp_upfront, 0)
        WHEN 'RIFee' THEN unblended + coalesce(ri_fee_upfront, 0) ELSE 0 END""",
    "used": """CASE line_type WHEN 'SavingsPlanCoveredUsage' THEN coalesce(sp_effective, 0)
        WHEN 'DiscountedUsage' THEN coalesce(ri_effective, 0) ELSE 0 END""",
    "unused": """CASE WHEN blank THEN NULL WHEN line_type = 'SavingsPlanRecurringFee' THEN sp_total - sp_used
        WHEN line_type = 'RIFee' THEN coalesce(ri_unused_upfront, 0) + coalesce(ri_unused_recurring, 0) ELSE 0 END""",
    "net_rows": "net_rows",
    "unpriced_rows": "unpriced_rows",
    "unamortised_rows": "CASE WHEN split THEN 0 ELSE unamortised_rows END",
    "fallback_rows": "CASE WHEN blank THEN rows ELSE 0 END",
}
