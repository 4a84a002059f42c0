"""Pods that control processes start and end, and nodes that they cordon or drain: the compiled half of those calls."""

from __future__ import annotations

import numpy as np

from simulator.engine.jit_kernels import compiled
from simulator.engine.kernels import free_room
from simulator.engine.layout_kernels import (
    ABSENT,
    AGAIN,
    CORDONED,
    ENDING,
    EVICTIONS,
    GONE,
    HELPABLE,
    HOUR,
    HOUR_MS,
    LATE,
    MEMBER,
    NEXT_ARRIVAL,
    OLDEST,
    PENDING,
    PODS,
    PREEMPTED,
    RULED,
    SLOT,
    UNSERVED,
    WAITING,
    WAITING_HELPABLE,
    WAITING_RULED,
    WITHDRAWN,
)
from simulator.engine.pod_kernels import (
    prune_heap,
    put_back,
    settle,
    stay_for_grace,
    take,
    tally,
    touch,
    wait_for_room,
    waits,
)
from simulator.engine.queue_kernels import offer_queues, seek

I4 = np.int32
U8 = np.uint64


@compiled(error_model="numpy", _nrt=False)
def start(
    pods, lasting, now,
    clock, setup, rules, arrival, shape, duration, departure,
    placed, wait, queue_next, queue_order, late_end, heap,
    free_cpu, free_memory, free_pods, free_extended, without, pool_of, last_departure,
    pool_cpu, pool_memory, pool_first, pool_end,
    tier, shape_cpu, shape_memory, shape_extended, shape_axis, shape_rank, shape_flags, shape_class, head, tail,
    count, area, starts, hour_cpu, hour_memory, hour_pods, tree, levels, changed, changed_ms,
    pool_speed, pool_latency, shape_grace, terms, matching, domain, work, began, lower,
):  # fmt: skip
    """Dynamic `pods` begin to exist, in this order, each tried like an arrival; `lasting` is how long each runs, in ms.

    Returns how many found a node at once; the others wait.
    """
    shapes, found, preempted = shape_cpu.size, 0, clock[PREEMPTED]
    for k in range(pods.size):
        p = pods[k]
        s = np.int64(shape[p])
        arrival[p], duration[p], wait[p], placed[p] = now, lasting[k], 0, ABSENT
        n = np.int64(-1)
        if head[s] < 0:
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
            wait_for_room(
                p, s, PENDING, now, clock, setup, placed, queue_next, queue_order,
                head, tail, shape_flags, shapes, count.size // shapes - 1, count, area,
            )  # fmt: skip
            continue
        found += 1
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
        if clock[WAITING] > 0 and (clock[PREEMPTED] > preempted or (clock[WAITING_RULED] > 0 and shape_flags[s] & MEMBER)):
            preempted = clock[PREEMPTED]
            offer_queues(
                now,
                clock, setup, rules, arrival, shape, duration, departure,
                placed, wait, queue_next, queue_order, late_end, heap,
                free_cpu, free_memory, free_pods, free_extended, without, pool_of, last_departure,
                pool_cpu, pool_memory, pool_first, pool_end,
                tier, shape_cpu, shape_memory, shape_extended, shape_axis, shape_rank, shape_flags, shape_class, head, tail,
                count, area, starts, hour_cpu, hour_memory, hour_pods, tree, levels, changed, changed_ms,
                pool_speed, pool_latency, shape_grace, terms, matching, domain, work, began, lower,
            )  # fmt: skip
    return found


@compiled(_nrt=False)
def sweep_queue(s, placed, queue_next, head, tail):
    """Unlink the pods of queue `s` that no longer wait, so that they may join it again."""
    last, p = np.int64(-1), head[s]
    head[s] = -1
    while p >= 0:
        following = np.int64(queue_next[p])
        if waits(placed[p]):
            if last < 0:
                head[s] = p
            else:
                queue_next[last] = p
            queue_next[p] = -1
            last = p
        p = following
    tail[s] = last


