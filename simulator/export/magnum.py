"""OpenStack Magnum node groups, for sites without Cluster API: calls of the container-infra API, not Kubernetes objects.

Microversion 1.14 stores labels and taints (1.10 allows zero nodes). A PATCH changes bounds, labels and taints only; the
count changes through `resize`, which refuses values outside the bounds, and bounds that exclude the count are refused
too: so a move is widen, resize, narrow. Source: OpenStack Container Infrastructure Management API reference.
"""

from __future__ import annotations

from typing import Any

from models.plan import BuildPlan, PoolPlan
from simulator.export import TARGETS, Target
from simulator.export.labels import pool_labels, pool_taints
from simulator.export.manifest import Manifest

NAME = "magnum"
KINDS = ("openstack_vm", "ironic")
MICROVERSION = "container-infra 1.14"


def emit(plan: BuildPlan) -> tuple[Manifest, ...]:
    """One file of calls per OpenStack pool."""
    return tuple(
        Manifest(NAME, f"calls/magnum-nodegroup-{pool.name}.json", _calls(plan, pool)) for pool in plan.pools if pool.kind in KINDS
    )


def _calls(plan: BuildPlan, pool: PoolPlan) -> dict[str, Any]:
    groups = f"/v1/clusters/{plan.cluster}/nodegroups"
    least = pool.nodes
    most = pool.max_nodes if plan.burst_mode == "cluster-autoscaler" else pool.nodes
    create = {
        "name": pool.name,
        "role": "worker",
        "flavor_id": plan.site.flavors.get(pool.shape, pool.shape),
        "node_count": pool.nodes,
        "min_node_count": least,
        "max_node_count": max(most, 1),
        "node_labels": pool_labels(plan, pool),
        "node_taints": [taint.as_dict() for taint in pool_taints(plan, pool)],
    }
    return {
        "microversion": MICROVERSION,
        "scenario": plan.scenario,
        "plan": plan.digest,
        "when_absent": [_call("POST", groups, create)],
        "when_present": [
            _call("PATCH", f"{groups}/{pool.name}", _bounds(0, "{the larger of the present count and " + f"{max(most, 1)}}}")),
            _call("POST", f"/v1/clusters/{plan.cluster}/actions/resize", {"node_count": pool.nodes, "nodegroup": pool.name}),
            _call("PATCH", f"{groups}/{pool.name}", _bounds(least, max(most, 1))),
        ],
    }


def _call(method: str, path: str, body: Any) -> dict[str, Any]:
    return {"method": method, "path": path, "body": body}


def _bounds(least: int, most: int | str) -> list[dict[str, Any]]:
    return [
        {"op": "replace", "path": "/min_node_count", "value": least},
        {"op": "replace", "path": "/max_node_count", "value": most},
    ]


TARGETS.register(
    NAME,
    Target("Magnum node groups on OpenStack", ("karpenter", "cluster-autoscaler"), emit, by_default=False, instead_of_cluster_api=KINDS),
)
