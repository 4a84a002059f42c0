"""FOCUS rows as `bill_line` rows: category, purchase option, and what is prepaid, used and unused."""

from __future__ import annotations

from collections.abc import Mapping

from simulator.ingest.bill_lines import charge_end

NODE_USAGE = "(^|-)(BoxUsage|SpotUsage|DedicatedUsage|HostBoxUsage)(:|$)"
HOURLY = (
    "(commitment <> '' OR contains(usage_type, 'BoxUsage') OR contains(usage_type, 'SpotUsage') OR contains(usage_type, 'DedicatedUsage'))"
)
"""Rows that keep their hours."""
_EC2 = "(service IN ('AmazonEC2', 'Amazon Elastic Compute Cloud', 'Amazon Elastic Compute Cloud - Compute'))"
_WORKER = (
    f"({_EC2} AND NOT repeats AND charge_category = 'Usage' AND commitment_status <> 'Unused' "
    f"AND regexp_matches(usage_type, '{NODE_USAGE}'))"
)
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
    f"(NOT repeats AND (kind IN ('compute', 'block_storage', 'control_plane', 'network', 'commitment_fee') "
    f"OR (kind = 'discount' AND ({_EC2} OR {_EKS} OR {_EC2_BESIDE}))))"
)


def _counted(value: str, otherwise: str = "0") -> str:
    """Nothing for an allocated row that repeats a charge of the same bill."""
    return f"CASE WHEN repeats THEN {otherwise} ELSE {value} END"


_OURS = "regexp_matches(lower(publisher), '^(amazon|aws|$)')"
_THROUGH_AWS = "(regexp_matches(lower(issuer), '^(amazon|aws)') AND NOT regexp_matches(lower(provider), '^(amazon|aws|$)'))"
_MARKETPLACE = (
    f"({_THROUGH_AWS} OR contains(lower(provider || publisher || issuer), 'marketplace') OR (upper(provider) = 'AWS' AND NOT {_OURS}))"
)

FACTS: Mapping[str, str] = {"marketplace": _MARKETPLACE, "kind": _CATEGORY, "is_worker": _WORKER}
"""SQL over the groups; the columns below are told from these too."""

DERIVED: Mapping[str, str] = {
    "provider": "provider",
    "account": "account",
    "charge_start": "charge_start",
    "charge_end": charge_end(HOURLY),
    "line_type": "charge_category",
    "category": "kind",
    "service": "service",
    "usage_type": "usage_type",
    "operation": "operation",
    "instance_type": "CASE WHEN is_worker THEN coalesce(nullif(regexp_extract(usage_type, ':(.+)$', 1), ''), 'm1.small') ELSE '' END",
    "purchase_option": """CASE WHEN NOT is_worker THEN '' WHEN pricing_category = 'Dynamic' THEN 'spot'
        WHEN contains(commitment_type, 'Savings Plan') THEN 'savings_plan' WHEN commitment <> '' THEN 'reserved' ELSE 'on_demand' END""",
    "region": "region",
    "commitment": "commitment",
    "tag": "tag",
    "worker": "is_worker",
    "movable": _MOVABLE,
    "explained": _counted("''", "'split cost of a charge that has its own row'"),
    "provisional": "provisional",
    "billed_currency": "currency",
    "untagged_rows": "untagged_rows",
    "bare_rows": "bare_rows",
    "quantity": "coalesce(quantity, 0)",
    "billed": _counted("unblended"),
    "unblended": _counted("unblended"),
    "amortised": _counted("coalesce(effective, 0)"),
    "list_cost": _counted("list_cost", "NULL"),
    "contracted": _counted("contracted", "NULL"),
    "net_unblended": _counted("unblended"),
    "net_amortised": _counted("coalesce(effective, 0)"),
    "mapped_discount": "0",
    "upfront_bought": f"CASE WHEN {_PREPAID} AND NOT repeats AND NOT recurring THEN unblended - coalesce(effective, 0) ELSE 0 END",
    "upfront_amortised": f"""CASE WHEN NOT repeats AND ({_COVERED} OR ({_PREPAID} AND recurring))
        THEN coalesce(effective, 0) - unblended ELSE 0 END""",
    "fee": f"CASE WHEN {_PREPAID} AND NOT repeats AND commitment <> '' THEN unblended ELSE 0 END",
    "used": """CASE WHEN NOT repeats AND commitment <> '' AND charge_category = 'Usage' AND commitment_status <> 'Unused'
        THEN coalesce(effective, 0) ELSE 0 END""",
    "unused": "CASE WHEN NOT repeats AND commitment <> '' AND commitment_status = 'Unused' THEN coalesce(effective, 0) ELSE 0 END",
    "net_rows": "0",
    "unpriced_rows": _counted("unpriced_rows"),
    "unamortised_rows": _counted("effective_missing"),
    "fallback_rows": "0",
}
