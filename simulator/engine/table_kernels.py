"""Crossing by address: arrays from one table of (address, length) pairs, and calls of compiled functions by pointer.

A call by pointer keeps rare, large code (constraints, preemption) out of the event loop's own compilation: it is compiled
when a run needs it and not before.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import carray, types  # type: ignore[attr-defined]
from numba.core import cgutils
from numba.extending import intrinsic

from simulator.engine.jit_kernels import compiled

TABLE_ARRAYS = 53


@intrinsic
def call_at(typing_context, address, table, a, b):
    """`f(table, a, b)` of the function at `address`, all 64-bit integers."""
    word = ir.IntType(64)

    def generate(context, builder, signature, arguments):
        function = builder.inttoptr(arguments[0], ir.FunctionType(word, [word] * 3).as_pointer())
        return builder.call(function, arguments[1:])

    return types.int64(*[types.int64] * 4), generate


@intrinsic
def _pointer(typing_context, address):
    """A void pointer from an integer address."""

    def generate(context, builder, signature, arguments):
        return builder.inttoptr(arguments[0], cgutils.voidptr_t)

    return types.voidptr(address), generate


@compiled(forceinline=True)
def _i64(table, k):
    return carray(_pointer(table[2 * k]), (table[2 * k + 1],), np.int64)


@compiled(forceinline=True)
def _i32(table, k):
    return carray(_pointer(table[2 * k]), (table[2 * k + 1],), np.int32)


@compiled(forceinline=True)
def _f64(table, k):
    return carray(_pointer(table[2 * k]), (table[2 * k + 1],), np.float64)


@compiled(forceinline=True)
def _u16(table, k):
    return carray(_pointer(table[2 * k]), (table[2 * k + 1],), np.uint16)


@compiled(forceinline=True)
def arrays_of(table):
    """Every array in the order of `state.ARRAYS`, which is the order of `advance`'s parameters from `clock` on."""
    t, o = table, np.int64(0)  # an index that is no literal: one compilation a type, not one an array
    return (
        _i64(t, o + 0), _i64(t, o + 1), _i32(t, o + 2),  # clock, setup, rules
        _i64(t, o + 3), _u16(t, o + 4), _i64(t, o + 5), _i64(t, o + 6),  # arrival, shape, duration, departure
        _i32(t, o + 7), _i64(t, o + 8), _i32(t, o + 9), _i32(t, o + 10), _i64(t, o + 11), _i64(t, o + 12),  # placed .. heap
        _i32(t, o + 13), _i32(t, o + 14), _i32(t, o + 15), _i32(t, o + 16),  # free_cpu .. free_extended
        _i32(t, o + 17), _i32(t, o + 18), _i64(t, o + 19),  # without, pool_of, last_departure
        _f64(t, o + 20), _f64(t, o + 21), _i64(t, o + 22), _i64(t, o + 23),  # pool_cpu .. pool_end
        _i32(t, o + 24), _i32(t, o + 25), _i32(t, o + 26), _i32(t, o + 27), _i32(t, o + 28),  # tier .. shape_axis
        _i32(t, o + 29), _i32(t, o + 30), _i32(t, o + 31),  # shape_rank, shape_flags, shape_class
        _i64(t, o + 32), _i64(t, o + 33),  # head, tail
        _i64(t, o + 34), _i64(t, o + 35), _i64(t, o + 36), _i64(t, o + 37), _i64(t, o + 38), _i64(t, o + 39),  # count .. hour_pods
        _u16(t, o + 40), _i64(t, o + 41),  # tree, levels
        _i64(t, o + 42), _i64(t, o + 43),  # changed, changed_ms
        _f64(t, o + 44), _i64(t, o + 45), _i64(t, o + 46),  # pool_speed, pool_latency, shape_grace
        _i32(t, o + 47), _i32(t, o + 48), _i32(t, o + 49), _f64(t, o + 50), _i64(t, o + 51), _i64(t, o + 52),  # terms .. lower
    )  # fmt: skip


@compiled(forceinline=True)
def table_at(address):
    """The table of addresses itself."""
    return carray(_pointer(address), (2 * TABLE_ARRAYS,), np.int64)
