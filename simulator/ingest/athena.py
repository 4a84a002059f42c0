"""Bills beyond one machine: Athena groups the rows where they lie, the groups are imported like any other bill.

`athena://database.table/2025-01?workgroup=NAME&output=s3://bucket/prefix` names one billing period of a legacy CUR or CUR 2.0
table of the Glue catalog. Only node and commitment rows keep their hours, so the answer is some hundred thousand rows however
large the bill is; `rows_in` counts the rows of the bill, not of the answer. Credentials, region and endpoints come from the
environment, as boto3 finds them; the calls are `glue:GetTable`, `athena:StartQueryExecution`, `GetQueryExecution`,
`GetQueryResults` and `StopQueryExecution`, and `s3:GetObject` on the answers.
"""

from __future__ import annotations

import csv
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import boto3
import duckdb
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from models.errors import BillingFormatError, Problem
from simulator.ingest import athena_sql
from simulator.ingest.athena_sql import CatalogTable
from simulator.ingest.bill_lines import SOURCE_ROWS
from simulator.ingest.formats import Options
from simulator.ingest.store import scratch_connection
from simulator.ingest.tabular import quoted, text_literal

FIRST_WAIT_S, LONGEST_WAIT_S = 0.2, 5.0
_PAGE_ROWS = 1000  # the most that one GetQueryResults gives
_WANTED = "athena://database.table/YYYY-MM"


@dataclass(frozen=True)
class Address:
    """One billing period of a table, and where Athena may put its answers."""

    database: str
    table: str
    period: str
    workgroup: str | None = None
    output: str | None = None

    @classmethod
    def parse(cls, text: str) -> Address:
        """From `athena://database.table/YYYY-MM?workgroup=NAME&output=s3://bucket/prefix`."""
        parts = urlsplit(text)
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        name = re.fullmatch(r"(?:(\w+)\.)?(\w+)", parts.netloc)
        if name is None:
            raise BillingFormatError(Problem(text, "no Athena address", f"write {_WANTED}"))
        if not re.fullmatch(r"/\d{4}-(0[1-9]|1[0-2])/?", parts.path):
            raise BillingFormatError(Problem(text, f"no billing period: {parts.path.strip('/') or 'none'}", f"write {_WANTED}"))
        strange = sorted(set(options) - {"workgroup", "output"})
        if strange:
            raise BillingFormatError(Problem(text, f"unknown option {', '.join(strange)}", "give workgroup and output only"))
        output = options.get("output")
        if output is not None and not re.fullmatch(r"s3://[^/]+(/.*)?", output):
            raise BillingFormatError(Problem(text, f"output {output!r} is no S3 address", "write output=s3://bucket/prefix"))
        return cls(name[1] or "default", name[2], parts.path.strip("/"), options.get("workgroup"), output)

    @property
    def place(self) -> str:
        """How messages name it."""
        return f"athena: {self.database}.{self.table}, {self.period}"


def _client(service: str) -> Any:
    return boto3.client(service, config=Config(retries={"mode": "standard", "max_attempts": 8}))


@dataclass(frozen=True)
class Clients:
    """The three boto3 clients, and how to wait between two looks at a query."""

    glue: Any = field(default_factory=lambda: _client("glue"))
    athena: Any = field(default_factory=lambda: _client("athena"))
    s3: Any = field(default_factory=lambda: _client("s3"))
    sleep: Callable[[float], None] = time.sleep


def fetch(text: str, folder: Path, clients: Clients | None = None, options: Options | None = None) -> Path:
    """Group one period in Athena and keep the answer as one parquet file in `folder`.

    Raises `BillingFormatError` for a wrong address, a table that is no bill, refused or failed queries, a period without
    rows, and rows that cannot be read or come twice.
    """
    address, chosen = Address.parse(text), options or Options()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        session = _Session(address, clients or Clients(), folder)
        table = session.table()
        _refuse_repeats(session, table)
        groups = session.answer(athena_sql.grouping_query(table, address.period, chosen), "groups")
    except ClientError as error:
        raise BillingFormatError(_refused(address, error)) from None
    except BotoCoreError as error:
        mend = "check the credentials and the region (AWS_DEFAULT_REGION)"
        raise BillingFormatError(Problem(address.place, f"no answer ({type(error).__name__}: {error})", mend)) from None
    return _as_parquet(address, table, groups, folder, chosen)


