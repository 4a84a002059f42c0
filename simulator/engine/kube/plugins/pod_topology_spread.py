"""PodTopologySpread: hard constraints bound the skew between domains; soft ones prefer the emptier domain."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from simulator.engine.kube.cluster_state import Cluster, Ints, Mask
from simulator.engine.kube.objects import HOSTNAME, ZONE, Selector, Spread
from simulator.engine.kube.plugins import MAX_SCORE, PLUGINS, Cycle, Plugin, Refusal, refuse

NO_LABEL = "node(s) didn't match pod topology spread constraints (missing required label)"
TOO_SKEWED = "node(s) didn't match pod topology spread constraints"
SYSTEM_DEFAULTS = ((3, HOSTNAME), (5, ZONE))
"""maxSkew and key of the built-in soft constraints for pods of a Service or controller."""


def _eligible(cycle: Cycle, spread: Spread) -> Mask:
    """Nodes that count for a constraint under its inclusion policies: bool [nodes]."""
    nodes = np.ones(len(cycle.cluster), dtype=np.bool_)
    if spread.honor_affinity:
        nodes &= cycle.affine
    if spread.honor_taints:
        nodes &= cycle.tolerated
    return nodes


def _labelled(cluster: Cluster, spreads: Iterable[Spread]) -> Mask:
    """Nodes that carry every constraint's key: bool [nodes]."""
    nodes = np.ones(len(cluster), dtype=np.bool_)
    for spread in spreads:
        nodes &= cluster.domains(spread.topology_key)[0] >= 0
    return nodes


def _filter(cycle: Cycle) -> Iterable[Refusal]:
    """A node is refused by the first constraint it breaks, so that it counts under one reason only."""
    cluster, pod = cycle.cluster, cycle.pod
    hard = [spread for spread in pod.spreads if spread.hard]
    labelled = _labelled(cluster, hard)
    refused = np.zeros(len(cluster), dtype=np.bool_)
    for spread in hard:
        lacking = (cluster.domains(spread.topology_key)[0] < 0) & ~refused
        if lacking.any():
            yield refuse(lacking, NO_LABEL, False)
        skewed = _skewed(cycle, spread, labelled) & ~refused & ~lacking
        if skewed.any():
            yield refuse(skewed, TOO_SKEWED, True)
        refused |= lacking | skewed


def _skewed(cycle: Cycle, spread: Spread, labelled: Mask) -> Mask:
    """matching + self - global minimum > maxSkew: bool [nodes]."""
    cluster, pod, key = cycle.cluster, cycle.pod, spread.topology_key
    counted = labelled & _eligible(cycle, spread)
    matching = cluster.per_domain(key, cluster.spread_counts(pod.namespace, spread.selector), counted)
    present = cluster.per_domain(key, counted.astype(np.int64)) > 0
    lowest = int(matching[present].min()) if int(present.sum()) >= spread.min_domains else 0
    own = int(spread.selector is not None and spread.selector.matches(pod.labels))
    return cluster.spread_over(key, matching) + own - lowest > spread.max_skew


def _soft(cycle: Cycle) -> tuple[list[Spread], bool]:
    """Soft constraints and whether nodes must carry every key (not so for the system's own defaults)."""
    pod = cycle.pod
    if pod.spreads:
        return [spread for spread in pod.spreads if not spread.hard], True
    selectors = cycle.settings.default_selectors
    selector = selectors(pod) if selectors else None
    return default_spreads(selector), False


def default_spreads(selector: Selector | None) -> list[Spread]:
    """The built-in constraints for the pods that `selector` means; none without a selector."""
    if selector is None:
        return []
    return [Spread(skew, key, hard=False, selector=selector) for skew, key in SYSTEM_DEFAULTS]


def _score(cycle: Cycle, rows: Ints) -> Ints | None:
    spreads, all_keys = _soft(cycle)
    if not spreads:
        return None
    cluster = cycle.cluster
    labelled = _labelled(cluster, spreads) if all_keys else np.ones(len(cluster), dtype=np.bool_)
    scored = np.zeros(len(cluster), dtype=np.bool_)
    scored[rows] = True
    scored &= labelled
    total = np.zeros(len(cluster))
    for spread in spreads:
        total += _burden(cycle, spread, scored, labelled)
    burden = np.floor(total + 0.5).astype(np.int64)[rows]
    return _inverted(burden, scored[rows])


def _burden(cycle: Cycle, spread: Spread, scored: Mask, labelled: Mask) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Matching pods in each node's domain times log(domains + 2), plus maxSkew - 1: float64 [nodes]."""
    cluster, key = cycle.cluster, spread.topology_key
    codes, _ = cluster.domains(key)
    counts = cluster.spread_counts(cycle.pod.namespace, spread.selector)
    if key == HOSTNAME:
        size, matching = int(scored.sum()), counts
    else:
        size = len(np.unique(codes[scored]))
        counted = labelled & _eligible(cycle, spread)
        matching = cluster.spread_over(key, cluster.per_domain(key, counts, counted))
    worth = matching * math.log(size + 2) + (spread.max_skew - 1)
    return np.where(codes >= 0, worth, 0.0)


def _inverted(burden: Ints, scored: Mask) -> Ints:
    """100 for the least burdened node; nodes that lack a key score 0."""
    if not scored.any():
        return np.zeros_like(burden)
    least, most = int(burden[scored].min()), max(int(burden[scored].max()), 0)
    if most == 0:
        return np.where(scored, MAX_SCORE, 0)
    return np.where(scored, MAX_SCORE * (most + least - burden) // most, 0)


PLUGINS.register("PodTopologySpread", Plugin(weight=2, filter=_filter, score=_score))
