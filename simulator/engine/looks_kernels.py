"""What a look of an autoscaler reads off the kernel's arrays: pods out of patience, pods by node, nodes with pod events."""

from __future__ import annotations

import numpy as np

from simulator.engine.jit_kernels import compiled
from simulator.engine.kernels import PENDING, PENDING_REST, SLOT

FAR = np.int64(1) << 61


@compiled()
def ready_pods(now, fixed_ms, per_run, head, queue_next, placed, arrival, duration, out):
    """Waiting pods by shape whose budget `fixed_ms[s] + per_run[s] * duration` is spent, into `out : int64 [shapes]`.

    Returns when the next budget ends, FAR if none does.
    """
    following = FAR
    for s in range(head.size):
        out[s] = 0
        p = head[s]
        while p >= 0:
            if PENDING_REST <= placed[p] <= PENDING:
                ends = FAR
                if fixed_ms[s] < FAR:
                    ends = arrival[p] + fixed_ms[s] + np.int64(per_run[s] * duration[p])
                if ends <= now:
                    out[s] += 1
                elif ends < following:
                    following = ends
            p = np.int64(queue_next[p])
    return following


@compiled()
def newest_waiting(after, head, queue_next, placed, arrival):
    """(earliest, latest) arrival later than `after` of a pod that waits; FAR and -1 when there is none."""
    first, last = FAR, np.int64(-1)
    for s in range(head.size):
        p = head[s]
        while p >= 0:
            if PENDING_REST <= placed[p] <= PENDING and arrival[p] > after:
                first, last = min(first, arrival[p]), max(last, arrival[p])
            p = np.int64(queue_next[p])
    return first, last


@compiled()
def count_by_slot(first, last, placed, shape, row, out):
    """Pods `first` to `last` that run, by the row of their slot and by shape: out int64 [rows, shapes]; row -1 is not counted."""
    for p in range(first, last):
        if placed[p] >= 0:
            r = row[placed[p] & SLOT]
            if r >= 0:
                out[r, shape[p]] += 1


@compiled()
def note_events(now, slots, free_pods, last_departure, seen_pods, seen_departure, event_ms):
    """Slots on which a pod came or went since the last call get `event_ms` = now."""
    for n in slots:
        if free_pods[n] != seen_pods[n] or last_departure[n] != seen_departure[n]:
            seen_pods[n], seen_departure[n] = free_pods[n], last_departure[n]
            event_ms[n] = now


@compiled()
def any_below(threshold, slots, free_cpu, free_memory, pool_of, pool_cpu, pool_memory):
    """Whether the utilisation of any of the nodes lies under `threshold`."""
    for n in slots:
        q = pool_of[n]
        used = max(1.0 - free_cpu[n] / pool_cpu[q], 1.0 - free_memory[n] / pool_memory[q])
        if used < threshold:
            return True
    return False
