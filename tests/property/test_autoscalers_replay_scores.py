"""The replay's fast node scores equal the scheduler's plug-ins, and the compiled function its Python twin."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.engine.autoscalers.replay_kernels import node_scores, spread_scores
from simulator.engine.kube.cluster_state import Cluster
from simulator.engine.kube.objects import (
    HOSTNAME,
    ZONE,
    Node,
    NodeTerm,
    Pod,
    PreferredNodeTerm,
    Requirement,
    Selector,
    Taint,
)
from simulator.engine.kube.plugins import Settings
from simulator.engine.kube.scheduler import decide

GIB = 2**30
WISH = (PreferredNodeTerm(100, NodeTerm((Requirement("class", "In", ("private",)),))),)
nodes = st.tuples(st.integers(2, 64), st.integers(4, 256), st.sampled_from(["", "a", "b"]), st.booleans(), st.booleans())


def world(drawn: list[tuple[int, int, str, bool, bool]]) -> list[Node]:
    made = []
    for at, (cores, memory, zone, private, soft) in enumerate(drawn):
        labels = {HOSTNAME: f"n{at}", **({ZONE: zone} if zone else {}), **({"class": "private"} if private else {})}
        taints = (Taint("candidate", "", "PreferNoSchedule"),) if soft else ()
        made.append(Node(f"n{at}", {"cpu": cores * 1000, "memory": memory * GIB, "pods": 110}, labels, taints))
    return made


@settings(max_examples=60, deadline=None)
@given(
    drawn=st.lists(nodes, min_size=1, max_size=8),
    cpu_m=st.sampled_from([0, 250, 1000, 1750]),
    memory=st.sampled_from([0, GIB, 3 * GIB]),
    placed=st.lists(st.integers(0, 7), max_size=25),
    wish=st.booleans(),
)
def test_fast_scores_equal_the_plug_ins(
    drawn: list[tuple[int, int, str, bool, bool]], cpu_m: int, memory: int, placed: list[int], wish: bool
) -> None:
    made = world(drawn)
    requests = {name: amount for name, amount in (("cpu", cpu_m), ("memory", memory)) if amount}
    pod = Pod("p", requests, labels={"app": "web"}, preferred=WISH if wish else ())
    cluster, counts = Cluster(made), np.zeros(len(made), dtype=np.int64)
    for at, row in enumerate(placed):
        if row < len(made) and (counts[row] + 1) * cpu_m <= made[row].allocatable["cpu"]:
            cluster.add(replace(pod, name=f"q{at}", node=made[row].name), row)
            counts[row] += 1
    selector = Selector.of({"app": "web"})
    decision = decide(cluster, pod, Settings(default_selectors=lambda _: selector))
    request = np.array([cpu_m, memory, 1])
    scored = np.array([pod.scored["cpu"], pod.scored["memory"]])
    room = np.array([[node.allocatable[axis] for axis in ("cpu", "memory", "pods")] for node in made])
    feasible = (room - counts[:, None] * request >= request).all(axis=1)
    zones = {"": -1, "a": 0, "b": 1}
    arguments = (
        room, counts[:, None] * request, counts[:, None] * scored, request, scored, feasible, counts,
        np.array([zones[zone] for _, _, zone, _, _ in drawn]),
        np.array([100 if wish and private else 0 for _, _, _, private, _ in drawn]),
        np.array([int(soft) for *_, soft in drawn]),
    )  # fmt: skip
    fast = node_scores(*arguments)
    assert np.flatnonzero(feasible).tolist() == decision.rows.tolist()
    ours = fast[decision.rows]
    theirs = np.asarray(decision.total)
    assert (ours - ours.max(initial=0)).tolist() == (theirs - theirs.max(initial=0)).tolist()
    assert node_scores.py_func(*arguments).tolist() == fast.tolist()


@pytest.mark.parametrize("seed", range(5))
def test_spread_twin(seed: int) -> None:
    chance = np.random.default_rng(seed)
    feasible, same, zone = chance.random(9) < 0.7, chance.integers(0, 20, 9), chance.integers(-1, 3, 9)
    assert spread_scores(feasible, same, zone).tolist() == spread_scores.py_func(feasible, same, zone).tolist()
