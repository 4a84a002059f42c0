"""Which node gets the pod: two exact engines with the same answer, a SIMD scan for few nodes and a max-tree for many.

A node's key is `tier | score | tie`: private pools stand in a higher tier, the score is kube-scheduler's integer, and
the tie bits are the node's number xor a salt. With the salt all ones the lowest number wins; with a pod's own salt the
winner among equals is drawn. Loop indices are unsigned, masks are arithmetic and 32-bit steps are wrapped, because
that is what lets LLVM turn the loops into vector code.
"""

from __future__ import annotations

import numpy as np

from simulator.engine.jit_kernels import compiled
from simulator.engine.scores_kernels import FREE_LIFT, balance_of_two, free_percent

I4 = np.int32
U8 = np.uint64

SLOT_BITS = 17
SLOT_MASK = (1 << SLOT_BITS) - 1
SCORE_BITS = 10
TIER_SHIFT = SLOT_BITS + SCORE_BITS
MAX_TIER = 15
ARITY_BITS = 3
LANES = 16  # the widest vector of 32-bit integers

# rules: int32[5], one scoring policy as the numbers of one formula
R_FIT_WEIGHT, R_BALANCE_WEIGHT, R_MOST, R_BALANCE_MASK, R_BALANCE_SHIFT = range(5)

_SAFE = {"nsz", "nnan", "ninf"}  # keep every rounding: no contraction, no reassociation


@compiled(forceinline=True, _nrt=False)
def tie_salt(pod, seed):
    """17 random bits of a pod: a multiplicative hash of its number and the run's seed; seed 0 asks for lowest ties."""
    if seed == 0:
        return I4(SLOT_MASK)
    x = U8(pod) * U8(0x9E3779B97F4A7C15) + U8(seed)
    x = (x ^ (x >> U8(31))) * U8(0xBF58476D1CE4E5B9)
    return I4(np.int64(x >> U8(64 - SLOT_BITS)))


@compiled(forceinline=True, error_model="numpy", _nrt=False)
def fit_line(capacity, most):
    """Slope and offset of the fit percentage: `(free + offset) * slope` truncated is the free share, or the used one (`most` 1)."""
    sign = 1.0 - 2.0 * most
    return sign * 100.0 / capacity, sign * (most * capacity + FREE_LIFT)


@compiled(forceinline=True, error_model="numpy", _nrt=False)
def resource_score(cpu_fit, memory_fit, cpu_used, memory_used, cpu, memory, cpu_slope, memory_slope, without, rules):
    """Weighted integer score of a node that has `cpu_used` and `memory_used` requested after taking the pod.

    Fit is the mean free percentage (or, for MostAllocated, the mean used one); `*_fit` are what is free then, plus the offset
    of `fit_line`. Balance is the classic score, or from 1.36 `50 + (50 + with - without) // 2`: mask -1 and shift 1 select
    the second form.
    """
    fit_weight, balance_weight, balance_mask, balance_shift = rules
    fit = I4(free_percent(cpu_fit, cpu_slope) + free_percent(memory_fit, memory_slope)) >> I4(1)
    after = balance_of_two(cpu_used, cpu, memory_used, memory)
    half = I4(I4(50) & balance_mask)
    gain = I4(I4(half + after) - I4(without & balance_mask))
    balance = I4(half + I4(gain >> I4(balance_shift & I4(1))))
    return I4(I4(fit_weight * fit) + I4(balance_weight * balance))


@compiled(forceinline=True, _nrt=False)
def span_of(first, end, nodes):
    """Where a scan of slots `first` to `end` begins and ends: whole vectors where the neighbours allow it.

    A loop without a remainder is twice as fast on small pools; the slots too many stand in other pools and are masked.
    """
    whole = U8((end - first + U8(LANES - 1)) & ~U8(LANES - 1))
    if first + whole <= nodes:
        return first, U8(first + whole)
    if whole <= end:
        return U8(end - whole), end
    return first, end


@compiled(forceinline=True, error_model="numpy", fastmath=_SAFE, _nrt=False)
def scan(s, salt, run):
    """Best slot for shape `s`, or -1: every node of every eligible pool, highest tier first, one max-reduction each."""
    c, m, g = run.shape_cpu[s], run.shape_memory[s], run.shape_extended[s]
    c8, m8 = np.float64(c), np.float64(m)
    shapes, nodes = run.shape_cpu.size, run.free_cpu.size
    axis = U8(run.shape_axis[s]) * U8(nodes)
    weights = (run.rules[R_FIT_WEIGHT], run.rules[R_BALANCE_WEIGHT], run.rules[R_BALANCE_MASK], run.rules[R_BALANCE_SHIFT])
    most = np.float64(run.rules[R_MOST])
    best = I4(-1)
    for q in range(run.pool_first.size):
        rank = run.tier[U8(q * shapes) + U8(s)]
        if rank < 0:
            continue
        if best >= 0 and best >> I4(TIER_SHIFT) > rank:
            break
        cpu, memory = run.pool_cpu[q], run.pool_memory[q]
        cpu_slope, cpu_offset = fit_line(cpu, most)
        memory_slope, memory_offset = fit_line(memory, most)
        cpu_offset, memory_offset = cpu_offset - c8, memory_offset - m8
        cpu_top, memory_top = cpu + c8, memory + m8
        base = I4(np.int64(rank) << TIER_SHIFT)
        first, end = U8(run.pool_first[q]), U8(run.pool_end[q])
        lowest, highest = I4(first), I4(end)
        start, stop = span_of(first, end, U8(nodes))
        if g > 0:
            for i in range(start, stop):
                have_cpu, have_memory = np.float64(run.free_cpu[i]), np.float64(run.free_memory[i])
                score = resource_score(
                    have_cpu + cpu_offset, have_memory + memory_offset, cpu_top - have_cpu, memory_top - have_memory,
                    cpu, memory, cpu_slope, memory_slope, run.without[i], weights,
                )  # fmt: skip
                lacks = I4(
                    (run.free_cpu[i] < c) | (run.free_memory[i] < m) | (run.free_pods[i] < 1) | (I4(i) < lowest) | (I4(i) >= highest)
                )
                lacks = I4(lacks | (run.free_extended[axis + i] < g))
                key = I4(I4(base + I4(score << I4(SLOT_BITS))) | I4(I4(i) ^ salt))
                best = max(best, I4(key | I4(-lacks)))
        else:
            for i in range(start, stop):
                have_cpu, have_memory = np.float64(run.free_cpu[i]), np.float64(run.free_memory[i])
                score = resource_score(
                    have_cpu + cpu_offset, have_memory + memory_offset, cpu_top - have_cpu, memory_top - have_memory,
                    cpu, memory, cpu_slope, memory_slope, run.without[i], weights,
                )  # fmt: skip
                lacks = I4(
                    (run.free_cpu[i] < c) | (run.free_memory[i] < m) | (run.free_pods[i] < 1) | (I4(i) < lowest) | (I4(i) >= highest)
                )
                key = I4(I4(base + I4(score << I4(SLOT_BITS))) | I4(I4(i) ^ salt))
                best = max(best, I4(key | I4(-lacks)))
    if best < 0:
        return np.int64(-1)
    return np.int64(I4(best & I4(SLOT_MASK)) ^ salt)


