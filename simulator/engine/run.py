"""One replication: pods, pools and control processes put together, run to the horizon and read out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from models.demand import Demand
from models.errors import Problem, ScenarioError
from models.fleet import Fleet, NodePool
from models.horizon import Horizon
from models.node import NodeShape
from models.outcome import RunResult
from models.scenario import Scenario
from models.units import MS_PER_DAY, MS_PER_H, MS_PER_S
from models.zones import ZONES
from simulator import catalog
from simulator.engine.config import IDLE_S, SCAN_S, Autoscaling, CloudRisk, EngineConfig, FailureModel
from simulator.engine.controls import Controls, control_settings, start_controls, with_controls
from simulator.engine.environment import HybridEnvironment, Story
from simulator.engine.failure_rates import pool_failures
from simulator.engine.failures import start_failures, start_interruptions
from simulator.engine.node_autoscalers import NODE_AUTOSCALERS, NodeAutoscaler
from simulator.engine.policies import POLICIES
from simulator.engine.provisioning import Supply
from simulator.engine.recorder import Recorder
from simulator.engine.state import State
from simulator.engine.tenants import tenants_of
from simulator.engine.trace import DemandRules, Trace, trace_from_demand
from simulator.engine.wait_budget import WaitBudget
from simulator.engine.workloads.run import RunningWorkloads
from simulator.progress import SILENT, Progress
from simulator.streams import Streams

PARAMETERS = ("on_demand_refused_share", "repair_p50_h", "repair_p95_h", "server_down_failures_per_year")
"""Catalog parameters that a run reads besides those of its zones, for the list of what a result used."""


@dataclass(frozen=True)
class Simulation:
    """A run that can be stopped on the way: `env.run(until=ms)`, look at `state`, go on."""

    env: HybridEnvironment
    state: State
    recorder: Recorder
    supply: Supply
    autoscaler: NodeAutoscaler
    order: list[int]
    controls: Controls
    workloads: RunningWorkloads | None = None


def prepare(
    trace: Trace, fleet: Fleet, config: EngineConfig, streams: Streams, progress: Progress = SILENT, kernel: type[State] = State
) -> Simulation:
    """Everything of a run at time 0, nodes of hour 0 standing, no pod arrived; `kernel` may be the interpreted twin."""
    seed = int(streams("ties").integers(1, 2**62)) if config.ties == "random" else 0
    state = kernel(
        trace,
        _with_latency(fleet, config.start_latency_s),
        POLICIES[config.policy],
        config.kubernetes_version,
        tie_seed=seed,
        tree=config.tree,
        percentage=config.percentage_of_nodes_to_score,
        preemption=config.preemption,
    )
    env = HybridEnvironment(state)
    recorder = Recorder(state)
    supply = Supply(env, recorder, config, streams)
    start_failures(env, supply, recorder, config, streams)
    start_interruptions(env, supply, recorder, config, streams)
    budget = WaitBudget(state, config.wait, round(config.autoscaling.patience_s * MS_PER_S))
    autoscaler = NODE_AUTOSCALERS[config.autoscaler](env, supply, config, budget, streams)
    controls = start_controls(env, supply, config)
    workloads = RunningWorkloads(env, recorder, config.workloads, streams) if config.workloads else None
    if progress is not SILENT:
        env.process(_days(env, progress))
    names = [pool.name for pool in state.layout.pools]
    order = [names.index(pool.name) for pool in fleet.pools]
    return Simulation(env, state, recorder, supply, autoscaler, order, controls, workloads)


def _with_latency(fleet: Fleet, latency_s: Mapping[str, float]) -> Fleet:
    """The fleet whose pools start jobs that late."""
    if not latency_s:
        return fleet
    pools = (
        replace(pool, start_latency_ms=round(latency_s.get(pool.name, pool.start_latency_ms / MS_PER_S) * MS_PER_S)) for pool in fleet.pools
    )
    return Fleet(tuple(pools))


def run_once(
    trace: Trace, fleet: Fleet, config: EngineConfig, streams: Streams, *, horizon: Horizon, progress: Progress = SILENT
) -> RunResult:
    """Run one replication over the trace's hours; `horizon` dates them, `progress` ticks once per simulated day."""
    simulation = prepare(trace, fleet, replace(config, start=horizon.start), streams, progress)
    simulation.env.run(until=trace.hours * MS_PER_H)
    result = simulation.recorder.result(Horizon(horizon.start, trace.hours), simulation.order)
    result = with_controls(result, simulation.supply, simulation.controls, simulation.order)
    return replace(result, workloads=simulation.workloads.results(config.provisioning)) if simulation.workloads else result


