"""`burstline replay`: a demand curve against node groups and autoscaler settings, second by second."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from simulator.cli import json_option, print_json

if TYPE_CHECKING:
    from simulator.engine.autoscalers.replay import Replay

FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.argument("file", type=FILE)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Ties, latencies and phases of the run.")
@click.option("--seeds", type=click.IntRange(1), default=1, show_default=True, help="Run that many seeds from --seed on; show the spread.")
@click.option("--compare", is_flag=True, help="Measure the distance to the recorded `runs` of the file.")
@click.option("--figure", type=FILE, help="Write nodes per group over time to this HTML file.")
@json_option
def command(file: Path, seed: int, seeds: int, compare: bool, figure: Path | None, as_json: bool) -> None:
    """Replay FILE: pod shapes with replicas by second against Cluster Autoscaler groups or Karpenter pools.

    FILE (YAML or JSON) holds `shapes` and `replicas_by_second`, and for Cluster Autoscaler `groups`, `flags` and
    `priorities`, or for Karpenter `pools`, `instance_types`, `owned_nodes`, `overhead`, `batch` and `affinity`.
    What is not modelled is named as a warning.

    \b
    Example:
      burstline replay tests/recordings/cluster-autoscaler/private-first.json
      burstline replay curve.yaml --seeds 20 --figure nodes.html
    """
    from simulator.engine.autoscalers.replay import replay
    from simulator.engine.autoscalers.replay_file import read_document

    document = read_document(file)
    runs = [replay(document, seed + at, str(file)) for at in range(seeds)]
    agreements = _agreement(document, runs) if compare else {}
    if figure is not None:
        from simulator.engine.autoscalers.replay_figure import figure_html
        from simulator.record import write_text

        write_text(figure, figure_html(runs, document.get("scenario") or file.stem))
    if as_json:
        spread = {"seeds": [{"seed": seed + at, **_summary(run)} for at, run in enumerate(runs)]} if seeds > 1 else {}
        print_json({**runs[0].document(), **spread, **agreements})
    else:
        _show(runs, agreements)


def _agreement(document: dict[str, Any], runs: list[Replay]) -> dict[str, Any]:
    """Distance to the recorded runs, empty when the file holds none."""
    from simulator.engine.autoscalers.replay_agreement import agreement

    real = [run["samples"] for run in document.get("runs") or () if "samples" in run]
    if not real:
        raise click.UsageError("--compare needs recorded `runs` in the file")
    found = agreement(real, [run.document()["samples"] for run in runs])
    return {"agreement": {"distance": found.ours, "real_distance": found.real, "limit": found.limit, "outside": found.outside}}


def _summary(run: Replay) -> dict[str, Any]:
    price = {} if run.mean_usd_per_h is None else {"mean_usd_per_h": run.mean_usd_per_h}
    return {"node_seconds": run.node_seconds(), "nodes_at_end": run.nodes_at_end(), **price}


def _show(runs: list[Replay], agreements: dict[str, Any]) -> None:
    """Tables of what happened, warnings to stderr."""
    from rich.table import Table

    from simulator.cli._console import console as standard_output

    first, console = runs[0], standard_output()
    table = Table(title="Nodes per group", show_edge=False)
    for heading in ("group", "most", "mean", "at the end", "node-seconds, all seeds"):
        table.add_column(heading, justify="left" if heading == "group" else "right", overflow="fold")
    for at, group in enumerate(first.groups, start=1):
        values = [row[at] for row in first.rows]
        seconds = [run.node_seconds().get(group, 0.0) for run in runs]
        spread = f"{min(seconds):,.0f}" if len(runs) == 1 else f"{min(seconds):,.0f} to {max(seconds):,.0f}"
        table.add_row(group, f"{max(values):.0f}", f"{sum(values) / len(values):.2f}", f"{values[-1]:.0f}", spread)
    console.print(table)
    waiting = first.pending()
    console.print(
        f"pods pending: most {max(waiting):.0f}, mean {sum(waiting) / len(waiting):.2f}, at the end {waiting[-1]:.0f}", highlight=False
    )
    for up in first.scale_ups:
        moves = ", ".join(f"{group} {before} to {after}" for group, before, after, _ in up["plan"])
        console.print(f"{up['second']:9.2f} s  + {moves}", highlight=False)
    for down in first.scale_downs:
        console.print(f"{down['second']:9.2f} s  - {down['node']}", highlight=False)
    if agreements:
        found = agreements["agreement"]
        console.print(f"distance to recorded runs {found['distance']:.2f} nodes, limit {found['limit']:.2f}", highlight=False)
    for warning in first.warnings:
        click.echo(f"warning: {warning}", err=True)
