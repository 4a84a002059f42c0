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
    NEXT_ARRIVAL,
    NOTED,
    OLDEST,
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
def touch(n, run):
    """Node `n` changed: refresh its balance without the next pod, and its rows in the tree."""
    if run.rules[3] != 0:
        q = run.pool_of[n]
        cpu, memory = run.pool_cpu[q], run.pool_memory[q]
        run.without[n] = balance_of_two(cpu - np.float64(run.free_cpu[n]), cpu, memory - np.float64(run.free_memory[n]), memory)
    if run.setup[TREE] != 0:
        rescore(n, run)
        lift(n, run)


@compiled(forceinline=True, _nrt=False)
def take(n, s, sign, run):
    """Give (sign 1) or return (sign -1) the room of one pod of shape `s` on node `n`."""
    run.free_cpu[n] -= I4(sign * run.shape_cpu[s])
    run.free_memory[n] -= I4(sign * run.shape_memory[s])
    run.free_pods[n] -= I4(sign)
    if run.shape_extended[s] > 0:
        run.free_extended[U8(run.shape_axis[s]) * U8(run.free_cpu.size) + n] -= I4(sign * run.shape_extended[s])
    if run.shape_flags[s] & MEMBER:
        bump(n, s, sign, run)


@compiled(forceinline=True, _nrt=False)
def tally(place, s, change, now, run):
    """`change` pods of shape `s` more at `place` (a pool, or behind the last one the queue) for what remains of this hour."""
    k = U8(place) * U8(run.shape_cpu.size) + U8(s)
    run.present[k] += change
    run.area[k] += change * ((run.clock[HOUR] + 1) * run.setup[HOUR_MS] - now)


@compiled(forceinline=True, _nrt=False)
def occupy(n, s, now, run):
    """One pod of shape `s` takes room on node `n`; counters follow."""
    take(U8(n), s, 1, run)
    q = U8(run.pool_of[n])
    tally(q, s, 1, now, run)
    run.starts[q * U8(run.shape_cpu.size) + U8(s)] += 1


@compiled(_nrt=False)
def close_hours(until, run):
    """Write every hour that ends at or before `until`: exact integrals of pods, millicores and MiB over milliseconds."""
    hour_ms, classes, shapes = run.setup[HOUR_MS], run.setup[CLASSES], run.shape_cpu.size
    places = run.present.size // shapes
    h = run.clock[HOUR]
    while (h + 1) * hour_ms <= until:
        for place in range(places):
            for s in range(shapes):
                k = place * shapes + s
                pods_ms = run.area[k]
                if pods_ms != 0:
                    c = (h * places + place) * classes + run.shape_class[s]
                    run.hour_cpu[c] += pods_ms * np.int64(run.shape_cpu[s])
                    run.hour_memory[c] += pods_ms * np.int64(run.shape_memory[s])
                    run.hour_pods[c] += pods_ms
                run.area[k] = run.present[k] * hour_ms
        h += 1
    run.clock[HOUR] = h


@compiled(forceinline=True, _nrt=False)
def existing(turn, run):
    """First and end of the numbers among which pods exist: on turn 0 those that arrived, on turn 1 dynamic ones."""
    if turn == 0:
        return run.clock[OLDEST], run.clock[NEXT_ARRIVAL]
    return run.setup[PODS], run.arrival.size


@compiled(forceinline=True, _nrt=False)
def waits(state):
    """Whether a pod in this state is in the queue of its shape."""
    return PENDING_REST <= state <= PENDING


@compiled(forceinline=True, _nrt=False)
def note(p, now, run):
    """Put pod `p` on the list of dynamic pods that found or lost a node since the list was last read, once each."""
    k = np.int64(p) - run.setup[PODS]
    if k < 0:
        return
    run.clock[NOTED] += 1
    if run.changed_ms[k] < 0:
        run.changed[run.clock[CHANGED]] = p
        run.clock[CHANGED] += 1
    run.changed_ms[k] = now


@compiled(forceinline=True, _nrt=False)
def _leave_queue(p, s, run):
    """Take pod `p` out of its queue; entries that were withdrawn behind it are dropped when they reach the front."""
    if run.head[s] != p:
        return
    following = np.int64(run.queue_next[p])
    while following >= 0 and not waits(run.placed[following]):
        following = np.int64(run.queue_next[following])
    run.head[s] = following
    if following < 0:
        run.tail[s] = -1


@compiled(_nrt=False)
def wait_for_room(p, s, state, now, run):
    """Pod `p` joins the queue of its shape; `state` says for which of the three reasons."""
    run.placed[p] = state
    run.queue_next[p] = -1
    run.queue_order[p] = run.clock[QUEUED]
    run.clock[QUEUED] += 1
    if run.head[s] < 0:
        run.head[s] = p
    else:
        run.queue_next[run.tail[s]] = p
    run.tail[s] = p
    run.clock[WAITING] += 1
    if run.shape_flags[s] & HELPABLE:
        run.clock[WAITING_HELPABLE] += 1
    if run.shape_flags[s] & RULED:
        run.clock[WAITING_RULED] += 1
    tally(run.pool_first.size, s, 1, now, run)


@compiled(_nrt=False)
def wait_no_more(s, now, run):
    """One pod of shape `s` waits no more: counters of what waits follow."""
    run.clock[WAITING] -= 1
    if run.shape_flags[s] & HELPABLE:
        run.clock[WAITING_HELPABLE] -= 1
    if run.shape_flags[s] & RULED:
        run.clock[WAITING_RULED] -= 1
    tally(run.pool_first.size, s, -1, now, run)


