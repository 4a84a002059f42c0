"""How bills arrive: manifests, overwrite and keep-versions layouts, Data Exports, zips, Hive text, CUR 2.0 maps, S3, re-delivery."""

from __future__ import annotations

import gzip
import json
import zipfile
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import boto3
import duckdb
import pytest
from moto.server import ThreadedMotoServer

from bill_rows import line, load, only, row, table, write
from models.errors import BillingFormatError, InputError
from simulator.ingest.bills import import_bills, load_charges, load_periods
from simulator.ingest.currency import load_rates
from simulator.ingest.formats import FORMATS
from simulator.ingest.store import open_store

TWICE = [row(), row(lineItem__UnblendedCost="0.2")]


def snake(name: str) -> str:
    group, _, rest = name.partition("/")
    spaced = "".join("_" + c.lower() if c.isupper() else c for c in f"{group}_{rest[0].lower()}{rest[1:]}")
    return spaced


def parquet(path: Path, rows: list[dict[str, str]], extra: str = "") -> Path:
    """The rows in Athena spelling with typed cost and time columns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    source = path.with_suffix(".csv.tmp")
    source.write_text(table(rows), encoding="utf-8", newline="")
    connection = duckdb.connect()
    names = connection.execute(f"SELECT * FROM read_csv('{source}', all_varchar=true, hive_partitioning=false) LIMIT 0").description
    kinds = {"UnblendedCost": "DOUBLE", "UsageAmount": "DOUBLE", "UsageStartDate": "TIMESTAMP", "UsageEndDate": "TIMESTAMP"}
    casts = [
        f'CAST("{name}" AS {next((kind for end, kind in kinds.items() if name.endswith(end)), "VARCHAR")}) AS {snake(name)}'
        for name, *_ in names
    ]
    select = f"SELECT {', '.join(casts)}{extra} FROM read_csv('{source}', all_varchar=true, hive_partitioning=false)"
    connection.execute(f"COPY ({select}) TO '{path}' (FORMAT parquet)").fetchall()
    source.unlink()
    return path


def test_overwrite_layout_reads_the_parts_beside_the_manifest(tmp_path: Path) -> None:
    home = tmp_path / "cur/20250101-20250201"
    write(home / "cur-1.csv", [TWICE[0]])
    write(home / "cur-2.csv", [{**TWICE[1], "identity/LineItemId": "other"}])
    write(home / "left-over.csv", [row(lineItem__UnblendedCost="99")])
    keys = ["some/prefix/cur/20250101-20250201/cur-1.csv", "some/prefix/cur/20250101-20250201/cur-2.csv"]
    (home / "cur-Manifest.json").write_text(json.dumps({"reportKeys": keys, "billingPeriod": {"start": "20250101"}}), encoding="utf-8")
    report = load(tmp_path)
    assert only(report).unblended == Decimal("0.3")
    assert [Path(path).name for path, _ in report.ignored] == ["left-over.csv"]


def test_data_exports_layout_follows_its_metadata(tmp_path: Path) -> None:
    export = tmp_path / "exports/company"
    for run, cost in (("2025-02-01T00:00:00.000Z-a", "1"), ("2025-02-02T00:00:00.000Z-b", "2")):
        parquet(export / f"data/BILLING_PERIOD=2025-01/{run}/company-00001.snappy.parquet", [row(lineItem__UnblendedCost=cost)])
        folder = export / f"metadata/BILLING_PERIOD=2025-01/{run}"
        folder.mkdir(parents=True)
        files = [f"s3://bucket/exports/company/data/BILLING_PERIOD=2025-01/{run}/company-00001.snappy.parquet"]
        (folder / "company-Manifest.json").write_text(json.dumps({"executionId": run, "dataFiles": files}), encoding="utf-8")
    report = load(tmp_path)
    assert only(report).unblended == 2
    assert len(report.ignored) == 1


def test_a_manifest_of_another_month_than_its_rows_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "cur-1.csv", [row()])
    document = {"reportKeys": ["cur-1.csv"], "billingPeriod": {"start": "20250201T000000.000Z"}}
    (tmp_path / "cur-Manifest.json").write_text(json.dumps(document), encoding="utf-8")
    assert "rows of 2025-01 in a delivery of 2025-02" in load(tmp_path).refused[0].found


@pytest.mark.parametrize("name", ["bill.dat", "bill.parquet", "bill"])
def test_formats_are_told_by_content_not_by_name(tmp_path: Path, name: str) -> None:
    text = table(TWICE).encode()
    (tmp_path / name).write_bytes(gzip.compress(text))
    assert only(load(tmp_path / name)).format == "aws_cur_legacy"
    with zipfile.ZipFile(tmp_path / name, "w") as archive:
        archive.writestr("report-1.csv", text)
    assert only(load(tmp_path / name)).unblended == Decimal("0.3")


def test_legacy_parquet_reads_like_csv(tmp_path: Path) -> None:
    period = only(load(parquet(tmp_path / "a.parquet", TWICE)))
    assert (period.format, period.unblended, period.worker_hours) == ("aws_cur_legacy", Decimal("0.3"), 2)


@pytest.mark.parametrize("delimiter", ["\t", "\x01"])
def test_hive_text_export_with_table_prefix_and_its_nulls(tmp_path: Path, delimiter: str) -> None:
    names = list(row(product__instanceType="\\N"))
    lines = [delimiter.join(f"cur.{snake(name)}" for name in names)]
    lines += [delimiter.join(row(product__instanceType="\\N")[name] for name in names)]
    (tmp_path / "000000_0").write_text("\n".join(lines) + "\n", encoding="utf-8")
    period = only(load(tmp_path / "000000_0"))
    assert period.worker_hours_by_type == (("m5.large", 1.0),)


CUR2_MAPS = {
    "parquet map": ", MAP {'user_team': 'blue', 'aws_createdBy': 'x'} AS resource_tags, MAP {'total_discount': -0.01} AS discount",
    "json text": """, '{"user_team": "blue", "aws_createdBy": "x"}' AS resource_tags, '{"total_discount": -0.01}' AS discount""",
}


@pytest.mark.parametrize("kind", sorted(CUR2_MAPS))
def test_cur2_maps_as_parquet_maps_and_as_json_text(tmp_path: Path, kind: str) -> None:
    period = only(load(parquet(tmp_path / "a.parquet", TWICE, CUR2_MAPS[kind])))
    assert period.format == "aws_cur2"
    assert period.worker_hours_by_tag == (("blue", 2.0),)
    assert (period.discount_form, period.discounts) == ("map", Decimal("-0.02"))


def test_split_cost_rows_are_explained_and_not_counted(tmp_path: Path) -> None:
    pod = row(lineItem__Operation="EKSPod-EC2", lineItem__UsageType="EKS-EC2-vCPU-Hours", splitLineItem__ParentResourceId="i-1")
    period = only(load(write(tmp_path / "a.csv", [row(), pod, pod])))
    assert (period.rows_in, period.rows_used, period.rows_explained) == (3, 1, 2)
    assert (period.unblended, period.worker_hours) == (Decimal("0.1"), 1)


def test_hours_are_summed_whatever_the_number_of_rows(tmp_path: Path) -> None:
    half = row(lineItem__UsageAmount="0.5")
    emr = row(lineItem__ProductCode="ElasticMapReduce")
    heavy = line(
        "RIFee", "0", lineItem__UsageType="HeavyUsage:m5.large", reservation__UnusedRecurringFee="0", reservation__EffectiveCost=""
    )
    spot = row(lineItem__UsageType="APN2-SpotUsage:c5.large")
    period = only(load(write(tmp_path / "a.csv", [half, half, emr, heavy, spot])))
    assert period.worker_hours_by_type == (("c5.large", 1.0), ("m5.large", 1.0))
    assert dict(period.worker_hours_by_option) == {"on_demand": 1.0, "spot": 1.0}


def test_a_delivered_again_period_replaces_the_old_one_whole(tmp_path: Path) -> None:
    store = open_store(None)
    import_bills([write(tmp_path / "first.csv", [row(), row(), row(lineItem__ProductCode="AmazonS3")])], store)
    february = {"bill__BillingPeriodStartDate": "2025-02-01T00:00:00Z", "lineItem__UsageStartDate": "2025-02-01T00:00:00Z"}
    import_bills([write(tmp_path / "other.csv", [row(lineItem__UsageEndDate="2025-02-01T01:00:00Z", **february)])], store)
    import_bills([write(tmp_path / "again.csv", [row(lineItem__UnblendedCost="5")])], store)
    january, after = load_periods(store)
    assert (january.unblended, january.rows_in, after.rows_in) == (5, 1, 1)
    assert load_charges(store).worker_hours.sum() == 2
    assert store.execute("SELECT count(*) FROM bill_source").fetchall() == [(2,)]


def test_the_same_month_in_another_format_replaces_it_too(tmp_path: Path) -> None:
    store = open_store(None)
    import_bills([write(tmp_path / "a.csv", [row()])], store)
    focus = tmp_path / "focus.csv"
    focus.write_text(
        "BilledCost,EffectiveCost,BillingPeriodStart,ChargePeriodStart,ChargePeriodEnd,ChargeCategory,ChargeFrequency,PricingCategory,"
        "BillingCurrency,BillingAccountId\n"
        "7,7,2025-01-01T00:00:00Z,2025-01-01T00:00:00Z,2025-01-01T01:00:00Z,Usage,Usage-Based,Standard,USD,000000000042\n",
        encoding="utf-8",
    )
    import_bills([focus], store)
    (period,) = load_periods(store)
    assert (period.format, period.unblended) == ("focus", 7)


def test_a_refused_delivery_leaves_the_stored_month_as_it_was(tmp_path: Path) -> None:
    store = open_store(None)
    import_bills([write(tmp_path / "a.csv", [row()])], store)
    report = import_bills([write(tmp_path / "b.csv", [row(lineItem__UnblendedCost="x")])], store)
    assert len(report.refused) == 1
    assert [period.unblended for period in load_periods(store)] == [Decimal("0.1")]


def test_dated_rates_convert_and_keep_what_was_billed(tmp_path: Path) -> None:
    rates = tmp_path / "rates.yaml"
    rates.write_text("- {month: 2025-01, from: USD, to: KRW, rate: 1450, source: test}\n", encoding="utf-8")
    store = open_store(None)
    won = row(lineItem__CurrencyCode="KRW", lineItem__UnblendedCost="1450")
    bill = write(tmp_path / "a.csv", [row(lineItem__UnblendedCost="2"), won])
    period = only(import_bills([bill], store, currency="USD", rates=load_rates(rates)))
    assert (period.currency, period.unblended) == ("USD", 3)
    kept = store.execute("SELECT billed_currency, billed::DOUBLE, unblended::DOUBLE FROM bill_line ORDER BY 1").fetchall()
    assert kept == [("KRW", 1450.0, 1.0), ("USD", 2.0, 2.0)]
    in_won = only(import_bills([bill], store, currency="KRW", rates=load_rates(rates)))
    assert (in_won.currency, in_won.unblended) == ("KRW", 4350)


def test_a_month_without_a_rate_is_refused(tmp_path: Path) -> None:
    rates = tmp_path / "rates.yaml"
    rates.write_text("- {month: 2024-12, from: USD, to: KRW, rate: 1450, source: test}\n", encoding="utf-8")
    report = load(write(tmp_path / "a.csv", [row()]), currency="KRW", rates=load_rates(rates))
    assert report.refused[0].found == "no rate from USD to KRW for 2025-01"


@pytest.mark.parametrize("text", ["hello: 1", "- {month: 2025-01, from: USD, to: KRW, rate: -1, source: x}", "- 3", "[unclosed"])
def test_wrong_rate_files_are_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "rates.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(BillingFormatError):
        load_rates(file)


def test_charges_of_bills_in_two_currencies_are_refused(tmp_path: Path) -> None:
    store = open_store(None)
    other = {"bill__PayerAccountId": "7", "lineItem__CurrencyCode": "CNY"}
    import_bills([write(tmp_path / "a.csv", [row()]), write(tmp_path / "b.csv", [row(**other)])], store)
    with pytest.raises(InputError, match="bills in CNY and USD"):
        load_charges(store)


def test_charges_name_their_series(tmp_path: Path) -> None:
    store = open_store(None)
    later = {"lineItem__UsageStartDate": "2025-01-01T02:00:00Z", "lineItem__UsageEndDate": "2025-01-01T03:00:00Z"}
    rows = [row(product__region="us-east-1"), row(lineItem__UsageType="SpotUsage:c5.large", lineItem__UnblendedCost="0.04", **later)]
    import_bills([write(tmp_path / "a.csv", rows)], store)
    charges = load_charges(store)
    assert [(s.instance_type, s.purchase_option, s.region) for s in charges.series] == [
        ("c5.large", "spot", ""),
        ("m5.large", "on_demand", "us-east-1"),
    ]
    assert charges.worker_hours.tolist() == [[0, 1], [0, 0], [1, 0]]
    assert charges.worker_cost.sum() == pytest.approx(0.14)


@pytest.mark.parametrize("name", FORMATS.names())
def test_every_format_keeps_its_family_rules(name: str) -> None:
    form = FORMATS[name]
    derived = form.derive()
    from simulator.ingest.bill_lines import KEY_TYPES, SUM_TYPES

    assert set(derived) >= (set(KEY_TYPES) | set(SUM_TYPES)) - {"rows"}
    assert form.title


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3")
    client.create_bucket(Bucket="bills")
    yield client
    server.stop()


def test_s3_delivery_reads_only_the_newest_assembly(s3: object) -> None:
    def put(key: str, text: str) -> None:
        s3.put_object(Bucket="bills", Key=key, Body=text.encode())  # type: ignore[attr-defined]

    for assembly, cost in (("old", "1"), ("new", "2")):
        put(f"cur/r/20250101-20250201/{assembly}/r-1.csv", table([row(lineItem__UnblendedCost=cost)]))
    keys = ["cur/r/20250101-20250201/new/r-1.csv"]
    put("cur/r/20250101-20250201/r-Manifest.json", json.dumps({"assemblyId": "new", "reportKeys": keys}))
    assert only(load("s3://bills/cur")).unblended == 2
    assert only(load("s3://bills/cur/r/20250101-20250201/old/r-1.csv")).unblended == 1
    report = load("s3://bills/nothing", "s3://elsewhere/cur")
    assert [refusal.found for refusal in report.refused] == ["nothing under this prefix", "a bucket that cannot be read (NoSuchBucket)"]
