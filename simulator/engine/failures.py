"""Failures: owned nodes fail and are repaired, and the cloud takes spot nodes back."""

from __future__ import annotations

import numpy as np

from models.units import HOURS_PER_YEAR, MS_PER_H
from simulator.engine.config import CloudRisk, EngineConfig, FailureModel
from simulator.engine.environment import HybridEnvironment, Story
from simulator.engine.provisioning import Supply, lognormal_s, to_ms
from simulator.engine.recorder import NodeState, Recorder
from simulator.streams import Streams

SECONDS_PER_H = 3600.0


def start_failures(env: HybridEnvironment, supply: Supply, recorder: Recorder, config: EngineConfig, streams: Streams) -> None:
    """One process per owned slot. A slot's own stream keeps its fate when other slots are added (common random numbers)."""
    for q, pool in enumerate(env.state.layout.pools):
        model = config.pool_failures.get(pool.name, config.failures)
        if pool.private and model.per_year > 0.0:
            first = env.state.layout.first[q]
            for k in range(pool.max_nodes):
                env.process(_life(env, supply, recorder, model, q, first + k, streams(f"node-failures/{pool.name}/{k}")))


def start_interruptions(env: HybridEnvironment, supply: Supply, recorder: Recorder, config: EngineConfig, streams: Streams) -> None:
    """One process per pool of the cloud: losses come together, so a pool is hit, not a node."""
    for q, pool in enumerate(env.state.layout.pools):
        if not pool.private:
            risk = config.risks.get(pool.name, config.cloud)
            if risk.interruptions_per_h > 0.0:
                env.process(_reclaims(env, supply, recorder, risk, q, streams(f"interruptions/{pool.name}")))


def _reclaims(env: HybridEnvironment, supply: Supply, recorder: Recorder, risk: CloudRisk, q: int, rng: np.random.Generator) -> Story:
    """At exponential gaps most nodes of the pool are wanted back at once; a gap that finds no node passes by."""
    first, last = env.state.layout.first[q], env.state.layout.first[q + 1]
    while True:
        yield env.timeout(max(1, round(float(rng.exponential(MS_PER_H / risk.interruptions_per_h)))))
        taken = rng.random(last - first) < risk.co_interruption_share
        for slot in range(first, last):
            if taken[slot - first] and recorder.nodes.state[slot] is NodeState.UP:
                env.process(supply.take_back(q, slot, to_ms(risk.notice_s)))


def _life(
    env: HybridEnvironment, supply: Supply, recorder: Recorder, model: FailureModel, q: int, slot: int, rng: np.random.Generator
) -> Story:
    """Runs, fails, is repaired, runs again; a failure that finds the slot empty passes by."""
    mean_ms = HOURS_PER_YEAR * MS_PER_H / model.per_year
    while True:
        yield env.timeout(max(1, round(float(rng.exponential(mean_ms)))))
        repair_ms = to_ms(lognormal_s(rng, model.repair_p50_h * SECONDS_PER_H, model.repair_p95_h * SECONDS_PER_H))
        if recorder.nodes.state[slot] is not NodeState.UP:
            continue
        recorder.failed(q)
        supply.lose(q, slot, NodeState.DOWN, "failure")
        yield env.timeout(repair_ms)
        supply.join(q, slot)
