"""`burstline sample` and `burstline demand` as a person runs them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from simulator.cli import group, main

SAMPLE = Path(__file__).resolve().parents[2] / "data" / "samples" / "company-3-days"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(group, list(arguments), catch_exceptions=False)


@pytest.fixture(scope="module")
def three_days(tmp_path_factory: pytest.TempPathFactory) -> Path:
    scenario = tmp_path_factory.mktemp("scenario") / "sample.yaml"
    scenario.write_text(f"scenario: sample\ndata: {{usage: {SAMPLE / 'usage' / 'usage.parquet'}}}\n")
    return scenario


def test_sample_prints_one_document_and_writes_what_it_lists(tmp_path: Path) -> None:
    result = run("sample", "--out", str(tmp_path / "out"), "--hours", "5", "--json")
    document = json.loads(result.stdout)
    assert result.exit_code == 0
    assert (document["seed"], document["hours"]) == (40, 5)
    assert all((tmp_path / "out" / entry["path"]).is_file() for entry in document["files"])


def test_sample_table_names_the_open_month(tmp_path: Path) -> None:
    result = run("sample", "--out", str(tmp_path / "out"), "--hours", "5")
    assert "2025-01" in result.stdout
    assert "open" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--days", "1", "--hours", "3"), "give --days or --hours, not both"),
        (("--with", "edp-net", "--with", "edp-map"), "choose one of edp-lines, edp-net and edp-map"),
    ],
)
def test_sample_refuses_contradictions(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    result = run("sample", "--out", str(tmp_path / "out"), *arguments)
    assert result.exit_code == 2
    assert message in result.output
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", ["sample", "demand"])
def test_help_has_an_example(command: str) -> None:
    assert f"burstline {command}" in run(command, "--help").output


def test_demand_of_three_days(three_days: Path) -> None:
    document = json.loads(run("demand", str(three_days), "--json").stdout)
    assert document["hours"] == 72
    assert document["peak"] == {"cpu_m": 4_000_000, "memory_mib": 800 * 8192, "pods": 800}
    assert document["mean"].keys() == document["peak"].keys()
    # on weekdays alone 26 nodes filled first serve 50.1 % of the demanded hours, 25 serve 48.6 %; 26 + 2 spare
    assert document["readings"] == {"by_users_nodes": 40, "by_peak_nodes": 40, "by_worker_hours_nodes": 28}
    assert document["worker_hours"]["total"] == 10_434
    assert document["forecast"]["bucket_h"] == 1
    assert any("3.0 days of history" in warning for warning in document["forecast"]["warnings"])


def test_demand_prints_tables_on_stdout(three_days: Path) -> None:
    text = run("demand", str(three_days)).stdout
    for title in ("Requests", "three readings", "worker hours", "Right-sizing", "Capacity for the next"):
        assert title in text


def test_demand_from_the_bill_alone(tmp_path: Path) -> None:
    scenario = tmp_path / "bill.yaml"
    scenario.write_text(f"scenario: bill-only\ndata: {{bills: [{SAMPLE / 'bill' / 'cur2'}]}}\ndemand: {{history: bill}}\n")
    document = json.loads(run("demand", str(scenario), "--json").stdout)
    assert document["source"] == "bill"
    assert document["readings"]["by_users_nodes"] is None
    assert document["readings"]["by_peak_nodes"] == 40  # ceil(0.5 x 303 x 13.209 / 53.397) + 2
    assert document["worker_hours"]["total"] == 10_434
    assert document["right_sizing"] == []


def test_an_unknown_scenario_is_one_clear_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["burstline", "demand", "half-private-4"])
    with pytest.raises(SystemExit) as stop:
        main()
    captured = capsys.readouterr()
    assert stop.value.code == 2
    assert "did you mean half-private-40?" in captured.err
    assert captured.out == ""


def test_backtest_needs_four_weeks(three_days: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["burstline", "backtest", str(three_days)])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    assert "3.0 days; give at least four weeks" in capsys.readouterr().err


def test_backtest_rows_have_a_target_and_a_verdict(tmp_path: Path) -> None:
    run("sample", "--out", str(tmp_path / "company"), "--days", "70")
    scenario = tmp_path / "ten-weeks.yaml"
    scenario.write_text(f"scenario: ten-weeks\ndata: {{usage: {tmp_path / 'company' / 'usage' / 'usage.parquet'}}}\n")
    document = json.loads(run("backtest", str(scenario), "--json").stdout)
    assert document["ahead_h"] == 17 * 24  # a quarter of 70 days, in whole days
    assert all(row.keys() == {"name", "measured", "unit", "target", "passed"} for row in document["rows"])
    ours = document["rows"][0]
    assert ours["name"] == "ours, median regret"
    assert ours["measured"] < 1.0  # a calendar without noise repeats itself
    assert ours["passed"]


def test_a_single_day_has_readings_and_says_why_it_has_no_forecast(tmp_path: Path) -> None:
    run("sample", "--out", str(tmp_path / "company"), "--days", "1")
    scenario = tmp_path / "day.yaml"
    scenario.write_text(f"scenario: one-day\ndata: {{usage: {tmp_path / 'company' / 'usage' / 'usage.parquet'}}}\n")
    document = json.loads(run("demand", str(scenario), "--json").stdout)
    assert document["readings"]["by_peak_nodes"] == 40
    assert document["forecast"] == {"unknown": "history: found 24 hours of demand; give at least two days, better a year"}
    assert "give at least two days" in run("demand", str(scenario)).stdout


def test_the_figure_is_one_page_that_needs_no_network(three_days: Path, tmp_path: Path) -> None:
    page = tmp_path / "demand.html"
    assert run("demand", str(three_days), "--figure", str(page)).exit_code == 0
    text = page.read_text(encoding="utf-8")
    assert "Load duration" in text
    assert "src=" not in text.split("<body>")[1][:200]
    again = tmp_path / "again.html"
    run("demand", str(three_days), "--figure", str(again))
    assert again.read_bytes() == page.read_bytes()
