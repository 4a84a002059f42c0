"""The real Karpenter on a few small cases, beside our replay of the same input."""

from __future__ import annotations

import copy
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from control_plane import ControlPlane, wait_for
from simulator.engine.autoscalers.replay import replay

pytestmark = pytest.mark.control_plane

SINGLE = json.loads((Path(__file__).resolve().parents[1] / "recordings" / "karpenter" / "single-decisions.json").read_text())
CASES = {
    "two-shapes": {"a": {"cpu": "2", "memory": "6Gi", "count": 9}, "b": {"cpu": "500m", "memory": "1Gi", "count": 4}},
    "memory-heavy": {"a": {"cpu": "1", "memory": "14Gi", "count": 11}},
    "apart-and-flexible": {
        "a": {
            "cpu": "1500m",
            "memory": "3Gi",
            "count": 3,
            "affinity": {
                "podAntiAffinity": {
                    "requiredDuringSchedulingIgnoredDuringExecution": [
                        {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "a"}}}
                    ]
                }
            },
        },
        "b": {"cpu": "1", "memory": "12Gi", "count": 2, "nodeSelector": {"karpenter.kwok.sh/instance-family": "r5"}},
    },
    "one-too-big": {"a": {"cpu": "80", "memory": "8Gi", "count": 1}, "b": {"cpu": "3", "memory": "4Gi", "count": 4}},
}
SECONDS = 25


def instance_types() -> list[dict[str, Any]]:
    """The recorded types as Karpenter's kwok provider reads them: one zone, on demand and spot."""

    def offering(kind: str, price: float) -> dict[str, Any]:
        wanted = {"karpenter.sh/capacity-type": kind, "topology.kubernetes.io/zone": "zone-a"}
        return {
            "Price": price,
            "Available": True,
            "Requirements": [{"key": key, "operator": "In", "values": [value]} for key, value in wanted.items()],
        }

    return [
        {
            "name": name,
            "architecture": "amd64",
            "operatingSystems": ["linux"],
            "resources": {"cpu": str(body["cpu"]), "memory": f"{body['memory_gib']}Gi", "pods": "110", "ephemeral-storage": "100Gi"},
            "offerings": [
                offering("on-demand", body["usd_per_h"]),
                offering("spot", body["usd_per_h"] * SINGLE["spot_factor"]),
            ],
        }
        for name, body in SINGLE["instance_types"].items()
    ]


def rules(body: dict[str, Any], case: str) -> dict[str, Any]:
    """What a shape says beside its size, held to the nodes of its own case."""
    chosen = {key: body[key] for key in ("affinity",) if key in body}
    return {**chosen, "nodeSelector": {"case": case, **body.get("nodeSelector", {})}}


def deployment(name: str, body: dict[str, Any], case: str) -> dict[str, Any]:
    requests = {"cpu": body["cpu"], "memory": body["memory"]}
    containers = [{"name": "c", "image": "none", "resources": {"requests": requests}}]
    pod = {"containers": containers, **rules(body, case)}
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": pod}
    spec = {"replicas": body["count"], "selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


def pool(name: str, case: str) -> dict[str, Any]:
    body = copy.deepcopy(SINGLE["cases"][0]["pools"][0])
    body.pop("name")
    body["template"]["metadata"]["labels"] = {"case": case}
    return {"apiVersion": "karpenter.sh/v1", "kind": "NodePool", "metadata": {"name": name}, "spec": body}


@pytest.fixture(scope="module")
def karpenter(control_plane: ControlPlane) -> ControlPlane:
    control_plane.start_controller_manager()
    control_plane.start_scheduler()
    control_plane.start_kwok()
    control_plane.apply_crds("karpenter")
    control_plane.start_karpenter(instance_types())
    node_class = {"apiVersion": "karpenter.kwok.sh/v1alpha1", "kind": "KWOKNodeClass", "metadata": {"name": "default"}}
    control_plane.kubectl("apply", "-f", "-", text=json.dumps(node_class))
    return control_plane


@pytest.mark.parametrize("case", CASES)
def test_karpenter_launches_what_the_replay_launches(karpenter: ControlPlane, case: str) -> None:
    name = f"burst-{case}"
    shapes = CASES[case]
    fits = sum(body["count"] for body in shapes.values() if float(body["cpu"].removesuffix("m")) < 64 or body["cpu"].endswith("m"))
    karpenter.kubectl("apply", "-f", "-", text=json.dumps(pool(name, case)))
    space = karpenter.namespace("karpenter")
    http = karpenter.http()
    for shape, body in shapes.items():
        http.post(f"/apis/apps/v1/namespaces/{space}/deployments", json=deployment(shape, body, case)).raise_for_status()

    def bound() -> int:
        pods = http.get(f"/api/v1/namespaces/{space}/pods").json()["items"]
        return sum(1 for pod in pods if pod["spec"].get("nodeName"))

    def nodes() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = http.get("/api/v1/nodes", params={"labelSelector": f"karpenter.sh/nodepool={name}"}).json()["items"]
        return found

    try:
        wait_for(lambda: bound() == fits, f"{fits} pods of {case} on nodes", timeout_s=60.0, every_s=0.3)
        labels = [item["metadata"]["labels"] for item in nodes()]
        kinds = ("node.kubernetes.io/instance-type", "karpenter.sh/capacity-type")
        real = Counter("/".join((name, *(label[kind] for kind in kinds))) for label in labels)
    finally:
        karpenter.kubectl("delete", "namespace", space, "--wait=false")
        karpenter.kubectl("delete", "nodepool", name, "--wait=false")
    spec = pool(name, case)["spec"]
    document = {
        **{key: SINGLE[key] for key in ("instance_types", "overhead", "spot_factor")},
        "zones": ["zone-a"],
        "pools": [{**spec, "name": name}],
        "shapes": {shape: {"cpu": body["cpu"], "memory": body["memory"], **rules(body, case)} for shape, body in shapes.items()},
        "replicas_by_second": {shape: [body["count"]] * SECONDS for shape, body in shapes.items()},
    }
    ours = Counter({group: int(count) for group, count in replay(document).nodes_at_end().items() if count})
    assert ours == real
