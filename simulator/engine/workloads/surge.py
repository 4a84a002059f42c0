"""Rolling updates, blue/green and canaries as arithmetic: how many pods of which version a controller wants next.

Source: kubernetes/kubernetes pkg/controller/deployment/rolling.go and util/deployment_util.go (ResolveFenceposts, NewRSNewReplicas).
"""

from __future__ import annotations

import math
from dataclasses import dataclass


def amount(value: int | str, replicas: int, *, up: bool) -> int:
    """Pods of a number or a percentage: maxSurge rounds up, maxUnavailable down.

    >>> amount("25%", 10, up=True), amount("25%", 10, up=False), amount(2, 10, up=True)
    (3, 2, 2)
    """
    if isinstance(value, int):
        return value
    hundredths = int(value[:-1]) * replicas
    return -(-hundredths // 100) if up else hundredths // 100


def fenceposts(max_surge: int | str, max_unavailable: int | str, replicas: int) -> tuple[int, int]:
    """(surge, unavailable) in pods; when both round to nothing one pod may be unavailable, or the update would stand still.

    >>> fenceposts("25%", "25%", 70), fenceposts("1%", "1%", 0), fenceposts(0, "10%", 5)
    ((18, 17), (0, 1), (0, 1))
    """
    surge, unavailable = amount(max_surge, replicas, up=True), amount(max_unavailable, replicas, up=False)
    return (surge, 1) if surge == 0 and unavailable == 0 else (surge, unavailable)


@dataclass(frozen=True, slots=True)
class Versions:
    """Pods of the new and the old version: how many there are (or are wanted), and how many of them are available."""

    new: int
    new_available: int
    old: int
    old_available: int

    @property
    def total(self) -> int:
        """Pods of both versions."""
        return self.new + self.old


def rolling_step(replicas: int, surge: int, unavailable: int, now: Versions) -> Versions:
    """What a rolling update wants next: (new, old) pods; equal to `now` when it must wait for pods to become available.

    New pods: up to `replicas + surge` in all. Old pods: unavailable ones go first, then as many as leave `replicas - unavailable`
    available.
    """
    new = now.new
    if new > replicas:
        new = replicas
    elif new < replicas:
        new += max(0, min(replicas + surge - now.total, replicas - new))
    return Versions(new, min(now.new_available, new), *_old_after(replicas, unavailable, now))


def _old_after(replicas: int, unavailable: int, now: Versions) -> tuple[int, int]:
    least = replicas - unavailable
    spare = now.total - least - (now.new - now.new_available)
    if spare <= 0:
        return now.old, now.old_available
    unhealthy = min(now.old - now.old_available, spare)
    old, available = now.old - unhealthy, now.old_available
    excess = max(0, now.new_available + available - least)
    gone = min(excess, old)
    return old - gone, max(0, available - gone)


def canary_pods(weight_share: float, replicas: int) -> int:
    """New pods beside the full old version at one step, rounded up.

    >>> canary_pods(0.2, 70), canary_pods(0.01, 10)
    (14, 1)
    """
    return math.ceil(round(weight_share * replicas, 9))


def surge_pods(strategy: str, replicas: int, max_surge: int | str, max_unavailable: int | str, weights: tuple[float, ...]) -> int:
    """Most pods above `replicas` while the version changes: the head-room that the switch needs.

    >>> [surge_pods(s, 70, "25%", "25%", (0.2, 0.5)) for s in ("rolling", "blue_green", "canary", "recreate")]
    [18, 70, 35, 0]
    """
    match strategy:
        case "rolling":
            return fenceposts(max_surge, max_unavailable, replicas)[0]
        case "blue_green":
            return replicas
        case "canary":
            return max(canary_pods(weight, replicas) for weight in weights)
        case _:
            return 0
