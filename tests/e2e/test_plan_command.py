from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from models.errors import CapacityError
from simulator.cli import group


def _plan(*arguments: str) -> dict:
    done = CliRunner().invoke(group, ["plan", *arguments, "--json"], standalone_mode=False)
    if done.exception:
        raise done.exception
    return json.loads(done.stdout)


@pytest.mark.xdist_group("demo")
def test_money_in_won_is_dollars_at_the_stated_rate_and_never_rounded_through_cents(tmp_path: Path) -> None:
    arguments = ["half-private-40", "--out", str(tmp_path)]
    usd, krw = _plan(*arguments), _plan(*arguments, "--currency", "KRW")
    assert krw["currency"] == "KRW"
    for key, value in usd["money"].items():
        other = krw["money"][key.replace("_usd", "_krw")]
        assert other == (value if "_usd" not in key else pytest.approx(value * 1350, rel=1e-12))


@pytest.mark.xdist_group("demo")
def test_korean_is_korean(tmp_path: Path) -> None:
    plan = _plan("half-private-40", "--out", str(tmp_path), "--language", "ko")
    assert all(any("가" <= letter <= "힣" for letter in reason) for reason in plan["reasons"])
    assert "사설" in (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("scenario: x\nzones: [{name: bm, kind: baremetl}]\n", "did you mean baremetal"),
        ("scenario: x\naws: {worker: m5.4xlarg}\n", "did you mean m5.4xlarge"),
        ("scenario: x\nparameters: {server_us: 1}\n", "did you mean server_usd"),
        ("scenario: x\ndata: {store: nowhere.duckdb}\n", "no such file"),
        ("scenario: x\ndata: {usage: 'http://127.0.0.1:9'}\n", "burstline usage --prometheus"),
        ("scenario: x\ndata: {store: a.duckdb, bills: [b.csv]}\n", "name the store alone"),
        ("scenario: x\nkubernetes_version: '1.99'\n", "kubernetes_version"),
        ("scenario: x\nparameters: {server_usd: -5}\n", "at least 0"),
        ("scenario: x\naws: {max_nodes: 1}\nzones: [{name: bm, max_nodes: 3}]\n", "still leave"),
    ],
)
def test_bad_scenarios_say_what_to_mend_and_write_nothing(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "case.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CapacityError, match=says):
        _plan(str(path), "--out", str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_zero_demand_builds_nothing_and_costs_nothing(tmp_path: Path) -> None:
    from dataclasses import replace

    from simulator.ingest.synthetic.company import Company, usage_history
    from simulator.ingest.synthetic.files import write_usage

    usage = usage_history(Company(hours=24 * 15))
    write_usage(tmp_path / "idle.parquet", replace(usage, pods=usage.pods * 0, requests=usage.requests * 0, usage=usage.usage * 0))
    path = tmp_path / "idle.yaml"
    path.write_text(f"scenario: idle\ndata: {{usage: {tmp_path / 'idle.parquet'}}}\n", encoding="utf-8")
    plan = _plan(str(path), "--out", str(tmp_path / "out"))
    assert plan["recommendation"]["private_nodes"] == 0
    assert plan["money"]["hybrid_usd_per_year"] == 0.0


def test_a_plan_says_how_sure_it_is_and_which_values_are_outside_their_range(tmp_path: Path) -> None:
    path = tmp_path / "case.yaml"
    path.write_text("scenario: dear\nparameters: {server_usd: 60000}\n", encoding="utf-8")
    done = CliRunner().invoke(group, ["plan", str(path), "--out", str(tmp_path / "out")], standalone_mode=False)
    assert "server_usd = 60000 lies outside the catalog's range 8000 to 25000 USD" in done.stdout
    assert "Confidence: " in done.stdout
    assert "days of history" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_scenario_check_tries_every_override(tmp_path: Path) -> None:
    path = tmp_path / "case.yaml"
    path.write_text("scenario: x\noverrides: {a: {planner.stff: 0}}\n", encoding="utf-8")
    done = CliRunner().invoke(group, ["scenario", "check", str(path)], standalone_mode=False)
    assert isinstance(done.exception, CapacityError)
    assert "stff" in str(done.exception)
