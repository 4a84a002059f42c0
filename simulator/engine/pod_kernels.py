"""What moves a pod: heap and queues, room and counters, starting, ending and losing a node.

Small compiled steps that the event loop (`kernels.advance`) and the calls of control processes share.
"""

from __future__ import annotations

import numpy as np

from simulator.engine.constraint_kernels import bump
from simulator.engine.jit_kernels import compiled
from simulator.engine.layout_kernels import (
    CHANGED,
    CLASSES,
    FIXED_END,
    FOREVER,
    HEAPED,
    HELPABLE,
    HOUR,
    HOUR_MS,
    LATE,
    MEMBER,
    NOTED,
    PACED,
    PENDING,
    PENDING_AGAIN,
    PENDING_REST,
    PICK_AT,
    PODS,
    QUEUED,
    RULED,
    SEED,
    SHIFT,
    TABLE_AT,
    TREE,
    UNSERVED,
    WAITING,
    WAITING_HELPABLE,
    WAITING_RULED,
    WITHDRAWN,
)
from simulator.engine.placement_kernels import lift, pick, rescore, scan, tie_salt
from simulator.engine.scores_kernels import balance_of_two
from simulator.engine.table_kernels import call_at

I4 = np.int32
U8 = np.uint64


@compiled(forceinline=True, _nrt=False)
def heap_push(heap, n, key):
    """Add a key to the `n` that are there; parents are never larger than their children."""
    i = n
    while i > 0:
        parent = (i - 1) >> 1
        if heap[U8(parent)] < key:
            break
        heap[U8(i)] = heap[U8(parent)]
        i = parent
    heap[U8(i)] = key


@compiled(forceinline=True, _nrt=False)
def heap_pop(heap, n):
    """Remove the smallest of `n` keys."""
    key = heap[U8(n - 1)]
    i = 0
    while True:
        child = 2 * i + 1
        if child >= n - 1:
            break
        if child + 1 < n - 1 and heap[U8(child + 1)] < heap[U8(child)]:
            child += 1
        if heap[U8(child)] > key:
            break
        heap[U8(i)] = heap[U8(child)]
        i = child
    heap[U8(i)] = key


@compiled(forceinline=True, error_model="numpy", _nrt=False)
def touch(
    n, setup, rules, free_cpu, free_memory, free_pods, free_extended, without,
    pool_cpu, pool_memory, pool_of, tier, shape_cpu, shape_memory, shape_extended, shape_axis, tree, levels,
):  # fmt: skip
    """Node `n` changed: refresh its balance without the next pod, and its rows in the tree."""
    if rules[3] != 0:
        q = pool_of[n]
        cpu, memory = pool_cpu[q], pool_memory[q]
        without[n] = balance_of_two(cpu - np.float64(free_cpu[n]), cpu, memory - np.float64(free_memory[n]), memory)
    if setup[TREE] != 0:
        rescore(
            n, rules, free_cpu, free_memory, free_pods, free_extended, without,
            pool_cpu, pool_memory, pool_of, tier, shape_cpu, shape_memory, shape_extended, shape_axis, tree,
        )  # fmt: skip
        lift(n, shape_cpu.size, tree, levels)


@compiled(forceinline=True, _nrt=False)
def take(
    n, s, sign, free_cpu, free_memory, free_pods, free_extended, shape_cpu, shape_memory, shape_extended, shape_axis,
    shape_flags, terms, matching,
):  # fmt: skip
    """Give (sign 1) or return (sign -1) the room of one pod of shape `s` on node `n`."""
    free_cpu[n] -= I4(sign * shape_cpu[s])
    free_memory[n] -= I4(sign * shape_memory[s])
    free_pods[n] -= I4(sign)
    if shape_extended[s] > 0:
        free_extended[U8(shape_axis[s]) * U8(free_cpu.size) + n] -= I4(sign * shape_extended[s])
    if shape_flags[s] & MEMBER:
        bump(n, s, sign, free_cpu.size, free_extended, terms, matching)


