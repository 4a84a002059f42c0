"""How Karpenter reads a pod: wishes count as demands at first and are given up one at a time until the pod fits.

The first required node term and the heaviest node preference hold; relaxing drops, in this order, the first of several
required node terms, the heaviest preferred pod affinity, the heaviest preferred pod anti-affinity, the heaviest node
preference, a soft spread constraint, and at last tolerates PreferNoSchedule when a pool has such a taint. Source:
kubernetes-sigs/karpenter pkg/controllers/provisioning/scheduling/preferences.go at 1.14.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from simulator.engine.autoscalers.binpacking import Vector
from simulator.engine.autoscalers.karpenter_requirements import Requirements, label_requirements, merged, requirements_of
from simulator.engine.kube.objects import Pod, Taint, Toleration, WeightedPodTerm

SOFT = Toleration(operator="Exists", effect="PreferNoSchedule")


@dataclass(slots=True, eq=False)
class Wish:
    """A kind of pod at one stage of relaxation. wants, strict: with and without the node preference; request: int64 [axes]."""

    kind: int
    pod: Pod
    wants: Requirements
    strict: Requirements
    request: Vector


def wish(kind: int, pod: Pod, request: Vector) -> Wish:
    """The pod as Karpenter sees it now."""
    strict = label_requirements(pod.node_selector)
    if pod.required:
        strict = merged(strict, requirements_of(pod.required[0].expressions).items())
    wants = strict
    if pod.preferred:
        heaviest = max(pod.preferred, key=lambda term: term.weight)
        wants = merged(strict, requirements_of(heaviest.term.expressions).items())
    return Wish(kind, pod, wants, strict, request)


def relaxed(pod: Pod, *, soft_taints: bool) -> Pod | None:
    """The pod with one wish less, None when only demands are left.

    soft_taints : whether any pool has a PreferNoSchedule taint.
    """
    if pod.required is not None and len(pod.required) > 1:
        return replace(pod, required=pod.required[1:])
    for sign in (1, -1):
        if terms := [term for term in pod.preferred_pods if term.weight * sign > 0]:
            return replace(pod, preferred_pods=_without(pod.preferred_pods, max(terms, key=lambda term: term.weight * sign)))
    if pod.preferred:
        heaviest = max(pod.preferred, key=lambda term: term.weight)
        return replace(pod, preferred=tuple(term for term in pod.preferred if term is not heaviest))
    soft = next((at for at, spread in enumerate(pod.spreads) if not spread.hard), None)
    if soft is not None:
        spreads = list(pod.spreads)
        spreads[soft] = spreads[-1]
        return replace(pod, spreads=tuple(spreads[:-1]))
    if soft_taints and SOFT not in pod.tolerations:
        return replace(pod, tolerations=(*pod.tolerations, SOFT))
    return None


def without_wishes(pod: Pod) -> Pod:
    """The pod with its demands only, as `preference-policy: Ignore` has it."""
    return replace(pod, preferred=(), preferred_pods=(), spreads=tuple(spread for spread in pod.spreads if spread.hard))


def tolerated(taints: tuple[Taint, ...], pod: Pod) -> bool:
    """Whether the pod tolerates every taint; soft ones count until they are relaxed."""
    return all(pod.tolerates(taint) for taint in taints)


def _without(terms: tuple[WeightedPodTerm, ...], gone: WeightedPodTerm) -> tuple[WeightedPodTerm, ...]:
    return tuple(term for term in terms if term is not gone)
