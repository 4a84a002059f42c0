"""How a simulation is told on a terminal, in the scenario's language, and its timeline as a figure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.wording_tables import Say, say_known, speaker

if TYPE_CHECKING:
    from models.outcome import RunResult
    from simulator.wording import Language


def show_outcome(document: Mapping[str, Any], private: Mapping[str, int], language: Language) -> None:
    """Zones, waits by class, burst, failures, files."""
    from rich.console import Console

    from simulator.cli._workloads_view import show_platform, show_workloads

    console, say = Console(), speaker(language)
    built = ", ".join(f"{zone} {count}" for zone, count in private.items())
    head = {"pods": document["pods"], "replications": document["replications"], "wall_s": document["wall_s"]}
    console.print(say("{pods:,} pods on {built} private nodes, {replications} replications, {wall_s:.1f} s", built=built, **head))
    console.print(_zones(document, say))
    console.print(_waits(document, say))
    burst = document["intervals"]["burst_node_hours"]
    console.print(say("burst: {mean:,.0f} node hours +- {half_width:,.0f} (95 %)", **burst))
    moved = dict(document["evictions_by"])
    counts = {"failures": document["failures"], "evictions": moved.pop("failure", 0.0)}
    console.print(say("failures: {failures:.1f}, pods moved by them: {evictions:.1f}", **counts))
    for cause, count in moved.items():
        console.print(say("pods moved by {cause}: {count:,.0f}", cause=cause, count=count))
    if document["egress_gb"]:
        console.print(say("data between the sides: {gb:,.0f} GB", gb=document["egress_gb"]))
    for done in document["upgrades"]:
        console.print(say("rolling upgrade of {zone}: {hours:.1f} h", **done))
    left = {"unplaced": document["unplaced"], "error": document["conservation_error"]}
    console.print(say("never placed: {unplaced:.0f}; conservation error: {error:.1e}", **left))
    if document.get("workloads"):
        show_workloads(console, document["workloads"], say)
    if "platform" in document:
        show_platform(console, document["platform"], say)
    for path in document["files"]:
        console.print(say("wrote {path}", path=path), highlight=False)


def _table(title: str, *columns: str) -> Any:
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for index, name in enumerate(columns):
        table.add_column(name, justify="left" if index == 0 else "right")
    return table


def _zones(document: Mapping[str, Any], say: Say) -> Any:
    names = ("zone", "node hours", "utilisation", "pods placed", "failures", "energy, kWh")
    table = _table(say("Means over replications"), *map(say, names))
    for zone, row in document["zones"].items():
        kwh = f"{row['kwh']:,.0f}" if row["kwh"] else "-"
        cells = (f"{row['node_hours']:,.0f}", f"{row['utilisation']:.1%}", f"{row['pods_placed']:,.0f}", f"{row['failures']:.1f}", kwh)
        table.add_row(zone, *cells)
    return table


def _waits(document: Mapping[str, Any], say: Say) -> Any:
    """Percentiles over all pods, and by class where there are several."""
    table = _table(say("Seconds until a pod runs"), *map(say, ("class", "half of the pods", "95 %", "99 %")))
    classes = document["pending_by_class_s"]
    rows = {say("all"): document["pending_s"]}
    rows |= {say_known(say, name): waits for name, waits in classes.items()} if len(classes) > 1 else {}
    for name, waits in rows.items():
        table.add_row(name, *(f"{waits[q]:,.1f}" for q in ("p50", "p95", "p99")))
    return table


def timeline_html(run: RunResult, language: Language) -> str:
    """The fleet in its busiest week as a page of its own that needs no network."""
    from simulator import charts
    from simulator.pipeline.documents import busiest_week
    from simulator.wording import words

    week, own = busiest_week(run), np.array(run.private, dtype=bool)
    figure = charts.fleet_timeline(
        run.horizon.times()[week],
        run.busy_cpu_h[week][:, own].sum(axis=1),
        run.busy_cpu_h[week][:, ~own].sum(axis=1),
        np.asarray(run.node_hours[week][:, own] @ np.asarray(run.node_cpu)[own]),
        run.pending_cpu_h[week],
        words=words(language),
    )
    heading = {"text": speaker(language)("The fleet in its busiest week"), "y": 0.97, "yanchor": "top"}
    figure.update_layout(title=heading, margin={"t": 96}, height=480)
    return str(figure.to_html(include_plotlyjs=True, full_html=True, div_id="timeline"))
