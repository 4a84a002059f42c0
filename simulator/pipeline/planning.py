"""A plan: screen, simulate what the screening says, measure the packing, price it, and put it into one document."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from models.case import Case
from models.demand import Demand
from models.fleet import Fleet, NodePool
from models.outcome import Outcome, wait_percentiles
from models.parameter import Parameter
from models.plan import BuildPlan, Limit, PoolPlan, Verification
from models.reason import Reason
from models.scenario import Scenario
from models.statement import Comparison
from models.units import HOURS_PER_YEAR, ceil_int
from models.unknown import Unknown
from models.zones import ZONES
from simulator import catalog
from simulator.demand.readings import users_peak_demand
from simulator.engine.fleets import fleet_for
from simulator.engine.replicate import simulate
from simulator.engine.run import PARAMETERS, pinned_holds
from simulator.engine.workloads.setup import parameters_used
from simulator.finance.comparison import compare_opponents, money
from simulator.finance.opponents import best_rate
from simulator.finance.report import FinanceReport, finance_report
from simulator.pipeline.currency import Currency
from simulator.pipeline.inputs import Inputs, load_inputs
from simulator.planner.advice import Advice
from simulator.planner.recommend import nodes_at_arrival, recommend
from simulator.planner.steps import DAYS_PER_YEAR, lead_days
from simulator.progress import SILENT, Progress
from simulator.sentences import sentence

BURST_MARGIN = 1.1


@dataclass(frozen=True)
class Planned:
    """Everything behind a plan, for pages and reports. `case` is the case that the advice answers, packing as it was used."""

    scenario: Scenario
    inputs: Inputs
    case: Case
    advice: Advice
    fleet: Fleet
    outcome: Outcome
    comparison: Comparison
    plan: BuildPlan

    @property
    def unverified(self) -> tuple[Parameter, ...]:
        """The unverified parameters behind the plan, with their range and source."""
        return tuple(self.case.parameters.by_name[name] for name in self.plan.unverified)


@dataclass(frozen=True)
class PinnedHalf:
    """The homed users on private nodes alone: fewest nodes that hold with spares down, and the packing seen there."""

    holds_at: int
    fails_at: int
    packing_share: float


def make_plan(scenario: Scenario, inputs: Inputs | None = None, progress: Progress = SILENT) -> Planned:
    """Answer the scenario. Raises `InputError` for what cannot be used and `InfeasiblePlan` for limits in conflict."""
    inputs = inputs or load_inputs(scenario, progress)
    assumed = resolve(scenario, inputs)
    pinned = pinned_half(assumed, inputs.demand)
    measured = with_packing(assumed, pinned.packing_share)
    case = measured if scenario.planner.packing == "measured" else assumed
    advice = recommend(case)
    at_measured = recommend(measured).recommendation.private_nodes
    fleet = fleet_for(scenario, advice.recommendation.by_zone)
    outcome = simulate(future_demand(case, inputs.demand), fleet, scenario, replications=scenario.engine.replications, progress=progress)
    case = with_egress(case, outcome)
    comparison = compare_opponents(case, advice.recommendation.by_zone, advice.steps)
    verification = verify(assumed, outcome, pinned, at_measured)
    plan = document(case, advice, fleet, outcome, comparison, verification)
    return Planned(scenario, inputs, case, advice, fleet, outcome, comparison, plan)


def money_report(planned: Planned) -> FinanceReport:
    """Everything about the plan's money, its sensitivity included."""
    advice = planned.advice
    curve = advice.screening.curve(planned.case.demand.size)
    return finance_report(planned.case, advice.recommendation.by_zone, advice.steps, curve, nodes_at_arrival, advice.views)


def resolve(scenario: Scenario, inputs: Inputs) -> Case:
    """The scenario's case for these inputs: homed users' own peak where users are known, and the bill's rate where it is the better one."""
    case = catalog.case(scenario, inputs.demand, billed_usd_per_year=inputs.billed_usd_per_year)
    peak = users_peak_demand(inputs.demand, case.axis, scenario.demand.build_share)
    case = replace(case, users_peak=None if isinstance(peak, Unknown) else peak, also_used=(*PARAMETERS, *parameters_used(scenario)))
    rate = best_rate(case)
    if not rate.of_bill:
        return case
    return case.with_scenario(scenario.varied({"aws.commitment_discount_share": 1.0 - rate.usd_per_h / case.on_demand_usd_per_h}))


