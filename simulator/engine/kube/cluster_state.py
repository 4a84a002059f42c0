"""A cluster while pods are placed: nodes as arrays, pods counted by what others' rules can see of them.

Rows are nodes in input order. Pods with equal namespace and labels form one group and keep only their nodes, so a
selector is matched once per group, not once per pod.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from simulator.engine.kube.objects import CPU, MEMORY, PODS, Labels, Node, Pod, PodTerm, Requirement, Selector, Taint

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]
NAMESPACE_NAME = "kubernetes.io/metadata.name"


class PodGroup:
    """Pods of one namespace with equal labels: the node row of each."""

    def __init__(self, namespace: str, labels: Labels, terminating: bool) -> None:
        self.namespace = namespace
        self.labels = labels
        self.terminating = terminating
        self.rows = array("q")


class TermGroup:
    """Pods that carry one and the same affinity term: the node row of each. `weight` is 0 for required terms."""

    def __init__(self, term: PodTerm, weight: int) -> None:
        self.term = term
        self.weight = weight
        self.rows = array("q")


class Cluster:
    """Nodes and the pods on them.

    allocatable, requested : {resource: int64 [nodes]}; scored : {cpu, memory: int64 [nodes]} with scoring defaults;
    pod_count, max_pods : int64 [nodes].
    """

    def __init__(self, nodes: Sequence[Node], namespaces: Mapping[str, Labels] | None = None) -> None:
        self.nodes = tuple(nodes)
        self.rows = {node.name: row for row, node in enumerate(self.nodes)}
        self._namespaces = namespaces or {}
        resources = {CPU: 0, MEMORY: 0} | {name: 0 for node in self.nodes for name in node.allocatable}
        self.allocatable = {name: self.ints(node.allocatable.get(name, 0) for node in self.nodes) for name in resources}
        self.requested = {name: self.zeros() for name in resources}
        self.scored = {CPU: self.zeros(), MEMORY: self.zeros()}
        self.pod_count = self.zeros()
        self.max_pods = self.allocatable.get(PODS, self.zeros())
        self.pods: tuple[dict[str, Pod], ...] = tuple({} for _ in self.nodes)
        self.ports: dict[int, dict[str, Pod]] = {}
        self._groups: dict[str, dict[tuple[frozenset[tuple[str, str]], bool], PodGroup]] = {}
        self.anti_terms: dict[PodTerm, TermGroup] = {}
        self.soft_terms: dict[tuple[PodTerm, int], TermGroup] = {}
        self.hard_terms: dict[PodTerm, TermGroup] = {}
        self._domains: dict[str, tuple[Ints, tuple[str, ...]]] = {}
        self._by_taints = _rows_by_taints(self.nodes)

    def __len__(self) -> int:
        return len(self.nodes)

    @staticmethod
    def ints(values: Iterable[int]) -> Ints:
        """int64 array of `values`."""
        return np.fromiter(values, dtype=np.int64)

    def zeros(self) -> Ints:
        """int64 [nodes] of zeros."""
        return np.zeros(len(self.nodes), dtype=np.int64)

    def amount(self, table: Mapping[str, Ints], resource: str) -> Ints:
        """The column of a resource; zeros when no node knows it."""
        column = table.get(resource)
        return self.zeros() if column is None else column

    def add(self, pod: Pod, row: int) -> None:
        """Count `pod` on node `row`."""
        self._count(pod, row, 1)
        self.pods[row][pod.key] = pod
        self._group(pod).rows.append(row)
        for group in self._term_groups(pod):
            group.rows.append(row)
        if pod.ports:
            self.ports.setdefault(row, {})[pod.key] = pod

    def remove(self, pod: Pod, row: int) -> None:
        """Take `pod` off node `row`."""
        self._count(pod, row, -1)
        del self.pods[row][pod.key]
        self._group(pod).rows.remove(row)
        for group in self._term_groups(pod):
            group.rows.remove(row)
        if pod.ports:
            del self.ports[row][pod.key]

    def _count(self, pod: Pod, row: int, sign: int) -> None:
        for name, amount in pod.requests.items():
            if name not in self.requested:
                self.requested[name] = self.zeros()
            self.requested[name][row] += sign * amount
        for name, amount in pod.scored.items():
            self.scored[name][row] += sign * amount
        self.pod_count[row] += sign

    def _group(self, pod: Pod) -> PodGroup:
        space = self._groups.setdefault(pod.namespace, {})
        key = frozenset(pod.labels.items()), pod.terminating
        if key not in space:
            space[key] = PodGroup(pod.namespace, pod.labels, pod.terminating)
        return space[key]

    def _term_groups(self, pod: Pod) -> Iterator[TermGroup]:
        for term in pod.anti_affinity:
            yield self.anti_terms.setdefault(term, TermGroup(term, 0))
        for term in pod.affinity:
            yield self.hard_terms.setdefault(term, TermGroup(term, 0))
        for soft in pod.preferred_pods:
            yield self.soft_terms.setdefault((soft.term, soft.weight), TermGroup(soft.term, soft.weight))

    def namespace_labels(self, namespace: str) -> Labels:
        """Labels of a namespace; its name is always among them."""
        return {NAMESPACE_NAME: namespace, **self._namespaces.get(namespace, {})}

    def spread_counts(self, namespace: str, selector: Selector | None) -> Ints:
        """Pods of `namespace` that `selector` means, terminating ones left out: int64 [nodes]."""
        return self._counts(
            group
            for group in self._groups.get(namespace, {}).values()
            if not group.terminating and selector is not None and selector.matches(group.labels)
        )

    def matching_counts(self, matches: Callable[[str, Labels, Labels], bool]) -> Ints:
        """Pods for which `matches(namespace, labels, namespace labels)` holds: int64 [nodes]."""
        found = []
        for namespace, space in self._groups.items():
            about = self.namespace_labels(namespace)
            found += [group for group in space.values() if group.rows and matches(namespace, group.labels, about)]
        return self._counts(found)

    def _counts(self, groups: Iterable[PodGroup]) -> Ints:
        total = self.zeros()
        for group in groups:
            if group.rows:
                total += self.tally(group.rows)
        return total

    def tally(self, rows: array[int]) -> Ints:
        """How often each node stands in `rows`: int64 [nodes]."""
        return np.bincount(np.array(rows, dtype=np.int64), minlength=len(self.nodes))

    def domains(self, key: str) -> tuple[Ints, tuple[str, ...]]:
        """Topology domain of each node under a label: code int64 [nodes] (-1 without the label), and the values."""
        if key not in self._domains:
            values: dict[str, int] = {}
            codes = self.ints(values.setdefault(node.labels[key], len(values)) if key in node.labels else -1 for node in self.nodes)
            self._domains[key] = codes, tuple(values)
        return self._domains[key]

    def per_domain(self, key: str, counts: Ints, rows: Mask | None = None) -> Ints:
        """Sum of `counts` over the nodes of each domain, only `rows` counted: int64 [domains]."""
        codes, values = self.domains(key)
        chosen = codes >= 0 if rows is None else (codes >= 0) & rows
        return np.bincount(codes[chosen], weights=counts[chosen], minlength=len(values)).astype(np.int64)

    def spread_over(self, key: str, by_domain: Ints) -> Ints:
        """Each node's domain total; 0 without the label: int64 [nodes]."""
        codes, values = self.domains(key)
        if not values:
            return self.zeros()
        return np.where(codes >= 0, by_domain[codes], 0)

    def accepts(self, requirement: Requirement) -> Mask:
        """Nodes whose label meets an expression: bool [nodes]."""
        codes, values = self.domains(requirement.key)
        verdicts = np.array([*map(requirement.accepts, values), requirement.accepts(None)], dtype=np.bool_)
        return verdicts[codes]

    def where_taints(self, verdict: Callable[[tuple[Taint, ...]], int]) -> Ints:
        """`verdict` of each node's taints, asked once per distinct set of taints: int64 [nodes]."""
        found = self.zeros()
        for taints, rows in self._by_taints.items():
            found[rows] = verdict(taints)
        return found


def _rows_by_taints(nodes: Sequence[Node]) -> dict[tuple[Taint, ...], Ints]:
    rows: dict[tuple[Taint, ...], list[int]] = {}
    for row, node in enumerate(nodes):
        rows.setdefault(node.taints, []).append(row)
    return {taints: np.array(members, dtype=np.int64) for taints, members in rows.items()}
