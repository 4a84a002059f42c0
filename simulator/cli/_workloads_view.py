"""The scenario's own workloads in a simulation's printed answer."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table


def show_workloads(console: Console, workloads: dict[str, Any]) -> None:
    """One row for each, then what each kind has to say of its own."""
    table = Table(
        "workload", "kind", "pods", "most at once", "ready p50/p95/p99 s", "wait for a node p95 s", "image p95 s",
        title="Workloads of the scenario", title_justify="left",
    )  # fmt: skip
    for name, row in workloads.items():
        table.add_row(
            name,
            row["kind"],
            f"{row['pods']:,.0f}",
            f"{row['peak_pods']:,}",
            _three(row["ready_s"]),
            _p95(row["wait_s"]),
            _p95(row["pull_s"]),
        )
    console.print(table)
    for name, row in workloads.items():
        for line in _lines(row):
            console.print(f"{name}: {line}", highlight=False)


def show_platform(console: Console, platform: dict[str, Any]) -> None:
    """What a mesh and DaemonSets cost in nodes."""
    peak = platform["meshed_pods_peak"]
    for mesh, cost in platform["nodes_by_mesh"].items():
        chosen = " (chosen)" if mesh == platform["mesh"] else ""
        console.print(
            f"mesh {mesh}{chosen}: {peak:,.0f} pods carry {cost['memory_gb']:,.1f} GB and {cost['cores']:,.1f} cores of proxies; "
            f"{cost['nodes']} nodes of {platform['node']} in the fullest hour",
            highlight=False,
        )
    if platform["daemonsets"]:
        console.print(f"DaemonSets {', '.join(platform['daemonsets'])}: {platform['daemonset_delta_nodes']:+d} nodes", highlight=False)


def _lines(row: dict[str, Any]) -> list[str]:
    found = []
    for growth in row.get("scale_outs", [])[:5]:
        ready = growth["load_to_ready_s"]
        took = "never all ready" if ready is None else f"all ready {ready:,.0f} s after the load changed"
        found.append(f"{growth['from']} to {growth['to']} replicas at {growth['at_s']:,.0f} s, {took}")
    more = len(row.get("scale_outs", [])) - 5
    found += [f"and {more} more growths"] if more > 0 else []
    found += [f"a new version took {seconds:,.0f} s" for seconds in row.get("rollouts_s", [])[:5]]
    room = row["headroom"]
    if room["surge_pods"]:
        found.append(f"new versions need room for {room['surge_pods']} pods more: {_nodes(room['surge_nodes'])}")
    found += [
        f"warm head-room in {pool}: {nodes} nodes for {room['warm_pods'][pool]} pods within {room['window_s'][pool]:,.0f} s"
        for pool, nodes in room["warm_nodes"].items()
        if nodes
    ]
    if "runs" in row:
        counts = ", ".join(f"{row['runs'][key]:,.0f} {key.replace('_', ' ')}" for key in row["runs"] if _counted(row, key))
        found.append(f"runs: {counts or 'none'}; started {_three(row['runs']['start_delay_s'])} s (p50/p95/p99) after they were due")
    return found


def _counted(row: dict[str, Any], key: str) -> bool:
    return key != "start_delay_s" and bool(row["runs"][key])


def _nodes(nodes: dict[str, int]) -> str:
    return " or ".join(f"{count} nodes of {pool}" for pool, count in nodes.items())


def _three(values: dict[str, float] | None) -> str:
    return "-" if values is None else f"{values['p50']:,.1f} / {values['p95']:,.1f} / {values['p99']:,.1f}"


def _p95(values: dict[str, float] | None) -> str:
    return "-" if values is None else f"{values['p95']:,.1f}"
