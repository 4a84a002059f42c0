"""Reading plan.json back: validated, its digest checked, every problem in one message."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import ValidationError

from models.errors import InputError, Problem
from models.plan import BuildPlan


def read_plan(path: Path) -> BuildPlan:
    """The plan of a file; refuses what is missing, damaged, of another shape, or edited after it was sealed."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(Problem(str(path), error.strerror or "unreadable", "name a plan.json written by `burstline plan`")) from None
    except ValueError as error:
        raise InputError(Problem(str(path), f"not JSON ({error})", "write the plan again with `burstline plan`")) from None
    try:
        plan = BuildPlan.model_validate(document)
    except ValidationError as error:
        problems = [
            Problem(
                f"{path}: {'.'.join(map(str, item['loc']))}",
                "nothing" if item["type"] == "missing" else repr(item["input"])[:80],
                item["msg"],
            )
            for item in error.errors()
        ]
        raise InputError(problems) from None
    if plan.digest != plan.sealed().digest:
        found = f"{plan.digest or 'nothing'}, but the contents give {plan.sealed().digest}"
        raise InputError(Problem(f"{path}: digest", found, "the plan was changed after it was written: plan again"))
    return plan
