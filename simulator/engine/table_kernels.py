"""Arrays of a run by name, from one table of (address, length) pairs, and calls of compiled functions by pointer.

In Python `RunArrays` holds the arrays. Compiled code gets the table's address instead, and `run.free_cpu` there reads one
pair: a call hands over one number, not 53 arrays. `State` owns table and arrays; arrays are never resized, so every read
of the table is marked invariant and LLVM keeps it in a register or reads it again as it likes.

A call by pointer keeps rare, large code (constraints, preemption) out of the event loop's own compilation: it is compiled
when a run needs it and not before.
"""

from __future__ import annotations

from typing import NamedTuple, get_args, get_type_hints

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import AttributeTemplate
from numba.extending import infer_getattr, intrinsic, lower_getattr_generic, models, register_model
from numba.np.arrayobj import make_array, populate_array
from numba.np.numpy_support import from_dtype
from numpy.typing import NDArray


class RunArrays(NamedTuple):
    """Every array of one run, in the order of the table of addresses. Milliseconds, millicores and MiB throughout.

    One entry per pod, dynamic ones behind the trace's; per slot (a place where a node may stand); per pool; or per shape of
    pods, padded. A place is a pool, or behind the last one the queue; two-dimensional arrays are flat, the last axis inside.
    """

    clock: NDArray[np.int64]  # what the event loop remembers between calls, see `layout_kernels`
    setup: NDArray[np.int64]  # what never changes in a run, see `layout_kernels`
    rules: NDArray[np.int32]  # the scoring policy, see `placement_kernels`
    # per pod
    arrival: NDArray[np.int64]
    shape: NDArray[np.uint16]
    duration: NDArray[np.int64]
    departure: NDArray[np.int64]  # sorted `end << shift | pod` of pods that start when they arrive
    placed: NDArray[np.int32]  # its slot, or a state of `layout_kernels`
    wait: NDArray[np.int64]
    queue_next: NDArray[np.int32]  # who waits behind it
    queue_order: NDArray[np.int32]
    late_end: NDArray[np.int64]  # the end that the run decided, or what is left of a job that lost its node
    heap: NDArray[np.int64]  # `end << shift | pod` of those ends
    # per slot
    free_cpu: NDArray[np.int32]  # -1 where no node stands
    free_memory: NDArray[np.int32]
    free_pods: NDArray[np.int32]
    free_extended: NDArray[np.int32]  # [axis, slot]
    without: NDArray[np.int32]  # balance score before the next pod
    pool_of: NDArray[np.int32]
    last_departure: NDArray[np.int64]
    # per pool
    pool_cpu: NDArray[np.float64]
    pool_memory: NDArray[np.float64]
    pool_first: NDArray[np.int64]
    pool_end: NDArray[np.int64]  # behind the last slot where a node has stood
    # per shape
    tier: NDArray[np.int32]  # [pool, shape], -1 where the shape may not run
    shape_cpu: NDArray[np.int32]
    shape_memory: NDArray[np.int32]
    shape_extended: NDArray[np.int32]
    shape_axis: NDArray[np.int32]
    shape_rank: NDArray[np.int32]  # its priority
    shape_flags: NDArray[np.int32]
    shape_class: NDArray[np.int32]  # its column among the hourly counters
    head: NDArray[np.int64]
    tail: NDArray[np.int64]
    # counters
    present: NDArray[np.int64]  # [place, shape] pods
    area: NDArray[np.int64]  # [place, shape] pod-milliseconds of this hour if nothing changes until its end
    starts: NDArray[np.int64]  # [pool, shape]
    hour_cpu: NDArray[np.int64]  # [hour, place, column] integrals over milliseconds
    hour_memory: NDArray[np.int64]
    hour_pods: NDArray[np.int64]
    tree: NDArray[np.uint16]  # max-tree of scores, [row, shape]
    levels: NDArray[np.int64]  # (offset, size) of every level, leaves first
    changed: NDArray[np.int64]  # dynamic pods that found or lost a node
    changed_ms: NDArray[np.int64]
    pool_speed: NDArray[np.float64]
    pool_latency: NDArray[np.int64]
    shape_grace: NDArray[np.int64]
    # constraints and preemption, empty in runs without
    terms: NDArray[np.int32]
    matching: NDArray[np.int32]  # [group, slot] pods that a selector counts
    domain: NDArray[np.int32]  # [key, slot] topology domain
    work: NDArray[np.float64]
    began: NDArray[np.int64]  # per pod
    lower: NDArray[np.int64]


class RunType(types.Type):
    """What compiled code has in place of `RunArrays`: the address of the table."""

    def __init__(self) -> None:
        super().__init__("RunType")


register_model(RunType)(models.OpaqueModel)
RUN = RunType()
_PLACES = {name: 2 * k for k, name in enumerate(RunArrays._fields)}
_ARRAYS = {
    name: types.Array(from_dtype(np.dtype(get_args(get_args(hint)[1])[0])), 1, "C") for name, hint in get_type_hints(RunArrays).items()
}


@infer_getattr
class _RunAttributes(AttributeTemplate):
    key = RunType

    def generic_resolve(self, run, name):
        return _ARRAYS.get(name)


@lower_getattr_generic(RunType)
def _array(context, builder, run, table, name):
    """The array `name`, rebuilt from its pair in the table."""
    kind, word = _ARRAYS[name], ir.IntType(64)
    pairs = builder.bitcast(table, word.as_pointer())

    def read(k):
        value = builder.load(builder.gep(pairs, [word(k)], inbounds=True))
        value.set_metadata("invariant.load", builder.module.add_metadata([]))
        return value

    array = make_array(kind)(context, builder)
    itemsize = context.get_abi_sizeof(context.get_data_type(kind.dtype))
    data = builder.inttoptr(read(_PLACES[name]), array.data.type)
    populate_array(array, data=data, shape=[read(_PLACES[name] + 1)], strides=[word(itemsize)], itemsize=word(itemsize), meminfo=None)
    return array._getvalue()


@intrinsic
def run_at(typing_context, address):
    """The run whose table of addresses stands at `address`."""

    def generate(context, builder, signature, arguments):
        return builder.inttoptr(arguments[0], cgutils.voidptr_t)

    return RUN(types.int64), generate


@intrinsic
def call_at(typing_context, address, run, a, b):
    """`f(address of the run, a, b)` of the function at `address`, all 64-bit integers."""
    word = ir.IntType(64)

    def generate(context, builder, signature, arguments):
        function = builder.inttoptr(arguments[0], ir.FunctionType(word, [word] * 3).as_pointer())
        return builder.call(function, [builder.ptrtoint(arguments[1], word), *arguments[2:]])

    return types.int64(types.int64, RUN, types.int64, types.int64), generate
