"""Values of an apply: planned objects, the plan that was shown, and the report; and their JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from simulator.export.apply_diff import Change, digest

Action = Literal["created", "configured", "unchanged", "retired", "refused"]


@dataclass(frozen=True, slots=True)
class Conflict:
    """A field that another manager owns with another value."""

    field: str
    manager: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class PlannedObject:
    """What an apply would do to one object. `digest` covers the live object and the result of the dry run."""

    ref: str
    action: Action
    manager: str
    stage: int
    digest: str
    changes: tuple[Change, ...] = ()
    effect: str = ""
    fewer_nodes: int = 0
    reason: str = ""
    conflicts: tuple[Conflict, ...] = ()
    shared_with: tuple[str, ...] = ()
    taken: tuple[str, ...] = ()
    verified: bool = True
    live: Mapping[str, Any] | None = field(default=None, compare=False)
    document: Mapping[str, Any] | None = field(default=None, compare=False)
    handover: Mapping[str, Any] | None = field(default=None, compare=False)
    patch: Mapping[str, Any] | None = field(default=None, compare=False)
    delete: bool = False

    def as_json(self) -> dict[str, Any]:
        """Keys of one entry of `objects`."""
        return {
            "ref": self.ref,
            "action": self.action,
            "manager_conflicts": [{"field": c.field, "manager": c.manager} for c in self.conflicts],
            "changes": [{"path": c.path, "before": c.before, "after": c.after} for c in self.changes],
            "effect": self.effect,
            "reason": self.reason,
            "field_manager": self.manager,
            "shared_with": list(self.shared_with),
            "taken": list(self.taken),
            "verified": self.verified,
        }


@dataclass(frozen=True, slots=True)
class Skipped:
    """An object left out because the cluster does not serve its kind."""

    ref: str
    reason: str


@dataclass(frozen=True, slots=True)
class ApplyPlan:
    """Everything one apply would do to one cluster."""

    server: str
    context: str
    user: str
    set_name: str
    set_digest: str
    objects: tuple[PlannedObject, ...]
    skipped: tuple[Skipped, ...] = ()
    previous: str = ""

    @property
    def digest(self) -> str:
        """Digest of every object's digest: equal only when the cluster would answer the same again."""
        return digest([self.server, self.set_digest, sorted([o.ref, o.action, o.digest] for o in self.objects)])

    @property
    def changed(self) -> tuple[PlannedObject, ...]:
        """Objects that would be written."""
        return tuple(o for o in self.objects if o.action in ("created", "configured", "retired"))

    @property
    def refused(self) -> tuple[PlannedObject, ...]:
        """Objects that stand in the way."""
        return tuple(o for o in self.objects if o.action == "refused")

    def as_json(self, *, dry_run: bool = True) -> dict[str, Any]:
        """The keys of `burstline apply --json`."""
        return {
            "objects": [o.as_json() for o in self.objects],
            "changed": len(self.changed),
            "refused": len(self.refused),
            "dry_run": dry_run,
            "skipped": [{"ref": s.ref, "reason": s.reason} for s in self.skipped],
            "cluster": {"server": self.server, "context": self.context, "user": self.user},
            "set": {"name": self.set_name, "digest": self.set_digest, "previous": self.previous},
            "plan_digest": self.digest,
        }


@dataclass(frozen=True, slots=True)
class ApplyReport:
    """What was done: the plan, and per object whether it was written; `failed` maps refs to the server's words."""

    plan: ApplyPlan
    written: tuple[str, ...]
    failed: Mapping[str, str]
    waits: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The plan's keys with what was really done."""
        document = self.plan.as_json(dry_run=False)
        for entry in document["objects"]:
            entry["written"] = entry["ref"] in self.written
            if entry["ref"] in self.failed:
                entry.update(action="refused", reason=self.failed[entry["ref"]])
        refused = sum(entry["action"] == "refused" for entry in document["objects"])
        return document | {"changed": len(self.written), "refused": refused, "waits": list(self.waits)}
