"""The kernel in plain Python: the same source without compilation, the oracle that its decisions are tested against."""

from __future__ import annotations

from types import FunctionType, ModuleType
from typing import Any, SupportsInt

import numpy as np

from simulator.engine import (
    constraint_kernels,
    control_kernels,
    dynamic_kernels,
    kernels,
    layout_kernels,
    placement_kernels,
    pod_kernels,
    preemption_kernels,
    queue_kernels,
    scores_kernels,
)
from simulator.engine.state import State
from simulator.engine.table_kernels import RunArrays

_MODULES: tuple[ModuleType, ...] = (
    layout_kernels,
    scores_kernels,
    placement_kernels,
    constraint_kernels,
    pod_kernels,
    preemption_kernels,
    queue_kernels,
    kernels,
    control_kernels,
    dynamic_kernels,
)


def plain_functions() -> dict[str, Any]:
    """Every kernel function by name, interpreted, calling the interpreted others."""
    names: dict[str, Any] = {}
    for module in _MODULES:
        names.update(vars(module))
    compiled = {name: value.py_func for name, value in names.items() if hasattr(value, "py_func")}
    for name, function in compiled.items():
        names[name] = FunctionType(function.__code__, names, name, function.__defaults__)
    return {name: names[name] for name in compiled}


class TwinState(State):
    """A `State` whose every step is interpreted; the arrays mean the same."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._plain = plain_functions()
        next(iter(self._plain.values())).__globals__["call_at"] = self._called

    def _bind_far(self) -> None:
        """Nothing is compiled; the addresses only tell the functions apart."""
        self.setup[kernels.PICK_AT], self.setup[kernels.PREEMPT_AT], self.setup[kernels.OFFER_AT] = 1, 2, 3

    def _called(self, address: int, run: RunArrays, a: int, b: int) -> int:
        """What the compiled code calls by pointer."""
        if address == 2:
            return int(self._plain["preempt"](a, b, run))
        if address == 3:
            self._plain["offer_queues"](a, run)
            return 0
        return int(self._plain["pick_ruled"](a, np.int32(b), run))

    def advance(self, until: SupportsInt, watch: int) -> int:
        """As `State.advance`."""
        with np.errstate(all="ignore"):
            return int(self._plain["advance"](np.int64(int(until)), watch, self.arrays))

    def _call(self, name: str, *arguments: Any) -> int:
        with np.errstate(all="ignore"):
            return int(self._plain[name](*arguments, self.arrays) or 0)
