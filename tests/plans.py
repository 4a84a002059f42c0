"""Plans for tests of the export: the shipped case's shapes with figures that can be checked by hand."""

from __future__ import annotations

from datetime import date
from typing import Any

from models.plan import BuildPlan, Money, PoolPlan, Readings, Recommendation, Step, Verification


def pool(name: str, kind: str, **changes: Any) -> PoolPlan:
    """A pool of `kind`: c64m512 metal or k8s.8c32g VM workers (private), m5.4xlarge workers (aws)."""
    shapes: dict[str, dict[str, Any]] = {
        "baremetal": {
            "shape": "c64m512",
            "cpu_m": 64000,
            "memory_mib": 524288,
            "kube_reserved_cpu_m": 230,
            "kube_reserved_memory_mib": 17408,
        },
        "ironic": {"shape": "c64m512", "cpu_m": 64000, "memory_mib": 524288, "kube_reserved_cpu_m": 230, "kube_reserved_memory_mib": 17408},
        "openstack_vm": {
            "shape": "k8s.8c32g",
            "cpu_m": 8000,
            "memory_mib": 32768,
            "kube_reserved_cpu_m": 90,
            "kube_reserved_memory_mib": 3646,
        },
        "aws": {"shape": "m5.4xlarge", "cpu_m": 16000, "memory_mib": 65536, "kube_reserved_cpu_m": 110, "kube_reserved_memory_mib": 2829},
    }
    private = kind != "aws"
    base: dict[str, Any] = {
        "name": name,
        "zone": name,
        "kind": kind,
        "private": private,
        "nodes": 40 if private else 0,
        "max_nodes": 40 if private else 60,
        "max_pods": 110 if private else 234,
        "system_reserved_cpu_m": 500 if private else 0,
        "system_reserved_memory_mib": 1024 if private else 0,
        "eviction_memory_mib": 100,
        "provision_p95_s": 1800.0 if private else 95.0,
        "priority": 100 if private else 10,
        **shapes[kind],
        **changes,
    }
    base["allocatable_cpu_m"] = base["cpu_m"] - base["kube_reserved_cpu_m"] - base["system_reserved_cpu_m"]
    reserved = base["kube_reserved_memory_mib"] + base["system_reserved_memory_mib"] + base["eviction_memory_mib"]
    base["allocatable_memory_mib"] = base["memory_mib"] - reserved
    return PoolPlan(**(base | {key: changes[key] for key in ("allocatable_cpu_m", "allocatable_memory_mib") if key in changes}))


def plan(*pools: PoolPlan, **changes: Any) -> BuildPlan:
    """A sealed plan; by default 40 metal nodes and AWS burst up to 60."""
    pools = pools or (pool("prod-bm", "baremetal"), pool("aws-burst", "aws"))
    private = {p.zone: p.nodes for p in pools if p.private}
    total = sum(private.values())
    steps = [
        Step(order_on=date(2026, 1, 5), arrive_on=date(2026, 3, 2), zone=p.zone, shape=p.shape, nodes=p.nodes) for p in pools if p.private
    ]
    fields: dict[str, Any] = {
        "scenario": "half-private-40",
        "as_of": date(2026, 1, 5),
        "kubernetes_version": "1.36",
        "currency": "USD",
        "recommendation": Recommendation(private_nodes=total, by_zone=private, range_1pct=(total, total), confidence="high"),
        "readings": Readings(by_users_nodes=40, by_peak_nodes=40, by_worker_hours_nodes=26),
        "alternatives": {},
        "verification": Verification(
            packing_assumed_share=0.85,
            packing_measured_share=0.955,
            nodes_at_measured_packing=total,
            pinned_holds_at=36,
            pinned_fails_at=35,
            pending_p95_s=1.0,
            pending_p99_s=2.0,
            burst_start_p95_s=95.0,
            slo_met=True,
            replications=1,
        ),
        "money": Money(
            aws_as_billed_usd_per_year=4.0,
            aws_best_usd_per_year=3.0,
            private_usd_per_year=1.0,
            hybrid_usd_per_year=2.0,
            npv_usd=1.0,
            payback_months=12.0,
            capex_usd=1.0,
        ),
        "steps": tuple(steps),
        "limits": (),
        "pools": pools,
        "burst_mode": "karpenter",
        "label_prefix": "placement.burstline.dev",
        "namespace": "capacity",
        "cluster": "prod",
        "reasons": (),
        "unverified": (),
        "seed": 40,
        **changes,
    }
    return BuildPlan(**fields).sealed()
