"""Who gets room: heads of the queues in order, each with the best node it can find, by preemption if that is on."""

from __future__ import annotations

import numpy as np

from simulator.engine.jit_kernels import compiled
from simulator.engine.layout_kernels import (
    FIXED_END,
    MEMBER,
    NEVER_PREEMPTS,
    PENDING,
    PREEMPT_AT,
    PREEMPTION,
    TABLE_AT,
    UNSERVED,
    WAITING,
    WAITING_RULED,
    WITHDRAWN,
)
from simulator.engine.pod_kernels import choose, settle, stop_waiting
from simulator.engine.table_kernels import call_at

I4 = np.int32
U8 = np.uint64


@compiled(error_model="numpy", _nrt=False)
def seek(
    p, s, now,
    clock, setup, rules, arrival, shape, duration, departure,
    placed, wait, queue_next, queue_order, late_end, heap,
    free_cpu, free_memory, free_pods, free_extended, without, pool_of, last_departure,
    pool_cpu, pool_memory, pool_first, pool_end,
    tier, shape_cpu, shape_memory, shape_extended, shape_axis, shape_rank, shape_flags, shape_class, head, tail,
    count, area, starts, hour_cpu, hour_memory, hour_pods, tree, levels, changed, changed_ms,
    pool_speed, pool_latency, shape_grace, terms, matching, domain, work, began, lower,
):  # fmt: skip
    """Best slot for pod `p` of shape `s`; if there is none, the one whose pods of lower priority leave for it; or -1."""
    n = choose(
        p, s,
        clock, setup, rules, arrival, shape, duration, departure,
        placed, wait, queue_next, queue_order, late_end, heap,
        free_cpu, free_memory, free_pods, free_extended, without, pool_of, last_departure,
        pool_cpu, pool_memory, pool_first, pool_end,
        tier, shape_cpu, shape_memory, shape_extended, shape_axis, shape_rank, shape_flags, shape_class, head, tail,
        count, area, starts, hour_cpu, hour_memory, hour_pods, tree, levels, changed, changed_ms,
        pool_speed, pool_latency, shape_grace, terms, matching, domain, work, began, lower,
    )  # fmt: skip
    if n < 0 and setup[PREEMPTION] != 0 and not shape_flags[s] & NEVER_PREEMPTS:
        n = call_at(setup[PREEMPT_AT], setup[TABLE_AT], np.int64(s), np.int64(now))
    return n


@compiled(_nrt=False)
def next_head(tried_rank, tried_order, head, shape_rank, queue_order):
    """The head of a queue that comes next after (rank, order): highest priority first, then longest in the queue; or -1."""
    best, best_rank, best_order = np.int64(-1), np.int64(0), np.int64(0)
    for s in range(head.size):
        p = head[s]
        if p < 0:
            continue
        rank, order = np.int64(shape_rank[s]), np.int64(queue_order[p])
        if rank > tried_rank or (rank == tried_rank and order <= tried_order):
            continue
        if best < 0 or rank > best_rank or (rank == best_rank and order < best_order):
            best, best_rank, best_order = p, rank, order
    return best


@compiled(error_model="numpy", _nrt=False)
def offer_queues(
    now,
    clock, setup, rules, arrival, shape, duration, departure,
    placed, wait, queue_next, queue_order, late_end, heap,
    free_cpu, free_memory, free_pods, free_extended, without, pool_of, last_departure,
    pool_cpu, pool_memory, pool_first, pool_end,
    tier, shape_cpu, shape_memory, shape_extended, shape_axis, shape_rank, shape_flags, shape_class, head, tail,
    count, area, starts, hour_cpu, hour_memory, hour_pods, tree, levels, changed, changed_ms,
    pool_speed, pool_latency, shape_grace, terms, matching, domain, work, began, lower,
):  # fmt: skip
    """Offer every node to the heads of the queues, each head once: after several pods or nodes changed together.

    A pod that others' constraints count may open a node to a head that was refused before: then all are asked again.
    """
    shapes = shape_cpu.size
    pools = count.size // shapes - 1
    tried_rank, tried_order, again = np.int64(2**31), np.int64(0), False
    while clock[WAITING] > 0:
        p = next_head(tried_rank, tried_order, head, shape_rank, queue_order)
        if p < 0:
            if not again:
                return
            tried_rank, tried_order, again = np.int64(2**31), np.int64(0), False
            continue
        s = np.int64(shape[p])
        tried_rank, tried_order = np.int64(shape_rank[s]), np.int64(queue_order[p])
        if shape_flags[s] & FIXED_END and arrival[p] + duration[p] <= now:
            placed[p] = UNSERVED if placed[p] == PENDING else WITHDRAWN
            stop_waiting(p, s, now, clock, setup, placed, queue_next, head, tail, shape_flags, shapes, pools, count, area)
            continue
        n = seek(
            p, s, now,
            clock, setup, rules, arrival, shape, duration, departure,
            placed, wait, queue_next, queue_order, late_end, heap,
            free_cpu, free_memory, free_pods, free_extended, without, pool_of, last_departure,
            pool_cpu, pool_memory, pool_first, pool_end,
            tier, shape_cpu, shape_memory, shape_extended, shape_axis, shape_rank, shape_flags, shape_class, head, tail,
            count, area, starts, hour_cpu, hour_memory, hour_pods, tree, levels, changed, changed_ms,
            pool_speed, pool_latency, shape_grace, terms, matching, domain, work, began, lower,
        )  # fmt: skip
        if n < 0:
            continue
        again = again or (clock[WAITING_RULED] > 0 and shape_flags[s] & MEMBER != 0)
        stop_waiting(p, s, now, clock, setup, placed, queue_next, head, tail, shape_flags, shapes, pools, count, area)
        settle(
            p, s, n, now,
            clock, setup, rules, arrival, shape, duration, departure,
            placed, wait, queue_next, queue_order, late_end, heap,
            free_cpu, free_memory, free_pods, free_extended, without, pool_of, last_departure,
            pool_cpu, pool_memory, pool_first, pool_end,
            tier, shape_cpu, shape_memory, shape_extended, shape_axis, shape_rank, shape_flags, shape_class, head, tail,
            count, area, starts, hour_cpu, hour_memory, hour_pods, tree, levels, changed, changed_ms,
            pool_speed, pool_latency, shape_grace, terms, matching, domain, work, began, lower,
        )  # fmt: skip
