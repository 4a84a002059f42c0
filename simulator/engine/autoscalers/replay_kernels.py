"""Node scores of the default profile for pods that differ by requests and preferred node labels only, over all nodes at once.

The plug-ins' formulas stand in `scores_kernels`; here are those that look at several nodes together: the spread of one
ReplicaSet's pods (system default constraints of PodTopologySpread: hostname with skew 3, zone with skew 5) and the
normalising of NodeAffinity and TaintToleration. Source: kubernetes/kubernetes pkg/scheduler/framework/plugins at v1.36.3.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from simulator.engine.scores_kernels import balanced_136, least_allocated

Ints = NDArray[np.int64]

HOSTNAME_SKEW = 3
ZONE_SKEW = 5
SPREAD_WEIGHT = 2
AFFINITY_WEIGHT = 2
TAINT_WEIGHT = 3


@njit(cache=True)
def spread_scores(feasible: NDArray[np.bool_], same: Ints, zone: Ints) -> Ints:
    """PodTopologySpread 0..100 per node: int64 [nodes].

    same : int64 [nodes], pods of the pod's own set on each node; zone : int64 [nodes], zone number, -1 without a label.
    """
    nodes = feasible.size
    zones = zone.max() + 1 if nodes else 0
    in_zone = np.zeros(max(zones, 1), dtype=np.int64)
    seen = np.zeros(max(zones, 1), dtype=np.bool_)
    count, unlabelled = 0, 0
    for n in range(nodes):
        if zone[n] >= 0:
            in_zone[zone[n]] += same[n]
        if feasible[n]:
            count += 1
            if zone[n] >= 0:
                seen[zone[n]] = True
            else:
                unlabelled = 1
    host_weight = math.log(count + 2.0)
    zone_weight = math.log(seen.sum() + unlabelled + 2.0)
    raw = np.zeros(nodes, dtype=np.int64)
    low, high = np.int64(2**62), np.int64(0)
    for n in range(nodes):
        if feasible[n]:
            value = same[n] * host_weight + (HOSTNAME_SKEW - 1)
            if zone[n] >= 0:
                value += in_zone[zone[n]] * zone_weight + (ZONE_SKEW - 1)
            raw[n] = math.floor(value + 0.5)
            low, high = min(low, raw[n]), max(high, raw[n])
    for n in range(nodes):
        raw[n] = 100 if high == 0 else 100 * (high + low - raw[n]) // high
    return raw


@njit(cache=True)
def node_scores(
    allocatable: Ints,
    used: Ints,
    scored: Ints,
    request: Ints,
    scored_request: Ints,
    feasible: NDArray[np.bool_],
    same: Ints,
    zone: Ints,
    preferred: Ints,
    avoided: Ints,
) -> Ints:
    """Weighted sum of the default profile's scores per node, -1 where the pod cannot go: int64 [nodes].

    allocatable, used : int64 [nodes, axes], cpu and memory first; scored : int64 [nodes, 2], requests as LeastAllocated
    counts them; request : int64 [axes]; scored_request : int64 [2]; preferred : int64 [nodes], weight of matching terms;
    avoided : int64 [nodes], PreferNoSchedule taints that the pod does not tolerate.
    """
    nodes = feasible.size
    ones = np.ones(2, dtype=np.int64)
    spread = spread_scores(feasible, same, zone)
    highest, worst = np.int64(0), np.int64(0)
    for n in range(nodes):
        if feasible[n]:
            highest, worst = max(highest, preferred[n]), max(worst, avoided[n])
    totals = np.full(nodes, -1, dtype=np.int64)
    for n in range(nodes):
        if not feasible[n]:
            continue
        room = allocatable[n, :2]
        total = least_allocated(scored[n] + scored_request, room, ones)
        if request[0] + request[1] > 0:
            total += balanced_136(used[n, :2] + request[:2], used[n, :2], room)
        total += SPREAD_WEIGHT * spread[n]
        if highest > 0:
            total += AFFINITY_WEIGHT * (preferred[n] * 100 // highest)
        total += TAINT_WEIGHT * (100 - (avoided[n] * 100 // worst if worst > 0 else 0))
        totals[n] = total
    return totals
