"""InterPodAffinity: required terms of the pod and anti-affinity of pods already placed refuse; preferences add up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from simulator.engine.kube.cluster_state import Cluster, Ints, Mask
from simulator.engine.kube.objects import Labels, Pod, PodTerm
from simulator.engine.kube.plugins import MAX_SCORE, PLUGINS, Cycle, Plugin, Refusal, refuse

AFFINITY = "node(s) didn't match pod affinity rules"
ANTI_AFFINITY = "node(s) didn't match pod anti-affinity rules"
EXISTING_ANTI_AFFINITY = "node(s) didn't satisfy existing pods anti-affinity rules"


def _filter(cycle: Cycle) -> Iterable[Refusal]:
    """A node counts under the first rule it breaks: own affinity, own anti-affinity, anti-affinity of others."""
    checks = (
        (_without_company(cycle), AFFINITY, False),
        (_beside_unwanted(cycle), ANTI_AFFINITY, True),
        (_unwanted_by_others(cycle), EXISTING_ANTI_AFFINITY, True),
    )
    refused = np.zeros(len(cycle.cluster), dtype=np.bool_)
    for nodes, reason, resolvable in checks:
        if (nodes & ~refused).any():
            yield refuse(nodes & ~refused, reason, resolvable)
        refused |= nodes


def means(cluster: Cluster, term: PodTerm, pod: Pod) -> bool:
    """Whether `term` means `pod`."""
    return term.matches(pod.namespace, pod.labels, cluster.namespace_labels(pod.namespace))


def _without_company(cycle: Cycle) -> Mask:
    """Nodes where a required affinity term finds no pod that meets all terms; the first of a kind may go anywhere."""
    cluster, pod, terms = cycle.cluster, cycle.pod, cycle.pod.affinity
    missing = np.zeros(len(cluster), dtype=np.bool_)
    if not terms:
        return missing

    def meets_all(namespace: str, labels: Labels, about: Labels) -> bool:
        return all(term.matches(namespace, labels, about) for term in terms)

    company = cluster.matching_counts(meets_all)
    unlabelled = np.zeros(len(cluster), dtype=np.bool_)
    any_company = False
    for term in terms:
        by_domain = cluster.per_domain(term.topology_key, company)
        any_company |= bool(by_domain.any())
        unlabelled |= cluster.domains(term.topology_key)[0] < 0
        missing |= cluster.spread_over(term.topology_key, by_domain) == 0
    first_of_its_kind = not any_company and meets_all(pod.namespace, pod.labels, cluster.namespace_labels(pod.namespace))
    return unlabelled if first_of_its_kind else missing


def _beside_unwanted(cycle: Cycle) -> Mask:
    """Nodes whose domain holds a pod that an own anti-affinity term means."""
    cluster = cycle.cluster
    found = np.zeros(len(cluster), dtype=np.bool_)
    for term in cycle.pod.anti_affinity:
        by_domain = cluster.per_domain(term.topology_key, cluster.matching_counts(term.matches))
        found |= cluster.spread_over(term.topology_key, by_domain) > 0
    return found


def _unwanted_by_others(cycle: Cycle) -> Mask:
    """Nodes whose domain holds a pod with an anti-affinity term that means this pod."""
    cluster = cycle.cluster
    found = np.zeros(len(cluster), dtype=np.bool_)
    for term, group in cluster.anti_terms.items():
        if group.rows and means(cluster, term, cycle.pod):
            by_domain = cluster.per_domain(term.topology_key, cluster.tally(group.rows))
            found |= cluster.spread_over(term.topology_key, by_domain) > 0
    return found


def _preferences(cycle: Cycle) -> Iterator[tuple[str, int, Ints]]:
    """(topology key, weight, pods int64 [nodes]) of every preference between this pod and those placed."""
    cluster, pod = cycle.cluster, cycle.pod
    for soft in pod.preferred_pods:
        yield soft.term.topology_key, soft.weight, cluster.matching_counts(soft.term.matches)
    hard_weight = cycle.settings.hard_pod_affinity_weight
    placed = [(group, group.weight) for group in cluster.soft_terms.values()]
    placed += [(group, hard_weight) for group in cluster.hard_terms.values() if hard_weight]
    for group, weight in placed:
        if group.rows and means(cluster, group.term, pod):
            yield group.term.topology_key, weight, cluster.tally(group.rows)


def _score(cycle: Cycle, rows: Ints) -> Ints | None:
    cluster = cycle.cluster
    total, touched = cluster.zeros(), False
    for key, weight, pods in _preferences(cycle):
        by_domain = cluster.per_domain(key, pods)
        touched |= bool(by_domain.any())
        total += weight * cluster.spread_over(key, by_domain)
    if not touched:
        return None
    scores = total[rows]
    low, high = int(scores.min()), int(scores.max())
    if high == low:
        return np.zeros_like(scores)
    return (MAX_SCORE * ((scores - low) / (high - low))).astype(np.int64)


PLUGINS.register("InterPodAffinity", Plugin(weight=2, filter=_filter, score=_score))
