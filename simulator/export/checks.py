"""Offline checks of an export: what would hurt later is refused before anything is written.

Structure first (names, labels, quantities, duplicates, references), then the rules of export-targets: nobody writes
replicas where an autoscaler owns them, annotation and kubelet say the same, every group has its priority. Works on plain
documents, so an edited folder is checked the same way as a fresh export.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from models.errors import Problem
from models.plan import BuildPlan, PoolPlan
from simulator.export import check_groups, check_priorities
from simulator.export.access import is_cluster_scoped
from simulator.export.fields import field_problems, is_known, not_json
from simulator.export.objects import at, identity, where

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_POOL_NAME = re.compile(r"[a-z]([a-z0-9-]{0,48}[a-z0-9])?")
_LABEL_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
_FORBIDDEN = {
    "status": "status belongs to the controller",
    "metadata.managedFields": "the server keeps this",
    "metadata.resourceVersion": "the server keeps this",
    "metadata.uid": "the server keeps this",
    "metadata.creationTimestamp": "the server keeps this; even null makes an apply repeat forever",
    "metadata.generation": "the server keeps this",
}
REFERENCE_PATHS = (
    ("spec", "template", "spec", "infrastructureRef"),
    ("spec", "template", "spec", "bootstrap", "configRef"),
    ("spec", "template", "spec", "nodeClassRef"),
)


def check_plan(plan: BuildPlan) -> list[Problem]:
    """Pools that cannot become node groups: bad names, impossible bounds, an allocatable that does not add up."""
    problems = []
    for name, count in Counter(pool.name for pool in plan.pools).items():
        if count > 1:
            problems.append(Problem(f"plan.pools.{name}", f"{count} pools of this name", "give every pool its own name"))
    for pool in plan.pools:
        place = f"plan.pools.{pool.name}"
        for field in ("name", "zone"):
            if not _POOL_NAME.fullmatch(getattr(pool, field)):
                problems.append(
                    Problem(f"{place}.{field}", repr(getattr(pool, field)), "lower-case letters, digits and dashes, at most 50")
                )
        if not 0 <= pool.nodes <= pool.max_nodes:
            problems.append(Problem(f"{place}.nodes", f"{pool.nodes} with max_nodes {pool.max_nodes}", "0 <= nodes <= max_nodes"))
        problems += _allocatable(place, pool)
    floor = min((pool.priority for pool in plan.pools if pool.private), default=None)
    for pool in plan.pools:
        if floor is not None and not pool.private and pool.priority >= floor:
            problems.append(Problem(f"plan.pools.{pool.name}.priority", str(pool.priority), f"below {floor}: private pools come first"))
    return problems


def _allocatable(place: str, pool: PoolPlan) -> Iterator[Problem]:
    """Allocatable = hardware - kubeReserved - systemReserved - evictionHard, exactly."""
    cpu = pool.cpu_m - pool.kube_reserved_cpu_m - pool.system_reserved_cpu_m
    memory = pool.memory_mib - pool.kube_reserved_memory_mib - pool.system_reserved_memory_mib - pool.eviction_memory_mib
    for field, found, right in (
        ("allocatable_cpu_m", pool.allocatable_cpu_m, cpu),
        ("allocatable_memory_mib", pool.allocatable_memory_mib, memory),
    ):
        if found != right:
            yield Problem(f"{place}.{field}", str(found), f"hardware less reservations is {right}")
        if right <= 0:
            yield Problem(f"{place}.{field}", str(right), "reservations must leave something for pods")


def check_manifests(documents: Sequence[Any], plan: BuildPlan | None = None) -> list[Problem]:
    """Every problem of a set of Kubernetes documents; with the plan also that they say what it says."""
    problems = [problem for document in documents for problem in _structure(document)]
    if problems:
        return problems
    problems += _duplicates(documents)
    known = [document for document in documents if is_known(document)]
    problems += _references(known)
    problems += check_groups.check(known, plan)
    problems += check_priorities.check(known)
    return problems


def _structure(document: Any) -> Iterator[Problem]:
    if not isinstance(document, Mapping):
        yield Problem("document", f"a {type(document).__name__}", "a mapping with apiVersion, kind and metadata")
        return
    for field in ("apiVersion", "kind"):
        if not isinstance(document.get(field), str) or not document[field]:
            yield Problem(where(document), f"no {field}", "every document names its apiVersion and kind")
            return
    metadata = document.get("metadata")
    name = metadata.get("name") if isinstance(metadata, Mapping) else None
    if not isinstance(metadata, Mapping) or not isinstance(name, str) or not _NAME.fullmatch(name) or len(name) > 253:
        yield Problem(f"{where(document)}: metadata.name", repr(name), "a lower-case DNS name")
        return
    yield from _metadata(document, metadata)
    for problem in (*not_json(document), *field_problems(document)):
        yield Problem(f"{where(document)}: {problem.place}", problem.found, problem.mend)


def _metadata(document: Mapping[str, Any], metadata: Mapping[str, Any]) -> Iterator[Problem]:
    for path, why in _FORBIDDEN.items():
        *parents, last = path.split(".")
        parent = at(document, *parents) if parents else document
        if isinstance(parent, Mapping) and last in parent:
            yield Problem(f"{where(document)}: {path}", "a value", f"remove it: {why}")
    namespace = metadata.get("namespace", "")
    if not isinstance(namespace, str) or (namespace and not _NAME.fullmatch(namespace)):
        yield Problem(f"{where(document)}: metadata.namespace", repr(namespace), "a lower-case DNS name")
    elif namespace and is_cluster_scoped(str(document["kind"])):
        yield Problem(f"{where(document)}: metadata.namespace", namespace, "remove it: the kind is cluster-scoped")
    elif not namespace and is_known(document) and not is_cluster_scoped(str(document["kind"])):
        yield Problem(f"{where(document)}: metadata.namespace", "nothing", "name it: the kind lives in namespaces")
    yield from _labels(document)


def _labels(document: Mapping[str, Any]) -> Iterator[Problem]:
    for part in ("labels", "annotations"):
        pairs = at(document, "metadata", part)
        if pairs is not None and not isinstance(pairs, Mapping):
            yield Problem(f"{where(document)}: metadata.{part}", repr(pairs), "a mapping")
            continue
        for key, value in (pairs or {}).items():
            place = f"{where(document)}: metadata.{part}.{key}"
            if not valid_key(str(key)):
                yield Problem(place, repr(key), "a key is [prefix/]name, the name at most 63 letters, digits, '-', '_' or '.'")
            if not isinstance(value, str):
                yield Problem(place, repr(value), "write it as a string")
            elif part == "labels" and value and not _LABEL_NAME.fullmatch(value):
                yield Problem(place, repr(value), "a label value has at most 63 letters, digits, '-', '_' or '.'")


def valid_key(key: str) -> bool:
    """True for a label or annotation key.

    >>> valid_key("placement.burstline.dev/class"), valid_key("a b"), valid_key("/x")
    (True, False, False)
    """
    prefix, slash, name = key.rpartition("/")
    return bool(_LABEL_NAME.fullmatch(name)) and (not slash or (len(prefix) <= 253 and bool(_NAME.fullmatch(prefix))))


def _duplicates(documents: Sequence[Mapping[str, Any]]) -> Iterator[Problem]:
    for key, count in sorted(Counter(map(identity, documents)).items()):
        if count > 1:
            yield Problem(" ".join(part for part in key if part), f"{count} documents", "one object, one document")


def _references(documents: Sequence[Mapping[str, Any]]) -> Iterator[Problem]:
    known = {(document["kind"], document["metadata"]["name"]) for document in documents}
    for document in documents:
        for path in REFERENCE_PATHS:
            reference = at(document, *path)
            if isinstance(reference, Mapping) and (reference.get("kind"), reference.get("name")) not in known:
                found = f"{reference.get('kind')} {reference.get('name')}, which is not in this export"
                yield Problem(f"{where(document)}: {'.'.join(path)}", found, "refer to a document of the export")
