"""Reading a folder of manifests back: what is to be applied, as whom, and under which set name.

A folder written by `burstline export` says so in `export.json`; any other folder of manifests works too, under the
folder's own name. Everything wrong with it is said at once, before a cluster is asked.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from models.errors import InputError, Problem
from simulator.export.access import is_cluster_scoped
from simulator.export.bundle import INDEX
from simulator.export.checks import check_manifests
from simulator.export.manifest import LAST_STAGE, OBJECT_FOLDERS, STAGE
from simulator.export.objects import identity, where

PLAN_FILE = "apply-plan.json"
PART_OF = "applyset.kubernetes.io/part-of"
MANAGER = "burstline"
_NOT_OBJECTS = ("helm", "calls", "access", "records", "gitops")


@dataclass(frozen=True, slots=True)
class Desired:
    """One object to apply; `zone` is the overlay it came from, and names its field manager."""

    document: Mapping[str, Any]
    zone: str

    @property
    def ref(self) -> str:
        """`apiVersion/Kind namespace/name`."""
        return f"{self.document['apiVersion']}/{where(self.document)}"

    @property
    def manager(self) -> str:
        """Field manager: constant over versions of the export, one per zone; at most 128 characters."""
        return f"{MANAGER}/{self.zone}"[:128]

    @property
    def stage(self) -> int:
        """Order of writing."""
        return STAGE.get(str(self.document["kind"]), LAST_STAGE)

    @property
    def order(self) -> tuple[int, str, str, str]:
        """Stage, then namespace, name and kind."""
        kind, namespace, name = identity(self.document)
        return self.stage, namespace, name, kind


@dataclass(frozen=True, slots=True)
class DesiredSet:
    """Everything one export wants in one cluster, in the order of writing."""

    name: str
    namespace: str
    label_prefix: str
    plan: str
    objects: tuple[Desired, ...]

    @property
    def digest(self) -> str:
        """sha256 of the objects and their managers: the name of this set for rollback."""
        content = [[item.manager, item.document] for item in self.objects]
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def load_folder(folder: Path) -> DesiredSet:
    """Documents of `base/` and `overlays/<zone>/`, or of any folder of YAML and JSON; raises InputError with every problem."""
    if not folder.is_dir():
        raise InputError(Problem(str(folder), "no such folder", "name a folder written by `burstline export`"))
    index = _read_index(folder)
    objects: list[Desired] = []
    problems: list[Problem] = []
    for path in _files(folder):
        try:
            objects += [Desired(document, _zone(folder, path)) for document in _documents(path)]
        except (ValueError, yaml.YAMLError) as error:
            problems.append(Problem(str(path), str(error).replace("\n", " "), "a YAML or JSON file of Kubernetes objects"))
    problems = problems or check_manifests([item.document for item in objects]) or _own_labels(objects)
    if problems:
        raise InputError(problems)
    if not objects:
        raise InputError(Problem(str(folder), "no Kubernetes objects", "name a folder written by `burstline export`"))
    namespaces = sorted({str(item.document["metadata"].get("namespace", "")) for item in objects} - {""})
    return DesiredSet(
        name=_set_name(str(index.get("scenario") or folder.resolve().name)),
        namespace=str(index.get("namespace") or (namespaces[0] if namespaces else "default")),
        label_prefix=str(index.get("label_prefix") or "placement.burstline.dev"),
        plan=str(index.get("plan") or ""),
        objects=tuple(sorted(objects, key=lambda item: item.order)),
    )


def _read_index(folder: Path) -> Mapping[str, Any]:
    path = folder / INDEX
    if not path.exists():
        return {}
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(Problem(str(path), f"not JSON ({error})", "export again")) from None
    if not isinstance(index, dict):
        raise InputError(Problem(str(path), "not a mapping", "export again"))
    return index


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        hidden = any(part.startswith(".") for part in parts)
        if path.is_file() and path.suffix in (".yaml", ".yml", ".json") and not hidden and parts[0] not in _NOT_OBJECTS:
            if len(parts) == 1 and path.name in (INDEX, PLAN_FILE):
                continue
            if path.stem != "kustomization":
                yield path


def _zone(folder: Path, path: Path) -> str:
    parts = path.relative_to(folder).parts
    if len(parts) > 2 and parts[0] == OBJECT_FOLDERS[1]:
        return parts[1]
    return parts[0] if len(parts) > 1 else "base"


def _documents(path: Path) -> Iterator[Mapping[str, Any]]:
    for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
        if document is None:
            continue
        if not isinstance(document, dict):
            raise ValueError(f"a {type(document).__name__} where an object is expected")
        if document.get("kind") == "List" and isinstance(document.get("items"), list):
            yield from document["items"]
        else:
            yield document


def _own_labels(objects: Sequence[Desired]) -> list[Problem]:
    return [
        Problem(f"{item.ref}: metadata.labels.{PART_OF}", "a label", "remove it: the apply sets it")
        for item in objects
        if PART_OF in (item.document["metadata"].get("labels") or {})
    ]


def _set_name(text: str) -> str:
    """`burstline-<scenario>` as a valid object name."""
    return f"{MANAGER}-{re.sub(r'[^a-z0-9-]+', '-', text.lower()).strip('-') or 'set'}"[:200]


def namespaces_of(wanted: DesiredSet) -> tuple[str, ...]:
    """Namespaces that must exist, the parent's among them."""
    named = {str(item.document["metadata"].get("namespace", "")) for item in wanted.objects if not is_cluster_scoped(item.document["kind"])}
    return tuple(sorted((named | {wanted.namespace}) - {""}))
