"""Handing `spec.replicas` over to an autoscaler.

A field that only we own is deleted when we stop naming it, and an object without replicas starts again at one
(kubernetes/kubernetes#67135). So before the number leaves our document, the live value is applied by a manager of its
own: it stays where it is until the autoscaler writes the next one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from simulator.export.objects import at

HANDOVER = "burstline-handover"
_KINDS = ("MachineDeployment", "MachinePool", "Deployment")


def handed_over(live: Mapping[str, Any] | None, result: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The small document that keeps the live replicas, when `result` (a dry run) has lost them; else None."""
    replicas = at(live or {}, "spec", "replicas")
    if live is None or live["kind"] not in _KINDS or replicas is None or at(result, "spec", "replicas") is not None:
        return None
    metadata = {key: live["metadata"][key] for key in ("name", "namespace") if live["metadata"].get(key)}
    return {"apiVersion": live["apiVersion"], "kind": live["kind"], "metadata": metadata, "spec": {"replicas": replicas}}


def with_replicas(result: Mapping[str, Any], handover: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """The result as it will be once the replicas are kept."""
    if handover is None:
        return result
    return {**result, "spec": {**result["spec"], "replicas": handover["spec"]["replicas"]}}
