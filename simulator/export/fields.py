"""Known fields of the kinds that an export holds, to refuse a misspelt field before a server does.

`fields.json` maps `apiVersion Kind` to a tree of field names: `{}` below a field that holds a value, `{"*": tree}` for a
map with free keys, `null` where anything may stand; lists are described by their items. It is read off the CRDs of
Karpenter 1.14.1 (AWS), Cluster API 1.14.0, CAPM3 1.13.2, CAPO 0.14.7, CAPA 2.11.1 and the built-in schemas of Kubernetes
1.36 (all Apache-2.0); tests/contract/test_export_schemas.py compares it with them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any


@cache
def known_fields() -> Mapping[str, Any]:
    """The whole table."""
    tables: Mapping[str, Any] = json.loads(files("simulator.export").joinpath("fields.json").read_text(encoding="utf-8"))
    return tables


def unknown_fields(document: Mapping[str, Any]) -> list[str]:
    """Dotted paths, as the API server prints them, of fields that the kind does not have; empty for kinds not in the table.

    >>> unknown_fields({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "dat": {}})
    ['dat']
    """
    tree = known_fields().get(f"{document.get('apiVersion')} {document.get('kind')}")
    return [] if tree is None else list(_walk(document, tree, ""))


def _walk(value: Any, tree: Mapping[str, Any] | None, path: str) -> Iterator[str]:
    if tree is None:
        return
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _walk(item, tree, f"{path}[{index}]")
    elif isinstance(value, Mapping) and tree:
        for key, item in value.items():
            here = f"{path}.{key}" if path else str(key)
            if key not in tree and "*" not in tree:
                yield here
            else:
                yield from _walk(item, tree.get(key, tree.get("*")), here)
