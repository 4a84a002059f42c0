"""The namespace of an export, and the least rights that applying it needs: computed from its own documents.

`access/apply.yaml` and `access/prune.yaml` are for an administrator, who binds them; `burstline apply` does not write
them. Server-side apply needs get, create and patch; waiting needs watch; retiring needs no delete.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from models.plan import BuildPlan
from simulator.export.manifest import Manifest, meta

NAME = "access"
APPLY_VERBS = ("get", "list", "watch", "create", "patch")
_CLUSTER_SCOPED = frozenset({"NodePool", "EC2NodeClass", "PriorityClass", "Namespace", "ClusterRole", "ClusterRoleBinding"})


def plural(kind: str) -> str:
    """Resource name of a kind.

    >>> plural("EC2NodeClass"), plural("NodePool")
    ('ec2nodeclasses', 'nodepools')
    """
    return kind.lower() + ("es" if kind.endswith("s") else "s")


def is_cluster_scoped(kind: str) -> bool:
    """True for the kinds of an export that live outside namespaces."""
    return kind in _CLUSTER_SCOPED


def emit(plan: BuildPlan, objects: Iterable[Manifest]) -> tuple[Manifest, ...]:
    """The namespace (applied first), and roles for applying and for deleting (not applied)."""
    kinds = sorted({(_group(m), m.kind, _namespace(m)) for m in objects})
    kinds.append(("", "ConfigMap", plan.namespace))
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": meta(plan.namespace)}
    folder = "access"
    return (
        Manifest(NAME, f"base/namespace-{plan.namespace}.yaml", namespace),
        *(Manifest(NAME, f"{folder}/{role['metadata']['name']}{_suffix(role)}.yaml", role) for role in _roles("apply", APPLY_VERBS, kinds)),
        *(Manifest(NAME, f"{folder}/{role['metadata']['name']}{_suffix(role)}.yaml", role) for role in _roles("prune", ("delete",), kinds)),
    )


def _suffix(role: dict[str, Any]) -> str:
    namespace = role["metadata"].get("namespace")
    return f"-{namespace}" if namespace else ""


def _group(manifest: Manifest) -> str:
    version = str(manifest.document["apiVersion"])
    return version.split("/")[0] if "/" in version else ""


def _namespace(manifest: Manifest) -> str:
    return str(manifest.document["metadata"].get("namespace", ""))


def _roles(purpose: str, verbs: tuple[str, ...], kinds: list[tuple[str, str, str]]) -> list[dict[str, Any]]:
    name = f"burstline-{purpose}"
    api = "rbac.authorization.k8s.io/v1"
    roles = []
    for namespace in sorted({namespace for _, _, namespace in kinds}):
        rules = _rules(verbs, [(group, kind) for group, kind, where in kinds if where == namespace])
        if not namespace and purpose == "apply":
            rules.append({"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get"]})
        kind = "Role" if namespace else "ClusterRole"
        roles.append({"apiVersion": api, "kind": kind, "metadata": meta(name, namespace or None), "rules": rules})
    return roles


def _rules(verbs: tuple[str, ...], kinds: list[tuple[str, str]]) -> list[dict[str, Any]]:
    groups = sorted({group for group, _ in kinds})
    return [
        {"apiGroups": [group], "resources": sorted({plural(kind) for g, kind in kinds if g == group}), "verbs": list(verbs)}
        for group in groups
    ]
