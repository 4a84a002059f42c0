"""The HPA's arithmetic against the table tests of kubernetes/kubernetes pkg/controller/podautoscaler."""

from __future__ import annotations

from itertools import zip_longest

import pytest

from models.autoscaling import BehaviorPart, HpaPart, MetricPart, PolicyPart, RulesPart
from simulator.engine.workloads.hpa import (
    Memory,
    PodSample,
    Reading,
    down_limit,
    next_change_ms,
    recommendation,
    replicas_for,
    slept,
    sync,
    up_limit,
)

S = 1000
NOW = 600 * S
SPEC = HpaPart(max_replicas=1000, cpu_initialization_s=120, initial_readiness_s=10)
"""The periods that the upstream table tests use."""

HOT, COOL, LONG_AGO = NOW, NOW - 180 * S, -(10**12)


def pods(levels: list[int], ready: str = "", started: list[int] | None = None, running: str = "") -> tuple[PodSample, ...]:
    """Pods as `replica_calculator_test.go` builds them: T and F by pod, metrics for the first of them, windows of a minute."""
    count = max(len(levels), len(ready), len(started or ()), len(running))
    rows = zip_longest(range(count), levels, ready, started or (), running)
    return tuple(
        PodSample(
            ready=is_ready != "F",
            running=phase != "F",
            started_ms=LONG_AGO if start is None else start,
            changed_ms=LONG_AGO if start is None else start,
            value=level,
            sampled_ms=NOW,
            window_ms=60 * S,
        )
        for _, level, is_ready, start, phase in rows
    )


def cpu(target: int, levels: list[int], *arguments: object, count: int | None = None, **named: object) -> Reading:
    found = pods(levels, *arguments, **named)  # type: ignore[arg-type]
    found += tuple(PodSample(value=None) for _ in range((count or len(found)) - len(found)))
    return Reading("cpu", target, found, request=1000)


@pytest.mark.parametrize(
    ("name", "current", "reading", "expected"),
    [
        ("ScaleUp", 3, cpu(30, [300, 500, 700]), 5),  # 50 / 30 x 3 = 5
        ("ScaleUpUnreadyLessScale", 3, cpu(30, [300, 500, 700], "FTT"), 4),  # 60 > 30: unready counts 0: 40 / 30 x 3 = 4
        ("ScaleUpHotCpuLessScale", 3, cpu(30, [300, 500, 700], "TTT", [HOT, COOL, COOL]), 4),
        ("ScaleUpUnreadyNoScale", 3, cpu(30, [400, 500, 700], "TFF"), 3),  # 40 up, with zeros 13: turned
        ("ScaleHotCpuNoScale", 3, cpu(30, [400, 500, 700], "TFF", [COOL, HOT, HOT]), 3),
        ("ScaleDown", 5, cpu(50, [100, 300, 500, 250, 250]), 3),  # 28 / 50 x 5 = 2.8
        ("ScaleDownIncludeUnreadyPods", 5, cpu(50, [100, 300, 500, 250, 250], "TTTFF"), 2),  # 30 / 50 x 3 = 1.8
        ("ScaleDownIgnoreHotCpuPods", 5, cpu(50, [100, 300, 500, 250, 250], "TTTTT", [COOL] * 3 + [HOT] * 2), 2),
        ("ScaleDownExcludeUnscheduledPods", 5, cpu(50, [100], "TFFFF", running="TFFFF"), 1),
        ("SuperfluousMetrics", 4, cpu(100, [4000, 9500, 3000, 7000]), 24),  # 587 % x 4 = 23.5
        ("MissingMetrics", 4, cpu(100, [400, 95], count=4), 3),  # 24 down: missing count 100: 62 x 4 = 2.5
        ("MissingMetricsNoChangeEq", 2, cpu(100, [1000], count=2), 2),
        ("MissingMetricsNoChangeGt", 2, cpu(100, [1900], count=2), 2),
        ("MissingMetricsNoChangeLt", 2, cpu(100, [600], count=2), 2),
        ("MissingMetricsUnreadyChange", 3, cpu(50, [100, 450], "FTT"), 3),
        ("MissingMetricsHotCpuNoChange", 3, cpu(50, [100, 450], "TTT", [HOT, COOL, COOL]), 3),
        ("MissingMetricsUnreadyScaleUp", 3, cpu(50, [100, 2000], "FTT"), 4),  # 2000 / 3 = 66: 66 / 50 x 3 = 3.96
        ("MissingMetricsHotCpuScaleUp", 3, cpu(50, [100, 2000], "FTT", [HOT, COOL, COOL]), 4),
        ("MissingMetricsUnreadyScaleDown", 4, cpu(50, [100, 100, 100], "FTTT"), 3),
        ("DuringRollingUpdateWithMaxSurge", 2, cpu(50, [100, 100], count=3), 2),
        ("EmptyMetrics", 4, cpu(100, [], count=4), None),
        ("ScaleUpCM", 3, Reading("pods", 15000, pods([20000, 10000, 30000])), 4),
        ("ScaleUpCMUnreadyHotCpuNoLessScale", 3, Reading("pods", 15000, pods([50000, 10000, 30000], "TTF", [COOL, COOL, HOT])), 6),
        ("ScaleUpCMUnreadyHotCpuScaleWouldScaleDown", 3, Reading("pods", 15000, pods([50000, 15000, 30000], "FTF", [HOT, COOL, HOT])), 7),
        ("ScaleDownCM", 5, Reading("pods", 20000, pods([12000] * 5)), 3),
        ("ToleranceCM", 3, Reading("pods", 20000, pods([20000, 21000, 21000])), 3),
        ("ScaleUpCMObject", 3, Reading("external", 15000, pods([], "TTT"), total=20000, per_pod=False), 4),
        ("ScaleUpCMObjectIgnoresUnreadyPods", 3, Reading("external", 10000, pods([], "FTF"), total=50000, per_pod=False), 5),
        ("ScaleUpCMPerPodObject", 3, Reading("external", 5000, total=20000), 4),
        ("ScaleUpCMExternalIgnoresUnreadyPods", 3, Reading("external", 4400, pods([], "FTF"), total=8600, per_pod=False), 2),
        ("ScaleUpPerPodCMExternal", 3, Reading("external", 2150, total=8600), 4),
        ("ScaleDownPerPodCMObject", 5, Reading("external", 2000, total=6000), 3),
        ("ScaleDownCMExternal", 5, Reading("external", 14334, pods([], "TTTTT"), total=8600, per_pod=False), 3),
        ("ScaleDownPerPodCMExternal", 5, Reading("external", 2867, total=8600), 3),
        ("TolerancePerPodCMObject", 4, Reading("external", 5000, total=20166), 4),
        ("ToleranceCMExternal", 3, Reading("external", 8888, pods([], "TTT"), total=8600, per_pod=False), 3),
        ("TolerancePerPodCMExternal", 3, Reading("external", 2900, total=8600), 3),
    ],
)
def test_replica_calculator_as_upstream(name: str, current: int, reading: Reading, expected: int | None) -> None:
    assert replicas_for(SPEC, current, reading, NOW) == expected, name


