"""Applying an export to a real kube-apiserver with the real CRDs: everything it promises about writing, and not writing."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

import crd_schemas
from control_plane import CRDS, ControlPlane, find_programs, wait_for
from models.plan import BuildPlan
from plans import plan, pool
from simulator.cli import group
from simulator.export.apply import Cluster, connect
from simulator.export.bundle import export_bundle, write_bundle
from simulator.export.manifest import OBJECT_FOLDERS

pytestmark = [pytest.mark.control_plane, pytest.mark.xdist_group("apply")]

PLURALS = {
    "NodePool": "nodepools.karpenter.sh",
    "MachineDeployment": "machinedeployments.cluster.x-k8s.io",
    "EC2NodeClass": "ec2nodeclasses.karpenter.k8s.aws",
}


@pytest.fixture(scope="module")
def capacity_plane() -> Iterator[ControlPlane]:
    """A control plane of its own, with the CRDs that an export needs and no controllers that would write in between."""
    if not CRDS.is_dir():
        pytest.skip("../shared/crds is absent")
    control_plane = ControlPlane(find_programs())
    try:
        control_plane.start()
        _install(control_plane)
        yield control_plane
    finally:
        control_plane.stop()


def _install(control_plane: ControlPlane) -> None:
    files = [f"--filename={CRDS / name}" for kind, name in crd_schemas.FILES.items() if kind != "ApplicationSet"]
    control_plane.kubectl("apply", "--server-side", "--force-conflicts", *files)
    control_plane.kubectl("wait", "--for=condition=Established", "--timeout=60s", *files)


class Site:
    """One scenario in one namespace of its own, with names that no other test uses."""

    def __init__(self, plane: ControlPlane, folder: Path, name: str) -> None:
        self.plane, self.folder, self.name = plane, folder, name

    def plan(self, **changes: Any) -> BuildPlan:
        pools = changes.pop("pools", None) or (
            pool(f"{self.name}-bm", "baremetal", nodes=36, max_nodes=40),
            pool(f"{self.name}-aws", "aws"),
        )
        return plan(*pools, scenario=self.name, namespace=self.name, label_prefix="placement.burstline.dev", **changes)

    def export(self, *targets: str, folder: Path | None = None, **changes: Any) -> Path:
        out = folder or self.folder
        write_bundle(export_bundle(self.plan(**changes), targets), out)
        return out

    def apply(self, *arguments: str, user: str = "admin", folder: Path | None = None) -> Result:
        command = ["apply", str(folder or self.folder), "--kubeconfig", str(self.plane.kubeconfig(user)), "--no-wait", *arguments]
        result = CliRunner().invoke(group, command, standalone_mode=False)
        return result

    def applied(self, *arguments: str, user: str = "admin", folder: Path | None = None) -> dict[str, Any]:
        """`burstline apply --json` that must succeed; its document."""
        result = self.apply("--json", *arguments, user=user, folder=folder)
        if result.exception is not None:
            raise result.exception
        document: dict[str, Any] = json.loads(result.stdout)
        return document

    def get(self, kind: str, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(
            self.plane.kubectl("get", PLURALS.get(kind, kind), name, f"--namespace={self.name}", "-o", "json", "--show-managed-fields")
        )
        return found

    def versions(self) -> dict[str, str]:
        """resourceVersion of every object that an export may touch."""
        kinds = ",".join(["configmaps", "priorityclasses", *crd_plurals()])
        listed = json.loads(self.plane.kubectl("get", kinds, "--all-namespaces", "-o", "json"))["items"]
        return {
            f"{o['kind']} {o['metadata'].get('namespace', '')}/{o['metadata']['name']}": o["metadata"]["resourceVersion"] for o in listed
        }


def crd_plurals() -> list[str]:
    return [
        f"{crd_schemas.crd(kind)['spec']['names']['plural']}.{crd_schemas.crd(kind)['spec']['group']}"
        for kind in crd_schemas.FILES
        if kind != "ApplicationSet"
    ]


@pytest.fixture
def site(capacity_plane: ControlPlane, tmp_path: Path) -> Iterator[Callable[..., Site]]:
    """Makes sites; PriorityClasses are shared by every export of a cluster, so they go away after each test."""

    def make(existing: bool = True) -> Site:
        name = capacity_plane.namespace("site")
        if not existing:
            name = f"{name}-new"
        return Site(capacity_plane, tmp_path / name, name)

    yield make
    capacity_plane.kubectl(
        "delete", "priorityclass", "burstline-service", "burstline-ml", "burstline-batch", "burstline-headroom", "--ignore-not-found"
    )
    capacity_plane.kubectl("delete", "configmap", "cluster-autoscaler-priority-expander", "-n", "kube-system", "--ignore-not-found")


def actions(document: dict[str, Any]) -> dict[str, str]:
    return {
        entry["ref"].split("/")[-1] if "/" in entry["ref"].split(" ")[1] else entry["ref"].split(" ")[1]: entry["action"]
        for entry in document["objects"]
    }


@pytest.mark.parametrize("mode", ["karpenter", "cluster-autoscaler"])
def test_every_emitted_object_is_accepted_with_strict_validation(site: Callable[..., Site], mode: str) -> None:
    here = site()
    pools = (
        pool(f"{here.name}-bm", "baremetal", nodes=36, max_nodes=40),
        pool(f"{here.name}-vm", "openstack_vm", priority=80),
        pool(f"{here.name}-iron", "ironic", priority=90),
        pool(f"{here.name}-gpu", "baremetal", priority=95, extended={"nvidia.com/gpu": 8}),
        pool(f"{here.name}-aws", "aws"),
    )
    here.export(pools=pools, burst_mode=mode)
    done = here.applied("--yes")
    objects = [
        p for p in here.folder.rglob("*.yaml") if p.relative_to(here.folder).parts[0] in OBJECT_FOLDERS and p.stem != "kustomization"
    ]
    assert done["changed"] == len(objects) - 1  # the namespace was there already
    assert done["refused"] == 0
    assert {entry["action"] for entry in done["objects"]} == {"created", "unchanged"}
    assert done["dry_run"] is False


def test_plan_writes_nothing_and_second_apply_changes_nothing(site: Callable[..., Site]) -> None:
    here = site()
    here.export()
    before = here.versions()
    shown = here.applied()
    assert shown["dry_run"] is True
    assert shown["changed"] == 9  # 4 PriorityClasses, EC2NodeClass, NodePool, 2 templates, MachineDeployment
    assert here.versions() == before
    assert here.applied("--yes")["changed"] == 9
    after = here.versions()
    log = here.plane.folder / "audit.log"
    start = log.stat().st_size
    second = here.applied("--yes")
    assert second["changed"] == 0
    assert {entry["action"] for entry in second["objects"]} == {"unchanged"}
    assert here.versions() == after
    with log.open() as lines:
        lines.seek(start)
        events = [event for event in map(json.loads, lines) if event["user"]["username"] == "admin"]  # not the server's own
    assert events
    writes = [
        e["requestURI"] for e in events if e["verb"] in ("create", "update", "patch", "delete") and "dryRun=All" not in e["requestURI"]
    ]
    assert [uri for uri in writes if "selfsubject" not in uri] == []


def test_a_namespace_of_the_export_is_created_first(site: Callable[..., Site]) -> None:
    here = site(existing=False)
    here.export()
    shown = here.applied()
    unverified = [entry["ref"] for entry in shown["objects"] if not entry["verified"]]
    assert len(unverified) == 3  # two templates and the MachineDeployment: their namespace is new
    assert here.applied("--yes")["changed"] == 10
    assert here.applied("--yes")["changed"] == 0


def test_a_plan_older_than_a_live_change_is_refused(site: Callable[..., Site]) -> None:
    here = site()
    here.export()
    here.applied("--yes")
    here.export(pools=(pool(f"{here.name}-bm", "baremetal", nodes=38, max_nodes=40), pool(f"{here.name}-aws", "aws")))
    assert here.applied()["changed"] == 1
    here.plane.kubectl("annotate", PLURALS["MachineDeployment"], f"{here.name}-bm", "-n", here.name, "note=changed-since")
    late = here.apply("--yes")
    assert late.exception is not None
    assert "out of date" in str(late.exception)
    assert here.get("MachineDeployment", f"{here.name}-bm")["spec"]["replicas"] == 36
    here.applied()
    assert here.applied("--yes")["changed"] == 1
    assert here.get("MachineDeployment", f"{here.name}-bm")["spec"]["replicas"] == 38


def test_a_conflict_names_field_and_manager_and_take_takes_only_that_field(site: Callable[..., Site]) -> None:
    here = site()
    here.export()
    here.applied("--yes")
    name = f"{here.name}-aws"
    here.plane.kubectl(
        "patch", PLURALS["NodePool"], name, "--type=merge", "--field-manager=finance", '--patch={"spec":{"limits":{"cpu":"100"}}}'
    )
    here.plane.kubectl("patch", PLURALS["NodePool"], name, "--type=merge", "--field-manager=ops", '--patch={"spec":{"weight":7}}')
    before = here.versions()
    refused = here.apply("--json", "--yes")
    assert refused.exception is not None
    assert getattr(refused.exception, "exit_code", None) == 4
    (entry,) = [e for e in json.loads(refused.stdout)["objects"] if e["action"] == "refused"]
    assert sorted((c["field"], c["manager"]) for c in entry["manager_conflicts"]) == [
        (".spec.limits.cpu", "finance"),
        (".spec.weight", "ops"),
    ]
    assert here.versions() == before
    taken = here.applied("--yes", "--take", "spec.limits.cpu")
    assert taken["changed"] == 1
    live = here.get("NodePool", name)["spec"]
    assert live["limits"]["cpu"] == "960"
    assert live["weight"] == 7


def test_drift_says_who_changed_what_and_gone_objects_are_named(site: Callable[..., Site]) -> None:
    here = site()
    here.export()
    here.applied("--yes")
    assert here.applied("--check")["drift"] == []
    here.plane.kubectl(
        "patch", PLURALS["NodePool"], f"{here.name}-aws", "--type=merge", "--field-manager=finance", '--patch={"spec":{"weight":7}}'
    )
    here.plane.kubectl("delete", "priorityclass", "burstline-ml")
    result = here.apply("--check", "--json")
    assert result.return_value == 5
    drift = json.loads(result.stdout)["drift"]
    assert {(d["kind"], d["field"], d["manager"]) for d in drift} == {("gone", "", ""), ("fought", ".spec.weight", "finance")}
    assert all(d["time"] for d in drift if d["kind"] == "fought")


def test_rollback_restores_every_owned_field_and_only_those(site: Callable[..., Site]) -> None:
    here = site()
    here.export()
    first = here.applied("--yes")["set"]["digest"]
    name = f"{here.name}-aws"
    here.plane.kubectl("annotate", PLURALS["NodePool"], name, "team=others")
    here.export(pools=(pool(f"{here.name}-bm", "baremetal", nodes=38, max_nodes=40), pool(name, "aws", max_nodes=10)))
    assert here.applied("--yes")["changed"] == 2
    assert here.get("NodePool", name)["spec"]["limits"]["cpu"] == "160"
    here.applied()  # a plan that was shown for going forward does not bind going back
    back = here.apply("--rollback", first, "--yes")
    assert "may remove 2 nodes" in str(back.exception)  # 38 -> 36 wants its own confirmation
    done = here.applied("--rollback", first.removeprefix("sha256:")[:8], "--yes", "--shrink", f"{here.name}-bm")
    assert done["changed"] == 2
    assert done["set"]["digest"] == first
    assert here.get("NodePool", name)["spec"]["limits"]["cpu"] == "960"
    assert here.get("NodePool", name)["metadata"]["annotations"]["team"] == "others"
    assert here.get("MachineDeployment", f"{here.name}-bm")["spec"]["replicas"] == 36


def test_fewer_private_nodes_need_their_own_confirmation(site: Callable[..., Site]) -> None:
    here = site()
    here.export()
    here.applied("--yes")
    here.export(pools=(pool(f"{here.name}-bm", "baremetal", nodes=30, max_nodes=40), pool(f"{here.name}-aws", "aws")))
    refused = here.apply("--yes")
    assert "may remove 6 nodes: confirm with --shrink" in str(refused.exception)
    assert here.applied("--yes", "--shrink", f"{here.name}-bm")["changed"] == 1


def test_a_pool_that_leaves_the_plan_is_retired_and_deleted_only_by_name(site: Callable[..., Site]) -> None:
    here = site()
    here.export(pools=(pool(f"{here.name}-bm", "baremetal"), pool(f"{here.name}-aws", "aws"), pool(f"{here.name}-old", "aws", priority=20)))
    here.applied("--yes")
    here.export(pools=(pool(f"{here.name}-bm", "baremetal"), pool(f"{here.name}-aws", "aws")))
    shown = actions(here.applied("--yes"))
    assert shown[f"{here.name}-old"] in ("retired", "unchanged")
    live = here.get("NodePool", f"{here.name}-old")
    assert live["spec"]["limits"]["cpu"] == "0"
    assert live["spec"]["disruption"]["budgets"] == [{"nodes": "0"}]
    assert here.applied("--yes")["changed"] == 0
    gone = here.applied("--yes", "--delete-node-groups", f"{here.name}-old")
    assert gone["changed"] == 1
    assert "NotFound" in _missing(here, PLURALS["NodePool"], f"{here.name}-old")
    assert here.get("EC2NodeClass", f"{here.name}-old")["kind"] == "EC2NodeClass"  # kept without --prune
    assert here.applied("--yes", "--prune")["changed"] == 1
    assert "NotFound" in _missing(here, PLURALS["EC2NodeClass"], f"{here.name}-old")


def _missing(here: Site, resource: str, name: str) -> str:
    with pytest.raises(AssertionError) as caught:
        here.plane.kubectl("get", resource, name)
    return str(caught.value)


def test_a_retired_pool_comes_back_when_the_plan_names_it_again(site: Callable[..., Site]) -> None:
    here = site()
    both = (pool(f"{here.name}-bm", "baremetal"), pool(f"{here.name}-aws", "aws"), pool(f"{here.name}-two", "aws", priority=20))
    here.export(pools=both)
    here.applied("--yes")
    here.export(pools=both[:2])
    here.applied("--yes")
    here.export(pools=both)
    here.applied("--yes")
    assert here.get("NodePool", f"{here.name}-two")["spec"]["limits"]["cpu"] == "960"


def test_leftovers_with_another_owner_a_keep_note_or_without_the_label_are_kept(site: Callable[..., Site]) -> None:
    here = site()
    kinds = "owned", "kept", "unlabelled", "plain"
    extra = here.folder / "overlays" / "extra"
    here.export("priority_classes")
    extra.mkdir(parents=True)
    for kind in kinds:
        document = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": kind, "namespace": here.name}, "data": {"a": "b"}}
        (extra / f"{kind}.yaml").write_text(yaml.safe_dump(document))
    here.applied("--yes")
    owner = json.loads(here.plane.kubectl("get", "namespace", here.name, "-o", "json"))["metadata"]["uid"]
    reference = {"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "Namespace", "name": here.name, "uid": owner}]}}
    here.plane.kubectl("patch", "configmap", "owned", "-n", here.name, "--type=merge", f"--patch={json.dumps(reference)}")
    here.plane.kubectl("annotate", "configmap", "kept", "-n", here.name, "placement.burstline.dev/keep=true")
    here.plane.kubectl("label", "configmap", "unlabelled", "-n", here.name, "applyset.kubernetes.io/part-of-")
    shutil.rmtree(extra)
    assert here.applied("--yes", "--prune")["changed"] == 1
    left = json.loads(here.plane.kubectl("get", "configmap", "-n", here.name, "-o", "json"))["items"]
    names = {o["metadata"]["name"] for o in left}
    assert {"owned", "kept", "unlabelled"} <= names
    assert "plain" not in names


def test_a_delete_of_another_object_of_the_same_name_is_refused_by_the_server(site: Callable[..., Site]) -> None:
    from simulator.export.apply import Refusal

    here = site()
    here.plane.kubectl("create", "configmap", "thing", "-n", here.name)
    with connect(kubeconfig=here.plane.kubeconfig()) as cluster:
        live = cluster.get("v1", "ConfigMap", "thing", here.name)
        assert live is not None
        here.plane.kubectl("delete", "configmap", "thing", "-n", here.name)
        here.plane.kubectl("create", "configmap", "thing", "-n", here.name)
        with pytest.raises(Refusal, match="does not match the UID in record"):
            cluster.delete(live, dry_run=False)


def test_two_exports_do_not_touch_each_other_and_a_stolen_id_is_refused(site: Callable[..., Site]) -> None:
    one, two = site(), site()
    one.export("cluster_api")
    two.export("karpenter")
    one.applied("--yes")
    before = {k: v for k, v in one.versions().items() if one.name in k}
    two.applied("--yes", "--prune")
    assert {k: v for k, v in one.versions().items() if one.name in k} == before
    parent = f"burstline-{two.name}"
    stolen = f"applyset.kubernetes.io/id={_label(one)}"
    two.plane.kubectl("label", "configmap", parent, "-n", two.name, stolen, "--overwrite")
    refused = two.apply("--yes")
    assert "carries the ApplySet id of another object" in str(refused.exception)


def _label(here: Site) -> str:
    found = json.loads(here.plane.kubectl("get", "configmap", f"burstline-{here.name}", "-n", here.name, "-o", "json"))
    return str(found["metadata"]["labels"]["applyset.kubernetes.io/id"])


def test_an_object_that_two_sets_want_differently_is_refused_and_an_equal_one_is_shared(site: Callable[..., Site]) -> None:
    one, two = site(), site()
    one.export("priority_classes")
    two.export("priority_classes")
    one.applied("--yes")
    shared = two.applied("--yes")
    assert shared["changed"] == 0
    assert all("equal to what another set wants" in e["reason"] for e in shared["objects"] if "PriorityClass" in e["ref"])
    path = two.folder / "base" / "priorityclass-burstline-ml.yaml"
    path.write_text(path.read_text().replace("Training and inference", "Training"))
    refused = two.apply("--yes")
    assert "which wants it differently" in str(refused.exception)
    assert "nothing was written" in str(refused.exception)


def test_a_group_may_not_outgrow_the_hosts_that_exist(site: Callable[..., Site]) -> None:
    here = site()
    crd = CRDS / "baremetal-operator" / "metal3.io_baremetalhosts.yaml"
    here.plane.kubectl("apply", "--server-side", "-f", str(crd))
    here.plane.kubectl("wait", "--for=condition=Established", "--timeout=60s", "-f", str(crd))
    try:
        here.export(pools=(pool(f"{here.name}-bm", "baremetal", nodes=3, max_nodes=3), pool(f"{here.name}-aws", "aws")))
        none_yet = here.applied()
        assert any("no BareMetalHost carries" in e["reason"] for e in none_yet["objects"])
        labels = {"placement.burstline.dev/server": "c64m512"}
        hosts = [
            {
                "apiVersion": "metal3.io/v1alpha1",
                "kind": "BareMetalHost",
                "metadata": {"name": f"h{n}", "namespace": here.name, "labels": labels},
                "spec": {"online": True},
            }
            for n in range(3)
        ]
        here.plane.kubectl("apply", "-f", "-", text=yaml.safe_dump_all(hosts[:2]))
        refused = here.apply("--yes")
        assert "3 machines, but 2 BareMetalHosts" in str(refused.exception)
        here.plane.kubectl("apply", "-f", "-", text=yaml.safe_dump_all(hosts[2:]))
        assert here.applied("--yes")["changed"] == 9
    finally:
        here.plane.kubectl("delete", "-f", str(crd), "--wait=true")


def test_an_immutable_field_asks_for_a_new_name(site: Callable[..., Site]) -> None:
    here = site()
    here.export("priority_classes")
    here.applied("--yes")
    path = here.folder / "base" / "priorityclass-burstline-ml.yaml"
    path.write_text(path.read_text().replace("value: 500", "value: 501"))
    refused = here.apply("--json")
    (entry,) = [e for e in json.loads(refused.stdout)["objects"] if e["action"] == "refused"]
    assert "value" in entry["reason"]
    assert "give the changed object a new name" in entry["reason"]


def test_a_new_schema_default_is_not_a_change_and_a_dropped_field_is_named(site: Callable[..., Site]) -> None:
    here = site()
    here.export()
    here.applied("--yes")
    name = crd_schemas.crd("NodePool")["metadata"]["name"]
    live = json.loads(here.plane.kubectl("get", "crd", name, "-o", "json"))
    spec = next(v for v in live["spec"]["versions"] if v["name"] == "v1")["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    spec["fairness"] = {"type": "string", "default": "strict"}
    here.plane.kubectl("replace", "-f", "-", text=json.dumps(live))
    try:
        wait_for(lambda: here.get("NodePool", f"{here.name}-aws")["spec"].get("fairness") == "strict", "the new default")
        assert here.applied("--yes")["changed"] == 0
    finally:
        _install(here.plane)


def test_keep_going_writes_what_can_be_written_and_the_rest_is_reported(site: Callable[..., Site], monkeypatch: pytest.MonkeyPatch) -> None:
    from simulator.export.apply import Refusal

    here = site()
    here.export("cluster_api", "karpenter")
    real = Cluster.apply

    def picky(self: Cluster, document: Any, manager: str, *, dry_run: bool, force: bool = False) -> Any:
        if not dry_run and document["kind"] == "EC2NodeClass":
            raise Refusal(500, "the webhook is away")
        return real(self, document, manager, dry_run=dry_run, force=force)

    monkeypatch.setattr(Cluster, "apply", picky)
    stopped = here.apply("--yes", "--json")
    first = json.loads(stopped.stdout)
    assert first["changed"] < 4
    assert first["refused"] == 1
    assert getattr(stopped.exception, "exit_code", None) == 4
    going = here.apply("--yes", "--json", "--keep-going")
    second = json.loads(going.stdout)
    assert first["changed"] + second["changed"] == 4  # two templates, the NodePool, the MachineDeployment
    assert "the webhook is away" in str(going.exception)
    monkeypatch.setattr(Cluster, "apply", real)
    assert here.applied("--yes")["changed"] == 1


def test_waiting_ends_when_the_controller_reports_ready_and_says_so_when_none_is_there(site: Callable[..., Site]) -> None:
    from simulator.export.apply_documents import load_folder
    from simulator.export.apply_plan import plan_apply
    from simulator.export.apply_run import RunOptions, run_plan

    here = site()
    here.export("karpenter")
    wanted = load_folder(here.folder)
    ready = {
        "status": {
            "conditions": [
                {"type": t, "status": "True", "reason": t, "message": "", "lastTransitionTime": "2026-01-05T00:00:00Z"}
                for t in ("Ready", "NodeClassReady")
            ]
        }
    }
    ticks: list[float] = []

    def clock() -> float:
        """Each look at the clock is a second; the node class becomes ready at the third, the pool is never looked after."""
        ticks.append(0.0)
        if len(ticks) == 3:
            here.plane.kubectl(
                "patch", PLURALS["EC2NodeClass"], f"{here.name}-aws", "--subresource=status", "--type=merge", f"--patch={json.dumps(ready)}"
            )
        return float(len(ticks))

    with connect(kubeconfig=here.plane.kubeconfig()) as cluster:
        report = run_plan(cluster, wanted, plan_apply(cluster, wanted), RunOptions(silence_s=5.0, poll_s=0.0), clock=clock)
    (note,) = report.waits
    assert note.startswith(f"karpenter.sh/v1/NodePool {here.name}-aws: not ready after")
    assert note.endswith("no controller has reported on it")


def test_autoscaler_keeps_its_replica_count_through_every_apply(site: Callable[..., Site]) -> None:
    here = site()
    here.export(burst_mode="cluster-autoscaler")
    here.applied("--yes")
    name = f"{here.name}-bm"
    path = f"/apis/cluster.x-k8s.io/v1beta2/namespaces/{here.name}/machinedeployments/{name}/scale"
    default = '--patch={"spec":{"replicas":36}}'  # as Cluster API's webhook does: a CRD without replicas has no scale yet
    here.plane.kubectl("patch", PLURALS["MachineDeployment"], name, "-n", here.name, "--type=merge", "--field-manager=webhook", default)
    scale = here.plane.http().get(path).json()
    scale["spec"]["replicas"] = 39
    here.plane.http().put(path, json=scale).raise_for_status()
    grown = (pool(name, "baremetal", nodes=37, max_nodes=40), pool(f"{here.name}-aws", "aws"))
    here.export(pools=grown, burst_mode="cluster-autoscaler")
    assert here.applied("--yes")["changed"] == 1
    assert here.get("MachineDeployment", name)["spec"]["replicas"] == 39


def test_changing_the_burst_mode_hands_the_replicas_over_and_keeps_their_number(site: Callable[..., Site]) -> None:
    here = site()
    here.export("cluster_api")
    here.applied("--yes")
    name = f"{here.name}-bm"
    assert here.get("MachineDeployment", name)["spec"]["replicas"] == 36
    here.export("cluster_api", burst_mode="cluster-autoscaler")
    (entry,) = [e for e in here.applied("--yes")["objects"] if e["action"] == "configured"]
    assert "hands spec.replicas over to the autoscaler at 36" in entry["reason"]
    assert here.get("MachineDeployment", name)["spec"]["replicas"] == 36
    assert here.applied("--yes")["changed"] == 0
    here.plane.kubectl("scale", PLURALS["MachineDeployment"], name, "-n", here.name, "--replicas=38")
    here.export("cluster_api")
    back = here.apply("--yes", "--json")
    (refused,) = [e for e in json.loads(back.stdout)["objects"] if e["action"] == "refused"]
    assert {c["field"] for c in refused["manager_conflicts"]} == {".spec.replicas"}


def test_the_emitted_roles_suffice_for_apply_and_not_for_prune(site: Callable[..., Site]) -> None:
    here = site()
    here.export()
    denied = here.apply(user="exporter")
    assert "may not" in str(denied.exception)
    assert "nothing was written" in str(denied.exception)
    here.plane.kubectl("apply", "-f", str(here.folder / "access" / "burstline-apply.yaml"))
    here.plane.kubectl("apply", "-f", str(here.folder / "access" / f"burstline-apply-{here.name}.yaml"))
    subject = "--user=capacity-exporter"
    here.plane.kubectl("create", "clusterrolebinding", f"apply-{here.name}", "--clusterrole=burstline-apply", subject)
    here.plane.kubectl("create", "rolebinding", "apply", "--role=burstline-apply", subject, "-n", here.name)
    assert here.applied("--yes", user="exporter")["changed"] == 9
    assert here.applied("--yes", user="exporter")["changed"] == 0
    here.export("karpenter", "priority_classes")
    with_prune = here.apply("--yes", "--prune", user="exporter")
    assert "forbidden" in str(with_prune.exception)
    assert here.get("MachineDeployment", f"{here.name}-bm")["kind"] == "MachineDeployment"


def test_an_unknown_field_is_refused_offline_and_by_the_server_with_the_same_path(site: Callable[..., Site]) -> None:
    from simulator.export.apply import Refusal

    here = site()
    here.export()
    path = here.folder / "overlays" / f"{here.name}-aws" / f"nodepool-{here.name}-aws.yaml"
    document = yaml.safe_load(path.read_text())
    document["spec"]["disruption"]["consolidateAftr"] = "5m"
    path.write_text(yaml.safe_dump(document))
    offline = here.apply()
    assert "spec.disruption.consolidateAftr" in str(offline.exception)
    assert getattr(offline.exception, "exit_code", None) == 2
    with connect(kubeconfig=here.plane.kubeconfig()) as cluster, pytest.raises(Refusal, match=r"spec\.disruption\.consolidateAftr"):
        cluster.apply(document, "burstline/test", dry_run=True)


def test_a_missing_crd_skips_its_zone_with_a_reason_and_is_picked_up_later(site: Callable[..., Site]) -> None:
    here = site()
    here.export()
    crd = CRDS / crd_schemas.FILES["EC2NodeClass"]
    here.plane.kubectl("delete", "-f", str(crd))
    try:
        done = here.applied("--yes")
        assert {s["ref"].split(" ")[0].split("/")[-1] for s in done["skipped"]} == {"EC2NodeClass", "NodePool"}
        assert all("the cluster serves no EC2NodeClass of karpenter.k8s.aws/v1" in s["reason"] for s in done["skipped"])
        assert done["changed"] == 7
    finally:
        here.plane.kubectl("apply", "--server-side", "-f", str(crd))
        here.plane.kubectl("wait", "--for=condition=Established", "--timeout=60s", "-f", str(crd))
    assert here.applied("--yes")["changed"] == 2
    assert here.applied("--yes")["changed"] == 0


def test_shuffled_files_and_a_kustomize_free_folder_give_the_same_result(site: Callable[..., Site], tmp_path: Path) -> None:
    here = site(existing=False)
    here.export()
    loose = tmp_path / "loose"
    loose.mkdir()
    files = sorted((p for p in here.folder.rglob("*.yaml") if p.relative_to(here.folder).parts[0] in OBJECT_FOLDERS), reverse=True)
    text = "---\n".join(p.read_text() for p in files if p.stem != "kustomization")
    (loose / "all.yaml").write_text(text)
    assert here.applied("--yes", folder=loose)["changed"] == 10
    assert here.applied("--yes", folder=loose)["changed"] == 0


def test_kill_minus_nine_in_the_middle_leaves_nothing_behind_for_the_next_apply(site: Callable[..., Site]) -> None:
    here = site()
    here.export("cluster_api", "karpenter")
    script = "import sys; from simulator.cli import main; main()"
    command = [sys.executable, "-c", script, "apply", str(here.folder), "--kubeconfig", str(here.plane.kubeconfig()), "--no-wait", "--yes"]
    parent = f"/api/v1/namespaces/{here.name}/configmaps/burstline-{here.name}"
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        wait_for(lambda: here.plane.http().get(parent).status_code == 200 or process.poll() is not None, "the inventory", every_s=0.005)
        process.kill()
    assert process.returncode in (0, -9)
    here.applied("--yes")
    assert here.applied("--yes")["changed"] == 0
    written = [key for key in here.versions() if here.name in key and not key.startswith("ConfigMap")]
    assert len(written) == 5  # two templates, MachineDeployment, EC2NodeClass, NodePool
    assert here.plane.http().get(parent).json()["data"]["state"] == "applied"


class Dies(Exception):
    """Stands for the end of the process."""


def test_an_apply_cut_off_after_any_write_is_completed_by_the_next(site: Callable[..., Site], monkeypatch: pytest.MonkeyPatch) -> None:
    real = Cluster.apply
    for survive in (0, 2, 5):
        here = site()
        here.export("cluster_api", "karpenter")
        count = 0

        def dying(self: Cluster, document: Any, manager: str, *, dry_run: bool, force: bool = False, limit: int = survive) -> Any:
            nonlocal count
            if not dry_run:
                count += 1
                if count > limit:
                    raise Dies
            return real(self, document, manager, dry_run=dry_run, force=force)

        monkeypatch.setattr(Cluster, "apply", dying)
        assert isinstance(here.apply("--yes").exception, Dies)
        monkeypatch.setattr(Cluster, "apply", real)
        here.applied()
        here.applied("--yes")
        assert here.applied("--yes")["changed"] == 0
        assert len([key for key in here.versions() if here.name in key and not key.startswith("ConfigMap")]) == 5
        parent = json.loads(here.plane.kubectl("get", "configmap", f"burstline-{here.name}", "-n", here.name, "-o", "json"))
        assert parent["data"]["state"] == "applied"


def test_requests_stay_within_three_for_each_object(site: Callable[..., Site]) -> None:
    here = site()
    many = here.folder / "base"
    many.mkdir(parents=True)
    objects = 60
    for number in range(objects):
        document = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"c{number}", "namespace": here.name}, "data": {"a": "b"}}
        (many / f"c{number}.yaml").write_text(yaml.safe_dump(document))
    log = here.plane.folder / "audit.log"
    start = log.stat().st_size
    assert here.applied("--yes")["changed"] == objects
    with log.open() as lines:
        lines.seek(start)
        requests = sum(json.loads(line)["user"]["username"] == "admin" for line in lines)  # not the server's own
    assert 2 * objects < requests <= 3 * objects + 40  # 40: discovery, identity, rights, namespace, inventory
