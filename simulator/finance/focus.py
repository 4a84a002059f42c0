"""The ledger as FOCUS 1.2 rows: all 57 columns of the specification, in its order, with the rules that it puts on their values.

Private cost follows the specification's mapping of data centres: site -> region, server line -> resource, capital purchase ->
BilledCost, depreciation -> EffectiveCost. Format: https://focus.finops.org/focus-specification/v1-2/
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from decimal import Decimal
from io import StringIO
from pathlib import Path

from models.case import Case
from simulator.finance.ledger import CENT_PART, Charge, month_after
from simulator.record import write_text

CURRENCY = "USD"
Row = dict[str, str]

_SERVICES: tuple[tuple[str, str, str], ...] = (
    # start of the item, ServiceCategory, ServiceSubcategory
    ("AWS", "Compute", "Virtual Machines"),
    ("worker server", "Compute", "Other (Compute)"),
    ("master server", "Compute", "Other (Compute)"),
    ("host for VM masters", "Compute", "Other (Compute)"),
    ("OpenStack controller", "Compute", "Other (Compute)"),
    ("Ironic conductor", "Compute", "Other (Compute)"),
    ("Ceph node", "Storage", "Storage Platform"),
    ("ToR switch", "Networking", "Network Infrastructure"),
    ("optics", "Networking", "Network Infrastructure"),
    ("L4 appliance", "Networking", "Application Networking"),
    ("DNS and proxy server", "Networking", "Network Routing"),
    ("Direct Connect", "Networking", "Network Connectivity"),
    ("data over the link", "Networking", "Network Connectivity"),
    ("data between the sides", "Networking", "Network Connectivity"),
    ("migration", "Migration", "Other (Migration)"),
)
_OTHER = ("Other", "Other (Other)")


def focus_row(charge: Charge, case: Case) -> Row:
    """One charge as text, null as the empty string."""
    scenario, aws = case.scenario, charge.zone is None
    region = scenario.aws.region if charge.zone is None else charge.zone
    issuer = "Amazon Web Services, Inc." if aws else scenario.export.cluster
    used = charge.category == "Usage"
    service, part = next(((category, sub) for start, category, sub in _SERVICES if charge.item.startswith(start)), _OTHER)
    sku = f"{charge.provider.lower()}/{charge.item.lower().replace(' ', '-')}"
    contracted, listed = (_text((charge.quantity * price).quantize(CENT_PART)) for price in (charge.price, charge.list_price))
    begin, end = (f"{day.isoformat()}T00:00:00Z" for day in (charge.month, month_after(charge.month)))
    return {
        "AvailabilityZone": "",
        "BilledCost": _text(charge.billed),
        "BillingAccountId": scenario.scenario,
        "BillingAccountName": scenario.scenario,
        "BillingAccountType": "Scenario",
        "BillingCurrency": CURRENCY,
        "BillingPeriodEnd": end,
        "BillingPeriodStart": begin,
        "CapacityReservationId": "",
        "CapacityReservationStatus": "",
        "ChargeCategory": charge.category,
        "ChargeClass": "",
        "ChargeDescription": f"{charge.item}, depreciation" if used and not charge.billed and charge.effective else charge.item,
        "ChargeFrequency": charge.frequency,
        "ChargePeriodEnd": end,
        "ChargePeriodStart": begin,
        **dict.fromkeys(_COMMITMENT, ""),
        "ConsumedQuantity": _text(charge.quantity) if used else "",
        "ConsumedUnit": charge.unit if used else "",
        "ContractedCost": contracted,
        "ContractedUnitPrice": _text(charge.price),
        "EffectiveCost": _text(charge.effective),
        "InvoiceId": "",
        "InvoiceIssuerName": issuer,
        "ListCost": listed,
        "ListUnitPrice": _text(charge.list_price),
        "PricingCategory": "Standard",
        "PricingCurrency": CURRENCY,
        "PricingCurrencyContractedUnitPrice": _text(charge.price),
        "PricingCurrencyEffectiveCost": _text(charge.effective),
        "PricingCurrencyListUnitPrice": _text(charge.list_price),
        "PricingQuantity": _text(charge.quantity),
        "PricingUnit": charge.unit,
        "ProviderName": charge.provider,
        "PublisherName": issuer,
        "RegionId": region,
        "RegionName": region,
        "ResourceId": f"{region}/{charge.item}",
        "ResourceName": charge.item,
        "ResourceType": "Instance" if charge.item == "AWS burst" else "Line",
        "ServiceCategory": service,
        "ServiceName": _service_name(charge),
        "ServiceSubcategory": part,
        "SkuId": sku,
        "SkuMeter": f"BoxUsage:{scenario.aws.worker}" if charge.item == "AWS burst" else charge.item,
        "SkuPriceDetails": "",
        "SkuPriceId": f"{sku}/{charge.frequency.lower()}",
        "SubAccountId": scenario.export.cluster,
        "SubAccountName": scenario.export.cluster,
        "SubAccountType": "Cluster",
        "Tags": "{}",
    }


def _service_name(charge: Charge) -> str:
    if charge.zone is not None:
        return "Private capacity"
    return {"AWS burst": "AmazonEC2", "AWS unused commitment": "ComputeSavingsPlans"}.get(charge.item, "AWSDirectConnect")


_COMMITMENT = (
    "CommitmentDiscountCategory",
    "CommitmentDiscountId",
    "CommitmentDiscountName",
    "CommitmentDiscountQuantity",
    "CommitmentDiscountStatus",
    "CommitmentDiscountType",
    "CommitmentDiscountUnit",
)


def write_ledger(path: Path, charges: Sequence[Charge], case: Case) -> None:
    """CSV with the FOCUS header, atomically."""
    rows = [focus_row(charge, case) for charge in charges]
    text = StringIO()
    if rows:
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    write_text(path, text.getvalue())


def _text(value: Decimal) -> str:
    """Plain decimal notation, as the specification's numeric format wants it.

    >>> _text(Decimal("8677.644480")), _text(Decimal("0E-6"))
    ('8677.64448', '0')
    """
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
