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
    LATE,
    MEMBER,
    NEXT_ARRIVAL,
    OLDEST,
    PENDING,
    PODS,
    PREEMPTED,
    SLOT,
    UNSERVED,
    WAITING,
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
    wait_no_more,
    waits,
)
from simulator.engine.queue_kernels import offer_queues, seek

I4 = np.int32
U8 = np.uint64


@compiled(error_model="numpy", _nrt=False)
def start(pods, lasting, now, run):
    """Dynamic `pods` begin to exist, in this order, each tried like an arrival; `lasting` is how long each runs, in ms.

    Returns how many found a node at once; the others wait.
    """
    found, preempted = 0, run.clock[PREEMPTED]
    for k in range(pods.size):
        p = pods[k]
        s = np.int64(run.shape[p])
        run.arrival[p], run.duration[p], run.wait[p], run.placed[p] = now, lasting[k], 0, ABSENT
        n = np.int64(-1)
        if run.head[s] < 0:
            n = seek(p, s, now, run)
        if n < 0:
            wait_for_room(p, s, PENDING, now, run)
            continue
        found += 1
        settle(p, s, n, now, run)
        if run.clock[WAITING] > 0 and (run.clock[PREEMPTED] > preempted or (run.clock[WAITING_RULED] > 0 and run.shape_flags[s] & MEMBER)):
            preempted = run.clock[PREEMPTED]
            offer_queues(now, run)
    return found


@compiled(_nrt=False)
def sweep_queue(s, run):
    """Unlink the pods of queue `s` that no longer wait, so that they may join it again."""
    last, p = np.int64(-1), run.head[s]
    run.head[s] = -1
    while p >= 0:
        following = np.int64(run.queue_next[p])
        if waits(run.placed[p]):
            if last < 0:
                run.head[s] = p
            else:
                run.queue_next[last] = p
            run.queue_next[p] = -1
            last = p
        p = following
    run.tail[s] = last


@compiled(error_model="numpy", _nrt=False)
def vacate(p, s, n, now, run):
    """Give the room of pod `p` on node `n` back."""
    take(U8(n), s, -1, run)
    run.last_departure[n] = now
    touch(n, run)


@compiled(_nrt=False)
def forget_ends(pods, run):
    """Take the ends of running jobs among `pods` out of the heap; pods in a grace period keep theirs."""
    late = 0
    for k in range(pods.size):
        if run.placed[pods[k]] >= LATE and not run.placed[pods[k]] & (AGAIN | ENDING):
            run.late_end[pods[k]] = -1 - run.late_end[pods[k]]
            late += 1
    if late > 0:
        prune_heap(run)
        for k in range(pods.size):
            if run.late_end[pods[k]] < 0 and run.placed[pods[k]] >= LATE:
                run.late_end[pods[k]] = -1 - run.late_end[pods[k]]


@compiled(error_model="numpy", _nrt=False)
def end(pods, now, run):
    """Dynamic `pods` end: those that run leave their nodes, which are offered to the queues once all are gone.

    A pod with a grace period keeps its place until that is over. `late_end` keeps the instant. Returns how many ran; a
    pod that has ended already stays as it is.
    """
    left, ran, withdrawn = 0, 0, 0
    forget_ends(pods, run)
    for k in range(pods.size):
        p = pods[k]
        s, state = np.int64(run.shape[p]), np.int64(run.placed[p])
        if state >= LATE and state & (AGAIN | ENDING):
            ran += 1 if state & AGAIN else 0
            run.placed[p] = I4((state & ~np.int64(AGAIN)) | ENDING)
        elif state >= 0 and run.shape_grace[s] > 0:
            stay_for_grace(p, state & SLOT, run.shape_grace[s], now, ENDING, run)
            ran += 1
        elif state >= 0:
            n = state & SLOT
            run.placed[p] = I4(GONE - 2 * n - 1)
            run.late_end[p] = now
            tally(run.pool_of[n], s, -1, now, run)
            vacate(p, s, n, now, run)
            ran += 1
            left += 1
        elif waits(state):
            run.placed[p] = I4(UNSERVED if state == PENDING else WITHDRAWN)
            run.late_end[p] = now
            wait_no_more(s, now, run)
            withdrawn += 1
    if withdrawn > 0:
        for s in range(run.shape_cpu.size):
            sweep_queue(s, run)
    if left > 0:
        offer_queues(now, run)
    return ran


@compiled(error_model="numpy", _nrt=False)
def evict(pods, keep, now, run):
    """`pods` that run lose their nodes, queue again in this order, and every node is offered to the queues.

    A pod with a grace period keeps its place until that is over. With `keep` a job moves at once and goes on where it
    was. Returns how many lose their node.
    """
    evicted, left = 0, 0
    forget_ends(pods, run)
    for k in range(pods.size):
        p = pods[k]
        if run.placed[p] < 0 or (run.placed[p] >= LATE and run.placed[p] & (AGAIN | ENDING)):
            continue
        n = np.int64(run.placed[p] & SLOT)
        s = np.int64(run.shape[p])
        evicted += 1
        if run.shape_grace[s] > 0 and not keep:
            stay_for_grace(p, n, run.shape_grace[s], now, AGAIN, run)
            continue
        put_back(p, n, now, keep, run)
        vacate(p, s, n, now, run)
        left += 1
    run.clock[EVICTIONS] += evicted
    if left > 0:
        offer_queues(now, run)
    return evicted


@compiled(error_model="numpy", _nrt=False)
def cordon(n, closed, now, run):
    """Node `n` takes no new pods and keeps the ones it has, or takes pods again and is offered to the queues."""
    if run.free_cpu[n] < 0 or (run.free_pods[n] < 0) == closed:
        return
    run.free_pods[n] -= I4(CORDONED if closed else -CORDONED)
    touch(n, run)
    if not closed or run.clock[WAITING_RULED] > 0:
        free_room(n, now, run)
        touch(n, run)


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
