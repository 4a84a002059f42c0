"""Rolling upgrades: the nodes of a zone are drained and come back, some at a time."""

from __future__ import annotations

from collections.abc import Sequence

import simpy

from models.control import UpgradePart
from models.units import MS_PER_H, MS_PER_S
from simulator.engine.environment import HybridEnvironment, Story
from simulator.engine.provisioning import Supply
from simulator.engine.recorder import NodeState

Done = tuple[str, int, int]
"""(zone, first drain ms, last return ms)."""

S_PER_MIN = 60.0


def start_upgrades(env: HybridEnvironment, supply: Supply, parts: Sequence[UpgradePart]) -> list[Done]:
    """One process per upgrade; the list fills as they end."""
    done: list[Done] = []
    for part in parts:
        env.process(_zone(env, supply, part, done))
    return done


def _zone(env: HybridEnvironment, supply: Supply, part: UpgradePart, done: list[Done]) -> Story:
    """Every node that stands when it begins takes its turn, in order of slots."""
    yield env.timeout(part.start_hour * MS_PER_H)
    layout, states, started = env.state.layout, supply.recorder.nodes.state, env.ms
    turns = simpy.Resource(env, part.at_once)
    mine = [q for q, pool in enumerate(layout.pools) if pool.zone == part.zone]
    nodes = [(q, slot) for q in mine for slot in range(layout.first[q], layout.first[q + 1])]
    away_ms = round(part.minutes_per_node * S_PER_MIN * MS_PER_S)
    stories = [_node(env, supply, turns, q, slot, away_ms) for q, slot in nodes if states[slot] in (NodeState.UP, NodeState.DOWN)]
    yield env.all_of([env.process(story) for story in stories])
    done.append((part.zone, started, env.ms))


def _node(env: HybridEnvironment, supply: Supply, turns: simpy.Resource, q: int, slot: int, away_ms: int) -> Story:
    """Drained, away, back; one that is in repair is drained once it is back, one that was returned needs no upgrade."""
    states = supply.recorder.nodes.state
    with turns.request() as turn:
        yield turn
        while states[slot] is NodeState.DOWN:
            yield env.next_change()
        if states[slot] is NodeState.UP:
            supply.lose(q, slot, NodeState.DOWN, "upgrade")
            yield env.timeout(away_ms)
            supply.join(q, slot)
