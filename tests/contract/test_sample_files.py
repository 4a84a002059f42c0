"""The generated files, read by others: duckdb, prometheus_client, the project's own importers, and byte by byte."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest
from prometheus_client.parser import text_string_to_metric_families

from models.errors import InputError
from simulator.demand.profile import demand_from_usage
from simulator.engine.kube.objects_reader import read_files
from simulator.ingest.bills import import_bills
from simulator.ingest.store import open_store
from simulator.ingest.synthetic import cur2, focus
from simulator.ingest.synthetic.company import Company, Extra, usage_history, workers
from simulator.ingest.synthetic.files import EXPORT, write_company
from simulator.ingest.usage_file import read_usage_file

SAMPLE = Path(__file__).resolve().parents[2] / "data" / "samples" / "company-3-days"
HOURS = 72
# effective cost of every line type, as AWS documents them; an independent statement of what the importer must find
AMORTISED = """
    CASE line_item_line_item_type
        WHEN 'SavingsPlanCoveredUsage' THEN savings_plan_savings_plan_effective_cost
        WHEN 'SavingsPlanNegation' THEN 0
        WHEN 'SavingsPlanRecurringFee' THEN savings_plan_total_commitment_to_date - savings_plan_used_commitment
        WHEN 'SavingsPlanUpfrontFee' THEN 0
        WHEN 'DiscountedUsage' THEN reservation_effective_cost
        WHEN 'RIFee' THEN reservation_unused_amortized_upfront_fee_for_billing_period + reservation_unused_recurring_fee
        WHEN 'Fee' THEN CASE WHEN reservation_reservation_a_r_n IS NULL THEN line_item_unblended_cost ELSE 0 END
        ELSE line_item_unblended_cost END"""


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("plain"), frozenset())


def written(out: Path, extras: frozenset[Extra], hours: int = HOURS) -> Path:
    write_company(out, Company(hours=hours, extras=extras))
    return out


def rows(folder: Path, kind: str, sql: str) -> tuple[float, ...]:
    files = folder / "bill" / kind / "data" / "*" / EXPORT
    with duckdb.connect() as connection:
        found = connection.execute(f"SELECT {sql} FROM read_parquet('{files}', hive_partitioning = false)").fetchone()
    assert found is not None
    return found


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_same_seed_gives_the_same_bytes(plain: Path, tmp_path: Path) -> None:
    assert digests(written(tmp_path / "again", frozenset())) == digests(plain)


def test_the_manifest_lists_every_file_with_its_hash(plain: Path) -> None:
    listed = {entry["path"]: entry["sha256"] for entry in json.loads((plain / "manifest.json").read_text())["files"]}
    found = digests(plain)
    found.pop("manifest.json")
    assert listed == found


def test_the_committed_sample_is_what_the_generator_writes(plain: Path) -> None:
    committed = sorted(path.relative_to(SAMPLE) for path in SAMPLE.rglob("*") if path.is_file())
    assert committed == sorted(path.relative_to(plain) for path in plain.rglob("*") if path.is_file())
    for path in committed:
        if path.suffix == ".parquet":  # another version of the parquet library may compress otherwise
            assert pq.read_table(SAMPLE / path, partitioning=None).equals(pq.read_table(plain / path, partitioning=None)), path
        elif path.name != "manifest.json":
            assert (SAMPLE / path).read_bytes() == (plain / path).read_bytes(), path


def test_a_shorter_sample_leaves_no_month_of_a_longer_one_behind(tmp_path: Path) -> None:
    written(tmp_path / "out", frozenset(), hours=700)
    written(tmp_path / "out", frozenset())
    assert len(list((tmp_path / "out").rglob("*.snappy.parquet"))) == 2


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(InputError, match="holds other files"):
        written(tmp_path, frozenset())
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_a_folder_that_cannot_be_made_is_one_clear_problem(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="Not a directory; give a folder that can be written"):
        written(tmp_path / "file" / "out", frozenset())


@pytest.mark.parametrize("text", ['{"files": [{"path": "../letter.txt"}]}', "[]", "nonsense"])
def test_a_foreign_manifest_deletes_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "letter.txt").write_text("mine")
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "manifest.json").write_text(text)
    with pytest.raises(InputError, match="new folder"):
        written(folder, frozenset())
    assert (tmp_path / "letter.txt").read_text() == "mine"


def test_cur2_has_the_columns_of_a_real_export(plain: Path) -> None:
    names = {field.name for field in cur2.SCHEMA}
    assert len(names) == 125
    assert {"resource_tags", "product", "discount", "cost_category", "bill_payer_account_name", "line_item_usage_account_name"} <= names
    assert sum(name.startswith("savings_plan_") for name in names) == 17
    assert sum(name.startswith("reservation_") for name in names) == 27
    assert sum(name.startswith("split_line_item_") for name in names) == 11
    kinds = {str(field.type) for field in cur2.SCHEMA if field.name in ("resource_tags", "product", "cost_category")}
    assert kinds == {"map<string, string>"}


def test_focus_has_57_columns_of_the_specification_and_three_of_aws() -> None:
    own = [field.name for field in focus.SCHEMA if field.name.startswith("x_")]
    assert (len(focus.SCHEMA) - len(own), own) == (57, ["x_Discounts", "x_Operation", "x_ServiceCode"])


def test_both_formats_state_the_same_charges(plain: Path) -> None:
    unblended, amortised = rows(plain, "cur2", f"sum(line_item_unblended_cost), sum({AMORTISED})")
    billed, effective = rows(plain, "focus", "sum(BilledCost), sum(EffectiveCost)")
    assert billed == pytest.approx(unblended, abs=1e-6)
    assert effective == pytest.approx(amortised, abs=1e-6)


def test_reconciliation_identity_in_the_written_file(plain: Path) -> None:
    (difference,) = rows(plain, "cur2", f"sum({AMORTISED}) - sum(line_item_unblended_cost)")
    (bought,) = rows(
        plain, "cur2",
        "sum(line_item_unblended_cost) FILTER (line_item_line_item_type = 'SavingsPlanUpfrontFee' "
        "OR (line_item_line_item_type = 'Fee' AND reservation_reservation_a_r_n IS NOT NULL))",
    )  # fmt: skip
    (spread,) = rows(
        plain, "cur2",
        "sum(coalesce(savings_plan_amortized_upfront_commitment_for_billing_period, 0) "
        "+ coalesce(reservation_amortized_upfront_fee_for_billing_period, 0))",
    )  # fmt: skip
    assert difference == pytest.approx(spread - bought, abs=0.005)


def test_a_line_id_is_unique_with_its_time_interval(plain: Path) -> None:
    count, distinct = rows(plain, "cur2", "count(*), count(DISTINCT identity_line_item_id || identity_time_interval)")
    assert count == distinct


def test_spot_rows_look_like_real_ones(plain: Path) -> None:
    found = rows(
        plain, "cur2",
        "count(*) FILTER (line_item_usage_type LIKE '%SpotUsage%'), "
        "count(*) FILTER (line_item_usage_type LIKE '%SpotUsage%' "
        "AND (product_instance_type IS NOT NULL OR pricing_public_on_demand_cost <> 0))",
    )  # fmt: skip
    assert found[0] > 0
    assert found[1] == 0


def test_focus_commitments_are_used_or_unused(plain: Path) -> None:
    # per commitment over the hours shown: usage (used + unused) = recurring purchases + the upfront part of the same hours
    used, unused, recurring = rows(
        plain, "focus",
        "sum(EffectiveCost) FILTER (CommitmentDiscountStatus = 'Used'), sum(EffectiveCost) FILTER (CommitmentDiscountStatus = 'Unused'), "
        "sum(BilledCost) FILTER (ChargeCategory = 'Purchase' AND ChargeFrequency = 'Recurring' AND CommitmentDiscountId IS NOT NULL)",
    )  # fmt: skip
    assert used + unused == pytest.approx(2 * recurring)  # half of each commitment was paid upfront


@pytest.mark.parametrize("kind", ["cur2", "focus"])
def test_our_importer_finds_the_generators_totals(plain: Path, kind: str) -> None:
    with open_store(None) as store:
        report = import_bills([plain / "bill" / kind], store)
    assert report.refused == ()
    (period,) = report.periods
    unblended, amortised = rows(plain, "cur2", f"sum(line_item_unblended_cost), sum({AMORTISED})")
    assert float(period.unblended) == pytest.approx(unblended, abs=0.005)
    assert float(period.amortised) == pytest.approx(amortised, abs=0.005)  # type: ignore[arg-type]
    assert period.worker_hours == float(workers(Company(hours=HOURS)).sum())
    assert period.provisional


@pytest.mark.parametrize("form", ["edp-lines", "edp-net", "edp-map"])
def test_three_forms_of_one_enterprise_discount_make_one_invoice(tmp_path: Path, form: Extra) -> None:
    folder = written(tmp_path, frozenset({form}))
    net = {
        "edp-lines": "sum(line_item_unblended_cost)",
        "edp-net": "sum(line_item_net_unblended_cost)",
        "edp-map": "sum(line_item_unblended_cost + coalesce(discount['edp_discount'], 0))",
    }[form]
    gross = "sum(line_item_unblended_cost) FILTER (line_item_line_item_type NOT IN ('EdpDiscount', 'Tax'))"
    (invoice,) = rows(folder, "cur2", net)
    (billed,) = rows(folder, "focus", "sum(BilledCost)")
    assert billed == pytest.approx(invoice, abs=0.02)  # the form of lines rounds each to cents
    (support_credits,) = rows(
        folder, "cur2",
        "sum(line_item_unblended_cost) FILTER (line_item_product_code = 'AWSSupportBusiness' AND line_item_line_item_type = 'Fee' "
        "OR line_item_line_item_type IN ('Credit', 'Refund'))",
    )  # fmt: skip
    (charges,) = rows(folder, "cur2", gross)
    # 5 % off everything but support, credit and refund; then 10 % tax
    assert invoice == pytest.approx((charges - 0.05 * (charges - support_credits)) * 1.10, abs=0.05)


def test_split_rows_are_two_for_each_pod_and_hour(tmp_path: Path) -> None:
    folder = written(tmp_path, frozenset({"split"}), hours=12)
    pods = int(usage_history(Company(hours=12)).pods.sum())
    count, cost, spaces = rows(
        folder, "cur2",
        "count(*) FILTER (line_item_operation = 'EKSPod-EC2'), sum(line_item_unblended_cost) FILTER (line_item_operation = 'EKSPod-EC2'), "
        "count(DISTINCT resource_tags['aws_eks_namespace'])",
    )  # fmt: skip
    assert (count, cost, spaces) == (2 * pods, 0.0, 5)


def test_mixed_currencies_are_never_added(tmp_path: Path) -> None:
    folder = written(tmp_path, frozenset({"mixed-currency", "marketplace"}), hours=12)
    currencies, outside = rows(
        folder, "cur2", "list(DISTINCT line_item_currency_code ORDER BY 1), count(*) FILTER (bill_billing_entity = 'AWS Marketplace')"
    )  # fmt: skip
    assert sorted(currencies) == ["KRW", "USD"]
    assert outside == 2  # the subscription and its tax
    with open_store(None) as store:
        report = import_bills([folder / "bill" / "cur2"], store)
    assert report.periods == ()
    assert "KRW and USD" in report.refused[0].found


def test_usage_file_brings_back_the_same_demand(plain: Path) -> None:
    read = demand_from_usage(read_usage_file(plain / "usage" / "usage.parquet"))
    own = demand_from_usage(usage_history(Company(hours=HOURS)))
    assert read.classes == own.classes
    assert read.horizon == own.horizon
    cpu, memory = read.axes.index("cpu_m"), own.axes.index("memory_mib")
    assert np.array_equal(read.requests[:, :, [cpu, memory]], own.requests[:, :, [cpu, memory]])
    assert [w.users for w in read.workloads] == [200] * 5


def samples(text: str, metric: str) -> Iterator[tuple[dict[str, str], float]]:
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == metric:
                yield sample.labels, sample.value


def test_the_scrape_parses_and_holds_the_first_hours_requests(plain: Path) -> None:
    text = (plain / "usage" / "exposition.prom").read_text()
    requested = [
        value
        for labels, value in samples(text, "kube_pod_container_resource_requests")
        if labels["resource"] == "cpu" and labels["namespace"].startswith("team-") and labels["node"]
    ]
    assert sum(requested) == 300  # 0.06 x 1,000 developers x 5 cores
    assert {labels["label_users"] for labels, _ in samples(text, "kube_namespace_labels")} == {"200"}
    assert sum(value for labels, value in samples(text, "kube_pod_status_phase") if labels["phase"] == "Pending") == 5


def test_the_snapshot_is_what_the_scheduler_reads(plain: Path) -> None:
    objects = read_files([plain / "cluster" / "nodes.yaml", plain / "cluster" / "pods.yaml"])
    assert len(objects.nodes) == 23  # ceil(300 / 13.209)
    assert len(objects.pods) == 60 + 5 + 23
    assert {node.allocatable["cpu"] for node in objects.nodes} == {15_890}  # 16,000 - 110; agents then take 350


@pytest.fixture(scope="module")
def discounted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("discounted"), frozenset({"edp-net", "marketplace"}))


# rules of the FOCUS 1.2 specification, each as a condition that no row may meet
FOCUS_RULES = {
    "mandatory columns are never null": "BilledCost IS NULL OR EffectiveCost IS NULL OR ListCost IS NULL OR ContractedCost IS NULL "
    "OR BillingAccountId IS NULL OR BillingCurrency IS NULL OR ChargeCategory IS NULL OR ChargePeriodStart IS NULL "
    "OR ServiceCategory IS NULL OR ServiceName IS NULL OR ProviderName IS NULL OR InvoiceIssuerName IS NULL",
    "charge category is a known one": "ChargeCategory NOT IN ('Usage', 'Purchase', 'Tax', 'Credit', 'Adjustment')",
    "charge frequency is a known one": "ChargeFrequency NOT IN ('One-Time', 'Recurring', 'Usage-Based')",
    "a purchase is never usage-based": "ChargeCategory = 'Purchase' AND ChargeFrequency = 'Usage-Based'",
    "pricing category goes with usage and purchase": "(PricingCategory IS NULL) = (ChargeCategory IN ('Usage', 'Purchase'))",
    "a sku goes with usage and purchase": "(SkuId IS NULL) = (ChargeCategory IN ('Usage', 'Purchase'))",
    "unit prices go with usage and purchase": "(ListUnitPrice IS NULL) = (ChargeCategory IN ('Usage', 'Purchase'))",
    "list cost is price times quantity": "abs(ListUnitPrice * PricingQuantity - ListCost) > 1e-6",
    "contracted cost is price times quantity": "abs(ContractedUnitPrice * PricingQuantity - ContractedCost) > 1e-6",
    "usage under a commitment is used or unused": "ChargeCategory = 'Usage' "
    "AND (CommitmentDiscountId IS NULL) <> (CommitmentDiscountStatus IS NULL)",
    "only usage has a commitment status": "ChargeCategory <> 'Usage' AND CommitmentDiscountStatus IS NOT NULL",
    "a commitment has a category": "(CommitmentDiscountId IS NULL) <> (CommitmentDiscountCategory IS NULL)",
    "covered usage is billed nothing": "CommitmentDiscountStatus IS NOT NULL AND BilledCost <> 0",
    "a purchase that covers future charges has no effective cost": "ChargeCategory = 'Purchase' "
    "AND CommitmentDiscountId IS NOT NULL AND EffectiveCost <> 0",
    "consumption goes with usage that happened": "ConsumedQuantity IS NOT NULL "
    "AND (ChargeCategory <> 'Usage' OR CommitmentDiscountStatus = 'Unused')",
    "a period ends after it starts": "ChargePeriodEnd <= ChargePeriodStart OR BillingPeriodEnd <= BillingPeriodStart",
    "charges lie in their billing period": "ChargePeriodStart < BillingPeriodStart OR ChargePeriodEnd > BillingPeriodEnd",
}  # fmt: skip


@pytest.mark.parametrize("kind", ["plain", "discounted"])
def test_focus_rows_obey_the_specification(request: pytest.FixtureRequest, kind: str) -> None:
    counts = rows(request.getfixturevalue(kind), "focus", ", ".join(f"count(*) FILTER ({rule})" for rule in FOCUS_RULES.values()))
    assert {name: count for name, count in zip(FOCUS_RULES, counts, strict=True) if count} == {}


def test_negotiated_discount_is_in_the_contracted_cost_and_not_in_the_list_cost(plain: Path, discounted: Path) -> None:
    wanted = "sum(ListCost), sum(ContractedCost)"
    usage = "FILTER (ChargeCategory = 'Usage' AND ServiceName = 'Amazon Elastic Compute Cloud' AND PricingCategory = 'Standard')"
    sql = ", ".join(f"{part} {usage}" for part in wanted.split(", "))
    (listed, contracted), (list_again, discounted_cost) = rows(plain, "focus", sql), rows(discounted, "focus", sql)
    assert listed == pytest.approx(contracted)
    assert list_again == pytest.approx(listed)
    assert discounted_cost == pytest.approx(0.95 * contracted)