@compiled(error_model="numpy", _nrt=False)
def vacate(
    p, s, n, now,
    clock, setup, rules, arrival, shape, duration, departure,
    placed, wait, queue_next, queue_order, late_end, heap,
    free_cpu, free_memory, free_pods, free_extended, without, pool_of, last_departure,
    pool_cpu, pool_memory, pool_first, pool_end,
    tier, shape_cpu, shape_memory, shape_extended, shape_axis, shape_rank, shape_flags, shape_class, head, tail,
    count, area, starts, hour_cpu, hour_memory, hour_pods, tree, levels, changed, changed_ms,
    pool_speed, pool_latency, shape_grace, terms, matching, domain, work, began, lower,
):  # fmt: skip
    """Give the room of pod `p` on node `n` back."""
    take(
        U8(n), s, -1, free_cpu, free_memory, free_pods, free_extended, shape_cpu, shape_memory, shape_extended, shape_axis,
        shape_flags, terms, matching,
    )  # fmt: skip
    last_departure[n] = now
    touch(
        n, setup, rules, free_cpu, free_memory, free_pods, free_extended, without,
        pool_cpu, pool_memory, pool_of, tier, shape_cpu, shape_memory, shape_extended, shape_axis, tree, levels,
    )  # fmt: skip


@compiled(_nrt=False)
def forget_ends(pods, clock, setup, placed, late_end, heap):
    """Take the ends of running jobs among `pods` out of the heap; pods in a grace period keep theirs."""
    late = 0
    for k in range(pods.size):
        if placed[pods[k]] >= LATE and not placed[pods[k]] & (AGAIN | ENDING):
            late_end[pods[k]] = -1 - late_end[pods[k]]
            late += 1
    if late > 0:
        prune_heap(clock, setup, placed, late_end, heap)
        for k in range(pods.size):
            if late_end[pods[k]] < 0 and placed[pods[k]] >= LATE:
                late_end[pods[k]] = -1 - late_end[pods[k]]