def rules(*policies: tuple[str, int], select: str = "Max", period_s: int = 60, window_s: int | None = None) -> RulesPart:
    parts = tuple(PolicyPart(type=kind, value=value, period_s=period_s) for kind, value in policies)  # type: ignore[arg-type]
    return RulesPart(policies=parts, select_policy=select, stabilization_window_s=window_s)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "current", "ups", "limit_rules", "expected"),
    [
        ("no previous events", 5, (), rules(("Pods", 4)), 9),
        ("with previous scale up event", 5, ((NOW - 30 * S, 2),), rules(("Pods", 4)), 7),
        ("an event as old as the period", 5, ((NOW - 60 * S, 2),), rules(("Pods", 4)), 9),
        ("disabled", 5, (), rules(("Pods", 4), select="Disabled"), 5),
        ("min", 5, (), rules(("Pods", 4), ("Pods", 2), select="Min"), 7),
        ("percent", 10, (), rules(("Percent", 50)), 15),
        ("percent rounds up", 1, (), rules(("Percent", 1)), 2),
    ],
)
def test_scale_up_limit_as_upstream(
    name: str, current: int, ups: tuple[tuple[int, int], ...], limit_rules: RulesPart, expected: int
) -> None:
    assert up_limit(limit_rules, Memory(ups=ups), current, NOW) == expected, name


@pytest.mark.parametrize(
    ("name", "current", "downs", "limit_rules", "expected"),
    [
        ("no previous events", 10, (), rules(("Percent", 20)), 8),
        ("with previous scale down event", 10, ((NOW - 30 * S, 1),), rules(("Percent", 20)), 8),  # 11 x 0.8 = 8.8
        ("multiple policies", 100, (), rules(("Percent", 10), ("Pods", 5)), 90),
        ("disabled", 10, (), rules(("Percent", 20), select="Disabled"), 10),
        ("min", 100, (), rules(("Percent", 10), ("Pods", 15), select="Min"), 90),
    ],
)
def test_scale_down_limit_as_upstream(
    name: str, current: int, downs: tuple[tuple[int, int], ...], limit_rules: RulesPart, expected: int
) -> None:
    assert down_limit(limit_rules, Memory(downs=downs), current, NOW) == expected, name


def external(total: int, target: int = 1000) -> list[Reading]:
    return [Reading("external", target, total=total)]


