"""Karpenter's scheduling round on arrays, compiled: the rule of `autoscalers.karpenter.provision` at a year's pace."""

from __future__ import annotations

import numpy as np

from simulator.engine.jit_kernels import compiled


@compiled(forceinline=True)
def _fits(free, request):
    """How many pods of `request` a node with `free` holds."""
    most = np.int64(1) << 61
    for a in range(request.size):
        if request[a] > 0:
            most = min(most, free[a] // request[a])
    return max(most, np.int64(0))


@compiled(forceinline=True)
def _holds(allocatable, requests, request):
    """Whether a type holds a claim's `requests` and one more pod."""
    held = True
    for a in range(request.size):
        held = held and allocatable[a] >= requests[a] + request[a]
    return held


@compiled()
def _add(k, requests, allocatable, takes, pool_of, types, asked, counts, total, closed, line, claims):
    """One pod of kind `k` to the first claim that still has a type for it, those with fewest pods first; whether there was one.

    `line` keeps the claims in order from pod to pod, and equals as they were, as a stable sort does.
    """
    for i in range(1, claims):
        claim, j = line[i], i
        while j > 0 and total[line[j - 1]] > total[claim]:
            line[j] = line[j - 1]
            j -= 1
        line[j] = claim
    for i in range(claims):
        c = line[i]
        if closed[c]:
            continue
        found = False
        if takes[pool_of[c], k]:
            for t in range(allocatable.shape[0]):
                found = found or (types[c, t] and _holds(allocatable[t], asked[c], requests[k]))
        if found:
            for t in range(allocatable.shape[0]):
                types[c, t] = types[c, t] and _holds(allocatable[t], asked[c], requests[k])
            asked[c] += requests[k]
            counts[c, k] += 1
            total[c] += 1
            return True
        closed[c] = True
    return False


@compiled()
def _open(k, requests, allocatable, capacity, usable, takes, remaining, room, no_limit, pool_of, types, asked, counts, total, claims):
    """A new claim of the first pool that can hold a pod of kind `k`; whether there was one."""
    for q in range(usable.shape[0]):
        if not takes[q, k] or room[q] <= 0:
            continue
        found = False
        for t in range(allocatable.shape[0]):
            fits = usable[q, t] and _holds(allocatable[t], requests[k], np.zeros_like(requests[k]))
            for a in range(remaining.shape[1]):
                fits = fits and capacity[t, a] <= remaining[q, a]
            types[claims, t] = fits
            found = found or fits
        if not found:
            continue
        for a in range(remaining.shape[1]):
            if remaining[q, a] != no_limit:
                largest = np.int64(0)
                for t in range(allocatable.shape[0]):
                    if types[claims, t]:
                        largest = max(largest, capacity[t, a])
                remaining[q, a] -= largest
        room[q] -= 1
        pool_of[claims], total[claims] = q, 1
        asked[claims] = requests[k]
        counts[claims] = 0
        counts[claims, k] = 1
        return True
    return False


@compiled()
def schedule(
    order, requests, wanted, free, allowed, capacity, allocatable, usable, takes, remaining, room, no_limit, most,
    pool_of, types, asked, counts, placed, left,
):  # fmt: skip
    """Pods by falling size to nodes in row order, then to claims, then to new claims of the pools in their order.

    free : int64 [nodes, axes]; allowed : bool [nodes, kinds]; usable : bool [pools, types]; takes : bool [pools, kinds];
    room : int64 [pools] claims that a pool may still open; most : give up beyond so many claims. Writes pool_of, types,
    asked and counts of the claims, placed : int64 [nodes, kinds] and left : int64 [kinds]; returns how many claims.
    """
    claims = 0
    total = np.zeros(pool_of.size, np.int64)
    closed = np.zeros(pool_of.size, np.bool_)
    line = np.arange(pool_of.size)
    for at in range(order.size):
        k = order[at]
        waiting = wanted[k]
        for n in range(free.shape[0]):
            if waiting == 0:
                break
            if allowed[n, k]:
                taken = min(_fits(free[n], requests[k]), waiting)
                if taken > 0:
                    free[n] -= taken * requests[k]
                    placed[n, k] += taken
                    waiting -= taken
        closed[:claims] = False
        while waiting > 0:
            if not _add(k, requests, allocatable, takes, pool_of, types, asked, counts, total, closed, line, claims):
                if claims == pool_of.size or not _open(
                    k, requests, allocatable, capacity, usable, takes, remaining, room, no_limit, pool_of, types, asked, counts, total,
                    claims,
                ):  # fmt: skip
                    break
                claims += 1
                if claims > most:
                    left[k] = waiting
                    return claims
            waiting -= 1
        left[k] = waiting
    return claims
