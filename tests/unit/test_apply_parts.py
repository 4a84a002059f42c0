"""The pure parts of an apply: differences, effects on nodes, owners of fields, readiness, inventory."""

from __future__ import annotations

import ast
import doctest
import importlib
from pathlib import Path
from typing import Any

import pytest

from simulator.export import apply_set
from simulator.export.apply_diff import Change, differences, without_server_fields
from simulator.export.apply_documents import Desired, DesiredSet
from simulator.export.apply_effects import effect_of
from simulator.export.apply_fields import owner_of, owners, shared_with, without_field
from simulator.export.apply_retire import node_count, retirement
from simulator.export.apply_wait import readiness
from simulator.export.check_groups import SIZE

_MODULES = ("objects", "manifest", "labels", "cluster_api", "access", "checks", "check_priorities", "fields", "apply_diff", "apply_set")


@pytest.mark.parametrize("name", _MODULES)
def test_examples_in_the_docstrings_hold(name: str) -> None:
    result = doctest.testmod(importlib.import_module(f"simulator.export.{name}"))
    assert result.attempted > 0
    assert result.failed == 0


def test_only_one_module_imports_the_kubernetes_client() -> None:
    import simulator

    root = Path(simulator.__file__).parent
    importing = {
        path.relative_to(root).as_posix()
        for path in root.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if (isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "kubernetes")
        or (isinstance(node, ast.Import) and any(name.name.split(".")[0] == "kubernetes" for name in node.names))
    }
    assert importing == {"export/apply.py"}


def config_map(name: str = "a", **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "n"}, "data": data}


def wanted(*documents: dict[str, Any], name: str = "burstline-a") -> DesiredSet:
    return DesiredSet(name, "n", "placement.burstline.dev", "", tuple(Desired(d, "base") for d in documents))


def test_id_of_a_set_is_kubectls() -> None:
    assert apply_set.set_id("sizing-2026q3", "capacity") == "applyset-B0okSDZIQcDPd39z44rlVVs81TYGYkl_HDh6gntSpsY-v1"


def test_stored_set_comes_back_whole_and_has_the_same_bytes() -> None:
    of = wanted(config_map("a", x="1"), config_map("b"))
    stored = apply_set.stored(of)
    assert stored == apply_set.stored(of)
    assert apply_set.restored(stored) == of.objects


def test_parent_lists_kinds_and_other_namespaces_sorted() -> None:
    document = apply_set.parent(wanted(), ["NodePool.karpenter.sh", "ConfigMap"], ["n", "z", "b"], {"state": "applied"})
    annotations = document["metadata"]["annotations"]
    assert annotations["applyset.kubernetes.io/contains-group-kinds"] == "ConfigMap,NodePool.karpenter.sh"
    assert annotations["applyset.kubernetes.io/additional-namespaces"] == "b,z"


@pytest.mark.parametrize(
    ("labels", "annotations", "reason"),
    [
        ({}, {}, "no ApplySet parent"),
        ({"applyset.kubernetes.io/id": "applyset-x-v1"}, {}, "id of another object"),
        (
            {"applyset.kubernetes.io/id": apply_set.set_id("burstline-a", "n")},
            {"applyset.kubernetes.io/tooling": "kubectl/v1"},
            "belongs to kubectl/v1",
        ),
    ],
)
def test_a_parent_of_someone_else_is_recognised(labels: dict[str, str], annotations: dict[str, str], reason: str) -> None:
    live = {"metadata": {"labels": labels, "annotations": annotations}}
    assert reason in str(apply_set.foreign(live, wanted()))
    assert apply_set.foreign(None, wanted()) is None


def test_digest_of_a_set_depends_on_documents_and_managers_only() -> None:
    one = wanted(config_map("a", x="1"))
    assert one.digest == wanted(config_map("a", x="1"), name="burstline-b").digest
    assert one.digest != wanted(config_map("a", x="2")).digest


def test_differences_ignore_what_only_the_server_writes() -> None:
    live = {"metadata": {"name": "a", "resourceVersion": "7", "managedFields": [], "uid": "u"}, "spec": {"a": [1]}, "status": {"b": 1}}
    assert without_server_fields(live) == {"metadata": {"name": "a"}, "spec": {"a": [1]}}
    assert list(differences({"a": [1], "b": 1}, {"a": [1, 2]})) == [Change("a", [1], [1, 2]), Change("b", 1, None)]


def deployment(wanted: int | None = None, low: int | None = None, high: int | None = None, **status: Any) -> dict[str, Any]:
    annotations = {SIZE.format(key): str(value) for key, value in (("min", low), ("max", high)) if value is not None}
    spec = {} if wanted is None else {"replicas": wanted}
    return {"kind": "MachineDeployment", "metadata": {"name": "a", "annotations": annotations}, "spec": spec, "status": status}


