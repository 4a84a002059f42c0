"""Cron times, surge arithmetic and the shared link: exact, against outside oracles where there are any."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import ScenarioError
from simulator.engine.workloads.cron import parse_cron
from simulator.engine.workloads.link import FairLink
from simulator.engine.workloads.surge import Versions, rolling_step, surge_pods

NEW_YORK = "America/New_York"


@pytest.mark.parametrize(
    ("after", "schedule", "expected"),
    [  # github.com/robfig/cron v3, spec_test.go: TestNext, in five fields
        ("2012-07-09T14:45-0400", "0/15 * * * *", "2012-07-09T15:00-0400"),
        ("2012-07-09T14:59-0400", "0/15 * * * *", "2012-07-09T15:00-0400"),
        ("2012-07-09T15:45-0400", "20-35/15 * * * *", "2012-07-09T16:20-0400"),
        ("2012-07-09T23:46-0400", "*/15 * * * *", "2012-07-10T00:00-0400"),
        ("2012-07-09T23:35-0400", "15 */2 9-31/5 * *", "2012-07-14T00:15-0400"),
        ("2012-07-09T23:35-0400", "0 0 * feb mon", "2013-02-04T00:00-0500"),
        ("2012-07-09T23:35-0400", "0 0 * feb mon/2", "2013-02-01T00:00-0500"),
        ("2012-07-09T23:35-0400", "0 0 29 feb ?", "2016-02-29T00:00-0500"),
        ("2012-03-11T00:00-0500", "30 2 11 mar ?", "2013-03-11T02:30-0400"),  # the clock skips half past two
        ("2012-03-11T01:00-0500", "0 * * * ?", "2012-03-11T03:00-0400"),
        ("2012-03-11T00:00-0500", "0 2 * * ?", "2012-03-12T02:00-0400"),
        ("2012-11-04T01:00-0400", "0 * * * ?", "2012-11-04T01:00-0500"),
        ("2012-11-04T01:00-0400", "0 1 * * ?", "2012-11-04T01:00-0500"),  # a nightly job at one runs twice
        ("2012-11-04T01:00-0500", "0 1 * * ?", "2012-11-05T01:00-0500"),
        ("2012-11-04T00:00-0400", "0 2 * * ?", "2012-11-04T02:00-0500"),
    ],
)
def test_next_time_as_the_library_of_cronjobs(after: str, schedule: str, expected: str) -> None:
    found = parse_cron(schedule, NEW_YORK, "test").after(datetime.fromisoformat(after))
    assert found == datetime.fromisoformat(expected)


def test_both_day_fields_match_together_only_when_one_is_free() -> None:
    """The 13th or a Friday; the 13th alone; every second day that is also counted from the first."""
    january = datetime(2026, 1, 1, tzinfo=UTC)
    days = lambda text: [t.day for t in parse_cron(text, "UTC", "t").times(january, january + timedelta(days=30))]  # noqa: E731
    assert days("0 12 13 * fri") == [2, 9, 13, 16, 23, 30]
    assert days("0 12 13 * *") == [13]
    assert days("0 12 * * fri") == [2, 9, 16, 23, 30]
    assert days("0 12 */10 * fri") == [1, 2, 9, 11, 16, 21, 23, 30]  # a step restricts its field


def test_a_time_zone_moves_the_times() -> None:
    """22:00 in Seoul is 13:00 UTC, all year."""
    start = datetime(2026, 1, 5, tzinfo=UTC)
    found = list(parse_cron("0 22 * * mon-fri", "Asia/Seoul", "t").times(start, start + timedelta(days=7)))
    assert [(t.day, t.hour) for t in found] == [(5, 13), (6, 13), (7, 13), (8, 13), (9, 13)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 22 * *", "write five fields"),
        ("0 24 * * *", r"hour lies in 0\.\.23"),
        ("60 0 32 * 7", "minute lies in"),
        ("*/0 * * * *", "a step is at least 1"),
        ("0 22-6 * * *", "runs backwards"),
        ("0 0 30 2 *", "name a date that exists"),
        ("0 0 * * someday", "sun to sat"),
        ("0 0 * * *-3", "numbers on both sides"),
    ],
)
def test_a_wrong_schedule_is_refused_with_the_field_at_fault(text: str, message: str) -> None:
    with pytest.raises(ScenarioError, match=message):
        parse_cron(text, "UTC", "workloads.night.schedule")


def test_every_wrong_field_is_told_at_once() -> None:
    with pytest.raises(ScenarioError) as caught:
        parse_cron("60 0 32 * 7", "UTC", "workloads.night.schedule")
    assert [problem.place for problem in caught.value.problems] == [
        f"workloads.night.schedule: {field}" for field in ("minute", "day of month", "day of week")
    ]


@given(st.integers(0, 59), st.integers(0, 23), st.integers(1, 28), st.integers(1, 12), st.integers(0, 4_000_000))
@settings(max_examples=25, deadline=None)
def test_times_equal_a_walk_over_every_minute(minute: int, hour: int, day: int, month: int, offset: int) -> None:
    """Outside oracle: look at every minute of three days around a date that matches."""
    zone = ZoneInfo("Europe/Berlin")
    schedule = parse_cron(f"{minute} {hour}-23/7 {day} {month} *", "Europe/Berlin", "t")
    start = datetime(2026, month, day, tzinfo=zone).astimezone(UTC) - timedelta(days=1, seconds=offset % 3600)
    start = start.replace(second=0)
    walked = []
    for step in range(1, 3 * 1440 + 1):
        local = (start + timedelta(minutes=step)).astimezone(zone)
        if (local.minute, local.day, local.month) == (minute, day, month) and local.hour in range(hour, 24, 7):
            walked.append(start + timedelta(minutes=step))
    assert list(schedule.times(start, start + timedelta(days=3))) == walked


def walk(replicas: int, surge: int, unavailable: int) -> tuple[int, int, int]:
    """A whole rolling update where new pods become available one step later: (steps, most pods, fewest available)."""
    now, steps, most, least = Versions(0, 0, replicas, replicas), 0, replicas, replicas
    while now.old or now.new_available < replicas:
        wanted = rolling_step(replicas, surge, unavailable, now)
        now = Versions(wanted.new, now.new, wanted.old, min(now.old_available, wanted.old))
        most, least, steps = max(most, now.total), min(least, now.new_available + now.old_available), steps + 1
        assert steps < 10 * replicas
    return steps, most, least


@given(st.integers(1, 120), st.integers(0, 40), st.integers(0, 40))
@settings(max_examples=80, deadline=None)
def test_a_rolling_update_keeps_its_two_promises(replicas: int, surge: int, unavailable: int) -> None:
    unavailable = min(max(unavailable, 1 if surge == 0 else 0), replicas)
    _, most, least = walk(replicas, surge, unavailable)
    assert most <= replicas + surge
    assert least >= replicas - unavailable


@pytest.mark.parametrize(
    ("now", "expected"),
    [  # kubernetes/kubernetes pkg/controller/deployment/rolling_test.go: reconcile of 10 replicas
        (Versions(0, 0, 10, 10), (2, 8)),  # surge 2, unavailable 2: two of each
        (Versions(5, 0, 8, 8), (5, 8)),  # 13 pods, 5 unavailable new: 13 - 8 - 5 = 0 may go
        (Versions(10, 10, 0, 0), (10, 0)),
        (Versions(6, 5, 4, 3), (8, 3)),  # one unhealthy old pod goes; none of the available ones
        (Versions(12, 12, 0, 0), (10, 0)),
    ],
)
def test_steps_of_a_rolling_update(now: Versions, expected: tuple[int, int]) -> None:
    wanted = rolling_step(10, 2, 2, now)
    assert (wanted.new, wanted.old) == expected


def test_blue_green_of_seventy_pods_needs_room_for_a_hundred_and_forty() -> None:
    assert 70 + surge_pods("blue_green", 70, "25%", "25%", ()) == 140
    assert 70 + surge_pods("canary", 70, 0, 0, (0.05, 0.2)) == 84
    assert 70 + surge_pods("rolling", 70, "25%", "25%", ()) == 88


def test_a_shared_link_is_exact() -> None:
    """Capacity 10. A (60) alone 0-2 s: 20 done. B (20) joins: 5 each; B ends at 6 s, A has 20 left, alone: ends at 8 s."""
    link = FairLink(10.0)
    link.start(1, 60.0, 0.0)
    assert link.next_end() == pytest.approx(6.0)
    link.start(2, 20.0, 2.0)
    assert link.next_end() == pytest.approx(6.0)
    assert link.finished(6.0) == [2]
    assert link.next_end() == pytest.approx(8.0)
    assert link.finished(8.0) == [1]
    assert link.next_end() is None


def test_a_transfer_has_a_limit_of_its_own_and_a_cancelled_one_frees_its_share() -> None:
    """Capacity 10, at most 4 each: two get 4, three get 3.33; after one is cancelled at 3 s the others get 4 again."""
    link = FairLink(10.0, 4.0)
    for number in (1, 2, 3):
        link.start(number, 20.0, 0.0)
    assert link.rate == pytest.approx(10 / 3)
    link.cancel(2, 3.0)
    assert link.next_end() == pytest.approx(3.0 + (20 - 10) / 4)
    assert link.finished(6.0) == [1, 3]


@given(st.lists(st.tuples(st.floats(0.0, 50.0), st.floats(0.1, 30.0)), min_size=1, max_size=12))
@settings(max_examples=60, deadline=None)
def test_the_link_is_never_idle_while_there_is_work(transfers: list[tuple[float, float]]) -> None:
    """Work conservation: all ends come no later than the busy period that ignores sharing, and the last one exactly there."""
    link, busy_until, ends = FairLink(3.0), 0.0, {}
    for number, (when, size) in enumerate(sorted(transfers)):
        while (end := link.next_end()) is not None and end <= when:
            ends |= dict.fromkeys(link.finished(end), end)
        link.start(number, size, when)
        busy_until = max(busy_until, when) + size / 3.0
    while (end := link.next_end()) is not None:
        ends |= dict.fromkeys(link.finished(end), end)
    assert len(ends) == len(transfers)
    assert max(ends.values()) == pytest.approx(busy_until)
