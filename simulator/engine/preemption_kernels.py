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
from simulator.engine.layout_kernels import AGAIN, ENDING, EVICTIONS, LATE, NEXT_ARRIVAL, OLDEST, PODS, PREEMPTED, RULED, SLOT
from simulator.engine.pod_kernels import prune_heap, put_back, take, touch

I4 = np.int32
U8 = np.uint64

MIN_CANDIDATES, CANDIDATES_PERCENT = 100, 10
PRIORITY_SHIFT = np.int64(1) << 31


@compiled(_nrt=False)
def lower_runs(s, tier, count, shape_rank, pools):
    """Whether any pod of lower priority runs in a pool that shape `s` may use."""
    shapes = shape_rank.size
    for q in range(pools):
        if tier[q * shapes + s] >= 0:
            for other in range(shapes):
                if count[q * shapes + other] > 0 and shape_rank[other] < shape_rank[s]:
                    return True
    return False


@compiled(_nrt=False)
def _start_of(p, began, arrival):
    """When a running pod started on its node."""
    return began[p] if began[p] >= 0 else arrival[p]


@compiled(_nrt=False)
def list_lower(rank, clock, setup, arrival, shape, placed, shape_rank, began, lower, slots):
    """Pods of lower priority by node, most important first: `lower` holds where each node's begin, then the pods."""
    for n in range(slots + 1):
        lower[n] = 0
    for step in range(2):
        for turn in range(2):
            first, last = (clock[OLDEST], clock[NEXT_ARRIVAL]) if turn == 0 else (setup[PODS], arrival.size)
            for p in range(first, last):
                state = placed[p]
                if state < 0 or shape_rank[shape[p]] >= rank or (state >= LATE and state & (AGAIN | ENDING)):
                    continue
                n = np.int64(state & SLOT)
                if step == 0:
                    lower[n + 1] += 1
                else:
                    k = lower[n]
                    lower[slots + 1 + k] = p
                    lower[n] = k + 1
        if step == 0:
            for n in range(slots):
                lower[n + 1] += lower[n]
    for n in range(slots, 0, -1):
        lower[n] = lower[n - 1]
    lower[0] = 0
    for n in range(slots):
        for i in range(lower[n] + 1, lower[n + 1]):
            p = lower[slots + 1 + i]
            rank_p, start_p = np.int64(shape_rank[shape[p]]), _start_of(p, began, arrival)
            j = i - 1
            while j >= lower[n]:
                other = lower[slots + 1 + j]
                rank_o, start_o = np.int64(shape_rank[shape[other]]), _start_of(other, began, arrival)
                if rank_o > rank_p or (rank_o == rank_p and (start_o < start_p or (start_o == start_p and other < p))):
                    break
                lower[slots + 1 + j + 1] = other
                j -= 1
            lower[slots + 1 + j + 1] = p


@compiled(_nrt=False)
def fits_on(
    n, s, free_cpu, free_memory, free_pods, free_extended, pool_first, pool_end,
    tier, shape_cpu, shape_memory, shape_extended, shape_axis, shape_flags, terms, matching, domain, work,
):  # fmt: skip
    """Whether node `n` takes shape `s` as things stand, all filters asked."""
    if free_cpu[n] < shape_cpu[s] or free_memory[n] < shape_memory[s] or free_pods[n] < 1:
        return False
    if shape_extended[s] > 0 and free_extended[np.int64(shape_axis[s]) * free_cpu.size + n] < shape_extended[s]:
        return False
    if shape_flags[s] & RULED:
        mark_feasible(
            s, free_cpu, free_memory, free_pods, free_extended, pool_first, pool_end,
            tier, shape_cpu, shape_memory, shape_extended, shape_axis, terms, matching, domain, work,
        )  # fmt: skip
        return work[n] > 0.0
    return True


