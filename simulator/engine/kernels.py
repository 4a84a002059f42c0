# ruff: noqa: F403, F405 - the one list of numbers that all kernels read their arrays by is taken and passed on whole
"""The event loop over pods: arrivals, placements, departures, queues and hourly counters, compiled.

Time is integer milliseconds. An event's key packs `time << shift | pod`, so the order is total: at one instant
departures come first, then the control events of simpy, then arrivals. Arrivals are sorted; departures of pods that
never waited are sorted too (once per trace), and a small heap holds the ends that a run decides.

A pod that nobody can take waits in the first-in-first-out queue of its shape. Only a node that gains room can end a
wait, so a departure offers its own node to the heads of the queues, highest priority and longest wait first: exact,
and independent of the length of the queues. While a pod with constraints waits, any change may end its wait, and
every head is offered every node.
"""

from __future__ import annotations

import numpy as np

from simulator.engine.jit_kernels import compiled
from simulator.engine.layout_kernels import *
from simulator.engine.pod_kernels import (
    choose,
    close_hours,
    heap_pop,
    note,
    put_back,
    refill,
    start_late,
    stay_for_grace,
    stop_waiting,
    take,
    tally,
    touch,
    wait_for_room,
    waits,
)
from simulator.engine.table_kernels import call_at

I4 = np.int32
U8 = np.uint64


@compiled(error_model="numpy", _nrt=False)
def free_room(
    n, now,
    clock, setup, rules, arrival, shape, duration, departure,
    placed, wait, queue_next, queue_order, late_end, heap,
    free_cpu, free_memory, free_pods, free_extended, without, pool_of, last_departure,
    pool_cpu, pool_memory, pool_first, pool_end,
    tier, shape_cpu, shape_memory, shape_extended, shape_axis, shape_rank, shape_flags, shape_class, head, tail,
    count, area, starts, hour_cpu, hour_memory, hour_pods, tree, levels, changed, changed_ms,
    pool_speed, pool_latency, shape_grace, terms, matching, domain, work, began, lower,
):  # fmt: skip
    """Node `n` has gained room: offer it to who waits."""
    if clock[WAITING_RULED] > 0 or setup[PREEMPTION] != 0:
        call_at(setup[OFFER_AT], setup[TABLE_AT], now, np.int64(0))
    else:
        refill(
            n, now, clock, setup, arrival, shape, duration,
            placed, wait, queue_next, queue_order, late_end, heap, free_cpu, free_memory, free_pods, free_extended,
            pool_of, tier, shape_cpu, shape_memory, shape_extended, shape_axis, shape_rank, shape_flags, head, tail,
            count, area, starts, changed, changed_ms, pool_speed, pool_latency, terms, matching, began,
        )  # fmt: skip


@compiled(_nrt=False)
def end_of_replica(p, s, state, now, clock, setup, placed, late_end, queue_next, head, tail, shape_flags, shapes, pools, count, area):
    """The sorted departure of a pod that is not simply running: a waiting replica leaves its queue, an evicted one ends."""
    if not shape_flags[s] & FIXED_END:
        return
    if waits(state):
        placed[p] = UNSERVED if state == PENDING else WITHDRAWN
        stop_waiting(p, s, now, clock, setup, placed, queue_next, head, tail, shape_flags, shapes, pools, count, area)
    elif state >= LATE and state & AGAIN:
        placed[p] = I4((state ^ AGAIN) | ENDING)


