"""A shared GPU cluster with a first-in-first-out queue whose jobs go to the cloud when their patience ends."""

from __future__ import annotations

import numpy as np

from simulator.engine.jit_kernels import compiled

CLOUD = -1


@compiled(forceinline=True)
def _sink(heap, n, end):
    """Restore the order of a heap of jobs by their end after its root was replaced."""
    i, job = 0, heap[0]
    while True:
        child = 2 * i + 1
        if child >= n:
            break
        if child + 1 < n and end[heap[child + 1]] < end[heap[child]]:
            child += 1
        if end[heap[child]] >= end[job]:
            break
        heap[i] = heap[child]
        i = child
    heap[i] = job


@compiled(forceinline=True)
def _rise(heap, n, end):
    """Restore the order after a job was put at position n."""
    i, job = n, heap[n]
    while i > 0 and end[heap[(i - 1) // 2]] > end[job]:
        heap[i] = heap[(i - 1) // 2]
        i = (i - 1) // 2
    heap[i] = job


@compiled()
def fifo_with_budget(arrival, runtime, gpus, budget, free, best_fit, start, node, end, queue, heap):
    """Run all jobs; times are floats in hours. Writes `start`, `node` (CLOUD for a job that left) and `end`.

    At every arrival, completion and end of patience: finished jobs free their GPUs, jobs whose budget is spent leave for the cloud (they
    started there when it was spent), arrivals join the queue, and its head starts while it fits on one node: the one with
    the fewest free GPUs (`best_fit`) or the first. The head blocks those behind it.
    """
    jobs = arrival.size
    waiting, running, i = 0, 0, 0
    while i < jobs or running > 0 or waiting > 0:
        now = _first_to_leave(arrival, runtime, budget, queue, waiting)
        if i < jobs:
            now = min(now, arrival[i])
        if running > 0:
            now = min(now, end[heap[0]])
        while running > 0 and end[heap[0]] <= now:
            free[node[heap[0]]] += gpus[heap[0]]
            running -= 1
            heap[0] = heap[running]
            _sink(heap, running, end)
        waiting = _give_up(now, arrival, runtime, budget, start, node, end, queue, waiting)
        while i < jobs and arrival[i] == now:
            queue[waiting] = i
            waiting += 1
            i += 1
        started = 0
        while started < waiting:
            job = queue[started]
            chosen = -1
            for n in range(free.size):
                if free[n] >= gpus[job] and (chosen < 0 or (best_fit and free[n] < free[chosen])):
                    chosen = n
            if chosen < 0:
                break
            free[chosen] -= gpus[job]
            start[job], node[job], end[job] = now, chosen, now + runtime[job]
            heap[running] = job
            _rise(heap, running, end)
            running += 1
            started += 1
        for k in range(started, waiting):
            queue[k - started] = queue[k]
        waiting -= started


@compiled(forceinline=True)
def _leaves(job, arrival, runtime, budget):
    """When a job that still waits leaves; the run time goes in and out again because published figures were made so."""
    return arrival[job] + budget[job] + runtime[job] - runtime[job]


@compiled()
def _first_to_leave(arrival, runtime, budget, queue, waiting):
    """Earliest end of patience in the queue."""
    first = np.inf
    for k in range(waiting):
        first = min(first, _leaves(queue[k], arrival, runtime, budget))
    return first


@compiled()
def _give_up(now, arrival, runtime, budget, start, node, end, queue, waiting):
    """Send jobs to the cloud whose patience ends now; returns how many still wait."""
    kept = 0
    for k in range(waiting):
        job = queue[k]
        leaves = _leaves(job, arrival, runtime, budget)
        if now >= leaves:
            start[job], node[job], end[job] = leaves, CLOUD, leaves + runtime[job]
        else:
            queue[kept] = job
            kept += 1
    return kept