@compiled(_nrt=False)
def find_victims(
    n, s, lower, shape, free_cpu, free_memory, free_pods, free_extended, pool_first, pool_end,
    tier, shape_cpu, shape_memory, shape_extended, shape_axis, shape_flags, terms, matching, domain, work,
):  # fmt: skip
    """Mark the victims of node `n` in `lower` as -1 - pod; whether the pod fits once they are gone. Rooms stay as they are."""
    slots = free_cpu.size
    first, last = slots + 1 + lower[n], slots + 1 + lower[n + 1]
    for k in range(first, last):
        take(
            U8(n), np.int64(shape[lower[k]]), -1, free_cpu, free_memory, free_pods, free_extended,
            shape_cpu, shape_memory, shape_extended, shape_axis, shape_flags, terms, matching,
        )  # fmt: skip
    fits = fits_on(
        n, s, free_cpu, free_memory, free_pods, free_extended, pool_first, pool_end,
        tier, shape_cpu, shape_memory, shape_extended, shape_axis, shape_flags, terms, matching, domain, work,
    )  # fmt: skip
    for k in range(first, last):
        other = np.int64(shape[lower[k]])
        take(
            U8(n), other, 1, free_cpu, free_memory, free_pods, free_extended,
            shape_cpu, shape_memory, shape_extended, shape_axis, shape_flags, terms, matching,
        )  # fmt: skip
        if fits and not fits_on(
            n, s, free_cpu, free_memory, free_pods, free_extended, pool_first, pool_end,
            tier, shape_cpu, shape_memory, shape_extended, shape_axis, shape_flags, terms, matching, domain, work,
        ):  # fmt: skip
            take(
                U8(n), other, -1, free_cpu, free_memory, free_pods, free_extended,
                shape_cpu, shape_memory, shape_extended, shape_axis, shape_flags, terms, matching,
            )  # fmt: skip
            lower[k] = -1 - lower[k]
    for k in range(first, last):
        if lower[k] < 0:
            take(
                U8(n), np.int64(shape[-1 - lower[k]]), 1, free_cpu, free_memory, free_pods, free_extended,
                shape_cpu, shape_memory, shape_extended, shape_axis, shape_flags, terms, matching,
            )  # fmt: skip
    return fits


@compiled(error_model="numpy", _nrt=False)
def evict_victims(
    n, now,
    clock, setup, rules, arrival, shape, duration, departure,
    placed, wait, queue_next, queue_order, late_end, heap,
    free_cpu, free_memory, free_pods, free_extended, without, pool_of, last_departure,
    pool_cpu, pool_memory, pool_first, pool_end,
    tier, shape_cpu, shape_memory, shape_extended, shape_axis, shape_rank, shape_flags, shape_class, head, tail,
    count, area, starts, hour_cpu, hour_memory, hour_pods, tree, levels, changed, changed_ms,
    pool_speed, pool_latency, shape_grace, terms, matching, domain, work, began, lower,
):  # fmt: skip
    """The marked pods of node `n` lose it and queue again, most important first."""
    slots, late = free_cpu.size, 0
    for k in range(slots + 1 + lower[n], slots + 1 + lower[n + 1]):
        if lower[k] >= 0:
            continue
        p = -1 - lower[k]
        s = np.int64(shape[p])
        late += 1 if placed[p] >= LATE else 0
        put_back(
            p, n, now, False, clock, setup, arrival, shape, duration, placed, queue_next, queue_order, late_end,
            pool_of, shape_flags, head, tail, shape_cpu, count, area, changed, changed_ms, pool_speed,
        )  # fmt: skip
        take(
            U8(n), s, -1, free_cpu, free_memory, free_pods, free_extended, shape_cpu, shape_memory, shape_extended, shape_axis,
            shape_flags, terms, matching,
        )  # fmt: skip
        clock[EVICTIONS] += 1
        clock[PREEMPTED] += 1
    if late > 0:
        prune_heap(clock, setup, placed, late_end, heap)
    last_departure[n] = now
    touch(
        n, setup, rules, free_cpu, free_memory, free_pods, free_extended, without,
        pool_cpu, pool_memory, pool_of, tier, shape_cpu, shape_memory, shape_extended, shape_axis, tree, levels,
    )  # fmt: skip