@compiled(error_model="numpy", _nrt=False)
def end(
    pods, now,
    clock, setup, rules, arrival, shape, duration, departure,
    placed, wait, queue_next, queue_order, late_end, heap,
    free_cpu, free_memory, free_pods, free_extended, without, pool_of, last_departure,
    pool_cpu, pool_memory, pool_first, pool_end,
    tier, shape_cpu, shape_memory, shape_extended, shape_axis, shape_rank, shape_flags, shape_class, head, tail,
    count, area, starts, hour_cpu, hour_memory, hour_pods, tree, levels, changed, changed_ms,
    pool_speed, pool_latency, shape_grace, terms, matching, domain, work, began, lower,
):  # fmt: skip
    """Dynamic `pods` end: those that run leave their nodes, which are offered to the queues once all are gone.

    A pod with a grace period keeps its place until that is over. `late_end` keeps the instant. Returns how many ran; a
    pod that has ended already stays as it is.
    """
    shapes = shape_cpu.size
    pools = count.size // shapes - 1
    left, ran, withdrawn = 0, 0, 0
    rest = (clock[HOUR] + 1) * setup[HOUR_MS] - now
    forget_ends(pods, clock, setup, placed, late_end, heap)
    for k in range(pods.size):
        p = pods[k]
        s, state = np.int64(shape[p]), np.int64(placed[p])
        if state >= LATE and state & (AGAIN | ENDING):
            ran += 1 if state & AGAIN else 0
            placed[p] = I4((state & ~np.int64(AGAIN)) | ENDING)
        elif state >= 0 and shape_grace[s] > 0:
            stay_for_grace(p, state & SLOT, shape_grace[s], now, ENDING, clock, setup, placed, late_end, heap)
            ran += 1
        elif state >= 0:
            n = state & SLOT
            placed[p] = I4(GONE - 2 * n - 1)
            late_end[p] = now
            tally(pool_of[n], s, -1, rest, shapes, count, area)
            vacate(
                p, s, n, now,
                clock, setup, rules, arrival, shape, duration, departure,
                placed, wait, queue_next, queue_order, late_end, heap,
                free_cpu, free_memory, free_pods, free_extended, without, pool_of, last_departure,
                pool_cpu, pool_memory, pool_first, pool_end,
                tier, shape_cpu, shape_memory, shape_extended, shape_axis, shape_rank, shape_flags, shape_class, head, tail,
                count, area, starts, hour_cpu, hour_memory, hour_pods, tree, levels, changed, changed_ms,
                pool_speed, pool_latency, shape_grace, terms, matching, domain, work, began, lower,
            )  # fmt: skip
            ran += 1
            left += 1
        elif waits(state):
            placed[p] = I4(UNSERVED if state == PENDING else WITHDRAWN)
            late_end[p] = now
            clock[WAITING] -= 1
            clock[WAITING_HELPABLE] -= 1 if shape_flags[s] & HELPABLE else 0
            clock[WAITING_RULED] -= 1 if shape_flags[s] & RULED else 0
            tally(pools, s, -1, rest, shapes, count, area)
            withdrawn += 1
    if withdrawn > 0:
        for s in range(shapes):
            sweep_queue(s, placed, queue_next, head, tail)
    if left > 0:
        offer_queues(
            now,
            clock, setup, rules, arrival, shape, duration, departure,
            placed, wait, queue_next, queue_order, late_end, heap,
            free_cpu, free_memory, free_pods, free_extended, without, pool_of, last_departure,
            pool_cpu, pool_memory, pool_first, pool_end,
            tier, shape_cpu, shape_memory, shape_extended, shape_axis, shape_rank, shape_flags, shape_class, head, tail,
            count, area, starts, hour_cpu, hour_memory, hour_pods, tree, levels, changed, changed_ms,
            pool_speed, pool_latency, shape_grace, terms, matching, domain, work, began, lower,
        )  # fmt: skip
    return ran


@compiled(error_model="numpy", _nrt=False)
def evict(
    pods, keep, now,
    clock, setup, rules, arrival, shape, duration, departure,
    placed, wait, queue_next, queue_order, late_end, heap,
    free_cpu, free_memory, free_pods, free_extended, without, pool_of, last_departure,
    pool_cpu, pool_memory, pool_first, pool_end,
    tier, shape_cpu, shape_memory, shape_extended, shape_axis, shape_rank, shape_flags, shape_class, head, tail,
    count, area, starts, hour_cpu, hour_memory, hour_pods, tree, levels, changed, changed_ms,
    pool_speed, pool_latency, shape_grace, terms, matching, domain, work, began, lower,
):  # fmt: skip
    """`pods` that run lose their nodes, queue again in this order, and every node is offered to the queues.

    A pod with a grace period keeps its place until that is over. With `keep` a job moves at once and goes on where it
    was. Returns how many lose their node.
    """
    evicted, left = 0, 0
    forget_ends(pods, clock, setup, placed, late_end, heap)
    for k in range(pods.size):
        p = pods[k]
        if placed[p] < 0 or (placed[p] >= LATE and placed[p] & (AGAIN | ENDING)):
            continue
        n = np.int64(placed[p] & SLOT)
        s = np.int64(shape[p])
        evicted += 1
        if shape_grace[s] > 0 and not keep:
            stay_for_grace(p, n, shape_grace[s], now, AGAIN, clock, setup, placed, late_end, heap)
            continue
        put_back(
            p, n, now, keep, clock, setup, arrival, shape, duration, placed, queue_next, queue_order, late_end,
            pool_of, shape_flags, head, tail, shape_cpu, count, area, changed, changed_ms, pool_speed,
        )  # fmt: skip
        vacate(
            p, s, n, now,
            clock, setup, rules, arrival, shape, duration, departure,
            placed, wait, queue_next, queue_order, late_end, heap,
            free_cpu, free_memory, free_pods, free_extended, without, pool_of, last_departure,
            pool_cpu, pool_memory, pool_first, pool_end,
            tier, shape_cpu, shape_memory, shape_extended, shape_axis, shape_rank, shape_flags, shape_class, head, tail,
            count, area, starts, hour_cpu, hour_memory, hour_pods, tree, levels, changed, changed_ms,
            pool_speed, pool_latency, shape_grace, terms, matching, domain, work, began, lower,
        )  # fmt: skip
        left += 1
    clock[EVICTIONS] += evicted
    if left > 0:
        offer_queues(
            now,
            clock, setup, rules, arrival, shape, duration, departure,
            placed, wait, queue_next, queue_order, late_end, heap,
            free_cpu, free_memory, free_pods, free_extended, without, pool_of, last_departure,
            pool_cpu, pool_memory, pool_first, pool_end,
            tier, shape_cpu, shape_memory, shape_extended, shape_axis, shape_rank, shape_flags, shape_class, head, tail,
            count, area, starts, hour_cpu, hour_memory, hour_pods, tree, levels, changed, changed_ms,
            pool_speed, pool_latency, shape_grace, terms, matching, domain, work, began, lower,
        )  # fmt: skip
    return evicted


