"""Offline checks refuse what has hurt others, and say where."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from plans import plan, pool
from simulator.export.bundle import export_bundle
from simulator.export.check_groups import CAPACITY, SIZE
from simulator.export.check_priorities import parse, priority_of
from simulator.export.checks import check_manifests

Documents = list[dict[str, Any]]


def exported(mode: str) -> Documents:
    pools = (pool("prod-bm", "baremetal", nodes=36, max_nodes=40), pool("aws-burst", "aws"))
    return [copy.deepcopy(dict(m.document)) for m in export_bundle(plan(*pools, burst_mode=mode)).manifests if m.is_object]


def one(documents: Documents, kind: str) -> dict[str, Any]:
    return next(d for d in documents if d["kind"] == kind)


def annotate(key: str, value: Any) -> Callable[[Documents], None]:
    def change(documents: Documents) -> None:
        one(documents, "MachineDeployment")["metadata"]["annotations"][key] = value

    return change


def _replicas(documents: Documents) -> None:
    one(documents, "MachineDeployment")["spec"]["replicas"] = 40


def _one_bound(documents: Documents) -> None:
    del one(documents, "MachineDeployment")["metadata"]["annotations"][SIZE.format("max")]


def _dangling(documents: Documents) -> None:
    one(documents, "Metal3MachineTemplate")["metadata"]["name"] = "another"


def _twice(documents: Documents) -> None:
    documents.append(copy.deepcopy(one(documents, "ConfigMap")))


def _status(documents: Documents) -> None:
    one(documents, "MachinePool")["status"] = {}


def _null_time(documents: Documents) -> None:
    one(documents, "ConfigMap")["metadata"]["creationTimestamp"] = None


def _misspelt(documents: Documents) -> None:
    one(documents, "MachineDeployment")["spec"]["template"]["spec"]["verison"] = "v1.36.0"


def _manager(documents: Documents) -> None:
    one(documents, "MachinePool")["metadata"]["annotations"]["cluster.x-k8s.io/replicas-managed-by"] = "karpenter"


def _label(documents: Documents) -> None:
    one(documents, "ConfigMap")["metadata"]["labels"] = {"a b": "c"}


def _two_modes(documents: Documents) -> None:
    documents += [d for d in exported("karpenter") if d["kind"] in ("NodePool", "EC2NodeClass")]


def _priorities(text: str) -> Callable[[Documents], None]:
    def change(documents: Documents) -> None:
        one(documents, "ConfigMap")["data"]["priorities"] = text

    return change


def _wrong_key(documents: Documents) -> None:
    data = one(documents, "ConfigMap")["data"]
    data["priority"] = data.pop("priorities")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_replicas, "the autoscaler owns it"),
        (_one_bound, "a group without both is not autoscaled"),
        (annotate(SIZE.format("min"), "41"), "min <= max"),
        (annotate(SIZE.format("max"), 40), "write it as a string"),
        (annotate(CAPACITY + "memory", "lots"), "a Kubernetes quantity"),
        (annotate(CAPACITY + "labels", "a=b"), "a group at zero would never match"),
        (annotate("cluster.x-k8s.io/autoscaling-options-maxnodeprovisiontime", "soon"), "a duration"),
        (_dangling, "which is not in this export"),
        (_twice, "one object, one document"),
        (_status, "status belongs to the controller"),
        (_null_time, "even null makes an apply repeat forever"),
        (_misspelt, "spec.template.spec.verison"),
        (_manager, "external-autoscaler is the only value"),
        (_label, "a key is"),
        (_two_modes, "two autoscalers"),
        (_wrong_key, "the key is priorities"),
        (_priorities("10: ['('"), "not YAML"),
        (_priorities("10: ['(']"), r"pattern '\('"),
        (_priorities("10: ['^a(?!b)']"), "RE2 does not have"),
        (_priorities("10: ['a']\n10: ['b']"), "priority 10 appears twice"),
        (_priorities("-5: ['.*']"), "whole number from 0 on"),
        (_priorities("10: ['^MachineDeployment/capacity/prod-bm$']"), "no catch-all"),
        (_priorities("1: ['.*']\n10: ['^MachinePool/']"), "no pattern of its own for MachineDeployment/capacity/prod-bm"),
        (_priorities("1: ['.*']\n10: ['^MachineDeployment/']\n20: ['^MachinePool/']"), "below MachineDeployment/capacity/prod-bm at 10"),
    ],
)
def test_each_pitfall_is_refused_with_its_place(change: Callable[[Documents], None], message: str) -> None:
    import re

    documents = exported("cluster-autoscaler")
    assert check_manifests(documents) == []
    change(documents)
    found = "\n".join(map(str, check_manifests(documents)))
    assert re.search(message, found), found


def test_limits_as_numbers_are_refused_because_diffs_never_settle() -> None:
    documents = exported("karpenter")
    one(documents, "NodePool")["spec"]["limits"]["cpu"] = 960
    assert "spec.limits.cpu" in str(check_manifests(documents)[0])


def test_capacity_that_is_not_the_plans_is_refused() -> None:
    of = plan(pool("prod-bm", "baremetal"), pool("aws-burst", "aws"), burst_mode="cluster-autoscaler")
    documents = [copy.deepcopy(dict(m.document)) for m in export_bundle(of).manifests if m.is_object]
    one(documents, "MachineDeployment")["metadata"]["annotations"][CAPACITY + "memory"] = "512Gi"
    assert any("the plan's allocatable is" in str(problem) for problem in check_manifests(documents, of))


def test_highest_matching_integer_wins_as_in_the_autoscaler() -> None:
    table = parse("1: ['.*']\n10: ['aws']\n50: ['^eks-aws-gpu']\n")
    assert [priority_of(table, group) for group in ("eks-aws-gpu-1", "eks-aws-1", "other")] == [50, 10, 1]
    assert priority_of({10: ["^a$"]}, "b") is None
