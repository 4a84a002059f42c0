"""Preemption: which pods of lower priority leave, on which node, so that a pod that fits nowhere finds room.

On a node: take away every pod of lower priority, then give back the most important ones (priority, then the longest
running) that still leave room. Among nodes: lowest priority of the most important victim, lowest sum of priorities, fewest
victims, latest start of the most important ones, first node. Disruption budgets are not modelled here; victims leave at
once. Source: kubernetes/kubernetes pkg/scheduler/framework/preemption and plugins/defaultpreemption at v1.36.3.
"""

from __future__ import annotations

import numpy as np

from simulator.engine.constraint_kernels import mark_feasible
from simulator.engine.jit_kernels import compiled
from simulator.engine.layout_kernels import AGAIN, ENDING, EVICTIONS, LATE, PREEMPTED, RULED, SLOT
from simulator.engine.pod_kernels import existing, prune_heap, put_back, take, touch

I4 = np.int32
U8 = np.uint64

MIN_CANDIDATES, CANDIDATES_PERCENT = 100, 10
PRIORITY_SHIFT = np.int64(1) << 31


@compiled(_nrt=False)
def lower_runs(s, run):
    """Whether any pod of lower priority runs in a pool that shape `s` may use."""
    shapes = run.shape_rank.size
    for q in range(run.pool_first.size):
        if run.tier[q * shapes + s] >= 0:
            for other in range(shapes):
                if run.present[q * shapes + other] > 0 and run.shape_rank[other] < run.shape_rank[s]:
                    return True
    return False


@compiled(_nrt=False)
def _start_of(p, run):
    """When a running pod started on its node."""
    return run.began[p] if run.began[p] >= 0 else run.arrival[p]


@compiled(_nrt=False)
def list_lower(rank, run):
    """Pods of lower priority by node, most important first: `lower` holds where each node's begin, then the pods."""
    slots = run.free_cpu.size
    run.lower[: slots + 1] = 0
    for step in range(2):
        for turn in range(2):
            first, last = existing(turn, run)
            for p in range(first, last):
                state = run.placed[p]
                if state < 0 or run.shape_rank[run.shape[p]] >= rank or (state >= LATE and state & (AGAIN | ENDING)):
                    continue
                n = np.int64(state & SLOT)
                if step == 0:
                    run.lower[n + 1] += 1
                else:
                    k = run.lower[n]
                    run.lower[slots + 1 + k] = p
                    run.lower[n] = k + 1
        if step == 0:
            for n in range(slots):
                run.lower[n + 1] += run.lower[n]
    for n in range(slots, 0, -1):
        run.lower[n] = run.lower[n - 1]
    run.lower[0] = 0
    for n in range(slots):
        for i in range(run.lower[n] + 1, run.lower[n + 1]):
            p = run.lower[slots + 1 + i]
            rank_p, start_p = np.int64(run.shape_rank[run.shape[p]]), _start_of(p, run)
            j = i - 1
            while j >= run.lower[n]:
                other = run.lower[slots + 1 + j]
                rank_o, start_o = np.int64(run.shape_rank[run.shape[other]]), _start_of(other, run)
                if rank_o > rank_p or (rank_o == rank_p and (start_o < start_p or (start_o == start_p and other < p))):
                    break
                run.lower[slots + 1 + j + 1] = other
                j -= 1
            run.lower[slots + 1 + j + 1] = p


@compiled(_nrt=False)
def fits_on(n, s, run):
    """Whether node `n` takes shape `s` as things stand, all filters asked."""
    if run.free_cpu[n] < run.shape_cpu[s] or run.free_memory[n] < run.shape_memory[s] or run.free_pods[n] < 1:
        return False
    if run.shape_extended[s] > 0 and run.free_extended[np.int64(run.shape_axis[s]) * run.free_cpu.size + n] < run.shape_extended[s]:
        return False
    if run.shape_flags[s] & RULED:
        mark_feasible(s, run)
        return run.work[n] > 0.0
    return True