@compiled(error_model="numpy", _nrt=False)
def advance(
    until, watch,
    clock, setup, rules, arrival, shape, duration, departure,
    placed, wait, queue_next, queue_order, late_end, heap,
    free_cpu, free_memory, free_pods, free_extended, without, pool_of, last_departure,
    pool_cpu, pool_memory, pool_first, pool_end,
    tier, shape_cpu, shape_memory, shape_extended, shape_axis, shape_rank, shape_flags, shape_class, head, tail,
    count, area, starts, hour_cpu, hour_memory, hour_pods, tree, levels, changed, changed_ms,
    pool_speed, pool_latency, shape_grace, terms, matching, domain, work, began, lower,
):  # fmt: skip
    """Run pods up to `until`: departures at `until` included, arrivals at `until` not.

    Returns REACHED, or WOKEN when `watch` has WATCH_WAITING and the first pod that an autoscaler could help began to
    wait (WOKEN_BEFORE when that happened among the departures of the instant, before its control events), or
    DYNAMIC_CHANGED when it has WATCH_CHANGED and dynamic pods found or lost a node or ended; the instant is clock[NOW].
    """
    pods, shapes = departure.size, shape_cpu.size
    listening, noted = (watch & WATCH_CHANGED) != 0, clock[NOTED]
    pools = pool_first.size
    shift, hour_ms = setup[SHIFT], setup[HOUR_MS]
    mask = (np.int64(1) << shift) - 1
    paced, preempting = setup[PACED] != 0, setup[PREEMPTION] != 0
    hour_end = (clock[HOUR] + 1) * hour_ms
    now, code, helped = clock[NOW], REACHED, np.int64(0)
    i, d = clock[NEXT_ARRIVAL], clock[NEXT_DEPARTURE]
    while True:
        moved = False
        next_arrival = arrival[U8(i)] if i < pods else FAR
        key = departure[U8(d)] if d < pods else FAR << 1
        from_heap = clock[HEAPED] > 0 and heap[0] < key
        if from_heap:
            key = heap[0]
        when = key >> shift if key < FAR << 1 else FAR
        if when <= next_arrival:
            if when > until:
                now = until
                break
            now = when
            if now >= hour_end:
                close_hours(clock, setup, now, count, area, shape_cpu, shape_memory, shape_class, hour_cpu, hour_memory, hour_pods)
                hour_end = (clock[HOUR] + 1) * hour_ms
            p = U8(key & mask)
            state = placed[p]
            s = U8(shape[p])
            again = False
            if from_heap:
                heap_pop(heap, clock[HEAPED])
                clock[HEAPED] -= 1
                if state < LATE or late_end[p] != now:
                    continue
                again = state & AGAIN != 0
                placed[p] = I4(GONE - 2 * (state & SLOT) - 1)
                note(p, now, clock, setup, changed, changed_ms)
            else:
                d += 1
                if state >= LATE or state < 0:
                    end_of_replica(
                        np.int64(p), np.int64(s), state, now, clock, setup, placed, late_end, queue_next, head, tail,
                        shape_flags, shapes, pools, count, area,
                    )  # fmt: skip
                    continue
                if shape_flags[s] & GRACE:
                    stay_for_grace(p, state, shape_grace[s], now, ENDING, clock, setup, placed, late_end, heap)
                    continue
                placed[p] = I4(GONE - 2 * state)
            n = U8(state & SLOT)
            if again or preempting:
                helped = clock[WAITING_HELPABLE]
            take(
                n, s, -1, free_cpu, free_memory, free_pods, free_extended, shape_cpu, shape_memory, shape_extended, shape_axis,
                shape_flags, terms, matching,
            )  # fmt: skip
            last_departure[n] = now
            if again:
                placed[p] = I4(state & SLOT)
                put_back(
                    np.int64(p), np.int64(n), now, False, clock, setup, arrival, shape, duration, placed, queue_next, queue_order,
                    late_end, pool_of, shape_flags, head, tail, shape_cpu, count, area, changed, changed_ms, pool_speed,
                )  # fmt: skip
                touch(
                    n, setup, rules, free_cpu, free_memory, free_pods, free_extended, without,
                    pool_cpu, pool_memory, pool_of, tier, shape_cpu, shape_memory, shape_extended, shape_axis, tree, levels,
                )  # fmt: skip
                call_at(setup[OFFER_AT], setup[TABLE_AT], now, np.int64(0))
            else:
                tally(pool_of[n], s, -1, hour_end - now, shapes, count, area)
                if clock[WAITING] > 0:
                    if clock[WAITING_RULED] > 0 or preempting:
                        touch(
                            n, setup, rules, free_cpu, free_memory, free_pods, free_extended, without,
                            pool_cpu, pool_memory, pool_of, tier, shape_cpu, shape_memory, shape_extended, shape_axis, tree, levels,
                        )  # fmt: skip
                    free_room(
                        np.int64(n), now,
                        clock, setup, rules, arrival, shape, duration, departure,
                        placed, wait, queue_next, queue_order, late_end, heap,
                        free_cpu, free_memory, free_pods, free_extended, without, pool_of, last_departure,
                        pool_cpu, pool_memory, pool_first, pool_end,
                        tier, shape_cpu, shape_memory, shape_extended, shape_axis, shape_rank, shape_flags, shape_class, head, tail,
                        count, area, starts, hour_cpu, hour_memory, hour_pods, tree, levels, changed, changed_ms,
                        pool_speed, pool_latency, shape_grace, terms, matching, domain, work, began, lower,
                    )  # fmt: skip
            if (again or preempting) and watch & WATCH_WAITING and helped == 0 and clock[WAITING_HELPABLE] > 0:
                until, code = now, WOKEN_BEFORE
            if listening and clock[NOTED] != noted and code == REACHED:
                until, code = now, DYNAMIC_CHANGED
        else:
            if next_arrival >= until:
                now = until
                break
            now = next_arrival
            if now >= hour_end:
                close_hours(clock, setup, now, count, area, shape_cpu, shape_memory, shape_class, hour_cpu, hour_memory, hour_pods)
                hour_end = (clock[HOUR] + 1) * hour_ms
            p = U8(i)
            i += 1
            if preempting:
                clock[NEXT_ARRIVAL] = i
            s = U8(shape[p])
            target = np.int64(-1)
            if head[s] < 0:
                target = choose(
                    p, s,
                    clock, setup, rules, arrival, shape, duration, departure,
                    placed, wait, queue_next, queue_order, late_end, heap,
                    free_cpu, free_memory, free_pods, free_extended, without, pool_of, last_departure,
                    pool_cpu, pool_memory, pool_first, pool_end,
                    tier, shape_cpu, shape_memory, shape_extended, shape_axis, shape_rank, shape_flags, shape_class, head, tail,
                    count, area, starts, hour_cpu, hour_memory, hour_pods, tree, levels, changed, changed_ms,
                    pool_speed, pool_latency, shape_grace, terms, matching, domain, work, began, lower,
                )  # fmt: skip
                if target < 0 and preempting and not shape_flags[s] & NEVER_PREEMPTS:
                    helped = clock[WAITING_HELPABLE]
                    target = call_at(setup[PREEMPT_AT], setup[TABLE_AT], np.int64(s), np.int64(now))
                    moved = target >= 0
            if target < 0:
                wait_for_room(
                    np.int64(p), np.int64(s), PENDING, now, clock, setup, placed, queue_next, queue_order,
                    head, tail, shape_flags, shapes, pools, count, area,
                )  # fmt: skip
                if watch & WATCH_WAITING and shape_flags[s] & HELPABLE and clock[WAITING_HELPABLE] == 1:
                    code = WOKEN
                    break
                continue
            n = U8(target)
            placed[p] = I4(target)
            q = U8(pool_of[n])
            if paced:
                start_late(
                    np.int64(p), np.int64(s), target, now, clock, setup, arrival, duration, placed, wait, late_end, heap,
                    pool_of, shape_flags, changed, changed_ms, pool_speed, pool_latency, began,
                )  # fmt: skip
            take(
                n, s, 1, free_cpu, free_memory, free_pods, free_extended, shape_cpu, shape_memory, shape_extended, shape_axis,
                shape_flags, terms, matching,
            )  # fmt: skip
            tally(q, s, 1, hour_end - now, shapes, count, area)
            starts[q * U8(shapes) + s] += 1
            if moved or (clock[WAITING_RULED] > 0 and shape_flags[s] & MEMBER):
                if not moved:
                    helped = clock[WAITING_HELPABLE]
                touch(
                    n, setup, rules, free_cpu, free_memory, free_pods, free_extended, without,
                    pool_cpu, pool_memory, pool_of, tier, shape_cpu, shape_memory, shape_extended, shape_axis, tree, levels,
                )  # fmt: skip
                call_at(setup[OFFER_AT], setup[TABLE_AT], now, np.int64(0))
                moved = True
        touch(
            n, setup, rules, free_cpu, free_memory, free_pods, free_extended, without,
            pool_cpu, pool_memory, pool_of, tier, shape_cpu, shape_memory, shape_extended, shape_axis, tree, levels,
        )  # fmt: skip
        if moved:
            if watch & WATCH_WAITING and helped == 0 and clock[WAITING_HELPABLE] > 0:
                code = WOKEN
                break
            if listening and clock[NOTED] != noted:
                code = DYNAMIC_CHANGED
                break
    if now >= hour_end:
        close_hours(clock, setup, now, count, area, shape_cpu, shape_memory, shape_class, hour_cpu, hour_memory, hour_pods)
    clock[NOW], clock[NEXT_ARRIVAL], clock[NEXT_DEPARTURE] = now, i, d
    return code