@compiled(forceinline=True, _nrt=False)
def tally(place, s, change, left_ms, shapes, count, area):
    """`change` pods of shape `s` more at `place` (a pool, or the queue) for the `left_ms` that remain of this hour."""
    k = U8(place) * U8(shapes) + U8(s)
    count[k] += change
    area[k] += change * left_ms


@compiled(_nrt=False)
def close_hours(clock, setup, until, count, area, shape_cpu, shape_memory, shape_class, hour_cpu, hour_memory, hour_pods):
    """Write every hour that ends at or before `until`: exact integrals of pods, millicores and MiB over milliseconds."""
    hour_ms, classes, shapes = setup[HOUR_MS], setup[CLASSES], shape_cpu.size
    places = count.size // shapes
    h = clock[HOUR]
    while (h + 1) * hour_ms <= until:
        for place in range(places):
            for s in range(shapes):
                k = place * shapes + s
                pods_ms = area[k]
                if pods_ms != 0:
                    c = (h * places + place) * classes + shape_class[s]
                    hour_cpu[c] += pods_ms * np.int64(shape_cpu[s])
                    hour_memory[c] += pods_ms * np.int64(shape_memory[s])
                    hour_pods[c] += pods_ms
                area[k] = count[k] * hour_ms
        h += 1
    clock[HOUR] = h


@compiled(forceinline=True, _nrt=False)
def waits(state):
    """Whether a pod in this state is in the queue of its shape."""
    return PENDING_REST <= state <= PENDING


@compiled(forceinline=True, _nrt=False)
def note(p, now, clock, setup, changed, changed_ms):
    """Put pod `p` on the list of dynamic pods that found or lost a node since the list was last read, once each."""
    k = np.int64(p) - setup[PODS]
    if k < 0:
        return
    clock[NOTED] += 1
    if changed_ms[k] < 0:
        changed[clock[CHANGED]] = p
        clock[CHANGED] += 1
    changed_ms[k] = now


@compiled(forceinline=True, _nrt=False)
def _leave_queue(p, s, placed, queue_next, head, tail):
    """Take pod `p` out of its queue; entries that were withdrawn behind it are dropped when they reach the front."""
    if head[s] != p:
        return
    following = np.int64(queue_next[p])
    while following >= 0 and not waits(placed[following]):
        following = np.int64(queue_next[following])
    head[s] = following
    if following < 0:
        tail[s] = -1


@compiled(_nrt=False)
def wait_for_room(p, s, state, now, clock, setup, placed, queue_next, queue_order, head, tail, shape_flags, shapes, pools, count, area):
    """Pod `p` joins the queue of its shape; `state` says for which of the three reasons."""
    placed[p] = state
    queue_next[p] = -1
    queue_order[p] = clock[QUEUED]
    clock[QUEUED] += 1
    if head[s] < 0:
        head[s] = p
    else:
        queue_next[tail[s]] = p
    tail[s] = p
    clock[WAITING] += 1
    if shape_flags[s] & HELPABLE:
        clock[WAITING_HELPABLE] += 1
    if shape_flags[s] & RULED:
        clock[WAITING_RULED] += 1
    tally(pools, s, 1, (clock[HOUR] + 1) * setup[HOUR_MS] - now, shapes, count, area)


@compiled(_nrt=False)
def stop_waiting(p, s, now, clock, setup, placed, queue_next, head, tail, shape_flags, shapes, pools, count, area):
    """Pod `p` leaves the queue of its shape, placed or withdrawn."""
    _leave_queue(p, s, placed, queue_next, head, tail)
    clock[WAITING] -= 1
    if shape_flags[s] & HELPABLE:
        clock[WAITING_HELPABLE] -= 1
    if shape_flags[s] & RULED:
        clock[WAITING_RULED] -= 1
    tally(pools, s, -1, (clock[HOUR] + 1) * setup[HOUR_MS] - now, shapes, count, area)


