"""What a person should know before applying an export; each line one fact that has hurt someone.

Sources are the upstream issues named in the design's table of pitfalls: cluster-api#5906, #8217, autoscaler#5014,
karpenter-provider-aws#5909, and the recorded runs under tests/recordings/cluster-autoscaler.
"""

from __future__ import annotations

from models.plan import BuildPlan, PoolPlan
from models.site import Site
from models.units import go_duration
from simulator.export.cluster_api import provision_limit_s
from simulator.export.labels import pool_taints

_LONG_WAIT_S = 1800


def warnings(plan: BuildPlan, planned_mode: str) -> tuple[str, ...]:
    """Warnings of a plan exported in `plan.burst_mode`; `planned_mode` is the mode that was simulated."""
    lines: list[str] = []
    if planned_mode != plan.burst_mode:
        lines.append(
            f"the plan was simulated with burst mode {planned_mode}, and is exported for {plan.burst_mode}: plan again to verify it"
        )
    private = [pool for pool in plan.pools if pool.private]
    burst = [pool for pool in plan.pools if not pool.private]
    lines += _private(plan, private)
    lines += _karpenter(burst) if plan.burst_mode == "karpenter" else _autoscaler(private, burst)
    lines += _site(plan, private, burst)
    lines += _architectures(private, burst)
    return tuple(lines)


def _architectures(private: list[PoolPlan], burst: list[PoolPlan]) -> list[str]:
    owned = sorted({pool.arch for pool in private})
    return [
        f"{pool.name}: {pool.arch} nodes beside owned {', '.join(owned)} ones: pods that may run on both need images for both"
        for pool in burst
        if owned and pool.arch not in owned
    ]


def _private(plan: BuildPlan, pools: list[PoolPlan]) -> list[str]:
    lines = []
    for pool in pools:
        if pool.kind == "baremetal":
            lines.append(
                f"{pool.name}: {pool.max_nodes} BareMetalHosts must be available and carry {plan.label_prefix}/server={pool.shape}; "
                "more machines than hosts would later delete real nodes"
            )
        if pool.kind != "openstack_vm":
            lines.append(f"{pool.name}: there is no spare host for a surge, so a rollout takes one node out of service at a time")
        if pool_taints(plan, pool):
            lines.append(
                f"{pool.name}: taints on Machines need the Cluster API gate MachineTaintPropagation; kubelet arguments carry them too"
            )
    return lines


def _karpenter(burst: list[PoolPlan]) -> list[str]:
    lines = []
    if burst:
        lines.append("NodePool limits may overrun a little and lowering them removes no node: set an alarm at 80 % and drain separately")
        lines.append("every change under spec.template of a NodePool replaces its nodes; weight, limits and disruption replace none")
    for pool in burst:
        if len(pool.instance_types) > 1:
            lines.append(
                f"{pool.name}: several instance types, so reservations follow Karpenter's formula per type, not the plan's {pool.shape}"
            )
    return lines


def _autoscaler(private: list[PoolPlan], burst: list[PoolPlan]) -> list[str]:
    lines = []
    if any(pool.nodes > 0 for pool in private):
        lines.append(
            "the autoscaler does not raise a group that stands below its minimum unless it runs with --enforce-node-group-min-size; "
            "raising a minimum later needs one manual scale"
        )
        lines.append(
            "scale-in takes the emptiest node, private or not: each private minimum is set to the nodes owned so that AWS nodes go first"
        )
    for pool in private:
        limit_s = provision_limit_s(pool.provision_p95_s)
        if pool.max_nodes > pool.nodes and limit_s > _LONG_WAIT_S:
            lines.append(
                f"{pool.name}: pods that wait for one of its nodes go to AWS only after {go_duration(limit_s)}, when it counts as failed"
            )
    if any(pool.max_nodes > pool.nodes for pool in private) and burst:
        lines.append(
            "one autoscaler process has one cloud provider: the priority list orders private groups and AWS groups only if AWS "
            "machines are Cluster API machines too; with private groups that cannot grow this does not matter"
        )
    if any(len(pool.instance_types) > 1 for pool in burst):
        lines.append("a managed node group through Cluster API has one instance type: the first of each pool is used")
    empty = [pool.name for pool in burst if not pool.max_nodes]
    if empty:
        lines.append(f"{', '.join(empty)}: the plan never bursts, so there is no node group for it")
    if burst:
        lines.append("calls/eks-create-nodegroup-*.json: fill in the subnets and the ARN of the node role")
    return lines


def _site(plan: BuildPlan, private: list[PoolPlan], burst: list[PoolPlan]) -> list[str]:
    site, lines = plan.site, []
    if any(pool.kind == "baremetal" for pool in private) and site.metal_image_url == Site().metal_image_url:
        lines.append("export.site.metal_image_url is a placeholder: name the image of your nodes")
    if any(pool.kind in ("openstack_vm", "ironic") for pool in private):
        lines.append("OpenStack flavours and images must exist under the names used; export.site renames them")
    if burst and plan.burst_mode == "karpenter" and site.aws_ami_alias.endswith("@latest"):
        lines.append(
            "export.site.aws_ami_alias follows the latest image: nodes roll when AWS publishes one; pin a release to decide yourself"
        )
    return lines
