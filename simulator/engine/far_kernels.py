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
from simulator.engine.table_kernels import run_at


def _pick_ruled(address, s, salt):
    return pick_ruled(s, np.int32(salt), run_at(address))


def _preempt(address, s, now):
    return preempt(s, now, run_at(address))


def _offer(address, now, _):
    offer_queues(now, run_at(address))
    return np.int64(0)


@cache
def _address(function: Callable[..., Any]) -> int:
    return called_by_pointer(function)


def pick_address() -> int:
    """Where `pick_ruled` of a run stands."""
    return _address(_pick_ruled)


def preempt_address() -> int:
    """Where `preempt` of a run stands."""
    return _address(_preempt)


def offer_address() -> int:
    """Where `offer_queues` of a run stands."""
    return _address(_offer)