@compiled(error_model="numpy", fastmath=_SAFE, _nrt=False)
def rescore(n, run):
    """Write the leaf row of node `n`: for every shape `1 + (tier | score)`, or 0 when the node cannot take it."""
    shapes, nodes = U8(run.shape_cpu.size), run.free_cpu.size
    q = U8(run.pool_of[n])
    row, ranks = U8(n) * shapes, q * shapes
    have_cpu, have_memory, have_pods, before = run.free_cpu[n], run.free_memory[n], run.free_pods[n], run.without[n]
    cpu, memory = run.pool_cpu[q], run.pool_memory[q]
    weights = (run.rules[R_FIT_WEIGHT], run.rules[R_BALANCE_WEIGHT], run.rules[R_BALANCE_MASK], run.rules[R_BALANCE_SHIFT])
    most = np.float64(run.rules[R_MOST])
    cpu_slope, cpu_offset = fit_line(cpu, most)
    memory_slope, memory_offset = fit_line(memory, most)
    cpu_offset, memory_offset = np.float64(have_cpu) + cpu_offset, np.float64(have_memory) + memory_offset
    used_cpu, used_memory = cpu - np.float64(have_cpu), memory - np.float64(have_memory)
    full = I4(have_pods < 1)
    for s in range(shapes):
        c8, m8 = np.float64(run.shape_cpu[s]), np.float64(run.shape_memory[s])
        score = resource_score(
            cpu_offset - c8, memory_offset - m8, used_cpu + c8, used_memory + m8, cpu, memory, cpu_slope, memory_slope, before, weights
        )
        rank = run.tier[ranks + s]
        lacks = I4((have_cpu < run.shape_cpu[s]) | (have_memory < run.shape_memory[s]) | (rank < 0)) | full
        value = I4(I4(score + I4(1)) + I4(rank << I4(SCORE_BITS)))
        run.tree[row + s] = np.uint16(value & I4(~I4(-lacks)))
    if run.free_extended.size > 0:
        for s in range(shapes):
            if run.shape_extended[s] > 0 and run.free_extended[U8(run.shape_axis[s]) * U8(nodes) + U8(n)] < run.shape_extended[s]:
                run.tree[row + s] = np.uint16(0)


@compiled(error_model="numpy", _nrt=False)
def lift(n, run):
    """Carry the change of leaf `n` to the root: each row is the maximum of its eight children, shape by shape."""
    i = U8(n)
    w = U8(run.shape_cpu.size)
    for level in range(1, run.levels.size // 2):
        i = i >> U8(ARITY_BITS)
        child = (U8(run.levels[2 * level - 2]) + (i << U8(ARITY_BITS))) * w
        own = (U8(run.levels[2 * level]) + i) * w
        for s in range(w):
            x = child + s
            low = max(max(run.tree[x], run.tree[x + w]), max(run.tree[x + U8(2) * w], run.tree[x + U8(3) * w]))
            high = max(max(run.tree[x + U8(4) * w], run.tree[x + U8(5) * w]), max(run.tree[x + U8(6) * w], run.tree[x + U8(7) * w]))
            run.tree[own + s] = max(low, high)


@compiled(error_model="numpy", _nrt=False)
def pick(s, salt, run):
    """Best slot for shape `s` from the tree, or -1; among equals the largest `number xor salt`, digit by digit."""
    w = U8(run.shape_cpu.size)
    top = run.levels.size // 2 - 1
    best = run.tree[U8(run.levels[2 * top]) * w + U8(s)]
    if best == 0:
        return np.int64(-1)
    i = U8(0)
    for down in range(top):
        level = top - 1 - down
        first = (U8(run.levels[2 * level]) + (i << U8(ARITY_BITS))) * w + U8(s)
        digit = U8((np.int64(salt) >> (ARITY_BITS * level)) & 7)
        chosen, highest = U8(0), np.int64(-1)
        for x in range(U8(8)):
            if run.tree[first + x * w] == best and np.int64(x ^ digit) > highest:
                chosen, highest = x, np.int64(x ^ digit)
        i = (i << U8(ARITY_BITS)) + chosen
    return np.int64(i)
