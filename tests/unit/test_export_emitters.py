"""What each emitter writes, figure by figure, and what it must never write."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from models.errors import InputError
from models.plan import BuildPlan
from models.site import Site
from models.units import quantity
from plans import plan, pool
from simulator.export.bundle import export_bundle, resolve, write_bundle
from simulator.export.check_groups import CAPACITY, SIZE, kubelet_arguments, reserved
from simulator.export.check_priorities import parse, priority_of
from simulator.export.cluster_autoscaler import group_id, priorities
from simulator.export.planfile import read_plan
from simulator.record import to_json

GROWING = (pool("prod-bm", "baremetal", nodes=36, max_nodes=40), pool("dev-vm", "openstack_vm", priority=80), pool("aws-burst", "aws"))


def documents(of: BuildPlan, kind: str, *targets: str) -> list[Any]:
    return [m.document for m in export_bundle(of, targets).manifests if m.kind == kind]


def test_karpenter_mode_fixes_private_replicas_and_annotates_nothing() -> None:
    (group,) = documents(plan(), "MachineDeployment")
    assert group["spec"]["replicas"] == 40
    assert "annotations" not in group["metadata"]


def test_autoscaler_mode_writes_both_bounds_and_no_replicas() -> None:
    group = documents(plan(*GROWING, burst_mode="cluster-autoscaler"), "MachineDeployment")[1]
    assert group["metadata"]["name"] == "prod-bm"
    assert "replicas" not in group["spec"]
    assert group["metadata"]["annotations"][SIZE.format("min")] == "36"
    assert group["metadata"]["annotations"][SIZE.format("max")] == "40"


def test_annotated_capacity_is_hardware_less_reservations_to_the_byte() -> None:
    of = plan(*GROWING, burst_mode="cluster-autoscaler")
    templates = {d["metadata"]["name"]: d for d in documents(of, "KubeadmConfigTemplate")}
    hardware = {p.name: p for p in of.pools}
    groups = documents(of, "MachineDeployment")
    assert len(groups) == 2
    for group in groups:
        kubelet = kubelet_arguments(templates[group["spec"]["template"]["spec"]["bootstrap"]["configRef"]["name"]])
        annotations, machine = group["metadata"]["annotations"], hardware[group["metadata"]["name"]]
        assert quantity(annotations[CAPACITY + "cpu"]) == Decimal(machine.cpu_m) / 1000 - reserved(kubelet, "cpu")
        assert quantity(annotations[CAPACITY + "memory"]) == Decimal(machine.memory_mib) * 2**20 - reserved(kubelet, "memory")


def test_capacity_of_the_shipped_server_by_hand() -> None:
    # 64000 - 230 - 500 = 63270 m; 524288 - 17408 - 1024 - 100 = 505756 MiB
    group = documents(plan(*GROWING, burst_mode="cluster-autoscaler"), "MachineDeployment")[1]
    annotations = group["metadata"]["annotations"]
    assert (annotations[CAPACITY + "cpu"], annotations[CAPACITY + "memory"]) == ("63270m", "505756Mi")


def test_provision_limit_follows_the_measured_p95() -> None:
    # 1.5 x 1800 s = 2700 s = 45 min; the VM's 1.5 x 90 s stays at the autoscaler's own default of 15 min
    groups = documents(
        plan(*GROWING[:1], pool("dev-vm", "openstack_vm", priority=80, provision_p95_s=90.0), burst_mode="cluster-autoscaler"),
        "MachineDeployment",
    )
    key = "cluster.x-k8s.io/autoscaling-options-maxnodeprovisiontime"
    assert [g["metadata"]["annotations"][key] for g in groups] == ["15m0s", "45m0s"]


def test_a_slow_private_group_does_not_slow_the_verdict_on_aws() -> None:
    slow = pool("prod-bm", "baremetal", nodes=36, max_nodes=40, provision_p95_s=86400.0)
    bundle = export_bundle(plan(slow, pool("aws-burst", "aws", provision_p95_s=95.0), burst_mode="cluster-autoscaler"))
    (values,) = [m.document for m in bundle.manifests if m.kind == "HelmValues"]
    assert values["extraArgs"]["max-node-provision-time"] == "15m0s"  # 1.5 x 95 s is below the default
    assert any("go to AWS only after 36h0m0s" in line for line in bundle.warnings)  # 1.5 x 24 h


def test_burst_limits_are_whole_nodes_and_strings() -> None:
    # 60 nodes x 16 vCPU = 960; 60 x 64 GiB = 3840 GiB
    (node_pool,) = documents(plan(), "NodePool")
    assert node_pool["spec"]["limits"] == {"cpu": "960", "memory": "3840Gi"}
    assert node_pool["spec"]["template"]["spec"]["taints"] == [
        {"key": "placement.burstline.dev/burst", "value": "true", "effect": "NoSchedule"}
    ]


def test_higher_priority_gets_the_higher_weight() -> None:
    pools = (pool("prod-bm", "baremetal"), pool("aws-a", "aws", priority=10), pool("aws-b", "aws", priority=20))
    weights = {d["metadata"]["name"]: d["spec"]["weight"] for d in documents(plan(*pools), "NodePool")}
    assert weights == {"aws-a": 33, "aws-b": 66}  # (rank + 1) x 100 // 3


def test_several_instance_types_leave_reservations_to_karpenter() -> None:
    mixed = pool("aws-burst", "aws", instance_types=("m5.4xlarge", "m6i.8xlarge"))
    (node_class,) = documents(plan(GROWING[0], mixed), "EC2NodeClass")
    assert set(node_class["spec"]["kubelet"]) == {"evictionHard"}


def test_managed_group_belongs_to_the_external_autoscaler() -> None:
    of = plan(*GROWING, burst_mode="cluster-autoscaler")
    (group,) = documents(of, "MachinePool")
    assert group["metadata"]["annotations"] == {"cluster.x-k8s.io/replicas-managed-by": "external-autoscaler"}
    assert "replicas" not in group["spec"]
    (managed,) = documents(of, "AWSManagedMachinePool")
    assert managed["spec"]["scaling"] == {"minSize": 0, "maxSize": 60}
    assert managed["spec"]["taints"][0]["effect"] == "no-schedule"


def test_priority_list_puts_every_private_group_above_aws() -> None:
    of = plan(*GROWING, burst_mode="cluster-autoscaler")
    (config,) = documents(of, "ConfigMap")
    assert config["metadata"] == {"name": "cluster-autoscaler-priority-expander", "namespace": "kube-system"}
    table = parse(config["data"]["priorities"])
    assert table == priorities(of)
    ranks = {p.name: priority_of(table, group_id(of, p)) for p in of.pools}
    assert ranks == {"aws-burst": 10, "dev-vm": 20, "prod-bm": 30}
    assert priority_of(table, "MachineDeployment/other/unknown") == 1


def test_priority_pattern_of_one_group_does_not_match_its_neighbour() -> None:
    of = plan(GROWING[0], pool("aws-a", "aws", priority=10), pool("aws-a-2", "aws", priority=20), burst_mode="cluster-autoscaler")
    table = priorities(of)
    assert priority_of(table, "eks-aws-a-2-4ec8a2c5-0d6b-4f3c-9d5e-0a1b2c3d4e5f") == 20
    assert priority_of(table, "eks-aws-a-4ec8a2c5-0d6b-4f3c-9d5e-0a1b2c3d4e5f") == 10


def test_template_names_change_with_their_content_only() -> None:
    def name(of: BuildPlan) -> str:
        return str(documents(of, "Metal3MachineTemplate")[0]["metadata"]["name"])

    other_image = plan(site=Site(metal_image_url="https://images.test/a.qcow2"))
    assert name(plan()) == name(plan(seed=41))
    assert name(plan()) != name(other_image)
    assert name(plan()).startswith("prod-bm-")


def test_targets_of_both_modes_are_refused_by_name() -> None:
    with pytest.raises(InputError, match=r"karpenter \(burst mode karpenter\) beside cluster_autoscaler"):
        export_bundle(plan(), ("karpenter", "cluster-autoscaler"))


def test_named_targets_choose_the_mode_and_say_that_it_was_not_simulated() -> None:
    assert resolve(plan(), ("cluster_api",))[0] == "karpenter"
    bundle = export_bundle(plan(), ("cluster_api", "eks-node-group", "cluster_autoscaler"))
    assert bundle.plan.burst_mode == "cluster-autoscaler"
    assert "simulated with burst mode karpenter" in bundle.warnings[0]


def test_unknown_target_is_refused_with_near_misses() -> None:
    with pytest.raises(InputError, match="did you mean karpenter"):
        export_bundle(plan(), ("karpentr",))


@pytest.mark.parametrize(
    ("pools", "message"),
    [
        ((pool("prod-bm", "baremetal", allocatable_cpu_m=64000), pool("aws", "aws")), "hardware less reservations is 63270"),
        ((pool("prod-bm", "baremetal", nodes=41),), "0 <= nodes <= max_nodes"),
        ((pool("prod-bm", "baremetal", priority=10), pool("aws", "aws", priority=10)), "private pools come first"),
        ((pool("Prod_BM", "baremetal"),), "lower-case letters"),
        ((pool("prod-bm", "baremetal"), pool("prod-bm", "baremetal")), "2 pools of this name"),
    ],
)
def test_a_plan_that_cannot_become_node_groups_is_refused(pools: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        export_bundle(plan(*pools))


def test_bare_metal_lists_load_balancer_changes_and_openstack_does_not() -> None:
    def records(kind: str) -> list[str]:
        return [f.path for f in export_bundle(plan(pool("zone", kind), pool("aws", "aws"))).files if f.path.startswith("records/")]

    assert records("baremetal") == ["records/load-balancer-changes.json", "records/purchase-list.json"]
    assert records("openstack_vm") == ["records/purchase-list.json"]
    assert records("ironic") == ["records/purchase-list.json"]


def test_magnum_takes_openstack_pools_out_of_cluster_api() -> None:
    of = plan(*GROWING, burst_mode="cluster-autoscaler")
    bundle = export_bundle(of, ("cluster_api", "magnum", "cluster_autoscaler"))
    assert [m.document["metadata"]["name"] for m in bundle.manifests if m.kind == "MachineDeployment"] == ["prod-bm"]
    (calls,) = [m.document for m in bundle.manifests if m.kind == "ApiCalls"]
    assert calls["when_absent"][0]["body"]["max_node_count"] == 40
    assert [call["method"] for call in calls["when_present"]] == ["PATCH", "POST", "PATCH"]  # widen, resize, narrow
    assert priority_of(priorities(of), "dev-vm-3fa85f64") == 20


def test_same_plan_same_bytes_and_a_smaller_export_removes_its_old_files(tmp_path: Path) -> None:
    write_bundle(export_bundle(plan()), tmp_path)
    first = {p.relative_to(tmp_path): p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    write_bundle(export_bundle(plan()), tmp_path)
    assert {p.relative_to(tmp_path): p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == first
    (tmp_path / "overlays" / "mine.txt").write_text("kept")
    write_bundle(export_bundle(plan(), ("priority_classes",)), tmp_path)
    left = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()}
    assert "overlays/mine.txt" in left
    assert not any("nodepool" in path for path in left)


def test_index_lists_every_file_with_its_hash(tmp_path: Path) -> None:
    import hashlib

    bundle = export_bundle(plan())
    write_bundle(bundle, tmp_path)
    index = json.loads((tmp_path / "export.json").read_text())
    assert {entry["path"] for entry in index["files"]} == {f.path for f in bundle.files} - {"export.json"}
    for entry in index["files"]:
        assert hashlib.sha256((tmp_path / entry["path"]).read_bytes()).hexdigest() == entry["sha256"]


def test_kustomizations_name_every_object_of_their_folder() -> None:
    bundle = export_bundle(plan(*GROWING, burst_mode="cluster-autoscaler"))
    listed = set()
    for file in bundle.files:
        if file.kind == "Kustomization":
            folder = file.path.rpartition("/")[0]
            listed |= {f"{folder}/{name}" for name in yaml.safe_load(file.text)["resources"]}
    assert listed == {m.path for m in bundle.manifests if m.is_object}


def test_plan_file_round_trips_and_an_edited_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text(to_json(plan()))
    assert read_plan(path) == plan()
    path.write_text(to_json(plan()).replace('"nodes": 40', '"nodes": 41'))
    with pytest.raises(InputError, match="the plan was changed after it was written"):
        read_plan(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "not JSON"), ("{}", "scenario: found nothing"), (None, "No such file")],
)
def test_unreadable_plans_are_refused_in_one_message(tmp_path: Path, text: str | None, message: str) -> None:
    path = tmp_path / "plan.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_plan(path)


@pytest.mark.parametrize(
    ("arch", "extended", "image"),
    [
        ("amd64", {}, "AL2023_x86_64_STANDARD"),
        ("arm64", {}, "AL2023_ARM_64_STANDARD"),
        ("amd64", {"nvidia.com/gpu": 8}, "AL2023_x86_64_NVIDIA"),
        ("arm64", {"nvidia.com/gpu": 1}, "AL2023_ARM_64_NVIDIA"),
        ("amd64", {"aws.amazon.com/neuron": 16}, "AL2023_x86_64_NEURON"),
    ],
)
def test_burst_nodes_get_the_image_and_label_of_their_architecture_and_devices(arch: str, extended: dict[str, int], image: str) -> None:
    of = plan(pool("prod-bm", "baremetal"), pool("aws-burst", "aws", arch=arch, extended=extended))
    (group,) = documents(of, "AWSManagedMachinePool", "eks_node_group")
    assert group["spec"]["amiType"] == image
    (node_pool,) = documents(of, "NodePool", "karpenter")
    required = {r["key"]: r["values"] for r in node_pool["spec"]["template"]["spec"]["requirements"]}
    assert required["kubernetes.io/arch"] == [arch]
    told = [line for line in export_bundle(of).warnings if "images for both" in line]
    assert len(told) == (arch == "arm64")
