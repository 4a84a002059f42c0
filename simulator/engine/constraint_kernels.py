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
def bump(n, s, sign, slots, free_extended, terms, matching):
    """A pod of shape `s` comes to (sign 1) or leaves (sign -1) node `n`: counts of others' selectors, further resources."""
    o = terms[np.int64(s)]
    first = terms[o + MEMBERS]
    for k in range(terms[o + N_MEMBERS]):
        matching[terms[first + k] * slots + np.int64(n)] += I4(sign)
    extra = _extra(o, terms)
    for k in range(terms[o + N_EXTRA]):
        free_extended[terms[extra + 2 * k] * slots + np.int64(n)] -= I4(sign * terms[extra + 2 * k + 1])


@compiled(forceinline=True, _nrt=False)
def _extra(o, terms):
    """Where the further extended resources of the shape at `o` begin."""
    sections = terms[o + N_AFFINITY] + ANTI * terms[o + N_ANTI] + HARD * terms[o + N_HARD] + SOFT * terms[o + N_SOFT]
    return np.int64(o + HEAD + sections + PREFERRED * terms[o + N_PREFERRED])


@compiled(forceinline=True, _nrt=False)
def _domain(key, i, slots, domain):
    """Number of node `i`'s domain under a topology key, -1 without the label."""
    return np.int64(i) if key == 0 else np.int64(domain[(key - 1) * slots + i])


@compiled(_nrt=False)
def gather(key, group, mask, pool_first, pool_end, free_cpu, free_pods, terms, matching, domain, work):
    """Add up the pods of a group over domains into SUMS, counted nodes into PRESENT; whether any pod was found."""
    slots, width = free_cpu.size, work.size // WORK_ROWS
    for d in range(width):
        work[SUMS * width + d] = 0.0
        work[PRESENT * width + d] = 0.0
    found = False
    for q in range(pool_first.size):
        counted = 1 if mask < 0 else terms[mask + q]
        if counted == 0:
            continue
        for i in range(pool_first[q], pool_end[q]):
            if free_cpu[i] < 0 or (counted == 2 and free_pods[i] < 0):
                continue
            d = _domain(key, i, slots, domain)
            if d >= 0:
                pods = matching[group * slots + i]
                work[SUMS * width + d] += pods
                work[PRESENT * width + d] += 1.0
                found = found or pods > 0
    return found


@compiled(_nrt=False)
def _fits(
    s, o, free_cpu, free_memory, free_pods, free_extended, pool_first, pool_end,
    tier, shape_cpu, shape_memory, shape_extended, shape_axis, terms, work,
):  # fmt: skip
    """NodeResourcesFit, TaintToleration, NodeAffinity: mark feasible nodes; returns (feasible, standing)."""
    slots, shapes = free_cpu.size, shape_cpu.size
    axis, extra = np.int64(shape_axis[s]) * slots, _extra(o, terms)
    feasible, standing = 0, 0
    for i in range(slots):
        work[i] = 0.0
    for q in range(pool_first.size):
        welcome = tier[q * shapes + s] >= 0
        for i in range(pool_first[q], pool_end[q]):
            if free_cpu[i] < 0:
                continue
            standing += 1
            if not welcome or free_cpu[i] < shape_cpu[s] or free_memory[i] < shape_memory[s] or free_pods[i] < 1:
                continue
            if shape_extended[s] > 0 and free_extended[axis + i] < shape_extended[s]:
                continue
            short = False
            for k in range(terms[o + N_EXTRA]):
                short = short or free_extended[terms[extra + 2 * k] * slots + i] < terms[extra + 2 * k + 1]
            if not short:
                work[i] = 1.0
                feasible += 1
    return feasible, standing


