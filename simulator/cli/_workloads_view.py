"""The scenario's own workloads in a simulation's printed answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from models.unknown import Unknown
from simulator.wording_tables import Say

SHOWN = 5
"""Growths and releases of one workload that are told one by one."""

Row = Mapping[str, Any]


def show_workloads(console: Console, workloads: Mapping[str, Row], say: Say) -> None:
    """One row for each, then what each has to say of its own."""
    table = Table(title=say("Workloads of the scenario"), title_justify="left")
    names = ("workload", "pods", "most at once", "ready p95, s", "wait for a node p95, s", "image p95, s")
    for index, name in enumerate(map(say, names)):
        table.add_column(name, justify="left" if index == 0 else "right")
    for name, row in workloads.items():
        seconds = (_p95(row[key]) for key in ("ready_s", "wait_s", "pull_s"))
        table.add_row(name, f"{row['pods']:,.0f}", f"{row['peak_pods']:,}", *seconds)
    console.print(table)
    for name, row in workloads.items():
        for line in (*_growths(row, say), *_headroom(row, say), *_runs(row, say)):
            console.print(f"{name}: {line}", highlight=False)


def show_platform(console: Console, platform: Row, say: Say) -> None:
    """What a mesh, beside no mesh, and DaemonSets cost in nodes."""
    shown = platform["nodes_by_mesh"] if platform["mesh"] != "none" else {}
    for mesh, cost in shown.items():
        chosen = " *" if mesh == platform["mesh"] else ""
        values = {"mesh": mesh + chosen, "pods": platform["meshed_pods_peak"], "node": platform["node"], **cost}
        text = say(
            "mesh {mesh}: proxies of {pods:,.0f} pods take {memory_gb:,.1f} GB and {cores:,.1f} cores; {nodes} nodes of {node} at the peak",
            **values,
        )
        console.print(text, highlight=False)
    if platform["daemonsets"]:
        names, more = ", ".join(platform["daemonsets"]), platform["daemonset_delta_nodes"]
        console.print(say("DaemonSets {names}: {more:+d} nodes", names=names, more=more), highlight=False)


def _growths(row: Row, say: Say) -> list[str]:
    found = []
    growths, releases = row.get("scale_outs", []), row.get("rollouts_s", [])
    for growth in growths[:SHOWN]:
        values = {"before": growth["from"], "after": growth["to"], "at_s": growth["at_s"], "ready": growth["load_to_ready_s"]}
        if isinstance(growth["load_to_ready_s"], Unknown):
            found.append(say("{before} to {after} replicas at {at_s:,.0f} s, never all ready", **values))
        else:
            text = "{before} to {after} replicas at {at_s:,.0f} s, all ready {ready:,.0f} s after the load changed"
            found.append(say(text, **values))
    if len(growths) > SHOWN:
        found.append(say("and {count} more growths", count=len(growths) - SHOWN))
    found += [say("a new version took {seconds:,.0f} s", seconds=seconds) for seconds in releases[:SHOWN]]
    return found


def _headroom(row: Row, say: Say) -> list[str]:
    room, found = row["headroom"], []
    if room["surge_pods"]:
        nodes = ", ".join(f"{pool} {count}" for pool, count in room["surge_nodes"].items())
        found.append(say("new versions need room for {pods} more pods, in nodes: {nodes}", pods=room["surge_pods"], nodes=nodes))
    for pool, nodes in room["warm_nodes"].items():
        if nodes:
            values = {"pool": pool, "nodes": nodes, "pods": room["warm_pods"][pool], "seconds": room["window_s"][pool]}
            found.append(say("warm head-room in {pool}: {nodes} nodes for {pods} pods within {seconds:,.0f} s", **values))
    return found


def _runs(row: Row, say: Say) -> list[str]:
    if "runs" not in row:
        return []
    runs = row["runs"]
    late = {"delay": _p95(runs["start_delay_s"])}
    counts = {key: runs[key] for key in ("completed", "running", "waiting", "failed", "timed_out", "skipped", "restarts")}
    text = (
        "runs: {completed:,.0f} completed, {running:,.0f} running, {waiting:,.0f} waiting, {failed:,.0f} failed, {timed_out:,.0f} gave up, "
        "{skipped:,.0f} skipped, {restarts:,.0f} started over; 95 % began within {delay} s"
    )
    return [say(text, **counts, **late)]


def _p95(values: Mapping[str, float] | Unknown) -> str:
    return "-" if isinstance(values, Unknown) else f"{values['p95']:,.1f}"
