"""Cost Explorer as a cross-check, against a served API."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner
from moto.server import ThreadedMotoServer

from bill_rows import load, row, write
from models.errors import BillingFormatError
from simulator.cli import group
from simulator.ingest.cost_explorer import cross_check


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    for name, value in {
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    with urllib.request.urlopen(urllib.request.Request(f"{address}/moto-api/reset", b"")) as response:
        assert response.status == 200
    yield address
    server.stop()


def answer_with(address: str, *pages: dict[str, object]) -> None:
    body = json.dumps({"results": list(pages)}).encode()
    request = urllib.request.Request(f"{address}/moto-api/static/ce/cost-and-usage-results", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as response:
        assert response.status == 201


def result(month: str, unblended: str, amortised: str) -> dict[str, object]:
    total = {name: {"Amount": amount, "Unit": "USD"} for name, amount in (("UnblendedCost", unblended), ("AmortizedCost", amortised))}
    return {"TimePeriod": {"Start": f"{month}-01", "End": f"{month}-28"}, "Total": total, "Groups": [], "Estimated": False}


def test_totals_are_compared_to_the_cent(served: str, tmp_path: Path) -> None:
    answer_with(served, {"ResultsByTime": [result("2025-01", "0.1049", "0.2")], "DimensionValueAttributes": []})
    checks = cross_check(load(write(tmp_path / "a.csv", [row()])).periods)
    assert [(check.measure, check.passed) for check in checks] == [("unblended", True), ("amortised", False)]
    assert checks[1].difference == Decimal("-0.1")


def test_the_command_shows_the_comparison(served: str, tmp_path: Path) -> None:
    answer_with(served, {"ResultsByTime": [result("2025-01", "0.1", "0.1")], "DimensionValueAttributes": []})
    told = CliRunner().invoke(group, ["bill", str(write(tmp_path / "a.csv", [row()])), "--cross-check", "--json"])
    assert [check["passed"] for check in json.loads(told.stdout)["cross_check"]] == [True, True]


def test_a_month_that_cost_explorer_does_not_know_is_told(served: str, tmp_path: Path) -> None:
    answer_with(served, {"ResultsByTime": [], "DimensionValueAttributes": []})
    with pytest.raises(BillingFormatError, match="no total for 2025-01"):
        cross_check(load(write(tmp_path / "a.csv", [row()])).periods)


class Pages:
    """Two pages of answers, as the API sends them when there are many."""

    def __init__(self) -> None:
        self.asked: list[dict[str, object]] = []

    def get_cost_and_usage(self, **request: object) -> dict[str, object]:
        self.asked.append(request)
        if "NextPageToken" in request:
            return {"ResultsByTime": [result("2025-01", "0.1", "0.1")]}
        return {"ResultsByTime": [result("2024-12", "9", "9")], "NextPageToken": "more"}


def test_every_page_is_read_and_the_end_is_exclusive(tmp_path: Path) -> None:
    client = Pages()
    checks = cross_check(load(write(tmp_path / "a.csv", [row()])).periods, client)
    assert all(check.passed for check in checks)
    assert client.asked[0]["TimePeriod"] == {"Start": "2025-01-01", "End": "2025-02-01"}


def test_a_refused_call_is_one_clear_message(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(BillingFormatError, match="no answer"):
        cross_check(load(write(tmp_path / "a.csv", [row()])).periods)
