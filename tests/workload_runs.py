"""Small runs of a scenario's workloads alone, on nodes of ten cores, for tests."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np

from models.demand import Demand
from models.fleet import Fleet, NodePool
from models.horizon import Horizon
from models.node import NodeShape
from models.outcome import RunResult
from models.resources import ResourceAxes
from models.scenario import Scenario, parse_scenario
from models.units import MS_PER_H
from models.workload import Workload
from models.zones import Provisioning
from simulator import catalog
from simulator.engine.config import Autoscaling, EngineConfig
from simulator.engine.run import Simulation, prepare, run_once
from simulator.engine.trace import DemandRules, Trace, trace_from_demand
from simulator.engine.workloads.expected import with_workloads
from simulator.engine.workloads.run import RunningWorkloads
from simulator.engine.workloads.setup import WorkloadSetup, setup_for
from simulator.streams import Streams

MONDAY = datetime(2026, 1, 5, tzinfo=UTC)
TEN_CORES = NodeShape("ten", 10_000, 40_100, max_pods=110)
VM = Provisioning(120.0, 300.0, 10)
IRONIC = Provisioning(720.0, 1500.0, 250, 300.0, 600.0, 50)


def scenario(*workloads: dict[str, Any], **fields: Any) -> Scenario:
    """A scenario with these workloads and no measured demand."""
    rows = [{"cpu_m": 1000, "memory_mib": 1024, "start_s": 2, **row} for row in workloads]
    return parse_scenario({"scenario": "test", "demand": {"measured": False}, "workloads": rows, **fields}, "test")


def measured(*workloads: Workload, hours: int) -> Demand:
    """A measured demand of these workloads, in their order."""
    requests = np.zeros((hours, len(workloads), 3))
    for index, workload in enumerate(workloads):
        requests[:, index, :] = np.asarray(workload.replicas)[:, None] * np.array([workload.cpu_m, workload.memory_mib, 1])
    names = tuple(workload.full_name for workload in workloads)
    return Demand(Horizon(MONDAY, hours), ResourceAxes(), names, requests, workloads, "requests")


def pool(nodes: int, most: int | None = None, shape: NodeShape = TEN_CORES, name: str = "own") -> NodePool:
    """Private nodes, `nodes` of them standing."""
    return NodePool(name, name, "x", shape, nodes, nodes if most is None else most, True)


def prepared(what: Scenario, hours: int) -> tuple[Trace, WorkloadSetup]:
    """The trace and set-up of a scenario without measured demand."""
    demand = with_workloads(measured(hours=hours), what, catalog.parameters(what.parameters))
    setup = setup_for(what, demand, catalog.parameters(what.parameters))
    assert setup is not None
    return trace_from_demand(demand, Streams(1), DemandRules()).with_dynamic(setup.slots), setup


def run(what: Scenario, *pools: NodePool, hours: int = 2, times: Provisioning | None = None, scan_s: float = 1.0) -> RunResult:
    """One run; `times` is how every pool's nodes come to life (at once when None)."""
    trace, setup = prepared(what, hours)
    provisioning = {part.name: times for part in pools} if times else {}
    config = EngineConfig(provisioning=provisioning, workloads=setup, autoscaling=Autoscaling(scan_s, 300.0), ties="lowest")
    return run_once(trace, Fleet(pools), config, Streams(1), horizon=Horizon(MONDAY, hours))


def opened(what: Scenario, *pools: NodePool, hours: int = 2) -> tuple[Simulation, RunningWorkloads]:
    """A run to be stopped on the way."""
    trace, setup = prepared(what, hours)
    simulation = prepare(trace, Fleet(pools), EngineConfig(workloads=setup, ties="lowest"), Streams(1))
    assert simulation.workloads is not None
    return simulation, simulation.workloads


def finish(simulation: Simulation, hours: int = 2) -> RunResult:
    """The rest of an opened run."""
    simulation.env.run(until=hours * MS_PER_H)
    return simulation.recorder.result(Horizon(MONDAY, hours), simulation.order)
