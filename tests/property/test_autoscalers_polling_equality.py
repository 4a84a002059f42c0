"""Event-driven loops decide what polling decides; packing conserves pods and fits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.engine.autoscalers.binpacking import estimate, pack
from simulator.engine.autoscalers.replay import replay
from simulator.engine.autoscalers.replica_sets import Candidate, victims

FLAGS = {
    "scan-interval": "1s",
    "scale-down-unneeded-time": "10s",
    "scale-down-delay-after-add": "10s",
    "unremovable-node-recheck-timeout": "5s",
    "scale-down-delay-after-failure": "3s",
}
GROUPS = {
    "own": {"allocatable": {"cpu": "30", "memory": "120Gi", "pods": "110"}, "max": 2, "min": 0},
    "aws": {"allocatable": {"cpu": "15", "memory": "60Gi", "pods": "110"}, "max": 30},
}
curves = st.lists(st.integers(0, 40), min_size=2, max_size=4).map(lambda steps: [n for n in steps for _ in range(18)])


@settings(max_examples=12, deadline=None)
@given(web=curves, api=curves, seed=st.integers(0, 1000), interval=st.sampled_from(["1s", "3s", "10s"]))
def test_event_driven_log_equals_polling(web: list[int], api: list[int], seed: int, interval: str) -> None:
    document: dict[str, Any] = {
        "flags": {**FLAGS, "scan-interval": interval, "expander": "priority,least-waste"},
        "groups": GROUPS,
        "priorities": {"50": ["own"], "10": ["aws"]},
        "shapes": {"web": {"cpu": "2", "memory": "4Gi"}, "api": {"cpu": "3", "memory": "10Gi"}},
        "replicas_by_second": {"web": web, "api": api},
    }
    slept, polled = (replay(document, seed, event_driven=way) for way in (True, False))
    assert (slept.scale_ups, slept.scale_downs, slept.rows) == (polled.scale_ups, polled.scale_downs, polled.rows)


def test_event_driven_log_equals_polling_on_the_recorded_day() -> None:
    path = Path(__file__).resolve().parents[1] / "recordings" / "cluster-autoscaler" / "day-one-shape.json"
    document = json.loads(path.read_text())
    slept, polled = (replay(document, 3, event_driven=way) for way in (True, False))
    assert slept.scale_ups == polled.scale_ups
    assert slept.scale_downs == polled.scale_downs


sizes = st.tuples(st.integers(50, 6000), st.integers(100, 20000))


@settings(max_examples=60, deadline=None)
@given(kinds=st.lists(st.tuples(sizes, st.integers(0, 60)), min_size=1, max_size=6), room=st.integers(0, 40), seed=st.integers(0, 99))
def test_estimate_places_no_more_than_asked_and_packs_what_it_says(kinds: list[tuple[tuple[int, int], int]], room: int, seed: int) -> None:
    node = np.array([8000, 32000, 20])
    requests = np.array([[cpu, memory, 1] for (cpu, memory), _ in kinds])
    counts = np.array([count for _, count in kinds])
    found = estimate(node, node, requests, counts, room)
    assert found.nodes <= room
    assert (found.placed <= counts).all()
    assert (found.placed @ requests <= found.nodes * node).all()
    more = estimate(node, node, requests, counts, room + 5)
    assert more.placed.sum() >= found.placed.sum()
    assert more.nodes >= found.nodes
    chance = np.random.default_rng(seed)
    queue = chance.permutation(np.repeat(np.arange(len(counts)), counts))
    free = np.repeat(node[None, :], found.nodes, axis=0)
    left, after = pack(free, np.ones((len(counts), found.nodes), dtype=bool), requests, queue, chance.random(queue.size))
    assert (after >= 0).all()
    assert ((counts - left) @ requests == (free - after).sum(axis=0)).all()


@settings(max_examples=60, deadline=None)
@given(
    pods=st.lists(
        st.builds(Candidate, node=st.integers(-1, 3), deletion_cost=st.integers(-1, 1), age_ms=st.integers(0, 10**6), draw=st.floats(0, 1)),
        min_size=1,
        max_size=20,
    ),
    share=st.floats(0, 1),
)
def test_victims_are_distinct_and_unassigned_pods_go_first(pods: list[Candidate], share: float) -> None:
    count = round(share * len(pods))
    gone = victims(pods, count)
    assert len(set(gone)) == count
    unassigned = {at for at, pod in enumerate(pods) if pod.node < 0}
    assert set(gone) <= unassigned or unassigned <= set(gone)
    costs = [pods[at].deletion_cost for at in gone if at not in unassigned]
    assert costs == sorted(costs)