@compiled(_nrt=False)
def start_late(
    p, s, n, now, clock, setup, arrival, duration, placed, wait, late_end, heap, pool_of, shape_flags, changed, changed_ms,
    pool_speed, pool_latency, began,
):  # fmt: skip
    """Pod `p` starts on node `n`: a job ends when its work is done there, a replica when its Deployment says so."""
    state = placed[p]
    if state == PENDING:
        wait[p] = now - arrival[p]
    if began.size > 0:
        began[p] = now
    note(p, now, clock, setup, changed, changed_ms)
    if shape_flags[s] & FIXED_END or duration[p] >= FOREVER:
        placed[p] = n
        return
    lasts = late_end[p] if state == PENDING_REST else duration[p]
    if setup[PACED] != 0:
        q = pool_of[n]
        lasts = pool_latency[q] + max(np.int64(1), np.int64(np.rint(lasts / pool_speed[q])))
    placed[p] = I4(n | LATE)
    late_end[p] = now + lasts
    heap_push(heap, clock[HEAPED], (late_end[p] << setup[SHIFT]) | p)
    clock[HEAPED] += 1


@compiled(_nrt=False)
def stay_for_grace(p, n, ms, now, mark, clock, setup, placed, late_end, heap):
    """Pod `p` keeps its place on node `n` for the `ms` of its grace period; `mark` says what comes then."""
    placed[p] = I4(n | LATE | mark)
    late_end[p] = now + ms
    heap_push(heap, clock[HEAPED], (late_end[p] << setup[SHIFT]) | np.int64(p))
    clock[HEAPED] += 1


@compiled(error_model="numpy", _nrt=False)
def refill(
    n, now, clock, setup, arrival, shape, duration,
    placed, wait, queue_next, queue_order, late_end, heap, free_cpu, free_memory, free_pods, free_extended,
    pool_of, tier, shape_cpu, shape_memory, shape_extended, shape_axis, shape_rank, shape_flags, head, tail,
    count, area, starts, changed, changed_ms, pool_speed, pool_latency, terms, matching, began,
):  # fmt: skip
    """Offer node `n` to the heads of the queues until none fits: highest priority first, then longest in the queue.

    A replica whose Deployment shrinks at this very instant leaves the queue instead.
    """
    shapes = shape_cpu.size
    pools = count.size // shapes - 1
    q = np.int64(pool_of[n])
    while clock[WAITING] > 0 and free_pods[n] > 0:
        best, best_rank, best_order = np.int64(-1), np.int64(0), np.int64(0)
        for s in range(shapes):
            p = head[s]
            if p < 0 or tier[q * shapes + s] < 0 or free_cpu[n] < shape_cpu[s] or free_memory[n] < shape_memory[s]:
                continue
            if shape_extended[s] > 0 and free_extended[shape_axis[s] * free_cpu.size + n] < shape_extended[s]:
                continue
            if best < 0 or shape_rank[s] > best_rank or (shape_rank[s] == best_rank and queue_order[p] < best_order):
                best, best_rank, best_order = p, np.int64(shape_rank[s]), np.int64(queue_order[p])
        if best < 0:
            return
        s = np.int64(shape[best])
        if shape_flags[s] & FIXED_END and arrival[best] + duration[best] <= now:
            placed[best] = UNSERVED if placed[best] == PENDING else WITHDRAWN
            stop_waiting(best, s, now, clock, setup, placed, queue_next, head, tail, shape_flags, shapes, pools, count, area)
            continue
        stop_waiting(best, s, now, clock, setup, placed, queue_next, head, tail, shape_flags, shapes, pools, count, area)
        start_late(
            best, s, n, now, clock, setup, arrival, duration, placed, wait, late_end, heap, pool_of, shape_flags, changed, changed_ms,
            pool_speed, pool_latency, began,
        )  # fmt: skip
        take(
            U8(n), s, 1, free_cpu, free_memory, free_pods, free_extended, shape_cpu, shape_memory, shape_extended, shape_axis,
            shape_flags, terms, matching,
        )  # fmt: skip
        tally(q, s, 1, (clock[HOUR] + 1) * setup[HOUR_MS] - now, shapes, count, area)
        starts[q * shapes + s] += 1


