"""Known fields of the kinds that an export holds: a misspelt or mistyped one is refused before a server sees it.

`fields.json` maps `apiVersion Kind` to a tree: a mapping of field names (`*` for free keys, `!` behind those that must be
there), a list around the tree of its items, the name of a type for a value, `null` where anything may stand. It is read
off the CRDs of Karpenter 1.14.1 (AWS), Cluster API 1.14.0, CAPM3 1.13.2, CAPO 0.14.7, CAPA 2.11.1 and the built-in kinds
of Kubernetes 1.36 (all Apache-2.0); tests/contract/test_export_targets.py compares it with them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from models.errors import Problem

_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "integer or string": (int, str),
}


@cache
def known_fields() -> Mapping[str, Any]:
    """The whole table."""
    table: Mapping[str, Any] = json.loads(files("simulator.export").joinpath("fields.json").read_text(encoding="utf-8"))
    return table


def _name(document: Mapping[str, Any]) -> str:
    return f"{document.get('apiVersion')} {document.get('kind')}"


def is_known(document: Mapping[str, Any]) -> bool:
    """True for a kind and version of the table; only these are looked into."""
    return _name(document) in known_fields()


def field_problems(document: Mapping[str, Any]) -> list[Problem]:
    """Unknown and mistyped fields, by their dotted path as the API server prints it; none for kinds not in the table.

    >>> [p.place for p in field_problems({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "dat": {}})]
    ['dat']
    """
    return list(_walk(document, known_fields()[_name(document)], "", _name(document))) if is_known(document) else []


def _walk(value: Any, tree: Any, path: str, kind: str) -> Iterator[Problem]:
    if isinstance(tree, str):
        if not isinstance(value, _TYPES[tree]) or (isinstance(value, bool) and tree != "boolean"):
            yield Problem(path, _found(value), f"{_article(tree)} {tree}")
    elif isinstance(tree, list):
        if not isinstance(value, list):
            yield Problem(path, _found(value), "a list")
            return
        for index, item in enumerate(value):
            yield from _walk(item, tree[0], f"{path}[{index}]", kind)
    elif tree is not None:
        if not isinstance(value, Mapping):
            yield Problem(path, _found(value), "a mapping")
            return
        yield from _mapping(value, tree, path, kind)


def _mapping(value: Mapping[Any, Any], tree: Mapping[str, Any], path: str, kind: str) -> Iterator[Problem]:
    below = f"{path}." if path else ""
    for name in tree:
        if name.endswith("!") and name[:-1] not in value:
            yield Problem(f"{below}{name[:-1]}", "nothing", f"{kind} needs this field")
    for key, item in value.items():
        field = next((name for name in (str(key), f"{key}!", "*") if name in tree), None)
        if field is None:
            yield Problem(f"{below}{key}", "an unknown field", f"{kind} has no such field")
        else:
            yield from _walk(item, tree[field], f"{below}{key}", kind)


def _found(value: Any) -> str:
    return f"{type(value).__name__} {value!r}"[:80]


def _article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"


def not_json(value: Any, path: str = "") -> Iterator[Problem]:
    """Parts that JSON cannot say: keys that are no strings, dates without quotes, NaN."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            here = f"{path}.{key}" if path else str(key)
            if not isinstance(key, str):
                yield Problem(here, f"the key {key!r}", "write it in quotes")
            yield from not_json(item, here)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from not_json(item, f"{path}[{index}]")
    elif isinstance(value, float) and not math.isfinite(value):
        yield Problem(path, repr(value), "a finite number")
    elif not isinstance(value, str | int | float | None):
        yield Problem(path, _found(value), "write it in quotes")
