"""What control events do to pods: a node joins, a node leaves, and how many nodes a queue is worth."""

from __future__ import annotations

import numpy as np

from simulator.engine.jit_kernels import compiled
from simulator.engine.kernels import (
    CORDONED,
    EVICTIONS,
    FIXED_END,
    FOREVER,
    HEAPED,
    HELPABLE,
    HOUR,
    HOUR_MS,
    LATE,
    NEXT_ARRIVAL,
    OLDEST,
    PENDING_AGAIN,
    PENDING_REST,
    PODS,
    SEED,
    SHIFT,
    SLOT,
    TREE,
    UNSERVED,
    WAITING,
    heap_push,
    note,
    refill,
    start_late,
    stop_waiting,
    take,
    tally,
    touch,
    wait_for_room,
    waits,
)
from simulator.engine.placement_kernels import pick, scan, tie_salt

I4 = np.int32
U8 = np.uint64


@compiled(error_model="numpy", _nrt=False)
def join(
    n, now, node_cpu, node_memory, node_pods, node_extended,
    clock, setup, rules, arrival, shape, duration, departure,
    placed, wait, queue_next, queue_order, late_end, heap,
    free_cpu, free_memory, free_pods, free_extended, without, pool_of, last_departure,
    pool_cpu, pool_memory, pool_first, pool_end,
    tier, shape_cpu, shape_memory, shape_extended, shape_axis, shape_rank, shape_flags, shape_class, head, tail,
    count, area, starts, hour_cpu, hour_memory, hour_pods, tree, levels, changed, changed_ms,
):  # fmt: skip
    """Slot `n` becomes an empty node and takes what waits."""
    free_cpu[n], free_memory[n], free_pods[n] = node_cpu, node_memory, node_pods
    for axis in range(node_extended.size):
        free_extended[axis * free_cpu.size + n] = node_extended[axis]
    last_departure[n] = now
    pool_end[pool_of[n]] = max(pool_end[pool_of[n]], n + 1)
    refill(
        n, now, clock, setup, arrival, shape, duration,
        placed, wait, queue_next, queue_order, late_end, heap, free_cpu, free_memory, free_pods, free_extended,
        pool_of, tier, shape_cpu, shape_memory, shape_extended, shape_axis, shape_rank, shape_flags, head, tail,
        count, area, starts, changed, changed_ms,
    )  # fmt: skip
    touch(
        n, setup, rules, free_cpu, free_memory, free_pods, free_extended, without,
        pool_cpu, pool_memory, pool_of, tier, shape_cpu, shape_memory, shape_extended, shape_axis, tree, levels,
    )  # fmt: skip


@compiled(_nrt=False)
def put_back(
    p, n, now, keep, clock, setup, arrival, shape, duration, placed, queue_next, queue_order, late_end,
    pool_of, shape_flags, head, tail, shape_cpu, count, area, changed, changed_ms,
):  # fmt: skip
    """Pod `p` loses node `n` and joins its queue again; with `keep`, a job goes on where it was instead of starting over."""
    s, shapes = np.int64(shape[p]), shape_cpu.size
    state = PENDING_AGAIN
    if keep and not shape_flags[s] & FIXED_END and duration[p] < FOREVER:
        end = late_end[p] if placed[p] >= LATE else arrival[p] + duration[p]
        late_end[p] = end - now
        state = PENDING_REST
    tally(pool_of[n], s, -1, (clock[HOUR] + 1) * setup[HOUR_MS] - now, shapes, count, area)
    wait_for_room(
        p, s, state, now, clock, setup, placed, queue_next, queue_order,
        head, tail, shape_flags, shapes, count.size // shapes - 1, count, area,
    )  # fmt: skip
    note(p, now, clock, setup, changed, changed_ms)


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
):  # fmt: skip
    """Offer every node to the heads of the queues, each head once: after several pods or nodes changed together."""
    shapes = shape_cpu.size
    pools = count.size // shapes - 1
    tried_rank, tried_order = np.int64(2**31), np.int64(0)
    while clock[WAITING] > 0:
        p = next_head(tried_rank, tried_order, head, shape_rank, queue_order)
        if p < 0:
            return
        s = np.int64(shape[p])
        tried_rank, tried_order = np.int64(shape_rank[s]), np.int64(queue_order[p])
        if setup[TREE] != 0:
            n = pick(s, tie_salt(p, setup[SEED]), shapes, tree, levels)
        else:
            n = scan(
                s, tie_salt(p, setup[SEED]), rules, free_cpu, free_memory, free_pods, free_extended, without,
                pool_cpu, pool_memory, pool_first, pool_end, tier, shape_cpu, shape_memory, shape_extended, shape_axis,
            )  # fmt: skip
        if n < 0:
            continue
        stop_waiting(p, s, now, clock, setup, placed, queue_next, head, tail, shape_flags, shapes, pools, count, area)
        settle(
            p, s, n, now, clock, setup, rules, arrival, duration, placed, wait, late_end, heap,
            free_cpu, free_memory, free_pods, free_extended, without, pool_of,
            pool_cpu, pool_memory, tier, shape_cpu, shape_memory, shape_extended, shape_axis, shape_flags,
            count, area, starts, tree, levels, changed, changed_ms,
        )  # fmt: skip


