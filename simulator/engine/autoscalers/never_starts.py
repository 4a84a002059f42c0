"""Work that can never start: pods that fit no node which the groups or pools may ever make, and why."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from models.units import cpu_text, memory_text
from simulator.engine.autoscalers.binpacking import Kinds
from simulator.engine.autoscalers.cluster_autoscaler_flags import GroupsFile
from simulator.engine.autoscalers.karpenter_catalog import launchable
from simulator.engine.autoscalers.karpenter_input import KarpenterFile
from simulator.engine.kube.objects import CPU, MEMORY, PODS, Amounts, Node, Pod, node_affinity_matches, untolerated

MIB = 2**20
SHOWN = 3
"""Nodes listed in a reason before the rest is counted."""


@dataclass(frozen=True, slots=True)
class Offer:
    """One kind of node while it is empty: what it leaves to pods, and its taints and labels (`node`)."""

    name: str
    room: Amounts
    node: Node


def why_never(pod: Pod, offers: Sequence[Offer]) -> str | None:
    """Why `pod` fits none of `offers`, None when it fits one; other pods are not looked at.

    >>> own = Node("own", {"cpu": 15000, "pods": 110})
    >>> why_never(Pod("web", {"cpu": 100000}), [Offer("own", own.allocatable, own)])
    'it asks for cpu 100, an empty node has at most 15 (own)'
    """
    asked = {name: amount for name, amount in {**pod.requests, PODS: 1}.items() if amount}
    roomy = [offer for offer in offers if all(offer.room.get(name, 0) >= amount for name, amount in asked.items())]
    refusals = [_refusal(pod, offer) for offer in roomy]
    if "" in refusals:
        return None
    if refusals:
        more = f" and {len(refusals) - SHOWN} more" if len(refusals) > SHOWN else ""
        return f"every node with room refuses it: {', '.join(refusals[:SHOWN])}{more}"
    if not offers:
        return "no node may be made"
    short = [reason for name, amount in asked.items() if (reason := _short(name, amount, offers))]
    return "; ".join(short) or f"no single node has room for all of {', '.join(f'{n} {_shown(n, a)}' for n, a in asked.items())}"


def group_offers(file: GroupsFile, *, as_the_autoscaler_sees_it: bool = False) -> tuple[Offer, ...]:
    """Empty nodes of the groups that may have any; as the autoscaler sees it, `template_overhead` runs there already."""
    overhead = file.up.template_overhead if as_the_autoscaler_sees_it else {}
    return tuple(
        Offer(group.name, {name: amount - overhead.get(name, 0) for name, amount in group.node.allocatable.items()}, group.node)
        for group in file.groups
        if group.maximum
    )


def pool_offers(file: KarpenterFile, kinds: Kinds) -> tuple[Offer, ...]:
    """Empty nodes of one's own and of every type that a pool may launch within its limits."""
    owned = tuple(Offer(node.name, node.allocatable, node) for node, _ in file.owned)
    catalog = file.catalog
    launched = tuple(
        Offer(f"{pool.name}/{kind.name}", dict(zip(kinds.axes, catalog.allocatable[at].tolist(), strict=True)), node)
        for pool in file.pools
        for at, kind in enumerate(catalog.types)
        if catalog.suiting(pool.requirements)[at] and all(kind.capacity.get(name, 0) <= most for name, most in pool.limits.items())
        for node in launchable(pool, kind)
    )
    return owned + launched


def idle_shapes(pods: Iterable[Pod], file: GroupsFile, place: str) -> tuple[str, ...]:
    """Warnings about shapes that no group takes, or that no group grows for."""
    real, seen = group_offers(file), group_offers(file, as_the_autoscaler_sees_it=True)
    found = []
    for pod in pods:
        if reason := why_never(pod, real):
            found.append(f"{place}: shapes.{pod.name} can never start, it fits no group even when empty: {reason}")
        elif reason := why_never(pod, seen):
            found.append(f"{place}: no group grows for shapes.{pod.name}, less template_overhead: {reason}")
    return tuple(found)


def idle_pool_shapes(pods: Iterable[Pod], file: KarpenterFile, kinds: Kinds, place: str) -> tuple[str, ...]:
    """The same for Karpenter's pools and nodes of one's own."""
    offers = pool_offers(file, kinds)
    why = ((pod.name, why_never(pod, offers)) for pod in pods)
    return tuple(
        f"{place}: shapes.{name} can never start, it fits no pool's instance type even when empty: {reason}"
        for name, reason in why
        if reason
    )


def _short(name: str, asked: int, offers: Sequence[Offer]) -> str:
    """Why one resource is not there, "" when some node has enough of it."""
    best = max(offers, key=lambda offer: offer.room.get(name, 0))
    most = best.room.get(name, 0)
    if most >= asked:
        return ""
    if most <= 0:
        near = get_close_matches(name, sorted({other for offer in offers for other in offer.room}), n=1, cutoff=0.6)
        return f"it asks for {name}, which no node offers" + (f" (did you mean {near[0]}?)" if near else "")
    return f"it asks for {name} {_shown(name, asked)}, an empty node has at most {_shown(name, most)} ({best.name})"


def _refusal(pod: Pod, offer: Offer) -> str:
    """What keeps `pod` off a node with room, "" when nothing does."""
    taint = untolerated(offer.node.taints, pod)
    if taint is not None:
        return f"{offer.name} has the taint {taint.key}{'=' if taint.value else ''}{taint.value}:{taint.effect}"
    return "" if node_affinity_matches(pod, offer.node) else f"{offer.name} does not have the labels it wants"


def _shown(name: str, amount: int) -> str:
    if name == CPU:
        return cpu_text(amount)
    return memory_text(amount // MIB) if name == MEMORY and amount % MIB == 0 else str(amount)