@compiled(_nrt=False)
def find_victims(n, s, run):
    """Mark the victims of node `n` in `lower` as -1 - pod; whether the pod fits once they are gone. Rooms stay as they are."""
    slots = run.free_cpu.size
    first, last = slots + 1 + run.lower[n], slots + 1 + run.lower[n + 1]
    for k in range(first, last):
        take(U8(n), np.int64(run.shape[run.lower[k]]), -1, run)
    fits = fits_on(n, s, run)
    for k in range(first, last):
        other = np.int64(run.shape[run.lower[k]])
        take(U8(n), other, 1, run)
        if fits and not fits_on(n, s, run):
            take(U8(n), other, -1, run)
            run.lower[k] = -1 - run.lower[k]
    for k in range(first, last):
        if run.lower[k] < 0:
            take(U8(n), np.int64(run.shape[-1 - run.lower[k]]), 1, run)
    return fits


@compiled(error_model="numpy", _nrt=False)
def evict_victims(n, now, run):
    """The marked pods of node `n` lose it and queue again, most important first."""
    slots, late = run.free_cpu.size, 0
    for k in range(slots + 1 + run.lower[n], slots + 1 + run.lower[n + 1]):
        if run.lower[k] >= 0:
            continue
        p = -1 - run.lower[k]
        s = np.int64(run.shape[p])
        late += 1 if run.placed[p] >= LATE else 0
        put_back(p, n, now, False, run)
        take(U8(n), s, -1, run)
        run.clock[EVICTIONS] += 1
        run.clock[PREEMPTED] += 1
    if late > 0:
        prune_heap(run)
    run.last_departure[n] = now
    touch(n, run)


@compiled(_nrt=False)
def hopeless_nodes(s, run):
    """Mark nodes that no departure can open with -1 in `lower`'s last `slots` places; how many others stand."""
    slots, shapes, resolvable = run.free_cpu.size, run.shape_cpu.size, 0
    at = run.lower.size - slots
    if run.shape_flags[s] & RULED:
        mark_feasible(s, run)
    for q in range(run.pool_first.size):
        for n in range(run.pool_first[q], run.pool_end[q]):
            helps = run.free_cpu[n] >= 0 and run.free_pods[n] >= 0 and run.tier[q * shapes + s] >= 0
            if run.shape_flags[s] & RULED and run.work[n] < 0.0:
                helps = False
            run.lower[at + n] = 0 if helps else -1
            resolvable += 1 if helps else 0
    return resolvable


@compiled(error_model="numpy", _nrt=False)
def preempt(s, now, run):
    """Evict the victims of the best node for a pod of shape `s`; that node, with room for the pod now, or -1."""
    slots, rank = run.free_cpu.size, np.int64(run.shape_rank[s])
    if not lower_runs(s, run):
        return np.int64(-1)
    list_lower(rank, run)
    resolvable = hopeless_nodes(s, run)
    enough = max(MIN_CANDIDATES, resolvable * CANDIDATES_PERCENT // 100)
    best, candidates = np.int64(-1), 0
    best_highest, best_sum, best_victims, best_start = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    for n in range(slots):
        if candidates >= enough:
            break
        if run.lower[n] == run.lower[n + 1] or run.lower[run.lower.size - slots + n] < 0:
            continue
        fits = find_victims(n, s, run)
        highest, total, victims, start = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
        for k in range(slots + 1 + run.lower[n], slots + 1 + run.lower[n + 1]):
            if run.lower[k] >= 0:
                continue
            p = -1 - run.lower[k]
            priority = np.int64(run.shape_rank[run.shape[p]])
            if victims == 0:
                highest, start = priority, _start_of(p, run)
            total += priority + PRIORITY_SHIFT
            victims += 1
        if not fits or victims == 0:
            continue
        candidates += 1
        better = best < 0 or highest < best_highest
        if best >= 0 and highest == best_highest:
            better = total < best_sum
            if total == best_sum:
                better = victims < best_victims or (victims == best_victims and start > best_start)
        if better:
            best, best_highest, best_sum, best_victims, best_start = np.int64(n), highest, total, victims, start
    if best >= 0:
        evict_victims(best, now, run)
    return best
