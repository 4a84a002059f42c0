"""Files of the finance stage: the plan that is read, the workbook and the ledger that are written."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from models.errors import Problem, ScenarioError
from models.plan import BuildPlan
from simulator.finance.focus import write_ledger
from simulator.finance.ledger import ledger
from simulator.finance.report import FinanceReport
from simulator.finance.workbook import write_workbook


def read_plan(path: Path) -> BuildPlan:
    """A plan document; every problem of a broken one is named."""
    try:
        plan = BuildPlan.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise ScenarioError(Problem(str(path), "no such file", "write one with `burstline plan`")) from None
    except OSError as error:
        raise ScenarioError(Problem(str(path), type(error).__name__, "give a readable plan.json")) from None
    except ValidationError as error:
        places = [(".".join(str(step) for step in item["loc"]) or "document", item["msg"]) for item in error.errors()]
        raise ScenarioError([Problem(f"{path}: {place}", text, "write it again with `burstline plan`") for place, text in places]) from None
    if plan.digest and plan.sealed().digest != plan.digest:
        raise ScenarioError(Problem(str(path), "a digest that does not fit the document", "do not edit plans; write it again"))
    return plan


def write_files(folder: Path, report: FinanceReport) -> list[str]:
    """Write workbook.xlsx and focus.csv; returns their paths."""
    workbook, rows = folder / "workbook.xlsx", folder / "focus.csv"
    write_workbook(workbook, report)
    write_ledger(rows, ledger(report), report.case)
    return [str(workbook), str(rows)]
