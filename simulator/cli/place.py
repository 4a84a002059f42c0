"""`burstline place`: where each pending pod of a cluster goes, and why."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from simulator.cli import json_option, print_json

if TYPE_CHECKING:
    from simulator.engine.kube.place import Placement
    from simulator.engine.kube.scheduler_config import Profile

STRATEGIES = ("LeastAllocated", "MostAllocated", "RequestedToCapacityRatio")
NAMES = 5
"""Pods named in a line before it ends in dots; `--json` names all."""

OLDEST, NEWEST = 28, 37
VERSION = re.compile(r"v?1\.([0-9]{1,3})(\.[0-9]+([-+].+)?)?")
FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.argument("cluster", type=FILE)
@click.option("--pods", "pods_file", type=FILE, help="More pods, such as the ones about to be created.")
@click.option("--follow", is_flag=True, help="Score pods of --pods that name a node like the others, then put them there.")
@click.option("--grow", "groups_file", type=FILE, help="Node groups and flags: what the autoscaler would add for the rest.")
@click.option("--config", "config_file", type=FILE, help="KubeSchedulerConfiguration: weights, strategies, disabled plug-ins.")
@click.option("--kubernetes", default="1.36", show_default=True, help="Version whose scoring formulas apply, 1.28 to 1.37.")
@click.option("--strategy", type=click.Choice(STRATEGIES), help="Scoring strategy of NodeResourcesFit.  [default: LeastAllocated]")
@click.option("--ties", type=click.Choice(["lowest", "random"]), default="lowest", show_default=True, help="Choice among equal totals.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="For --ties random.")
@click.option(
    "--percentage",
    type=click.IntRange(0, 100),
    help="percentageOfNodesToScore; 0 adapts to the size as the real default does.  [default: 100, every node]",
)
@click.option("--top", type=click.IntRange(0), default=0, help="Show scores of that many best nodes only; 0 shows all.")
@click.option("--explain", metavar="POD", help="Print every score and refusal of one pod (name or namespace/name).")
@json_option
def command(
    cluster: Path,
    pods_file: Path | None,
    follow: bool,
    groups_file: Path | None,
    config_file: Path | None,
    kubernetes: str,
    strategy: str | None,
    ties: str,
    seed: int,
    percentage: int | None,
    top: int,
    explain: str | None,
    as_json: bool,
) -> None:
    """Place the pending pods of CLUSTER as kube-scheduler would, with every score and every reason.

    CLUSTER holds Nodes and Pods as kubectl prints them (YAML or JSON). Services, ReplicaSets, StatefulSets, Namespaces,
    PriorityClasses and PodDisruptionBudgets are used when the file holds them. What is not modelled is named.

    \b
    Example:
      kubectl get nodes,pods,services,replicasets,namespaces -A -o yaml > cluster.yaml
      burstline place cluster.yaml --pods new-pods.yaml
    """
    from simulator.cli._bar import progress_bar
    from simulator.engine.kube.objects_reader import Objects, read_files
    from simulator.engine.kube.place import PlaceOptions, place

    snapshot = read_files([cluster])
    incoming = read_files([pods_file], snapshot) if pods_file else Objects()
    profile = _profile(config_file, kubernetes, strategy)
    options = PlaceOptions(
        settings=profile.settings,
        ties="random" if ties == "random" else "lowest",
        seed=seed,
        percentage=next((share for share in (percentage, profile.percentage) if share is not None), 100),
        follow=follow,
        nodes_needed=groups_file is None,
    )
    with progress_bar() as progress:
        placement = place(snapshot, incoming, options, progress)
    growth = _growth(placement, groups_file)
    growth["warnings"] += profile.warnings
    if as_json:
        from simulator.engine.kube.place_report import placement_document

        document = placement_document(placement, top)
        warnings = [*document.pop("warnings"), *growth.pop("warnings")]
        print_json({**document, **growth, "warnings": warnings})
    else:
        _show(placement, growth, explain, top)


def _profile(config_file: Path | None, kubernetes: str, strategy: str | None) -> Profile:
    """Settings of the configuration file, or the default profile; `strategy` goes before the file."""
    from dataclasses import replace

    from simulator.engine.kube.plugins import Settings
    from simulator.engine.kube.scheduler_config import Profile, read_profile

    base = Settings(kubernetes_minor=_minor(kubernetes))
    profile = read_profile(config_file, base) if config_file else Profile(base, None, ())
    return replace(profile, settings=replace(profile.settings, fit_strategy=strategy)) if strategy else profile


def _minor(version: str) -> int:
    """Minor number of a Kubernetes version such as 1.36 or v1.35.2."""
    found = VERSION.fullmatch(version)
    if found is None or not OLDEST <= int(found[1]) <= NEWEST:
        raise click.BadParameter(f"{version!r} is not among the versions modelled, 1.{OLDEST} to 1.{NEWEST}", param_hint="--kubernetes")
    return int(found[1])


def _growth(placement: Placement, groups_file: Path | None) -> dict[str, Any]:
    """What the autoscaler would add for the pods that found no node; empty without groups."""
    if groups_file is None:
        return {"plans": [], "nodes_after": {}, "warnings": []}
    from simulator.engine.autoscalers.place_growth import growth_of

    return growth_of(placement, groups_file)


def _show(placement: Placement, growth: dict[str, Any], explain: str | None, top: int) -> None:
    from models.errors import UnknownName
    from simulator.cli._console import console as standard_output

    console = standard_output()
    if explain is None and not placement.pods:
        running = sum(map(len, placement.cluster.pods))
        console.print(f"no pod is pending; {running} run on {len(placement.cluster)} nodes")
    elif explain is None:
        console.print(_summary(placement))
    else:
        found = [answer for answer in placement.pods if explain in (answer.pod.name, answer.pod.key)]
        if not found:
            raise UnknownName("pod", explain, [answer.pod.key for answer in placement.pods])
        for answer in found:
            _explain(console, placement, answer, top)
    for group, before, after, most in (step for plan in growth["plans"] for step in plan):
        console.print(f"grow {group}: {before} -> {after} nodes" + ("" if most is None else f" (at most {most})"))
    for line in _chance(growth.get("courses") or ()):
        console.print(line, highlight=False)
    if left := growth.get("still_pending"):
        console.print(f"no growth helps {len(left)} of the pods: {', '.join(left[:NAMES])}{', ...' if len(left) > NAMES else ''}")
    for warning in (*placement.warnings, *growth["warnings"]):
        click.echo(f"note: {warning}", err=True)


def _chance(courses: Sequence[dict[str, Any]]) -> list[str]:
    """How often this course was seen, and the next most frequent one."""
    if len(courses) < 2:
        return []
    ways = [", then ".join(" and ".join(f"{g} {a} to {b}" for g, a, b, _ in plan) for plan in course["plans"]) for course in courses[:2]]
    return [f"so in {courses[0]['share']:.0%} of the runs; next most often ({courses[1]['share']:.0%}): {ways[1] or 'nothing'}"]


def _summary(placement: Placement) -> Any:
    from rich.table import Column, Table

    from simulator.engine.kube.place_report import pod_document

    table = Table(*(Column(heading, overflow="fold") for heading in ("pod", "node", "total", "as good", "why")))
    for answer in placement.pods:
        document = pod_document(answer, placement.cluster, 1)
        others = max(len(document["best"]) - 1, 0)
        left = f"in place of {', '.join(answer.preempted)}" if answer.preempted else ""
        total = "" if document["total"] is None else str(document["total"])
        table.add_row(answer.pod.key, answer.node or "pending", total, str(others or ""), left or answer.message)
    return table


def _explain(console: Any, placement: Placement, answer: Any, top: int) -> None:
    from rich.table import Column, Table

    from simulator.engine.kube.place_report import pod_document

    document = pod_document(answer, placement.cluster, top)
    plugins = list(next(iter(document["scores"].values()), {}))
    console.print(f"{answer.pod.key}: {answer.node or 'pending'} {answer.message}".rstrip())
    scores = Table(Column("node", overflow="fold"), "total")
    for plugin in plugins:
        scores.add_column(plugin, overflow="fold")
    for node, parts in document["scores"].items():
        scores.add_row(node, str(document["totals"][node]), *(str(parts[plugin]) for plugin in plugins))
    if document["scores"]:
        console.print(scores)
    refusals = Table(Column("node", overflow="fold"), "refused because")
    for node, reason in document["refused"].items():
        refusals.add_row(node, reason)
    if document["refused"]:
        console.print(refusals)
