"""`burstline compare` and `burstline finance` as a person and as a script run them."""

from __future__ import annotations

import csv
import json

import pytest
from click.testing import CliRunner

from simulator.cli import group


@pytest.fixture(scope="module")
def run():
    runner = CliRunner()
    return lambda *arguments: runner.invoke(group, list(arguments))


@pytest.fixture(scope="module")
def finance_json(run, tmp_path_factory):
    out = tmp_path_factory.mktemp("finance")
    result = run("finance", "half-private-40", "--out", str(out), "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout), out


def test_compare_prints_the_placement_columns_with_their_measures(run):
    result = run("compare", "half-private-40", "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["columns"] == ["Bare metal", "OpenStack VM", "Ironic", "AWS"]
    assert document["left_out"] == {}
    rows = {row["measure"]: row for row in document["rows"]}
    assert {"servers", "capex_usd", "opex_usd_per_year", "scale_out_p95_s", "utilisation_share"} <= set(rows)
    assert rows["servers"]["values"] == [45, 54, 50, 0]  # 40 + 3 masters + 2 proxies on metal
    assert rows["capex_usd"]["values"][0] == 612_800
    assert all(len(row["values"]) == 4 and row["unit"] for row in document["rows"])


def test_compare_puts_named_scenarios_side_by_side(run):
    result = run("compare", "half-private-40", "half-private-40", "--json")
    document = json.loads(result.stdout)
    assert len(document["columns"]) == 8
    assert document["columns"][0] == "half-private-40: Bare metal"


def test_compare_names_the_placement_whose_nodes_have_no_gpu(run):
    """A VM of the catalog has no GPU; bare metal, Ironic and p4d.24xlarge carry the farm's 24 or fewer GPUs on 3 nodes of 8."""
    document = json.loads(run("compare", "night-training-gpu", "--json").stdout)
    assert document["columns"] == ["Bare metal", "Ironic", "AWS"]
    assert document["rows"][0]["values"] == [3, 3, 3]
    lack = {"placement": "OpenStack VM", "node": "k8s.16c64g", "lacks": ["nvidia.com/gpu"]}
    assert document["left_out"] == {"night-training-gpu": [lack]}
    told = run("compare", "night-training-gpu").stdout
    assert "no column for OpenStack VM: a node k8s.16c64g offers no nvidia.com/gpu" in told


def test_compare_prints_a_table_and_the_unverified_values(run):
    result = run("compare", "half-private-40")
    assert result.exit_code == 0
    assert "OpenStack VM" in result.stdout
    assert "cheapest private placement" in result.stdout
    assert "unverified values used" in result.stdout


@pytest.mark.parametrize(("override", "winner"), [(None, "Bare metal"), ("many-small", "OpenStack VM"), ("many-large", "Ironic")])
def test_documented_scenario_flips_the_ranking_of_placements(run, override, winner):
    result = run("compare", "placement", *(["--override", override] if override else []), "--json")
    document = json.loads(result.stdout)
    assert document["cheapest"] == [f"placement: {winner}"]
    cost = next(row["values"] for row in document["rows"] if row["measure"] == "cost_usd_per_year")[:3]
    assert document["columns"][cost.index(min(cost))] == winner


def test_finance_gives_the_promised_keys_and_writes_both_files(finance_json):
    document, out = finance_json
    promised = {"ledger_rows", "opponents", "npv_usd", "irr", "payback_months", "breakeven_nodes", "breakeven_share"}
    assert promised <= set(document)
    assert document["nodes"] == {"prod-bm": 55}
    assert (out / "workbook.xlsx").stat().st_size > 10_000
    with (out / "focus.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == document["ledger_rows"]
    assert float(document["opponents"]["hybrid"]) == pytest.approx(sum(float(row["BilledCost"]) for row in rows), abs=0.05)


def test_finance_prints_the_private_cost_check_and_the_least_cost_table(finance_json):
    check = finance_json[0]["rule_check"]
    assert check["nodes"] == 40
    assert round(check["without_staff_usd_per_year"], 2) == 289_451.23
    assert round(check["with_staff_usd_per_year"], 2) == 379_673.45
    pinned, first = check["dispatch"]["pinned"], check["dispatch"]["private_first"]
    assert (round(pinned["aws_left_usd"]), round(first["aws_left_usd"])) == (464_107, 292_704)
    assert (round(pinned["avoided_usd"], -1), round(first["avoided_usd"], -1)) == (459_480, 630_880)
    assert (round(pinned["avoided_best_usd"], -1), round(first["avoided_best_usd"], -1)) == (330_820, 454_230)
    assert pinned["saving_best_usd"] < 0 < first["saving_best_usd"]  # dispatch decides the case
    table = {row["cost_of_a_node"]: (row["on_demand_nodes"], row["best_commitment_nodes"]) for row in finance_json[0]["least_cost"]}
    assert table == {"average_no_staff": (61, 40), "average_with_staff": (54, 23), "marginal": (72, 55)}


def test_finance_in_won_renames_the_money_keys(run, finance_json):
    document = json.loads(run("finance", "half-private-40", "--currency", "KRW", "--json").stdout)
    assert document["currency"] == "KRW"
    assert document["npv_krw"] == pytest.approx(finance_json[0]["npv_usd"] * 1350, rel=1e-12)
    assert "npv_usd" not in document


def test_finance_prints_what_a_person_reads(run):
    result = run("finance", "half-private-40", "--override", "pinned")
    assert result.exit_code == 0, result.output
    assert "no payback: the plan builds nothing" in result.stdout
    assert "what moves the cost most" in result.stdout
    assert "50% of the users" in result.stdout


def test_finance_of_the_shipped_company_counts_its_unused_commitments(finance_json):
    """756,989 USD of worker charges and 22,997 USD of commitments that nothing used."""
    document = finance_json[0]
    money = {name: statement["usd_per_year"] for name, statement in document["statements"].items()}
    assert round(money["aws_as_billed"]) == 779_986
    assert (round(money["aws_best"]), round(money["hybrid"])) == (664_981, 579_088)
    assert document["statements"]["hybrid"]["capex_usd"] == 810_600
    assert (round(document["npv_usd"]), round(document["payback_months"], 2)) == (384_656, 33.67)
    assert document["billed_is_list"] is False


@pytest.mark.parametrize(
    ("text", "message"),
    [(None, "no such file"), ("{", "Invalid JSON"), ("{}", "Field required")],
)
def test_a_broken_plan_is_refused_with_its_place(run, tmp_path, text, message):
    path = tmp_path / "plan.json"
    if text is not None:
        path.write_text(text)
    result = run("finance", "half-private-40", "--plan", str(path))
    assert result.exit_code != 0
    assert str(path) in str(result.exception)
    assert message in str(result.exception)
    assert type(result.exception).__name__ == "ScenarioError"


def test_an_unknown_scenario_offers_near_names(run):
    result = run("compare", "half-private-4")
    assert "half-private-40" in str(result.exception)
