"""Where a pod with constraints goes: every filter and every score of kube-scheduler's default profile, over all nodes.

Slower than the plain scan, and used for the pods that need it alone. Selectors were matched against shapes beforehand
(`constraints.compile_rules`): what is left to do per pod is to add up counts of pods per node over topology domains.
`matching : int32 [groups * slots]` holds, for each set of shapes that some term means, its pods on each node. Domains of
`domain : int32 [keys * slots]` are numbered per topology key, -1 without the label; key 0 is the node itself.
Source: kubernetes/kubernetes pkg/scheduler/framework/plugins at v1.36.3, as explained in `engine/kube/plugins`.
"""

from __future__ import annotations

import math

import numpy as np

from simulator.engine.jit_kernels import compiled
from simulator.engine.layout_kernels import NEXT_START, PERCENTAGE
from simulator.engine.placement_kernels import (
    R_BALANCE_MASK,
    R_BALANCE_SHIFT,
    R_BALANCE_WEIGHT,
    R_FIT_WEIGHT,
    R_MOST,
    fit_line,
    resource_score,
)

I4 = np.int32

# what stands at `terms[shape]`, the shape's place in `terms : int32`; further sections follow the head in this order
N_AFFINITY, COMPANY, MEETS_OWN, N_ANTI, N_HARD, N_SOFT, N_PREFERRED, N_EXTRA, N_MEMBERS, MEMBERS, N_PORTS = range(11)
HEAD = 11
# sections: affinity (key) - anti (key, group) - hard (key, group, max skew, own, least domains, mask) - soft (key, group,
# max skew, mask) - preferred (key, group, weight) - extra (axis, amount) - by pool: preferred weight, unwelcome taints,
# all keys of the soft constraints there. A mask is a place in `terms` with a number per pool: 0 not counted, 1 counted,
# 2 counted unless cordoned.
ANTI, HARD, SOFT, PREFERRED, EXTRA = 2, 6, 4, 3, 2

# rows of `work : float64 [WORK_ROWS, width]`
FEASIBLE, SUMS, PRESENT, COMPANIONS, BURDEN = range(5)
WORK_ROWS = 5

TAINT_WEIGHT, NODE_WEIGHT, SPREAD_WEIGHT, POD_WEIGHT = 3, 2, 2, 2
"""Weights of TaintToleration, NodeAffinity, PodTopologySpread and InterPodAffinity in the default profile."""


@compiled(_nrt=False)
def bump(n, s, sign, run):
    """A pod of shape `s` comes to (sign 1) or leaves (sign -1) node `n`: counts of others' selectors, further resources."""
    o, slots = run.terms[np.int64(s)], run.free_cpu.size
    first = run.terms[o + MEMBERS]
    for k in range(run.terms[o + N_MEMBERS]):
        run.matching[run.terms[first + k] * slots + np.int64(n)] += I4(sign)
    extra = _extra(o, run)
    for k in range(run.terms[o + N_EXTRA]):
        run.free_extended[run.terms[extra + 2 * k] * slots + np.int64(n)] -= I4(sign * run.terms[extra + 2 * k + 1])


@compiled(forceinline=True, _nrt=False)
def _extra(o, run):
    """Where the further extended resources of the shape at `o` begin."""
    sections = run.terms[o + N_AFFINITY] + ANTI * run.terms[o + N_ANTI] + HARD * run.terms[o + N_HARD] + SOFT * run.terms[o + N_SOFT]
    return np.int64(o + HEAD + sections + PREFERRED * run.terms[o + N_PREFERRED])


@compiled(forceinline=True, _nrt=False)
def _domain(key, i, run):
    """Number of node `i`'s domain under a topology key, -1 without the label."""
    return np.int64(i) if key == 0 else np.int64(run.domain[(key - 1) * run.free_cpu.size + i])


@compiled(_nrt=False)
def gather(key, group, mask, run):
    """Add up the pods of a group over domains into SUMS, counted nodes into PRESENT; whether any pod was found."""
    slots, width = run.free_cpu.size, run.work.size // WORK_ROWS
    for d in range(width):
        run.work[SUMS * width + d] = 0.0
        run.work[PRESENT * width + d] = 0.0
    found = False
    for q in range(run.pool_first.size):
        counted = 1 if mask < 0 else run.terms[mask + q]
        if counted == 0:
            continue
        for i in range(run.pool_first[q], run.pool_end[q]):
            if run.free_cpu[i] < 0 or (counted == 2 and run.free_pods[i] < 0):
                continue
            d = _domain(key, i, run)
            if d >= 0:
                pods = run.matching[group * slots + i]
                run.work[SUMS * width + d] += pods
                run.work[PRESENT * width + d] += 1.0
                found = found or pods > 0
    return found


