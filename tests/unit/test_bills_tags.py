"""Tags and product attributes in every shape a column of them can have, and records that no reader can take."""

from __future__ import annotations

import csv
import gzip
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bill_rows import load, near, only
from simulator.ingest.bills import import_bills, load_charges
from simulator.ingest.store import open_store

FOCUS = {
    "BillingAccountId": "000000000042",
    "BillingCurrency": "USD",
    "BillingPeriodStart": "2026-01-01T00:00:00Z",
    "ChargePeriodStart": "2026-01-05T10:00:00Z",
    "ChargePeriodEnd": "2026-01-05T11:00:00Z",
    "ChargeCategory": "Usage",
    "ChargeFrequency": "Usage-Based",
    "PricingCategory": "Standard",
    "InvoiceId": "INV1",
    "ProviderName": "AWS",
    "ServiceName": "Amazon Elastic Compute Cloud",
    "SkuMeter": "BoxUsage:m5.2xlarge",
    "ConsumedQuantity": "1",
}
TAGS = ({"user:Team": "web", "aws:createdBy": "x"}, {"user:Team": "data"}, {}, None)
COSTS = ("1", "2", "4", "8")
TEXT = pa.string()
PAIRS = [None if tags is None else [{"key": key, "value": value} for key, value in tags.items()] for tags in TAGS]
TITLED = [None if tags is None else [{"Value": value, "Key": key} for key, value in tags.items()] for tags in TAGS]
SHAPES = {
    "map": ([None if tags is None else list(tags.items()) for tags in TAGS], pa.map_(TEXT, TEXT)),
    "struct": (list(TAGS), pa.struct([("user:Team", TEXT), ("aws:createdBy", TEXT)])),
    "pairs": (PAIRS, pa.list_(pa.struct([("key", TEXT), ("value", TEXT)]))),
    "titled pairs": (TITLED, pa.list_(pa.struct([("Value", TEXT), ("Key", TEXT)]))),
    "json text": ([None if tags is None else json.dumps(tags) for tags in TAGS], TEXT),
    "json text of pairs": ([None if pairs is None else json.dumps(pairs) for pairs in PAIRS], TEXT),
    "json text of titled pairs": ([None if pairs is None else json.dumps(pairs) for pairs in TITLED], TEXT),
}


def focus_parquet(path: Path, values: list[Any], kind: pa.DataType) -> Path:
    plain = {name: [value] * len(COSTS) for name, value in FOCUS.items()}
    table = pa.table({**plain, "BilledCost": list(COSTS), "EffectiveCost": list(COSTS), "ListCost": list(COSTS)})
    pq.write_table(table.append_column("Tags", pa.array(values, kind)), path)
    return path


@pytest.mark.parametrize("shape", SHAPES)
def test_focus_tags_of_any_shape_split_worker_hours_and_cost(tmp_path: Path, shape: str) -> None:
    store = open_store(None)
    period = only(import_bills([focus_parquet(tmp_path / "a.parquet", *SHAPES[shape])], store))
    assert dict(period.worker_hours_by_tag) == {"": 2, "data": 1, "web": 1}
    assert near(period.untagged_share, 2 / 4, 1e-12)
    assert period.notes == ()  # its times are text that names their zone
    charges = load_charges(store)
    cost = {one.tag: float(charges.worker_cost[:, n].sum()) for n, one in enumerate(charges.series)}
    assert cost == {"": 4 + 8, "data": 2, "web": 1}


@pytest.mark.parametrize("shape", ["json text", "json text of pairs"])
def test_tags_in_json_text_of_a_csv_file_are_read_alike(tmp_path: Path, shape: str) -> None:
    path = tmp_path / "a.csv.gz"
    with gzip.open(path, "wt", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [*FOCUS, "BilledCost", "EffectiveCost", "Tags"])
        writer.writeheader()
        for cost, tags in zip(COSTS, SHAPES[shape][0], strict=True):
            writer.writerow({**FOCUS, "BilledCost": cost, "EffectiveCost": cost, "Tags": tags or ""})
    assert dict(only(load(path)).worker_hours_by_tag) == {"": 2, "data": 1, "web": 1}


