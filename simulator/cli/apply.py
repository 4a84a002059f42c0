"""`burstline apply`: show what an export would change in a cluster, and change it with --yes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from simulator.cli import json_option, print_json

if TYPE_CHECKING:
    from simulator.export.apply_report import ApplyPlan, ApplyReport

EXAMPLE = """\b
Examples:
  burstline apply manifests                    show the diff, write manifests/apply-plan.json
  burstline apply manifests --yes              apply what was shown
  burstline apply manifests --check            exit 5 when the cluster has drifted
  burstline apply manifests --rollback 3f2a9c1b --yes
"""


@click.command(epilog=EXAMPLE)
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--context", help="Context of the kubeconfig; needed when it holds several.")
@click.option("--kubeconfig", type=click.Path(path_type=Path), help="Kubeconfig; $KUBECONFIG or ~/.kube/config by default.")
@click.option("--yes", is_flag=True, help="Apply. Without it the cluster is only asked.")
@click.option("--check", is_flag=True, help="Compare the last applied set with the cluster; exit 5 when it has drifted.")
@click.option("--rollback", metavar="DIGEST", help="Go back to a set that was applied before.")
@click.option("--take", multiple=True, metavar="FIELD", help="Take this field from another manager (such as spec.limits.cpu).")
@click.option("--shrink", multiple=True, metavar="NAME", help="Confirm that this node group may lose nodes.")
@click.option("--prune", is_flag=True, help="Delete leftovers of earlier applies that are not node groups.")
@click.option("--delete-node-groups", multiple=True, metavar="NAME", help="Delete this retired node group once it has no nodes.")
@click.option("--keep-going", is_flag=True, help="Do not stop at the first refused object.")
@click.option("--wait/--no-wait", default=True, help="Wait for each stage to become ready.")
@click.option("--wait-timeout", type=float, default=300.0, show_default=True, metavar="SECONDS", help="Longest wait of a stage.")
@json_option
def command(folder: Path, context: str | None, kubeconfig: Path | None, as_json: bool, **options: Any) -> None:
    """Apply the manifests of FOLDER, as written by `burstline export`."""
    from simulator.export.apply import connect
    from simulator.export.apply_documents import load_folder

    wanted = load_folder(folder)
    with connect(context, kubeconfig) as cluster:
        click.echo(f"cluster {cluster.server} (context {cluster.context}) as {cluster.user}", err=True)
        if options["check"]:
            _check(cluster, wanted, as_json)
        else:
            _apply(cluster, wanted, folder, as_json, options)


def _check(cluster: Any, wanted: Any, as_json: bool) -> None:
    from simulator.export.apply_history import drift

    plan, found = drift(cluster, wanted)
    if as_json:
        print_json(plan.as_json() | {"drift": list(found)})
    else:
        for item in found:
            by = f" by {item.manager} ({item.operation}, {item.time})" if item.manager else ""
            click.echo(f"{item.kind}: {item.ref}{': ' + item.field if item.field else ''}{by}")
        click.echo(f"{len(found)} differences from the last applied set {plan.set_digest}")
    if found:
        raise click.exceptions.Exit(5)


def _apply(cluster: Any, wanted: Any, folder: Path, as_json: bool, options: dict[str, Any]) -> None:
    from models.errors import ApplyError
    from simulator.cli._bar import progress_bar
    from simulator.export.apply_history import check_shown, remember, stored_set
    from simulator.export.apply_plan import Choices, plan_apply
    from simulator.export.apply_run import RunOptions, run_plan

    if options["rollback"]:
        wanted = stored_set(cluster, wanted, options["rollback"])
    names = ("take", "shrink", "delete_node_groups", "prune", "rollback")
    choices = Choices(**{name: options[name] for name in names})
    with progress_bar() as progress:
        plan = plan_apply(cluster, wanted, choices, progress)
    if not as_json:
        _print_plan(plan)
    if plan.refused or not options["yes"]:
        if as_json:
            print_json(plan.as_json())
        if not options["yes"]:
            remember(folder, plan, choices, applied=False)
        if plan.refused:
            raise ApplyError(_refusals(plan))
        return
    check_shown(folder, plan, choices)
    run = RunOptions(keep_going=options["keep_going"], wait=options["wait"], wait_s=options["wait_timeout"])
    try:
        with progress_bar() as progress:
            report = run_plan(cluster, wanted, plan, run, progress)
    except ApplyError as error:
        if as_json and error.report is not None:
            print_json(error.report.as_json())  # type: ignore[attr-defined]
        raise
    remember(folder, plan, choices, applied=True)
    print_json(report.as_json()) if as_json else _print_report(report)


def _print_plan(plan: ApplyPlan) -> None:
    signs = {"created": "+", "configured": "~", "unchanged": "=", "retired": "-", "refused": "!"}
    for item in plan.objects:
        click.echo(f"{signs[item.action]} {item.action:<10} {item.ref}" + (f"  [{item.effect}]" if item.effect else ""))
        for change in item.changes:
            click.echo(f"      {change.path}: {_short(change.before)} -> {_short(change.after)}")
        for conflict in item.conflicts:
            click.echo(f"      {conflict.field}: owned by {conflict.manager}")
        for line in (item.reason, f"shared with {', '.join(item.shared_with)}" if item.shared_with else ""):
            if line:
                click.echo(f"      {line}")
    for skipped in plan.skipped:
        click.echo(f". skipped    {skipped.ref}: {skipped.reason}")
    click.echo(f"{len(plan.changed)} to change, {len(plan.refused)} refused, {len(plan.skipped)} skipped, of {len(plan.objects)}")


def _short(value: Any) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 120 else text[:117] + "..."


def _refusals(plan: ApplyPlan) -> str:
    lines = "\n".join(f"  {item.ref}: {item.reason}" for item in plan.refused)
    return f"{len(plan.refused)} objects are refused; nothing was written:\n{lines}"


def _print_report(report: ApplyReport) -> None:
    for line in report.waits:
        click.echo(f"note: {line}", err=True)
    click.echo(f"applied: {len(report.written)} objects written, set {report.plan.set_digest}")
