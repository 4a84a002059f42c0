"""Records beside the objects: what to buy, and what to change by hand on an external load balancer.

A zone without an API to apply to still gets its answer: the purchase list. Bare metal without a software-defined network
also needs its new nodes entered in the L4 pair; zones on OpenStack do not.
"""

from __future__ import annotations

from models.plan import BuildPlan
from simulator.export import TARGETS, Target
from simulator.export.manifest import Manifest

NAME = "records"


def emit(plan: BuildPlan) -> tuple[Manifest, ...]:
    """The purchase list; a list of load-balancer changes where a zone has an L4 pair of its own."""
    orders = [
        {"order_on": s.order_on.isoformat(), "arrive_on": s.arrive_on.isoformat(), "zone": s.zone, "shape": s.shape, "nodes": s.nodes}
        for s in plan.steps
    ]
    purchase = Manifest(NAME, "records/purchase-list.json", {"scenario": plan.scenario, "plan": plan.digest, "orders": orders})
    metal = [pool for pool in plan.pools if pool.private and pool.kind == "baremetal" and pool.nodes]
    if not metal:
        return (purchase,)
    changes = [
        {"zone": pool.zone, "device": "L4 pair", "change": "add node backends to every service's pool", "backends": pool.nodes}
        for pool in metal
    ]
    return purchase, Manifest(
        NAME, "records/load-balancer-changes.json", {"scenario": plan.scenario, "plan": plan.digest, "changes": changes}
    )


TARGETS.register(NAME, Target("Purchase list and load-balancer changes", ("karpenter", "cluster-autoscaler"), emit))
