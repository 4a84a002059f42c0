"""Athena groups the rows and the import gives what it gives for the rows themselves; boto3 talks to moto's server."""

from __future__ import annotations

import csv
import json
import urllib.request
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from moto.server import ThreadedMotoServer

from athena_engine import Engine
from bill_rows import RI, SP, line, load, near, only, row, write
from models.bill import BillPeriod, BillReport
from models.errors import BillingFormatError
from simulator.cli import group
from simulator.ingest import athena_sql, aws_lines
from simulator.ingest.athena import Address, Clients, fetch
from simulator.ingest.athena_sql import CatalogTable
from simulator.ingest.formats import Options
from simulator.ingest.tabular import letters

BILL = "athena://cur.bill/2025-01"


def same(period: BillPeriod) -> dict[str, Any]:
    """Everything that is said of a period but for where it came from."""
    return {field.name: getattr(period, field.name) for field in fields(period) if field.name != "place"}


def through_athena(engine: Engine, folder: Path, address: str = BILL) -> BillReport:
    return load(fetch(address, folder, engine.clients()))


def parquet(file: Path) -> str:
    return f"read_parquet('{file}', hive_partitioning=false)"


@pytest.mark.shared_data
@pytest.mark.parametrize(("month", "period"), [("Oct", "2018-10"), ("Nov", "2018-11")])
def test_a_real_month_comes_out_as_from_its_own_file(month: str, period: str, shared_data: Path, tmp_path: Path) -> None:
    file = shared_data / f"billing/aws-cur-2018-workshop/{month}2018-WorkshopCUR-00001.snappy.parquet"
    grouped = only(through_athena(Engine(parquet(file)), tmp_path, f"athena://cur.bill/{period}"))
    assert same(grouped) == same(only(load(file)))
    assert near(grouped.amortised, {"Oct": 4195.957109, "Nov": 3632.559846}[month])
    assert grouped.rows_in == grouped.rows_used + grouped.rows_explained == {"Oct": 119_307, "Nov": 124_340}[month]


