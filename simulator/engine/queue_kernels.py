"""Who gets room: heads of the queues in order, each with the best node it can find, by preemption if that is on."""

from __future__ import annotations

import numpy as np

from simulator.engine.jit_kernels import compiled
from simulator.engine.layout_kernels import (
    MEMBER,
    NEVER_PREEMPTS,
    PREEMPT_AT,
    PREEMPTION,
    WAITING,
    WAITING_RULED,
)
from simulator.engine.pod_kernels import choose, give_up, settle, stop_waiting, too_late
from simulator.engine.table_kernels import call_at

I4 = np.int32
U8 = np.uint64


@compiled(error_model="numpy", _nrt=False)
def seek(p, s, now, run):
    """Best slot for pod `p` of shape `s`; if there is none, the one whose pods of lower priority leave for it; or -1."""
    n = choose(p, s, run)
    if n < 0 and run.setup[PREEMPTION] != 0 and not run.shape_flags[s] & NEVER_PREEMPTS:
        n = call_at(run.setup[PREEMPT_AT], run, np.int64(s), np.int64(now))
    return n


@compiled(_nrt=False)
def next_head(tried_rank, tried_order, run):
    """The head of a queue that comes next after (rank, order): highest priority first, then longest in the queue; or -1."""
    best, best_rank, best_order = np.int64(-1), np.int64(0), np.int64(0)
    for s in range(run.head.size):
        p = run.head[s]
        if p < 0:
            continue
        rank, order = np.int64(run.shape_rank[s]), np.int64(run.queue_order[p])
        if rank > tried_rank or (rank == tried_rank and order <= tried_order):
            continue
        if best < 0 or rank > best_rank or (rank == best_rank and order < best_order):
            best, best_rank, best_order = p, rank, order
    return best


@compiled(error_model="numpy", _nrt=False)
def offer_queues(now, run):
    """Offer every node to the heads of the queues, each head once: after several pods or nodes changed together.

    A pod that others' constraints count may open a node to a head that was refused before: then all are asked again.
    """
    tried_rank, tried_order, again = np.int64(2**31), np.int64(0), False
    while run.clock[WAITING] > 0:
        p = next_head(tried_rank, tried_order, run)
        if p < 0:
            if not again:
                return
            tried_rank, tried_order, again = np.int64(2**31), np.int64(0), False
            continue
        s = np.int64(run.shape[p])
        tried_rank, tried_order = np.int64(run.shape_rank[s]), np.int64(run.queue_order[p])
        if too_late(p, s, now, run):
            give_up(p, s, now, run)
            continue
        n = seek(p, s, now, run)
        if n < 0:
            continue
        again = again or (run.clock[WAITING_RULED] > 0 and run.shape_flags[s] & MEMBER != 0)
        stop_waiting(p, s, now, run)
        settle(p, s, n, now, run)
