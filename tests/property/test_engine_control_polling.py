"""Real autoscalers, descheduler and budgets: event-driven equals polling, hours are conserved, the round is Karpenter's own."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.control import BudgetPart, DeschedulerPart, KarpenterPart, UpgradePart, WaitPart
from models.fleet import Fleet, NodePool
from models.horizon import Horizon
from models.node import NodeShape
from models.units import MS_PER_H
from models.zones import Provisioning
from simulator.engine.config import Autoscaling, CloudRisk, EngineConfig, FailureModel
from simulator.engine.node_autoscalers.schedule import Offers, run_round
from simulator.engine.node_autoscalers.view import ClusterView
from simulator.engine.policies import POLICIES
from simulator.engine.run import Simulation, prepare
from simulator.engine.state import State
from simulator.engine.trace import PodShape, Trace, trace_of
from simulator.streams import Streams

HOURS = 8
MINUTE = 60_000
HORIZON = Horizon(datetime(2026, 1, 5, tzinfo=UTC), HOURS)


def random_trace(rng: np.random.Generator, pods: int) -> Trace:
    """Pods in a few waves, so that nodes are ordered, filled in part and left again."""
    shapes = [
        PodShape(
            int(rng.integers(1, 7)) * 500, int(rng.integers(1, 9)) * 1024, workload_class=("service", "batch", "ml")[k % 3],
            home=("any", "any", "any", "burst", "private")[int(rng.integers(0, 5))],
            fixed_end=bool(k % 2), priority=int(rng.integers(0, 2)),
        )
        for k in range(int(rng.integers(1, 5)))
    ]  # fmt: skip
    waves = rng.integers(0, HOURS * 60, 4)
    arrival = np.clip(rng.choice(waves, pods) * MINUTE + rng.integers(0, 4, pods) * 700, 0, (HOURS - 1) * MS_PER_H)
    duration = rng.choice([5, 40, 90, 200], pods) * MINUTE
    return trace_of(shapes, HOURS, arrival, duration, rng.integers(0, len(shapes), pods))


def random_fleet(rng: np.random.Generator) -> Fleet:
    pools = [NodePool("metal", "a", "x", NodeShape("big", 16_000, 65_536, max_pods=9), 2, int(rng.integers(2, 4)), True, 10)]
    for name, cores, usd in (("s", 4, 0.2), ("m", 8, 0.39), ("l", 16, 0.8)):
        spot = bool(rng.integers(0, 2))
        group = "flex" if rng.integers(0, 3) else "alone"
        shape = NodeShape(name, cores * 1000, cores * 4096)
        most = 6 if group == "flex" else 3
        pools.append(
            NodePool(
                name, "aws", "aws", shape, 0, most, False, usd_per_h=usd * (0.35 if spot else 1.0), spot=spot, group=group, group_max=most
            )
        )
    return Fleet(tuple(pools))


def random_config(rng: np.random.Generator, autoscaler: str) -> EngineConfig:
    budgets = (BudgetPart(nodes="50%"), BudgetPart(nodes="1", schedule="30 2 * * *", duration_h=1.0))
    part = KarpenterPart(
        consolidate_after_s=(0.0, 30.0, 300.0)[int(rng.integers(0, 3))],
        expire_after_h=(None, 2.0)[int(rng.integers(0, 2))],
        budgets=budgets[: int(rng.integers(1, 3))],
    )
    return EngineConfig(
        ties=("lowest", "random")[int(rng.integers(0, 2))],
        provisioning={name: Provisioning(65, 120, 3) for name in "sml"} | {"metal": Provisioning(300, 900, 1, 100, 200, 1, 0.8)},
        failures=FailureModel(per_year=300.0, repair_p50_h=0.5, repair_p95_h=1.0),
        cloud=CloudRisk(insufficient_share=0.2, retry_s=95.0),
        risks={"s": CloudRisk(interruptions_per_h=0.4), "m": CloudRisk(insufficient_share=0.5)},
        autoscaler=autoscaler,
        karpenter=part,
        consolidates=bool(rng.integers(0, 2)),
        flags={"scale-down-unneeded-time": "3m", "scale-down-delay-after-add": "2m", "expander": "random"}
        if autoscaler != "karpenter"
        else {},
        descheduler=DeschedulerPart(interval_s=120.0, max_total=5) if rng.integers(0, 2) else None,
        wait={"batch": WaitPart(policy="runtime", factor=1.1)} if rng.integers(0, 2) else {},
        upgrades=(UpgradePart(zone="a", start_hour=3, minutes_per_node=10.0),) if rng.integers(0, 2) else (),
    )


def finished(trace: Trace, fleet: Fleet, config: EngineConfig) -> Simulation:
    simulation = prepare(trace, fleet, config, Streams(7))
    simulation.env.run(until=HOURS * MS_PER_H)
    return simulation


def fate(simulation: Simulation) -> dict[str, object]:
    state = simulation.state
    return {
        "scale_log": simulation.recorder.scale_log,
        "placed": state.placed.tolist(),
        "wait": state.wait.tolist(),
        "hour_cpu": state.hour_cpu.tolist(),
        "evicted": dict(simulation.supply.evicted),
        "upgrades": simulation.controls.upgrades,
    }


@pytest.mark.parametrize("autoscaler", ["karpenter", "cluster_autoscaler", "grid"])
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 100_000))
def test_event_driven_processes_write_the_log_of_polling_ones(autoscaler: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    trace, fleet = random_trace(rng, 150), random_fleet(rng)
    base = random_config(rng, autoscaler)
    polling, driven = (finished(trace, fleet, replace(base, autoscaling=Autoscaling(event_driven=way))) for way in (False, True))
    assert fate(driven) == fate(polling)
    assert driven.autoscaler.looks <= polling.autoscaler.looks


@pytest.mark.parametrize("autoscaler", ["karpenter", "cluster_autoscaler"])
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 100_000))
def test_hours_are_conserved_and_groups_keep_their_maximum(autoscaler: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    trace, fleet = random_trace(rng, 300), random_fleet(rng)
    simulation = finished(trace, fleet, random_config(rng, autoscaler))
    result = simulation.recorder.result(HORIZON, simulation.order)
    assert result.conservation_error <= 1e-9
    assert result.node_state_h.sum(axis=(0, 2)).tolist() == pytest.approx([pool.max_nodes * HOURS for pool in fleet.pools], abs=1e-9)
    assert sum(simulation.supply.evicted.values()) == result.evictions
    for group, most in (("flex", 6), ("alone", 3)):
        count, pools = 0, {pool.name for pool in fleet.pools if pool.group == group}
        for _, change, pool in result.scale_log:
            count += change if pool in pools else 0
            assert count <= most


# -- the round against the decision function that replays use


def spelled_out(requests, wanted, order, free, allowed, offers, room):  # type: ignore[no-untyped-def]
    """Karpenter's rule pod by pod: nodes in order, then the claim with fewest pods that a type still holds, then a new claim."""
    claims, left, free = [], [0] * len(wanted), [list(row) for row in free]
    group_room = [min(int(room[offers.member[g]].sum()), 6 if name == "flex" else 3) for g, name in enumerate(offers.groups)]
    for k in order:
        for _ in range(int(wanted[k])):
            home = next(
                (n for n in range(len(free)) if allowed[n][k] and all(f >= r for f, r in zip(free[n], requests[k], strict=True))), None
            )
            if home is not None:
                free[home] = [f - r for f, r in zip(free[home], requests[k], strict=True)]
                continue
            claims.sort(key=lambda claim: claim[3])
            for claim in claims:
                types = (
                    {t for t in claim[1] if all(offers.allocatable[t] >= claim[2] + requests[k])} if offers.takes[claim[0], k] else set()
                )
                if types:
                    claim[1], claim[2], claim[3] = types, claim[2] + requests[k], claim[3] + 1
                    break
            else:
                for g in range(len(offers.groups)):
                    types = {
                        t for t in range(len(offers.types))
                        if offers.member[g, t] and room[t] > 0 and all(offers.allocatable[t] >= requests[k])
                    }  # fmt: skip
                    if offers.takes[g, k] and group_room[g] > 0 and types:
                        group_room[g] -= 1
                        claims.append([g, types, requests[k].copy(), 1])
                        break
                else:
                    left[k] += 1
    return sorted((claim[0], tuple(sorted(claim[1])), tuple(claim[2].tolist())) for claim in claims), left


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 100_000))
def test_the_compiled_round_is_the_rule_written_out(seed: int) -> None:
    rng = np.random.default_rng(seed)
    trace, fleet = random_trace(rng, 20), random_fleet(rng)
    fleet = Fleet(tuple(replace(pool, max_nodes=2) if pool.private else pool for pool in fleet.pools))
    simulation = prepare(trace, fleet, EngineConfig(), Streams(1))
    view = ClusterView(simulation.state, simulation.supply)
    offers = Offers.of(view)
    nodes = int(rng.integers(0, 4))
    kinds = len(view.requests)
    free = rng.integers(0, 9, (nodes, view.requests.shape[1])) * np.array([1000, 4096, 1])
    allowed = rng.random((nodes, kinds)) < 0.7
    wanted = rng.integers(0, 14, kinds)
    room = np.array([view.room(q) for q in offers.types], np.int64)
    found = run_round(wanted, view, offers, free, allowed, room)
    claims, left = spelled_out(view.requests, wanted, view.by_size, free, allowed, offers, room)
    mine = sorted((claim.group, tuple(np.flatnonzero(claim.types).tolist()), tuple(claim.requests.tolist())) for claim in found.claims)
    assert mine == claims
    assert found.left.tolist() == left


def test_a_round_stops_beyond_the_claims_it_may_make() -> None:
    trace = trace_of([PodShape(4000, 1024)], 1, np.zeros(9, np.int64), np.full(9, 1000), np.zeros(9, np.int64))
    fleet = Fleet((NodePool("s", "aws", "aws", NodeShape("s", 4000, 16_384), 0, 9, False, usd_per_h=0.2),))
    state = State(trace, fleet, POLICIES["default"], "1.36", tie_seed=0)
    simulation = prepare(trace, fleet, EngineConfig(), Streams(1))
    view = ClusterView(state, simulation.supply)
    none = np.zeros((0, 3), np.int64), np.zeros((0, 1), np.bool_)
    found = run_round(np.array([9]), view, Offers.of(view), *none, np.array([9]), 1)
    assert len(found.claims) == 2
    assert found.left.tolist() == [8]
