"""The plan that was shown, the sets that were applied, and what has drifted since.

`apply-plan.json` binds `--yes` to what a person saw: when the cluster would answer differently now, nothing is written.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from models.errors import ApplyError
from simulator.export import apply_set
from simulator.export.apply import Cluster
from simulator.export.apply_documents import PLAN_FILE, DesiredSet
from simulator.export.apply_fields import owner_of
from simulator.export.apply_plan import Choices, plan_apply
from simulator.export.apply_report import ApplyPlan, PlannedObject
from simulator.record import plain, to_json, write_text


def remember(folder: Path, plan: ApplyPlan, choices: Choices, *, applied: bool) -> None:
    """Write `apply-plan.json`. A plan that was shown and could be applied binds the next `--yes` with the same choices."""
    state = "applied" if applied else "refused" if plan.refused else "shown"
    document = {"state": state, "choices": choices, **plan.as_json(dry_run=not applied)}
    write_text(folder / PLAN_FILE, to_json(document) + "\n")


def check_shown(folder: Path, plan: ApplyPlan, choices: Choices) -> None:
    """Raise ApplyError when a plan was shown for these choices and the cluster or the folder has changed since."""
    path = folder / PLAN_FILE
    if not path.exists():
        return
    try:
        shown = json.loads(path.read_text(encoding="utf-8"))
        state, seen, asked = str(shown["state"]), str(shown["plan_digest"]), shown["choices"]
    except (ValueError, KeyError, TypeError) as error:
        raise ApplyError(f"{path}: a damaged plan ({error}); nothing was written: run the command without --yes to plan again") from None
    if state == "shown" and asked == plain(choices) and seen != plan.digest:
        raise ApplyError(
            f"{path}: the plan that was shown is out of date: the cluster or the export has changed since; nothing was written. "
            "Run the command without --yes to see the new plan"
        )


def stored_set(cluster: Cluster, wanted: DesiredSet, digest: str | None) -> DesiredSet:
    """A set that was applied before: by digest (a prefix of at least 6 hex digits will do), or the last one."""
    parent = cluster.get("v1", "ConfigMap", wanted.name, wanted.namespace)
    if parent is None or apply_set.foreign(parent, wanted):
        raise ApplyError(f"{cluster.server}: nothing was applied as {wanted.namespace}/{wanted.name} yet")
    data = parent.get("data") or {}
    name = str(data.get("set", "")) if digest is None else digest
    found = _find(cluster, wanted, name)
    if found is None:
        known = [str(data[key]) for key in ("set", "previous") if data.get(key)]
        raise ApplyError(f"no stored set {name or '(none)'}; the last ones are {', '.join(known) or 'none'}")
    return replace(wanted, objects=apply_set.restored(found))


def _find(cluster: Cluster, wanted: DesiredSet, digest: str) -> dict[str, Any] | None:
    wanted_hex = digest.removeprefix("sha256:")
    if len(wanted_hex) < 6:
        return None
    key = f"{wanted.label_prefix}/digest"
    for document in cluster.members("ConfigMap.", "app.kubernetes.io/managed-by", "burstline", [wanted.namespace]):
        annotations = document["metadata"].get("annotations") or {}
        ours = annotations.get(f"{wanted.label_prefix}/set") == wanted.name
        if ours and str(annotations.get(key, "")).removeprefix("sha256:").startswith(wanted_hex):
            return document
    return None


@dataclass(frozen=True, slots=True)
class Drift:
    """One difference from the last applied set. `fought`: somebody edited our field; `yielded`: another manager applies it
    now; `gone`: the object is not there."""

    ref: str
    kind: Literal["fought", "yielded", "gone"]
    field: str = ""
    manager: str = ""
    operation: str = ""
    time: str = ""


def drift(cluster: Cluster, wanted: DesiredSet) -> tuple[ApplyPlan, tuple[Drift, ...]]:
    """What differs from the last applied set, and who changed it when; read-only."""
    plan = plan_apply(cluster, stored_set(cluster, wanted, None), read_only=True)
    return plan, tuple(found for item in plan.objects for found in _drift(item))


def _drift(item: PlannedObject) -> list[Drift]:
    if item.action == "created":
        return [Drift(item.ref, "gone")]
    fields = [c.field for c in item.conflicts] or [change.path for change in item.changes]
    if not fields and item.action == "refused":
        fields = [""]
    return [_who(item, field) for field in fields]


def _who(item: PlannedObject, field: str) -> Drift:
    owner = owner_of(item.live or {}, field) if field else None
    if owner is None or owner.manager == item.manager:
        return Drift(item.ref, "fought", field or item.reason)
    kind: Literal["fought", "yielded"] = "yielded" if owner.operation == "Apply" else "fought"
    return Drift(item.ref, kind, field, owner.manager, owner.operation, owner.time)