@dataclass(frozen=True)
class _Session:
    """The queries of one import. Answers are csv files in `folder`."""

    address: Address
    clients: Clients
    folder: Path

    def table(self) -> CatalogTable:
        """The columns that the catalog knows, and the keys of a tag map."""
        address = self.address
        found = self.clients.glue.get_table(DatabaseName=address.database, Name=address.table)["Table"]
        partitions = found.get("PartitionKeys", [])
        columns = [*found.get("StorageDescriptor", {}).get("Columns", []), *partitions]
        types = {column["Name"]: column.get("Type", "string").lower() for column in columns}
        table = CatalogTable(address.database, address.table, types, frozenset(column["Name"] for column in partitions))
        if missing := table.missing():
            mend = "name a table of AWS Cost and Usage Reports (legacy or 2.0) with these columns"
            raise BillingFormatError(Problem(address.place, f"a table without {', '.join(missing)}", mend))
        query = athena_sql.tag_keys_query(table, address.period)
        keys = tuple(row[0] for row in self.rows(query, "tags")) if query else athena_sql.struct_keys(table)
        return replace(table, tag_keys=keys)

    def rows(self, query: str, name: str) -> list[list[str]]:
        """The rows of a small answer, without its header."""
        with self.answer(query, name).open(encoding="utf-8", newline="") as stream:
            return list(csv.reader(stream))[1:]

    def answer(self, query: str, name: str) -> Path:
        """Run a query to its end and fetch its answer."""
        athena, address = self.clients.athena, self.address
        request: dict[str, Any] = {"QueryString": query, "QueryExecutionContext": {"Database": address.database}}
        if address.workgroup:
            request["WorkGroup"] = address.workgroup
        if address.output:
            request["ResultConfiguration"] = {"OutputLocation": address.output}
        identifier = athena.start_query_execution(**request)["QueryExecutionId"]
        try:
            location = self._wait(identifier)
        except KeyboardInterrupt:
            athena.stop_query_execution(QueryExecutionId=identifier)
            raise
        target = self.folder / f"{name}.csv"
        if not (location and self._download(location, target)):
            _write_csv(target, self._pages(identifier))
        return target

    def _wait(self, identifier: str) -> str:
        """Wait for the end; where the answer lies in S3, or '' when Athena keeps it."""
        wait = FIRST_WAIT_S
        while True:
            execution = self.clients.athena.get_query_execution(QueryExecutionId=identifier)["QueryExecution"]
            state = execution["Status"]["State"]
            if state == "SUCCEEDED":
                return str(execution.get("ResultConfiguration", {}).get("OutputLocation", ""))
            if state in ("FAILED", "CANCELLED"):
                reason = execution["Status"].get("StateChangeReason", "no reason given")
                mend = "check that the table's types fit its files and that the query may read them"
                raise BillingFormatError(Problem(self.address.place, f"a query that {state.lower()}: {reason}", mend))
            self.clients.sleep(wait)
            wait = min(2 * wait, LONGEST_WAIT_S)

    def _download(self, location: str, target: Path) -> bool:
        """Whether the answer could be taken from S3; a workgroup may keep it from the caller, who then reads it in pages."""
        bucket, _, key = location.removeprefix("s3://").partition("/")
        try:
            self.clients.s3.download_file(bucket, key, str(target))
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in ("403", "404", "AccessDenied", "NoSuchKey"):
                return False
            raise
        return True

    def _pages(self, identifier: str) -> Iterator[Sequence[str]]:
        """Header and rows of an answer, page by page."""
        request = {"QueryExecutionId": identifier, "MaxResults": _PAGE_ROWS}
        while True:
            page = self.clients.athena.get_query_results(**request)
            for row in page["ResultSet"]["Rows"]:
                yield [cell.get("VarCharValue", "") for cell in row["Data"]]
            if not page.get("NextToken"):
                return
            request["NextToken"] = page["NextToken"]


def _write_csv(target: Path, rows: Iterator[Sequence[str]]) -> None:
    with target.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows(rows)


def _refuse_repeats(session: _Session, table: CatalogTable) -> None:
    query = athena_sql.repeats_query(table, session.address.period)
    counted = session.rows(query, "repeats") if query else []
    repeated = int(counted[0][0]) if counted else 0
    if repeated:
        found = f"{repeated} line items given twice (same id and time interval)"
        mend = "let the table read one version of each month: of several deliveries in its folder each counts"
        raise BillingFormatError(Problem(session.address.place, found, mend))