@compiled(_nrt=False)
def _fits(s, o, run):
    """NodeResourcesFit, TaintToleration, NodeAffinity: mark feasible nodes; returns (feasible, standing)."""
    slots, shapes = run.free_cpu.size, run.shape_cpu.size
    axis, extra = np.int64(run.shape_axis[s]) * slots, _extra(o, run)
    feasible, standing = 0, 0
    for i in range(slots):
        run.work[i] = 0.0
    for q in range(run.pool_first.size):
        welcome = run.tier[q * shapes + s] >= 0
        for i in range(run.pool_first[q], run.pool_end[q]):
            if run.free_cpu[i] < 0:
                continue
            standing += 1
            if not welcome or run.free_cpu[i] < run.shape_cpu[s] or run.free_memory[i] < run.shape_memory[s] or run.free_pods[i] < 1:
                continue
            if run.shape_extended[s] > 0 and run.free_extended[axis + i] < run.shape_extended[s]:
                continue
            short = False
            for k in range(run.terms[o + N_EXTRA]):
                short = short or run.free_extended[run.terms[extra + 2 * k] * slots + i] < run.terms[extra + 2 * k + 1]
            if not short:
                run.work[i] = 1.0
                feasible += 1
    return feasible, standing


@compiled(_nrt=False)
def _keep_company(o, run):
    """InterPodAffinity's required terms: each domain needs a pod that meets all of them; the first of a kind goes anywhere."""
    slots, width, wanted = run.free_cpu.size, run.work.size // WORK_ROWS, run.terms[o + N_AFFINITY]
    if wanted == 0:
        return
    group, any_company = run.terms[o + COMPANY], False
    for i in range(slots):
        run.work[COMPANIONS * width + i] = 0.0
    for k in range(wanted):
        key = run.terms[o + HEAD + k]
        any_company = gather(key, group, -1, run) or any_company
        for i in range(slots):
            d = _domain(key, i, run)
            if d < 0:
                run.work[COMPANIONS * width + i] = 2.0
            elif run.work[SUMS * width + d] == 0.0:
                run.work[COMPANIONS * width + i] = max(run.work[COMPANIONS * width + i], 1.0)
    first_of_kind = not any_company and run.terms[o + MEETS_OWN] != 0
    for i in range(slots):
        if run.work[i] > 0.0 and run.work[COMPANIONS * width + i] > (1.0 if first_of_kind else 0.0):
            run.work[i] = -1.0


@compiled(_nrt=False)
def _keep_apart(o, run):
    """Own anti-affinity and that of pods already placed: the domain must hold none of a group."""
    slots, width = run.free_cpu.size, run.work.size // WORK_ROWS
    at = o + HEAD + run.terms[o + N_AFFINITY]
    for k in range(run.terms[o + N_PORTS], run.terms[o + N_ANTI]):
        key, group = run.terms[at + ANTI * k], run.terms[at + ANTI * k + 1]
        if key == 0:
            for i in range(slots):
                if run.matching[group * slots + i] > 0:
                    run.work[i] = min(run.work[i], 0.0)
            continue
        if gather(key, group, -1, run):
            for i in range(slots):
                d = _domain(key, i, run)
                if d >= 0 and run.work[SUMS * width + d] > 0.0:
                    run.work[i] = min(run.work[i], 0.0)


@compiled(_nrt=False)
def _keep_even(o, run):
    """PodTopologySpread with DoNotSchedule: matching pods + self - the least of all domains stays within maxSkew."""
    slots, width = run.free_cpu.size, run.work.size // WORK_ROWS
    at = o + HEAD + run.terms[o + N_AFFINITY] + ANTI * run.terms[o + N_ANTI]
    for k in range(run.terms[o + N_HARD]):
        t = at + HARD * k
        key, group, skew, own, least = run.terms[t], run.terms[t + 1], run.terms[t + 2], run.terms[t + 3], run.terms[t + 4]
        gather(key, group, run.terms[t + 5], run)
        domains, lowest = 0, math.inf
        for d in range(width):
            if run.work[PRESENT * width + d] > 0.0:
                domains += 1
                lowest = min(lowest, run.work[SUMS * width + d])
        if domains < least:
            lowest = 0.0
        for i in range(slots):
            d = _domain(key, i, run)
            if d < 0 or run.work[SUMS * width + d] + own - lowest > skew:
                run.work[i] = 0.0