@compiled(forceinline=True, error_model="numpy", _nrt=False)
def choose(
    p, s,
    clock, setup, rules, arrival, shape, duration, departure,
    placed, wait, queue_next, queue_order, late_end, heap,
    free_cpu, free_memory, free_pods, free_extended, without, pool_of, last_departure,
    pool_cpu, pool_memory, pool_first, pool_end,
    tier, shape_cpu, shape_memory, shape_extended, shape_axis, shape_rank, shape_flags, shape_class, head, tail,
    count, area, starts, hour_cpu, hour_memory, hour_pods, tree, levels, changed, changed_ms,
    pool_speed, pool_latency, shape_grace, terms, matching, domain, work, began, lower,
):  # fmt: skip
    """Best slot for pod `p` of shape `s`, or -1."""
    shapes = shape_cpu.size
    if shape_flags[s] & RULED:
        return call_at(setup[PICK_AT], setup[TABLE_AT], np.int64(s), np.int64(tie_salt(p, setup[SEED])))
    if setup[TREE] != 0:
        return pick(s, tie_salt(p, setup[SEED]), shapes, tree, levels)
    return scan(
        s, tie_salt(p, setup[SEED]), rules, free_cpu, free_memory, free_pods, free_extended, without,
        pool_cpu, pool_memory, pool_first, pool_end, tier, shape_cpu, shape_memory, shape_extended, shape_axis,
    )  # fmt: skip


@compiled(error_model="numpy", _nrt=False)
def settle(
    p, s, n, now,
    clock, setup, rules, arrival, shape, duration, departure,
    placed, wait, queue_next, queue_order, late_end, heap,
    free_cpu, free_memory, free_pods, free_extended, without, pool_of, last_departure,
    pool_cpu, pool_memory, pool_first, pool_end,
    tier, shape_cpu, shape_memory, shape_extended, shape_axis, shape_rank, shape_flags, shape_class, head, tail,
    count, area, starts, hour_cpu, hour_memory, hour_pods, tree, levels, changed, changed_ms,
    pool_speed, pool_latency, shape_grace, terms, matching, domain, work, began, lower,
):  # fmt: skip
    """Pod `p`, in no queue, starts on node `n`: room, counters and scores follow."""
    shapes = shape_cpu.size
    start_late(
        p, s, n, now, clock, setup, arrival, duration, placed, wait, late_end, heap, pool_of, shape_flags, changed, changed_ms,
        pool_speed, pool_latency, began,
    )  # fmt: skip
    take(
        U8(n), s, 1, free_cpu, free_memory, free_pods, free_extended, shape_cpu, shape_memory, shape_extended, shape_axis,
        shape_flags, terms, matching,
    )  # fmt: skip
    place = np.int64(pool_of[n])
    tally(place, s, 1, (clock[HOUR] + 1) * setup[HOUR_MS] - now, shapes, count, area)
    starts[place * shapes + s] += 1
    touch(
        n, setup, rules, free_cpu, free_memory, free_pods, free_extended, without,
        pool_cpu, pool_memory, pool_of, tier, shape_cpu, shape_memory, shape_extended, shape_axis, tree, levels,
    )  # fmt: skip


@compiled(_nrt=False)
def put_back(
    p, n, now, keep, clock, setup, arrival, shape, duration, placed, queue_next, queue_order, late_end,
    pool_of, shape_flags, head, tail, shape_cpu, count, area, changed, changed_ms, pool_speed,
):  # fmt: skip
    """Pod `p` loses node `n` and joins its queue again; with `keep`, a job goes on where it was instead of starting over."""
    s, shapes = np.int64(shape[p]), shape_cpu.size
    state = PENDING_AGAIN
    if keep and not shape_flags[s] & FIXED_END and duration[p] < FOREVER:
        end = late_end[p] if placed[p] >= LATE else arrival[p] + duration[p]
        late_end[p] = min(max(np.int64(np.rint((end - now) * pool_speed[pool_of[n]])), 1), duration[p])
        state = PENDING_REST
    tally(pool_of[n], s, -1, (clock[HOUR] + 1) * setup[HOUR_MS] - now, shapes, count, area)
    wait_for_room(
        p, s, state, now, clock, setup, placed, queue_next, queue_order,
        head, tail, shape_flags, shapes, count.size // shapes - 1, count, area,
    )  # fmt: skip
    note(p, now, clock, setup, changed, changed_ms)


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
