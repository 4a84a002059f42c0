"""Replay files with one value damaged or left out: an `InputError`, or a run; and keys without effect are named."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from models.errors import InputError
from simulator.engine.autoscalers.replay import replay

Path = tuple[str | int, ...]
LABEL = {"key": "a", "operator": "In", "values": ["b"]}
TAINT = {"key": "a", "effect": "NoSchedule"}
WISH = {"weight": 1, "preference": {"matchExpressions": [LABEL]}}
GROUPS: dict[str, Any] = {
    "flags": {"scan-interval": "1s", "expander": "least-waste"},
    "template_overhead": {"cpu": "1"},
    "groups": {"own": {"allocatable": {"cpu": "15", "pods": "110"}, "max": 5, "labels": {"a": "b"}, "taints": [TAINT]}},
    "shapes": {"web": {"cpu": "4"}},
    "replicas_by_second": {"web": [6] * 3},
}
POOLS: dict[str, Any] = {
    "instance_types": {"m5.xlarge": {"cpu": 4, "memory_gib": 16, "usd_per_h": 0.2}},
    "pools": [
        {
            "name": "burst",
            "weight": 1,
            "limits": {"cpu": "8"},
            "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"taints": [TAINT], "requirements": [LABEL]}},
            "disruption": {"budgets": [{"nodes": "10%"}], "consolidateAfter": "1s"},
        }
    ],
    "owned_nodes": [{"name": "a", "labels": {}, "allocatable": {"cpu": "4"}}],
    "overhead": {"cpu": "1"},
    "batch": {"idle": "1s"},
    "spot_factor": 0.3,
    "affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [WISH]}},
    "shapes": {"web": {"cpu": "3"}},
    "replicas_by_second": {"web": [2] * 3},
}
MISSING = "left out"


def paths(value: Any, path: Path = ()) -> Iterator[Path]:
    """The way to every value below `value`."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in items:
        yield (*path, key)
        yield from paths(part, (*path, key))


def damaged(base: dict[str, Any], path: Path, value: Any) -> dict[str, Any]:
    """A copy of `base` with `value` at `path`, or without what stands there."""
    found = copy.deepcopy(base)
    part: Any = found
    for key in path[:-1]:
        part = part[key]
    if value == MISSING:
        del part[path[-1]]
    else:
        part[path[-1]] = value
    return found


@pytest.mark.parametrize("value", ["zzz", [1], -1, None, {"q": 1}, True, MISSING], ids=str)
@pytest.mark.parametrize("base", [GROUPS, POOLS], ids=["groups", "pools"])
def test_no_single_damaged_value_ends_in_anything_but_a_run_or_an_input_error(base: dict[str, Any], value: Any) -> None:
    ends: list[bool] = []
    for path in paths(base):
        try:
            ends.append(bool(replay(damaged(base, path, value)).rows))
        except InputError as error:
            ends.append(all(problem.place.startswith("input") and problem.mend for problem in error.problems))
    assert len(ends) > 15
    assert all(ends)


def test_keys_of_groups_pools_own_nodes_and_batching_without_effect_are_named() -> None:
    own = {**GROUPS["groups"]["own"], "taints": [{**TAINT, "efect": "x"}]}
    assert "input: groups.own.taints[0].efect is not modelled" in replay({**GROUPS, "groups": {"own": own}}).warnings
    pool = copy.deepcopy(POOLS["pools"][0])
    pool["template"]["metadata"]["annotations"] = {}
    pool["template"]["sepc"] = {}
    node = {**POOLS["owned_nodes"][0], "tains": []}
    named = replay({**POOLS, "pools": [pool], "owned_nodes": [node], "batch": {"idel": "2s"}}).warnings
    for key in ("batch.idel", "owned_nodes[0].tains", "pools[0].template.metadata.annotations", "pools[0].template.sepc"):
        assert f"input: {key} is not modelled" in named
