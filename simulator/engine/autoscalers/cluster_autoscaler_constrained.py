"""One scale-up for pods with host ports, spread constraints or pod affinity: `next_scale_up` with every filter."""

from __future__ import annotations

import numpy as np

from simulator.engine.autoscalers.binpacking import Kinds, Vector
from simulator.engine.autoscalers.binpacking_pods import Trial, estimate_pods, fitting_pods
from simulator.engine.autoscalers.cluster_autoscaler import ScaleUp, ScaleUpSettings, Scene, decide, option, overhead_of, siblings_of


def next_scale_up_with_filters(
    scene: Scene, kinds: Kinds, counts: Vector, trial: Trial, settings: ScaleUpSettings, chance: np.random.Generator
) -> ScaleUp | None:
    """The scale-up of one loop for `counts` pending pods of each kind; `trial` holds the cluster as the loop sees it."""
    nodes, packed = trial.nodes, [pod for pod, _ in trial.placed]
    valid = scene.valid(settings)
    fits = {group.name: fitting_pods(group.picture, overhead_of(group, settings), kinds, counts, nodes, packed) for group in valid}
    options = []
    for group in valid:
        room = scene.room(group, siblings_of(group, valid, fits, settings), settings)
        wanted = np.where(fits[group.name], counts, 0)
        overhead, draws = overhead_of(group, settings), chance if settings.scattered else None
        found = estimate_pods(group.picture, overhead, kinds, wanted, room, nodes, packed, draws)
        if found.nodes > 0 and found.placed.any():
            options.append(option(group, found.nodes, found.placed, kinds))
    return decide(scene, options, fits, settings, chance)