@pytest.mark.parametrize("behavior", [None, BehaviorPart()])
def test_ten_replicas_reach_seventy_in_three_syncs(behavior: BehaviorPart | None) -> None:
    """+100 % or +4 pods a quarter minute: 10, 20, 40, 70. Without a behaviour the fixed limit is twice as many."""
    spec = HpaPart(min_replicas=10, max_replicas=100, behavior=behavior, metrics=(MetricPart(kind="external", target=1.0),))
    memory, current, seen = Memory(), 10, [10]
    for turn in range(4):
        decision = sync(spec, memory, current, external(70_000), turn * 15 * S)
        memory, current = decision.memory, decision.replicas
        seen.append(current)
    assert seen == [10, 20, 40, 70, 70]


def test_small_deployments_grow_by_four_pods() -> None:
    assert sync(HpaPart(max_replicas=50, behavior=BehaviorPart()), Memory(), 1, external(40_000), 0).replicas == 5
    assert sync(HpaPart(max_replicas=50), Memory(), 1, external(40_000), 0).replicas == 4


def test_scale_down_waits_for_the_highest_wish_of_five_minutes_to_pass() -> None:
    """The wish of 8 at 0 s is younger than 300 s until 300 s with a behaviour, and still counts at 300 s without."""
    for behavior, falls_at in ((BehaviorPart(), 300), (None, 315)):
        spec = HpaPart(max_replicas=20, behavior=behavior)
        memory, current, fell = Memory(), 8, None
        for second in range(0, 400, 15):
            decision = sync(spec, memory, current, external(8_000 if second == 0 else 2_000), second * S)
            memory, current = decision.memory, decision.replicas
            fell = second if fell is None and current < 8 else fell
        assert (fell, current) == (falls_at, 2)


def test_scale_up_window_takes_the_lowest_wish() -> None:
    up = rules(("Pods", 100), period_s=15, window_s=60)
    spec = HpaPart(max_replicas=100, behavior=BehaviorPart(scale_up=up))
    memory, current, seen = Memory(), 4, []
    for second in range(0, 90, 15):
        decision = sync(spec, memory, current, external(9_000), second * S)
        memory, current = decision.memory, decision.replicas
        seen.append(current)
    assert seen == [4, 4, 4, 4, 9, 9]  # the first wish recorded is the 4 of second 0; it leaves the window at 60 s


def test_replicas_outside_min_and_max_are_put_right_without_a_metric() -> None:
    spec = HpaPart(min_replicas=3, max_replicas=10)
    assert sync(spec, Memory(), 1, external(1_000), 0).replicas == 3
    assert sync(spec, Memory(), 30, external(99_000), 0).replicas == 10
    assert sync(spec, Memory(), 0, external(99_000), 0).replicas == 0  # zero replicas switch the autoscaler off


def test_several_metrics_take_the_largest_and_a_lost_one_forbids_shrinking() -> None:
    low, high, lost = Reading("external", 1000, total=2_000), Reading("external", 1000, total=9_000), cpu(50, [], count=5)
    assert recommendation(SPEC, 5, [low, high], NOW) == 9
    assert recommendation(SPEC, 5, [high, lost], NOW) == 9
    assert recommendation(SPEC, 5, [low, lost], NOW) is None
    assert recommendation(SPEC, 5, [lost], NOW) is None


def test_tolerance_by_direction() -> None:
    spec = HpaPart(max_replicas=100, tolerance_up=0.0, tolerance_down=0.3)
    assert replicas_for(spec, 10, Reading("external", 1000, total=10_500), 0) == 11
    assert replicas_for(spec, 10, Reading("external", 1000, total=7_100), 0) == 10
    assert replicas_for(spec, 10, Reading("external", 1000, total=6_900), 0) == 7


def test_a_sleeping_controller_knows_when_time_alone_changes_its_answer() -> None:
    """A wish of 8 at 0 s holds 8 replicas against a load for 2: the window ends at 300 s (300.001 s without a behaviour)."""
    for behavior, wakes in ((BehaviorPart(), 300 * S), (None, 300 * S + 1)):
        spec = HpaPart(max_replicas=20, behavior=behavior)
        first = sync(spec, Memory(), 8, external(8_000), 0)
        second = sync(spec, first.memory, 8, external(2_000), 15 * S)
        assert (second.replicas, second.raw) == (8, 2)
        assert next_change_ms(spec, second.memory, second.raw, 15 * S) == wakes
        rested = slept(second.memory, second.raw, 285 * S)
        assert sync(spec, rested, 8, external(2_000), 315 * S).replicas == 2
        steady = sync(spec, Memory(((0, 8),)), 8, external(8_000), 0)
        assert next_change_ms(spec, steady.memory, steady.raw, 0) is None
