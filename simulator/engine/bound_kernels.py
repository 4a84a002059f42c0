"""Crossing from simpy into the kernel in a fraction of a microsecond: one table of addresses instead of 52 arrays.

A call costs almost two microseconds when Python hands over every array. Here Python hands over one int64 table of
(address, length) pairs, and the arrays are rebuilt inside. `State` owns the table and the arrays, so no address
outlives its memory; arrays are never resized.
"""

from __future__ import annotations

import numpy as np
from numba import carray, types  # type: ignore[attr-defined]
from numba.core import cgutils
from numba.extending import intrinsic

from simulator.engine.control_kernels import join, leave
from simulator.engine.dynamic_kernels import cordon, end, evict, start
from simulator.engine.jit_kernels import compiled
from simulator.engine.kernels import advance


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
def _arrays(table):
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
        _i32(t, o + 47), _i32(t, o + 48), _i32(t, o + 49), _f64(t, o + 50), _i64(t, o + 51),  # terms .. began
    )  # fmt: skip


@compiled()
def advance_bound(table, until, watch):
    """`advance` on the arrays behind `table`."""
    return advance(until, watch, *_arrays(table))


@compiled()
def join_bound(table, n, now, node_cpu, node_memory, node_pods, node_extended):
    """`join` on the arrays behind `table`."""
    join(n, now, node_cpu, node_memory, node_pods, node_extended, *_arrays(table))


@compiled()
def leave_bound(table, n, now, node_pods):
    """`leave` on the arrays behind `table`."""
    return leave(n, now, node_pods, *_arrays(table))


@compiled()
def start_bound(table, pods, lasting, now):
    """`start` on the arrays behind `table`."""
    return start(pods, lasting, now, *_arrays(table))


@compiled()
def end_bound(table, pods, now):
    """`end` on the arrays behind `table`."""
    return end(pods, now, *_arrays(table))


@compiled()
def evict_bound(table, pods, keep, now):
    """`evict` on the arrays behind `table`."""
    return evict(pods, keep, now, *_arrays(table))


@compiled()
def cordon_bound(table, n, closed, now):
    """`cordon` on the arrays behind `table`."""
    cordon(n, closed, now, *_arrays(table))
