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

Net effective cost is told from the net columns by the same rules, each falling back to its plain column row by row. The
commitment columns have no net twins, so the unused part of a plan is (Total - Used) x net fee / fee, where a fee is its
recurring and amortised upfront commitment.

Example: a plan of 1.70 USD/h of which 1.50 is used for one hour: covered usage 1.50, recurring fee row 1.70 - 1.50 = 0.20,
so used + unused = 1.70 = the fee.
"""

from __future__ import annotations

from collections.abc import Mapping

from simulator.ingest.bill_lines import ODD_END, charge_end
from simulator.ingest.formats import Check, Grouping
from simulator.ingest.tabular import Table, in_time, no_number, no_time

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
    "net_ri_fee_upfront": ("reservation/NetAmortizedUpfrontFeeForBillingPeriod", "ri_fee_upfront"),
    "net_ri_unused_upfront": ("reservation/NetUnusedAmortizedUpfrontFeeForBillingPeriod", "ri_unused_upfront"),
    "net_ri_unused_recurring": ("reservation/NetUnusedRecurringFee", "ri_unused_recurring"),
}

_RESERVED_COLUMNS = {
    "own_ri_effective": "reservation/EffectiveCost",
    "ri_upfront_used": "reservation/AmortizedUpfrontCostForUsage",
    "ri_recurring_used": "reservation/RecurringFeeForUsage",
}
_TIMES = {
    "began": "lineItem/UsageStartDate",
    "ended": "lineItem/UsageEndDate",
    "period_start": "bill/BillingPeriodStartDate",
}
_GIVEN = {
    **_TIMES,
    **_MONEY_COLUMNS,
    "own_ri_effective": "reservation/EffectiveCost",
    **{f"own_{name}": column for name, (column, _) in _NET_COLUMNS.items()},
}
"""What must be readable wherever it is given."""

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


def grouping(table: Table, *, tag: str, tag_key: str, bare: str, mapped_discount: str) -> Grouping:
    """Rows, keys and sums of an AWS bill. `tag`, `bare` (no user tag at all) and `mapped_discount` are SQL of the format."""
    reads = {
        "payer": table.text("bill/PayerAccountId", "lineItem/UsageAccountId"),
        "period_start": table.time("bill/BillingPeriodStartDate"),
        "account": table.text("lineItem/UsageAccountId", "bill/PayerAccountId"),
        "currency": table.text("lineItem/CurrencyCode"),
        "line_type": table.text("lineItem/LineItemType"),
        "began": table.time("lineItem/UsageStartDate"),
        "ended": table.time("lineItem/UsageEndDate"),
        "service": table.text("lineItem/ProductCode"),
        "usage_type": table.text("lineItem/UsageType"),
        "operation": table.text("lineItem/Operation"),
        **{f"given_{name}": table.given(column) for name, column in _GIVEN.items()},
        "instance_type": table.text("product/instanceType"),
        "region": table.text("product/regionCode", "product/region", "lineItem/AvailabilityZone"),
        "marketplace": f"({table.text('bill/BillingEntity')} = 'AWS Marketplace')",
        "provisional": f"({table.text('bill/InvoiceId')} = '')",
        "commitment": table.text("savingsPlan/SavingsPlanARN", "reservation/ReservationARN"),
        "plan_refund": f"({table.text('lineItem/LineItemDescription')} LIKE 'Refund for one-time fee for Savings Plan%')",
        "parent": table.text("splitLineItem/ParentResourceId"),
        "reserved_known": "true" if table.first("reservation/EffectiveCost", "reservation/AmortizedUpfrontCostForUsage") else "false",
        "user_tag": tag,
        "bare": bare,
        "row_name": table.text("identity/LineItemId"),
        **{name: table.money(column) for name, column in (_MONEY_COLUMNS | _RESERVED_COLUMNS).items()},
        **{f"own_{name}": table.money(column) for name, (column, _) in _NET_COLUMNS.items()},
        "listed": table.money("pricing/publicOnDemandCost"),
        "mapped": mapped_discount,
    }
    return Grouping(
        reads=reads,
        rows=_rows(table),
        keys={**_KEYS, "tag": "CASE WHEN hourly THEN user_tag ELSE '' END" if tag_key else "user_tag"},
        sums=_SUMS,
        checks=_checks(table),
        fine=_fine(table),
        duplicate_key=_duplicate_key(table, reads["parent"]),
        tag_key=tag_key,
    )


_HOURLY_TYPES = ("DiscountedUsage", "SavingsPlanCoveredUsage", "SavingsPlanNegation", "SavingsPlanRecurringFee")
_NODES = " OR ".join(f"contains(usage_type, '{name}')" for name in ("BoxUsage", "SpotUsage", "DedicatedUsage"))
_HOURLY = f"({_one_of('line_type', _HOURLY_TYPES)} OR {_NODES})"


def _rows(table: Table) -> dict[str, str]:
    """Whether a row keeps its hours (nodes and commitments), and money with its fallbacks row by row."""
    nets = {name: f"coalesce(own_{name}, {plain})" if table.has(column) else plain for name, (column, plain) in _NET_COLUMNS.items()}
    return {
        "hourly": _HOURLY,
        "ri_effective": "coalesce(own_ri_effective, ri_upfront_used + ri_recurring_used)",
        **nets,
        "has_net": "(own_net_unblended IS NOT NULL)",
    }


_KEYS = {
    **{name: name for name in ("payer", "period_start", "account", "currency", "line_type", "service", "usage_type", "operation")},
    **{name: name for name in ("instance_type", "region", "marketplace", "provisional", "commitment")},
    "charge_start": "CASE WHEN hourly THEN began ELSE period_start END",
    "charge_end": ODD_END,
    "plan_blank": "(sp_total IS NULL OR sp_used IS NULL)",
    "fee_blank": "(ri_unused_upfront IS NULL AND ri_unused_recurring IS NULL)",
    "plan_refund": "plan_refund",
    "reserved_known": "reserved_known",
    "split": f"(parent <> '' OR {_one_of('operation', ('EKSPod-EC2', 'ECSTask-EC2'))})",
}


_SUMS = {
    **{name: f"sum({name})" for name in (*_MONEY_COLUMNS, "ri_effective", *_NET_COLUMNS)},
    "list_cost": "sum(listed)",
    "unpriced": "count_if(listed IS NULL)",
    "mapped_discount": "sum(mapped)",
    "net_rows": "count_if(has_net)",
    "untagged_rows": "count_if(user_tag = '')",
    "bare_rows": "count_if(bare)",
    "uncovered": "count_if(sp_effective IS NULL)",
    "unspread": "count_if(sp_total IS NULL AND sp_upfront IS NULL)",
}


def _duplicate_key(table: Table, parent: str) -> str | None:
    if not (table.has("identity/LineItemId") and table.has("identity/TimeInterval")):
        return None
    split = f"{parent} || {table.text('lineItem/ResourceId')}"
    return f"hash({table.text('identity/LineItemId')}, {table.text('identity/TimeInterval')}, {split})"


def _checks(table: Table) -> tuple[Check, ...]:
    node = f"({_one_of('line_type', USAGE_TYPES)} AND service = 'AmazonEC2' AND regexp_matches(usage_type, '{_NODE_USAGE}'))"
    again = "fetch the bill again; such a row cannot come from AWS"
    return (
        *(Check(no_number(name), f"no number in {column}", f"{again}; AWS writes 1234.5") for name, column in _numbers(table).items()),
        *(Check(no_time(name), f"no possible time in {column}", again) for name, column in _TIMES.items()),
        Check("(NOT given_unblended)", "no value in lineItem/UnblendedCost", again),
        Check("(NOT given_period_start)", "no billing period", again),
        Check("coalesce(ended < began, false)", "hours that end before they start", again),
        Check(_where(node, "NOT (given_began AND given_ended)"), "a node row without its hours", again),
        Check(
            _where(_one_of("line_type", _HOURLY_TYPES), "NOT (given_began AND given_ended)"), "a commitment row without its hours", again
        ),
        Check(_where(node, "NOT given_quantity"), "a node row without its usage amount", again),
        Check("(currency = '')", "no currency", again),
    )


def _numbers(table: Table) -> dict[str, str]:
    return {name: column for name, column in _GIVEN.items() if name not in _TIMES and table.has(column)}


def _fine(table: Table) -> str:
    times = f"{in_time('began', 'ended')} AND {in_time('period_start', 'period_start')}"
    others = [f"NOT {no_number(name)}" for name in _numbers(table) if name not in ("unblended", "quantity")]
    return " AND ".join(("unblended IS NOT NULL", "quantity IS NOT NULL", times, "currency <> ''", *others))


def _where(costly: str, rare: str) -> str:
    """SQL of both, with the costly condition looked at only where the rare one holds."""
    return f"(CASE WHEN {rare} THEN {costly} ELSE false END)"


def facts() -> Mapping[str, str]:
    """What the columns of `derive` are told from, over the groups."""
    return {"kind": _CATEGORY, "is_worker": _WORKER, "upfront": _UPFRONT, "blank": _BLANK}


def derive() -> Mapping[str, str]:
    """SQL of every `bill_line` column over the groups and `facts`."""
    return {
        "provider": "'AWS'",
        "account": "account",
        "charge_start": "charge_start",
        "charge_end": charge_end(_HOURLY),
        "line_type": "line_type",
        "category": "kind",
        "service": "service",
        "usage_type": "usage_type",
        "operation": "operation",
        "instance_type": f"CASE WHEN is_worker AND instance_type = '' THEN {_PARSED_TYPE} ELSE instance_type END",
        "purchase_option": _PURCHASE,
        "region": "CASE WHEN regexp_matches(region, '^[a-z]+(-[a-z]+)+-[0-9][a-z]$') THEN left(region, -1) ELSE region END",
        "commitment": "commitment",
        "tag": "tag",
        "worker": "is_worker",
        "movable": f"(NOT split AND {_one_of('kind', _MOVABLE_CATEGORIES)} AND {_one_of('service', _MOVABLE_SERVICES)})",
        "explained": "CASE WHEN split THEN 'split cost of an instance that has its own row' ELSE '' END",
        "provisional": "provisional",
        "billed_currency": "currency",
        **_MONEY_OUT,
    }


_INSTANCES = "'(BoxUsage|SpotUsage|DedicatedUsage|Host|UnusedBox|UnusedDed|CPUCredits)'"
_COMPUTE = f"(service = 'AmazonEC2' AND regexp_matches(usage_type, {_INSTANCES}))"
_CONTAINERS = "(service = 'AmazonECS' OR (service = 'AmazonEKS' AND contains(usage_type, 'Fargate')))"
_TRANSFER = "regexp_matches(usage_type, '(Bytes|DataTransfer|NatGateway|LoadBalancer|ElasticIP|PublicIPv4|VpcEndpoint|LCUUsage)')"
_RESERVED = "(line_type = 'Fee' AND (commitment <> '' OR contains(usage_type, 'HeavyUsage')))"
_CATEGORY = f"""(CASE
    WHEN line_type = 'Tax' THEN 'tax'
    WHEN line_type = 'Credit' THEN 'credit'
    WHEN line_type = 'Refund' THEN 'refund'
    WHEN marketplace THEN 'marketplace'
    WHEN {_one_of("line_type", _DISCOUNTS)} THEN 'discount'
    WHEN contains(service, 'Support') OR service = 'AWSEnterpriseOnRamp' THEN 'support'
    WHEN line_type = 'SavingsPlanUpfrontFee' OR {_RESERVED} THEN 'commitment_upfront'
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
_PURCHASE = """(CASE WHEN NOT is_worker THEN '' WHEN contains(usage_type, 'SpotUsage') THEN 'spot'
    WHEN line_type = 'DiscountedUsage' THEN 'reserved' WHEN line_type = 'SavingsPlanCoveredUsage' THEN 'savings_plan'
    ELSE 'on_demand' END)"""
_UPFRONT = f"(line_type = 'SavingsPlanUpfrontFee' OR {_RESERVED} OR (line_type = 'Refund' AND plan_refund))"


_BLANK = "CASE line_type WHEN 'SavingsPlanRecurringFee' THEN plan_blank WHEN 'RIFee' THEN fee_blank ELSE false END"
_UNAMORTISED = """CASE WHEN split THEN 0 WHEN line_type = 'SavingsPlanCoveredUsage' THEN uncovered
    WHEN line_type = 'SavingsPlanRecurringFee' AND contains(usage_type, 'Upfront') AND NOT contains(usage_type, 'NoUpfront') THEN unspread
    WHEN line_type IN ('DiscountedUsage', 'RIFee') AND NOT reserved_known THEN rows ELSE 0 END"""  # what fees cannot tell either
_NET_UNUSED = """(sp_total - sp_used) * CASE WHEN coalesce(sp_recurring, 0) + coalesce(sp_upfront, 0) = 0 THEN 1
        ELSE (coalesce(net_sp_recurring, 0) + coalesce(net_sp_upfront, 0))::DOUBLE
            / (coalesce(sp_recurring, 0) + coalesce(sp_upfront, 0))::DOUBLE END"""

_NET_FEE = """net_unblended + CASE line_type WHEN 'SavingsPlanRecurringFee' THEN coalesce(net_sp_upfront, 0)
        ELSE coalesce(net_ri_fee_upfront, 0) END"""


def _effective(prefix: str) -> str:
    """SQL of the effective cost; `prefix` "net_" takes the net columns.

    Where fees must tell it, NULL, and the whole net fee of which the unused share is taken once it is known.
    """
    return f"""CASE
        WHEN split THEN 0
        WHEN line_type = 'SavingsPlanCoveredUsage' THEN coalesce({prefix}sp_effective, 0)
        WHEN line_type = 'SavingsPlanNegation' OR upfront THEN 0
        WHEN line_type = 'DiscountedUsage' THEN coalesce({prefix}ri_effective, 0)
        WHEN blank THEN {_NET_FEE if prefix else "NULL"}
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
    "upfront_bought": "CASE WHEN upfront THEN unblended ELSE 0 END",
    "upfront_amortised": """CASE line_type WHEN 'SavingsPlanRecurringFee' THEN coalesce(sp_upfront, 0)
        WHEN 'RIFee' THEN coalesce(ri_fee_upfront, 0) ELSE 0 END""",
    "fee": """CASE line_type WHEN 'SavingsPlanRecurringFee' THEN unblended + coalesce(sp_upfront, 0)
        WHEN 'RIFee' THEN unblended + coalesce(ri_fee_upfront, 0) ELSE 0 END""",
    "used": """CASE line_type WHEN 'SavingsPlanCoveredUsage' THEN coalesce(sp_effective, 0)
        WHEN 'DiscountedUsage' THEN coalesce(ri_effective, 0) ELSE 0 END""",
    "unused": """CASE WHEN blank THEN NULL WHEN line_type = 'SavingsPlanRecurringFee' THEN sp_total - sp_used
        WHEN line_type = 'RIFee' THEN coalesce(ri_unused_upfront, 0) + coalesce(ri_unused_recurring, 0) ELSE 0 END""",
    "net_rows": "net_rows",
    "unpriced_rows": f"CASE WHEN {_one_of('line_type', USAGE_TYPES)} THEN unpriced ELSE 0 END",
    "unamortised_rows": _UNAMORTISED,
    "fallback_rows": "CASE WHEN blank THEN rows ELSE 0 END",
}
