"""The event loop over pods: arrivals, placements, departures, queues and hourly counters, compiled.

Time is integer milliseconds. An event's key packs `time << shift | pod`, so the order is total: at one instant
departures come first, then the control events of simpy, then arrivals. Arrivals are sorted; departures of pods that
never waited are sorted too (once per trace), and a small heap holds the ends that a run decides.

A pod that nobody can take waits in the first-in-first-out queue of its shape. Only a node that gains room can end a
wait, so a departure offers its own node to the heads of the queues. highest priority and longest wait first: exact,
and independent of the length of the queues.
"""

from __future__ import annotations

import numpy as np

from simulator.engine.jit_kernels import compiled
from simulator.engine.placement_kernels import lift, pick, rescore, scan, tie_salt
from simulator.engine.scores_kernels import balance_of_two

I4 = np.int32
U8 = np.uint64
FAR = np.int64(1) << 61

# states of a pod in `placed`, besides the slot it runs on; a pod that is done keeps its last slot as GONE - 2 slot - late.
# Three kinds wait: for the first time, again from the beginning, or again for the rest of the job kept in `late_end`.
ABSENT, PENDING, PENDING_AGAIN, PENDING_REST, UNSERVED, WITHDRAWN, GONE = -1, -2, -3, -4, -5, -6, -16
LATE = 1 << 30  # its sorted departure is void: `late_end` and the heap hold the real one
SLOT = LATE - 1

# flags of a shape
FIXED_END, HELPABLE = 1, 2

# clock: int64, what the loop remembers between calls
NEXT_ARRIVAL, NEXT_DEPARTURE, HEAPED, NOW, WAITING, WAITING_HELPABLE, QUEUED, HOUR, OLDEST, EVICTIONS, CHANGED, NOTED = range(12)
CLOCK = 12
# setup: int64, what never changes in a run
SHIFT, TREE, HOUR_MS, SEED, CLASSES, PODS = range(6)

CORDONED = 1 << 24  # taken off a node's free pods while it takes no new ones
FOREVER = np.int64(1) << 60  # the duration of a dynamic pod that runs until it is told to end

# what `advance` listens for (bits of `watch`), and why it returned
WATCH_WAITING, WATCH_CHANGED = 1, 2
REACHED, WOKEN, DYNAMIC_CHANGED = 0, 1, 2


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
def take(n, s, sign, free_cpu, free_memory, free_pods, free_extended, shape_cpu, shape_memory, shape_extended, shape_axis):
    """Give (sign 1) or return (sign -1) the room of one pod of shape `s` on node `n`."""
    free_cpu[n] -= I4(sign * shape_cpu[s])
    free_memory[n] -= I4(sign * shape_memory[s])
    free_pods[n] -= I4(sign)
    if shape_extended[s] > 0:
        free_extended[U8(shape_axis[s]) * U8(free_cpu.size) + n] -= I4(sign * shape_extended[s])


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
    tally(pools, s, 1, (clock[HOUR] + 1) * setup[HOUR_MS] - now, shapes, count, area)


@compiled(_nrt=False)
def stop_waiting(p, s, now, clock, setup, placed, queue_next, head, tail, shape_flags, shapes, pools, count, area):
    """Pod `p` leaves the queue of its shape, placed or withdrawn."""
    _leave_queue(p, s, placed, queue_next, head, tail)
    clock[WAITING] -= 1
    if shape_flags[s] & HELPABLE:
        clock[WAITING_HELPABLE] -= 1
    tally(pools, s, -1, (clock[HOUR] + 1) * setup[HOUR_MS] - now, shapes, count, area)


@compiled(_nrt=False)
def start_late(p, s, n, now, clock, setup, arrival, duration, placed, wait, late_end, heap, shape_flags, changed, changed_ms):
    """Pod `p` starts on node `n` after a wait: a job ends one duration later, a replica when its Deployment says so."""
    state = placed[p]
    if state == PENDING:
        wait[p] = now - arrival[p]
    note(p, now, clock, setup, changed, changed_ms)
    if shape_flags[s] & FIXED_END or duration[p] >= FOREVER:
        placed[p] = n
    else:
        placed[p] = n | LATE
        late_end[p] = now + (late_end[p] if state == PENDING_REST else duration[p])
        heap_push(heap, clock[HEAPED], (late_end[p] << setup[SHIFT]) | p)
        clock[HEAPED] += 1


@compiled(error_model="numpy", _nrt=False)
def refill(
    n, now, clock, setup, arrival, shape, duration,
    placed, wait, queue_next, queue_order, late_end, heap, free_cpu, free_memory, free_pods, free_extended,
    pool_of, tier, shape_cpu, shape_memory, shape_extended, shape_axis, shape_rank, shape_flags, head, tail,
    count, area, starts, changed, changed_ms,
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
            best, s, n, now, clock, setup, arrival, duration, placed, wait, late_end, heap, shape_flags, changed, changed_ms
        )  # fmt: skip
        take(U8(n), s, 1, free_cpu, free_memory, free_pods, free_extended, shape_cpu, shape_memory, shape_extended, shape_axis)
        tally(q, s, 1, (clock[HOUR] + 1) * setup[HOUR_MS] - now, shapes, count, area)
        starts[q * shapes + s] += 1