@compiled(error_model="numpy", _nrt=False)
def settle(
    p, s, n, now, clock, setup, rules, arrival, duration, placed, wait, late_end, heap,
    free_cpu, free_memory, free_pods, free_extended, without, pool_of,
    pool_cpu, pool_memory, tier, shape_cpu, shape_memory, shape_extended, shape_axis, shape_flags,
    count, area, starts, tree, levels, changed, changed_ms,
):  # fmt: skip
    """Pod `p`, in no queue, starts on node `n`: room, counters and scores follow."""
    shapes = shape_cpu.size
    start_late(p, s, n, now, clock, setup, arrival, duration, placed, wait, late_end, heap, shape_flags, changed, changed_ms)
    take(U8(n), s, 1, free_cpu, free_memory, free_pods, free_extended, shape_cpu, shape_memory, shape_extended, shape_axis)
    place = np.int64(pool_of[n])
    tally(place, s, 1, (clock[HOUR] + 1) * setup[HOUR_MS] - now, shapes, count, area)
    starts[place * shapes + s] += 1
    touch(
        n, setup, rules, free_cpu, free_memory, free_pods, free_extended, without,
        pool_cpu, pool_memory, pool_of, tier, shape_cpu, shape_memory, shape_extended, shape_axis, tree, levels,
    )  # fmt: skip


@compiled(error_model="numpy", _nrt=False)
def leave(
    n, now, node_pods,
    clock, setup, rules, arrival, shape, duration, departure,
    placed, wait, queue_next, queue_order, late_end, heap,
    free_cpu, free_memory, free_pods, free_extended, without, pool_of, last_departure,
    pool_cpu, pool_memory, pool_first, pool_end,
    tier, shape_cpu, shape_memory, shape_extended, shape_axis, shape_rank, shape_flags, shape_class, head, tail,
    count, area, starts, hour_cpu, hour_memory, hour_pods, tree, levels, changed, changed_ms,
):  # fmt: skip
    """Slot `n` goes away: its pods queue again in the order of their numbers and are offered to the other nodes.

    `node_pods` is the number of pods an empty node of its pool offers. A replica keeps the end its Deployment gave it;
    a job starts over. Returns the number of pods that lost their node.
    """
    while clock[OLDEST] < clock[NEXT_ARRIVAL]:
        if placed[clock[OLDEST]] > UNSERVED:
            break
        clock[OLDEST] += 1
    evicted = 0
    if free_pods[n] != node_pods and free_pods[n] != node_pods - CORDONED:
        for turn in range(2):
            first, last = (clock[OLDEST], clock[NEXT_ARRIVAL]) if turn == 0 else (setup[PODS], arrival.size)
            for p in range(first, last):
                if placed[p] >= 0 and placed[p] & SLOT == n:
                    put_back(
                        p, n, now, False, clock, setup, arrival, shape, duration, placed, queue_next, queue_order, late_end,
                        pool_of, shape_flags, head, tail, shape_cpu, count, area, changed, changed_ms,
                    )  # fmt: skip
                    evicted += 1
    clock[EVICTIONS] += evicted
    free_cpu[n], free_memory[n], free_pods[n] = I4(-1), I4(-1), I4(0)
    for axis in range(free_extended.size // free_cpu.size):
        free_extended[axis * free_cpu.size + n] = 0
    touch(
        n, setup, rules, free_cpu, free_memory, free_pods, free_extended, without,
        pool_cpu, pool_memory, pool_of, tier, shape_cpu, shape_memory, shape_extended, shape_axis, tree, levels,
    )  # fmt: skip
    if evicted > 0:
        prune_heap(clock, setup, placed, late_end, heap)
        offer_queues(
            now,
            clock, setup, rules, arrival, shape, duration, departure,
            placed, wait, queue_next, queue_order, late_end, heap,
            free_cpu, free_memory, free_pods, free_extended, without, pool_of, last_departure,
            pool_cpu, pool_memory, pool_first, pool_end,
            tier, shape_cpu, shape_memory, shape_extended, shape_axis, shape_rank, shape_flags, shape_class, head, tail,
            count, area, starts, hour_cpu, hour_memory, hour_pods, tree, levels, changed, changed_ms,
        )  # fmt: skip
    return evicted


@compiled(_nrt=False)
def prune_heap(clock, setup, placed, late_end, heap):
    """Drop the ends of jobs that lost their node, so that the heap never holds more than one end of a pod."""
    mask = (np.int64(1) << setup[SHIFT]) - 1
    kept = 0
    for k in range(clock[HEAPED]):
        key = heap[k]
        p = key & mask
        if placed[p] >= LATE and late_end[p] == key >> setup[SHIFT]:
            heap_push(heap, kept, key)
            kept += 1
    clock[HEAPED] = kept


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