@compiled(_nrt=False)
def mark_feasible(s, run):
    """All filters: FEASIBLE is 1 for nodes that take shape `s`; returns (nodes with room and no taint, standing nodes).

    A node that only lacks company (required affinity) is marked -1: no pod that leaves can help there.
    """
    o = np.int64(run.terms[s])
    fitting, standing = _fits(s, o, run)
    if fitting > 0:
        _keep_ports_free(o, run)
        _keep_even(o, run)
        _keep_company(o, run)
        _keep_apart(o, run)
    return fitting, standing


@compiled(_nrt=False)
def _keep_ports_free(o, run):
    """NodePorts: the first `N_PORTS` groups that must be absent hold pods with a port that conflicts."""
    slots, at = run.free_cpu.size, o + HEAD + run.terms[o + N_AFFINITY]
    for k in range(run.terms[o + N_PORTS]):
        for i in range(slots):
            if run.matching[run.terms[at + ANTI * k + 1] * slots + i] > 0:
                run.work[i] = 0.0


@compiled(_nrt=False)
def _examine_some(standing, run):
    """percentageOfNodesToScore: keep the first feasible nodes found round robin, as many as numFeasibleNodesToFind says.

    A percentage of 0 adapts to the cluster's size: 50 - nodes / 125, at least 5; never fewer than 100 nodes.
    """
    percentage, feasible = run.setup[PERCENTAGE], 0
    for i in range(run.free_cpu.size):
        feasible += 1 if run.work[i] > 0.0 else 0
    if percentage >= 100 or standing < 100:
        return feasible
    share = percentage if percentage > 0 else max(50 - standing // 125, 5)
    enough = max(standing * share // 100, 100)
    if feasible <= enough:
        return feasible
    start, position, found, examined = run.clock[NEXT_START] % standing, 0, 0, 0
    for turn in range(2):
        position = 0
        for i in range(run.free_cpu.size):
            if run.free_cpu[i] < 0:
                continue
            if (position >= start) == (turn == 0):
                if found == enough:
                    run.work[i] = min(run.work[i], 0.0)
                else:
                    examined += 1
                    found += 1 if run.work[i] > 0.0 else 0
            position += 1
    run.clock[NEXT_START] = (start + examined) % standing
    return enough


@compiled(_nrt=False)
def _add_preferences(o, run):
    """InterPodAffinity's preferences into COMPANIONS; whether any pod they mean exists."""
    slots, width, touched = run.free_cpu.size, run.work.size // WORK_ROWS, False
    at = o + HEAD + run.terms[o + N_AFFINITY] + ANTI * run.terms[o + N_ANTI] + HARD * run.terms[o + N_HARD] + SOFT * run.terms[o + N_SOFT]
    for i in range(slots):
        run.work[COMPANIONS * width + i] = 0.0
    for k in range(run.terms[o + N_PREFERRED]):
        key, group, weight = run.terms[at + PREFERRED * k], run.terms[at + PREFERRED * k + 1], run.terms[at + PREFERRED * k + 2]
        if gather(key, group, -1, run):
            touched = True
            for i in range(slots):
                d = _domain(key, i, run)
                if d >= 0:
                    run.work[COMPANIONS * width + i] += weight * run.work[SUMS * width + d]
    return touched


@compiled(_nrt=False)
def _add_burdens(o, labelled, run):
    """PodTopologySpread's soft constraints into BURDEN: matching pods times log(domains + 2), plus maxSkew - 1."""
    slots, width = run.free_cpu.size, run.work.size // WORK_ROWS
    at = o + HEAD + run.terms[o + N_AFFINITY] + ANTI * run.terms[o + N_ANTI] + HARD * run.terms[o + N_HARD]
    for i in range(slots):
        run.work[BURDEN * width + i] = 0.0
    for k in range(run.terms[o + N_SOFT]):
        t = at + SOFT * k
        key, group, skew = run.terms[t], run.terms[t + 1], run.terms[t + 2]
        for d in range(width):
            run.work[PRESENT * width + d] = 0.0
        domains = 0
        for i in range(slots):
            d = _domain(key, i, run)
            if d >= 0 and run.work[i] > 0.0 and run.terms[labelled + run.pool_of[i]] != 0 and run.work[PRESENT * width + d] == 0.0:
                run.work[PRESENT * width + d] = 1.0
                domains += 1
        weight = math.log(domains + 2)
        if key != 0:
            gather(key, group, run.terms[t + 3], run)
        for i in range(slots):
            d = _domain(key, i, run)
            if d >= 0:
                pods = run.work[SUMS * width + d] if key != 0 else np.float64(run.matching[group * slots + i])
                run.work[BURDEN * width + i] += pods * weight + (skew - 1)


@compiled(error_model="numpy", _nrt=False)
def pick_ruled(s, salt, run):
    """Best slot for shape `s` under all its constraints, or -1; highest tier first, then the weighted sum of all scores."""
    o, slots, shapes = np.int64(run.terms[s]), run.free_cpu.size, run.shape_cpu.size
    width, pools = run.work.size // WORK_ROWS, run.pool_first.size
    feasible, standing = mark_feasible(s, run)
    if feasible == 0:
        return np.int64(-1)
    feasible = _examine_some(standing, run)
    if feasible == 0:
        return np.int64(-1)
    by_pool = _extra(o, run) + EXTRA * run.terms[o + N_EXTRA]
    unwelcome, labelled = by_pool + pools, by_pool + 2 * pools
    touched = _add_preferences(o, run)
    _add_burdens(o, labelled, run)

    most_taints, most_wanted = np.int64(0), np.int64(0)
    low, high, least, most = math.inf, -math.inf, math.inf, 0.0
    for i in range(slots):
        if run.work[i] > 0.0:
            q = run.pool_of[i]
            most_taints = max(most_taints, np.int64(run.terms[unwelcome + q]))
            most_wanted = max(most_wanted, np.int64(run.terms[by_pool + q]))
            low, high = min(low, run.work[COMPANIONS * width + i]), max(high, run.work[COMPANIONS * width + i])
            if run.terms[labelled + q] != 0:
                run.work[BURDEN * width + i] = math.floor(run.work[BURDEN * width + i] + 0.5)
                least, most = min(least, run.work[BURDEN * width + i]), max(most, run.work[BURDEN * width + i])

    weights = (run.rules[R_FIT_WEIGHT], run.rules[R_BALANCE_WEIGHT], run.rules[R_BALANCE_MASK], run.rules[R_BALANCE_SHIFT])
    used = np.float64(run.rules[R_MOST])
    best, chosen = np.int64(-1), np.int64(-1)
    for i in range(slots):
        if run.work[i] <= 0.0:
            continue
        q = np.int64(run.pool_of[i])
        cpu, memory = run.pool_cpu[q], run.pool_memory[q]
        a, b = np.float64(run.free_cpu[i] - run.shape_cpu[s]), np.float64(run.free_memory[i] - run.shape_memory[s])
        cpu_slope, cpu_offset = fit_line(cpu, used)
        memory_slope, memory_offset = fit_line(memory, used)
        score = np.int64(
            resource_score(
                a + cpu_offset, b + memory_offset, cpu - a, memory - b, cpu, memory, cpu_slope, memory_slope, run.without[i], weights
            )
        )
        taints = 100 - run.terms[unwelcome + q] * 100 // most_taints if most_taints > 0 else 100
        score += TAINT_WEIGHT * taints
        if most_wanted > 0:
            score += NODE_WEIGHT * (np.int64(run.terms[by_pool + q]) * 100 // most_wanted)
        if touched and high > low:
            score += POD_WEIGHT * np.int64(100.0 * ((run.work[COMPANIONS * width + i] - low) / (high - low)))
        if run.terms[o + N_SOFT] > 0 and run.terms[labelled + q] != 0:
            burden = np.int64(most + least - run.work[BURDEN * width + i])
            score += SPREAD_WEIGHT * (100 * burden // np.int64(most) if most > 0.0 else 100)
        key = (np.int64(run.tier[q * shapes + s]) << 40) | (score << 20) | (np.int64(i) ^ np.int64(salt))
        if key > best:
            best, chosen = key, np.int64(i)
    return chosen
