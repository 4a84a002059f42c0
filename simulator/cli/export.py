"""`burstline export`: a plan becomes node pools and autoscaler settings in a folder."""

from __future__ import annotations

from pathlib import Path

import click

from simulator.cli import json_option, print_json

EXAMPLE = """\b
Examples:
  burstline export plan.json
  burstline export plan.json --target cluster_api --target cluster_autoscaler --target eks_node_group --out manifests
"""


@click.command(epilog=EXAMPLE)
@click.argument("plan", type=click.Path(path_type=Path))
@click.option("--target", "targets", multiple=True, metavar="T", help="Only these targets; all of the plan's burst mode by default.")
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), default=Path("manifests"), show_default=True, help="Folder to write."
)
@json_option
def command(plan: Path, targets: tuple[str, ...], out: Path, as_json: bool) -> None:
    """Write PLAN (a plan.json) as manifests, checked, ready for `burstline apply` or for Git."""
    from rich.console import Console
    from rich.table import Table

    from simulator.export.bundle import export_bundle, write_bundle
    from simulator.export.planfile import read_plan

    bundle = export_bundle(read_plan(plan), targets)
    write_bundle(bundle, out)
    if as_json:
        print_json(bundle.as_json() | {"out": str(out)})
        return
    table = Table("file", "kind", "target", title=f"{len(bundle.files)} files in {out} ({bundle.plan.burst_mode})", title_justify="left")
    for file in bundle.files:
        table.add_row(file.path, file.kind, file.target)
    console = Console()
    console.print(table)
    for line in bundle.warnings:
        click.echo(f"note: {line}")
