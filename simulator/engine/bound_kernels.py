"""Crossing from simpy into the kernel: Python hands over the address of the run's table, see `table_kernels`."""

from __future__ import annotations

from simulator.engine.control_kernels import join, leave
from simulator.engine.dynamic_kernels import cordon, end, evict, start
from simulator.engine.jit_kernels import compiled
from simulator.engine.kernels import advance
from simulator.engine.table_kernels import run_at


@compiled()
def advance_bound(address, until, watch):
    """`advance` of the run at `address`."""
    return advance(until, watch, run_at(address))


@compiled()
def join_bound(address, n, now, node_cpu, node_memory, node_pods, node_extended):
    """`join` of the run at `address`."""
    join(n, now, node_cpu, node_memory, node_pods, node_extended, run_at(address))


@compiled()
def leave_bound(address, n, now, node_pods):
    """`leave` of the run at `address`."""
    return leave(n, now, node_pods, run_at(address))


@compiled()
def start_bound(address, pods, lasting, now):
    """`start` of the run at `address`."""
    return start(pods, lasting, now, run_at(address))


@compiled()
def end_bound(address, pods, now):
    """`end` of the run at `address`."""
    return end(pods, now, run_at(address))


@compiled()
def evict_bound(address, pods, keep, now):
    """`evict` of the run at `address`."""
    return evict(pods, keep, now, run_at(address))


@compiled()
def cordon_bound(address, n, closed, now):
    """`cordon` of the run at `address`."""
    cordon(n, closed, now, run_at(address))
