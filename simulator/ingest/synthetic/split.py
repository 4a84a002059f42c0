"""Split cost allocation rows (EKS): two rows per pod and hour that repeat the cost of the pod's node, never added to it.

Unit cost of a node = its amortised hourly cost / (9 x vCPU + 1 x GiB); a pod is given max(requested, used), and what
nobody asked for on the node is spread over its pods.
Source: https://docs.aws.amazon.com/cur/latest/userguide/example-split-cost-allocation-data.html
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.units import MIB_PER_GIB
from simulator.ingest.synthetic.company import Company, namespace, replicas
from simulator.ingest.synthetic.cur2 import coded, instance_ids
from simulator.ingest.synthetic.lines import ACCOUNT, EKS, HOUR, Floats, Lines, Period, Times, named_bits

VCPU, GIB = 16.0, 64.0
CPU_WEIGHT = 9.0
_UNIT = CPU_WEIGHT * VCPU + GIB


def node_cost_usd(company: Company, slot: Any) -> Floats:
    """Amortised cost of an hour of the worker in each slot; the half-covered slot is half plan, half on demand."""
    bought = company.purchases
    plan_share = np.clip(bought.reserved + bought.savings_plan - slot, 0.0, 1.0)
    after = slot - bought.reserved - int(bought.savings_plan)
    spot = (plan_share == 0.0) & (after % bought.spot_every == bought.spot_every - 1)
    mixed = plan_share * bought.savings_plan_usd_per_h + (1.0 - plan_share) * bought.on_demand_usd_per_h
    return np.where(slot < bought.reserved, bought.reserved_usd_per_h, np.where(spot, bought.spot_usd_per_h, mixed))


def split_lines(company: Company, period: Period, counts: NDArray[np.int64], generations: NDArray[np.int32]) -> list[Lines]:
    """CPU and memory rows of every pod and hour of the period; pods lie on the workers in turn.

    counts : int64 [hours] workers of the whole horizon; generations : int32 [hours, slots], as in `cur2_table`.
    """
    pods = replicas(company)[period.first : period.last]
    total = pods.sum(axis=1)
    hour = np.repeat(np.arange(period.first, period.last), total)
    pod = np.arange(len(hour)) - np.repeat(np.cumsum(total) - total, total)
    node_count = counts[hour]
    slot = pod % node_count
    on_node = (total[hour - period.first] - slot - 1) // node_count + 1
    team = (pod[:, None] >= np.cumsum(pods, axis=1)[hour - period.first]).sum(axis=1)
    unit_usd = node_cost_usd(company, slot) / _UNIT
    start: Times = company.horizon.times().astype("datetime64[s]")[hour]
    arns, names = _pod_names(company, team, pod)
    base = Lines(
        item_type="Usage", service=EKS, usage_type="", operation="EKSPod-EC2", description="", unit="", start=start, end=start + HOUR,
        amount=np.ones(len(hour)), unblended=np.zeros(len(hour)), effective=np.zeros(len(hour)), listed=np.zeros(len(hour)),
        slot=slot, hour=hour, term="OnDemand", discountable=False,
        columns={"line_item_resource_id": coded(arns, names), "resource_tags": _pod_tags(company, team)},
    )  # fmt: skip
    parent = instance_ids(company, base, generations)
    memory = company.pod_memory_mib / MIB_PER_GIB
    use = np.array([(t.cpu_use_share, t.memory_use_share) for t in company.teams])[team]
    return [
        _rows(base, "vCPU", company.pod_cpu_m / 1000.0, use[:, 0], VCPU, CPU_WEIGHT * unit_usd, on_node, parent, pod * 2),
        _rows(base, "GB", memory, use[:, 1], GIB, unit_usd, on_node, parent, pod * 2 + 1),
    ]


def _rows(
    base: Lines, resource: str, asked: float, use: Floats, size: float, unit_usd: Floats, on_node: Any, parent: Any, key: Any
) -> Lines:  # fmt: skip
    split, unused = asked * unit_usd, (size / on_node - asked) * unit_usd
    columns: dict[str, Any] = {
        "split_line_item_parent_resource_id": parent,
        "split_line_item_reserved_usage": asked, "split_line_item_actual_usage": use * asked, "split_line_item_split_usage": asked,
        "split_line_item_split_usage_ratio": 1.0 / on_node, "split_line_item_split_cost": split, "split_line_item_unused_cost": unused,
        "identity_line_item_id": coded(np.asarray(key), [f"{bits:016x}" for bits in range(int(np.max(key, initial=0)) + 1)]),
    }  # fmt: skip
    return replace(
        base, usage_type=f"APN2-EKS-EC2-{resource}-Hours", amount=np.full(len(base), asked), columns=dict(base.columns) | columns,
        description=f"{resource}-hours of EKS pods, split cost allocation",
    )  # fmt: skip


def _pod_names(company: Company, team: Any, pod: Any) -> tuple[Any, list[str | None]]:
    keys, codes = np.unique(team.astype(np.uint64) << np.uint64(32) | pod.astype(np.uint64), return_inverse=True)
    bits = named_bits(company.seed, "pod", keys)
    spaces = [namespace(company.teams[int(key) >> 32]) for key in keys]
    prefix = f"arn:aws:eks:{company.region}:{ACCOUNT}:pod/workspaces"
    return codes, [f"{prefix}/{s}/workspace-{int(b) >> 44:05x}/{int(b):016x}" for s, b in zip(spaces, bits, strict=True)]


def _pod_tags(company: Company, team: Any) -> Any:
    tags = [
        [("aws_eks_cluster_name", "workspaces"), ("aws_eks_deployment", "workspace"), ("aws_eks_namespace", namespace(t)),
         ("aws_eks_workload_name", "workspace"), ("aws_eks_workload_type", "Deployment")]
        for t in company.teams
    ]  # fmt: skip
    return pa.array(tags, type=pa.map_(pa.string(), pa.string())).take(pa.array(team.astype(np.int32)))
