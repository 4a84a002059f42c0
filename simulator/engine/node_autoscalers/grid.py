"""The simple autoscaler: looks on a grid, orders what waiting pods fill, returns nodes that stayed empty; see `engine.autoscaler`."""

from __future__ import annotations

from simulator.engine.autoscaler import Autoscaler
from simulator.engine.config import EngineConfig
from simulator.engine.environment import HybridEnvironment
from simulator.engine.node_autoscalers import NODE_AUTOSCALERS
from simulator.engine.provisioning import Supply
from simulator.engine.wait_budget import WaitBudget
from simulator.streams import Streams


def grid(env: HybridEnvironment, supply: Supply, config: EngineConfig, wait: WaitBudget, streams: Streams) -> Autoscaler:
    """The simple process with the pace of `config.autoscaling`."""
    return Autoscaler(env, supply, config.autoscaling, wait)


NODE_AUTOSCALERS.register("grid", grid)
