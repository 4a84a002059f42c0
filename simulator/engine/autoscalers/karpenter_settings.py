"""Karpenter's own flags and feature gates that a replay file may set under `settings`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from models.errors import Problem

POLICIES = {"preference-policy": ("Respect", "Ignore"), "min-values-policy": ("Strict", "BestEffort")}
GATES = ("SpotToSpotConsolidation", "StaticCapacity", "ReservedCapacity", "NodeRepair", "NodeOverlay", "CapacityBuffer")
MODELLED = ("SpotToSpotConsolidation",)
ON_BY_DEFAULT = ("ReservedCapacity",)


@dataclass(frozen=True, slots=True)
class Switches:
    """What the flags switch; all off is the program's default."""

    spot_to_spot: bool = False
    no_wishes: bool = False
    fewer_values: bool = False


def read_switches(body: Any, place: str, problems: list[Problem], warnings: list[str]) -> Switches:
    """`feature-gates` (as one text or a mapping), `preference-policy` and `min-values-policy`; other flags are named."""
    if not isinstance(body, Mapping):
        problems.append(Problem(place, repr(body)[:80], "write Karpenter's flags as name: value"))
        return Switches()
    flags = {str(name).lstrip("-"): value for name, value in body.items()}
    gates = _gates(flags.pop("feature-gates", {}), f"{place}.feature-gates", problems)
    for name, on in gates.items():
        if on != (name in ON_BY_DEFAULT) and name not in MODELLED:
            warnings.append(f"{place}.feature-gates.{name} is not modelled")
    chosen = {}
    for name, accepted in POLICIES.items():
        chosen[name] = str(flags.pop(name, accepted[0]))
        if chosen[name] not in accepted:
            problems.append(Problem(f"{place}.{name}", repr(chosen[name]), f"give one of {', '.join(accepted)}"))
    warnings += [f"{place}.{name} is not modelled" for name in flags]
    return Switches(
        gates.get("SpotToSpotConsolidation", False),
        chosen["preference-policy"] == "Ignore",
        chosen["min-values-policy"] == "BestEffort",
    )


def _gates(value: Any, place: str, problems: list[Problem]) -> dict[str, bool]:
    """Gate -> whether it is on."""
    pairs = value.items() if isinstance(value, Mapping) else (part.partition("=")[::2] for part in str(value).split(",") if part)
    found = {str(name).strip(): str(on).strip().lower() == "true" for name, on in pairs}
    for name in found:
        if name not in GATES:
            problems.append(Problem(place, repr(name), f"give one of {', '.join(GATES)}"))
    return found
