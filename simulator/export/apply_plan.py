"""Planning an apply: ask the cluster what would happen, object by object, without writing anything.

Each object costs a read and a server-side dry run. What stands in the way (another manager's field, a field the server
does not know, fewer nodes than now) is `refused` with its reason; what the cluster does not serve is skipped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from models.errors import ApplyError
from simulator.export.apply import Access, Cluster, Refusal
from simulator.export.apply_diff import differences, digest, without_server_fields
from simulator.export.apply_documents import MANAGER, PART_OF, Desired, DesiredSet, namespaces_of
from simulator.export.apply_effects import effect_of
from simulator.export.apply_fields import same_field, shared_with, without_field
from simulator.export.apply_handover import handed_over, with_replicas
from simulator.export.apply_hosts import host_finding
from simulator.export.apply_report import ApplyPlan, Conflict, PlannedObject, Skipped
from simulator.export.apply_retire import RETIRER, leftovers
from simulator.export.apply_set import foreign, is_member, set_id
from simulator.progress import SILENT, Progress


@dataclass(frozen=True, slots=True)
class Choices:
    """What a person asked for and confirmed: fields to take from other managers, groups that may shrink, leftovers to
    delete, the set to go back to."""

    take: tuple[str, ...] = ()
    shrink: tuple[str, ...] = ()
    delete_node_groups: tuple[str, ...] = ()
    prune: bool = False
    rollback: str | None = None


@dataclass(frozen=True, slots=True)
class _Context:
    cluster: Cluster
    wanted: DesiredSet
    choices: Choices
    id: str
    new_namespaces: frozenset[str]


def plan_apply(
    cluster: Cluster, wanted: DesiredSet, choices: Choices | None = None, progress: Progress = SILENT, *, read_only: bool = False
) -> ApplyPlan:
    """The plan of a set; raises ApplyError when the set as a whole cannot be applied. `read_only` asks for no write rights."""
    choices = choices or Choices()
    skipped, objects = _skip_unserved(cluster, wanted.objects)
    if not read_only:
        _require(cluster, _rights(cluster, wanted, objects))
    new = _missing_namespaces(cluster, wanted)
    if new and not read_only:
        _require(cluster, [Access("create", "", "namespaces"), Access("patch", "", "namespaces")])
    parent = None if wanted.namespace in new else cluster.get("v1", "ConfigMap", wanted.name, wanted.namespace)
    reason = foreign(parent, wanted)
    if reason is not None:
        raise ApplyError(f"{reason}; nothing was written: rename one of the two scenarios, or choose another namespace")
    context = _Context(cluster, wanted, choices, set_id(wanted.name, wanted.namespace), frozenset(new))
    planned = []
    progress.stage("plan", len(objects))
    for item in objects:
        planned.append(_plan_object(context, item))
        progress.advance()
    keep = [item.document for item in wanted.objects]
    planned += leftovers(cluster, parent, context.id, keep, choices.delete_node_groups, prune=choices.prune, prefix=wanted.label_prefix)
    data = (parent or {}).get("data") or {}
    previous = str(data.get("set", "")) if data.get("set") != wanted.digest else str(data.get("previous", ""))
    return ApplyPlan(cluster.server, cluster.context, cluster.user, wanted.name, wanted.digest, tuple(planned), tuple(skipped), previous)


def _missing_namespaces(cluster: Cluster, wanted: DesiredSet) -> set[str]:
    """Namespaces that this set creates; one that nobody creates stops the apply."""
    created = {item.document["metadata"]["name"] for item in wanted.objects if item.document["kind"] == "Namespace"}
    missing = {name for name in namespaces_of(wanted) if cluster.get("v1", "Namespace", name) is None}
    if missing - created:
        names = ", ".join(sorted(missing - created))
        raise ApplyError(f"{cluster.server}: no namespace {names}; nothing was written: create it first (kubectl create namespace ...)")
    return missing


def _skip_unserved(cluster: Cluster, objects: Sequence[Desired]) -> tuple[list[Skipped], list[Desired]]:
    """Leave out whole zones whose kinds the cluster does not serve: their controller is not installed here."""
    absent: dict[str, str] = {}
    served: dict[tuple[str, str], bool] = {}
    for item in objects:
        key = (str(item.document["apiVersion"]), str(item.document["kind"]))
        if key not in served:
            served[key] = cluster.serves(*key)
        if not served[key]:
            absent.setdefault(item.zone, f"the cluster serves no {key[1]} of {key[0]}: install its controller (and CRD), then apply again")
    skipped = [Skipped(item.ref, absent[item.zone]) for item in objects if item.zone in absent]
    return skipped, [item for item in objects if item.zone not in absent]


def _rights(cluster: Cluster, wanted: DesiredSet, objects: Sequence[Desired]) -> list[Access]:
    """Exactly the rights that a plan and its apply need, before anything else is asked."""
    kinds = {("v1", "ConfigMap", wanted.namespace)}
    for item in objects:
        if is_member(item):
            document = item.document
            kinds.add((str(document["apiVersion"]), str(document["kind"]), str(document["metadata"].get("namespace", ""))))
    needed = [Access("get", "", "namespaces")]
    for api_version, kind, namespace in sorted(kinds):
        group = api_version.split("/")[0] if "/" in api_version else ""
        needed += [Access(verb, group, cluster.plural(api_version, kind), namespace) for verb in ("get", "create", "patch")]
    return needed


def _require(cluster: Cluster, needed: Sequence[Access]) -> None:
    """Raise ApplyError that lists every right this user lacks."""
    denied = [str(access) for access in needed if not cluster.allowed(access)]
    if denied:
        raise ApplyError(
            f"{cluster.server}: user {cluster.user} may not {'; '.join(denied)}; nothing was written: see the roles in access/"
        )


def _plan_object(context: _Context, item: Desired) -> PlannedObject:
    document, metadata = item.document, item.document["metadata"]
    live = context.cluster.get(document["apiVersion"], document["kind"], metadata["name"], metadata.get("namespace", ""))
    start = PlannedObject(item.ref, "unchanged", item.manager, item.stage, digest([live is None, document]), live=live, document=document)
    if not is_member(item):
        return start if live is not None else replace(start, action="created", reason="new namespace")
    owner = ((live or {}).get("metadata", {}).get("labels") or {}).get(PART_OF)
    if owner is not None and owner != context.id:
        return _of_another_set(context, start, str(owner))
    start = replace(start, document=_labelled(document, context.id))
    if metadata.get("namespace") in context.new_namespaces:
        return replace(start, action="created", verified=False, reason="not verified by the server: its namespace is new")
    return _dry_run(context, start)


def _of_another_set(context: _Context, start: PlannedObject, owner: str) -> PlannedObject:
    """Two sets may name one object as long as they say the same of it; it stays a member of the first."""
    try:
        result = context.cluster.apply(start.document or {}, f"{MANAGER}-compare", dry_run=True)
    except Refusal:
        result = {"metadata": {}}
    if without_server_fields(result) == without_server_fields(start.live):
        return replace(start, reason=f"equal to what another set wants of it ({owner})")
    return replace(start, action="refused", reason=f"it belongs to another set ({owner}), which wants it differently")


def _labelled(document: Mapping[str, Any], set_label: str) -> dict[str, Any]:
    metadata = document["metadata"]
    labels = {**(metadata.get("labels") or {}), PART_OF: set_label}
    return {**document, "metadata": {**metadata, "labels": labels}}


def _dry_run(context: _Context, start: PlannedObject) -> PlannedObject:
    document = start.document or {}
    try:
        return _classified(context, start, context.cluster.apply(document, start.manager, dry_run=True))
    except Refusal as refusal:
        if refusal.conflicts:
            return _conflicting(context, start, refusal)
        return replace(start, action="refused", reason=explain(refusal))


def _conflicting(context: _Context, start: PlannedObject, refusal: Refusal) -> PlannedObject:
    """Take the fields that were named and our own retirements; of an object of which one was taken, yield the rest."""
    wanted = [c for c in refusal.conflicts if c.manager == RETIRER or any(same_field(c.field, field) for field in context.choices.take)]
    rest = [c for c in refusal.conflicts if c not in wanted]
    if not wanted:
        return replace(start, action="refused", reason=_owned_by_others(refusal.conflicts), conflicts=refusal.conflicts)
    document: Mapping[str, Any] | None = start.document
    for conflict in rest:
        document = without_field(document or {}, conflict.field)
        if document is None:
            reason = f"{conflict.field} ({conflict.manager}) cannot be left out by itself: take it too, or settle it with its owner"
            return replace(start, action="refused", reason=reason, conflicts=refusal.conflicts)
    forced = replace(start, document=document, taken=tuple(c.field for c in wanted), conflicts=tuple(rest))
    try:
        result = context.cluster.apply(document or {}, start.manager, dry_run=True, force=True)
    except Refusal as second:
        return replace(forced, action="refused", reason=explain(second))
    return _classified(context, forced, result)


def _owned_by_others(conflicts: Sequence[Conflict]) -> str:
    names = "; ".join(f"{c.field} ({c.manager})" for c in conflicts)
    old = any(c.manager == "kubectl-client-side-apply" for c in conflicts)
    hint = "; it was made by a client-side apply: take the fields once, then apply it from here only" if old else ""
    return f"owned by others: {names}; --take FIELD takes one{hint}"


def _classified(context: _Context, start: PlannedObject, result: Mapping[str, Any]) -> PlannedObject:
    handover = handed_over(start.live, result)
    result = with_replicas(result, handover)
    before, after = without_server_fields(start.live), without_server_fields(result)
    changes = tuple(differences(before, after)) if start.live is not None else ()
    effect = effect_of(start.live, result, changes)
    planned = replace(
        start,
        action="created" if start.live is None else "configured" if changes else "unchanged",
        digest=digest([before, after, list(start.taken)]),
        changes=changes,
        effect=effect.text,
        fewer_nodes=effect.fewer_nodes,
        shared_with=shared_with(result, start.manager),
        handover=handover,
        reason="; ".join(_notes(start, handover)),
    )
    name = str(result["metadata"]["name"])
    if effect.fewer_nodes and name not in context.choices.shrink:
        return replace(planned, action="refused", reason=f"{effect.text}: confirm with --shrink {name}")
    finding = host_finding(context.cluster, planned, context.wanted)
    if finding is None:
        return planned
    return replace(planned, reason=finding.text, action="refused" if finding.stops else planned.action)


def _notes(start: PlannedObject, handover: Mapping[str, Any] | None) -> list[str]:
    notes = [f"yielded {c.field} to {c.manager}" for c in start.conflicts]
    if handover is not None:
        notes.append(f"hands spec.replicas over to the autoscaler at {handover['spec']['replicas']}")
    return notes


def explain(refusal: Refusal) -> str:
    """A refusal in words, with what to do about the kinds that have a remedy."""
    text = "; ".join(refusal.causes) if refusal.causes and refusal.status == 422 else str(refusal)
    if "field not declared in schema" in text:
        return f"{text}: an older version of this kind is noted in the object's managedFields; rewrite our entry, then apply again"
    if refusal.status == 422 and any(word in text for word in ("immutable", "may not be changed", "Immutable")):
        return f"{text}: give the changed object a new name; the old one is retired, never deleted and made again"
    return text


def conflicts_of(plan: ApplyPlan) -> tuple[tuple[str, Conflict], ...]:
    """(ref, conflict) of every refused object, for messages."""
    return tuple((item.ref, conflict) for item in plan.refused for conflict in item.conflicts)
