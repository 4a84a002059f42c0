"""Manifest: one document of an export, its place in the bundle and its stage; and the text it becomes.

The text is deterministic: keys in the order given, quantities as strings, a header with scenario and plan digest, no
time stamps.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

Document = Mapping[str, Any]

STAGE = {
    "Namespace": 0, "ServiceAccount": 0, "ClusterRole": 0, "ClusterRoleBinding": 0, "Role": 0, "RoleBinding": 0, "PriorityClass": 0,
    "ConfigMap": 1, "PodTemplate": 1,
    "EC2NodeClass": 2, "Metal3MachineTemplate": 2, "OpenStackMachineTemplate": 2, "KubeadmConfigTemplate": 2,
    "NodePool": 3, "MachineDeployment": 3, "MachinePool": 3, "AWSManagedMachinePool": 3,
    "Deployment": 5, "PodDisruptionBudget": 5,
}  # fmt: skip
LAST_STAGE = 5
NODE_GROUPS = frozenset({"NodePool", "MachineDeployment", "MachinePool", "AWSManagedMachinePool"})
OBJECT_FOLDERS = ("base", "overlays")


@dataclass(frozen=True, slots=True)
class Manifest:
    """A document and where it goes. `path` is relative to the bundle; `note` is printed above the document.

    Documents under `base/` and `overlays/` are Kubernetes objects; everything else (`helm/`, `calls/`, `access/`,
    `records/`, `gitops/`) is for other tools and people, and `burstline apply` leaves it alone.
    """

    target: str
    path: str
    document: Document
    note: str = ""

    @property
    def kind(self) -> str:
        """The Kubernetes kind, or what else the file is."""
        return str(self.document.get("kind") or {"helm": "HelmValues", "calls": "ApiCalls"}.get(self.path.split("/")[0], "Record"))

    @property
    def stage(self) -> int:
        """The order of writing; unknown kinds come last."""
        return STAGE.get(self.kind, LAST_STAGE)

    @property
    def is_object(self) -> bool:
        """True when `burstline apply` writes it to the cluster."""
        return self.path.split("/")[0] in OBJECT_FOLDERS and self.kind != "Kustomization"


def content_digest(value: object) -> str:
    """Eight hex digits of a value's canonical JSON, for names of immutable templates.

    >>> content_digest({"b": 1, "a": 2}) == content_digest({"a": 2, "b": 1})
    True
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def meta(name: str, namespace: str | None = None, **more: Any) -> dict[str, Any]:
    """Object metadata; empty parts are left out."""
    parts = {"name": name, "namespace": namespace, **more}
    return {key: value for key, value in parts.items() if value}


class _Dumper(yaml.SafeDumper):
    """Block style with indented lists; long texts as literal blocks."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        """Indent list items below their key."""
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        """Write equal parts out instead of anchoring them."""
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)


def render(manifest: Manifest, scenario: str, digest: str) -> str:
    """The file's text: YAML with a comment header, or indented JSON for `.json` paths."""
    if manifest.path.endswith(".json"):
        return json.dumps(manifest.document, indent=2, ensure_ascii=False) + "\n"
    header = [f"scenario: {scenario}", f"plan: {digest}", f"target: {manifest.target}", *manifest.note.splitlines()]
    body = yaml.dump(manifest.document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000)
    return "".join(f"# {line}\n" for line in header) + body
