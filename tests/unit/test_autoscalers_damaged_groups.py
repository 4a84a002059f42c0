"""Groups, flags, priorities and budgets of a Cluster Autoscaler file, each value damaged in turn: a run or a clear refusal."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from models.errors import InputError
from simulator.engine.autoscalers.replay import replay

FLAGS = {
    "expander": "priority,least-waste", "scan-interval": "1s", "scale-down-unneeded-time": 5, "max-nodes-total": 9, "cores-total": "0:99",
    "memory-total": "0:999", "gpu-total": ["nvidia.com/gpu:0:4"], "balance-similar-node-groups": True, "balancing-ignore-label": ["rack"],
    "memory-difference-ratio": "0.1", "max-drain-parallelism": 2, "kube-client-qps": 5, "scale-down-utilization-threshold": 0.4,
    "expendable-pods-priority-cutoff": -5, "enforce-node-group-min-size": True, "max-pod-eviction-time": "20s",
}  # fmt: skip
TERM = {"labelSelector": {"matchLabels": {"app": "web"}}, "topologyKey": "kubernetes.io/hostname"}
APART = {"requiredDuringSchedulingIgnoredDuringExecution": [TERM]}
DOCUMENT: dict[str, Any] = {
    "flags": FLAGS,
    "zone_label": "pool",
    "priorities": {"10": ["own"], 5: [".*"]},
    "groups": {
        "own": {"allocatable": {"cpu": "15", "memory": "60Gi"}, "min": 1, "max": 3, "boot": "2s", "usd_per_h": 0.4, "labels": {"a": "1"}},
        "gpu": {"allocatable": {"cpu": 8, "nvidia.com/gpu": 2}, "max": "2", "taints": [{"key": "gpu", "effect": "NoSchedule"}]},
    },
    "shapes": {"web": {"cpu": "4", "affinity": {"podAntiAffinity": APART}}, "fat": {"cpu": 1}},
    "replicas_by_second": {"web": [2] * 3, "fat": [1, 0, 3]},
    "pod_disruption_budgets": [{"selector": {"matchLabels": {"app": "web"}}, "maxUnavailable": 1}],
}  # fmt: skip
LEFT_OUT = "left out"


def paths(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The way to every value below `value`."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in items:
        yield (*path, key)
        yield from paths(part, (*path, key))


def damaged(path: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    """A copy with `value` at `path`, or without what stands there."""
    found = copy.deepcopy(DOCUMENT)
    part: Any = found
    for key in path[:-1]:
        part = part[key]
    if value == LEFT_OUT:
        del part[path[-1]]
    else:
        part[path[-1]] = value
    return found


def test_the_whole_document_runs() -> None:
    assert [up["plan"] for up in replay(DOCUMENT).scale_ups]


@pytest.mark.parametrize("value", ["zzz", "-3", [1], None, {"q": 1}, True, 1e99, LEFT_OUT], ids=str)
def test_no_damaged_value_ends_in_anything_but_a_run_or_an_input_error(value: Any) -> None:
    ends: list[bool] = []
    for path in paths(DOCUMENT):
        try:
            ends.append(bool(replay(damaged(path, value)).rows))
        except InputError as error:
            ends.append(all(problem.place.startswith("input") and problem.mend for problem in error.problems))
    assert len(ends) > 50
    assert all(ends)
