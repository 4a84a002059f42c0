"""Workloads and rivals of the engine's benchmark: the mixed cluster, a SimPy process per pod, the same loop in C."""

from __future__ import annotations

import ctypes
import math
import shutil
import subprocess
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import simpy
from numba import njit

from models.fleet import Fleet, NodePool
from models.node import NodeShape
from models.units import MS_PER_H
from simulator.engine.constraints import Constraints
from simulator.engine.kube.objects import HOSTNAME, ZONE, Selector, Spread
from simulator.engine.layout_kernels import CLASSES
from simulator.engine.policies import POLICIES
from simulator.engine.state import State, eligible
from simulator.engine.trace import PodShape, Trace, trace_of

GPU = "nvidia.com/gpu"
KINDS = {"metal": (64_000, 262_144, 0, 250, 0.40), "gpu": (64_000, 524_288, 8, 250, 0.10), "vm": (16_000, 65_536, 0, 110, 0.25)}


def mixed_fleet(nodes: int) -> Fleet:
    """40 % metal, 10 % GPU nodes (tainted), 25 % VMs, the rest AWS; one tier, so every eligible node is scored."""
    pools = []
    for name, (cpu, memory, gpus, pods, share) in KINDS.items():
        shape = NodeShape(name, cpu, memory, max_pods=pods, eviction_memory_mib=0, extended={GPU: gpus} if gpus else {})
        count = int(nodes * share)
        pools.append(NodePool(name, name, "x", shape, count, count, True, taints=(f"{GPU}=true:NoSchedule",) if gpus else ()))
    left = nodes - sum(pool.nodes for pool in pools)
    pools.append(NodePool("aws", "aws", "aws", NodeShape("aws", 16_000, 65_536, eviction_memory_mib=0), left, left, False))
    return Fleet(tuple(pools))


