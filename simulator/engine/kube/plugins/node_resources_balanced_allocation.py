"""NodeResourcesBalancedAllocation: cpu and memory used to like degrees; pods without requests are skipped."""

from __future__ import annotations

from simulator.engine.kube.cluster_state import Ints
from simulator.engine.kube.node_scores_kernels import balanced_136_rows, balanced_classic_rows
from simulator.engine.kube.plugins import PLUGINS, Cycle, Plugin
from simulator.engine.kube.plugins.node_resources_fit import stacked

FIRST_MINOR_OF_THE_CHANGE = 36


def _score(cycle: Cycle, rows: Ints) -> Ints | None:
    resources = cycle.settings.balance_resources
    if not any(cycle.pod.requests.get(resource, 0) for resource in resources):
        return None
    requested, without, room = stacked(cycle.cluster, cycle.pod.requests, resources, rows, defaults=False)
    if cycle.settings.kubernetes_minor >= FIRST_MINOR_OF_THE_CHANGE:
        return balanced_136_rows(requested, without, room)
    return balanced_classic_rows(requested, room)


PLUGINS.register("NodeResourcesBalancedAllocation", Plugin(score=_score))
