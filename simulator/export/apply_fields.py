"""Fields and their owners: reading `managedFields`, naming fields as the API server does, dropping one from a document."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Owner:
    """A manager of fields: name, operation (Apply or Update) and time of its last write, as the server keeps them."""

    manager: str
    operation: str
    time: str
    fields: frozenset[str]


def owners(live: Mapping[str, Any]) -> tuple[Owner, ...]:
    """Every entry of the object's managedFields but those of subresources."""
    return tuple(
        Owner(
            str(e.get("manager", "")), str(e.get("operation", "")), str(e.get("time", "")), frozenset(_leaves(e.get("fieldsV1") or {}, ""))
        )
        for e in live.get("metadata", {}).get("managedFields") or []
        if not e.get("subresource")
    )


def _leaves(tree: Mapping[str, Any], path: str) -> Iterator[str]:
    """Paths of owned fields: `f:name` steps become `.name`, list items keep the server's key in brackets."""
    for key, below in tree.items():
        if key == ".":
            continue
        here = f"{path}.{key[2:]}" if key.startswith("f:") else f"{path}[{key[2:]}]"
        if below and set(below) != {"."}:
            yield from _leaves(below, here)
        else:
            yield here


def shared_with(live: Mapping[str, Any], manager: str) -> tuple[str, ...]:
    """Other managers that own a field which `manager` owns as well (equal values do not conflict)."""
    entries = owners(live)
    ours = frozenset().union(*(e.fields for e in entries if e.manager == manager and e.operation == "Apply"))
    return tuple(sorted({e.manager for e in entries if e.manager != manager and e.fields & ours}))


def owner_of(live: Mapping[str, Any], field: str) -> Owner | None:
    """The last writer of a field (`.spec.limits.cpu`), or of something inside or around it; None when nobody claims it."""
    wanted = "." + field.lstrip(".")
    found = [e for e in owners(live) if any(_touches(path, wanted) for path in e.fields)]
    return max(found, key=lambda e: e.time, default=None)


def _touches(one: str, other: str) -> bool:
    return one == other or one.startswith((other + ".", other + "[")) or other.startswith((one + ".", one + "["))


def same_field(one: str, other: str) -> bool:
    """True for two spellings of one field: `spec.limits.cpu` and `.spec.limits.cpu`."""
    return one.lstrip(".") == other.lstrip(".")


def without_field(document: Mapping[str, Any], field: str) -> dict[str, Any] | None:
    """A copy without one field; None when the document's mappings do not hold it (as inside lists)."""
    made = copy.deepcopy(dict(document))
    return made if _drop(made, field.lstrip(".")) else None


def _drop(here: Any, rest: str) -> bool:
    if not isinstance(here, dict):
        return False
    if rest in here:
        del here[rest]
        return True
    for key in list(here):
        if rest.startswith(f"{key}.") and _drop(here[key], rest[len(key) + 1 :]):
            if here[key] == {}:
                del here[key]
            return True
    return False
