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
    give_up,
    heap_pop,
    note,
    occupy,
    put_back,
    refill,
    start_late,
    stay_for_grace,
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
def free_room(n, now, run):
    """Node `n` has gained room: offer it to who waits."""
    if run.clock[WAITING_RULED] > 0 or run.setup[PREEMPTION] != 0:
        call_at(run.setup[OFFER_AT], run, now, np.int64(0))
    else:
        refill(n, now, run)


@compiled(_nrt=False)
def end_of_replica(p, s, state, now, run):
    """The sorted departure of a pod that is not simply running: a waiting replica leaves its queue, an evicted one ends."""
    if not run.shape_flags[s] & FIXED_END:
        return
    if waits(state):
        give_up(p, s, now, run)
    elif state >= LATE and state & AGAIN:
        run.placed[p] = I4((state ^ AGAIN) | ENDING)


@compiled(forceinline=True, error_model="numpy", _nrt=False)
def depart(p, late, now, run):
    """Pod `p` has come to its sorted end, or with `late` to the one in the heap: the node that gains room, or -1."""
    state, s = run.placed[p], U8(run.shape[p])
    again = False
    if late:
        if state < LATE or run.late_end[p] != now:
            return np.int64(-1)
        again = state & AGAIN != 0
        run.placed[p] = I4(GONE - 2 * (state & SLOT) - 1)
        note(p, now, run)
    else:
        if state >= LATE or state < 0:
            end_of_replica(np.int64(p), np.int64(s), state, now, run)
            return np.int64(-1)
        if run.shape_flags[s] & GRACE:
            stay_for_grace(p, state, run.shape_grace[s], now, ENDING, run)
            return np.int64(-1)
        run.placed[p] = I4(GONE - 2 * state)
    n = U8(state & SLOT)
    take(n, s, -1, run)
    run.last_departure[n] = now
    if again:
        run.placed[p] = I4(state & SLOT)
        put_back(np.int64(p), np.int64(n), now, False, run)
        touch(n, run)
        call_at(run.setup[OFFER_AT], run, now, np.int64(0))
    else:
        tally(run.pool_of[n], s, -1, now, run)
        if run.clock[WAITING] > 0:
            if run.clock[WAITING_RULED] > 0 or run.setup[PREEMPTION] != 0:
                touch(n, run)
            free_room(np.int64(n), now, run)
    return np.int64(n)


@compiled(forceinline=True, error_model="numpy", _nrt=False)
def arrive(p, now, run):
    """Pod `p` starts on the best node, evicts for it if it may, or waits: the node that has changed, or -1."""
    s, n, evicts = U8(run.shape[p]), np.int64(-1), False
    if run.head[s] < 0:
        n = choose(p, s, run)
        if n < 0 and run.setup[PREEMPTION] != 0 and not run.shape_flags[s] & NEVER_PREEMPTS:
            n = call_at(run.setup[PREEMPT_AT], run, np.int64(s), np.int64(now))
            evicts = n >= 0
    if n < 0:
        wait_for_room(np.int64(p), np.int64(s), PENDING, now, run)
        return np.int64(-1)
    run.placed[p] = I4(n)
    if run.setup[PACED] != 0:
        start_late(np.int64(p), np.int64(s), n, now, run)
    occupy(n, s, now, run)
    if evicts or (run.clock[WAITING_RULED] > 0 and run.shape_flags[s] & MEMBER):
        touch(U8(n), run)
        call_at(run.setup[OFFER_AT], run, now, np.int64(0))
    return n


@compiled(error_model="numpy", _nrt=False)
def advance(until, watch, run):
    """Run pods up to `until`: departures at `until` included, arrivals at `until` not.

    Returns REACHED, or WOKEN when `watch` has WATCH_WAITING and the first pod that an autoscaler could help began to
    wait (WOKEN_BEFORE when that happened among the departures of the instant, before its control events), or
    DYNAMIC_CHANGED when it has WATCH_CHANGED and dynamic pods found or lost a node or ended; the instant is clock[NOW].
    """
    pods, shift, hour_ms = run.departure.size, run.setup[SHIFT], run.setup[HOUR_MS]
    hour_end, noted = (run.clock[HOUR] + 1) * hour_ms, run.clock[NOTED]
    now, code = run.clock[NOW], REACHED
    i, d = run.clock[NEXT_ARRIVAL], run.clock[NEXT_DEPARTURE]
    while True:
        next_arrival = run.arrival[U8(i)] if i < pods else FAR
        key = run.departure[U8(d)] if d < pods else FAR << 1
        late = run.clock[HEAPED] > 0 and run.heap[0] < key
        if late:
            key = run.heap[0]
        when = key >> shift if key < FAR << 1 else FAR
        departs = when <= next_arrival
        if (departs and when > until) or (not departs and next_arrival >= until):
            now = until
            break
        now = when if departs else next_arrival
        if now >= hour_end:
            close_hours(now, run)
            hour_end = (run.clock[HOUR] + 1) * hour_ms
        helpable = run.clock[WAITING_HELPABLE]
        if departs:
            if late:
                heap_pop(run.heap, run.clock[HEAPED])
                run.clock[HEAPED] -= 1
            else:
                d += 1
            n = depart(U8(key & ((np.int64(1) << shift) - 1)), late, now, run)
        else:
            i += 1
            run.clock[NEXT_ARRIVAL] = i
            n = arrive(U8(i - 1), now, run)
        if n >= 0:
            touch(U8(n), run)
        if watch & WATCH_WAITING and helpable == 0 and run.clock[WAITING_HELPABLE] > 0:
            until, code = now, WOKEN_BEFORE if departs else WOKEN
        elif watch & WATCH_CHANGED and run.clock[NOTED] != noted and code == REACHED:
            until, code = now, DYNAMIC_CHANGED
        if code != REACHED and not departs:
            break
    if now >= hour_end:
        close_hours(now, run)
    run.clock[NOW], run.clock[NEXT_DEPARTURE] = now, d
    return code
