"""ImageLocality: nodes that hold the pod's images score by size, scaled by how many nodes hold each image."""

from __future__ import annotations

import numpy as np

from simulator.engine.kube.cluster_state import Ints
from simulator.engine.kube.plugins import MAX_SCORE, PLUGINS, Cycle, Plugin

MIB = 1024 * 1024
LEAST_BYTES = 23 * MIB
MOST_BYTES_PER_CONTAINER = 1000 * MIB


def _score(cycle: Cycle, rows: Ints) -> Ints:
    cluster, images = cycle.cluster, cycle.pod.images
    total = cluster.zeros()
    for image in map(full_name, images):
        holders = np.array([image in node.images for node in cluster.nodes], dtype=np.bool_)
        if holders.any():
            size = cluster.nodes[int(np.flatnonzero(holders)[0])].images[image]
            total[holders] += int(size * (int(holders.sum()) / len(cluster)))
    most = MOST_BYTES_PER_CONTAINER * max(len(images), 1)
    return (MAX_SCORE * (np.clip(total, LEAST_BYTES, most) - LEAST_BYTES) // (most - LEAST_BYTES))[rows]


def full_name(image: str) -> str:
    """An image name with its tag.

    >>> full_name("registry:5000/web"), full_name("web:v2")
    ('registry:5000/web:latest', 'web:v2')
    """
    return f"{image}:latest" if image.rfind(":") <= image.rfind("/") else image


PLUGINS.register("ImageLocality", Plugin(score=_score))
