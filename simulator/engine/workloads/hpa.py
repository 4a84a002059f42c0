"""The HorizontalPodAutoscaler's arithmetic: from metrics to a number of replicas, as a pure function of what it has seen.

Source: kubernetes/kubernetes pkg/controller/podautoscaler/horizontal.go and replica_calculator.go (1.33: tolerance by direction).
Times are milliseconds; metric values are integers in thousandths, as the controller's own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from models.autoscaling import HpaPart, PolicyPart, RulesPart
from models.units import MS_PER_S

MILLI = 1000


@dataclass(frozen=True, slots=True)
class PodSample:
    """`count` pods alike. `running`: phase Running, else Pending; `changed_ms`: when the Ready condition last changed.

    `value`: what the metric says of one pod (None: no sample), sampled at `sampled_ms` over `window_ms` before.
    """

    count: int = 1
    running: bool = True
    ready: bool = True
    started_ms: int = 0
    changed_ms: int = 0
    value: int | None = None
    sampled_ms: int = 0
    window_ms: int = 0


@dataclass(frozen=True, slots=True)
class Reading:
    """One metric at one sync. cpu and memory: `target` in percent of `request`; pods: `target` in value per pod.

    external: `total` of the whole load, against `target` per pod or (`per_pod` false) as it is.
    """

    kind: Literal["cpu", "memory", "pods", "external"]
    target: int
    pods: tuple[PodSample, ...] = ()
    request: int = 0
    total: int = 0
    per_pod: bool = True


@dataclass(frozen=True, slots=True)
class Memory:
    """What the controller remembers: recommendations (ms, replicas) and past changes (ms, by how many), oldest first."""

    recommended: tuple[tuple[int, int], ...] = ()
    ups: tuple[tuple[int, int], ...] = ()
    downs: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """`replicas` from now on; `raw`: before stabilisation and limits, None when no metric could be read or it did not matter."""

    replicas: int
    raw: int | None
    memory: Memory


def sync(spec: HpaPart, memory: Memory, current: int, readings: Sequence[Reading], now: int) -> Decision:
    """One sync of the controller at `now` with `current` replicas in the spec of its target."""
    if not memory.recommended:
        memory = replace(memory, recommended=((now, current),))
    if current == 0:
        return Decision(0, None, memory)
    if not spec.min_replicas <= current <= spec.max_replicas:
        bounded = min(max(current, spec.min_replicas), spec.max_replicas)
        return Decision(bounded, None, _remember_change(spec, memory, current, bounded, now))
    raw = recommendation(spec, current, readings, now)
    if raw is None:
        return Decision(current, None, memory)
    replicas = _limited(spec, memory, current, _stabilised(spec, memory, current, raw, now), now)
    memory = replace(memory, recommended=(*_recent(memory.recommended, now - _longest_window_ms(spec)), (now, raw)))
    return Decision(replicas, raw, _remember_change(spec, memory, current, replicas, now))


def recommendation(spec: HpaPart, current: int, readings: Sequence[Reading], now: int) -> int | None:
    """The largest of the metrics' wishes; None when none is readable, or one is not and the others would scale down."""
    wishes = [replicas_for(spec, current, reading, now) for reading in readings]
    readable = [wish for wish in wishes if wish is not None]
    if not readable or (len(readable) < len(wishes) and max(readable) < current):
        return None
    return max(readable)


def replicas_for(spec: HpaPart, current: int, reading: Reading, now: int) -> int | None:
    """What one metric asks for; None when it cannot be read."""
    if reading.kind == "external":
        return _for_total(spec, current, reading)
    ready, ignored, missing = _grouped(spec, reading, now)
    metered = [(sample.count, sample.value or 0) for sample in ready]
    if not metered:
        return None
    ratio = _ratio(reading, metered)
    unready = sum(sample.count for sample in ignored)
    absent = sum(sample.count for sample in missing)
    rebalance = unready > 0 and ratio > 1.0
    if not rebalance and absent == 0:
        return current if _tolerated(spec, ratio) else math.ceil(ratio * _pods(metered))
    if absent:
        full = reading.request if reading.kind in ("cpu", "memory") else reading.target
        if ratio < 1.0:
            metered.append((absent, full))
        elif ratio > 1.0 or reading.kind == "pods":
            metered.append((absent, 0))
    if rebalance:
        metered.append((unready, 0))
    again = _ratio(reading, metered)
    if _tolerated(spec, again) or (ratio < 1.0 < again) or (again < 1.0 < ratio):
        return current
    wish = math.ceil(again * _pods(metered))
    turned = (again < 1.0 and wish > current) or (again > 1.0 and wish < current)
    return current if turned else wish


