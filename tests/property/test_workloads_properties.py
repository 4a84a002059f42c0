"""What holds for any workloads: a sleeping HPA decides as one that looks, gangs are never partly placed, nothing is lost."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from models.fleet import Fleet
from models.horizon import Horizon
from models.outcome import RunResult
from models.units import MS_PER_H, MS_PER_S
from simulator.engine.config import Autoscaling, EngineConfig
from simulator.engine.run import prepare
from simulator.engine.workloads.run import RunningWorkloads
from simulator.streams import Streams
from workload_runs import MONDAY, VM, pool, prepared, scenario

loads = st.lists(st.integers(0, 80), min_size=1, max_size=6)
policies = st.lists(
    st.fixed_dictionaries({"type": st.sampled_from(["Pods", "Percent"]), "value": st.integers(1, 120), "period_s": st.integers(15, 300)}),
    min_size=1,
    max_size=2,
)
rules = st.fixed_dictionaries(
    {
        "stabilization_window_s": st.one_of(st.none(), st.integers(0, 400)),
        "select_policy": st.sampled_from(["Max", "Min", "Disabled"]),
        "policies": policies,
    }
)
behaviors = st.one_of(st.none(), st.fixed_dictionaries({}, optional={"scale_up": rules, "scale_down": rules}))
metrics = st.lists(
    st.one_of(
        st.fixed_dictionaries({"kind": st.just("external"), "target": st.sampled_from([1.0, 2.5]), "per_pod": st.booleans()}),
        st.fixed_dictionaries({"kind": st.sampled_from(["pods", "cpu"]), "target": st.sampled_from([2.0, 60.0])}),
    ),
    min_size=1,
    max_size=2,
)


@st.composite
def autoscaled(draw: st.DrawFn) -> dict[str, Any]:
    changes = draw(loads)
    steps = [[round(position * 0.27, 3), value] for position, value in enumerate(changes)]
    low = draw(st.integers(1, 12))
    spec = {
        "min_replicas": low,
        "max_replicas": low + draw(st.integers(0, 40)),
        "metrics": draw(metrics),
        "behavior": draw(behaviors),
        "sync_s": draw(st.sampled_from([15, 20])),
        "metrics_resolution_s": draw(st.sampled_from([15, 30, 60])),
        "metrics_lag_s": draw(st.integers(0, 40)),
        "cpu_initialization_s": draw(st.sampled_from([30, 300])),
    }
    return {
        "kind": "deployment",
        "name": "web",
        "cpu_per_load_m": 400,
        "load": {"steps": steps},
        "hpa": spec,
        "start_s": draw(st.sampled_from([1, 2, 15, 47])),
        "grace_s": draw(st.sampled_from([0, 25])),
    }


def wanted(part: dict[str, Any], nodes: int, event_driven: bool) -> tuple[list[tuple[int, int]], int]:
    """Replicas over two hours, and how often the controller looked."""
    trace, setup = prepared(scenario(part), 2)
    bare = EngineConfig(provisioning={"own": VM}, ties="lowest", autoscaling=Autoscaling(10.0, 300.0))
    simulation = prepare(trace, Fleet((pool(nodes, 6),)), bare, Streams(3))
    workloads = RunningWorkloads(simulation.env, simulation.recorder, setup, Streams(3), event_driven=event_driven)
    simulation.env.run(until=2 * MS_PER_H)
    return workloads.controllers[0].log.replicas, workloads.hpa.syncs


@given(autoscaled(), st.integers(1, 6))
@settings(max_examples=40, deadline=None)
def test_a_sleeping_autoscaler_writes_the_log_of_one_that_looks_every_time(part: dict[str, Any], nodes: int) -> None:
    asleep, few = wanted(part, nodes, event_driven=True)
    polling, all_of_them = wanted(part, nodes, event_driven=False)
    assert asleep == polling
    assert few <= all_of_them


@st.composite
def gangs(draw: st.DrawFn) -> list[dict[str, Any]]:
    found = []
    for number in range(draw(st.integers(2, 5))):
        times = sorted({round(draw(st.integers(0, 100)) / 100, 2) for _ in range(draw(st.integers(1, 3)))})
        found.append(
            {
                "kind": "gang",
                "name": f"g{number}",
                "members": draw(st.integers(1, 20)),
                "cpu_m": draw(st.sampled_from([1000, 2500, 4000])),
                "at_h": times,
                "duration_s": draw(st.integers(30, 900)),
                "priority": draw(st.integers(0, 2)),
            }
        )
    return found


@given(gangs(), st.integers(1, 3), st.booleans())
@settings(max_examples=30, deadline=None)
def test_gangs_are_never_partly_placed_and_never_lock_each_other(parts: list[dict[str, Any]], nodes: int, grows: bool) -> None:
    """At every quarter minute each gang has all its members or none; when all is over, only gangs that can never fit wait."""
    trace, setup = prepared(scenario(*parts), 12)
    config = EngineConfig(provisioning={"own": VM}, workloads=setup, ties="lowest", autoscaling=Autoscaling(10.0, 300.0))
    owned = pool(nodes, nodes + 3 if grows else nodes)
    simulation = prepare(trace, Fleet((owned,)), config, Streams(5))
    assert simulation.workloads is not None
    for second in range(7, 3600, 15):
        simulation.env.run(until=second * MS_PER_S)
        for controller, part in zip(simulation.workloads.controllers, parts, strict=True):
            on_nodes = sum(pod.placed_ms >= 0 for pod in simulation.workloads.hub.by_number.values() if pod.owner is controller)
            assert on_nodes % part["members"] == 0
    simulation.env.run(until=12 * MS_PER_H)
    result: RunResult = simulation.recorder.result(Horizon(MONDAY, 12), simulation.order)
    assert result.conservation_error < 1e-12
    assert result.unplaced == 0
    for found, part in zip(simulation.workloads.results({}), parts, strict=True):
        possible = part["members"] <= owned.max_nodes * (10_000 // part["cpu_m"])
        assert {run.outcome for run in found.runs} == ({"completed"} if possible else {"waiting"})


@given(autoscaled(), gangs(), st.integers(0, 10_000))
@settings(max_examples=10, deadline=None)
def test_counters_of_any_workloads_conserve_demand(part: dict[str, Any], parts: list[dict[str, Any]], seed: int) -> None:
    job = {"kind": "job", "name": "etl", "duration_s": 300, "completions": 30, "parallelism": 7, "at_h": [0.1, 0.9]}
    rolling = {**part, "rollouts": [{"at_h": [0.6, 1.1]}], "image": {"mib": 700}}
    trace, setup = prepared(scenario(rolling, job, *parts), 3)
    config = EngineConfig(provisioning={"own": VM}, workloads=setup, autoscaling=Autoscaling(10.0, 300.0))
    simulation = prepare(trace, Fleet((pool(2, 5),)), config, Streams(seed))
    simulation.env.run(until=3 * MS_PER_H)
    result = simulation.recorder.result(Horizon(MONDAY, 3), simulation.order)
    assert result.conservation_error < 1e-9
    assert simulation.workloads is not None
    found = simulation.workloads.results({})
    placed = sum(int(w.wait_s.size) for w in found)
    assert placed == int(np.sum(result.pods_placed))
