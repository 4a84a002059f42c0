"""Random clusters and pods that exercise every filter and score of the scheduler; the same seed gives the same case."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

ZONE = "topology.kubernetes.io/zone"
HOST = "kubernetes.io/hostname"
CLASS = "placement.burstline.dev/class"
APPS = ("web", "api", "db", "ml")
TEAMS = ("red", "blue")
IMAGES = {"registry.test/web:1": 400, "registry.test/ml:2": 1800, "registry.test/db:latest": 90}
Document = dict[str, Any]


@dataclass
class Case:
    """Nodes, other objects and pods of one cluster, all as API documents.

    `spaces` are namespaces with their labels; `owners` are controllers that pods name as theirs, without a uid.
    """

    nodes: list[Document]
    pods: list[Document]
    services: list[Document] = field(default_factory=list)
    spaces: dict[str, dict[str, str]] = field(default_factory=dict)
    owners: list[Document] = field(default_factory=list)


class Generator:
    """Draws one case. `prefix` keeps names of different cases apart in one API server."""

    def __init__(self, seed: int, prefix: str) -> None:
        self.draw = np.random.Generator(np.random.PCG64(seed))
        self.owner_draw = np.random.Generator(np.random.PCG64([seed, 1]))
        self.prefix = prefix
        self.spaces = {f"{prefix}-main": {"team": "red"}, f"{prefix}-side": {"team": "blue"}}

    def chance(self, share: float) -> bool:
        return bool(self.draw.random() < share)

    def pick(self, items: Any) -> Any:
        return items[int(self.draw.integers(len(items)))]

    def some(self, items: Any, at_least: int = 1) -> list[Any]:
        size = int(self.draw.integers(at_least, len(items) + 1))
        return [items[i] for i in sorted(self.draw.choice(len(items), size, replace=False).tolist())]

    def case(self, nodes: int, pods: int) -> Case:
        """The last node holds no image: see `LiveScheduler` about when the real scheduler counts images."""
        services = [self.service(app) for app in APPS if self.chance(0.3)]
        made = [self.node(i) for i in range(nodes)]
        made[-1]["status"]["images"] = []
        owners = [self.owner(kind, app) for kind in ("ReplicaSet", "StatefulSet") for app in APPS]
        return Case(made, [self.owned(self.pod(i)) for i in range(pods)], services, self.spaces, owners)

    def owner(self, kind: str, app: str) -> Document:
        """A controller of the main namespace; a ReplicaSet selects by template hash too, as a Deployment makes it."""
        labels = {"app": app, **({"pod-template-hash": f"hash-{app}"} if kind == "ReplicaSet" else {})}
        template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": "x"}]}}
        spec = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}
        metadata = {"name": f"{kind.lower()}-{app}", "namespace": f"{self.prefix}-main"}
        return {"apiVersion": "apps/v1", "kind": kind, "metadata": metadata, "spec": spec}

    def owned(self, pod: Document) -> Document:
        """Give a third of the pods of the main namespace a controller."""
        metadata = pod["metadata"]
        if metadata["namespace"].endswith("-main") and self.owner_draw.random() < 1 / 3:
            kind, app = ("ReplicaSet", "StatefulSet")[int(self.owner_draw.integers(2))], metadata["labels"]["app"]
            if kind == "ReplicaSet":
                metadata["labels"]["pod-template-hash"] = f"hash-{app}"
            owner = {"apiVersion": "apps/v1", "kind": kind, "name": f"{kind.lower()}-{app}", "controller": True}
            metadata["ownerReferences"] = [owner]
        return pod

    def service(self, app: str) -> Document:
        return {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": f"svc-{app}", "namespace": f"{self.prefix}-main"},
            "spec": {"selector": {"app": app}, "ports": [{"port": 80}]},
        }

    def node(self, index: int) -> Document:
        name = f"{self.prefix}-n{index:02d}"
        labels = {HOST: name, CLASS: self.pick(("private", "aws")), "cores": str(self.pick((4, 8, 16)))}
        if self.chance(0.9):
            labels[ZONE] = self.pick("abc")
        if self.chance(0.5):
            labels["disk"] = self.pick(("ssd", "hdd"))
        resources = {
            "cpu": self.pick(("3500m", "8", "16", "32")),
            "memory": self.pick(("7Gi", "15Gi", "32Gi", "64Gi")),
            "pods": str(self.pick((5, 12, 30, 110))),
            "ephemeral-storage": self.pick(("10Gi", "50Gi")),
        }
        if self.chance(0.3):
            resources["nvidia.com/gpu"] = self.pick(("1", "4"))
        taints = []
        if self.chance(0.2):
            taints.append({"key": "dedicated", "value": self.pick(TEAMS), "effect": self.pick(("NoSchedule", "NoExecute"))})
        if self.chance(0.3):
            taints.append({"key": "burst", "effect": "PreferNoSchedule"})
        spec: Document = {"taints": taints} if taints else {}
        if self.chance(0.05):
            spec["unschedulable"] = True
        held = [image for image in IMAGES if self.chance(0.4)]
        images = [{"names": [image], "sizeBytes": IMAGES[image] * 1024 * 1024} for image in held]
        status = {"allocatable": resources, "capacity": resources, "images": images}
        return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}, "spec": spec, "status": status}

    def pod(self, index: int) -> Document:
        space = f"{self.prefix}-main" if self.chance(0.8) else f"{self.prefix}-side"
        labels = {"app": self.pick(APPS), "rev": self.pick(("1", "2"))}
        spec: Document = {"containers": [self.container("main")], "terminationGracePeriodSeconds": 0}
        if self.chance(0.15):
            spec["containers"].append(self.container("second"))
        if self.chance(0.15):
            first = self.container("first")
            if self.chance(0.5):
                first["restartPolicy"] = "Always"
            spec["initContainers"] = [first, self.container("next")]
        if self.chance(0.1) and len(spec["containers"]) == 1 and "initContainers" not in spec:
            level = self.some((("cpu", "5500m"), ("memory", "8Gi")))
            spec["resources"] = {"requests": dict(level)}
        if self.chance(0.15):
            spec["nodeSelector"] = self.pick(({CLASS: "private"}, {"disk": "ssd"}, {ZONE: "a"}))
        if self.chance(0.4):
            spec["tolerations"] = self.some(
                (
                    {"key": "dedicated", "operator": "Exists"},
                    {"key": "dedicated", "operator": "Equal", "value": "red", "effect": "NoSchedule"},
                    {"key": "burst", "operator": "Exists", "effect": "PreferNoSchedule"},
                    {"key": "node.kubernetes.io/unschedulable", "operator": "Exists"},
                )
            )
        if self.chance(0.2):
            spec["topologySpreadConstraints"] = [self.spread(labels) for _ in range(int(self.draw.integers(1, 3)))]
            keys = {(spread["topologyKey"], spread["whenUnsatisfiable"]) for spread in spec["topologySpreadConstraints"]}
            if len(keys) < len(spec["topologySpreadConstraints"]):
                spec["topologySpreadConstraints"] = spec["topologySpreadConstraints"][:1]
        affinity = self.affinity(labels)
        if affinity:
            spec["affinity"] = affinity
        metadata = {"name": f"p{index:03d}", "namespace": space, "labels": labels}
        return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}

    def container(self, name: str) -> Document:
        requests = {}
        if self.chance(0.85):
            requests["cpu"] = self.pick(("50m", "100m", "250m", "333m", "1", "2", "5"))
        if self.chance(0.8):
            requests["memory"] = self.pick(("64Mi", "200Mi", "777Mi", "1Gi", "3Gi", "7Gi"))
        if self.chance(0.1):
            requests["ephemeral-storage"] = self.pick(("1Gi", "8Gi"))
        limits = {}
        if self.chance(0.08):
            requests["nvidia.com/gpu"] = limits["nvidia.com/gpu"] = self.pick(("1", "2"))
        if self.chance(0.1) and "cpu" not in requests:
            limits["cpu"] = "500m"
        found: Document = {"name": name, "image": self.pick((*IMAGES, "other", "registry.test/db"))}
        found["resources"] = {"requests": requests, "limits": limits}
        if self.chance(0.12):
            port = {"containerPort": 80, "hostPort": self.pick((8080, 8081)), "protocol": self.pick(("TCP", "UDP"))}
            if self.chance(0.3):
                port["hostIP"] = self.pick(("10.0.0.1", "10.0.0.2"))
            if name == "main":
                found["ports"] = [port]
        return found

    def spread(self, labels: dict[str, str]) -> Document:
        hard = self.chance(0.5)
        found: Document = {
            "maxSkew": int(self.draw.integers(1, 4)),
            "topologyKey": self.pick((ZONE, HOST, "disk")),
            "whenUnsatisfiable": "DoNotSchedule" if hard else "ScheduleAnyway",
            "labelSelector": self.selector(labels),
        }
        if hard and self.chance(0.3):
            found["minDomains"] = int(self.draw.integers(1, 5))
        if self.chance(0.3):
            found["nodeAffinityPolicy"] = self.pick(("Honor", "Ignore"))
        if self.chance(0.3):
            found["nodeTaintsPolicy"] = self.pick(("Honor", "Ignore"))
        if self.chance(0.3):
            found["matchLabelKeys"] = ["rev"]
        return found

    def selector(self, labels: dict[str, str]) -> Document:
        app = labels["app"] if self.chance(0.6) else self.pick(APPS)
        if self.chance(0.8):
            return {"matchLabels": {"app": app}}
        return {"matchExpressions": [{"key": "app", "operator": self.pick(("In", "NotIn")), "values": [app]}]}

    def affinity(self, labels: dict[str, str]) -> Document:
        found: Document = {}
        nodes: Document = {}
        if self.chance(0.15):
            nodes["requiredDuringSchedulingIgnoredDuringExecution"] = {"nodeSelectorTerms": [self.node_term() for _ in range(2)]}
        if self.chance(0.3):
            nodes["preferredDuringSchedulingIgnoredDuringExecution"] = [
                {"weight": int(self.draw.integers(1, 101)), "preference": self.node_term()} for _ in range(int(self.draw.integers(1, 3)))
            ]
        if nodes:
            found["nodeAffinity"] = nodes
        for kind, share in (("podAffinity", 0.08), ("podAntiAffinity", 0.12)):
            part: Document = {}
            if self.chance(share):
                part["requiredDuringSchedulingIgnoredDuringExecution"] = [self.pod_term(labels)]
            if self.chance(0.12):
                part["preferredDuringSchedulingIgnoredDuringExecution"] = [
                    {"weight": int(self.draw.integers(1, 101)), "podAffinityTerm": self.pod_term(labels)}
                    for _ in range(int(self.draw.integers(1, 3)))
                ]
            if part:
                found[kind] = part
        return found

    def node_term(self) -> Document:
        if self.chance(0.1):
            names = [f"{self.prefix}-n{i:02d}" for i in range(3)]
            return {"matchFields": [{"key": "metadata.name", "operator": self.pick(("In", "NotIn")), "values": [self.pick(names)]}]}
        expression = self.pick(
            (
                {"key": ZONE, "operator": "In", "values": ["a", "b"]},
                {"key": ZONE, "operator": "NotIn", "values": ["a"]},
                {"key": "disk", "operator": "Exists"},
                {"key": "disk", "operator": "DoesNotExist"},
                {"key": "cores", "operator": "Gt", "values": ["4"]},
                {"key": "cores", "operator": "Lt", "values": ["16"]},
                {"key": CLASS, "operator": "In", "values": ["private"]},
            )
        )
        return {"matchExpressions": [expression]}

    def pod_term(self, labels: dict[str, str]) -> Document:
        term: Document = {"topologyKey": self.pick((ZONE, HOST, HOST)), "labelSelector": self.selector(labels)}
        if self.chance(0.2):
            term["namespaces"] = [self.pick(list(self.spaces))]
        if self.chance(0.2):
            term["namespaceSelector"] = self.pick(({}, {"matchLabels": {"team": "blue"}}))
        if self.chance(0.2):
            term[self.pick(("matchLabelKeys", "mismatchLabelKeys"))] = ["rev"]
        return term
