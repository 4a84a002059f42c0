"""Exported settings under the real kube-scheduler and the real Karpenter: private nodes first, then AWS, up to the limit."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from control_plane import ControlPlane, find_programs, wait_for
from plans import plan, pool
from simulator.export.bundle import export_bundle
from simulator.export.check_groups import kubelet_arguments

pytestmark = pytest.mark.control_plane

PRIVATE, BURST = pool("prod-bm", "baremetal", nodes=2, max_nodes=2), pool("aws-burst", "aws", max_nodes=2)
M5_4XLARGE = {
    "name": "m5.4xlarge",
    "architecture": "amd64",
    "operatingSystems": ["linux"],
    "resources": {"cpu": "16", "memory": "64Gi", "pods": "234", "ephemeral-storage": "100Gi"},
    "offerings": [
        {
            "Price": 0.944,
            "Available": True,
            "Requirements": [
                {"key": "karpenter.sh/capacity-type", "operator": "In", "values": ["on-demand"]},
                {"key": "topology.kubernetes.io/zone", "operator": "In", "values": ["ap-northeast-2a"]},
            ],
        }
    ],
}


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    """A cluster of its own: these tests count every node there is."""
    own = ControlPlane(find_programs())
    try:
        own.start()
        own.start_scheduler()
        own.start_kwok()
        own.start_karpenter([M5_4XLARGE])
        yield own
    finally:
        own.stop()


def exported(kind: str) -> dict[str, Any]:
    return next(dict(m.document) for m in export_bundle(plan(PRIVATE, BURST)).manifests if m.kind == kind)


def private_node(number: int) -> dict[str, Any]:
    """What the exported kubelet arguments and the planned allocatable make of a server."""
    labels = dict(pair.split("=") for pair in kubelet_arguments(exported("KubeadmConfigTemplate"))["node-labels"].split(","))
    room = {"cpu": f"{PRIVATE.allocatable_cpu_m}m", "memory": f"{PRIVATE.allocatable_memory_mib}Mi", "pods": str(PRIVATE.max_pods)}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": f"prod-bm-{number}", "labels": labels, "annotations": {"kwok.x-k8s.io/node": "fake"}},
        "status": {"allocatable": room, "capacity": room},
    }


def pod(namespace: str, number: int, *, burst: bool) -> dict[str, Any]:
    container = {"name": "a", "image": "a", "resources": {"requests": {"cpu": "5", "memory": "4Gi"}}}
    tolerations = [{"key": "placement.burstline.dev/burst", "operator": "Exists"}] if burst else []
    metadata = {"name": f"{'burst' if burst else 'private'}-{number}", "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container], "tolerations": tolerations}}


def classes(plane: ControlPlane, namespace: str) -> Counter[tuple[str, str]]:
    """(kind of pod, class of its node or 'pending') -> count."""
    nodes = {n["metadata"]["name"]: n["metadata"]["labels"] for n in json.loads(plane.kubectl("get", "nodes", "-o", "json"))["items"]}
    found: Counter[tuple[str, str]] = Counter()
    for item in json.loads(plane.kubectl("get", "pods", "-n", namespace, "-o", "json"))["items"]:
        node = item["spec"].get("nodeName")
        where = nodes[node]["placement.burstline.dev/class"] if node else "pending"
        found[item["metadata"]["name"].split("-")[0], where] += 1
    return found


def test_private_nodes_fill_first_and_burst_takes_tolerating_pods_up_to_the_limit(plane: ControlPlane) -> None:
    plane.kubectl("apply", "-f", "-", text=json.dumps({"apiVersion": "v1", "kind": "List", "items": [private_node(n) for n in range(2)]}))
    node_class = {"apiVersion": "karpenter.kwok.sh/v1alpha1", "kind": "KWOKNodeClass", "metadata": {"name": "aws-burst"}}
    node_pool = exported("NodePool")
    node_pool["spec"]["template"]["spec"]["nodeClassRef"] = {"group": "karpenter.kwok.sh", "kind": "KWOKNodeClass", "name": "aws-burst"}
    plane.kubectl(
        "apply", "--server-side", "-f", "-", text=json.dumps({"apiVersion": "v1", "kind": "List", "items": [node_class, node_pool]})
    )
    namespace = plane.namespace("burst")
    private = [pod(namespace, n, burst=False) for n in range(4)]
    plane.kubectl("apply", "-f", "-", text=json.dumps({"apiVersion": "v1", "kind": "List", "items": private}))
    wait_for(lambda: classes(plane, namespace) == {("private", "private"): 4}, "four private pods on private nodes")

    more = [pod(namespace, n, burst=True) for n in range(26)]
    plane.kubectl("apply", "-f", "-", text=json.dumps({"apiVersion": "v1", "kind": "List", "items": more}))
    # 63.27 vCPU hold 12 pods of 5: 24 on two servers, 4 of them there already; 6 are left, 3 on each 16-vCPU node
    expected = {("private", "private"): 4, ("burst", "private"): 20, ("burst", "burst"): 6}
    wait_for(lambda: classes(plane, namespace) == expected, "six pods on two burst nodes", timeout_s=90.0)
    burst_nodes = json.loads(plane.kubectl("get", "nodes", "-l", "placement.burstline.dev/class=burst", "-o", "json"))["items"]
    assert len(burst_nodes) == 2
    assert {node["metadata"]["labels"]["node.kubernetes.io/instance-type"] for node in burst_nodes} == {"m5.4xlarge"}

    late = [pod(namespace, 100, burst=True), pod(namespace, 100, burst=False)]
    plane.kubectl("apply", "-f", "-", text=json.dumps({"apiVersion": "v1", "kind": "List", "items": late}))
    wait_for(lambda: "exceed limits" in plane.kubectl("get", "events", "-n", namespace, "-o", "json"), "Karpenter's word on the limit")
    assert classes(plane, namespace) == expected | {("burst", "pending"): 1, ("private", "pending"): 1}
