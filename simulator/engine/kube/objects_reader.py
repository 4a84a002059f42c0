"""Kubernetes objects as kubectl prints them (YAML, several documents, List objects, JSON, JSON lines) -> frozen values.

Every problem of every file is gathered first and raised once. Kinds that place nothing by themselves are counted in
`skipped`, never dropped in silence.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from models.errors import InputError, Problem
from simulator.engine.kube.known_fields import unknown_fields
from simulator.engine.kube.kube_fields import Fields, unique_keys
from simulator.engine.kube.objects import PODS, Labels, Node, Pod, Selector, Taint
from simulator.engine.kube.pod_reader import PREEMPTION_POLICIES, SYSTEM_PRIORITIES, read_pod, read_selector
from simulator.yaml_text import parse_yaml_documents

EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
KINDS_CHECKED = ("Node", "Pod", "PodDisruptionBudget", "PriorityClass")
NAMESPACED = ("Pod", "PodDisruptionBudget")
OWNERS_THAT_SPREAD = ("ReplicationController", "ReplicaSet", "StatefulSet")


@dataclass(frozen=True, eq=False)
class Budget:
    """A PodDisruptionBudget: `allowed` more pods of the selection may be disturbed now."""

    name: str
    namespace: str
    selector: Selector
    allowed: int


@dataclass(frozen=True, eq=False)
class Objects:
    """What a set of files holds. `selectors` maps (kind, namespace, name) of Services and pod owners to their selector.

    `priorities` holds PriorityClasses by name, the global default under "" too; `never` those whose pods do not preempt.
    `unknown` maps what is said about a field without effect to the objects that have it ("Pod default/web").
    """

    nodes: tuple[Node, ...] = ()
    pods: tuple[Pod, ...] = ()
    namespaces: Mapping[str, Labels] = field(default_factory=dict)
    selectors: Mapping[tuple[str, str, str], Selector] = field(default_factory=dict)
    budgets: tuple[Budget, ...] = ()
    priorities: Mapping[str, int] = field(default_factory=dict)
    never: frozenset[str] = frozenset()
    skipped: Mapping[str, int] = field(default_factory=dict)
    unknown: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def read_files(paths: Iterable[Path], base: Objects | None = None) -> Objects:
    """Read files of Kubernetes objects; InputError lists everything that is wrong in them.

    `base` holds objects read before: its PriorityClasses apply, and a name it holds may not come again.
    """
    problems: list[Problem] = []
    documents = [document for path in paths for document in _documents(path, problems)]
    return _assemble(documents, problems, base or Objects())


def read_objects(raw: Iterable[Mapping[str, Any]], source: str = "input") -> Objects:
    """Read objects that are already parsed, such as the entries of a recording."""
    problems: list[Problem] = []
    return _assemble([*_flatten(list(raw), source, problems)], problems, Objects())


def _documents(path: Path, problems: list[Problem]) -> Iterator[Fields]:
    """Every object of one file, Lists opened."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        problems.append(Problem(str(path), f"an unreadable file ({error})", "give a text file that kubectl printed"))
        return
    try:
        parts = _json_values(text) if text.lstrip().startswith(("{", "[")) else parse_yaml_documents(text, str(path))
    except json.JSONDecodeError as error:
        problems.append(Problem(f"{path}:{error.lineno}", f"broken JSON ({error.msg})", "print it again with kubectl get -o json"))
        return
    except InputError as error:
        problems.extend(error.problems)
        return
    except ValueError as error:
        problems.append(Problem(str(path), f"a value that cannot be read ({error})", "print it again with kubectl get -o yaml"))
        return
    yield from _flatten(parts, str(path), problems)


def _json_values(text: str) -> list[Any]:
    """One JSON value after another, with nothing but blanks between them, as `jq -c '.items[]'` prints them.

    >>> _json_values('{"kind": "Node"}\\n{"kind": "Pod"}\\n')
    [{'kind': 'Node'}, {'kind': 'Pod'}]
    """
    decoder, found, at, end = json.JSONDecoder(object_pairs_hook=unique_keys), [], 0, len(text.rstrip())
    while at < end:
        at += len(text[at:]) - len(text[at:].lstrip())
        value, at = decoder.raw_decode(text, at)
        found.append(value)
    return found


def _flatten(parts: list[Any], source: str, problems: list[Problem], kind: str = "") -> Iterator[Fields]:
    """Every object in `parts`, Lists opened; `kind` is that of the items of a typed list, which may not name it."""
    found = False
    for index, part in enumerate(parts):
        if part is None:
            continue
        found = True
        place = source if len(parts) == 1 else f"{source}[{index}]"
        if isinstance(part, list):
            yield from _flatten(part, place, problems)
            continue
        document = Fields(part if not isinstance(part, dict) or "kind" in part else {**part, "kind": kind}, place, problems)
        named = document.text("kind")
        if not named and document.raw:
            document.refuse("kind", None, "give Kubernetes objects: each names its kind")
        elif named.endswith("List") and "items" in document:
            items = document.list("items")
            yield from _flatten(items, f"{place}.items", problems, named.removesuffix("List")) if items else ()
        elif document.raw:
            name = document.sub("metadata").text("name")
            label = f"{source.removesuffix('.items')}: {named} {name}" if name else f"{place}: {named}"
            yield Fields(document.raw, label, problems)
    if not found and not problems:
        problems.append(Problem(source, "no Kubernetes object", "give the output of kubectl get nodes,pods -A -o yaml"))


