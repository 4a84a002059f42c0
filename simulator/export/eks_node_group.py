"""EKS managed node groups through Cluster API (CAPA 2.11): AWSManagedMachinePool and its MachinePool.

The size belongs to an external autoscaler: the annotation's value `external-autoscaler` is the only one CAPA honours, and
`replicas` is left out (a number there would be reset on every apply). The same group as a call of the EKS API is written
beside it for sites without Cluster API.
"""

from __future__ import annotations

from typing import Any

from models.plan import BuildPlan, PoolPlan
from simulator.export import TARGETS, Target
from simulator.export.karpenter import instance_types
from simulator.export.labels import pool_labels, pool_taints
from simulator.export.manifest import Manifest, meta

NAME = "eks_node_group"
MANAGED_BY = "cluster.x-k8s.io/replicas-managed-by"
_DEVICES = {"nvidia.com/gpu": "NVIDIA", "aws.amazon.com/neuron": "NEURON"}
"""Image that carries the driver of an extended resource."""

_EFFECT = {"NoSchedule": "no-schedule", "NoExecute": "no-execute", "PreferNoSchedule": "prefer-no-schedule"}
_EKS_EFFECT = {"NoSchedule": "NO_SCHEDULE", "NoExecute": "NO_EXECUTE", "PreferNoSchedule": "PREFER_NO_SCHEDULE"}


def emit(plan: BuildPlan) -> tuple[Manifest, ...]:
    """Two documents and one API call per burst pool; a pool that may have no nodes gets none (EKS wants a maximum from 1 on)."""
    return tuple(manifest for pool in plan.pools if not pool.private and pool.max_nodes for manifest in _pool(plan, pool))


def _pool(plan: BuildPlan, pool: PoolPlan) -> tuple[Manifest, ...]:
    folder = f"overlays/{pool.zone}"
    note = "No replicas here: the autoscaler owns the group's size."
    return (
        Manifest(NAME, f"{folder}/awsmanagedmachinepool-{pool.name}.yaml", _managed_pool(plan, pool)),
        Manifest(NAME, f"{folder}/machinepool-{pool.name}.yaml", _machine_pool(plan, pool), note),
        Manifest(NAME, f"calls/eks-create-nodegroup-{pool.name}.json", _call(plan, pool)),
    )


def _ami_type(pool: PoolPlan) -> str:
    """Amazon Linux 2023 for the worker's architecture and devices; the Neuron image exists for amd64 alone."""
    machine = {"amd64": "x86_64", "arm64": "ARM_64"}[pool.arch]
    devices = next((image for resource, image in _DEVICES.items() if pool.extended.get(resource)), "STANDARD")
    return f"AL2023_{machine}_{devices}"


def _managed_pool(plan: BuildPlan, pool: PoolPlan) -> dict[str, Any]:
    taints = [{"key": t.key, "value": t.value, "effect": _EFFECT[t.effect]} for t in pool_taints(plan, pool)]
    return {
        "apiVersion": "infrastructure.cluster.x-k8s.io/v1beta2",
        "kind": "AWSManagedMachinePool",
        "metadata": meta(pool.name, plan.namespace),
        "spec": {
            "eksNodegroupName": pool.name,
            "roleName": plan.site.aws_node_role,
            "amiType": _ami_type(pool),
            "capacityType": "onDemand",
            "instanceType": instance_types(pool)[0],
            "diskSize": plan.site.aws_node_disk_gib,
            "scaling": {"minSize": 0, "maxSize": pool.max_nodes},
            "updateConfig": {"maxUnavailablePercentage": 25},
            "labels": pool_labels(plan, pool),
            "taints": taints,
        },
    }


def _machine_pool(plan: BuildPlan, pool: PoolPlan) -> dict[str, Any]:
    reference = {"apiGroup": "infrastructure.cluster.x-k8s.io", "kind": "AWSManagedMachinePool", "name": pool.name}
    template = {"clusterName": plan.cluster, "bootstrap": {"dataSecretName": ""}, "infrastructureRef": reference}
    return {
        "apiVersion": "cluster.x-k8s.io/v1beta2",
        "kind": "MachinePool",
        "metadata": meta(pool.name, plan.namespace, annotations={MANAGED_BY: "external-autoscaler"}),
        "spec": {"clusterName": plan.cluster, "template": {"spec": template}},
    }


def _call(plan: BuildPlan, pool: PoolPlan) -> dict[str, Any]:
    """Parameters of eks.create_nodegroup; subnets and the role's account are the site's to fill in."""
    taints = [{"key": t.key, "value": t.value, "effect": _EKS_EFFECT[t.effect]} for t in pool_taints(plan, pool)]
    return {
        "clusterName": plan.cluster,
        "nodegroupName": pool.name,
        "scalingConfig": {"minSize": 0, "maxSize": pool.max_nodes, "desiredSize": 0},
        "diskSize": plan.site.aws_node_disk_gib,
        "subnets": [],
        "instanceTypes": list(instance_types(pool)),
        "amiType": _ami_type(pool),
        "nodeRole": plan.site.aws_node_role,
        "labels": pool_labels(plan, pool),
        "taints": taints,
        "capacityType": "ON_DEMAND",
    }


TARGETS.register(NAME, Target("EKS managed node groups for AWS burst", ("cluster-autoscaler",), emit))
