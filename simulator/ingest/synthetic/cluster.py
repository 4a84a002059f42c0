"""The company's cluster at one hour, as kubectl prints it and as one scrape of its metrics.

The hour is the first one: 60 running workspaces on 23 workers, and five more waiting, one a team. Metric names are those
of kube-state-metrics and of the kubelet's cAdvisor.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import yaml

from models.node import EVICTION_MIB, eks_reserved_memory_mib, kube_reserved_cpu_m
from models.units import KIB_PER_MIB, cpu_text, memory_text
from simulator.ingest.synthetic.company import START, Company, namespace, replicas, workers
from simulator.ingest.synthetic.lines import availability_zone, named_bits, uuid

CORES, MEMORY_MIB, MAX_PODS = 16, 65536, 234
AGENT_CPU_M, AGENT_MEMORY_MIB = 350, 512
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"


@dataclass(frozen=True, slots=True)
class ClusterNode:
    """A worker: its name, instance and zone."""

    name: str
    instance: str
    zone: str


@dataclass(frozen=True, slots=True)
class ClusterPod:
    """A pod with its owner; `node` is empty while it waits."""

    namespace: str
    name: str
    uid: str
    owner_kind: str
    owner: str
    node: str
    container: str
    cpu_m: int
    memory_mib: int
    cpu_use_share: float
    memory_use_share: float


def cluster_nodes(company: Company) -> tuple[ClusterNode, ...]:
    """Workers of the first hour."""
    count = int(workers(company)[0])
    bits = named_bits(company.seed, "instance", np.arange(count, dtype=np.uint64) * np.uint64(1 << 20) + np.uint64(1))
    return tuple(
        ClusterNode(
            f"ip-10-0-{slot // 200}-{slot % 200 + 10}.{company.region}.compute.internal",
            f"i-0{int(number):016x}",
            availability_zone(company.region, slot),
        )
        for slot, number in enumerate(bits)
    )


def cluster_pods(company: Company) -> tuple[ClusterPod, ...]:
    """Workspaces of the first hour, on the workers in turn, one more waiting per team, and an agent on every worker."""
    nodes = cluster_nodes(company)
    counts = replicas(company)[0]
    pods: list[ClusterPod] = []
    placed = 0
    for index, team in enumerate(company.teams):
        owner = f"workspace-{letters(company.seed, f'set {team.name}', 1, 10)[0]}"
        running = int(counts[index])
        for number, suffix in enumerate(letters(company.seed, f"pod {team.name}", running + 1, 5)):
            node = nodes[(placed + number) % len(nodes)].name if number < running else ""
            uid = uuid(company.seed, f"uid {team.name}", number)
            pods.append(
                ClusterPod(
                    namespace(team), f"{owner}-{suffix}", uid, "ReplicaSet", owner, node, "workspace",
                    company.pod_cpu_m, company.pod_memory_mib, team.cpu_use_share, team.memory_use_share,
                )
            )  # fmt: skip
        placed += running
    suffixes = letters(company.seed, "agents", len(nodes), 5)
    for number, worker in enumerate(nodes):
        uid = uuid(company.seed, "agents", number)
        name = f"node-agents-{suffixes[number]}"
        agent = ("kube-system", name, uid, "DaemonSet", "node-agents", worker.name, "agents", AGENT_CPU_M, AGENT_MEMORY_MIB, 0.5, 0.5)
        pods.append(ClusterPod(*agent))
    return tuple(pods)


def letters(seed: int, name: str, count: int, length: int) -> list[str]:
    """Suffixes in the letters that Kubernetes uses for generated names; distinct within one call.

    >>> [len(text) for text in letters(1, "x", 2, 5)]
    [5, 5]
    """
    found: dict[str, None] = {}
    number = 0
    while len(found) < count:
        bits = int(named_bits(seed, name, np.array([number], dtype=np.uint64))[0])
        found["".join(_LETTERS[(bits >> 5 * place) % len(_LETTERS)] for place in range(length))] = None
        number += 1
    return list(found)


def nodes_yaml(company: Company) -> str:
    """`kubectl get nodes -o yaml`."""
    return _list([_node(company, node) for node in cluster_nodes(company)])


def pods_yaml(company: Company) -> str:
    """`kubectl get pods -A -o yaml`."""
    return _list([_pod(pod) for pod in cluster_pods(company)])


def exposition(company: Company) -> str:
    """One scrape of kube-state-metrics and cAdvisor in Prometheus' text format, without timestamps."""
    pods, nodes = cluster_pods(company), cluster_nodes(company)
    running = [pod for pod in pods if pod.node]
    blocks = [
        _metric("kube_namespace_labels", "gauge", _namespace_samples(company)),
        _metric("kube_node_status_capacity", "gauge", _node_samples(nodes, CORES, MEMORY_MIB)),
        _metric("kube_node_status_allocatable", "gauge", _node_samples(nodes, _allocatable_m() / 1000, _allocatable_mib())),
        _metric("kube_pod_info", "gauge", (
            ({"namespace": p.namespace, "pod": p.name, "uid": p.uid, "node": p.node,
              "created_by_kind": p.owner_kind, "created_by_name": p.owner}, 1.0) for p in pods)),
        _metric("kube_pod_owner", "gauge", (
            ({"namespace": p.namespace, "pod": p.name, "uid": p.uid, "owner_kind": p.owner_kind, "owner_name": p.owner,
              "owner_is_controller": "true"}, 1.0) for p in pods)),
        _metric("kube_replicaset_owner", "gauge", (
            ({"namespace": space, "replicaset": owner, "owner_kind": "Deployment", "owner_name": "workspace",
              "owner_is_controller": "true"}, 1.0)
            for space, owner in sorted({(p.namespace, p.owner) for p in pods if p.owner_kind == "ReplicaSet"}))),
        _metric("kube_pod_status_phase", "gauge", (
            ({"namespace": p.namespace, "pod": p.name, "uid": p.uid, "phase": phase},
             float(phase == ("Running" if p.node else "Pending")))
            for p in pods for phase in ("Pending", "Succeeded", "Failed", "Unknown", "Running"))),
        _metric("kube_pod_container_resource_requests", "gauge", _request_samples(pods)),
        _metric("container_cpu_usage_seconds_total", "counter", (
            (_container(p), p.cpu_m / 1000 * p.cpu_use_share * 3600) for p in running)),
        _metric("container_memory_working_set_bytes", "gauge", (
            (_container(p), p.memory_mib * p.memory_use_share * 2**20) for p in running)),
    ]  # fmt: skip
    return "".join(blocks)


