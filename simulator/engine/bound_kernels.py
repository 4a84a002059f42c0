"""Crossing from simpy into the kernel in a fraction of a microsecond: one table of addresses instead of 53 arrays.

A call costs almost two microseconds when Python hands over every array. Here Python hands over one int64 table of
(address, length) pairs, and the arrays are rebuilt inside. `State` owns the table and the arrays, so no address
outlives its memory; arrays are never resized.
"""

from __future__ import annotations

from simulator.engine.control_kernels import join, leave
from simulator.engine.dynamic_kernels import cordon, end, evict, start
from simulator.engine.jit_kernels import compiled
from simulator.engine.kernels import advance
from simulator.engine.table_kernels import arrays_of


@compiled()
def advance_bound(table, until, watch):
    """`advance` on the arrays behind `table`."""
    return advance(until, watch, *arrays_of(table))


@compiled()
def join_bound(table, n, now, node_cpu, node_memory, node_pods, node_extended):
    """`join` on the arrays behind `table`."""
    join(n, now, node_cpu, node_memory, node_pods, node_extended, *arrays_of(table))


@compiled()
def leave_bound(table, n, now, node_pods):
    """`leave` on the arrays behind `table`."""
    return leave(n, now, node_pods, *arrays_of(table))


@compiled()
def start_bound(table, pods, lasting, now):
    """`start` on the arrays behind `table`."""
    return start(pods, lasting, now, *arrays_of(table))


@compiled()
def end_bound(table, pods, now):
    """`end` on the arrays behind `table`."""
    return end(pods, now, *arrays_of(table))


@compiled()
def evict_bound(table, pods, keep, now):
    """`evict` on the arrays behind `table`."""
    return evict(pods, keep, now, *arrays_of(table))


@compiled()
def cordon_bound(table, n, closed, now):
    """`cordon` on the arrays behind `table`."""
    cordon(n, closed, now, *arrays_of(table))
