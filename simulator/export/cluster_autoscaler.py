"""Cluster Autoscaler 1.36: the priority expander's ConfigMap and values for chart 9.59.

The ConfigMap's name and its key `priorities` are fixed by the program (expander/priority). Highest integer wins; a group
that matches nothing is passed over while another matches, and a missing or malformed list hands every group to the next
expander, AWS included: hence the catch-all and the checks before anything is applied.
"""

from __future__ import annotations

from typing import Any

import yaml

from models.plan import BuildPlan, PoolPlan
from models.units import go_duration
from simulator.export import TARGETS, Target
from simulator.export.cluster_api import provision_limit_s, unneeded_s
from simulator.export.labels import kubernetes_release
from simulator.export.manifest import Manifest, meta

NAME = "cluster_autoscaler"
CONFIG_MAP = "cluster-autoscaler-priority-expander"
KEY = "priorities"
NAMESPACE = "kube-system"
CATCH_ALL = 1
_UUID = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


def emit(plan: BuildPlan) -> tuple[Manifest, ...]:
    """The ConfigMap in `base/`, the chart's values in `helm/`."""
    data = {KEY: yaml.safe_dump(priorities(plan), sort_keys=True, default_flow_style=False).rstrip("\n")}
    document = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta(CONFIG_MAP, NAMESPACE), "data": data}
    note = "Read again by the autoscaler in every loop: no restart needed. Highest number first: private, then AWS."
    return (
        Manifest(NAME, f"base/configmap-{CONFIG_MAP}.yaml", document, note),
        Manifest(NAME, "helm/cluster-autoscaler-values.yaml", _values(plan), "Values for the cluster-autoscaler chart; not an object."),
    )


def group_patterns(plan: BuildPlan, pool: PoolPlan) -> list[str]:
    """RE2 patterns that match the pool's group id: Kind/namespace/name, the ASG of an EKS group, or a Magnum group's name."""
    if pool.private:
        magnum = [f"^{pool.name}-[0-9a-f]{{8}}$"] if pool.kind in ("openstack_vm", "ironic") else []
        return [f"^MachineDeployment/{plan.namespace}/{pool.name}$", *magnum]
    return [f"^eks-{pool.name}-{_UUID}$", f"^MachinePool/{plan.namespace}/{pool.name}$"]


def group_id(plan: BuildPlan, pool: PoolPlan) -> str:
    """The group id that the autoscaler will report; of an EKS group, with an example UUID."""
    return f"MachineDeployment/{plan.namespace}/{pool.name}" if pool.private else f"eks-{pool.name}-4ec8a2c5-0d6b-4f3c-9d5e-0a1b2c3d4e5f"


def priorities(plan: BuildPlan) -> dict[int, list[str]]:
    """Priority -> patterns: tens in the order of the pools' priorities, and a catch-all below them."""
    ranks = {priority: 10 * (rank + 1) for rank, priority in enumerate(sorted({pool.priority for pool in plan.pools}))}
    table: dict[int, list[str]] = {CATCH_ALL: [".*"]}
    for pool in plan.pools:
        table.setdefault(ranks[pool.priority], []).extend(group_patterns(plan, pool))
    return table


def _values(plan: BuildPlan) -> dict[str, Any]:
    """Times follow the burst nodes: private groups carry their own, slower ones as annotations."""
    grows = any(pool.private and pool.max_nodes > pool.nodes for pool in plan.pools)
    burst_s = max((pool.provision_p95_s for pool in plan.pools if not pool.private), default=0.0)
    if grows:
        provider: dict[str, Any] = {
            "cloudProvider": "clusterapi",
            "clusterAPIMode": "incluster-incluster",
            "autoDiscovery": {"namespace": plan.namespace, "clusterName": plan.cluster},
        }
    else:
        provider = {"cloudProvider": "aws", "awsRegion": plan.site.aws_region, "autoDiscovery": {"clusterName": plan.cluster}}
    return {
        **provider,
        "image": {"tag": kubernetes_release(plan)},
        "extraArgs": {
            "namespace": NAMESPACE,
            "expander": "priority,least-waste",
            "max-node-provision-time": go_duration(provision_limit_s(burst_s)),
            "scale-down-unneeded-time": go_duration(unneeded_s(burst_s)),
            "max-total-unready-percentage": "45",
            "expendable-pods-priority-cutoff": "-10",
            "max-nodes-total": str(sum(pool.max_nodes for pool in plan.pools)),
        },
        "rbac": {"clusterScoped": True, "additionalRules": _rules()} if grows else {"create": True},
    }


def _rules() -> list[dict[str, Any]]:
    """The autoscaler reads infrastructure templates to learn of nodes that do not exist yet."""
    resources = ["metal3machinetemplates", "openstackmachinetemplates", "awsmanagedmachinepools"]
    return [{"apiGroups": ["infrastructure.cluster.x-k8s.io"], "resources": resources, "verbs": ["get", "list", "watch"]}]


TARGETS.register(NAME, Target("Cluster Autoscaler priorities and chart values", ("cluster-autoscaler",), emit))
