"""Exported settings do in the simulated autoscaler what the plan promised: private groups first, AWS last."""

from __future__ import annotations

from typing import Any

from models.units import cpu_m, memory_bytes
from plans import plan, pool
from simulator.engine.autoscalers.expanders import Option, priority
from simulator.export.bundle import export_bundle
from simulator.export.check_groups import CAPACITY
from simulator.export.check_priorities import parse
from simulator.export.cluster_autoscaler import group_id

POOLS = (
    pool("prod-bm", "baremetal", nodes=36, max_nodes=40),
    pool("dev-vm", "openstack_vm", priority=80, nodes=4, max_nodes=24),
    pool("aws-burst", "aws"),
)


def test_groups_are_bought_in_the_order_of_the_plan_until_only_aws_is_left() -> None:
    of = plan(*POOLS, burst_mode="cluster-autoscaler")
    manifests = export_bundle(of).manifests
    table = parse(next(m.document for m in manifests if m.kind == "ConfigMap")["data"]["priorities"])
    allocatable: dict[str, Any] = {
        m.document["metadata"]["name"]: m.document["metadata"]["annotations"] for m in manifests if m.kind == "MachineDeployment"
    }
    options = []
    for p in of.pools:
        told = allocatable.get(p.name)
        node_cpu_m = cpu_m(told[CAPACITY + "cpu"]) if told else p.allocatable_cpu_m
        node_memory = memory_bytes(told[CAPACITY + "memory"]) if told else p.allocatable_memory_mib * 2**20
        options.append(Option(group_id(of, p), 1, 1, 1000, 2**30, node_cpu_m, node_memory))
    taken = []
    while options:
        (best,) = priority(options, table)
        taken.append(best.group.rsplit("/")[-1][:9])
        options.remove(best)
    assert taken == ["prod-bm", "dev-vm", "eks-aws-b"]
