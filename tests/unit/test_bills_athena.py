"""Athena groups the rows, the import gives the same totals; its SQL runs here in duckdb under Athena's function names."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import duckdb
import pandas as pd
import pytest

from bill_rows import load, near, only
from models.errors import BillingFormatError
from simulator.ingest.athena import fetch, query


class Served:
    """The two calls of awswrangler that are used, answered by duckdb."""

    def __init__(self, file: Path) -> None:
        self._connection = duckdb.connect()
        for macro in ("regexp_like(a, b) AS regexp_matches(a, b)", "date_format(a, b) AS strftime(a, replace(b, '%i', '%M'))"):
            self._connection.execute(f"CREATE MACRO {macro}").fetchall()
        self._connection.execute(f"CREATE SCHEMA cur; CREATE VIEW cur.bill AS SELECT * FROM '{file}'").fetchall()
        self.catalog = SimpleNamespace(get_table_types=self._types)
        self.athena = SimpleNamespace(read_sql_query=self._read)

    def _types(self, *, database: str, table: str) -> dict[str, str]:
        if table != "bill":
            return {}
        return {row[0]: row[1] for row in self._connection.execute(f"DESCRIBE {database}.{table}").fetchall()}

    def _read(self, sql: str, *, database: str, ctas_approach: bool) -> pd.DataFrame:
        assert (database, ctas_approach) == ("cur", False)
        return self._connection.execute(sql).df()


@pytest.mark.shared_data
def test_a_month_grouped_by_athena_gives_the_same_totals(shared_data: Path, tmp_path: Path) -> None:
    october = shared_data / "billing/aws-cur-2018-workshop/Oct2018-WorkshopCUR-00001.snappy.parquet"
    period = only(load(fetch("athena://cur.bill/2018-10", tmp_path, Served(october))))
    assert near(period.unblended, 4064.483132)
    assert near(period.amortised, 4195.957109)
    assert near(period.worker_hours, 15_941.778, 1e-3)
    assert period.rows_in < 119_307 / 2


@pytest.mark.parametrize("address", ["athena://cur.bill", "athena://cur.bill/January", "athena://cur.other/2018-10"])
def test_wrong_addresses_are_refused(address: str, shared_data: Path, tmp_path: Path) -> None:
    october = shared_data / "billing/aws-cur-2018-workshop/Oct2018-WorkshopCUR-00001.snappy.parquet"
    with pytest.raises(BillingFormatError, match="athena"):
        fetch(address, tmp_path, Served(october))


def test_a_net_column_falls_back_row_by_row() -> None:
    sql = query("bill", "2025-01", ["line_item_unblended_cost", "line_item_net_unblended_cost"])
    assert "sum(coalesce(CAST(line_item_net_unblended_cost AS DECIMAL(38, 16)), CAST(line_item_unblended_cost AS DECIMAL(38, 16))))" in sql


def test_without_the_extra_or_with_an_unknown_address_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "awswrangler", None)
    report = load("athena://cur.bill/2025-01", "ftp://x/y")
    assert [refusal.found for refusal in report.refused] == ["no awswrangler", "an address of no known kind"]