@compiled(_nrt=False)
def stop_waiting(p, s, now, run):
    """Pod `p` leaves the queue of its shape, placed or withdrawn."""
    _leave_queue(p, s, run)
    wait_no_more(s, now, run)


@compiled(_nrt=False)
def give_up(p, s, now, run):
    """Pod `p`, whose Deployment has shrunk, leaves its queue for good."""
    run.placed[p] = UNSERVED if run.placed[p] == PENDING else WITHDRAWN
    stop_waiting(p, s, now, run)


@compiled(forceinline=True, _nrt=False)
def too_late(p, s, now, run):
    """Whether pod `p` is a replica whose Deployment shrinks at this very instant or has shrunk."""
    return run.shape_flags[s] & FIXED_END and run.arrival[p] + run.duration[p] <= now


@compiled(_nrt=False)
def start_late(p, s, n, now, run):
    """Pod `p` starts on node `n`: a job ends when its work is done there, a replica when its Deployment says so."""
    state = run.placed[p]
    if state == PENDING:
        run.wait[p] = now - run.arrival[p]
    if run.began.size > 0:
        run.began[p] = now
    note(p, now, run)
    if run.shape_flags[s] & FIXED_END or run.duration[p] >= FOREVER:
        run.placed[p] = n
        return
    lasts = run.late_end[p] if state == PENDING_REST else run.duration[p]
    if run.setup[PACED] != 0:
        q = run.pool_of[n]
        lasts = run.pool_latency[q] + max(np.int64(1), np.int64(np.rint(lasts / run.pool_speed[q])))
    run.placed[p] = I4(n | LATE)
    run.late_end[p] = now + lasts
    heap_push(run.heap, run.clock[HEAPED], (run.late_end[p] << run.setup[SHIFT]) | p)
    run.clock[HEAPED] += 1


@compiled(_nrt=False)
def stay_for_grace(p, n, ms, now, mark, run):
    """Pod `p` keeps its place on node `n` for the `ms` of its grace period; `mark` says what comes then."""
    run.placed[p] = I4(n | LATE | mark)
    run.late_end[p] = now + ms
    heap_push(run.heap, run.clock[HEAPED], (run.late_end[p] << run.setup[SHIFT]) | np.int64(p))
    run.clock[HEAPED] += 1


@compiled(error_model="numpy", _nrt=False)
def refill(n, now, run):
    """Offer node `n` to the heads of the queues until none fits: highest priority first, then longest in the queue.

    A replica whose Deployment shrinks at this very instant leaves the queue instead.
    """
    shapes, q = run.shape_cpu.size, np.int64(run.pool_of[n])
    while run.clock[WAITING] > 0 and run.free_pods[n] > 0:
        best, best_rank, best_order = np.int64(-1), np.int64(0), np.int64(0)
        for s in range(shapes):
            p = run.head[s]
            if p < 0 or run.tier[q * shapes + s] < 0 or run.free_cpu[n] < run.shape_cpu[s] or run.free_memory[n] < run.shape_memory[s]:
                continue
            if run.shape_extended[s] > 0 and run.free_extended[run.shape_axis[s] * run.free_cpu.size + n] < run.shape_extended[s]:
                continue
            if best < 0 or run.shape_rank[s] > best_rank or (run.shape_rank[s] == best_rank and run.queue_order[p] < best_order):
                best, best_rank, best_order = p, np.int64(run.shape_rank[s]), np.int64(run.queue_order[p])
        if best < 0:
            return
        s = np.int64(run.shape[best])
        if too_late(best, s, now, run):
            give_up(best, s, now, run)
            continue
        stop_waiting(best, s, now, run)
        start_late(best, s, n, now, run)
        occupy(n, s, now, run)


@compiled(forceinline=True, error_model="numpy", _nrt=False)
def choose(p, s, run):
    """Best slot for pod `p` of shape `s`, or -1."""
    if run.shape_flags[s] & RULED:
        return call_at(run.setup[PICK_AT], run, np.int64(s), np.int64(tie_salt(p, run.setup[SEED])))
    if run.setup[TREE] != 0:
        return pick(s, tie_salt(p, run.setup[SEED]), run)
    return scan(s, tie_salt(p, run.setup[SEED]), run)


@compiled(error_model="numpy", _nrt=False)
def settle(p, s, n, now, run):
    """Pod `p`, in no queue, starts on node `n`: room, counters and scores follow."""
    start_late(p, s, n, now, run)
    occupy(n, s, now, run)
    touch(n, run)


@compiled(_nrt=False)
def put_back(p, n, now, keep, run):
    """Pod `p` loses node `n` and joins its queue again; with `keep`, a job goes on where it was instead of starting over."""
    s = np.int64(run.shape[p])
    state = PENDING_AGAIN
    if keep and not run.shape_flags[s] & FIXED_END and run.duration[p] < FOREVER:
        end = run.late_end[p] if run.placed[p] >= LATE else run.arrival[p] + run.duration[p]
        run.late_end[p] = min(max(np.int64(np.rint((end - now) * run.pool_speed[run.pool_of[n]])), 1), run.duration[p])
        state = PENDING_REST
    tally(run.pool_of[n], s, -1, now, run)
    wait_for_room(p, s, state, now, run)
    note(p, now, run)


@compiled(_nrt=False)
def prune_heap(run):
    """Drop the ends of jobs that lost their node, so that the heap never holds more than one end of a pod."""
    mask = (np.int64(1) << run.setup[SHIFT]) - 1
    kept = 0
    for k in range(run.clock[HEAPED]):
        key = run.heap[k]
        p = key & mask
        if run.placed[p] >= LATE and run.late_end[p] == key >> run.setup[SHIFT]:
            heap_push(run.heap, kept, key)
            kept += 1
    run.clock[HEAPED] = kept