def _as_parquet(address: Address, table: CatalogTable, answer: Path, folder: Path, options: Options) -> Path:
    """The groups with the types and tag columns of the table they came from."""
    target = folder / f"{address.database}.{address.table}-{address.period}.parquet"
    connection = scratch_connection()
    try:
        source = f"read_csv({text_literal(str(answer))}, header=true, all_varchar=true, delim=',', quote='\"', escape='\"')"
        names = [row[0] for row in connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()]
        rows, unreadable = _counts(connection, source, names)
        if not rows:
            raise BillingFormatError(
                Problem(address.place, "no rows of this period", "check the month; new partitions need MSCK REPAIR TABLE")
            )
        if unreadable:
            found = f"{unreadable} rows whose cost or amount is no number"
            raise BillingFormatError(Problem(address.place, found, "check the table's column order and its SerDe"))
        _refuse_other_periods(connection, source, address, table)
        columns = ", ".join(_column(name, table) for name in names if not name.startswith("burstline_") or name == SOURCE_ROWS)
        tags = _tag_columns(names, table, options)
        connection.execute(f"COPY (SELECT {columns}{tags} FROM {source}) TO {text_literal(str(target))} (FORMAT parquet)").fetchall()
    except duckdb.Error as error:
        found = f"an answer that cannot be read ({str(error).splitlines()[0][:160]})"
        raise BillingFormatError(Problem(address.place, found, "run it again")) from None
    finally:
        connection.close()
    return target


def _counts(connection: duckdb.DuckDBPyConnection, source: str, names: Sequence[str]) -> tuple[int, int]:
    if SOURCE_ROWS not in names:
        return 0, 0
    sums = ", ".join(f"coalesce(sum(CAST({name} AS BIGINT)), 0)" for name in (SOURCE_ROWS, athena_sql.UNREADABLE))
    rows, unreadable = connection.execute(f"SELECT {sums} FROM {source}").fetchall()[0]
    return int(rows), int(unreadable)


def _refuse_other_periods(connection: duckdb.DuckDBPyConnection, source: str, address: Address, table: CatalogTable) -> None:
    """A partition may hold rows of another month; they would replace that month in the store."""
    column = table.first(athena_sql.STARTS) or ""
    months = f"SELECT DISTINCT substr({quoted(column)}, 1, 7) AS month FROM {source}"
    found = connection.execute(
        f"SELECT month FROM ({months}) WHERE regexp_full_match(month, '[0-9]{{4}}-[0-9]{{2}}') ORDER BY 1"
    ).fetchall()
    strange = [row[0] for row in found if row[0] != address.period]
    if strange:
        mend = "repair the table's partitions: each must hold one billing period"
        raise BillingFormatError(Problem(address.place, f"rows of {', '.join(strange)} in the partition of {address.period}", mend))


def _column(name: str, table: CatalogTable) -> str:
    kind = table.types.get(name, "")
    if name == SOURCE_ROWS:
        return f"CAST({name} AS BIGINT) AS {name}"
    if name in athena_sql.sum_columns(table):
        return f"CAST(nullif({quoted(name)}, '') AS DECIMAL(38, 16)) AS {quoted(name)}"
    return f"CAST(nullif({quoted(name)}, '') AS TIMESTAMP) AS {quoted(name)}" if kind.startswith(("timestamp", "date")) else quoted(name)


def _tag_columns(names: Sequence[str], table: CatalogTable, options: Options) -> str:
    """The chosen tag under its own key and, beside it, whether there is any: as columns, or as the map of CUR 2.0."""
    if not any(name in names for name in (athena_sql.TAG, athena_sql.TAGGED)):
        return ""
    key, _ = athena_sql.chosen_tag(table, options)
    tags = {key: athena_sql.TAG} if athena_sql.TAG in names else {}
    tags[athena_sql.TAGGED] = athena_sql.TAGGED
    if table.is_cur2:
        pairs = ", ".join(f"{text_literal(name)}: coalesce({column}, '')" for name, column in tags.items())
        return f", MAP {{{pairs}}} AS resource_tags"
    return "".join(f", {column} AS {quoted('resource_tags_user_' + name)}" for name, column in tags.items())


_NO_OUTPUT = "add ?output=s3://bucket/prefix to the address, or ?workgroup=NAME of a workgroup that has one"
_MENDS = {
    "EntityNotFoundException": "check the database, the table and the region",
    "AccessDeniedException": "allow glue:GetTable, athena:StartQueryExecution and its answers to this identity",
    "ExpiredTokenException": "renew the credentials",
    "UnrecognizedClientException": "check the credentials",
    "TooManyRequestsException": "try again later, or in another workgroup",
}


def _refused(address: Address, error: ClientError) -> Problem:
    """One clear message of what AWS refused."""
    told = error.response.get("Error", {})
    code, message = str(told.get("Code", "refused")), str(told.get("Message", "")).strip()
    found = "no such table" if code == "EntityNotFoundException" else f"{error.operation_name} refused ({code})"
    mend = _NO_OUTPUT if "output location" in message.lower() else _MENDS.get(code, "check the address, the region and the permissions")
    return Problem(address.place, f"{found}: {message}" if message else found, mend)
