"""Carrying out a plan: inventory first, then stage by stage, then the inventory again; and what a person may ask besides.

A crash at any point leaves the inventory naming everything that may exist, so the next apply completes the work. Nothing
is written when nothing changes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from models.errors import ApplyError
from simulator.export import apply_set
from simulator.export.apply import Cluster, Refusal
from simulator.export.apply_diff import differences, without_server_fields
from simulator.export.apply_documents import MANAGER, DesiredSet, namespaces_of
from simulator.export.apply_handover import HANDOVER
from simulator.export.apply_plan import explain
from simulator.export.apply_report import ApplyPlan, ApplyReport, PlannedObject
from simulator.export.apply_wait import readiness, waits_for
from simulator.progress import SILENT, Progress


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How to carry out a plan; waits are bounded by `wait_s` a stage, and by `silence_s` where no controller speaks."""

    keep_going: bool = False
    wait: bool = True
    wait_s: float = 300.0
    silence_s: float = 5.0
    poll_s: float = 0.5


def run_plan(
    cluster: Cluster,
    wanted: DesiredSet,
    plan: ApplyPlan,
    options: RunOptions | None = None,
    progress: Progress = SILENT,
    clock: Callable[[], float] = time.monotonic,
) -> ApplyReport:
    """Write what the plan changes. Raises ApplyError with the partial report when the server refuses something."""
    options = options or RunOptions()
    if plan.refused:
        raise ApplyError(f"{len(plan.refused)} objects are refused; nothing was written", ApplyReport(plan, (), {}))
    changed = plan.changed
    first = [item for item in changed if item.document is not None and not _is_member(item)]
    written = [_write(cluster, item) for item in first]
    _record(cluster, wanted, plan, "applying", bool(changed))
    failed: dict[str, str] = {}
    waits: list[str] = []
    rest = [item for item in changed if item not in first]
    progress.stage("apply", len(rest))
    for stage in sorted({item.stage for item in rest}):
        batch = [item for item in rest if item.stage == stage]
        for item in batch:
            try:
                written.append(_write(cluster, item))
            except Refusal as refusal:
                failed[item.ref] = explain(refusal)
                if not options.keep_going:
                    break
            except ApplyError as error:
                raise ApplyError(str(error), ApplyReport(plan, tuple(written), {**failed, item.ref: str(error)})) from None
            progress.advance()
        if failed and not options.keep_going:
            break
        if options.wait:
            waits += _wait(cluster, batch, options, clock)
    report = ApplyReport(plan, tuple(written), failed, tuple(waits))
    if failed:
        lines = "\n".join(f"  {ref}: {reason}" for ref, reason in failed.items())
        raise ApplyError(f"{len(failed)} of {len(changed)} objects were refused, {len(written)} written:\n{lines}", report)
    _record(cluster, wanted, plan, "applied", bool(changed))
    return report


def _is_member(item: PlannedObject) -> bool:
    return (item.document or {}).get("kind") != "Namespace"


def _write(cluster: Cluster, item: PlannedObject) -> str:
    if item.delete:
        cluster.delete(item.live or {}, dry_run=False)
    elif item.patch is not None:
        cluster.merge(item.live or {}, item.patch, item.manager, dry_run=False)
    else:
        if item.handover is not None:
            cluster.apply(item.handover, HANDOVER, dry_run=False)
        cluster.apply(item.document or {}, item.manager, dry_run=False, force=bool(item.taken))
    return item.ref


def _record(cluster: Cluster, wanted: DesiredSet, plan: ApplyPlan, state: str, changed: bool) -> None:
    """Bring the inventory to `state`; group-kinds grow before the first write and shrink after the last one."""
    live = cluster.get("v1", "ConfigMap", wanted.name, wanted.namespace)
    settled = bool(live) and ((live or {}).get("data") or {}).get("state") == "applied"
    if state == "applying" and not changed and settled:
        return
    served = {item.ref for item in plan.objects}
    kinds = apply_set.group_kinds(item for item in wanted.objects if item.ref in served)
    kinds |= {_group_kind(item) for item in plan.objects if item.document is None and not item.delete}
    if state == "applying":
        kinds |= apply_set.listed(live, "contains-group-kinds")
        kept = cluster.get("v1", "ConfigMap", apply_set.stored_name(wanted, wanted.digest), wanted.namespace)
        if kept is None:
            cluster.apply(apply_set.stored(wanted), MANAGER, dry_run=False, force=True)
    data = {"set": wanted.digest, "previous": plan.previous, "plan": wanted.plan, "state": state}
    document = apply_set.parent(wanted, kinds, namespaces_of(wanted), {key: value for key, value in data.items() if value})
    if live is not None and not _differs(cluster, document, live):
        return
    cluster.apply(document, MANAGER, dry_run=False)


def _differs(cluster: Cluster, document: Mapping[str, Any], live: Mapping[str, Any]) -> bool:
    result = cluster.apply(document, MANAGER, dry_run=True)
    return any(differences(without_server_fields(live), without_server_fields(result)))


def _group_kind(item: PlannedObject) -> str:
    live = item.live or {}
    version = str(live["apiVersion"])
    return f"{live['kind']}.{version.split('/')[0]}" if "/" in version else str(live["kind"])


def _wait(cluster: Cluster, batch: Sequence[PlannedObject], options: RunOptions, clock: Callable[[], float]) -> list[str]:
    """Wait until the stage is ready, its time is up, or nobody seems to work on it; one line per object that is not ready."""
    waiting = {item.ref: item for item in batch if item.document is not None and waits_for(item.document["kind"])}
    start, notes = clock(), []
    while waiting:
        elapsed = clock() - start
        for ref, item in list(waiting.items()):
            document = item.document or {}
            metadata = document["metadata"]
            live = cluster.get(document["apiVersion"], document["kind"], metadata["name"], metadata.get("namespace", ""))
            found = readiness(live)
            if found.state == "failed":
                raise ApplyError(f"{ref}: {found.reason}; the later stages were not written")
            late = elapsed >= (options.silence_s if found.state == "silent" else options.wait_s)
            if found.state == "ready" or late:
                del waiting[ref]
                if found.state != "ready":
                    notes.append(f"{ref}: not ready after {elapsed:.0f} s: {found.reason}")
        if waiting:
            time.sleep(options.poll_s)
    return notes