def with_egress(case: Case, outcome: Outcome) -> Case:
    """The case with a year of what pods moved in the simulation because they ran away from their data."""
    moved = sum(run.egress_gb for run in outcome.runs) / len(outcome.runs)
    hours = outcome.first.horizon.hours
    return replace(case, egress_gb_per_year=moved * HOURS_PER_YEAR / hours) if moved else case


def with_packing(case: Case, share: float) -> Case:
    """The case at another packing share."""
    return case.with_scenario(case.scenario.varied({"planner.packing_share": share}))


def future_demand(case: Case, demand: Demand) -> Demand:
    """Demand of the day the first order arrives; replicas rounded to whole pods."""
    growth = case.scenario.demand.growth_share_per_year
    if not growth:
        return demand
    factor = (1.0 + growth) ** (lead_days(case) / DAYS_PER_YEAR)
    workloads = tuple(replace(w, replicas=np.rint(w.replicas * factor).astype(np.int64)) for w in demand.workloads)
    return replace(demand, requests=demand.requests * factor, workloads=workloads, grown=factor)


def pinned_half(case: Case, demand: Demand) -> PinnedHalf:
    """Bisect the fewest nodes of the first zone on which the homed users never wait, with `slo.nodes_down` of them down."""
    node, scenario = case.zones[0].node, case.scenario
    down, share = scenario.slo.nodes_down, scenario.demand.build_share
    most = max(len(demand.workloads), 1) + ceil_int(_homed_peak(case) / (node.schedulable_cpu_m * 0.25)) + down
    low, high, packing = down, most, 0.0
    while high - low > 1:
        middle = (low + high) // 2
        holds, packing_here = pinned_holds(demand, node, middle, down, share, scenario.kubernetes_version)
        low, high = (low, middle) if holds else (middle, high)
        packing = packing_here if holds else packing
    return PinnedHalf(high, low, round(packing, 6) or 1.0)


def _homed_peak(case: Case) -> float:
    peak = case.users_peak if case.users_peak is not None else float(case.demand.max(initial=0.0)) * case.scenario.demand.build_share
    return peak if case.axis == "cpu_m" else float(case.demand.size)


def verify(case: Case, outcome: Outcome, pinned: PinnedHalf, at_measured: int) -> Verification:
    """What the simulation said, against the scenario's service levels."""
    waits_ms = np.concatenate([run.wait_ms for run in outcome.runs])
    waits, burst_start = wait_percentiles(waits_ms), wait_percentiles(waits_ms[waits_ms > 0])
    slo = case.scenario.slo
    held = burst_start["p95"] <= slo.burst_start_p95_s and waits["p99"] <= slo.pending_p99_s
    return Verification(
        packing_assumed_share=case.packing,
        packing_measured_share=pinned.packing_share,
        nodes_at_measured_packing=at_measured,
        pinned_holds_at=pinned.holds_at,
        pinned_fails_at=pinned.fails_at,
        pending_p95_s=waits["p95"],
        pending_p99_s=waits["p99"],
        burst_start_p95_s=burst_start["p95"],
        slo_met=held and not any(run.unplaced or any(own.unserved for own in run.workloads) for run in outcome.runs),
        replications=len(outcome.runs),
    )


