"""Plain Kubernetes documents: naming them, reaching into them, telling them apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def where(document: Mapping[str, Any]) -> str:
    """Kind and name of a document for messages: `MachineDeployment capacity/prod-bm`."""
    metadata = document.get("metadata")
    metadata = metadata if isinstance(metadata, Mapping) else {}
    namespace = f"{metadata['namespace']}/" if metadata.get("namespace") else ""
    return f"{document.get('kind', '?')} {namespace}{metadata.get('name', '?')}"


def at(document: Mapping[str, Any], *path: str) -> Any:
    """The value at a path of keys, or None."""
    here: Any = document
    for step in path:
        if not isinstance(here, Mapping):
            return None
        here = here.get(step)
    return here


def group_kind(document: Mapping[str, Any]) -> str:
    """`Kind.group`, as ApplySets write it.

    >>> group_kind({"apiVersion": "karpenter.sh/v1", "kind": "NodePool"}), group_kind({"apiVersion": "v1", "kind": "ConfigMap"})
    ('NodePool.karpenter.sh', 'ConfigMap.')
    """
    version = str(document["apiVersion"])
    return f"{document['kind']}.{version.split('/')[0] if '/' in version else ''}"


def identity(document: Mapping[str, Any]) -> tuple[str, str, str]:
    """What makes an object one object: group-kind, namespace, name (the version does not count)."""
    metadata = document["metadata"]
    return group_kind(document), str(metadata.get("namespace", "")), str(metadata["name"])
