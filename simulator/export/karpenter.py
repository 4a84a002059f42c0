"""Karpenter 1.14 on AWS: one EC2NodeClass and one NodePool per burst pool (karpenter.sh/v1, karpenter.k8s.aws/v1).

`limits` count capacity, so they are whole nodes of the plan's worker; they stop new nodes and never remove any.
Source: https://karpenter.sh/docs/concepts/nodepools and /nodeclasses.
"""

from __future__ import annotations

from typing import Any

from models.plan import BuildPlan, PoolPlan
from models.units import cpu_text, memory_text
from simulator.export import TARGETS, Target
from simulator.export.labels import eviction_hard, kube_reserved, pool_labels, pool_taints, system_reserved
from simulator.export.manifest import Manifest, meta

NAME = "karpenter"
PROVIDER = "karpenter.k8s.aws"


def emit(plan: BuildPlan) -> tuple[Manifest, ...]:
    """Two documents per burst pool, in the pool's overlay."""
    weights = pool_weights(plan)
    return tuple(manifest for pool in plan.pools if not pool.private for manifest in _pool(plan, pool, weights[pool.name]))


def pool_weights(plan: BuildPlan) -> dict[str, int]:
    """NodePool weights 1..100 in the order of the pools' priorities; equal priorities share a weight."""
    ranks = sorted({pool.priority for pool in plan.pools if not pool.private})
    weight = {priority: (rank + 1) * 100 // (len(ranks) + 1) for rank, priority in enumerate(ranks)}
    return {pool.name: weight[pool.priority] for pool in plan.pools if not pool.private}


def _pool(plan: BuildPlan, pool: PoolPlan, weight: int) -> tuple[Manifest, ...]:
    folder = f"overlays/{pool.zone}"
    note = f"At most {pool.max_nodes} nodes of {pool.shape}. Limits stop new nodes and may overrun; lowering them removes none."
    return (
        Manifest(NAME, f"{folder}/ec2nodeclass-{pool.name}.yaml", _node_class(plan, pool)),
        Manifest(NAME, f"{folder}/nodepool-{pool.name}.yaml", _node_pool(plan, pool, weight), note),
    )


def _node_class(plan: BuildPlan, pool: PoolPlan) -> dict[str, Any]:
    site = plan.site
    tags = site.aws_discovery_tags or {f"{plan.label_prefix}/cluster": plan.cluster}
    disk = {"volumeSize": f"{site.aws_node_disk_gib}Gi", "volumeType": "gp3", "encrypted": True, "deleteOnTermination": True}
    return {
        "apiVersion": f"{PROVIDER}/v1",
        "kind": "EC2NodeClass",
        "metadata": meta(pool.name),
        "spec": {
            "role": site.aws_node_role,
            "amiSelectorTerms": [{"alias": site.aws_ami_alias}],
            "subnetSelectorTerms": [{"tags": dict(tags)}],
            "securityGroupSelectorTerms": [{"tags": dict(tags)}],
            "kubelet": _kubelet(pool),
            "blockDeviceMappings": [{"deviceName": "/dev/xvda", "ebs": disk}],
            "tags": {f"{plan.label_prefix}/zone": pool.zone},
        },
    }


def _kubelet(pool: PoolPlan) -> dict[str, Any]:
    """Reservations of the planned worker; with several instance types Karpenter's own formula per type is right."""
    eviction = {"evictionHard": eviction_hard(pool)}
    if instance_types(pool) != (pool.shape,):
        return eviction
    system = system_reserved(pool)
    return {"maxPods": pool.max_pods, "kubeReserved": kube_reserved(pool), **({"systemReserved": system} if system else {}), **eviction}


def instance_types(pool: PoolPlan) -> tuple[str, ...]:
    """Instance types that the pool may buy; the planned worker when none are named."""
    return pool.instance_types or (pool.shape,)


def _node_pool(plan: BuildPlan, pool: PoolPlan, weight: int) -> dict[str, Any]:
    requirements = [
        _in("node.kubernetes.io/instance-type", *sorted(instance_types(pool))),
        _in("karpenter.sh/capacity-type", "on-demand"),
        _in("kubernetes.io/arch", pool.arch),
        _in("kubernetes.io/os", "linux"),
    ]
    node = {
        "expireAfter": "720h",
        "terminationGracePeriod": "1h",
        "nodeClassRef": {"group": PROVIDER, "kind": "EC2NodeClass", "name": pool.name},
        "taints": [taint.as_dict() for taint in pool_taints(plan, pool)],
        "requirements": requirements,
    }
    return {
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodePool",
        "metadata": meta(pool.name),
        "spec": {
            "weight": weight,
            "limits": {"cpu": cpu_text(pool.max_nodes * pool.cpu_m), "memory": memory_text(pool.max_nodes * pool.memory_mib)},
            "disruption": {
                "consolidationPolicy": "WhenEmptyOrUnderutilized",
                "consolidateAfter": "5m",
                "budgets": [{"nodes": "50%"}],
            },
            "template": {"metadata": {"labels": pool_labels(plan, pool)}, "spec": node},
        },
    }


def _in(key: str, *values: str) -> dict[str, Any]:
    return {"key": key, "operator": "In", "values": list(values)}


TARGETS.register(NAME, Target("Karpenter NodePools for AWS burst", ("karpenter",), emit))