@compiled(_nrt=False)
def _keep_company(o, free_cpu, free_pods, pool_first, pool_end, terms, matching, domain, work):
    """InterPodAffinity's required terms: each domain needs a pod that meets all of them; the first of a kind goes anywhere."""
    slots, width, wanted = free_cpu.size, work.size // WORK_ROWS, terms[o + N_AFFINITY]
    if wanted == 0:
        return
    group, any_company = terms[o + COMPANY], False
    for i in range(slots):
        work[COMPANIONS * width + i] = 0.0
    for k in range(wanted):
        key = terms[o + HEAD + k]
        any_company = gather(key, group, -1, pool_first, pool_end, free_cpu, free_pods, terms, matching, domain, work) or any_company
        for i in range(slots):
            d = _domain(key, i, slots, domain)
            if d < 0:
                work[COMPANIONS * width + i] = 2.0
            elif work[SUMS * width + d] == 0.0:
                work[COMPANIONS * width + i] = max(work[COMPANIONS * width + i], 1.0)
    first_of_kind = not any_company and terms[o + MEETS_OWN] != 0
    for i in range(slots):
        if work[i] > 0.0 and work[COMPANIONS * width + i] > (1.0 if first_of_kind else 0.0):
            work[i] = -1.0


@compiled(_nrt=False)
def _keep_apart(o, free_cpu, free_pods, pool_first, pool_end, terms, matching, domain, work):
    """Own anti-affinity and that of pods already placed: the domain must hold none of a group."""
    slots, width = free_cpu.size, work.size // WORK_ROWS
    at = o + HEAD + terms[o + N_AFFINITY]
    for k in range(terms[o + N_PORTS], terms[o + N_ANTI]):
        key, group = terms[at + ANTI * k], terms[at + ANTI * k + 1]
        if key == 0:
            for i in range(slots):
                if matching[group * slots + i] > 0:
                    work[i] = min(work[i], 0.0)
            continue
        if gather(key, group, -1, pool_first, pool_end, free_cpu, free_pods, terms, matching, domain, work):
            for i in range(slots):
                d = _domain(key, i, slots, domain)
                if d >= 0 and work[SUMS * width + d] > 0.0:
                    work[i] = min(work[i], 0.0)


@compiled(_nrt=False)
def _keep_even(o, free_cpu, free_pods, pool_first, pool_end, terms, matching, domain, work):
    """PodTopologySpread with DoNotSchedule: matching pods + self - the least of all domains stays within maxSkew."""
    slots, width = free_cpu.size, work.size // WORK_ROWS
    at = o + HEAD + terms[o + N_AFFINITY] + ANTI * terms[o + N_ANTI]
    for k in range(terms[o + N_HARD]):
        t = at + HARD * k
        key, group, skew, own, least = terms[t], terms[t + 1], terms[t + 2], terms[t + 3], terms[t + 4]
        gather(key, group, terms[t + 5], pool_first, pool_end, free_cpu, free_pods, terms, matching, domain, work)
        domains, lowest = 0, math.inf
        for d in range(width):
            if work[PRESENT * width + d] > 0.0:
                domains += 1
                lowest = min(lowest, work[SUMS * width + d])
        if domains < least:
            lowest = 0.0
        for i in range(slots):
            d = _domain(key, i, slots, domain)
            if d < 0 or work[SUMS * width + d] + own - lowest > skew:
                work[i] = 0.0


@compiled(_nrt=False)
def mark_feasible(
    s, free_cpu, free_memory, free_pods, free_extended, pool_first, pool_end,
    tier, shape_cpu, shape_memory, shape_extended, shape_axis, terms, matching, domain, work,
):  # fmt: skip
    """All filters: FEASIBLE is 1 for nodes that take shape `s`; returns (nodes with room and no taint, standing nodes).

    A node that only lacks company (required affinity) is marked -1: no pod that leaves can help there.
    """
    o = np.int64(terms[s])
    fitting, standing = _fits(
        s, o, free_cpu, free_memory, free_pods, free_extended, pool_first, pool_end,
        tier, shape_cpu, shape_memory, shape_extended, shape_axis, terms, work,
    )  # fmt: skip
    if fitting > 0:
        _keep_ports_free(o, free_cpu.size, terms, matching, work)
        _keep_even(o, free_cpu, free_pods, pool_first, pool_end, terms, matching, domain, work)
        _keep_company(o, free_cpu, free_pods, pool_first, pool_end, terms, matching, domain, work)
        _keep_apart(o, free_cpu, free_pods, pool_first, pool_end, terms, matching, domain, work)
    return fitting, standing