@pytest.mark.parametrize(
    ("before", "after", "fewer", "text"),
    [
        (deployment(40), deployment(36), 4, "may remove 4 nodes"),
        (deployment(36), deployment(40), 0, "no node effect"),
        (deployment(None, 36, 40), deployment(None, 36, 38), 2, "may remove 2 nodes"),
        (deployment(None, 36, 40), deployment(None, 30, 40), 6, "may remove 6 nodes"),
        (deployment(None, 30, 40), deployment(None, 36, 40), 0, "a raised minimum raises nothing by itself"),
    ],
)
def test_lower_counts_are_nodes_that_may_go(before: Any, after: Any, fewer: int, text: str) -> None:
    effect = effect_of(before, after, list(differences(before, after)))
    assert effect.fewer_nodes == fewer
    assert text in effect.text


def test_a_new_template_rolls_the_nodes_that_run() -> None:
    live = deployment(40, replicas=39)
    effect = effect_of(live, live, [Change("spec.template.spec.version", "v1.35.0", "v1.36.0")])
    assert effect.text == "rolls 39 nodes"


def test_karpenter_rolls_nodes_for_its_template_and_none_for_its_weight() -> None:
    live = {"kind": "NodePool", "metadata": {"name": "a"}, "spec": {"limits": {"cpu": "960"}}, "status": {"nodes": 7}}
    lower = {**live, "spec": {"limits": {"cpu": "160"}}}
    assert effect_of(live, live, [Change("spec.weight", 1, 2)]).text == "no node effect"
    assert effect_of(live, live, [Change("spec.template.spec.expireAfter", "1h", "2h")]).text == "rolls 7 nodes of the pool"
    assert effect_of(live, lower, []).text == "spend limit 960 -> 160 cpu: removes no node, drain separately"


MANAGED = {
    "metadata": {
        "managedFields": [
            {
                "manager": "burstline/aws",
                "operation": "Apply",
                "time": "2026-01-01T00:00:00Z",
                "fieldsV1": {"f:spec": {"f:weight": {}, "f:limits": {"f:cpu": {}}}},
            },
            {
                "manager": "ops",
                "operation": "Update",
                "time": "2026-01-02T00:00:00Z",
                "fieldsV1": {"f:spec": {"f:weight": {}, "f:taints": {'k:{"key":"a"}': {".": {}, "f:value": {}}}}},
            },
            {"manager": "controller", "operation": "Update", "subresource": "status", "fieldsV1": {"f:status": {}}},
        ]
    }
}


def test_managed_fields_say_who_owns_what() -> None:
    assert [o.manager for o in owners(MANAGED)] == ["burstline/aws", "ops"]
    assert owners(MANAGED)[1].fields == {".spec.weight", '.spec.taints[{"key":"a"}].value'.replace("[{", "[{")}
    assert shared_with(MANAGED, "burstline/aws") == ("ops",)
    found = owner_of(MANAGED, "spec.weight")
    assert found is not None
    assert (found.manager, found.operation) == ("ops", "Update")
    assert owner_of(MANAGED, ".spec.nothing") is None


def test_a_field_with_dots_in_its_key_can_be_left_out() -> None:
    document = {"metadata": {"annotations": {"a.b/c": "1", "x": "2"}}, "spec": {"list": [{"a": 1}], "one": {"two": 3}}}
    assert without_field(document, ".metadata.annotations.a.b/c") == {"metadata": {"annotations": {"x": "2"}}, "spec": document["spec"]}
    assert without_field(document, "spec.one.two") == {"metadata": document["metadata"], "spec": {"list": [{"a": 1}]}}
    assert without_field(document, '.spec.list[key="a"].a') is None


def test_retirement_stops_growth_and_removes_nothing() -> None:
    pool = {"kind": "NodePool", "metadata": {"name": "a"}, "status": {"nodes": 3}}
    assert retirement(pool) == {"spec": {"limits": {"cpu": "0"}, "disruption": {"budgets": [{"nodes": "0"}]}}}
    assert retirement(deployment(None, 30, 40, replicas=37)) == {"metadata": {"annotations": {SIZE.format("max"): "37"}}}
    assert retirement(deployment(40)) is None
    assert (node_count(pool), node_count(deployment(40)), node_count(deployment(None))) == (3, 40, 0)


@pytest.mark.parametrize(
    ("live", "state"),
    [
        (None, "failed"),
        ({"kind": "NodePool", "metadata": {}}, "silent"),
        ({"kind": "ConfigMap", "metadata": {}}, "ready"),
        ({"kind": "NodePool", "metadata": {"deletionTimestamp": "now"}}, "failed"),
        ({"kind": "NodePool", "metadata": {}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}, "waiting"),
        (
            {
                "kind": "NodePool",
                "metadata": {},
                "status": {"conditions": [{"type": t, "status": "True"} for t in ("Ready", "NodeClassReady")]},
            },
            "ready",
        ),
        ({"kind": "EC2NodeClass", "metadata": {"generation": 2}, "status": {"observedGeneration": 1}}, "waiting"),
        ({"kind": "EC2NodeClass", "metadata": {}, "status": {"conditions": [{"type": "Stalled", "status": "True"}]}}, "failed"),
    ],
)
def test_silence_is_not_readiness(live: dict[str, Any] | None, state: str) -> None:
    assert readiness(live).state == state
