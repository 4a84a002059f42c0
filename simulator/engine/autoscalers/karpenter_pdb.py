"""PodDisruptionBudgets in a replay: how many pods of a selector may be evicted now.

A budget that allows none keeps every node with such a pod from being disrupted; a drain evicts no more than it allows and
asks again. Source: kubernetes-sigs/karpenter pkg/utils/pdb at 1.14; kubernetes/kubernetes pkg/controller/disruption at v1.36.3.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from models.errors import Problem
from simulator.engine.kube.kube_fields import Fields
from simulator.engine.kube.objects import Pod, Selector
from simulator.engine.kube.pod_reader import read_selector


@dataclass(frozen=True, slots=True)
class PodBudget:
    """`least` pods stay up, or at most `most` are down; each a number, or a share in text such as 50 %. One of them is None."""

    selector: Selector
    least: int | str | None = None
    most: int | str | None = None

    def allowed(self, expected: int, healthy: int) -> int:
        """Evictions allowed now, of `expected` pods wanted and `healthy` ones running.

        >>> PodBudget(Selector(), least="50%").allowed(5, 4), PodBudget(Selector(), most=1).allowed(5, 5)
        (1, 1)
        """
        floor = _count(self.least, expected) if self.least is not None else expected - _count(self.most or 0, expected)
        return max(0, healthy - max(floor, 0)) if expected else 0


def blocked(pods: Sequence[Pod], budgets: Sequence[tuple[PodBudget, int]]) -> bool:
    """Whether a budget that allows nothing now, or two budgets at once, are about one of `pods` (Limits.CanEvictPods)."""
    for pod in pods:
        about = [left for budget, left in budgets if budget.selector.matches(pod.labels)]
        if len(about) > 1 or 0 in about:
            return True
    return False


def read_pod_budgets(bodies: Any, place: str, problems: list[Problem]) -> tuple[PodBudget, ...]:
    """A list of PodDisruptionBudgets: their specs, or whole manifests."""
    if not isinstance(bodies, list):
        problems.append(Problem(place, repr(bodies)[:80], "give a list of PodDisruptionBudgets"))
        return ()
    found = []
    for at, body in enumerate(bodies):
        part = Fields(body, f"{place}[{at}]", problems)
        spec = part.sub("spec") if "spec" in part else part
        selector, given = read_selector(spec, "selector"), {key: spec.raw.get(key) for key in ("minAvailable", "maxUnavailable")}
        wrong = [key for key, value in given.items() if not _valid(value)]
        if selector is None or wrong or sum(value is not None for value in given.values()) != 1:
            problems.append(Problem(spec.place, repr(spec.raw)[:80], "give selector and one of minAvailable, maxUnavailable (5 or 50%)"))
            continue
        found.append(PodBudget(selector, given["minAvailable"], given["maxUnavailable"]))
    return tuple(found)


def _valid(value: Any) -> bool:
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value is None or value >= 0
    return isinstance(value, str) and value.endswith("%") and value[:-1].isdigit()


def _count(value: int | str, expected: int) -> int:
    """A number, or a share of `expected` rounded up."""
    return value if isinstance(value, int) else math.ceil(expected * int(value[:-1]) / 100)