def _metric(name: str, kind: str, samples: Iterable[tuple[dict[str, str], float]]) -> str:
    lines = [f"# TYPE {name} {kind}"]
    for labels, value in samples:
        inside = ",".join(f'{key}="{text}"' for key, text in labels.items())
        lines.append(f"{name}{{{inside}}} {value:.17g}")
    return "\n".join(lines) + "\n"


def _namespace_samples(company: Company) -> Iterator[tuple[dict[str, str], float]]:
    for team in company.teams:
        yield {"namespace": namespace(team), "label_team": team.name, "label_users": str(team.users)}, 1.0


def _node_samples(nodes: Iterable[ClusterNode], cores: float, memory_mib: int) -> Iterator[tuple[dict[str, str], float]]:
    amounts = (("cpu", "core", cores), ("memory", "byte", memory_mib * 2.0**20), ("pods", "integer", float(MAX_PODS)))
    for node in nodes:
        for resource, unit, value in amounts:
            yield {"node": node.name, "resource": resource, "unit": unit}, value


def _request_samples(pods: Iterable[ClusterPod]) -> Iterator[tuple[dict[str, str], float]]:
    for pod in pods:
        labels = {"namespace": pod.namespace, "pod": pod.name, "uid": pod.uid, "container": pod.container, "node": pod.node}
        yield labels | {"resource": "cpu", "unit": "core"}, pod.cpu_m / 1000
        yield labels | {"resource": "memory", "unit": "byte"}, pod.memory_mib * 2.0**20


def _container(pod: ClusterPod) -> dict[str, str]:
    return {"container": pod.container, "namespace": pod.namespace, "pod": pod.name, "node": pod.node}


def _list(items: list[dict[str, Any]]) -> str:
    document = {"apiVersion": "v1", "items": items, "kind": "List", "metadata": {"resourceVersion": ""}}
    return str(yaml.dump(document, Dumper=yaml.CSafeDumper, sort_keys=True))


def _node(company: Company, node: ClusterNode) -> dict[str, Any]:
    labels = {
        "kubernetes.io/arch": "amd64", "kubernetes.io/hostname": node.name, "kubernetes.io/os": "linux",
        "node.kubernetes.io/instance-type": company.worker, "topology.kubernetes.io/region": company.region,
        "topology.kubernetes.io/zone": node.zone,
    }  # fmt: skip
    capacity = {"cpu": str(CORES), "memory": f"{MEMORY_MIB * KIB_PER_MIB}Ki", "pods": str(MAX_PODS)}
    free = {"cpu": cpu_text(_allocatable_m()), "memory": f"{_allocatable_mib() * KIB_PER_MIB}Ki", "pods": str(MAX_PODS)}
    ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "kubelet is posting ready status"}
    return {
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": node.name, "labels": labels, "creationTimestamp": f"{START:%Y-%m-%dT%H:%M:%SZ}"},
        "spec": {"providerID": f"aws:///{node.zone}/{node.instance}"},
        "status": {"capacity": capacity, "allocatable": free, "conditions": [ready]},
    }  # fmt: skip


def _pod(pod: ClusterPod) -> dict[str, Any]:
    requests = {"cpu": cpu_text(pod.cpu_m), "memory": memory_text(pod.memory_mib)}
    container = {"name": pod.container, "image": f"registry.example.com/{pod.container}:1", "resources": {"requests": requests}}
    owner = {"apiVersion": "apps/v1", "kind": pod.owner_kind, "name": pod.owner, "uid": f"{pod.uid[:-4]}0000", "controller": True}
    spec: dict[str, Any] = {"containers": [container], "schedulerName": "default-scheduler", "priority": 0}
    if pod.node:
        spec["nodeName"] = pod.node
    if pod.owner_kind == "DaemonSet":
        spec["tolerations"] = [{"operator": "Exists"}]
    return {
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": pod.name, "namespace": pod.namespace, "uid": pod.uid, "labels": {"app": pod.container},
            "ownerReferences": [owner], "creationTimestamp": f"{START:%Y-%m-%dT%H:%M:%SZ}",
        },
        "spec": spec,
        "status": {"phase": "Running" if pod.node else "Pending"},
    }  # fmt: skip


def _allocatable_m() -> int:
    return CORES * 1000 - kube_reserved_cpu_m(CORES)


def _allocatable_mib() -> int:
    return MEMORY_MIB - eks_reserved_memory_mib(MAX_PODS) - EVICTION_MIB
