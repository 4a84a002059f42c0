"""`burstline bench`: ratios measured side by side in one run, and agreement with the recordings."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import click

from simulator.cli import json_option, print_json

FAMILIES = {"speed": "bench_*.py", "fidelity": "fidelity_*.py", "advice": "advice_*.py"}


@click.command(epilog="\b\nExamples:\n  burstline bench speed\n  burstline bench speed --scale small --json\n")
@click.argument("family", type=click.Choice(list(FAMILIES)), default="speed")
@click.option(
    "--scale", type=click.Choice(["small", "full"]), default="full", show_default=True, help="Sizes: a smoke run, or the published ones."
)
@click.option("--only", help="Run only the benchmark files whose name holds this text.")
@json_option
def command(family: str, scale: str, only: str | None, as_json: bool) -> None:
    """Measure FAMILY in this checkout and print every ratio beside its target."""
    rows = [row for path in _files(family, only) for row in _rows(path, scale)]
    if as_json:
        print_json({"rows": rows})
    else:
        _show(rows)


def _files(family: str, only: str | None) -> list[Path]:
    from models.errors import InputError, Problem
    from simulator.catalog import data_folder

    folder = data_folder().parent / "tests" / "bench"
    found = sorted(path for path in folder.glob(FAMILIES[family]) if only is None or only in path.stem)
    if not found:
        raise InputError(
            Problem(str(folder), "no benchmark of this name", "run in a source checkout; benchmarks are not part of the wheel")
        )
    return found


def _rows(path: Path, scale: str) -> list[dict[str, Any]]:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    rows: list[dict[str, Any]] = module.rows(scale)
    return rows


def _show(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("name", "measured", "unit", "target", "passed")
    for row in rows:
        measured = row["measured"]
        text = f"{measured:,.4g}" if isinstance(measured, int | float) else str(measured)
        table.add_row(row["name"], text, row["unit"], str(row["target"]), {True: "yes", False: "NO", None: "-"}[row["passed"]])
    Console().print(table)
