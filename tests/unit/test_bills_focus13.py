"""FOCUS 1.3: providers by their new names, and allocated charges that are never counted beside the charge they split."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from bill_rows import load, near, only

ROW = {
    "BilledCost": "0.4",
    "EffectiveCost": "0.4",
    "ListCost": "0.4",
    "ContractedCost": "0.4",
    "BillingAccountId": "000000000042",
    "BillingCurrency": "USD",
    "BillingPeriodStart": "2026-01-01T00:00:00Z",
    "BillingPeriodEnd": "2026-02-01T00:00:00Z",
    "ChargePeriodStart": "2026-01-05T10:00:00Z",
    "ChargePeriodEnd": "2026-01-05T11:00:00Z",
    "ChargeCategory": "Usage",
    "ChargeFrequency": "Usage-Based",
    "PricingCategory": "Standard",
    "InvoiceId": "INV1",
    "InvoiceIssuerName": "Amazon Web Services, Inc.",
    "ServiceProviderName": "AWS",
    "HostProviderName": "AWS",
    "ServiceCategory": "Compute",
    "ServiceName": "Amazon Elastic Compute Cloud",
    "SkuMeter": "BoxUsage:m5.2xlarge",
    "SkuPriceId": "m5.2xlarge/od",
    "ResourceId": "i-1",
    "ConsumedQuantity": "1",
    "ConsumedUnit": "Hours",
    "Tags": "{}",
    "AllocatedMethodId": "",
    "AllocatedMethodDetails": "",
    "AllocatedResourceId": "",
    "AllocatedResourceName": "",
    "AllocatedTags": "",
    "ContractApplied": "",
}


def allocated(pod: str, cost: str, hours: str, team: str) -> dict[str, str]:
    """A part of the charge of i-1."""
    costs = dict.fromkeys(("BilledCost", "EffectiveCost", "ListCost", "ContractedCost"), cost)
    tags = f'{{"team": "{team}"}}' if team else ""
    named = {"AllocatedMethodId": "EKS-1", "AllocatedResourceId": pod, "AllocatedResourceName": pod, "AllocatedTags": tags}
    return {**ROW, **costs, **named, "ConsumedQuantity": hours}


PARTS = [allocated("pod/a", "0.1", "0.25", "web"), allocated("pod/b", "0.2", "0.5", "data"), allocated("unused", "0.1", "0.25", "")]


def focus(path: Path, rows: list[dict[str, str]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(ROW))
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_allocated_charges_stand_for_the_charge_they_split(tmp_path: Path) -> None:
    period = only(load(focus(tmp_path / "a.csv", PARTS)))
    assert (period.format, period.rows_in, period.rows_used, period.rows_explained) == ("focus", 3, 3, 0)
    assert near(period.unblended, 0.4, 1e-12)
    assert near(period.amortised, 0.4, 1e-12)
    assert near(period.addressable, 0.4, 1e-12)
    assert period.worker_hours == 1.0
    assert dict(period.worker_hours_by_tag) == {"": 0.25, "data": 0.5, "web": 0.25}  # AllocatedTags
    assert not any("specification does not have" in note for note in period.notes)


def test_allocated_charges_beside_their_charge_are_explained_not_added(tmp_path: Path) -> None:
    period = only(load(focus(tmp_path / "a.csv", [ROW, *PARTS, {**ROW, "ResourceId": "i-2"}])))
    assert (period.rows_in, period.rows_used, period.rows_explained) == (5, 2, 3)
    assert near(period.unblended, 0.8, 1e-12)
    assert near(period.amortised, 0.8, 1e-12)
    assert near(period.list_cost, 0.8, 1e-12)
    assert near(period.contracted, 0.8, 1e-12)
    assert period.worker_hours == 2.0
    assert "3 rows explained: split costs of charges that have their own rows" in period.notes


def test_a_remainder_beside_allocated_charges_is_counted(tmp_path: Path) -> None:
    # 0.1 + 0.2 allocated, the remaining 0.1 left on the charge itself
    rest = {**ROW, "BilledCost": "0.1", "EffectiveCost": "0.1", "ConsumedQuantity": "0.25"}
    period = only(load(focus(tmp_path / "a.csv", [rest, *PARTS[:2]])))
    assert (period.rows_used, period.rows_explained, period.worker_hours) == (3, 0, 1.0)
    assert near(period.unblended, 0.4, 1e-12)


@pytest.mark.parametrize(
    ("changes", "category"),
    [
        ({}, "compute"),
        ({"ServiceProviderName": "Example Software Ltd", "ServiceName": "Log shipper"}, "marketplace"),
        ({"ServiceProviderName": "Example Software Ltd", "InvoiceIssuerName": "Example Software Ltd", "ServiceName": "Logs",
          "SkuMeter": "host"}, "managed_services"),
    ],
)  # fmt: skip
def test_the_service_provider_tells_marketplace_from_aws(tmp_path: Path, changes: dict[str, str], category: str) -> None:
    period = only(load(focus(tmp_path / "a.csv", [{**ROW, **changes}])))
    assert [name for name, _ in period.by_category] == [category]
