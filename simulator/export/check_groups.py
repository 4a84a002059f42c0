"""Checks of node groups: bounds, replicas, capacities, labels and taints said twice, and one burst mode only."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from models.errors import Problem
from models.plan import BuildPlan
from models.units import duration_s, quantity
from simulator.export.labels import comma_list, pool_labels, pool_taints
from simulator.export.objects import at, where

SIZE = "cluster.x-k8s.io/cluster-api-autoscaler-node-group-{}-size"
CAPACITY = "capacity.cluster-autoscaler.kubernetes.io/"
OPTION = "cluster.x-k8s.io/autoscaling-options-"
MANAGED_BY = "cluster.x-k8s.io/replicas-managed-by"
_MEMORY_EVICTION = re.compile(r"memory\.available<([^,]+)")


def check(documents: Sequence[Mapping[str, Any]], plan: BuildPlan | None) -> Iterator[Problem]:
    """Every problem of the node groups among `documents`."""
    templates = {(d["kind"], d["metadata"]["name"]): d for d in documents}
    for document in documents:
        kind = document["kind"]
        if kind in ("MachineDeployment", "MachinePool"):
            yield from _sizes(document)
            yield from _capacities(document)
        if kind == "MachineDeployment":
            yield from _said_twice(document, templates)
            if plan is not None:
                yield from _as_planned(document, plan)
        if kind == "NodePool":
            yield from _node_pool(document)
    yield from _mix(documents)


def annotations_of(document: Mapping[str, Any]) -> Mapping[str, str]:
    """The document's annotations, empty when there are none."""
    found = document["metadata"].get("annotations") or {}
    return found if isinstance(found, Mapping) else {}


def place(document: Mapping[str, Any], path: str) -> str:
    """A place in a message."""
    return f"{where(document)}: {path}"


