"""Node autoscalers of a year's run: one file each, exchangeable processes on the engine's clock.

A part is called with the run's environment, supply, config, waiting budget and random streams, and starts its processes. Register with
`NODE_AUTOSCALERS.register("karpenter", Karpenter)`; the name is what `engine.autoscaler` of a scenario says.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from models.registry import Registry
from simulator.engine.config import EngineConfig
from simulator.engine.environment import HybridEnvironment
from simulator.engine.provisioning import Supply
from simulator.engine.wait_budget import WaitBudget
from simulator.streams import Streams


class NodeAutoscaler(Protocol):
    """What a run keeps of its autoscaler."""

    @property
    def looks(self) -> int:
        """How often it looked."""
        ...


Make = Callable[[HybridEnvironment, Supply, EngineConfig, WaitBudget, Streams], NodeAutoscaler]

NODE_AUTOSCALERS: Registry[Make] = Registry("node autoscaler", __name__)
