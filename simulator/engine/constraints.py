"""Constraints of pod shapes in the words of kube-scheduler, and how they are matched against shapes and pools.

Selectors and terms are matched once, before a run. A topology key is `kubernetes.io/hostname` (every slot is a domain of
its own) or a label of the pools; `topology.kubernetes.io/zone` is the pool's label, or else the name of its zone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from models.errors import Problem
from models.fleet import NodePool
from simulator.engine.kube.objects import (
    HOSTNAME,
    ZONE,
    HostPort,
    Node,
    NodeTerm,
    Pod,
    PodTerm,
    PreferredNodeTerm,
    Selector,
    Spread,
    Taint,
    Toleration,
    WeightedPodTerm,
    node_affinity_matches,
    untolerated,
)


@dataclass(frozen=True)
class Constraints:
    """What a pod asks of the scheduler besides room, and the labels by which other pods' terms find it.

    Labels are pairs, so that shapes can be compared. `default_spread` is the selector of the pod's Service or controller:
    with it and without own `spreads`, the scheduler's built-in soft constraints hold.
    """

    labels: tuple[tuple[str, str], ...] = ()
    namespace: str = "default"
    node_selector: tuple[tuple[str, str], ...] = ()
    required: tuple[NodeTerm, ...] | None = None
    preferred: tuple[PreferredNodeTerm, ...] = ()
    affinity: tuple[PodTerm, ...] = ()
    anti_affinity: tuple[PodTerm, ...] = ()
    preferred_pods: tuple[WeightedPodTerm, ...] = ()
    spreads: tuple[Spread, ...] = ()
    default_spread: Selector | None = None
    tolerations: tuple[Toleration, ...] = ()
    ports: tuple[HostPort, ...] = ()

    @property
    def pod(self) -> Pod:
        """The same as a pod of the explaining scheduler, without requests."""
        return Pod(
            name="",
            namespace=self.namespace,
            labels=dict(self.labels),
            node_selector=dict(self.node_selector),
            required=self.required,
            preferred=self.preferred,
            affinity=self.affinity,
            anti_affinity=self.anti_affinity,
            preferred_pods=self.preferred_pods,
            spreads=self.spreads,
            tolerations=self.tolerations,
            ports=self.ports,
        )


FREE = Constraints()


def joined(rules: Constraints | None, added: Constraints | None) -> Constraints | None:
    """`rules` with the tolerations of `added` as well; either may be missing."""
    if rules is None or added is None:
        return rules or added
    return replace(rules, tolerations=(*rules.tolerations, *added.tolerations))


def taint_of(text: str) -> Taint:
    """A pool's taint from `key=value:Effect` or `key:Effect`.

    >>> taint_of("gpu=yes:NoSchedule").value, taint_of("slow:PreferNoSchedule").effect
    ('yes', 'PreferNoSchedule')
    """
    rest, _, effect = text.rpartition(":")
    key, _, value = rest.partition("=")
    return Taint(key, value, effect)


def node_of(pool: NodePool) -> Node:
    """What every node of a pool has in common, for selectors and taints; its zone as a label."""
    return Node(pool.name, {}, {ZONE: pool.zone, **pool.labels}, tuple(taint_of(taint) for taint in pool.taints))


def pod_of(rules: Constraints | None, extended: Iterable[str]) -> Pod:
    """The pod of a shape; taints whose key is an extended resource it asks for are tolerated, as the
    ExtendedResourceToleration admission plug-in arranges.
    """
    pod = (rules or FREE).pod
    added = tuple(Toleration(name, "Exists") for name in extended)
    return replace(pod, tolerations=(*pod.tolerations, *added))


def welcomes(node: Node, pod: Pod) -> bool:
    """Node selector, required node affinity and hard taints together."""
    return node_affinity_matches(pod, node) and untolerated(node.taints, pod) is None


def check_rules(shapes: Sequence[Constraints | None]) -> list[Problem]:
    """What pools cannot answer: a node chosen by its own name, and skews below one."""
    problems = []
    for s, given in enumerate(shapes):
        rules = given or FREE
        terms = [*(rules.required or ()), *(preference.term for preference in rules.preferred)]
        keys = {part.key for term in terms for part in term.expressions} | {key for key, _ in rules.node_selector}
        if HOSTNAME in keys or any(term.fields for term in terms):
            mend = "choose nodes by labels of their pool; single nodes have no names here"
            problems.append(Problem(f"pod shape {s}", "a node chosen by its name", mend))
        if any(spread.max_skew < 1 or spread.min_domains < 1 for spread in rules.spreads):
            problems.append(Problem(f"pod shape {s}", "a spread constraint with maxSkew or minDomains below 1", "use at least 1"))
    return problems
