"""The workbook: values stand in it, LibreOffice recalculates the same ones, and a changed input moves the results as the model says."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import openpyxl
import pytest

from money_builders import shipped_case, with_zone
from simulator.finance.comparison import compare_opponents
from simulator.finance.report import finance_report
from simulator.finance.workbook import write_workbook
from simulator.planner.recommend import nodes_at_arrival, recommend


def report_of(case):
    advice = recommend(case)
    curve = advice.screening.curve(case.demand.size)
    return finance_report(case, advice.recommendation.by_zone, advice.steps, curve, nodes_at_arrival, advice.views)


@pytest.fixture(scope="module")
def report():
    return report_of(shipped_case())


@pytest.fixture(scope="module")
def soffice():
    found = shutil.which("soffice")
    if found is None:
        pytest.skip("soffice is absent: install libreoffice-calc to recalculate the workbook")
    return found


def recalculated(soffice, source, folder, changes=None):
    """The workbook's values after LibreOffice computed every formula anew; `changes` sets assumptions by name."""
    book = openpyxl.load_workbook(source)  # keeps formulas, drops their values
    sheet = book["Assumptions"]
    for row in sheet.iter_rows(min_row=3):
        if changes and row[0].value in changes:
            row[1].value = changes[row[0].value]
    bare = folder / "bare.xlsx"
    book.save(bare)
    profile = f"-env:UserInstallation=file://{folder}/profile"
    command = [soffice, profile, "--headless", "--convert-to", "xlsx:Calc MS Excel 2007 XML", "--outdir", str(folder / "done"), str(bare)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return openpyxl.load_workbook(folder / "done" / "bare.xlsx", data_only=True)


def summary_of(book):
    return {row[0].value: row[1].value for row in book["Summary"].iter_rows(min_row=3) if row[0].value}


def test_readers_that_do_not_calculate_see_the_figures(report, tmp_path):
    path = tmp_path / "workbook.xlsx"
    write_workbook(path, report)
    shown = summary_of(openpyxl.load_workbook(path, data_only=True))
    assert shown["hybrid, USD a year"] == pytest.approx(report.comparison.statement("hybrid").usd_per_year)
    assert shown["NPV of the saving, USD"] == pytest.approx(report.comparison.npv_usd)
    assert shown["payback, months"] == pytest.approx(report.comparison.payback_months)
    assert shown["IRR a year"] == pytest.approx(report.comparison.irr)


def test_same_report_gives_the_same_bytes(report, tmp_path):
    first, second = tmp_path / "a.xlsx", tmp_path / "b.xlsx"
    write_workbook(first, report)
    write_workbook(second, report)
    assert first.read_bytes() == second.read_bytes()


def test_every_assumption_carries_source_date_and_confidence(report, tmp_path):
    path = tmp_path / "workbook.xlsx"
    write_workbook(path, report)
    rows = {row[0].value: row for row in openpyxl.load_workbook(path, data_only=True)["Assumptions"].iter_rows(min_row=3)}
    for parameter in report.case.used_parameters():
        row = rows[parameter.name]
        assert row[1].value == pytest.approx(parameter.value)
        assert row[5].value == ("set here" if parameter.overridden else parameter.confidence)
        assert row[6].value.date() == parameter.as_of
        assert row[7].value


def test_rule_of_half_page_shows_the_private_cost_check_and_the_least_cost_table(report, tmp_path):
    path = tmp_path / "workbook.xlsx"
    write_workbook(path, report)
    rows = {row[0].value: row for row in openpyxl.load_workbook(path, data_only=True)["Rule of half"].iter_rows()}
    assert round(rows["without staff"][1].value, 2) == 289_451.23
    assert round(rows["with 1 full-time staff"][1].value, 2) == 379_673.45
    assert [round(rows[name][2].value) for name in ("pinned", "private_first")] == [464_107, 292_704]
    table = {name: (rows[name][2].value, rows[name][3].value) for name in ("average_no_staff", "average_with_staff", "marginal")}
    assert table == {"average_no_staff": (61, 40), "average_with_staff": (54, 23), "marginal": (72, 55)}


@pytest.mark.libreoffice
@pytest.mark.parametrize(
    ("growth", "years", "standing", "billed"),
    [(0.0, 5, 0, None), (0.2, 5, 0, 779_986.0), (0.2, 7, 30, 600_000.0), (0.0, 1, 0, None), (0.0, 5, 90, None)],
)
def test_every_formula_recalculates_to_the_value_of_the_model(soffice, tmp_path, growth, years, standing, billed):
    path = tmp_path / "workbook.xlsx"
    case = with_zone(shipped_case(demand__growth_share_per_year=growth, money__years=years), existing_nodes=standing)
    write_workbook(path, report_of(replace(case, billed_usd_per_year=billed)))
    formulas, values = openpyxl.load_workbook(path), openpyxl.load_workbook(path, data_only=True)
    fresh = recalculated(soffice, path, tmp_path)
    checked = 0
    for sheet in formulas:
        for cell in (cell for row in sheet.iter_rows() for cell in row if str(cell.value).startswith("=")):
            shown, found = values[sheet.title][cell.coordinate].value, fresh[sheet.title][cell.coordinate].value
            wanted = pytest.approx(shown, rel=1e-9, abs=1e-6) if isinstance(shown, int | float) else shown
            assert found == wanted, (sheet.title, cell.coordinate)
            checked += 1
    assert checked > 100 + 100 * years


@pytest.mark.libreoffice
def test_a_changed_input_moves_every_result_as_the_model_does(report, soffice, tmp_path):
    path = tmp_path / "workbook.xlsx"
    write_workbook(path, report)
    changes = {
        "aws_committed_usd_per_h": 30,
        "aws_commitment_months_left": 12,
        "server_usd": 15_000,
        "pue": 1.3,
        "discount_rate_share": 0.1,
        "commitment_discount_share": 0.2,
        "residual_share": 0.05,
    }
    shown = summary_of(recalculated(soffice, path, tmp_path, changes))
    parameters = {name: value for name, value in changes.items() if name != "commitment_discount_share"}
    base = shipped_case().scenario.parameters
    case = shipped_case(parameters=base | parameters, aws__commitment_discount_share=0.2)
    wanted = compare_opponents(case, report.nodes, report.steps)
    assert shown["hybrid, USD a year"] == pytest.approx(wanted.statement("hybrid").usd_per_year, rel=1e-9)
    assert shown["AWS at its best, USD a year"] == pytest.approx(wanted.statement("aws_best").usd_per_year, rel=1e-9)
    assert shown["capital bought, USD"] == pytest.approx(wanted.statement("hybrid").capex_usd)
    assert shown["NPV of the saving, USD"] == pytest.approx(wanted.npv_usd, rel=1e-9)
    assert shown["IRR a year"] == pytest.approx(wanted.irr, rel=1e-6)
    assert shown["payback, months"] == pytest.approx(wanted.payback_months, rel=1e-9)


@pytest.mark.libreoffice
def test_a_shorter_life_buys_again_and_fewer_nodes_leave_more_to_aws(report, soffice, tmp_path):
    path = tmp_path / "workbook.xlsx"
    write_workbook(path, report)
    shown = summary_of(recalculated(soffice, path, tmp_path, {"server_life_years": 4, "nodes_0": 40}))
    case = shipped_case(parameters=shipped_case().scenario.parameters | {"server_life_years": 4})
    steps = (report.steps[0].model_copy(update={"nodes": 40}),)
    wanted = compare_opponents(case, {"prod-bm": 40}, steps)
    assert shown["capital bought, USD"] == 612_800
    assert shown["hybrid, USD a year"] == pytest.approx(wanted.statement("hybrid").usd_per_year, rel=1e-9)
    assert shown["NPV of the saving, USD"] == pytest.approx(wanted.npv_usd, rel=1e-9)


def test_nothing_is_left_half_written_when_the_folder_cannot_be_written(report, tmp_path):
    target = Path(tmp_path / "file")
    target.write_text("in the way")
    with pytest.raises(OSError, match="file"):
        write_workbook(target / "workbook.xlsx", report)
    assert target.read_text() == "in the way"
