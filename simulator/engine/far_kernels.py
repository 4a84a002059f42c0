"""What the event loop calls by pointer: the scan with constraints, preemption and offers of every node, compiled at their first use."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from simulator.engine.constraint_kernels import pick_ruled
from simulator.engine.jit_kernels import called_by_pointer
from simulator.engine.preemption_kernels import preempt
from simulator.engine.queue_kernels import offer_queues
from simulator.engine.table_kernels import arrays_of, table_at


def _pick_ruled(table, s, salt):
    arrays = arrays_of(table_at(table))
    (
        clock, setup, rules, _, _, _, _,
        _, _, _, _, _, _,
        free_cpu, free_memory, free_pods, free_extended, without, pool_of, _,
        pool_cpu, pool_memory, pool_first, pool_end,
        tier, shape_cpu, shape_memory, shape_extended, shape_axis, _, _, _, _, _,
        _, _, _, _, _, _, _, _, _, _,
        _, _, _, terms, matching, domain, work, _, _,
    ) = arrays  # fmt: skip
    return pick_ruled(
        s, np.int32(salt), clock, setup, rules, free_cpu, free_memory, free_pods, free_extended, without, pool_of,
        pool_cpu, pool_memory, pool_first, pool_end, tier, shape_cpu, shape_memory, shape_extended, shape_axis,
        terms, matching, domain, work,
    )  # fmt: skip


def _preempt(table, s, now):
    return preempt(s, now, *arrays_of(table_at(table)))


def _offer(table, now, _):
    offer_queues(now, *arrays_of(table_at(table)))
    return np.int64(0)


@cache
def _address(function: Callable[..., Any]) -> int:
    return called_by_pointer(function)


def pick_address() -> int:
    """Where `pick_ruled` of a table of arrays stands."""
    return _address(_pick_ruled)


def preempt_address() -> int:
    """Where `preempt` of a table of arrays stands."""
    return _address(_preempt)


def offer_address() -> int:
    """Where `offer_queues` of a table of arrays stands."""
    return _address(_offer)