def mixed_trace(fleet: Fleet, pods: int, load: float = 0.7, shapes: int = 32) -> Trace:
    """Zipf over `shapes` pod shapes, three priorities, two GPU shapes, 30 % of shapes never on AWS; log-normal hours."""
    rng = np.random.default_rng(1)
    cpu = rng.choice([100, 250, 500, 1000, 1500, 2000, 4000], shapes, p=[0.15, 0.2, 0.25, 0.2, 0.1, 0.07, 0.03])
    memory = np.maximum(cpu * rng.choice([1, 2, 4, 8], shapes) * rng.uniform(0.7, 1.3, shapes) // 16 * 16, 64).astype(int)
    gpus = {shapes // 2: 1, shapes - 1: 4}
    popular = 1 / np.arange(1, shapes + 1) ** 0.8 * np.array([0.1 if s in gpus else 1.0 for s in range(shapes)])
    popular /= popular.sum()
    kinds = [
        PodShape(int(cpu[s]), int(memory[s]), GPU if s in gpus else "", gpus.get(s, 0), int(rng.integers(0, 3)),
                 ("service", "batch", "ml")[s % 3], "private" if s % 10 < 3 else "any")
        for s in range(shapes)
    ]  # fmt: skip
    plain = [pool for pool in fleet.pools if not pool.taints]
    need = float(cpu @ popular), float(memory @ popular)
    room = sum(p.nodes * p.shape.cpu_m for p in plain), sum(p.nodes * p.shape.memory_mib for p in plain)
    rate = load * min(room[0] / need[0], room[1] / need[1]) / MS_PER_H
    arrival = np.cumsum(rng.exponential(1 / rate, pods)).astype(np.int64)
    duration = np.maximum(rng.lognormal(math.log(MS_PER_H) - 0.5, 1.0, pods), 1000).astype(np.int64)
    hours = int((arrival + duration).max() // MS_PER_H) + 1
    return trace_of(kinds, hours, arrival, duration, rng.choice(shapes, pods, p=popular))


def first_pods(trace: Trace, pods: int) -> Trace:
    """The same trace cut after `pods` arrivals."""
    return trace_of(trace.shapes, trace.hours, trace.arrival_ms[:pods], trace.duration_ms[:pods], trace.shape[:pods])


def spread_out(trace: Trace) -> Trace:
    """The same pods, each shape with soft topology spread of its own pods over nodes and over zones."""

    def spread(s: int, shape: PodShape) -> PodShape:
        own = Selector.of({"app": f"app-{s}"})
        rules = Constraints(
            labels=(("app", f"app-{s}"),), spreads=tuple(Spread(1, key, hard=False, selector=own) for key in (HOSTNAME, ZONE))
        )
        return replace(shape, rules=rules)

    return replace(trace, shapes=tuple(spread(s, shape) for s, shape in enumerate(trace.shapes)))


def standing(trace: Trace, fleet: Fleet, version: str, *, tree: bool | None = None, preemption: bool = False) -> State:
    """A State with every node up, lowest ties."""
    state = State(trace, fleet, POLICIES["default"], version, tie_seed=0, tree=tree, preemption=preemption)
    for slot in range(state.layout.slots):
        state.join(slot, 0, state.layout.pools[state.pool_of[slot]].shape)
    return state


def kernel_s(trace: Trace, fleet: Fleet, version: str, *, preemption: bool = False) -> tuple[float, State]:
    """Processor seconds of the kernel over the whole trace, hourly counters and classes on."""
    state = standing(trace, fleet, version, preemption=preemption)
    start = time.process_time()
    state.advance(trace.hours * MS_PER_H, False)
    return time.process_time() - start, state


def simpy_s(trace: Trace, fleet: Fleet, version: str) -> tuple[float, list[int]]:
    """A SimPy process per pod with the same exact score: seconds, and the node of every pod."""
    env = simpy.Environment()
    nodes = [pool for pool in fleet.pools for _ in range(pool.nodes)]
    cpu, memory = [p.shape.schedulable_cpu_m for p in nodes], [p.shape.schedulable_memory_mib for p in nodes]
    free_cpu, free_memory = cpu[:], memory[:]
    free_gpu, free_pods = [p.shape.extended.get(GPU, 0) for p in nodes], [p.shape.schedulable_pods for p in nodes]
    may = [[eligible(shape, p) for p in nodes] for shape in trace.shapes]
    changed = version >= "1.36"
    where, waiting = [-1] * trace.pods, []

    def score(i: int, c: int, m: int) -> int:
        a, b = free_cpu[i] - c, free_memory[i] - m
        balance = int((1.0 - abs(((cpu[i] - a) / cpu[i] - (memory[i] - b) / memory[i]) / 2)) * 100.0)
        if changed:
            before = int((1.0 - abs(((cpu[i] - free_cpu[i]) / cpu[i] - (memory[i] - free_memory[i]) / memory[i]) / 2)) * 100.0)
            balance = 50 + (50 + balance - before) // 2
        return (a * 100 // cpu[i] + b * 100 // memory[i]) // 2 + balance

    def place(s: int) -> int:
        shape, allowed = trace.shapes[s], may[s]
        c, m, g = shape.cpu_m, shape.memory_mib, shape.extended_count
        best, highest = -1, -1
        for i in range(len(nodes)):
            if not allowed[i] or free_cpu[i] < c or free_memory[i] < m or free_gpu[i] < g or free_pods[i] < 1:
                continue
            value = score(i, c, m)
            if value > highest:
                best, highest = i, value
        return best

    def hold(i: int, s: int, sign: int) -> None:
        shape = trace.shapes[s]
        free_cpu[i] -= sign * shape.cpu_m
        free_memory[i] -= sign * shape.memory_mib
        free_gpu[i] -= sign * shape.extended_count
        free_pods[i] -= sign

    def pod(p: int, s: int, lasting: int):
        while (i := place(s)) < 0:
            room = env.event()
            waiting.append(room)
            yield room
        hold(i, s, 1)
        where[p] = i
        yield env.timeout(lasting)
        hold(i, s, -1)
        woken = waiting[:]
        waiting.clear()
        for room in woken:
            room.succeed()

    def arrivals():
        pods = zip(trace.arrival_ms.tolist(), trace.duration_ms.tolist(), trace.shape.tolist(), strict=True)
        for p, (when, lasting, s) in enumerate(pods):
            if when > env.now:
                yield env.timeout(when - env.now)
            env.process(pod(p, s, lasting))

    env.process(arrivals())
    start = time.process_time()
    env.run()
    return time.process_time() - start, where


@njit(cache=False, error_model="numpy", _nrt=False)
def _replay(arrival, shape, departure, shift, slots, free_cpu, free_memory, shape_cpu, shape_memory):
    """Known placements in event order: the floor that memory traffic alone sets."""
    mask = (np.int64(1) << shift) - 1
    d = 0
    for p in range(arrival.size):
        while departure[np.uint64(d)] >> shift <= arrival[np.uint64(p)]:
            gone = np.uint64(departure[np.uint64(d)] & mask)
            n, s = np.uint64(slots[gone]), np.uint64(shape[gone])
            free_cpu[n] += shape_cpu[s]
            free_memory[n] += shape_memory[s]
            d += 1
        n, s = np.uint64(slots[np.uint64(p)]), np.uint64(shape[np.uint64(p)])
        free_cpu[n] -= shape_cpu[s]
        free_memory[n] -= shape_memory[s]


def replay_s(state: State) -> float:
    """Seconds to replay a finished run's placements in event order."""
    trace, slots = state.trace, state.last_slots()
    work = (trace.arrival_ms, trace.shape, trace.departure, trace.shift, slots, state.free_cpu.copy(), state.free_memory.copy())
    _replay(*work, state.shape_cpu, state.shape_memory)
    start = time.process_time()
    _replay(*work, state.shape_cpu, state.shape_memory)
    return time.process_time() - start


_C = r"""
#include <stdint.h>
#include <math.h>
typedef int32_t i32; typedef int64_t i64;
#define BITS 17
#define MASK ((1 << BITS) - 1)
#define LANES 16
#define LIFT (1.0 / 1024)
#define SCAN(MORE) \
  for (i32 i = start; i < stop; i++) { \
    double a = cpu[i], b = mem[i]; \
    i32 fit = ((i32)((a + a0) * kc) + (i32)((b + b0) * km)) >> 1; \
    i32 bal = (i32)((2.0 - fabs((C1 - a) / C - (M1 - b) / M)) * 50.0); \
    i32 lacks = (cpu[i] < c) | (mem[i] < m) | (pods[i] < 1) | (i < low) | (i >= high) MORE; \
    i32 key = ((base + ((fit + bal) << BITS)) | (i ^ MASK)) | -lacks; \
    best = key > best ? key : best; \
  }
static i64 place(int s, int pools, int shapes, i32 nodes, const i32 *restrict cpu, const i32 *restrict mem, const i32 *restrict gpu,
                 const i32 *restrict pods, const double *pc, const double *pm, const i64 *first, const i64 *end,
                 const i32 *tier, const i32 *sc, const i32 *sm, const i32 *sg) {
  i32 c = sc[s], m = sm[s], g = sg[s], best = -1;
  for (int q = 0; q < pools; q++) {
    i32 rank = tier[q * shapes + s];
    if (rank < 0) continue;
    double C = pc[q], M = pm[q], kc = 100.0 / C, km = 100.0 / M, a0 = LIFT - c, b0 = LIFT - m, C1 = C + c, M1 = M + m;
    i32 base = rank << (BITS + 10), low = (i32)first[q], high = (i32)end[q], whole = (high - low + LANES - 1) & -LANES;
    i32 start = low, stop = high;
    if (low + whole <= nodes) stop = low + whole;
    else if (whole <= high) start = high - whole;
    if (g > 0) SCAN(| (gpu[i] < g))
    else SCAN()
  }
  return best < 0 ? -1 : (best & MASK) ^ MASK;
}
static void close_hour(i64 hour, int pools, int shapes, int classes, const i32 *sc, const i32 *sm, const i32 *cls, const i64 *count,
                       i64 *area, i64 *hour_cpu, i64 *hour_mem, i64 *hour_pods) {
  for (int q = 0; q <= pools; q++) for (int s = 0; s < shapes; s++) {
    i64 k = (i64)q * shapes + s, h = (hour * (pools + 1) + q) * classes + cls[s];
    hour_cpu[h] += area[k] * sc[s]; hour_mem[h] += area[k] * sm[s]; hour_pods[h] += area[k];
    area[k] = count[k] * 3600000;
  }
}
i64 run(i64 n, i64 shift, i64 hours, int pools, int shapes, int classes, int nodes, const i64 *arrival, const uint16_t *shape,
        const i64 *departure, i32 *placed, i32 *cpu, i32 *mem, i32 *gpu, i32 *pods, const i32 *pool_of, const double *pc, const double *pm,
        const i64 *first, const i64 *end, const i32 *tier, const i32 *sc, const i32 *sm, const i32 *sg, const i32 *cls,
        i64 *count, i64 *area, i64 *starts, i64 *last, i64 *hour_cpu, i64 *hour_mem, i64 *hour_pods) {
  i64 i = 0, d = 0, mask = ((i64)1 << shift) - 1, lost = 0, hour = 0, hour_end = 3600000;
  while (d < n) {
    i64 when = departure[d] >> shift, next = i < n ? arrival[i] : (i64)1 << 61, now = when <= next ? when : next;
    while (now >= hour_end) {
      close_hour(hour++, pools, shapes, classes, sc, sm, cls, count, area, hour_cpu, hour_mem, hour_pods);
      hour_end += 3600000;
    }
    if (when <= next) {
      i64 p = departure[d++] & mask; i32 node = placed[p]; int s = shape[p];
      if (node < 0) continue;
      placed[p] = -16 - 2 * node;
      cpu[node] += sc[s]; mem[node] += sm[s]; pods[node]++;
      if (sg[s] > 0) gpu[node] += sg[s];
      last[node] = now;
      i64 k = (i64)pool_of[node] * shapes + s; count[k]--; area[k] -= hour_end - now;
    } else {
      i64 p = i++; int s = shape[p];
      i64 node = place(s, pools, shapes, nodes, cpu, mem, gpu, pods, pc, pm, first, end, tier, sc, sm, sg);
      placed[p] = (i32)node;
      if (node < 0) { lost++; continue; }
      cpu[node] -= sc[s]; mem[node] -= sm[s]; pods[node]--;
      if (sg[s] > 0) gpu[node] -= sg[s];
      i64 k = (i64)pool_of[node] * shapes + s; count[k]++; area[k] += hour_end - now; starts[k]++;
    }
  }
  while (hour < hours) close_hour(hour++, pools, shapes, classes, sc, sm, cls, count, area, hour_cpu, hour_mem, hour_pods);
  return lost;
}
"""


def c_s(trace: Trace, fleet: Fleet) -> tuple[float, State] | None:
    """The same scan and loop in C (gcc -O3 -march=native) with the same counters, classic score; None without a compiler.

    Seconds, and a State whose pods, nodes and counters the C code moved; it knows no waiting, so the load must leave room.
    """
    if shutil.which("gcc") is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        source, library = Path(folder) / "run.c", Path(folder) / "run.so"
        source.write_text(_C)
        subprocess.run(["gcc", "-O3", "-march=native", "-shared", "-fPIC", "-o", library, source, "-lm"], check=True)
        call = ctypes.CDLL(str(library)).run
    state = standing(trace, fleet, "1.35", tree=False)
    arrays = (
        trace.arrival_ms, trace.shape, trace.departure, state.placed, state.free_cpu, state.free_memory, state.free_extended,
        state.free_pods, state.pool_of, state.pool_cpu, state.pool_memory, state.pool_first, state.pool_end, state.tier, state.shape_cpu,
        state.shape_memory, state.shape_extended, state.shape_class, state.present, state.area, state.starts, state.last_departure,
        state.hour_cpu, state.hour_memory, state.hour_pods,
    )  # fmt: skip
    sizes = (trace.pods, trace.shift, trace.hours)
    small = (len(fleet.pools), state.shape_cpu.size, int(state.setup[CLASSES]), state.free_cpu.size)
    call.restype = ctypes.c_int64
    start = time.process_time()
    call(*map(ctypes.c_int64, sizes), *map(ctypes.c_int, small), *(ctypes.c_void_p(a.ctypes.data) for a in arrays))
    return time.process_time() - start, state
