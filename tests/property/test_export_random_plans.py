"""Whatever a sizing comes up with, the export of it is valid: schemas, CEL, invariants, priorities (no cluster needed)."""

from __future__ import annotations

import kubernetes_validate
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import crd_schemas
from models.plan import BuildPlan, PoolPlan
from plans import plan, pool
from simulator.export.bundle import export_bundle
from simulator.export.check_groups import MANAGED_BY
from simulator.export.check_priorities import parse, priority_of
from simulator.export.cluster_autoscaler import group_id

_NAME = st.from_regex(r"[a-z]([a-z0-9-]{0,30}[a-z0-9])?", fullmatch=True)
_DNS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?(\.[a-z]{2,5}){0,3}", fullmatch=True)


@st.composite
def pools(draw: st.DrawFn) -> tuple[PoolPlan, ...]:
    names = draw(st.lists(_NAME, min_size=1, max_size=5, unique=True))
    made = []
    for name in names:
        kind = draw(st.sampled_from(["baremetal", "ironic", "openstack_vm", "aws"]))
        private = kind != "aws"
        nodes = draw(st.integers(0, 400)) if private else 0
        made.append(
            pool(
                name,
                kind,
                nodes=nodes,
                max_nodes=nodes + draw(st.integers(0 if private else 1, 400)),
                cpu_m=1000 * draw(st.integers(2, 448)),
                memory_mib=draw(st.integers(40_000, 24_000_000)),
                max_pods=draw(st.integers(8, 500)),
                eviction_memory_mib=draw(st.integers(1, 2048)),
                provision_p95_s=draw(st.floats(0.0, 20_000.0)),
                priority=draw(st.integers(50, 99)) if private else draw(st.integers(0, 49)),
                extended={"nvidia.com/gpu": 8} if draw(st.booleans()) else {},
            )
        )
    return tuple(made)


@st.composite
def random_plans(draw: st.DrawFn) -> BuildPlan:
    return plan(
        *draw(pools()),
        burst_mode=draw(st.sampled_from(["karpenter", "cluster-autoscaler"])),
        label_prefix=draw(_DNS),
        namespace=draw(_NAME),
        cluster=draw(_NAME),
        kubernetes_version=draw(st.sampled_from(["1.30", "1.35", "1.36"])),
    )


@pytest.mark.skipif(not crd_schemas.CRDS.is_dir(), reason="../shared/crds is absent")
@settings(deadline=None, max_examples=40)
@given(random_plans())
def test_every_emitted_document_of_a_random_plan_validates(of: BuildPlan) -> None:
    bundle = export_bundle(of)
    for manifest in bundle.manifests:
        if manifest.kind in crd_schemas.FILES:
            assert crd_schemas.findings(manifest.document) == [], manifest.path
        elif manifest.document.get("apiVersion") in ("v1", "scheduling.k8s.io/v1", "rbac.authorization.k8s.io/v1"):
            kubernetes_validate.validate(dict(manifest.document), "1.36", strict=True)


@settings(deadline=None, max_examples=40)
@given(random_plans())
def test_private_groups_outrank_aws_groups_whatever_their_names(of: BuildPlan) -> None:
    bundle = export_bundle(of.model_copy(update={"burst_mode": "cluster-autoscaler"}).sealed())
    (config,) = [m.document for m in bundle.manifests if m.kind == "ConfigMap"]
    table = parse(config["data"]["priorities"])
    rank = {p.name: priority_of(table, group_id(of, p)) or 0 for p in of.pools}
    for private in (p for p in of.pools if p.private):
        for other in of.pools:
            if other.priority < private.priority:
                assert rank[other.name] < rank[private.name]
            if other.priority == private.priority:
                assert rank[other.name] == rank[private.name]
    assert min(rank.values()) > 1


@settings(deadline=None, max_examples=30)
@given(random_plans())
def test_a_bundle_never_mixes_two_autoscalers(of: BuildPlan) -> None:
    manifests = export_bundle(of).manifests
    karpenter = any(m.kind == "NodePool" for m in manifests)
    other = any(MANAGED_BY in (m.document.get("metadata", {}).get("annotations") or {}) for m in manifests)
    assert not (karpenter and other)


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.tuples(st.integers(0, 100), st.sampled_from(["a", "b", "ab", "^a$", ".*"])), min_size=1),
    st.sampled_from(["a", "b", "ab", "c"]),
)
def test_highest_matching_integer_wins_like_a_scan_from_the_top(entries: list[tuple[int, str]], group: str) -> None:
    import re

    table: dict[int, list[str]] = {}
    for priority, pattern in entries:
        table.setdefault(priority, []).append(pattern)
    expected = next((n for n in sorted(table, reverse=True) if any(re.search(p, group) for p in table[n])), None)
    assert priority_of(table, group) == expected
