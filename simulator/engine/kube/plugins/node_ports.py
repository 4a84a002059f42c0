"""NodePorts: a host port is taken once per protocol and address on a node."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from simulator.engine.kube.plugins import PLUGINS, Cycle, Plugin, Refusal, refuse

REASON = "node(s) didn't have free ports for the requested pod ports"


def _filter(cycle: Cycle) -> Iterable[Refusal]:
    wanted = cycle.pod.ports
    if not wanted:
        return
    taken = np.zeros(len(cycle.cluster), dtype=np.bool_)
    for row, pods in cycle.cluster.ports.items():
        taken[row] = any(want.conflicts(used) for pod in pods.values() for used in pod.ports for want in wanted)
    if taken.any():
        yield refuse(taken, REASON, True)


PLUGINS.register("NodePorts", Plugin(filter=_filter))
