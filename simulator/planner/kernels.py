"""Compiled sums of the fluid tier: demand binned by whole nodes, then suffix sums for every capacity at once."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True)
def _suffix_sums(demand, top, overflow, hours):  # type: ignore[no-untyped-def]
    """Fill overflow and hours [scenarios, top + 1] from demand [scenarios, hours], all demand <= top.

    A demand d falls into bin ceil(d); it exceeds capacity k exactly when its bin is above k. So
    overflow[k] = sum of demand in bins above k - k x their count, and hours[k] = their count.
    """
    counts = np.zeros(top + 1, np.int64)
    sums = np.zeros(top + 1, np.float64)
    for s in range(demand.shape[0]):
        counts[:] = 0
        sums[:] = 0.0
        for h in range(demand.shape[1]):
            d = demand[s, h]
            b = np.int64(d)
            if d > b:
                b += 1
            counts[b] += 1
            sums[b] += d
        above, total = np.int64(0), 0.0
        for k in range(top, -1, -1):
            overflow[s, k] = total - k * above
            hours[s, k] = above
            above += counts[k]
            total += sums[k]


@njit(cache=True)
def _workers_left(demand, offered, capacities, worker, dust, left):  # type: ignore[no-untyped-def]
    """Fill left [capacities] with the sum over hours of ceil((demand - min(offered, capacity)) / worker - dust)."""
    for k in range(capacities.shape[0]):
        capacity, total = capacities[k], np.int64(0)
        for h in range(demand.shape[0]):
            rest = demand[h] - min(offered[h], capacity)
            total += np.int64(np.ceil(rest / worker - dust))
        left[k] = total