def _assemble(documents: list[Fields], problems: list[Problem], base: Objects) -> Objects:
    by_kind: dict[str, list[Fields]] = {}
    for document in documents:
        by_kind.setdefault(document.text("kind"), []).append(document)
        if not document.sub("metadata").text("name"):
            document.refuse("metadata.name", None, "every object needs a name")
    unknown = _unknown(by_kind)
    priorities = {**base.priorities, **SYSTEM_PRIORITIES}
    never = base.never
    for part in by_kind.pop("PriorityClass", []):
        names = [part.sub("metadata").text("name"), *([""] if part.flag("globalDefault") else [])]
        priorities |= dict.fromkeys(names, part.integer("value"))
        never = never | {*names} if part.text("preemptionPolicy", accepted=PREEMPTION_POLICIES) == "Never" else never - {*names}
    namespaces = {part.sub("metadata").text("name"): part.sub("metadata").labels("labels") for part in by_kind.pop("Namespace", [])}
    selectors = {
        (kind, part.sub("metadata").text("namespace", "default"), part.sub("metadata").text("name")): selector
        for kind in ("Service", *OWNERS_THAT_SPREAD)
        for part in by_kind.pop(kind, [])
        if (selector := _owner_selector(kind, part)) is not None
    }
    objects = Objects(
        nodes=tuple(_node(part) for part in by_kind.pop("Node", [])),
        pods=tuple(read_pod(part, priorities, never) for part in by_kind.pop("Pod", [])),
        namespaces=namespaces,
        selectors=selectors,
        budgets=tuple(_budget(part) for part in by_kind.pop("PodDisruptionBudget", [])),
        priorities=priorities,
        never=never,
        skipped={kind: len(parts) for kind, parts in sorted(by_kind.items())},
        unknown=unknown,
    )
    problems += _duplicates("Node", [node.name for node in (*base.nodes, *objects.nodes)])
    problems += _duplicates("Pod", [pod.key for pod in (*base.pods, *objects.pods)])
    if problems:
        raise InputError(problems)
    return objects


def _unknown(by_kind: Mapping[str, list[Fields]]) -> dict[str, tuple[str, ...]]:
    """Objects by the fields in them that have no effect here though they look as if they had, each object once."""
    found: dict[str, dict[str, None]] = {}
    for kind in KINDS_CHECKED:
        for part in by_kind.get(kind, ()):
            for finding in (*unknown_fields(part.raw, kind), *_without_effect(part, kind)):
                metadata = Fields(part.raw.get("metadata"), "", [])
                space = f"{metadata.text('namespace', 'default')}/" if kind in NAMESPACED else ""
                found.setdefault(finding, {})[f"{kind} {space}{metadata.text('name')}"] = None
    return {finding: tuple(objects) for finding, objects in found.items()}


def _without_effect(part: Fields, kind: str) -> Iterator[str]:
    """Fields of Kubernetes that bear on placement and are not modelled; those of Pods are in `Pod.unmodelled`."""
    if kind == "Node" and "podPreemptionPolicy" in Fields(part.raw.get("spec"), "", []):
        yield "spec.podPreemptionPolicy: preemption for resizes is not modelled"


def _duplicates(kind: str, names: list[str]) -> list[Problem]:
    return [
        Problem(f"{kind} {name}", f"{count} objects of this name", "give every object once")
        for name, count in Counter(names).items()
        if count > 1 and name
    ]


def _node(document: Fields) -> Node:
    metadata, spec, status = document.sub("metadata"), document.sub("spec"), document.sub("status")
    if "allocatable" not in status:
        status.refuse("allocatable", None, "give the node's allocatable resources: cpu, memory, pods")
    else:
        for name in ("cpu", "memory", PODS):
            if name not in status.sub("allocatable"):
                status.sub("allocatable").refuse(name, None, "give this resource; every kubelet reports it")
    return Node(
        name=metadata.text("name"),
        allocatable=status.amounts("allocatable"),
        labels=metadata.labels("labels"),
        annotations=metadata.labels("annotations"),
        taints=tuple(
            Taint(taint.text("key"), taint.text("value"), taint.text("effect", "NoSchedule", EFFECTS)) for taint in spec.each("taints")
        ),
        unschedulable=spec.flag("unschedulable"),
        images={name: image.integer("sizeBytes", 0, 0, 2**63 - 1) for image in status.each("images") for name in image.texts("names")},
        created=metadata.text("creationTimestamp"),
    )


def _owner_selector(kind: str, part: Fields) -> Selector | None:
    """Services and ReplicationControllers select by plain labels, the others by a LabelSelector."""
    spec = part.sub("spec")
    if kind in ("Service", "ReplicationController"):
        labels = spec.labels("selector")
        return Selector.of(labels) if labels else None
    return read_selector(spec, "selector")


def _budget(part: Fields) -> Budget:
    metadata = part.sub("metadata")
    selector = read_selector(part.sub("spec"), "selector") or Selector()
    allowed = part.sub("status").integer("disruptionsAllowed")
    return Budget(metadata.text("name"), metadata.text("namespace", "default"), selector, allowed)