@compiled(_nrt=False)
def _keep_ports_free(o, slots, terms, matching, work):
    """NodePorts: the first `N_PORTS` groups that must be absent hold pods with a port that conflicts."""
    at = o + HEAD + terms[o + N_AFFINITY]
    for k in range(terms[o + N_PORTS]):
        for i in range(slots):
            if matching[terms[at + ANTI * k + 1] * slots + i] > 0:
                work[i] = 0.0


@compiled(_nrt=False)
def _examine_some(standing, clock, setup, free_cpu, work):
    """percentageOfNodesToScore: keep the first feasible nodes found round robin, as many as numFeasibleNodesToFind says.

    A percentage of 0 adapts to the cluster's size: 50 - nodes / 125, at least 5; never fewer than 100 nodes.
    """
    percentage, feasible = setup[PERCENTAGE], 0
    for i in range(free_cpu.size):
        feasible += 1 if work[i] > 0.0 else 0
    if percentage >= 100 or standing < 100:
        return feasible
    share = percentage if percentage > 0 else max(50 - standing // 125, 5)
    enough = max(standing * share // 100, 100)
    if feasible <= enough:
        return feasible
    start, position, found, examined = clock[NEXT_START] % standing, 0, 0, 0
    for turn in range(2):
        position = 0
        for i in range(free_cpu.size):
            if free_cpu[i] < 0:
                continue
            if (position >= start) == (turn == 0):
                if found == enough:
                    work[i] = min(work[i], 0.0)
                else:
                    examined += 1
                    found += 1 if work[i] > 0.0 else 0
            position += 1
    clock[NEXT_START] = (start + examined) % standing
    return enough


@compiled(_nrt=False)
def _add_preferences(o, free_cpu, free_pods, pool_first, pool_end, terms, matching, domain, work):
    """InterPodAffinity's preferences into COMPANIONS; whether any pod they mean exists."""
    slots, width, touched = free_cpu.size, work.size // WORK_ROWS, False
    at = o + HEAD + terms[o + N_AFFINITY] + ANTI * terms[o + N_ANTI] + HARD * terms[o + N_HARD] + SOFT * terms[o + N_SOFT]
    for i in range(slots):
        work[COMPANIONS * width + i] = 0.0
    for k in range(terms[o + N_PREFERRED]):
        key, group, weight = terms[at + PREFERRED * k], terms[at + PREFERRED * k + 1], terms[at + PREFERRED * k + 2]
        if gather(key, group, -1, pool_first, pool_end, free_cpu, free_pods, terms, matching, domain, work):
            touched = True
            for i in range(slots):
                d = _domain(key, i, slots, domain)
                if d >= 0:
                    work[COMPANIONS * width + i] += weight * work[SUMS * width + d]
    return touched


@compiled(_nrt=False)
def _add_burdens(o, labelled, free_cpu, free_pods, pool_of, pool_first, pool_end, terms, matching, domain, work):
    """PodTopologySpread's soft constraints into BURDEN: matching pods times log(domains + 2), plus maxSkew - 1."""
    slots, width = free_cpu.size, work.size // WORK_ROWS
    at = o + HEAD + terms[o + N_AFFINITY] + ANTI * terms[o + N_ANTI] + HARD * terms[o + N_HARD]
    for i in range(slots):
        work[BURDEN * width + i] = 0.0
    for k in range(terms[o + N_SOFT]):
        t = at + SOFT * k
        key, group, skew = terms[t], terms[t + 1], terms[t + 2]
        for d in range(width):
            work[PRESENT * width + d] = 0.0
        domains = 0
        for i in range(slots):
            d = _domain(key, i, slots, domain)
            if d >= 0 and work[i] > 0.0 and terms[labelled + pool_of[i]] != 0 and work[PRESENT * width + d] == 0.0:
                work[PRESENT * width + d] = 1.0
                domains += 1
        weight = math.log(domains + 2)
        if key != 0:
            gather(key, group, terms[t + 3], pool_first, pool_end, free_cpu, free_pods, terms, matching, domain, work)
        for i in range(slots):
            d = _domain(key, i, slots, domain)
            if d >= 0:
                pods = work[SUMS * width + d] if key != 0 else np.float64(matching[group * slots + i])
                work[BURDEN * width + i] += pods * weight + (skew - 1)


@compiled(error_model="numpy", _nrt=False)
def pick_ruled(
    s, salt, clock, setup, rules, free_cpu, free_memory, free_pods, free_extended, without, pool_of,
    pool_cpu, pool_memory, pool_first, pool_end, tier, shape_cpu, shape_memory, shape_extended, shape_axis,
    terms, matching, domain, work,
):  # fmt: skip
    """Best slot for shape `s` under all its constraints, or -1; highest tier first, then the weighted sum of all scores."""
    slots, shapes, width, pools, o = free_cpu.size, shape_cpu.size, work.size // WORK_ROWS, pool_first.size, np.int64(terms[s])
    feasible, standing = mark_feasible(
        s, free_cpu, free_memory, free_pods, free_extended, pool_first, pool_end,
        tier, shape_cpu, shape_memory, shape_extended, shape_axis, terms, matching, domain, work,
    )  # fmt: skip
    if feasible == 0:
        return np.int64(-1)
    feasible = _examine_some(standing, clock, setup, free_cpu, work)
    if feasible == 0:
        return np.int64(-1)
    by_pool = _extra(o, terms) + EXTRA * terms[o + N_EXTRA]
    unwelcome, labelled = by_pool + pools, by_pool + 2 * pools
    touched = _add_preferences(o, free_cpu, free_pods, pool_first, pool_end, terms, matching, domain, work)
    _add_burdens(o, labelled, free_cpu, free_pods, pool_of, pool_first, pool_end, terms, matching, domain, work)

    most_taints, most_wanted = np.int64(0), np.int64(0)
    low, high, least, most = math.inf, -math.inf, math.inf, 0.0
    for i in range(slots):
        if work[i] > 0.0:
            q = pool_of[i]
            most_taints, most_wanted = max(most_taints, np.int64(terms[unwelcome + q])), max(most_wanted, np.int64(terms[by_pool + q]))
            low, high = min(low, work[COMPANIONS * width + i]), max(high, work[COMPANIONS * width + i])
            if terms[labelled + q] != 0:
                work[BURDEN * width + i] = math.floor(work[BURDEN * width + i] + 0.5)
                least, most = min(least, work[BURDEN * width + i]), max(most, work[BURDEN * width + i])

    weights = (rules[R_FIT_WEIGHT], rules[R_BALANCE_WEIGHT], rules[R_BALANCE_MASK], rules[R_BALANCE_SHIFT])
    used = np.float64(rules[R_MOST])
    best, chosen = np.int64(-1), np.int64(-1)
    for i in range(slots):
        if work[i] <= 0.0:
            continue
        q = np.int64(pool_of[i])
        cpu, memory = pool_cpu[q], pool_memory[q]
        a, b = np.float64(free_cpu[i] - shape_cpu[s]), np.float64(free_memory[i] - shape_memory[s])
        cpu_slope, cpu_offset = fit_line(cpu, used)
        memory_slope, memory_offset = fit_line(memory, used)
        score = np.int64(
            resource_score(
                a + cpu_offset, b + memory_offset, cpu - a, memory - b, cpu, memory, cpu_slope, memory_slope, without[i], weights
            )
        )
        taints = 100 - terms[unwelcome + q] * 100 // most_taints if most_taints > 0 else 100
        score += TAINT_WEIGHT * taints
        if most_wanted > 0:
            score += NODE_WEIGHT * (np.int64(terms[by_pool + q]) * 100 // most_wanted)
        if touched and high > low:
            score += POD_WEIGHT * np.int64(100.0 * ((work[COMPANIONS * width + i] - low) / (high - low)))
        if terms[o + N_SOFT] > 0 and terms[labelled + q] != 0:
            burden = np.int64(most + least - work[BURDEN * width + i])
            score += SPREAD_WEIGHT * (100 * burden // np.int64(most) if most > 0.0 else 100)
        key = (np.int64(tier[q * shapes + s]) << 40) | (score << 20) | (np.int64(i) ^ np.int64(salt))
        if key > best:
            best, chosen = key, np.int64(i)
    return chosen