@compiled(error_model="numpy", _nrt=False)
def advance(
    until, watch, clock, setup, rules, arrival, shape, duration, departure,
    placed, wait, queue_next, queue_order, late_end, heap,
    free_cpu, free_memory, free_pods, free_extended, without, pool_of, last_departure,
    pool_cpu, pool_memory, pool_first, pool_end,
    tier, shape_cpu, shape_memory, shape_extended, shape_axis, shape_rank, shape_flags, shape_class, head, tail,
    count, area, starts, hour_cpu, hour_memory, hour_pods, tree, levels, changed, changed_ms,
):  # fmt: skip
    """Run pods up to `until`: departures at `until` included, arrivals at `until` not.

    Returns REACHED, or WOKEN when `watch` has WATCH_WAITING and the first pod that an autoscaler could help began to
    wait, or DYNAMIC_CHANGED when it has WATCH_CHANGED and departures of this instant placed or ended a dynamic pod; the
    instant is clock[NOW] in every case.
    """
    pods, shapes = departure.size, shape_cpu.size
    listening, noted = (watch & WATCH_CHANGED) != 0, clock[NOTED]
    pools = pool_first.size
    shift, seed, hour_ms = setup[SHIFT], setup[SEED], setup[HOUR_MS]
    mask = (np.int64(1) << shift) - 1
    by_tree = setup[TREE] != 0
    hour_end = (clock[HOUR] + 1) * hour_ms
    now, code = clock[NOW], REACHED
    i, d = clock[NEXT_ARRIVAL], clock[NEXT_DEPARTURE]
    while True:
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
            if from_heap:
                heap_pop(heap, clock[HEAPED])
                clock[HEAPED] -= 1
                if state < LATE or late_end[p] != now:
                    continue
                placed[p] = I4(GONE - 2 * (state & SLOT) - 1)
                note(p, now, clock, setup, changed, changed_ms)
            else:
                d += 1
                if state >= LATE or state < 0:
                    if waits(state) and shape_flags[s] & FIXED_END:
                        placed[p] = UNSERVED if state == PENDING else WITHDRAWN
                        stop_waiting(
                            np.int64(p), np.int64(s), now, clock, setup, placed, queue_next,
                            head, tail, shape_flags, shapes, pools, count, area,
                        )  # fmt: skip
                    continue
                placed[p] = I4(GONE - 2 * state)
            n = U8(state & SLOT)
            take(n, s, -1, free_cpu, free_memory, free_pods, free_extended, shape_cpu, shape_memory, shape_extended, shape_axis)
            last_departure[n] = now
            tally(pool_of[n], s, -1, hour_end - now, shapes, count, area)
            if clock[WAITING] > 0:
                refill(
                    np.int64(n), now, clock, setup, arrival, shape, duration,
                    placed, wait, queue_next, queue_order, late_end, heap, free_cpu, free_memory, free_pods, free_extended,
                    pool_of, tier, shape_cpu, shape_memory, shape_extended, shape_axis, shape_rank, shape_flags, head, tail,
                    count, area, starts, changed, changed_ms,
                )  # fmt: skip
            if listening and clock[NOTED] != noted:
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
            s = U8(shape[p])
            target = np.int64(-1)
            if head[s] < 0:
                if by_tree:
                    target = pick(s, tie_salt(p, seed), shapes, tree, levels)
                else:
                    target = scan(
                        s, tie_salt(p, seed), rules, free_cpu, free_memory, free_pods, free_extended, without,
                        pool_cpu, pool_memory, pool_first, pool_end, tier, shape_cpu, shape_memory, shape_extended, shape_axis,
                    )  # fmt: skip
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
            take(n, s, 1, free_cpu, free_memory, free_pods, free_extended, shape_cpu, shape_memory, shape_extended, shape_axis)
            tally(q, s, 1, hour_end - now, shapes, count, area)
            starts[q * U8(shapes) + s] += 1
        touch(
            n, setup, rules, free_cpu, free_memory, free_pods, free_extended, without,
            pool_cpu, pool_memory, pool_of, tier, shape_cpu, shape_memory, shape_extended, shape_axis, tree, levels,
        )  # fmt: skip
    if now >= hour_end:
        close_hours(clock, setup, now, count, area, shape_cpu, shape_memory, shape_class, hour_cpu, hour_memory, hour_pods)
    clock[NOW], clock[NEXT_ARRIVAL], clock[NEXT_DEPARTURE] = now, i, d
    return code
