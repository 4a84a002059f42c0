"""Pods from replica counts, and what a trace asks for by the hour."""

from __future__ import annotations

import numpy as np

from simulator.engine.jit_kernels import compiled


@compiled()
def newest_first(replicas, first, last, stack):
    """Turn replicas by hour into intervals: growth starts pods, shrinkage ends the newest.

    first, last : int64 [pods] out, hour in which a pod starts and the hour before whose start it ends; replicas that
    run to the end get `replicas.size`. Returns the number of pods. `stack` holds at least max(replicas).
    """
    pods, depth = 0, 0
    for h in range(replicas.size):
        while depth > replicas[h]:
            depth -= 1
            last[stack[depth]] = h
        while depth < replicas[h]:
            first[pods] = h
            last[pods] = replicas.size
            stack[depth] = pods
            depth += 1
            pods += 1
    return pods


@compiled()
def asked_by_hour(start, end, shape, amount, hour_ms, out):
    """Add `amount[shape] * milliseconds` of every pod's life [start, end) to the hours it covers; `out : int64 [hours]`."""
    horizon = out.size * hour_ms
    step = np.zeros(out.size + 1, dtype=np.int64)
    for p in range(start.size):
        begin, finish, size = max(start[p], 0), min(end[p], horizon), amount[shape[p]]
        if finish <= begin:
            continue
        h, k = begin // hour_ms, finish // hour_ms
        out[h] += size * ((h + 1) * hour_ms - begin)
        step[h + 1] += size
        if k < out.size:
            out[k] -= size * ((k + 1) * hour_ms - finish)
            step[k + 1] -= size
    running = np.int64(0)
    for h in range(out.size):
        running += step[h]
        out[h] += running * hour_ms