def document(case: Case, advice: Advice, fleet: Fleet, outcome: Outcome, comparison: Comparison, verification: Verification) -> BuildPlan:
    """The sealed `plan.json`."""
    scenario, currency = case.scenario, Currency.of(case)
    reasons = (*advice.reasons, *_checked(case, verification, advice))
    return BuildPlan(
        scenario=scenario.scenario,
        as_of=scenario.as_of,
        kubernetes_version=scenario.kubernetes_version,
        currency=scenario.money.currency,
        recommendation=advice.recommendation,
        readings=advice.readings,
        alternatives=dict(sorted(advice.alternatives.items())),
        verification=verification,
        money=money(comparison),
        steps=advice.steps,
        limits=(*advice.limits, Limit(name="slo.pending", binding=not verification.slo_met)),
        pools=tuple(_pool_plan(case, pool, outcome) for pool in fleet.pools if pool.nodes or not pool.private),
        burst_mode=scenario.export.burst_mode,
        label_prefix=scenario.export.label_prefix,
        namespace=scenario.export.namespace,
        cluster=scenario.export.cluster,
        site=scenario.export.site.model_copy(update={"aws_region": scenario.aws.region}),
        reasons=tuple(sentence(reason, scenario.language, currency.text) for reason in reasons),
        unverified=advice.unverified,
        seed=scenario.seed,
    ).sealed()


def _checked(case: Case, verification: Verification, advice: Advice) -> tuple[Reason, ...]:
    """What the simulation found; without homed users or demand there is no private half to speak of."""
    rule, v, slo = advice.readings.by_users_nodes or advice.readings.by_peak_nodes, verification, case.scenario.slo
    held = {"down": slo.nodes_down, "holds": v.pinned_holds_at, "fails": v.pinned_fails_at, "rule": rule}
    packing = {"assumed": v.packing_assumed_share, "measured": v.packing_measured_share}
    burst = {"runs": v.replications, "wait": v.burst_start_p95_s, "allowed": slo.burst_start_p95_s}
    waits = {**burst, "all_wait": v.pending_p99_s, "all_allowed": slo.pending_p99_s}
    half = Reason("pinned_half_agrees" if rule == v.pinned_holds_at else "pinned_half", {**held, **packing})
    return (
        *((half,) if case.scenario.demand.build_share and rule else ()),
        Reason("at_measured_packing", {"nodes": v.nodes_at_measured_packing}),
        Reason("slo_met" if v.slo_met else "slo_missed", waits),
    )


def _pool_plan(case: Case, pool: NodePool, outcome: Outcome) -> PoolPlan:
    shape = pool.shape
    return PoolPlan(
        name=pool.name,
        zone=pool.zone,
        kind=pool.kind,
        shape=shape.name,
        private=pool.private,
        nodes=pool.nodes,
        max_nodes=pool.max_nodes if pool.private else _burst_limit(pool, outcome),
        cpu_m=shape.cpu_m,
        memory_mib=shape.memory_mib,
        max_pods=shape.max_pods,
        kube_reserved_cpu_m=shape.kube_reserved_cpu_m,
        kube_reserved_memory_mib=shape.kube_reserved_memory_mib,
        system_reserved_cpu_m=shape.system_reserved_cpu_m,
        system_reserved_memory_mib=shape.system_reserved_memory_mib,
        eviction_memory_mib=shape.eviction_memory_mib,
        allocatable_cpu_m=shape.allocatable_cpu_m,
        allocatable_memory_mib=shape.allocatable_memory_mib,
        provision_p95_s=_provision_p95_s(case, pool, outcome),
        priority=pool.priority,
        instance_types=(shape.name,) if pool.kind == "aws" else (),
        extended=dict(shape.extended),
        arch=shape.arch,
    )


def _burst_limit(pool: NodePool, outcome: Outcome) -> int:
    """The largest hourly node count seen in any replication with a tenth on top, at most the quota."""
    seen = max(float(run.node_hours[:, run.pools.index(pool.name)].max(initial=0.0)) for run in outcome.runs)
    return min(ceil_int(seen * BURST_MARGIN), pool.max_nodes)


def _provision_p95_s(case: Case, pool: NodePool, outcome: Outcome) -> float:
    """Measured in the runs where nodes were ordered, else what the zone kind expects."""
    seen = [run.scale_out_s[pool.name] for run in outcome.runs if run.scale_out_s.get(pool.name) is not None]
    orders = np.concatenate(seen) if seen else np.empty(0)
    if orders.size:
        return round(float(np.percentile(orders, 95)), 3)
    return ZONES[pool.kind].provisioning(case.parameters).p95_s