def _for_total(spec: HpaPart, current: int, reading: Reading) -> int:
    """External metrics: per pod they need no pods; as a plain value they scale the pods that are ready."""
    if reading.per_pod:
        ratio = reading.total / (reading.target * current)
        return current if _tolerated(spec, ratio) else math.ceil(reading.total / reading.target)
    ratio = reading.total / reading.target
    ready = sum(sample.count for sample in reading.pods if sample.running and sample.ready)
    return current if _tolerated(spec, ratio) else math.ceil(ratio * ready)


def _grouped(spec: HpaPart, reading: Reading, now: int) -> tuple[list[PodSample], list[PodSample], list[PodSample]]:
    """Pods that count, pods that are ignored for now, pods without a sample."""
    ready: list[PodSample] = []
    ignored: list[PodSample] = []
    missing: list[PodSample] = []
    for sample in reading.pods:
        if not sample.running:
            ignored.append(sample)
        elif sample.value is None:
            missing.append(sample)
        elif reading.kind == "cpu" and _too_early(spec, sample, now):
            ignored.append(sample)
        else:
            ready.append(sample)
    return ready, ignored, missing


def _too_early(spec: HpaPart, sample: PodSample, now: int) -> bool:
    """CPU of a starting pod says nothing: within the initialisation period a whole window after Ready is wanted."""
    if sample.started_ms + spec.cpu_initialization_s * MS_PER_S > now:
        return not sample.ready or sample.sampled_ms < sample.changed_ms + sample.window_ms
    return not sample.ready and sample.started_ms + spec.initial_readiness_s * MS_PER_S > sample.changed_ms


def _pods(metered: Sequence[tuple[int, int]]) -> int:
    return sum(count for count, _ in metered)


