"""Athena for tests: the three AWS services behind one import, with duckdb as the engine.

The query text is Athena's; only two function names are duckdb's own (`element_at` on a map, `json_parse`).
"""

from __future__ import annotations

import csv
import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb

from simulator.ingest.athena import Clients

HIVE = {"VARCHAR": "string", "DOUBLE": "double", "TIMESTAMP": "timestamp", "BIGINT": "bigint", "TIMESTAMP WITH TIME ZONE": "timestamp"}


class Engine:
    """A table `cur.bill` over files, told as the Glue catalog tells it; queries answered in Athena's csv."""

    def __init__(self, relation: str, partitions: tuple[str, ...] = ()) -> None:
        self.connection = duckdb.connect()
        for setting in ("TimeZone='UTC'", "enable_progress_bar=false"):
            self.connection.execute(f"SET {setting}").fetchall()
        self.connection.execute("CREATE MACRO json_parse(a) AS a::JSON").fetchall()
        self.connection.execute(f"CREATE SCHEMA cur; CREATE VIEW cur.bill AS SELECT * FROM {relation}").fetchall()
        self.partitions = partitions
        self.asked: list[str] = []
        self._answers: dict[str, str] = {}

    def catalog(self) -> dict[str, Any]:
        """`glue.get_table`."""
        described = self.connection.execute("DESCRIBE cur.bill").fetchall()
        columns = [{"Name": row[0], "Type": HIVE.get(row[1]) or hive(row[1])} for row in described]
        keys = [column for column in columns if column["Name"] in self.partitions]
        return {"StorageDescriptor": {"Columns": [one for one in columns if one not in keys]}, "PartitionKeys": keys}

    def run(self, query: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Header and rows of a query."""
        self.asked.append(query)
        cursor = self.connection.execute(query.replace("element_at(", "map_extract_value("))
        return [column[0] for column in cursor.description], cursor.fetchall()

    def clients(self) -> Clients:
        """The engine behind the calls that the import makes."""

        def start(**request: Any) -> dict[str, str]:
            header, rows = self.run(request["QueryString"])
            name = f"q{len(self._answers)}"
            self._answers[name] = as_csv(header, rows)
            return {"QueryExecutionId": name}

        def state(*, QueryExecutionId: str) -> dict[str, Any]:
            place = {"OutputLocation": f"s3://answers/{QueryExecutionId}"}
            return {"QueryExecution": {"Status": {"State": "SUCCEEDED"}, "ResultConfiguration": place}}

        def download(bucket: str, key: str, target: str) -> None:
            assert bucket == "answers"
            Path(target).write_text(self._answers[key], encoding="utf-8", newline="")

        glue = SimpleNamespace(get_table=lambda **_: {"Table": self.catalog()})
        athena = SimpleNamespace(start_query_execution=start, get_query_execution=state)
        return Clients(glue, athena, SimpleNamespace(download_file=download), lambda _: None)


def hive(kind: str) -> str:
    """The Hive type of a duckdb type."""
    if kind.startswith("MAP("):
        key, value = kind[4:-1].split(", ")
        return f"map<{HIVE[key]},{HIVE[value]}>"
    if kind.startswith("STRUCT("):
        return "struct<" + ",".join(part.split()[0].strip('"') + ":string" for part in kind[7:-1].split(", ")) + ">"
    return kind.lower()


def as_csv(header: list[str], rows: list[tuple[Any, ...]]) -> str:
    """Every value quoted, nothing at all for null: what Athena writes."""
    out = io.StringIO(newline="")
    csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n").writerow(header)
    writer = csv.writer(out, quoting=csv.QUOTE_NOTNULL if hasattr(csv, "QUOTE_NOTNULL") else csv.QUOTE_ALL, lineterminator="\n")
    writer.writerows([None if value is None else str(value) for value in row] for row in rows)
    return out.getvalue()
