"""TaintToleration: NoSchedule and NoExecute taints refuse; each PreferNoSchedule taint not tolerated lowers the score."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from simulator.engine.kube.cluster_state import Ints
from simulator.engine.kube.objects import Taint, untolerated
from simulator.engine.kube.plugins import PLUGINS, Cycle, Plugin, Refusal, normalised, refuse

REASON = "node(s) had untolerated taint(s)"
LAST_MINOR_THAT_NAMES_THE_TAINT = 35


def _filter(cycle: Cycle) -> Iterable[Refusal]:
    away = ~cycle.tolerated
    if not away.any():
        return
    if cycle.settings.kubernetes_minor > LAST_MINOR_THAT_NAMES_THE_TAINT:
        yield refuse(away, REASON, False)
        return
    taints = np.array([_text(untolerated(node.taints, cycle.pod)) for node in cycle.cluster.nodes])
    for text in sorted(set(taints[away])):
        yield refuse(away & (taints == text), f"node(s) had untolerated taint {text}", False)


def _text(taint: Taint | None) -> str:
    return "" if taint is None else f"{{{taint.key}: {taint.value}}}"


def _score(cycle: Cycle, rows: Ints) -> Ints:
    soft = [toleration for toleration in cycle.pod.tolerations if toleration.effect in ("", "PreferNoSchedule")]

    def unwelcome(taints: tuple[Taint, ...]) -> int:
        preferences = (taint for taint in taints if taint.effect == "PreferNoSchedule")
        return sum(not any(toleration.covers(taint) for toleration in soft) for taint in preferences)

    return normalised(cycle.cluster.where_taints(unwelcome)[rows], reverse=True)


PLUGINS.register("TaintToleration", Plugin(weight=3, filter=_filter, score=_score))