@pytest.fixture(scope="module")
def companies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two days of the generated company with maps, net columns and split rows."""
    found = {}
    for extra in ("edp-net", "edp-map", "split"):
        out = tmp_path_factory.mktemp("athena") / extra
        assert CliRunner().invoke(group, ["sample", "--out", str(out), "--days", "2", "--with", extra]).exit_code == 0
        found[extra] = next((out / "bill/cur2").rglob("*.parquet"))
    return found


@pytest.mark.parametrize("extra", ["edp-net", "edp-map", "split"])
def test_cur2_with_maps_comes_out_as_from_its_own_file(extra: str, companies: dict[str, Path], tmp_path: Path) -> None:
    file = companies[extra]
    engine = Engine(parquet(file))
    grouped = only(through_athena(engine, tmp_path))
    assert same(grouped) == same(only(load(file)))
    assert grouped.format == "aws_cur2"
    assert grouped.tag_key == "environment"
    assert len(grouped.worker_hours_by_tag) >= 1
    assert ["UNNEST(map_keys(" in query for query in engine.asked] == [True, False, False]


def test_tags_as_json_text_are_read_and_the_partition_is_asked_for(companies: dict[str, Path], tmp_path: Path) -> None:
    texts = "CAST(to_json(resource_tags) AS VARCHAR) AS resource_tags, CAST(to_json(discount) AS VARCHAR) AS discount"
    relation = f"(SELECT * REPLACE ({texts}), '2025-01' AS billing_period FROM {parquet(companies['edp-map'])})"
    engine = Engine(relation, ("billing_period",))
    assert same(only(through_athena(engine, tmp_path))) == same(only(load(companies["edp-map"])))
    assert all(query.count("\"billing_period\" = '2025-01'") == 1 for query in engine.asked)


ROWS = [
    row(lineItem__UnblendedCost="0.192", resourceTags__user_Team="web", resourceTags__user_Name="n1"),
    row(lineItem__UsageType="APN2-SpotUsage:c5.large", lineItem__UnblendedCost="1.81E-2", pricing__publicOnDemandCost="0"),
    row(lineItem__ProductCode="AmazonS3", lineItem__UsageType="TimedStorage", lineItem__UnblendedCost="3", resourceTags__user_Team="web"),
    row(lineItem__ProductCode="AmazonS3", lineItem__UsageType="TimedStorage", lineItem__UnblendedCost="4", resourceTags__user_Name="x"),
    row(lineItem__ProductCode="AmazonS3", lineItem__UsageType="TimedStorage", lineItem__UnblendedCost="5"),
    line("SavingsPlanCoveredUsage", "1.5", savingsPlan__SavingsPlanARN=SP, savingsPlan__SavingsPlanEffectiveCost="1.0"),
    line("SavingsPlanNegation", "-1.5", savingsPlan__SavingsPlanARN=SP),
    line("SavingsPlanRecurringFee", "1.2", savingsPlan__SavingsPlanARN=SP, lineItem__UsageType="ComputeSP:1yrNoUpfront",
         savingsPlan__TotalCommitmentToDate="1.2", savingsPlan__UsedCommitment="1.0"),
    line("DiscountedUsage", "0", reservation__ReservationARN=RI, reservation__EffectiveCost="0.4"),
    line("RIFee", "0.5", reservation__ReservationARN=RI, lineItem__UsageType="HeavyUsage:m5.large",
         reservation__UnusedRecurringFee="0.1", reservation__UnusedAmortizedUpfrontFeeForBillingPeriod="0"),
    line("Refund", "-7", lineItem__LineItemDescription="Refund for one-time fee for Savings Plan ID abc", bill__InvoiceId=""),
    line("Credit", "-2", lineItem__LineItemDescription="MAP"),
    line("Tax", "0.8", lineItem__UsageEndDate="2025-02-01T00:00:00Z", lineItem__ProductCode="AmazonEC2"),
    line("NewKind", "0.3"),
]  # fmt: skip


def text_table(path: Path) -> str:
    """The csv file as a table of texts, as Athena's csv reader gives it."""
    return f"(SELECT * FROM read_csv('{path}', header=true, all_varchar=true, quote='\"'))"


def test_a_table_of_texts_with_every_kind_of_line_comes_out_alike(tmp_path: Path) -> None:
    file = write(tmp_path / "bill.csv", ROWS)
    grouped = only(through_athena(Engine(text_table(file)), tmp_path / "answer"))
    assert same(grouped) == same(only(load(file)))
    assert grouped.rows_in == len(ROWS)
    assert near(grouped.unused_commitment, 0.2 + 0.1)
    assert near(grouped.untagged_share, 1 - 2 / len(ROWS))
    assert near(grouped.bare_share, 1 - 3 / len(ROWS))


COSTS = ("", "0", "0.25", "-0.5", "3", "NULL", "None")
OPTIONAL = (
    *("lineItem/NetUnblendedCost", "savingsPlan/SavingsPlanEffectiveCost", "savingsPlan/TotalCommitmentToDate"),
    *("savingsPlan/UsedCommitment", "savingsPlan/AmortizedUpfrontCommitmentForBillingPeriod", "reservation/EffectiveCost"),
    *("reservation/UnusedRecurringFee", "reservation/NetEffectiveCost", "pricing/publicOnDemandCost", "discount/EdpDiscount"),
)
LINE = st.fixed_dictionaries(
    {
        "lineItem/LineItemType": st.sampled_from(["Usage", "SavingsPlanCoveredUsage", "DiscountedUsage", "RIFee", "Fee", "Credit"]),
        "lineItem/UnblendedCost": st.sampled_from(["0.1", "2", "-1"]),
        "lineItem/UsageType": st.sampled_from(["BoxUsage:m5.large", "DataTransfer-Out-Bytes"]),
        "resourceTags/user:Team": st.sampled_from(["", "web"]),
        "lineItem/UsageEndDate": st.sampled_from(["2025-01-01T01:00:00Z", "2025-01-01T02:00:00Z", "2024-12-31T00:00:00Z"]),
        **{name: st.sampled_from(COSTS) for name in OPTIONAL},
    }
)


