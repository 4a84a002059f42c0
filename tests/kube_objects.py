"""Short Kubernetes documents for tests."""

from __future__ import annotations

from typing import Any

Document = dict[str, Any]


def node_document(name: str, cpu: str = "4", memory: str = "16Gi", pods: str = "110", **parts: Any) -> Document:
    """A Node; keywords: labels, taints, unschedulable, images, and further allocatable resources in `more`."""
    allocatable = {"cpu": cpu, "memory": memory, "pods": pods, **parts.get("more", {})}
    labels = {"kubernetes.io/hostname": name, **parts.get("labels", {})}
    spec = {key: parts[key] for key in ("taints", "unschedulable") if key in parts}
    status = {"allocatable": allocatable, "images": parts.get("images", [])}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}, "spec": spec, "status": status}


def pod_document(name: str, cpu: str = "1", memory: str = "1Gi", **parts: Any) -> Document:
    """A Pod; keywords: labels, namespace, created, owner; anything else goes into spec."""
    requests = {key: value for key, value in (("cpu", cpu), ("memory", memory)) if value}
    metadata: Document = {"name": name, "namespace": parts.pop("namespace", "default"), "labels": parts.pop("labels", {})}
    if "created" in parts:
        metadata["creationTimestamp"] = parts.pop("created")
    if "owner" in parts:
        kind, owner = parts.pop("owner")
        metadata["ownerReferences"] = [{"kind": kind, "name": owner, "controller": True}]
    spec = {"containers": [{"name": "c", "image": "x", "resources": {"requests": requests}}], **parts}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
