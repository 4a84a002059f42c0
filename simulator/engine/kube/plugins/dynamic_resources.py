"""DynamicResources: scores 0 for pods without resource claims; claims are not modelled and named in the answer."""

from __future__ import annotations

import numpy as np

from simulator.engine.kube.cluster_state import Ints
from simulator.engine.kube.plugins import PLUGINS, Cycle, Plugin

FIRST_MINOR_THAT_SCORES = 36


def _score(cycle: Cycle, rows: Ints) -> Ints | None:
    if cycle.settings.kubernetes_minor < FIRST_MINOR_THAT_SCORES:
        return None
    return np.zeros_like(rows)


PLUGINS.register("DynamicResources", Plugin(weight=2, score=_score))
