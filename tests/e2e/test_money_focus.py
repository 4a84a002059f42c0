"""The FOCUS ledger keeps the column and value rules of the specification, and the project's own bill import reconciles it."""

from __future__ import annotations

import csv
import json
import re
from decimal import Decimal

import pytest
from click.testing import CliRunner

from money_builders import shipped_case
from simulator.cli import group
from simulator.finance.focus import write_ledger
from simulator.finance.ledger import ledger
from simulator.finance.report import finance_report
from simulator.ingest.focus_columns import COLUMNS_1_2
from simulator.ingest.focus_rules import check_focus
from simulator.planner.recommend import nodes_at_arrival, recommend

NEVER_NULL = [
    "BilledCost",
    "BillingAccountId",
    "BillingAccountName",
    "BillingAccountType",
    "BillingCurrency",
    "BillingPeriodEnd",
    "BillingPeriodStart",
    "ChargeCategory",
    "ChargeDescription",
    "ChargeFrequency",
    "ChargePeriodEnd",
    "ChargePeriodStart",
    "ContractedCost",
    "ContractedUnitPrice",
    "EffectiveCost",
    "InvoiceIssuerName",
    "ListCost",
    "ListUnitPrice",
    "PricingCategory",
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
    "SkuPriceId",
    "SubAccountId",
    "SubAccountType",
]
NUMBERS = [name for name in COLUMNS_1_2 if name.endswith(("Cost", "Price", "Quantity"))]
SUBCATEGORIES = {
    "Compute": {"Containers", "End User Computing", "Quantum Compute", "Serverless Compute", "Virtual Machines", "Other (Compute)"},
    "Networking": {
        "Application Networking", "Content Delivery", "Network Connectivity", "Network Infrastructure", "Network Routing",
        "Network Security", "Other (Networking)",
    },
    "Storage": {"Backup Storage", "Block Storage", "File Storage", "Object Storage", "Storage Platform", "Other (Storage)"},
    "Migration": {"Data Migration", "Resource Migration", "Other (Migration)"},
    "Other": {"Other (Other)"},
}  # fmt: skip


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    parameters = shipped_case().scenario.parameters
    case = shipped_case(
        demand__growth_share_per_year=0.1,
        parameters=parameters
        | {
            "aws_committed_usd_per_h": 40,
            "aws_commitment_months_left": 18,
            "direct_connect_ports": 2,
            "egress_gb_per_burst_node_h": 1,
            "migration_usd_per_node": 500,
            "residual_share": 0.1,
        },
    )
    advice = recommend(case)
    curve = advice.screening.curve(case.demand.size)
    report = finance_report(case, advice.recommendation.by_zone, advice.steps, curve, nodes_at_arrival)
    path = tmp_path_factory.mktemp("focus") / "focus.csv"
    write_ledger(path, ledger(report), case)
    return path, report


@pytest.fixture(scope="module")
def rows(written):
    with written[0].open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_all_57_columns_of_1_2_in_the_order_of_the_specification(written):
    header = written[0].read_text(encoding="utf-8").splitlines()[0].split(",")
    assert tuple(header) == COLUMNS_1_2
    assert len(header) == 57


def test_the_rule_check_of_the_ledger_writer_finds_nothing(written):
    assert check_focus(written[0]) == []


def test_columns_that_may_not_be_null_are_filled(rows):
    assert not [(name, row["ChargeDescription"]) for row in rows for name in NEVER_NULL if row[name] == ""]


def test_allowed_values(rows):
    assert {row["ChargeCategory"] for row in rows} == {"Usage", "Purchase"}
    assert {row["ChargeFrequency"] for row in rows} == {"One-Time", "Recurring", "Usage-Based"}
    assert {row["PricingCategory"] for row in rows} == {"Standard"}
    assert all(row["ServiceSubcategory"] in SUBCATEGORIES[row["ServiceCategory"]] for row in rows)
    assert {row["BillingCurrency"] for row in rows} == {"USD"}


def test_numbers_are_plain_decimals_and_times_are_utc(rows):
    number, stamp = re.compile(r"-?\d+(\.\d+)?"), re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
    assert all(number.fullmatch(row[name]) for row in rows for name in NUMBERS if row[name])
    assert all(stamp.fullmatch(row[name]) for row in rows for name in row if name.endswith(("PeriodStart", "PeriodEnd")))
    assert all(row["ChargePeriodStart"] < row["ChargePeriodEnd"] for row in rows)


def test_purchases_consume_nothing_and_are_not_usage_based(rows):
    bought = [row for row in rows if row["ChargeCategory"] == "Purchase"]
    assert bought
    assert all(row["ConsumedQuantity"] == row["ConsumedUnit"] == "" for row in bought)
    assert all(row["ChargeFrequency"] == "One-Time" for row in bought)
    assert all(Decimal(row["EffectiveCost"]) == 0 < Decimal(row["BilledCost"]) for row in bought)
    assert all(row["ConsumedQuantity"] for row in rows if row["ChargeCategory"] == "Usage")


def test_costs_are_unit_price_times_pricing_quantity(rows):
    for row in rows:
        for cost, price in (("ListCost", "ListUnitPrice"), ("ContractedCost", "ContractedUnitPrice")):
            assert abs(Decimal(row[cost]) - Decimal(row[price]) * Decimal(row["PricingQuantity"])) <= Decimal("0.000001")
        assert Decimal(row["ContractedCost"]) <= Decimal(row["ListCost"])


def test_aws_rows_show_the_commitment_discount_between_list_and_contracted(rows):
    burst = [row for row in rows if row["ServiceName"] == "AmazonEC2"]
    assert {row["ListUnitPrice"] for row in burst} == {"0.944"}
    assert {row["ContractedUnitPrice"] for row in burst} == {"0.67968"}
    assert all(row["BilledCost"] == row["EffectiveCost"] == row["ContractedCost"] for row in burst)


def test_unused_commitment_is_shown_as_a_row_of_its_own(rows):
    lost = [row for row in rows if row["ServiceName"] == "ComputeSavingsPlans"]
    assert len(lost) == 18
    assert all(Decimal(row["BilledCost"]) > 0 for row in lost)


def test_one_resource_is_spread_to_its_price_less_the_residual(rows):
    server = [row for row in rows if row["ResourceName"] == "worker server c64m512"]
    first = next(row for row in server if row["ChargeCategory"] == "Purchase")
    monthly = next(row for row in server if row["ChargeCategory"] == "Usage")
    assert Decimal(monthly["EffectiveCost"]) * 60 == pytest.approx(Decimal(first["BilledCost"]) * Decimal("0.9"))
    assert monthly["ChargeDescription"].endswith("depreciation")


def test_own_bill_import_reads_every_row_and_the_identity_holds(written, rows):
    result = CliRunner().invoke(group, ["bill", str(written[0]), "--json"])
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["refused"] == []
    assert sum(period["rows_in"] for period in document["periods"]) == len(rows)
    assert all(period["rows_in"] == period["rows_used"] + period["rows_explained"] for period in document["periods"])
    assert max(abs(period["identity_error_usd"]) for period in document["periods"]) <= 1e-5
    billed = sum(Decimal(row["BilledCost"]) for row in rows)
    assert sum(period["unblended_usd"] for period in document["periods"]) == pytest.approx(float(billed), abs=1e-3)
    burst = sum(Decimal(row["ConsumedQuantity"]) for row in rows if row["ServiceName"] == "AmazonEC2")
    assert sum(period["worker_hours"] for period in document["periods"]) == pytest.approx(float(burst))
