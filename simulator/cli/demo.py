"""`burstline demo`: the whole chain on the shipped case, offline."""

from __future__ import annotations

from pathlib import Path

import click

from simulator.cli import json_option, print_json


@click.command(epilog="\b\nExample:\n  burstline demo --out out/demo\n")
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), default=Path("out/demo"), show_default=True, help="Folder to write to."
)
@json_option
def command(out: Path, as_json: bool) -> None:
    """Generate a company, import its bill and usage, plan, simulate, price and export."""
    from simulator.cli._bar import progress_bar
    from simulator.cli._plan_view import show_plan
    from simulator.pipeline.demo import run_demo
    from simulator.pipeline.documents import plan_json

    with progress_bar() as progress:
        demo = run_demo(out, progress)
    if as_json:
        seconds = {name: round(value, 3) for name, value in demo.seconds.items()}
        print_json(
            {"plan": plan_json(demo.planned), "simulate": demo.simulated, "files": [str(path) for path in demo.files], "seconds": seconds}
        )
        return
    show_plan(demo.planned, demo.planned.scenario.language)
    manifests = sum("manifests" in path.parts for path in demo.files)
    written = [path.name for path in demo.files if "manifests" not in path.parts]
    click.echo(f"wrote {', '.join(written)} and {manifests} files of manifests/ below {out}")
    click.echo("seconds: " + ", ".join(f"{name} {value:.1f}" for name, value in demo.seconds.items()))
