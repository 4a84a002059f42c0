"""A KubeSchedulerConfiguration changes what the scheduler here does, or says that it cannot."""

from __future__ import annotations

from typing import Any

import pytest

from kube_objects import node_document, pod_document
from models.errors import InputError
from simulator.engine.kube.cluster_state import Cluster
from simulator.engine.kube.objects_reader import read_objects
from simulator.engine.kube.plugins import ORDER
from simulator.engine.kube.scheduler import decide
from simulator.engine.kube.scheduler_config import Profile, parse_profile


def profile(*plugin_config: dict[str, Any], plugins: dict[str, Any] | None = None, **fields: Any) -> Profile:
    first = {"schedulerName": "default-scheduler", "pluginConfig": list(plugin_config), "plugins": plugins or {}}
    return parse_profile({"kind": "KubeSchedulerConfiguration", "profiles": [first], **fields}, "scheduler.yaml")


def test_the_fit_strategy_its_resources_and_its_shape_are_taken() -> None:
    strategy = {
        "type": "RequestedToCapacityRatio",
        "resources": [{"name": "cpu", "weight": 3}, {"name": "nvidia.com/gpu", "weight": 2}],
        "requestedToCapacityRatio": {"shape": [{"utilization": 0, "score": 0}, {"utilization": 100, "score": 10}]},
    }
    settings = profile({"name": "NodeResourcesFit", "args": {"scoringStrategy": strategy}}).settings
    assert settings.fit_strategy == "RequestedToCapacityRatio"
    assert settings.fit_resources == {"cpu": 3, "nvidia.com/gpu": 2}
    assert settings.fit_shape == ((0, 0), (100, 10))


def test_weights_and_disabled_scores_change_the_totals() -> None:
    """Default: 85 + 72 + 300 (+ 0 + 0) = 457; Fit x 5 = 425 and balance off: 725."""
    changes = {"score": {"disabled": [{"name": "NodeResourcesBalancedAllocation"}], "enabled": [{"name": "NodeResourcesFit", "weight": 5}]}}
    objects = read_objects([node_document("n0", "8", "32Gi"), pod_document("p", "1500m", "3Gi")])
    cluster, pod = Cluster(objects.nodes), objects.pods[0]
    assert decide(cluster, pod).total.tolist() == [457]
    assert decide(cluster, pod, profile(plugins=changes).settings).total.tolist() == [725]


def test_a_plugin_disabled_everywhere_neither_filters_nor_scores() -> None:
    off = {"multiPoint": {"disabled": [{"name": "TaintToleration"}]}}
    taint = {"key": "gpu", "effect": "NoSchedule"}
    objects = read_objects([node_document("n0", taints=[taint]), pod_document("p")])
    decision = decide(Cluster(objects.nodes), objects.pods[0], profile(plugins=off).settings)
    assert decision.rows.tolist() == [0]
    assert "TaintToleration" not in decision.scores


def test_everything_disabled_and_one_enabled_leaves_that_one() -> None:
    only = {"multiPoint": {"disabled": [{"name": "*"}], "enabled": [{"name": "NodeResourcesFit"}]}}
    settings = profile(plugins=only).settings
    assert settings.filters == ("NodeResourcesFit",)
    assert [name for name in ORDER if settings.weights[name]] == ["NodeResourcesFit"]


def test_what_a_profile_sets_and_is_not_modelled_is_named() -> None:
    found = profile(
        {"name": "PodTopologySpread", "args": {"defaultingType": "List"}},
        {"name": "NodeResourcesFit", "args": {"ignoredResources": ["example.com/x"]}},
        plugins={"score": {"enabled": [{"name": "Coscheduling"}]}, "permit": {"enabled": []}},
        extenders=[{"urlPrefix": "http://x"}],
    )
    text = "\n".join(found.warnings)
    for part in ("arguments of PodTopologySpread", "ignoredResources", "plug-in Coscheduling", "plugins.permit", "extenders"):
        assert part in text


def test_fields_of_a_profile_without_effect_are_named() -> None:
    odd = {"schedulerName": "default-scheduler", "percentageOfNodesToScore": 10, "pluginConfg": []}
    found = parse_profile({"kind": "KubeSchedulerConfiguration", "profiles": [odd]}, "f")
    assert found.warnings == ("f.profiles[0].percentageOfNodesToScore is not modelled", "f.profiles[0].pluginConfg is not modelled")


def test_percentage_and_hard_affinity_weight_are_taken() -> None:
    found = profile({"name": "InterPodAffinity", "args": {"hardPodAffinityWeight": 7}}, percentageOfNodesToScore=40)
    assert (found.percentage, found.settings.hard_pod_affinity_weight) == (40, 7)


def test_wrong_values_are_reported_together() -> None:
    shape = [{"utilization": 50, "score": 1}, {"utilization": 10, "score": 11}]
    strategy = {"type": "Fullest", "requestedToCapacityRatio": {"shape": shape}}
    with pytest.raises(InputError) as caught:
        profile({"name": "NodeResourcesFit", "args": {"scoringStrategy": strategy}}, percentageOfNodesToScore=400)
    text = str(caught.value)
    for part in (
        "scoringStrategy.type: found 'Fullest'",
        "shape[1].score: found 11",
        "rising utilization",
        "percentageOfNodesToScore: found 400",
    ):
        assert part in text