def _days(env: HybridEnvironment, progress: Progress) -> Story:
    """Tells the shell about every simulated day."""
    while True:
        yield env.timeout(MS_PER_DAY)
        progress.advance()


def config_for(fleet: Fleet, scenario: Scenario) -> EngineConfig:
    """The run that a scenario describes: its Kubernetes version, policy, autoscaler, zone times and failures."""
    parameters = catalog.parameters(scenario.parameters)
    kinds = {pool.kind: ZONES[pool.kind].provisioning(parameters) for pool in fleet.pools}
    failures = FailureModel(parameters["server_down_failures_per_year"], parameters["repair_p50_h"], parameters["repair_p95_h"])
    return EngineConfig(
        kubernetes_version=scenario.kubernetes_version,
        policy=scenario.engine.policy,
        ties=scenario.engine.ties,
        provisioning={pool.name: kinds[pool.kind] for pool in fleet.pools},
        failures=failures if scenario.engine.failures else FailureModel(),
        pool_failures=pool_failures(scenario, fleet, failures, parameters) if scenario.engine.failures else {},
        cloud=CloudRisk(parameters["on_demand_refused_share"]) if scenario.engine.failures else CloudRisk(),
        **control_settings(fleet, scenario, parameters),
        autoscaling=Autoscaling(SCAN_S[scenario.engine.autoscaler], IDLE_S[scenario.engine.autoscaler]),
        preemption=scenario.engine.preemption,
        percentage_of_nodes_to_score=scenario.engine.percentage_of_nodes_to_score,
        start_latency_s=_start_latency(fleet, scenario),
    )


def _start_latency(fleet: Fleet, scenario: Scenario) -> dict[str, float]:
    """Seconds before a job's work begins, by pool, from those by zone; an unknown zone is a ScenarioError."""
    asked, zones = scenario.engine.start_latency_s, {pool.zone for pool in fleet.pools}
    if unknown := [name for name in asked if name not in zones | {zone.name for zone in scenario.zones}]:
        mend = f"name one of {', '.join(sorted(zones))}"
        raise ScenarioError([Problem("engine.start_latency_s", f"no zone {name!r}", mend) for name in unknown])
    return {pool.name: asked[pool.zone] for pool in fleet.pools if pool.zone in asked}


def rules_for(scenario: Scenario) -> DemandRules:
    """How a scenario's demand becomes pods: free, or split between the sides when users are pinned."""
    share = scenario.demand.build_share if scenario.planner.dispatch == "pinned" else None
    data, above = scenario.engine.data, scenario.engine.data_stays_above_gb_per_pod_h
    return DemandRules(
        pinned_share=share,
        hours=scenario.engine.horizon_hours,
        data=data,
        data_stays_above_gb_per_pod_h=above,
        tenants=tenants_of(scenario),
        scheduling=scenario.engine.scheduling,
    )


def pinned_holds(
    demand: Demand, shape: NodeShape, nodes: int, nodes_down: int, share: float, kubernetes_version: str
) -> tuple[bool, float]:
    """Whether `nodes` private nodes, `nodes_down` of them down, serve the pinned `share` of the users without any burst.

    Returns (no pod ever waited, share of schedulable cpu on the fullest node in the middle of the peak hour).
    """
    trace = trace_from_demand(demand, Streams(0), DemandRules(pinned_share=share, only_home="private", expected=True))
    pool = NodePool("private", "private", "baremetal", shape, nodes, nodes, private=True)
    config = EngineConfig(kubernetes_version=kubernetes_version, ties="lowest", nodes_down=nodes_down)
    simulation = prepare(trace, Fleet((pool,)), config, Streams(0))
    peak = int(np.argmax(trace.asked_cpu_ms()))
    simulation.env.run(until=peak * MS_PER_H + MS_PER_H // 2)
    free = simulation.state.free_cpu
    packing = float(np.max(1.0 - free[free >= 0] / shape.schedulable_cpu_m, initial=0.0))
    simulation.env.run(until=trace.hours * MS_PER_H)
    wait = simulation.recorder.result(demand.horizon, simulation.order).wait_ms
    return bool(np.all(wait == 0)), packing
