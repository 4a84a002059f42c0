"""The inventory: an ApplySet (KEP-3659) as kubectl ships it, so that other tools see which objects belong together.

The parent is a ConfigMap; its id is computed from its own name, so a copied or stolen id is recognised. The keys follow
kubectl's code (`applyset.kubernetes.io/`), not the KEP's text.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from simulator.export.apply_documents import MANAGER, Desired, DesiredSet
from simulator.export.objects import group_kind

PREFIX = "applyset.kubernetes.io"
TOOLING = "burstline/v1"
STORED_KEY = "documents.json.gz"


def set_id(name: str, namespace: str, kind: str = "ConfigMap", group: str = "") -> str:
    """Id of an ApplySet parent.

    >>> set_id("sizing-2026q3", "capacity")
    'applyset-B0okSDZIQcDPd39z44rlVVs81TYGYkl_HDh6gntSpsY-v1'
    """
    digest = hashlib.sha256(f"{name}.{namespace}.{kind}.{group}".encode()).digest()
    return f"applyset-{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}-v1"


def group_kinds(objects: Iterable[Desired]) -> set[str]:
    """`Kind.group` of the members, as the parent lists them."""
    return {group_kind(item.document).rstrip(".") for item in objects if is_member(item)}


def is_member(item: Desired) -> bool:
    """Namespaces are created and never owned, so that nothing of ours can ever delete one."""
    return str(item.document["kind"]) != "Namespace"


def parent(wanted: DesiredSet, kinds: Iterable[str], namespaces: Iterable[str], data: Mapping[str, str]) -> dict[str, Any]:
    """The parent document: id, tooling, kinds and further namespaces sorted; `data` is our own record."""
    others = sorted(set(namespaces) - {wanted.namespace, ""})
    annotations = {
        f"{PREFIX}/tooling": TOOLING,
        f"{PREFIX}/contains-group-kinds": ",".join(sorted(kinds)),
        **({f"{PREFIX}/additional-namespaces": ",".join(others)} if others else {}),
    }
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": wanted.name,
            "namespace": wanted.namespace,
            "labels": {f"{PREFIX}/id": set_id(wanted.name, wanted.namespace)},
            "annotations": annotations,
        },
        "data": dict(data),
    }


def listed(live: Mapping[str, Any] | None, key: str) -> set[str]:
    """A comma list among the live parent's annotations."""
    text = str(((live or {}).get("metadata", {}).get("annotations") or {}).get(f"{PREFIX}/{key}", ""))
    return {part for part in text.split(",") if part}


def foreign(live: Mapping[str, Any] | None, wanted: DesiredSet) -> str | None:
    """Why a live object of the parent's name is not our parent; None when it is, or when there is none."""
    if live is None:
        return None
    metadata = live["metadata"]
    found = (metadata.get("labels") or {}).get(f"{PREFIX}/id")
    tooling = str((metadata.get("annotations") or {}).get(f"{PREFIX}/tooling", ""))
    if found is None:
        return f"ConfigMap {wanted.namespace}/{wanted.name} exists and is no ApplySet parent"
    if found != set_id(wanted.name, wanted.namespace):
        return f"ConfigMap {wanted.namespace}/{wanted.name} carries the ApplySet id of another object: {found}"
    if tooling.split("/")[0] != TOOLING.split("/")[0]:
        return f"ConfigMap {wanted.namespace}/{wanted.name} belongs to {tooling or 'an unnamed tool'}"
    return None


def stored_name(wanted: DesiredSet, digest: str) -> str:
    """Name of the ConfigMap that keeps a set for rollback."""
    return f"{wanted.name}-{digest.removeprefix('sha256:')[:12]}"


def stored(wanted: DesiredSet) -> dict[str, Any]:
    """The applied documents, compressed; the exported kinds hold no secrets. Same documents, same bytes."""
    content = [{"zone": item.zone, "document": item.document} for item in wanted.objects]
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    packed = base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": stored_name(wanted, wanted.digest),
            "namespace": wanted.namespace,
            "labels": {"app.kubernetes.io/managed-by": MANAGER},
            "annotations": {f"{wanted.label_prefix}/set": wanted.name, f"{wanted.label_prefix}/digest": wanted.digest},
        },
        "binaryData": {STORED_KEY: packed},
    }


def restored(document: Mapping[str, Any]) -> tuple[Desired, ...]:
    """The objects of a stored set, in the order of writing."""
    text = gzip.decompress(base64.b64decode(document["binaryData"][STORED_KEY])).decode()
    objects = [Desired(entry["document"], entry["zone"]) for entry in json.loads(text)]
    return tuple(sorted(objects, key=lambda item: item.order))