@compiled(error_model="numpy", _nrt=False)
def cordon(
    n, closed, now,
    clock, setup, rules, arrival, shape, duration, departure,
    placed, wait, queue_next, queue_order, late_end, heap,
    free_cpu, free_memory, free_pods, free_extended, without, pool_of, last_departure,
    pool_cpu, pool_memory, pool_first, pool_end,
    tier, shape_cpu, shape_memory, shape_extended, shape_axis, shape_rank, shape_flags, shape_class, head, tail,
    count, area, starts, hour_cpu, hour_memory, hour_pods, tree, levels, changed, changed_ms,
    pool_speed, pool_latency, shape_grace, terms, matching, domain, work, began, lower,
):  # fmt: skip
    """Node `n` takes no new pods and keeps the ones it has, or takes pods again and is offered to the queues."""
    if free_cpu[n] < 0 or (free_pods[n] < 0) == closed:
        return
    free_pods[n] -= I4(CORDONED if closed else -CORDONED)
    touch(
        n, setup, rules, free_cpu, free_memory, free_pods, free_extended, without,
        pool_cpu, pool_memory, pool_of, tier, shape_cpu, shape_memory, shape_extended, shape_axis, tree, levels,
    )  # fmt: skip
    if not closed or clock[WAITING_RULED] > 0:
        free_room(
            n, now,
            clock, setup, rules, arrival, shape, duration, departure,
            placed, wait, queue_next, queue_order, late_end, heap,
            free_cpu, free_memory, free_pods, free_extended, without, pool_of, last_departure,
            pool_cpu, pool_memory, pool_first, pool_end,
            tier, shape_cpu, shape_memory, shape_extended, shape_axis, shape_rank, shape_flags, shape_class, head, tail,
            count, area, starts, hour_cpu, hour_memory, hour_pods, tree, levels, changed, changed_ms,
            pool_speed, pool_latency, shape_grace, terms, matching, domain, work, began, lower,
        )  # fmt: skip
        touch(
            n, setup, rules, free_cpu, free_memory, free_pods, free_extended, without,
            pool_cpu, pool_memory, pool_of, tier, shape_cpu, shape_memory, shape_extended, shape_axis, tree, levels,
        )  # fmt: skip


@compiled(_nrt=False)
def pods_on(n, clock, setup, placed, out):
    """Numbers of the pods on node `n` into `out`, ascending; returns how many."""
    found = 0
    for turn in range(2):
        first, last = (clock[OLDEST], clock[NEXT_ARRIVAL]) if turn == 0 else (setup[PODS], placed.size)
        for p in range(first, last):
            if placed[p] >= 0 and placed[p] & SLOT == n:
                out[found] = p
                found += 1
    return found
