"""The whole shipped year, written and imported: the bill reconciles month by month and holds the case's worker hours."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import duckdb
import numpy as np
import pytest

from models.bill import BillReport
from models.unknown import Unknown
from simulator.ingest.bills import import_bills, load_charges
from simulator.ingest.store import open_store
from simulator.ingest.synthetic.company import Company, workers
from simulator.ingest.synthetic.files import write_company

CENT = Decimal("0.005")
Imported = tuple[duckdb.DuckDBPyConnection, BillReport]


@pytest.fixture(scope="module")
def year(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("year")
    write_company(folder, Company())
    return folder


@pytest.fixture(scope="module")
def cur2(year: Path) -> Iterator[Imported]:
    with open_store(None) as store:
        yield store, import_bills([year / "bill" / "cur2"], store)


def test_thirteen_months_reconcile_to_the_cent(cur2: Imported) -> None:
    _, report = cur2
    assert report.refused == ()
    assert [period.period for period in report.periods][::12] == ["2025-01", "2026-01"]
    for period in report.periods:
        assert not isinstance(period.identity_error, Unknown)
        assert abs(period.identity_error) < CENT
        assert period.rows_in == period.rows_used + period.rows_explained
    assert [period.provisional for period in report.periods] == [False] * 12 + [True]


def test_worker_hours_by_hour_are_the_companys(cur2: Imported) -> None:
    store, report = cur2
    charges = load_charges(store)
    assert sum(period.worker_hours for period in report.periods) == 978_374
    assert np.array_equal(charges.worker_hours.sum(axis=1), workers(Company()))
    by_option = {series.purchase_option: 0.0 for series in charges.series}
    for series, hours in zip(charges.series, charges.worker_hours.sum(axis=0), strict=True):
        by_option[series.purchase_option] += float(hours)
    # reserved: sum of min(workers, 14); covered: sum of min(max(workers - 14, 0), 16.5)
    assert (by_option["reserved"], by_option["savings_plan"]) == (121_600, 111_615)
    assert by_option["on_demand"] + by_option["spot"] == 978_374 - 121_600 - 111_615


def test_a_year_of_cash_is_a_year_of_cost(cur2: Imported) -> None:
    _, report = cur2
    cash = sum((period.unblended for period in report.periods), Decimal())
    cost = sum((Decimal(period.amortised) for period in report.periods if not isinstance(period.amortised, Unknown)), Decimal())
    assert abs(cash - cost) < CENT  # every commitment was bought for exactly these 8,760 hours


def test_focus_states_the_same_months(year: Path, cur2: Imported) -> None:
    with open_store(None) as store:
        focus = import_bills([year / "bill" / "focus"], store)
    assert focus.refused == ()
    for one, other in zip(cur2[1].periods, focus.periods, strict=True):
        assert abs(one.unblended - other.unblended) < CENT
        assert abs(Decimal(one.amortised) - Decimal(other.amortised)) < CENT  # type: ignore[arg-type]
        assert one.worker_hours == other.worker_hours
