"""Topology in Karpenter's scheduler: how many pods each domain holds, and which domains a pod may still go to.

One group stands for one rule (a spread constraint, an affinity or an anti-affinity) of all pods that share it. Wishes
count like demands until they are relaxed; anti-affinity also keeps pods away that carry no rule themselves (inverse
groups). Domains that the real program walks in the random order of Go maps are drawn. Source: kubernetes-sigs/karpenter
pkg/controllers/provisioning/scheduling/topology{,group,domaingroup,nodefilter}.go at 1.14.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from simulator.engine.autoscalers.karpenter_preferences import Wish, tolerated
from simulator.engine.autoscalers.karpenter_requirements import (
    ANY,
    Allowed,
    Requirements,
    compatible,
    label_requirements,
    merged,
    requirements_of,
)
from simulator.engine.kube.objects import HOSTNAME, Labels, Pod, PodTerm, Selector, Spread, Taint, Toleration

SPREAD, NEAR, APART = "spread", "affinity", "anti-affinity"
Domains = Mapping[str, Mapping[str, Sequence[tuple[Taint, ...]]]]
"""Label -> value -> taints of each pool that may make nodes with it."""

Pick = Callable[[int], int]
"""A draw below n."""


@dataclass(frozen=True, slots=True)
class Standing:
    """`count` pods like `pod` that run on a node with these labels and taints."""

    pod: Pod
    labels: Labels
    taints: tuple[Taint, ...] = ()
    count: int = 1


@dataclass(frozen=True, slots=True)
class Filter:
    """Which nodes count for a spread constraint: any of `wanted` (None: all), and taints that `tolerations` cover (None: any)."""

    wanted: tuple[tuple[tuple[str, Allowed], ...], ...] | None = None
    tolerations: tuple[Toleration, ...] | None = None

    def matches(self, taints: tuple[Taint, ...], requirements: Requirements) -> bool:
        """Whether a node with these taints and labels counts."""
        if self.wanted is not None and not any(compatible(requirements, dict(term)) for term in self.wanted):
            return False
        return self.tolerations is None or all(any(part.covers(taint) for part in self.tolerations) for taint in taints)


@dataclass(slots=True, eq=False)
class Group:
    """One rule and its counts: domain -> pods."""

    kind: str
    key: str
    namespaces: frozenset[str]
    selector: Selector | None
    skew: int
    least: int
    filter: Filter
    counts: dict[str, int] = field(default_factory=dict)

    def selects(self, pod: Pod) -> bool:
        """Whether the rule is about `pod`."""
        return pod.namespace in self.namespaces and self.selector is not None and self.selector.matches(pod.labels)

    def register(self, domain: str) -> None:
        """`domain` exists."""
        self.counts.setdefault(domain, 0)

    def record(self, domains: Iterable[str], count: int = 1) -> None:
        """`count` pods more in each of `domains`."""
        for domain in domains:
            self.counts[domain] = self.counts.get(domain, 0) + count

    def choose(self, pod: Pod, allowed: Allowed, node: Allowed, pick: Pick) -> Allowed:
        """The domains that `pod` may go to on a node that allows `node`; an empty set when there is none."""
        if self.kind == SPREAD:
            return self._spread(pod, allowed, node, pick)
        if self.kind == NEAR:
            return self._near(pod, allowed, node, pick)
        if self.key == HOSTNAME and len(node.values) == 1:
            return Allowed(frozenset(name for name in node.values if not self.counts.get(name)))
        return Allowed(frozenset(name for name, count in self.counts.items() if not count and node.has(name) and allowed.has(name)))

    def _spread(self, pod: Pod, allowed: Allowed, node: Allowed, pick: Pick) -> Allowed:
        extra = int(self.selects(pod))
        if self.key == HOSTNAME and len(node.values) == 1:
            (host,) = node.values
            return Allowed(node.values if self.counts.get(host, 0) + extra <= self.skew else frozenset())
        floor = self._floor(allowed)
        names = [name for name in (sorted(node.values) if node.listed else self.counts) if name in self.counts and node.has(name)]
        fitting = {name: self.counts[name] for name in names if self.counts[name] + extra - floor <= self.skew}
        best = [name for name, count in fitting.items() if count == min(fitting.values())]
        return Allowed(frozenset((best[pick(len(best))],)) if best else frozenset())

    def _floor(self, allowed: Allowed) -> int:
        """Pods in the emptiest domain; a new host is always possible."""
        if self.key == HOSTNAME:
            return 0
        counts = [count for name, count in self.counts.items() if allowed.has(name)]
        return 0 if len(counts) < self.least else min(counts, default=2**31 - 1)

    def _near(self, pod: Pod, allowed: Allowed, node: Allowed, pick: Pick) -> Allowed:
        first = self.selects(pod) and not any(count and allowed.has(name) for name, count in self.counts.items())
        if self.key == HOSTNAME and len(node.values) == 1:
            (host,) = node.values
            return Allowed(node.values if allowed.has(host) and (self.counts.get(host) or first) else frozenset())
        near = frozenset(name for name, count in self.counts.items() if count and allowed.has(name) and node.has(name))
        if near or not first:
            return Allowed(near)
        free = [name for name in self.counts if allowed.has(name)]
        here = [name for name in free if node.has(name)]
        return Allowed(frozenset(names[pick(len(names))] for names in (here, free) if names))


class Topology:
    """Every group of one scheduling round."""

    def __init__(
        self, domains: Domains, standing: Sequence[Standing], nodes: Sequence[tuple[Labels, tuple[Taint, ...]]], pick: Pick,
        namespaces: Mapping[str, Labels] | None = None,
    ) -> None:  # fmt: skip
        self.domains, self.standing, self.nodes, self.pick = domains, standing, nodes, pick
        self.namespaces = namespaces or {}
        self.groups: dict[object, Group] = {}
        self.inverse: dict[object, Group] = {}
        self._owned: dict[int, tuple[Wish, list[Group], list[Group]]] = {}
        for running in standing:
            for term in running.pod.anti_affinity:
                group = self._group(APART, term.topology_key, running.pod, term, self.inverse)
                if term.topology_key in running.labels:
                    group.record((running.labels[term.topology_key],), running.count)

    def watch(self, wish: Wish) -> None:
        """Make the groups that `wish` owns, unless they are there."""
        if id(wish) in self._owned:
            return
        pod = wish.pod
        groups = [self._spread_group(spread, pod) for spread in pod.spreads]
        for kind, sign, hard in ((NEAR, 1, pod.affinity), (APART, -1, pod.anti_affinity)):
            soft = [weighted.term for weighted in pod.preferred_pods if weighted.weight * sign > 0]
            groups += [self._group(kind, term.topology_key, pod, term, self.groups) for term in (*hard, *soft)]
        against = [self._group(APART, term.topology_key, pod, term, self.inverse) for term in pod.anti_affinity]
        self._owned[id(wish)] = (wish, groups, against)

    def register(self, host: str) -> None:
        """A node called `host` joins every group by hostname."""
        for group in (*self.groups.values(), *self.inverse.values()):
            if group.key == HOSTNAME:
                group.register(host)

    def narrow(
        self, wish: Wish, taints: tuple[Taint, ...], node: Requirements, known: frozenset[str] = frozenset()
    ) -> dict[str, Allowed] | None:
        """`node` narrowed to domains that every rule about this pod allows, None when one allows none.

        known : labels that a node to be made may have without naming them.
        """
        matching = [*self._owned[id(wish)][1]]
        matching += [group for group in self.inverse.values() if group.selects(wish.pod) and group.filter.matches(taints, node)]
        found = dict(node)
        for group in matching:
            chosen = group.choose(wish.pod, wish.strict.get(group.key, ANY), node.get(group.key, ANY), self.pick)
            if chosen.empty:
                return None
            found = merged(found, ((group.key, chosen),))
            if found[group.key].empty or (group.key not in node and group.key not in known):
                return None
        return found

    def concerns(self, wish: Wish) -> bool:
        """Whether any rule is about this pod, so that full nodes may open up again or empty ones close."""
        return bool(self._owned[id(wish)][1]) or any(group.selects(wish.pod) for group in self.inverse.values())

    def record(self, wish: Wish, taints: tuple[Taint, ...], node: Requirements) -> None:
        """The pod goes to a node that allows `node`."""
        for group in self.groups.values():
            if group.selects(wish.pod) and group.filter.matches(taints, node):
                domain = node.get(group.key, ANY)
                if group.kind == APART or (not domain.complement and len(domain.values) == 1):
                    group.record(domain.values)
        for group in self._owned[id(wish)][2]:
            group.record(node.get(group.key, ANY).values)

    # -- groups

    def _spread_group(self, spread: Spread, pod: Pod) -> Group:
        wanted = None
        if spread.honor_affinity:
            selected = label_requirements(pod.node_selector)
            terms = [merged(selected, requirements_of(term.expressions).items()) for term in pod.required] if pod.required else [selected]
            wanted = tuple(tuple(sorted(term.items(), key=lambda item: item[0])) for term in terms)
        filter_ = Filter(wanted, pod.tolerations if spread.honor_taints else None)
        key = (SPREAD, spread.topology_key, pod.namespace, spread.max_skew, filter_, spread.selector)
        if key not in self.groups:
            group = Group(
                SPREAD, spread.topology_key, frozenset((pod.namespace,)), spread.selector, spread.max_skew, spread.min_domains, filter_,
                self._known(spread.topology_key, pod if spread.honor_taints else None),
            )  # fmt: skip
            self.groups[key] = self._counted(group)
        return self.groups[key]

    def _group(self, kind: str, label: str, pod: Pod, term: PodTerm, into: dict[object, Group]) -> Group:
        spaces = term.namespaces
        if term.namespace_selector is not None:
            spaces |= {name for name, labels in self.namespaces.items() if term.namespace_selector.matches(labels)}
        key = (kind, label, spaces, term.selector)
        if key not in into:
            group = Group(kind, label, spaces, term.selector, 2**31 - 1, 0, Filter(), self._known(label, pod))
            into[key] = group if into is self.inverse else self._counted(group)
        return into[key]

    def _known(self, label: str, pod: Pod | None) -> dict[str, int]:
        """Domains that pools may make, without those whose taints `pod` does not tolerate."""
        values = self.domains.get(label, {})
        return {name: 0 for name, pools in values.items() if pod is None or any(tolerated(taints, pod) for taints in pools)}

    def _counted(self, group: Group) -> Group:
        """Domains of nodes that exist, and the pods that run there."""
        for labels, taints in self.nodes:
            if group.key in labels and group.filter.matches(taints, label_requirements(labels)):
                group.register(labels[group.key])
        for running in self.standing:
            meant = group.selects(running.pod) or (group.selector is None and running.pod.namespace in group.namespaces)
            if meant and group.key in running.labels and group.filter.matches(running.taints, label_requirements(running.labels)):
                group.record((running.labels[group.key],), running.count)
        return group