def _ratio(reading: Reading, metered: Sequence[tuple[int, int]]) -> float:
    """Usage over target, with the controller's integer division: percent of the request, or mean value per pod."""
    total = sum(count * value for count, value in metered)
    if reading.kind == "pods":
        return (total // _pods(metered)) / reading.target
    return (total * 100 // (reading.request * _pods(metered))) / reading.target


def _tolerated(spec: HpaPart, ratio: float) -> bool:
    return 1.0 - spec.tolerance_down <= ratio <= 1.0 + spec.tolerance_up


def _down_window_s(spec: HpaPart) -> int:
    window = spec.behavior.scale_down.stabilization_window_s if spec.behavior else None
    return spec.downscale_stabilization_s if window is None else window


def _up_window_s(spec: HpaPart) -> int:
    return (spec.behavior.scale_up.stabilization_window_s or 0) if spec.behavior else 0


def _longest_window_ms(spec: HpaPart) -> int:
    return max(_up_window_s(spec), _down_window_s(spec)) * MS_PER_S


def _recent(entries: tuple[tuple[int, int], ...], cutoff: int) -> tuple[tuple[int, int], ...]:
    return tuple(entry for entry in entries if entry[0] >= cutoff)


def _stabilised(spec: HpaPart, memory: Memory, current: int, raw: int, now: int) -> int:
    """Not above the lowest wish of the up window, not below the highest of the down window.

    Without `behavior` the wish itself is raised to the highest of the window, whose first instant still counts.
    """
    down_cutoff = now - _down_window_s(spec) * MS_PER_S
    if spec.behavior is None:
        return max([raw, *(wish for when, wish in memory.recommended if when >= down_cutoff)])
    up_cutoff = now - _up_window_s(spec) * MS_PER_S
    lowest = min([raw, *(wish for when, wish in memory.recommended if when > up_cutoff)])
    highest = max([raw, *(wish for when, wish in memory.recommended if when > down_cutoff)])
    return min(max(current, lowest), highest)


def _limited(spec: HpaPart, memory: Memory, current: int, wanted: int, now: int) -> int:
    """Within min, max and the rate that the policies allow (without `behavior`: twice as many, at least 4)."""
    if spec.behavior is None:
        return min(max(wanted, spec.min_replicas), min(spec.max_replicas, max(2 * current, 4)))
    if wanted > current:
        return min(wanted, spec.max_replicas, max(up_limit(spec.behavior.scale_up, memory, current, now), current))
    if wanted < current:
        return max(wanted, spec.min_replicas, min(down_limit(spec.behavior.scale_down, memory, current, now), current))
    return wanted


def up_limit(rules: RulesPart, memory: Memory, current: int, now: int) -> int:
    """Most replicas that the policies allow now; percentages round up, so that one replica can grow."""
    if rules.select_policy == "Disabled":
        return current
    limits = []
    for policy in rules.policies:
        start = _period_start(policy, memory, current, now)
        limits.append(start + policy.value if policy.type == "Pods" else math.ceil(start * (1 + policy.value / 100)))
    return min(limits) if rules.select_policy == "Min" else max(limits)


def down_limit(rules: RulesPart, memory: Memory, current: int, now: int) -> int:
    """Fewest replicas that the policies allow now; percentages round the rest down."""
    if rules.select_policy == "Disabled":
        return current
    limits = []
    for policy in rules.policies:
        start = _period_start(policy, memory, current, now)
        limits.append(start - policy.value if policy.type == "Pods" else int(start * (1 - policy.value / 100)))
    return max(limits) if rules.select_policy == "Min" else min(limits)


def _period_start(policy: PolicyPart, memory: Memory, current: int, now: int) -> int:
    """Replicas at the start of the policy's period: now, less what was added, plus what was taken since."""
    cutoff = now - policy.period_s * MS_PER_S
    added = sum(change for when, change in memory.ups if when > cutoff)
    return current - added + sum(change for when, change in memory.downs if when > cutoff)


def _remember_change(spec: HpaPart, memory: Memory, before: int, after: int, now: int) -> Memory:
    """Past changes matter only where a behaviour asks for them. A new one takes the place of one outdated in its direction."""
    if spec.behavior is None or before == after:
        return memory
    if after > before:
        return replace(memory, ups=_stored(memory.ups, spec.behavior.scale_up, (now, after - before)))
    return replace(memory, downs=_stored(memory.downs, spec.behavior.scale_down, (now, before - after)))


def _stored(changes: tuple[tuple[int, int], ...], rules: RulesPart, change: tuple[int, int]) -> tuple[tuple[int, int], ...]:
    cutoff = change[0] - max(policy.period_s for policy in rules.policies) * MS_PER_S
    outdated = [index for index, (when, _) in enumerate(changes) if when < cutoff]
    if not outdated:
        return (*changes, change)
    return (*changes[: outdated[-1]], change, *changes[outdated[-1] + 1 :])


def next_change_ms(spec: HpaPart, memory: Memory, raw: int | None, now: int) -> int | None:
    """When the answer to unchanged metrics may change by time alone: a wish leaves a window, a change leaves its period.

    None when nothing is remembered that differs from the present wish. Lets a controller sleep and decide as if it had not.
    """
    moments = []
    for window_s, inclusive in ((_down_window_s(spec), spec.behavior is None), (_up_window_s(spec), False)):
        cutoff = now - window_s * MS_PER_S
        moments += [
            when + window_s * MS_PER_S + int(inclusive)
            for when, wish in memory.recommended
            if wish != raw and (when >= cutoff if inclusive else when > cutoff)
        ]
    if spec.behavior is not None:
        periods = {policy.period_s * MS_PER_S for rules in (spec.behavior.scale_up, spec.behavior.scale_down) for policy in rules.policies}
        moments += [when + period for when, _ in (*memory.ups, *memory.downs) for period in periods if when + period > now]
    return min(moments, default=None)


def slept(memory: Memory, raw: int | None, last_ms: int) -> Memory:
    """The memory of a controller that had synced up to `last_ms` with the same wish: only its latest entry matters."""
    return memory if raw is None else replace(memory, recommended=(*memory.recommended, (last_ms, raw)))
