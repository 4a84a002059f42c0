"""The numbers by which the kernel reads constraints: groups of shapes, topology domains, and the terms of every shape."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from models.fleet import NodePool
from simulator.engine.constraint_kernels import WORK_ROWS
from simulator.engine.constraints import FREE, Constraints, node_of
from simulator.engine.kube.cluster_state import NAMESPACE_NAME
from simulator.engine.kube.objects import HOSTNAME, Node, Pod, PodTerm, Spread, node_affinity_matches, untolerated
from simulator.engine.kube.plugins.pod_topology_spread import default_spreads

HARD_POD_AFFINITY_WEIGHT = 1
"""What a required affinity term of a placed pod is worth to the pods it means (hardPodAffinityWeight's default)."""


@dataclass(frozen=True)
class CompiledRules:
    """The arrays of `constraint_kernels`, and which shapes are placed by rule, counted by others, or alone on a node."""

    terms: NDArray[np.int32]
    matching: NDArray[np.int32]
    domain: NDArray[np.int32]
    work: NDArray[np.float64]
    ruled: frozenset[int]
    members: frozenset[int]
    alone: frozenset[int]


NOTHING = np.zeros(0, np.int32)
NO_RULES = CompiledRules(NOTHING, NOTHING, NOTHING, np.zeros(0), frozenset(), frozenset(), frozenset())


@dataclass(frozen=True)
class ShapeView:
    """A shape as its constraints see it. `homes : bool [pools]` are the sides it may use, `tiers : int32 [pools]` -1 where it
    may never run; `extra` its extended resources after the first, as (axis, amount).
    """

    rules: Constraints | None
    pod: Pod
    extra: tuple[tuple[int, int], ...]
    homes: NDArray[np.bool_]
    tiers: NDArray[np.int32]


def compile_rules(
    shapes: Sequence[ShapeView], pools: Sequence[NodePool], pool_of: NDArray[np.int32], padded: int, *, every: bool = False
) -> CompiledRules:
    """Numbers for every shape; `pool_of : int32 [slots]`, `padded` the length of arrays by shape.

    `every` puts all shapes on the scan with rules. When no rule can matter the result is `NO_RULES`.
    """
    compiler = _Compiler(shapes, [node_of(pool) for pool in pools])
    found = [compiler.rules_of(view) for view in shapes]
    ruled = frozenset(s for s, view in enumerate(shapes) if every or compiler.matters(view, found[s]))
    if not ruled:
        return NO_RULES
    used = set().union(*(found[s].groups() for s in ruled))
    counted = {meant: number for meant, number in compiler.groups.items() if number in used}
    terms = [0] * padded
    for s, rule in enumerate(found):
        terms[s] = rule.write(terms, [number for meant, number in counted.items() if s in meant])
    slots = pool_of.size
    return CompiledRules(
        terms=np.array(terms, np.int32),
        matching=np.zeros(max(len(compiler.groups), 1) * slots, np.int32),
        domain=_domains(list(compiler.keys)[1:], compiler.nodes, pool_of),
        work=np.zeros(WORK_ROWS * max(slots, len(pools))),
        ruled=ruled,
        members=frozenset(s for meant in counted for s in meant) | {s for s, view in enumerate(shapes) if view.extra},
        alone=frozenset(s for s in ruled if any(key == 0 and s in compiler.meant(group) for key, group in found[s].anti)),
    )


class _Compiler:
    """Collects groups of shapes, topology keys and who carries which term."""

    def __init__(self, shapes: Sequence[ShapeView], nodes: Sequence[Node]) -> None:
        self.pods, self.nodes = [view.pod for view in shapes], nodes
        self.groups: dict[frozenset[int], int] = {}
        self.keys: dict[str, int] = {HOSTNAME: 0}
        self.anti: dict[PodTerm, set[int]] = {}
        self.liked: dict[tuple[PodTerm, int], set[int]] = {}
        for s, pod in enumerate(self.pods):
            for term in pod.anti_affinity:
                self.anti.setdefault(term, set()).add(s)
            for term in pod.affinity:
                self.liked.setdefault((term, HARD_POD_AFFINITY_WEIGHT), set()).add(s)
            for soft in pod.preferred_pods:
                self.liked.setdefault((soft.term, soft.weight), set()).add(s)

    def group(self, meant: Iterable[int]) -> int:
        """Number of a set of shapes."""
        return self.groups.setdefault(frozenset(meant), len(self.groups))

    def meant(self, group: int) -> frozenset[int]:
        """The shapes of a group."""
        return list(self.groups)[group]

    def those(self, means: Callable[[Pod], bool]) -> int:
        """Group of the shapes for which `means` holds."""
        return self.group(s for s, pod in enumerate(self.pods) if means(pod))

    def key(self, name: str) -> int:
        """Number of a topology key."""
        return self.keys.setdefault(name, len(self.keys))

    def rules_of(self, view: ShapeView) -> _Rules:
        """Everything the kernel must know of a shape."""
        pod = view.pod
        hard = [spread for spread in pod.spreads if spread.hard]
        soft = [spread for spread in pod.spreads if not spread.hard]
        labelled = self._labelled(soft)
        if not pod.spreads:
            soft, labelled = default_spreads((view.rules or FREE).default_spread), [1] * len(self.nodes)

        def meets_all(other: Pod) -> bool:
            return all(_means(term, other) for term in pod.affinity)

        return _Rules(
            affinity=[self.key(term.topology_key) for term in pod.affinity],
            company=self.those(meets_all) if pod.affinity else 0,
            meets_own=bool(pod.affinity) and meets_all(pod),
            anti=self._apart(pod),
            ports=int(bool(pod.ports)),
            hard=[self._spread(view, spread, self._labelled(hard)) for spread in hard],
            soft=[self._spread(view, spread, labelled) for spread in soft],
            preferred=self._preferences(pod),
            extra=list(view.extra),
            wanted=[sum(p.weight for p in pod.preferred if p.term.matches(node)) for node in self.nodes],
            unwelcome=[_unwelcome(node, pod) for node in self.nodes],
            labelled=labelled,
        )

    def _apart(self, pod: Pod) -> list[tuple[int, int]]:
        """(key, group) that must be absent: taken host ports, own anti-affinity, and that of others who mean this pod."""
        found = self._ports(pod)
        found += [(self.key(term.topology_key), self.those(partial(_means, term))) for term in pod.anti_affinity]
        found += [(self.key(term.topology_key), self.group(who)) for term, who in self.anti.items() if _means(term, pod)]
        return found

    def _ports(self, pod: Pod) -> list[tuple[int, int]]:
        """(host name, group) of the pods that take one of its host ports."""
        if not pod.ports:
            return []
        return [(0, self.those(lambda other: any(a.conflicts(b) for a in pod.ports for b in other.ports)))]

    def _preferences(self, pod: Pod) -> list[tuple[int, int, int]]:
        """(key, group, weight) that add up: own preferences, and those of others who mean this pod."""
        found = [(self.key(soft.term.topology_key), self.those(partial(_means, soft.term)), soft.weight) for soft in pod.preferred_pods]
        placed = ((term, weight, who) for (term, weight), who in self.liked.items() if _means(term, pod))
        return found + [(self.key(term.topology_key), self.group(who), weight) for term, weight, who in placed]

    def _labelled(self, spreads: Sequence[Spread]) -> list[int]:
        """By pool, whether its nodes carry every key."""
        return [int(all(spread.topology_key in (HOSTNAME, *node.labels) for spread in spreads)) for node in self.nodes]

    def _spread(self, view: ShapeView, spread: Spread, labelled: Sequence[int]) -> _SpreadRule:
        pod, selector = view.pod, spread.selector

        def means(other: Pod) -> bool:
            return selector is not None and other.namespace == pod.namespace and selector.matches(other.labels)

        numbers = (self.key(spread.topology_key), self.those(means), spread.max_skew, int(means(pod)), spread.min_domains)
        return _SpreadRule(numbers, [self._counts(view, spread, q) * labelled[q] for q in range(len(self.nodes))])

    def _counts(self, view: ShapeView, spread: Spread, q: int) -> int:
        """0 when the nodes of pool `q` do not count for a constraint, 1 when they do, 2 unless cordoned (a cordon is a taint)."""
        node = self.nodes[q]
        if spread.honor_affinity and not (view.homes[q] and node_affinity_matches(view.pod, node)):
            return 0
        if spread.honor_taints:
            return 2 if untolerated(node.taints, view.pod) is None else 0
        return 1

    def matters(self, view: ShapeView, rules: _Rules) -> bool:
        """Whether any rule can change where a shape goes."""
        may = np.flatnonzero(view.tiers >= 0)
        uneven = any(len({values[q] for q in may}) > 1 for values in (rules.wanted, rules.unwelcome))
        return uneven or bool(rules.affinity or rules.anti or rules.hard or rules.soft or rules.preferred or rules.extra)


@dataclass(frozen=True)
class _SpreadRule:
    """(key, group, max skew, own, least domains) and the mask by pool."""

    numbers: tuple[int, int, int, int, int]
    mask: list[int]


@dataclass(frozen=True)
class _Rules:
    """The sections of one shape in `terms`."""

    affinity: list[int]
    company: int
    meets_own: bool
    anti: list[tuple[int, int]]
    ports: int
    hard: list[_SpreadRule]
    soft: list[_SpreadRule]
    preferred: list[tuple[int, int, int]]
    extra: list[tuple[int, int]]
    wanted: list[int]
    unwelcome: list[int]
    labelled: list[int]

    def groups(self) -> set[int]:
        """Groups whose pods must be counted."""
        found = {group for _, group in self.anti} | {group for _, group, _ in self.preferred}
        found |= {spread.numbers[1] for spread in (*self.hard, *self.soft)}
        return found | ({self.company} if self.affinity else set())

    def write(self, terms: list[int], members: list[int]) -> int:
        """Append to `terms` in the order of `constraint_kernels`; the place where the shape stands."""

        def place(values: Iterable[int]) -> int:
            at = len(terms)
            terms.extend(values)
            return at

        hard = [(*rule.numbers, place(rule.mask)) for rule in self.hard]
        soft = [(*rule.numbers[:3], place(rule.mask)) for rule in self.soft]
        counted = place(members)
        lengths = (len(self.anti), len(hard), len(soft), len(self.preferred), len(self.extra), len(members))
        at = place((len(self.affinity), self.company, int(self.meets_own), *lengths, counted, self.ports))
        place(self.affinity)
        for section in (*self.anti, *hard, *soft, *self.preferred, *self.extra, self.wanted, self.unwelcome, self.labelled):
            place(section)
        return at


def _means(term: PodTerm, pod: Pod) -> bool:
    return term.matches(pod.namespace, pod.labels, {NAMESPACE_NAME: pod.namespace})


def _unwelcome(node: Node, pod: Pod) -> int:
    """PreferNoSchedule taints that the pod does not tolerate."""
    soft = [toleration for toleration in pod.tolerations if toleration.effect in ("", "PreferNoSchedule")]
    preferences = (taint for taint in node.taints if taint.effect == "PreferNoSchedule")
    return sum(not any(toleration.covers(taint) for toleration in soft) for taint in preferences)


def _domains(keys: Sequence[str], nodes: Sequence[Node], pool_of: NDArray[np.int32]) -> NDArray[np.int32]:
    """Domain of every slot under every key but the host name: int32 [keys * slots], -1 without the label."""
    columns = []
    for key in keys:
        values = {value: number for number, value in enumerate(dict.fromkeys(node.labels[key] for node in nodes if key in node.labels))}
        by_pool = np.array([values[node.labels[key]] if key in node.labels else -1 for node in nodes], np.int32)
        columns.append(by_pool[pool_of])
    return np.concatenate(columns) if columns else NOTHING
