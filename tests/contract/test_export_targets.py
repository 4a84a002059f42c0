"""Every registered export target meets the family's rules, and everything emitted satisfies the real CRDs, CEL included."""

from __future__ import annotations

from typing import Any

import kubernetes_validate
import pytest
import yaml

import crd_schemas
from models.plan import BuildPlan
from plans import plan, pool
from simulator.export import MODES, TARGETS
from simulator.export.bundle import default_targets, export_bundle
from simulator.export.fields import field_problems, known_fields

FOUR_ZONES = (
    pool("prod-bm", "baremetal", nodes=36, max_nodes=40),
    pool("dev-vm", "openstack_vm", priority=80, provision_p95_s=200.0),
    pool("db-ironic", "ironic", priority=90, nodes=3, max_nodes=6),
    pool("gpu-farm", "baremetal", priority=95, nodes=2, max_nodes=2, extended={"nvidia.com/gpu": 8}),
    pool("aws-burst", "aws"),
    pool("aws-committed", "aws", priority=20, max_nodes=8, instance_types=("m5.4xlarge", "m6i.4xlarge")),
)
needs_crds = pytest.mark.skipif(not crd_schemas.CRDS.is_dir(), reason="../shared/crds is absent")


def _plan(mode: str) -> BuildPlan:
    return plan(*FOUR_ZONES, burst_mode=mode)


@pytest.mark.parametrize("name", TARGETS.names())
def test_target_is_a_pure_function_with_unique_paths(name: str) -> None:
    target = TARGETS[name]
    for mode in target.modes:
        first, second = target.emit(_plan(mode)), target.emit(_plan(mode))
        assert first == second
        assert first, "a target emits something for a plan with every kind of zone"
        paths = [manifest.path for manifest in first]
        assert len(set(paths)) == len(paths)
        assert all(manifest.target == name for manifest in first)


@pytest.mark.parametrize("mode", MODES)
def test_default_targets_cover_every_pool_of_the_plan(mode: str) -> None:
    bundle = export_bundle(_plan(mode))
    groups = {m.document["metadata"]["name"] for m in bundle.manifests if m.kind in ("NodePool", "MachineDeployment", "MachinePool")}
    assert groups == {p.name for p in FOUR_ZONES}
    assert "priority_classes" in default_targets(mode)


@needs_crds
@pytest.mark.parametrize("mode", MODES)
def test_custom_resources_satisfy_schema_and_cel_of_their_crd(mode: str) -> None:
    seen = set()
    for manifest in export_bundle(_plan(mode)).manifests:
        if manifest.is_object and "." in manifest.document["apiVersion"] and manifest.kind in crd_schemas.FILES:
            seen.add(manifest.kind)
            assert crd_schemas.findings(manifest.document) == [], manifest.path
    expected = {
        "karpenter": {"NodePool", "EC2NodeClass"},
        "cluster-autoscaler": {"MachinePool", "AWSManagedMachinePool"},
    }[mode]
    assert seen == expected | {"MachineDeployment", "KubeadmConfigTemplate", "Metal3MachineTemplate", "OpenStackMachineTemplate"}


@needs_crds
@pytest.mark.parametrize("mode", MODES)
def test_argo_cd_is_told_to_leave_autoscaled_replicas_and_never_to_delete_unasked(mode: str) -> None:
    (document,) = [m.document for m in export_bundle(_plan(mode), ("cluster_api", "argocd")).manifests if m.kind == "ApplicationSet"]
    assert crd_schemas.findings(document) == []
    template = document["spec"]["template"]["spec"]
    ignored = {entry["kind"] for entry in template.get("ignoreDifferences", [])}
    assert ignored == ({"MachineDeployment", "MachinePool"} if mode == "cluster-autoscaler" else set())
    assert {"Prune=confirm", "Delete=confirm"} <= set(template["syncPolicy"]["syncOptions"])
    assert "automated" not in template["syncPolicy"]


@pytest.mark.parametrize("mode", MODES)
def test_built_in_kinds_satisfy_the_published_schemas(mode: str) -> None:
    kinds = set()
    for manifest in export_bundle(_plan(mode)).manifests:
        if manifest.document.get("apiVersion") in ("v1", "scheduling.k8s.io/v1", "rbac.authorization.k8s.io/v1"):
            kinds.add(manifest.kind)
            kubernetes_validate.validate(dict(manifest.document), "1.36", strict=True)
    assert {"Namespace", "PriorityClass", "Role", "ClusterRole"} <= kinds


@needs_crds
def test_a_wrong_document_is_found_by_the_schema_checker_itself() -> None:
    document: Any = next(m.document for m in export_bundle(plan()).manifests if m.kind == "NodePool")
    wrong = {**document, "spec": {**document["spec"], "weight": 101, "wieght": 1}}
    assert len(crd_schemas.findings(wrong)) == 2


@needs_crds
def test_shipped_field_table_is_read_off_the_crds() -> None:
    assert known_fields() == crd_schemas.all_trees()


@pytest.mark.parametrize("mode", MODES)
def test_every_rendered_file_reads_back_as_its_document(mode: str) -> None:
    bundle = export_bundle(_plan(mode))
    texts = {file.path: file.text for file in bundle.files}
    for manifest in bundle.manifests:
        assert yaml.safe_load(texts[manifest.path]) == manifest.document
        if manifest.path.endswith(".yaml"):
            assert texts[manifest.path].startswith(f"# scenario: half-private-40\n# plan: {bundle.plan.digest}\n")


def test_unknown_field_is_named_with_the_servers_path() -> None:
    document: Any = next(m.document for m in export_bundle(plan()).manifests if m.kind == "NodePool")
    spec = document["spec"]
    budgets = {**spec["disruption"], "budgets": [{"nodes": "50%", "reason": ["Empty"]}]}
    found = field_problems({**document, "spec": {**spec, "disruption": budgets}})
    assert [problem.place for problem in found] == ["spec.disruption.budgets[0].reason"]