def bounds(document: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """The two size annotations."""
    found = annotations_of(document)
    return found.get(SIZE.format("min")), found.get(SIZE.format("max"))


def _sizes(document: Mapping[str, Any]) -> Iterator[Problem]:
    low, high = bounds(document)
    spec = document.get("spec") or {}
    if (low is None) != (high is None):
        yield Problem(place(document, "metadata.annotations"), "one of the two size annotations", "a group without both is not autoscaled")
    elif low is not None and high is not None:
        if not (low.isdigit() and high.isdigit() and int(low) <= int(high)):
            yield Problem(place(document, "size annotations"), f"min {low!r}, max {high!r}", "whole numbers, min <= max")
        if "replicas" in spec:
            mend = "leave it out: the autoscaler owns it, and every apply would reset it"
            yield Problem(place(document, "spec.replicas"), f"{spec['replicas']} beside size annotations", mend)
    manager = annotations_of(document).get(MANAGED_BY)
    if manager is not None:
        if manager != "external-autoscaler":
            yield Problem(place(document, MANAGED_BY), repr(manager), "external-autoscaler is the only value that is honoured")
        if "replicas" in spec:
            yield Problem(place(document, "spec.replicas"), f"{spec['replicas']} though managed elsewhere", "leave it out")


def _capacities(document: Mapping[str, Any]) -> Iterator[Problem]:
    found = annotations_of(document)
    for key in ("cpu", "memory", "maxPods", "gpu-count", "ephemeral-disk"):
        value = found.get(CAPACITY + key)
        if value is not None and not _is_quantity(value):
            yield Problem(place(document, CAPACITY + key), repr(value), "a Kubernetes quantity such as 63 or 507Gi")
    if (CAPACITY + "cpu" in found) != (CAPACITY + "memory" in found):
        yield Problem(place(document, CAPACITY), "only one of cpu and memory", "both are needed to scale from zero")
    for key, value in found.items():
        if key.startswith(OPTION) and not _is_duration(value):
            yield Problem(place(document, key), repr(value), "a duration such as 15m0s")


def _is_quantity(value: str) -> bool:
    try:
        return quantity(value) >= 0
    except ValueError:
        return False


def _is_duration(value: str) -> bool:
    try:
        return duration_s(value) > 0
    except ValueError:
        return False


def kubelet_arguments(template: Mapping[str, Any]) -> dict[str, str]:
    """Kubelet arguments of a KubeadmConfigTemplate by name."""
    arguments = at(template, "spec", "template", "spec", "joinConfiguration", "nodeRegistration", "kubeletExtraArgs") or []
    return {argument["name"]: argument["value"] for argument in arguments}


def _said_twice(document: Mapping[str, Any], templates: Mapping[tuple[str, str], Mapping[str, Any]]) -> Iterator[Problem]:
    """What the autoscaler is told of a future node equals what its kubelet is told."""
    reference = at(document, "spec", "template", "spec", "bootstrap", "configRef") or {}
    template = templates.get((reference.get("kind", ""), reference.get("name", "")))
    if template is None or template["kind"] != "KubeadmConfigTemplate":
        return
    kubelet, found = kubelet_arguments(template), annotations_of(document)
    if CAPACITY + "cpu" not in found:
        return
    for key, argument in (("labels", "node-labels"), ("taints", "register-with-taints"), ("maxPods", "max-pods")):
        if found.get(CAPACITY + key, "") != kubelet.get(argument, ""):
            mend = f"the kubelet's {argument} says {kubelet.get(argument, '')!r}: a group at zero would never match"
            yield Problem(place(document, CAPACITY + key), repr(found.get(CAPACITY + key, "")), mend)


def reserved(kubelet: Mapping[str, str], resource: str) -> Decimal:
    """kubeReserved + systemReserved + evictionHard of `cpu` or `memory`, in cores or bytes, from the kubelet's arguments."""
    total = Decimal(0)
    for argument in ("kube-reserved", "system-reserved"):
        pairs = dict(pair.split("=", 1) for pair in kubelet.get(argument, "").split(",") if pair)
        total += quantity(pairs.get(resource, "0"))
    eviction = _MEMORY_EVICTION.search(kubelet.get("eviction-hard", ""))
    return total + (quantity(eviction[1]) if resource == "memory" and eviction else Decimal(0))


def _as_planned(document: Mapping[str, Any], plan: BuildPlan) -> Iterator[Problem]:
    """Bounds, replicas, labels and taints are the plan's; capacities are the planned allocatable to the byte."""
    pool = next((pool for pool in plan.pools if pool.name == document["metadata"]["name"]), None)
    if pool is None:
        yield Problem(place(document, "metadata.name"), "no pool of this name", "export again from the plan")
        return
    found = annotations_of(document)
    if CAPACITY + "cpu" not in found:
        return
    expected = {
        SIZE.format("min"): str(pool.nodes),
        SIZE.format("max"): str(pool.max_nodes),
        CAPACITY + "labels": comma_list(pool_labels(plan, pool)),
        CAPACITY + "taints": ",".join(map(str, pool_taints(plan, pool))),
    }
    for key, value in expected.items():
        if found.get(key, "") != value:
            yield Problem(place(document, key), repr(found.get(key, "")), f"the plan says {value!r}")
    sizes = (("cpu", Decimal(pool.allocatable_cpu_m) / 1000), ("memory", Decimal(pool.allocatable_memory_mib) * 2**20))
    for key, amount in sizes:
        if quantity(found[CAPACITY + key]) != amount:
            yield Problem(place(document, CAPACITY + key), found[CAPACITY + key], f"the plan's allocatable is {amount}")


def _node_pool(document: Mapping[str, Any]) -> Iterator[Problem]:
    spec = document.get("spec") or {}
    weight = spec.get("weight")
    if weight is not None and not (isinstance(weight, int) and 1 <= weight <= 100):
        yield Problem(place(document, "spec.weight"), repr(weight), "a whole number from 1 to 100")
    for key, value in (spec.get("limits") or {}).items():
        if not isinstance(value, str) or not _is_quantity(value):
            yield Problem(place(document, f"spec.limits.{key}"), repr(value), "a quantity, written as a string")
    disruption = spec.get("disruption")
    if disruption is not None and not {"consolidationPolicy", "consolidateAfter"} <= set(disruption):
        yield Problem(place(document, "spec.disruption"), "only a part", "write consolidationPolicy and consolidateAfter")
    template = spec.get("template") or {}
    labels = (template.get("metadata") or {}).get("labels") or {}
    requirements = (template.get("spec") or {}).get("requirements") or []
    if len(labels) + len(requirements) > 100:
        yield Problem(
            place(document, "spec.template"), f"{len(labels) + len(requirements)} labels and requirements", "at most 100 together"
        )


def _mix(documents: Sequence[Mapping[str, Any]]) -> Iterator[Problem]:
    pools = [d for d in documents if d["kind"] == "NodePool"]
    scaled = [
        d for d in documents if d["kind"] in ("MachineDeployment", "MachinePool") and (bounds(d)[0] or MANAGED_BY in annotations_of(d))
    ]
    if pools and scaled:
        found = f"NodePool {pools[0]['metadata']['name']} beside {scaled[0]['kind']} {scaled[0]['metadata']['name']} with an autoscaler"
        yield Problem("burst mode", found, "two autoscalers that see the same pods both buy nodes: keep one mode")
