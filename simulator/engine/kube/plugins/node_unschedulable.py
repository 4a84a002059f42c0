"""NodeUnschedulable: cordoned nodes take only pods that tolerate the cordon's taint."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from simulator.engine.kube.objects import UNSCHEDULABLE_TAINT, Taint
from simulator.engine.kube.plugins import PLUGINS, Cycle, Plugin, Refusal, refuse

REASON = "node(s) were unschedulable"
CORDON = Taint(UNSCHEDULABLE_TAINT, "", "NoSchedule")


def _filter(cycle: Cycle) -> Iterable[Refusal]:
    cordoned = np.array([node.unschedulable for node in cycle.cluster.nodes], dtype=np.bool_)
    if cordoned.any() and not cycle.pod.tolerates(CORDON):
        yield refuse(cordoned, REASON, False)


PLUGINS.register("NodeUnschedulable", Plugin(filter=_filter))
