"""The numbers by which the kernels read their arrays: states of a pod, flags of a shape, places in `clock` and `setup`."""

from __future__ import annotations

import numpy as np

FAR = np.int64(1) << 61

# states of a pod in `placed`, besides the slot it runs on; a pod that is done keeps its last slot as GONE - 2 slot - late.
# Three kinds wait: for the first time, again from the beginning, or again for the rest of the job kept in `late_end`.
ABSENT, PENDING, PENDING_AGAIN, PENDING_REST, UNSERVED, WITHDRAWN, GONE = -1, -2, -3, -4, -5, -6, -16
LATE = 1 << 30  # its sorted departure is void: `late_end` and the heap hold the real one
AGAIN = 1 << 29  # evicted, and still there for its grace period: it queues again at `late_end`
ENDING = 1 << 28  # over, and still there for its grace period
SLOT = ENDING - 1

# flags of a shape
FIXED_END, HELPABLE, GRACE, RULED, MEMBER, ALONE, NEVER_PREEMPTS = 1, 2, 4, 8, 16, 32, 64
# GRACE: a replica that needs time to stop. RULED: placed by the scan that knows constraints. MEMBER: counted by the
# selectors of others. ALONE: at most one pod on a node.

# clock: int64, what the loop remembers between calls
(
    NEXT_ARRIVAL,
    NEXT_DEPARTURE,
    HEAPED,
    NOW,
    WAITING,
    WAITING_HELPABLE,
    QUEUED,
    HOUR,
    OLDEST,
    EVICTIONS,
    CHANGED,
    NOTED,
    WAITING_RULED,
    NEXT_START,
    PREEMPTED,
) = range(15)
CLOCK = 15
# setup: int64, what never changes in a run; the last are addresses of three functions
SHIFT, TREE, HOUR_MS, SEED, CLASSES, PODS, PACED, PERCENTAGE, PREEMPTION, PICK_AT, PREEMPT_AT, OFFER_AT = range(12)

CORDONED = 1 << 24  # taken off a node's free pods while it takes no new ones
FOREVER = np.int64(1) << 60  # the duration of a dynamic pod that runs until it is told to end

# what `advance` listens for (bits of `watch`), and why it returned
WATCH_WAITING, WATCH_CHANGED = 1, 2
REACHED, WOKEN, DYNAMIC_CHANGED, WOKEN_BEFORE = 0, 1, 2, 3