@compiled(_nrt=False)
def hopeless_nodes(
    s, free_cpu, free_memory, free_pods, free_extended, pool_first, pool_end,
    tier, shape_cpu, shape_memory, shape_extended, shape_axis, shape_flags, terms, matching, domain, work, lower,
):  # fmt: skip
    """Mark nodes that no departure can open with -1 in `lower`'s last `slots` places; how many others stand."""
    slots, shapes, resolvable = free_cpu.size, shape_cpu.size, 0
    at = lower.size - slots
    if shape_flags[s] & RULED:
        mark_feasible(
            s, free_cpu, free_memory, free_pods, free_extended, pool_first, pool_end,
            tier, shape_cpu, shape_memory, shape_extended, shape_axis, terms, matching, domain, work,
        )  # fmt: skip
    for q in range(pool_first.size):
        for n in range(pool_first[q], pool_end[q]):
            helps = free_cpu[n] >= 0 and free_pods[n] >= 0 and tier[q * shapes + s] >= 0
            if shape_flags[s] & RULED and work[n] < 0.0:
                helps = False
            lower[at + n] = 0 if helps else -1
            resolvable += 1 if helps else 0
    return resolvable


@compiled(error_model="numpy", _nrt=False)
def preempt(
    s, now,
    clock, setup, rules, arrival, shape, duration, departure,
    placed, wait, queue_next, queue_order, late_end, heap,
    free_cpu, free_memory, free_pods, free_extended, without, pool_of, last_departure,
    pool_cpu, pool_memory, pool_first, pool_end,
    tier, shape_cpu, shape_memory, shape_extended, shape_axis, shape_rank, shape_flags, shape_class, head, tail,
    count, area, starts, hour_cpu, hour_memory, hour_pods, tree, levels, changed, changed_ms,
    pool_speed, pool_latency, shape_grace, terms, matching, domain, work, began, lower,
):  # fmt: skip
    """Evict the victims of the best node for a pod of shape `s`; that node, with room for the pod now, or -1."""
    slots, rank = free_cpu.size, np.int64(shape_rank[s])
    if not lower_runs(s, tier, count, shape_rank, pool_first.size):
        return np.int64(-1)
    list_lower(rank, clock, setup, arrival, shape, placed, shape_rank, began, lower, slots)
    resolvable = hopeless_nodes(
        s, free_cpu, free_memory, free_pods, free_extended, pool_first, pool_end,
        tier, shape_cpu, shape_memory, shape_extended, shape_axis, shape_flags, terms, matching, domain, work, lower,
    )  # fmt: skip
    enough = max(MIN_CANDIDATES, resolvable * CANDIDATES_PERCENT // 100)
    best, candidates = np.int64(-1), 0
    best_highest, best_sum, best_victims, best_start = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    for n in range(slots):
        if candidates >= enough:
            break
        if lower[n] == lower[n + 1] or lower[lower.size - slots + n] < 0:
            continue
        fits = find_victims(
            n, s, lower, shape, free_cpu, free_memory, free_pods, free_extended, pool_first, pool_end,
            tier, shape_cpu, shape_memory, shape_extended, shape_axis, shape_flags, terms, matching, domain, work,
        )  # fmt: skip
        highest, total, victims, start = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
        for k in range(slots + 1 + lower[n], slots + 1 + lower[n + 1]):
            if lower[k] >= 0:
                continue
            p = -1 - lower[k]
            priority = np.int64(shape_rank[shape[p]])
            if victims == 0:
                highest, start = priority, _start_of(p, began, arrival)
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
        evict_victims(
            best, now,
            clock, setup, rules, arrival, shape, duration, departure,
            placed, wait, queue_next, queue_order, late_end, heap,
            free_cpu, free_memory, free_pods, free_extended, without, pool_of, last_departure,
            pool_cpu, pool_memory, pool_first, pool_end,
            tier, shape_cpu, shape_memory, shape_extended, shape_axis, shape_rank, shape_flags, shape_class, head, tail,
            count, area, starts, hour_cpu, hour_memory, hour_pods, tree, levels, changed, changed_ms,
            pool_speed, pool_latency, shape_grace, terms, matching, domain, work, began, lower,
        )  # fmt: skip
    return best
