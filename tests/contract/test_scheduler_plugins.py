"""Every registered scheduler plug-in keeps the family's rules."""

from __future__ import annotations

import numpy as np
import pytest

from scheduler_cases import Generator
from simulator.engine.kube.cluster_state import Cluster
from simulator.engine.kube.default_spreading import default_selectors
from simulator.engine.kube.objects_reader import read_objects
from simulator.engine.kube.plugins import ORDER, PLUGINS, Cycle, Settings


def cycles() -> list[Cycle]:
    """Forty pods on a cluster that already holds sixty."""
    case = Generator(7, "k").case(nodes=12, pods=100)
    objects = read_objects([*case.nodes, *case.services, *case.pods])
    cluster = Cluster(objects.nodes)
    for number, pod in enumerate(objects.pods[:60]):
        cluster.add(pod, number % len(cluster))
    settings = Settings(default_selectors=default_selectors(objects.selectors))
    return [Cycle(cluster, pod, settings) for pod in objects.pods[60:]]


def test_the_profile_orders_exactly_the_registered_plugins() -> None:
    assert sorted(ORDER) == PLUGINS.names()


@pytest.mark.parametrize("name", ORDER)
def test_scores_are_integers_from_0_to_100_for_every_row_or_none(name: str) -> None:
    score = PLUGINS[name].score
    for cycle in cycles() if score else []:
        found = score(cycle, np.arange(1, 12, 2)) if score else None
        assert found is None or (found.dtype == np.int64 and found.shape == (6,) and 0 <= found.min() <= found.max() <= 100)


@pytest.mark.parametrize("name", ORDER)
def test_refusals_are_masks_with_a_reason_and_resolvable_nodes_are_among_them(name: str) -> None:
    plugin = PLUGINS[name]
    assert plugin.filter or plugin.score
    for cycle in cycles():
        for check in filter(None, (plugin.narrow, plugin.filter)):
            for refusal in check(cycle):
                assert refusal.nodes.shape == refusal.resolvable.shape == (12,)
                assert refusal.nodes.any()
                assert refusal.reason
                assert not (refusal.resolvable & ~refusal.nodes).any()
