"""What control events do to pods: a node joins, a node leaves, and how many nodes a queue is worth."""

from __future__ import annotations

import numpy as np

from simulator.engine.jit_kernels import compiled
from simulator.engine.kernels import free_room
from simulator.engine.layout_kernels import (
    ALONE,
    CORDONED,
    ENDING,
    EVICTIONS,
    GONE,
    HELPABLE,
    LATE,
    NEXT_ARRIVAL,
    OLDEST,
    SLOT,
    UNSERVED,
    WAITING,
    WAITING_RULED,
)
from simulator.engine.pod_kernels import existing, note, prune_heap, put_back, tally, touch, waits
from simulator.engine.queue_kernels import offer_queues

I4 = np.int32
U8 = np.uint64


@compiled(error_model="numpy", _nrt=False)
def join(n, now, node_cpu, node_memory, node_pods, node_extended, run):
    """Slot `n` becomes an empty node and takes what waits."""
    run.free_cpu[n], run.free_memory[n], run.free_pods[n] = node_cpu, node_memory, node_pods
    for axis in range(node_extended.size):
        run.free_extended[axis * run.free_cpu.size + n] = node_extended[axis]
    run.last_departure[n] = now
    run.pool_end[run.pool_of[n]] = max(run.pool_end[run.pool_of[n]], n + 1)
    if run.clock[WAITING] > 0:
        touch(n, run)
    free_room(n, now, run)
    touch(n, run)


@compiled(_nrt=False)
def lose_pods(n, now, run):
    """Every pod of node `n` loses it: in the order of their numbers they queue again; those in their last grace end."""
    evicted = 0
    for turn in range(2):
        first, last = existing(turn, run)
        for p in range(first, last):
            if run.placed[p] < 0 or run.placed[p] & SLOT != n:
                continue
            if run.placed[p] >= LATE and run.placed[p] & ENDING:
                run.placed[p] = I4(GONE - 2 * n - 1)
                run.late_end[p] = now
                tally(run.pool_of[n], run.shape[p], -1, now, run)
                note(p, now, run)
                continue
            put_back(p, n, now, False, run)
            evicted += 1
    return evicted


@compiled(error_model="numpy", _nrt=False)
def leave(n, now, node_pods, run):
    """Slot `n` goes away: its pods queue again in the order of their numbers and are offered to the other nodes.

    `node_pods` is the number of pods an empty node of its pool offers. A replica keeps the end its Deployment gave it;
    a job starts over. Returns the number of pods that lost their node.
    """
    slots = run.free_cpu.size
    while run.clock[OLDEST] < run.clock[NEXT_ARRIVAL]:
        if run.placed[run.clock[OLDEST]] > UNSERVED:
            break
        run.clock[OLDEST] += 1
    evicted, empty = 0, run.free_pods[n] == node_pods or run.free_pods[n] == node_pods - CORDONED
    if not empty:
        evicted = lose_pods(n, now, run)
    run.clock[EVICTIONS] += evicted
    run.free_cpu[n], run.free_memory[n], run.free_pods[n] = I4(-1), I4(-1), I4(0)
    for axis in range(run.free_extended.size // slots):
        run.free_extended[axis * slots + n] = 0
    for group in range(run.matching.size // slots):
        run.matching[group * slots + n] = 0
    touch(n, run)
    if not empty:
        prune_heap(run)
    if evicted > 0 or run.clock[WAITING_RULED] > 0:
        offer_queues(now, run)
    return evicted


@compiled()
def nodes_worth(left, q, node_cpu, node_memory, node_pods, coming, allowed, tier, shape_cpu, shape_memory, shape_flags, order):
    """New nodes of pool `q`, at most `allowed`, that the waiting pods are worth beyond the `coming` ones.

    First-fit decreasing over shapes in `order`: pods fill nodes on their way first, then new ones. `left : int64
    [shapes]` is what waits, reduced by what fits. Extended resources are not bounded here: pools that carry them are
    sized by cpu, memory and pods of the pods that may run there.
    """
    shapes = shape_cpu.size
    bins = coming + allowed
    cpu = np.full(bins, node_cpu, dtype=np.int64)
    memory = np.full(bins, node_memory, dtype=np.int64)
    pods = np.full(bins, node_pods, dtype=np.int64)
    used = 0
    for k in range(order.size):
        s = order[k]
        if left[s] <= 0 or tier[q * shapes + s] < 0 or not shape_flags[s] & HELPABLE:
            continue
        for b in range(bins):
            if left[s] == 0:
                break
            fits = min(left[s], pods[b])
            if shape_flags[s] & ALONE:
                fits = min(fits, 1)
            if shape_cpu[s] > 0:
                fits = min(fits, cpu[b] // shape_cpu[s])
            if shape_memory[s] > 0:
                fits = min(fits, memory[b] // shape_memory[s])
            if fits > 0:
                cpu[b] -= fits * shape_cpu[s]
                memory[b] -= fits * shape_memory[s]
                pods[b] -= fits
                left[s] -= fits
                used = max(used, b + 1)
    return max(used - coming, 0)


@compiled()
def out_of_patience(now, patience_ms, head, queue_next, placed, arrival, out):
    """Pods of every shape that have waited for `patience_ms` since they arrived, into `out : int64 [shapes]`."""
    for s in range(head.size):
        out[s] = 0
        p = head[s]
        while p >= 0:
            if waits(placed[p]) and arrival[p] + patience_ms <= now:
                out[s] += 1
            p = np.int64(queue_next[p])


@compiled()
def idle_nodes(now, idle_ms, first, end, node_pods, free_pods, last_departure, out):
    """Slots of one pool that have been empty for `idle_ms`, into `out`; returns (how many, when the next one will be)."""
    found, following = 0, np.int64(1) << 61
    for n in range(first, end):
        if free_pods[n] == node_pods or free_pods[n] == node_pods - CORDONED:
            expires = last_departure[n] + idle_ms
            if expires <= now:
                out[found] = n
                found += 1
            else:
                following = min(following, expires)
    return found, following
