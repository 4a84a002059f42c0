"""Differences between a live object and the result of a dry run, without what only the server writes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_SERVER_METADATA = ("managedFields", "resourceVersion", "generation", "creationTimestamp", "uid", "selfLink")


@dataclass(frozen=True, slots=True)
class Change:
    """One field: its dotted path, the live value and the value after; None where there is none."""

    path: str
    before: Any
    after: Any


def without_server_fields(document: Mapping[str, Any] | None) -> dict[str, Any]:
    """A copy without status and server-written metadata; empty for an object that does not exist."""
    if document is None:
        return {}
    kept = {key: value for key, value in document.items() if key not in ("status", "metadata")}
    metadata = {key: value for key, value in document["metadata"].items() if key not in _SERVER_METADATA}
    return {**kept, "metadata": metadata}


def differences(before: Any, after: Any, path: str = "") -> Iterator[Change]:
    """Changed fields in path order; lists are compared whole, as atomic lists are owned whole.

    >>> list(differences({"a": {"b": 1}}, {"a": {"b": 2}}))
    [Change(path='a.b', before=1, after=2)]
    """
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in sorted({*before, *after}):
            yield from differences(before.get(key), after.get(key), f"{path}.{key}" if path else str(key))
    elif before != after:
        yield Change(path, before, after)


def digest(value: Any) -> str:
    """sha256 of a value's canonical JSON."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()
