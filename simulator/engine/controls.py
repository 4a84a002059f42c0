"""What a scenario asks of control processes, turned into a run's settings, processes and figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from models.control import KarpenterPart
from models.errors import Problem, ScenarioError, UnknownName
from models.fleet import Fleet
from models.outcome import RunResult
from models.parameter import Parameters
from models.scenario import Scenario
from simulator.engine.autoscalers.karpenter_budgets import Cron
from simulator.engine.config import CloudRisk, EngineConfig
from simulator.engine.descheduler import Descheduler
from simulator.engine.egress import egress_gb, without_data
from simulator.engine.environment import HybridEnvironment
from simulator.engine.provisioning import Supply
from simulator.engine.upgrades import Done, start_upgrades

GRID = "grid"


def control_settings(fleet: Fleet, scenario: Scenario, parameters: Parameters) -> dict[str, Any]:
    """Fields of `EngineConfig`; raises ScenarioError with every setting that contradicts another."""
    engine = scenario.engine
    if problems := _problems(scenario):
        raise ScenarioError(problems)
    refused = parameters["on_demand_refused_share"]
    risk = CloudRisk(refused, interruptions_per_h=engine.spot_interruptions_per_h)
    return {
        "autoscaler": engine.autoscaler if follows_the_real_rules(scenario) else GRID,
        "karpenter": engine.karpenter,
        "consolidates": engine.return_to_private == "consolidation",
        "flags": engine.flags,
        "descheduler": engine.descheduler if engine.return_to_private == "descheduler" else None,
        "wait": engine.wait,
        "upgrades": engine.upgrades,
        "risks": {pool.name: risk for pool in fleet.pools if pool.spot} if engine.failures else {},
    }


def follows_the_real_rules(scenario: Scenario) -> bool:
    """Whether the run's autoscaler is the real program's: where the scenario says so or sets what only that one knows."""
    engine = scenario.engine
    asked = bool(scenario.aws.pools) or bool(engine.flags) or engine.karpenter != KarpenterPart()
    return engine.rules == "real" or (engine.rules == "auto" and (asked or engine.return_to_private == "consolidation"))


def _problems(scenario: Scenario) -> list[Problem]:
    engine, found = scenario.engine, []
    consolidates = engine.return_to_private == "consolidation"
    if consolidates and engine.autoscaler != "karpenter":
        found.append(Problem("engine.return_to_private", "consolidation", "set engine.autoscaler to karpenter, or use the descheduler"))
    if consolidates and engine.rules == "simple":
        found.append(Problem("engine.rules", "simple, which never consolidates", "write real or auto"))
    if engine.flags and engine.autoscaler != "cluster_autoscaler":
        found.append(
            Problem("engine.flags", "flags of Cluster Autoscaler", "set engine.autoscaler to cluster_autoscaler, or leave them out")
        )
    zones = [zone.name for zone in scenario.zones]
    found += [UnknownName("zone", part.zone, zones).problems[0] for part in engine.upgrades if part.zone not in zones]
    for at, budget in enumerate(engine.karpenter.budgets):
        found += _schedule_problems(budget.schedule, budget.duration_h, f"engine.karpenter.budgets.{at}")
    return found


def _schedule_problems(schedule: str | None, duration_h: float | None, place: str) -> list[Problem]:
    if (schedule is None) != (duration_h is None):
        return [Problem(place, "one of schedule and duration_h", "give both or neither, as Karpenter wants it")]
    try:
        Cron.of(schedule) if schedule is not None else None
    except ValueError as error:
        return [Problem(f"{place}.schedule", repr(schedule), f"write five fields of cron ({error})")]
    return []


@dataclass(frozen=True)
class Controls:
    """What runs beside the autoscaler; `upgrades` fills as they end."""

    upgrades: list[Done]
    descheduler: Descheduler | None


def start_controls(env: HybridEnvironment, supply: Supply, config: EngineConfig) -> Controls:
    """Start rolling upgrades and the descheduler, where the config has any."""
    event_driven = config.autoscaling.event_driven
    descheduler = Descheduler(env, supply, config.descheduler, event_driven=event_driven) if config.descheduler else None
    return Controls(start_upgrades(env, supply, config.upgrades), descheduler)


def with_controls(result: RunResult, supply: Supply, controls: Controls, order: Sequence[int]) -> RunResult:
    """The result with evictions by cause, what crossed between the sides, prices of nodes, and upgrades."""
    pools = [supply.state.layout.pools[q] for q in order]
    return replace(
        result,
        evictions_by={cause: count for cause, count in sorted(supply.evicted.items()) if count},
        egress_gb_h=egress_gb(result.busy_extended_h, result.private, result.node_hours.shape),
        busy_extended_h=without_data(result.busy_extended_h),
        pending_extended_h=without_data(result.pending_extended_h),
        node_usd_per_h=tuple(0.0 if pool.private or pool.usd_per_h is None else pool.usd_per_h for pool in pools),
        upgrades=tuple(controls.upgrades),
    )
