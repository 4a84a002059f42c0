"""Readiness of an applied object, in the manner of kstatus, with one rule more: silence is not readiness.

For kinds whose controller reports conditions, a missing condition means "not yet"; when nothing at all was written to
the status, the controller is probably not there, and the message says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from simulator.export.objects import at

State = Literal["ready", "waiting", "silent", "failed"]
_CONDITIONS = {
    "EC2NodeClass": {"Ready": "True"},
    "NodePool": {"Ready": "True", "NodeClassReady": "True"},
    "MachineDeployment": {"Available": "True", "RollingOut": "False"},
    "Deployment": {"Available": "True"},
}


@dataclass(frozen=True, slots=True)
class Readiness:
    """A state and its reason."""

    state: State
    reason: str = ""


def waits_for(kind: str) -> bool:
    """True for kinds whose readiness is worth waiting for; the others are ready once they exist."""
    return kind in _CONDITIONS


def readiness(live: Mapping[str, Any] | None) -> Readiness:
    """State of a live object."""
    if live is None:
        return Readiness("failed", "it is gone")
    if at(live, "metadata", "deletionTimestamp"):
        return Readiness("failed", "it is being deleted")
    wanted = _CONDITIONS.get(str(live["kind"]))
    if wanted is None:
        return Readiness("ready")
    conditions = {c["type"]: c for c in at(live, "status", "conditions") or []}
    if not conditions and at(live, "status", "observedGeneration") is None:
        return Readiness("silent", "no controller has reported on it")
    observed, generation = at(live, "status", "observedGeneration"), at(live, "metadata", "generation")
    if observed is not None and generation is not None and observed < generation:
        return Readiness("waiting", "its controller has not seen the change yet")
    if conditions.get("Stalled", {}).get("status") == "True":
        return Readiness("failed", _why(conditions["Stalled"]))
    for name, status in wanted.items():
        if name not in conditions:
            return Readiness("waiting", f"condition {name} is not reported yet")
        if conditions[name].get("status") != status:
            return Readiness("waiting", f"{name} is {conditions[name].get('status')}: {_why(conditions[name])}")
    return Readiness("ready")


def _why(condition: Mapping[str, Any]) -> str:
    return str(condition.get("message") or condition.get("reason") or "no reason given")