@settings(max_examples=8, deadline=None)
@given(lines=st.lists(LINE, min_size=1, max_size=12))
def test_whatever_cells_are_empty_grouped_and_ungrouped_agree(
    lines: list[dict[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("random")
    file = write(folder / "bill.csv", [{**row(), **changes} for changes in lines])
    grouped, plain = through_athena(Engine(text_table(file)), folder / "answer"), load(file)
    assert [same(period) for period in grouped.periods] == [same(period) for period in plain.periods]
    assert len(grouped.refused) == len(plain.refused)


def test_the_query_reads_every_cost_that_the_import_reads() -> None:
    read = {*aws_lines._MONEY_COLUMNS.values(), *(name for name, _ in aws_lines._NET_COLUMNS.values()), "reservation/EffectiveCost"}
    types = {**dict.fromkeys(aws_lines.REQUIRED, "string"), **dict.fromkeys(read, "double")}
    sums = athena_sql.sum_columns(CatalogTable("cur", "bill", types))
    assert {letters(name) for name in read} <= {letters(name) for name in sums}


# ---- the real client against moto's server ----


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    yield f"http://127.0.0.1:{server._server.port}"  # type: ignore[union-attr]
    server.stop()


@pytest.fixture
def aws(moto: str, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in {
        "AWS_ENDPOINT_URL": moto, "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": "us-east-1",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    urllib.request.urlopen(urllib.request.Request(f"{moto}/moto-api/reset", b"")).close()
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket="answers")
    s3.close()
    return moto


def prepare(address: str, engine: Engine) -> list[str]:
    """Put the table into moto's catalog and queue the engine's answers in the order in which they will be asked for."""
    glue = boto3.client("glue")
    catalog = engine.catalog()
    glue.create_database(DatabaseInput={"Name": "cur"})
    glue.create_table(DatabaseName="cur", TableInput={"Name": "bill", **catalog})
    glue.close()
    columns = [*catalog["StorageDescriptor"]["Columns"], *catalog["PartitionKeys"]]
    table = CatalogTable("cur", "bill", {column["Name"]: column["Type"] for column in columns}, frozenset(engine.partitions))
    asked, results = [], []
    if keys := athena_sql.tag_keys_query(table, "2025-01"):
        asked.append(keys)
        table = replace(table, tag_keys=tuple(row[0] for row in engine.run(keys)[1]))
    asked += [str(athena_sql.repeats_query(table, "2025-01")), athena_sql.grouping_query(table, "2025-01", Options())]
    for query in asked:
        header, rows = engine.run(query)
        cells = [[{"VarCharValue": str(cell)} if cell is not None else {} for cell in values] for values in [header, *rows]]
        results.append({"rows": [{"Data": cell} for cell in cells], "column_info": []})
    body = json.dumps({"results": results}).encode()
    request = urllib.request.Request(f"{address}/moto-api/static/athena/query-results", body, {"Content-Type": "application/json"})
    urllib.request.urlopen(request).close()
    return asked


@pytest.mark.parametrize("query", ["?output=s3://answers/here", ""])  # through S3, and page by page where Athena keeps the answer
def test_boto3_runs_the_queries_and_takes_their_answers(query: str, aws: str, companies: dict[str, Path], tmp_path: Path) -> None:
    asked = prepare(aws, Engine(parquet(companies["edp-net"])))
    store = tmp_path / "store.duckdb"
    done = CliRunner().invoke(group, ["bill", BILL + query, "--store", str(store), "--json"])
    assert done.exit_code == 0, done.output
    (period,) = json.loads(done.stdout)["periods"]
    plain = only(load(companies["edp-net"]))
    assert period["rows_in"] == period["rows_used"] + period["rows_explained"] == plain.rows_in
    assert period["amortised_usd"] == pytest.approx(float(plain.amortised), abs=1e-6)  # type: ignore[arg-type]
    assert period["place"] == BILL + query
    athena, s3 = boto3.client("athena"), boto3.client("s3")
    ran = athena.list_query_executions()["QueryExecutionIds"]
    assert [athena.get_query_execution(QueryExecutionId=name)["QueryExecution"]["Query"] for name in ran] == asked
    assert s3.list_objects_v2(Bucket="answers")["KeyCount"] == (3 if query else 0)
    athena.close()
    s3.close()


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("athena://cur.bill", "no billing period: none"),
        ("athena://cur.bill/January", "no billing period: January"),
        ("athena://cur.bill/2025-13", "no billing period: 2025-13"),
        ("athena://a.b.c/2025-01", "no Athena address"),
        ("athena://cur.bill/2025-01?out=s3://x", "unknown option out"),
        ("athena://cur.bill/2025-01?output=/x", "output '/x' is no S3 address"),
        (BILL, "no such table"),
    ],
)
def test_wrong_addresses_are_refused(address: str, found: str, aws: str) -> None:
    (refusal,) = load(address).refused
    assert found in refusal.found


def test_an_address_names_database_table_period_and_where_answers_go() -> None:
    assert Address.parse("athena://bill/2025-01/") == Address("default", "bill", "2025-01")
    assert Address.parse(BILL + "?workgroup=w&output=s3://b/p") == Address("cur", "bill", "2025-01", "w", "s3://b/p")


# ---- faults ----


def refusal(engine: Engine, tmp_path: Path, **calls: Any) -> str:
    """What an import says when `calls` replace those of Athena, Glue or S3."""
    good = engine.clients()
    parts = {name: SimpleNamespace(**{**vars(getattr(good, name)), **calls.get(name, {})}) for name in ("glue", "athena", "s3")}
    with pytest.raises(BillingFormatError) as caught:
        fetch(BILL, tmp_path / "answer", Clients(**parts, sleep=lambda _: None))
    return str(caught.value)


def refuses(operation: str, code: str, message: str) -> Any:
    def call(*_: Any, **__: Any) -> None:
        raise ClientError({"Error": {"Code": code, "Message": message}}, operation)

    return call


@pytest.fixture
def small(tmp_path: Path) -> Engine:
    return Engine(text_table(write(tmp_path / "bill.csv", ROWS)))


def test_a_failed_query_gives_its_reason(small: Engine, tmp_path: Path) -> None:
    status = {"State": "FAILED", "StateChangeReason": "HIVE_BAD_DATA: Field cost's type DOUBLE in parquet"}
    failed = {"get_query_execution": lambda **_: {"QueryExecution": {"Status": status}}}
    assert "a query that failed: HIVE_BAD_DATA" in refusal(small, tmp_path, athena=failed)


def test_missing_permissions_are_named(small: Engine, tmp_path: Path) -> None:
    no_table = refuses("GetTable", "AccessDeniedException", "not authorized to perform: glue:GetTable")
    assert "GetTable refused (AccessDeniedException)" in refusal(small, tmp_path, glue={"get_table": no_table})
    no_query = refuses("StartQueryExecution", "AccessDeniedException", "not authorized")
    assert "StartQueryExecution refused" in refusal(small, tmp_path, athena={"start_query_execution": no_query})
    no_place = refuses("StartQueryExecution", "InvalidRequestException", "No output location provided.")
    assert "add ?output=s3://bucket/prefix" in refusal(small, tmp_path, athena={"start_query_execution": no_place})


def test_without_a_region_the_import_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    (told,) = load(BILL).refused
    assert "NoRegionError" in told.found


def test_a_query_is_waited_for_with_growing_pauses(small: Engine, tmp_path: Path) -> None:
    states, waits = ["QUEUED"] + ["RUNNING"] * 7, []
    good = small.clients()

    def look(**request: Any) -> dict[str, Any]:
        return {"QueryExecution": {"Status": {"State": states.pop(0)}}} if states else good.athena.get_query_execution(**request)

    athena = SimpleNamespace(**{**vars(good.athena), "get_query_execution": look})
    fetch(BILL, tmp_path / "answer", Clients(good.glue, athena, good.s3, waits.append))
    assert waits == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0]


def test_a_stopped_import_stops_its_query(small: Engine, tmp_path: Path) -> None:
    stopped: list[str] = []

    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    running = {"QueryExecution": {"Status": {"State": "RUNNING"}}}
    good = small.clients()
    athena = SimpleNamespace(
        start_query_execution=good.athena.start_query_execution,
        get_query_execution=lambda **_: running,
        stop_query_execution=lambda *, QueryExecutionId: stopped.append(QueryExecutionId),
    )
    with pytest.raises(KeyboardInterrupt):
        fetch(BILL, tmp_path / "answer", Clients(good.glue, athena, good.s3, interrupted))
    assert stopped == ["q0"]


def test_answers_that_s3_does_not_give_are_read_page_by_page(small: Engine, tmp_path: Path) -> None:
    good = small.clients()

    def page(*, QueryExecutionId: str, MaxResults: int, NextToken: str = "0") -> dict[str, Any]:
        assert MaxResults == 1000
        good.s3.download_file("answers", QueryExecutionId, str(tmp_path / "whole.csv"))
        with (tmp_path / "whole.csv").open(encoding="utf-8", newline="") as stream:
            rows = list(csv.reader(stream))
        at = int(NextToken)
        told = [{"Data": [{"VarCharValue": cell} if cell else {} for cell in values]} for values in rows[at : at + 3]]
        return {"ResultSet": {"Rows": told}, **({"NextToken": str(at + 3)} if at + 3 < len(rows) else {})}

    athena = SimpleNamespace(**vars(good.athena), get_query_results=page)
    denied = SimpleNamespace(download_file=refuses("HeadObject", "403", "Forbidden"))
    period = only(load(fetch(BILL, tmp_path / "answer", Clients(good.glue, athena, denied, lambda _: None))))
    assert same(period) == same(only(load(tmp_path / "bill.csv")))


def test_a_table_that_is_no_bill_names_the_columns_it_lacks(tmp_path: Path) -> None:
    assert "a table without bill/BillingPeriodStartDate" in refusal(Engine("(SELECT 1 AS line_item_usage_amount)"), tmp_path)


def test_a_doubled_table_an_empty_month_and_costs_that_are_no_number_are_refused(tmp_path: Path) -> None:
    file = write(tmp_path / "twice.csv", ROWS)
    twice = text_table(file)
    assert f"{len(ROWS)} line items given twice" in refusal(Engine(f"(FROM {twice} UNION ALL FROM {twice})"), tmp_path)
    assert "no rows of this period" in refusal(Engine(f"(FROM {twice} WHERE false)"), tmp_path)
    bad = write(tmp_path / "bad.csv", [row(), row(lineItem__UnblendedCost="convertible"), row(lineItem__UsageAmount="1,5")])
    assert "2 rows whose cost or amount is no number" in refusal(Engine(text_table(bad)), tmp_path)


def test_a_partition_with_rows_of_another_month_is_refused(tmp_path: Path) -> None:
    file = write(tmp_path / "bill.csv", [row(), row(bill__BillingPeriodStartDate="2024-12-01T00:00:00Z")])
    engine = Engine(f"(SELECT *, '2025' AS year, '1' AS month FROM {text_table(file)})", ("year", "month"))
    assert "rows of 2024-12 in the partition of 2025-01" in refusal(engine, tmp_path)


def test_a_row_without_its_period_is_refused_not_left_out(tmp_path: Path) -> None:
    file = write(tmp_path / "bill.csv", [row(), row(bill__BillingPeriodStartDate="")])
    (told,) = through_athena(Engine(text_table(file)), tmp_path / "answer").refused
    assert told.found == "no billing period (1 rows)"


def test_a_table_without_amortisation_columns_says_what_it_cannot_tell(tmp_path: Path) -> None:
    covered = [line("SavingsPlanCoveredUsage", "1.5"), line("SavingsPlanNegation", "-1.5")]
    file = write(tmp_path / "bill.csv", covered)
    grouped = only(through_athena(Engine(text_table(file)), tmp_path / "answer"))
    assert grouped.amortised == only(load(file)).amortised
    assert "1 rows lack the columns" in str(grouped.amortised)