@pytest.mark.parametrize(("values", "kind"), [(["web", "[", '{"team":', "[1, 2]"], TEXT), ([[1], [2], [], None], pa.list_(pa.int64()))])
def test_tags_that_are_none_count_as_untagged_and_the_total_stands(tmp_path: Path, values: list[Any], kind: pa.DataType) -> None:
    period = only(load(focus_parquet(tmp_path / "a.parquet", values, kind)))
    assert period.unblended == Decimal(1 + 2 + 4 + 8)
    assert near(period.bare_share, 1, 1e-12)


def cur2(path: Path, product: Any, kind: pa.DataType | None = None, **more: str) -> Path:
    columns = {
        "bill_billing_period_start_date": "2025-01-01T00:00:00Z",
        "bill_payer_account_id": "1",
        "bill_payer_account_name": "company",
        "line_item_line_item_type": "Usage",
        "line_item_usage_start_date": "2025-01-01T00:00:00Z",
        "line_item_usage_end_date": "2025-01-01T01:00:00Z",
        "line_item_product_code": "AmazonEC2",
        "line_item_usage_type": "SpotUsage",
        "line_item_availability_zone": "eu-west-1c",
        "line_item_usage_amount": "1",
        "line_item_currency_code": "USD",
        "line_item_unblended_cost": "0.5",
        **more,
    }
    table = pa.table({name: [value] for name, value in columns.items()})
    pq.write_table(table.append_column("product", pa.array([product], kind or pa.map_(TEXT, TEXT))), path)
    return path


def worker(path: Path) -> tuple[str, str]:
    store = open_store(None)
    import_bills([path], store)
    (series,) = load_charges(store).series
    return series.region, series.instance_type


ATTRIBUTES = {"region": "eu-central-1", "instance_type": "c6i.large"}


def test_region_and_instance_type_come_from_the_product_map_without_columns_of_their_own(tmp_path: Path) -> None:
    assert worker(cur2(tmp_path / "a.parquet", list(ATTRIBUTES.items()))) == ("eu-central-1", "c6i.large")
    assert worker(cur2(tmp_path / "b.parquet", json.dumps(ATTRIBUTES), TEXT)) == ("eu-central-1", "c6i.large")


def test_own_columns_win_over_the_product_map_and_the_zone_stands_in_for_both(tmp_path: Path) -> None:
    own = {"product_region_code": "us-east-1", "product_instance_type": "r5.large"}
    assert worker(cur2(tmp_path / "a.parquet", list(ATTRIBUTES.items()), **own)) == ("us-east-1", "r5.large")
    assert worker(cur2(tmp_path / "b.parquet", [("vcpu", "2")]))[0] == "eu-west-1"


def test_a_record_too_long_to_read_is_named_by_line_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [*FOCUS, "BilledCost", "EffectiveCost", "ChargeDescription"])
        writer.writeheader()
        for text in ("a", "x" * 3_000_000, "b"):
            writer.writerow({**FOCUS, "BilledCost": "1", "EffectiveCost": "1", "ChargeDescription": text})
    (refusal,) = load(path).refused
    assert (refusal.place, refusal.found) == (f"{path}: line 3", "a record that is longer than 2 MB")
    assert refusal.mend.startswith("close the quote that is left open there, or shorten the text")


def test_parts_of_focus_may_differ_in_the_order_of_columns_and_in_own_columns(tmp_path: Path) -> None:
    first = {**FOCUS, "BilledCost": "1", "EffectiveCost": "1"}
    second = {"x_Own": "a", **dict(reversed([*FOCUS.items()])), "EffectiveCost": "2", "BilledCost": "2"}
    for name, values in (("a.csv", first), ("b.csv", second)):
        (tmp_path / name).write_text(f"{','.join(values)}\n{','.join(values.values())}\n", encoding="utf-8")
    assert only(load(tmp_path)).unblended == 1 + 2
