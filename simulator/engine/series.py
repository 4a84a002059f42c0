"""A run as Prometheus would have scraped it: OpenMetrics text with the names and labels of the real exporters.

One scrape an hour, one series for all nodes of a pool and for all pods of a workload class in a pool: sums, shares and
recording rules give what they give on a cluster, a `count` of series does not. Names: kube-state-metrics 2.x, dcgm-exporter,
ipmi_exporter and Cluster Autoscaler. Format: OpenMetrics 1.0, as `promtool tsdb create-blocks-from openmetrics` takes it.

Pods of a class in a pool are two series of kube_pod_status_phase, so that the recording rules (requests of pods whose phase
equals 1) and the number of pods (their sum) both hold: one pod carries all requests and has phase 1, the other's phase is
the number of the others. Hours with less than one pod on average count one. A series lasts for the whole run and is 0 while
there is nothing, so that a look back over a scrape or two finds no more than there is.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.energy import power_by_hour_w
from models.fleet import Fleet, NodePool
from models.node import NodeShape
from models.outcome import NODE_STATES, RunResult
from models.units import MS_PER_H, MS_PER_S
from simulator.engine.egress import NAMES
from simulator.record import writing

Values = NDArray[np.float64]
BYTES_PER_MIB = 2.0**20
GPU = "nvidia.com/gpu"
MIG = "nvidia.com/mig-"
CONTAINER = "main"
MOVED = frozenset(NAMES.values())
"""Counters of data that pods move, which no exporter knows."""
UNITS = {"cpu": "core", "memory": "byte"}
STATES = {"up": "ready", "down": "unready", "provisioning": "notStarted", "cleaning": "beingDeleted"}
"""States of a node here, and what Cluster Autoscaler calls them."""


@dataclass(frozen=True)
class Metric:
    """One series: labels and one value an hour; NaN where a scrape would not have seen it."""

    family: str
    labels: Mapping[str, str]
    values: Values


HELP = {
    "kube_node_info": "Information about a node; here one series for each pool.",
    "kube_node_labels": "Kubernetes labels of a node; here one series for each pool.",
    "kube_node_status_capacity": "Capacity of the nodes of a pool that are up.",
    "kube_node_status_allocatable": "Allocatable of the nodes of a pool that are up.",
    "kube_node_status_condition": "Nodes of a pool by Ready condition.",
    "kube_namespace_labels": "Kubernetes labels of a namespace; here one namespace for each workload class.",
    "kube_pod_owner": "Owner of a pod; here the pool in which the pods of a class run.",
    "kube_pod_status_phase": "Pods by phase: one carries the requests of all, another stands for the others.",
    "kube_pod_container_resource_requests": "Requests of all pods of a class in a pool, or waiting.",
    "cluster_autoscaler_nodes_count": "Nodes by state.",
    "cluster_autoscaler_unschedulable_pods_count": "Pods that wait for room.",
    "DCGM_FI_DEV_GPU_UTIL": "GPU utilisation in percent: requested GPUs over GPUs of the nodes that are up.",
    "DCGM_FI_PROF_GR_ENGINE_ACTIVE": "Share of the MIG slices of a profile that pods hold.",
    "ipmi_dcmi_power_consumption_watts": "Power of the servers of a pool at the wall.",
}


def metrics(run: RunResult, fleet: Fleet) -> Iterator[Metric]:
    """Every series of a run, families together; `fleet` is the one that ran."""
    pools = {pool.name: pool for pool in fleet.pools}
    ordered = [pools[name] for name in run.pools]
    named = sorted((one for part in (_nodes(run, ordered), _pods(run), _gpus(run, ordered)) for one in part), key=_order)
    yield from named


def _order(metric: Metric) -> tuple[str, tuple[tuple[str, str], ...]]:
    return metric.family, tuple(metric.labels.items())


def _seen(values: Values, where: Values) -> Values:
    """Values of the hours in which there was something to scrape."""
    return np.where(where > 0, values, np.nan)


def _nodes(run: RunResult, pools: list[NodePool]) -> Iterator[Metric]:
    """Nodes of every pool: what they hold, how many are up, what they draw."""
    state = {name: run.node_state_h[:, :, k] for k, name in enumerate(NODE_STATES)}
    power = power_by_hour_w(run)
    for q, pool in enumerate(pools):
        up, own = run.node_hours[:, q], {"node": pool.name}
        yield Metric("kube_node_info", own | {"kubelet_version": "", "provider_id": pool.kind}, np.ones(up.size))
        yield Metric("kube_node_labels", own | _node_labels(pool), np.ones(up.size))
        for side, amounts in (("capacity", _capacity(pool.shape)), ("allocatable", _allocatable(pool.shape))):
            for resource, amount in amounts.items():
                labels = own | {"resource": _resource(resource), "unit": UNITS.get(resource, "integer")}
                yield Metric(f"kube_node_status_{side}", labels, up * amount)
        for status, count in (("true", up), ("false", state["down"][:, q])):
            yield Metric("kube_node_status_condition", own | {"condition": "Ready", "status": status}, count)
        for name, called in STATES.items():
            yield Metric("cluster_autoscaler_nodes_count", {"node_group": pool.name, "state": called}, state[name][:, q])
        if pool.shape.watts_peak > 0:
            yield Metric("ipmi_dcmi_power_consumption_watts", {"instance": pool.name}, power[:, q])


def _node_labels(pool: NodePool) -> dict[str, str]:
    labels = {
        "kubernetes.io/hostname": pool.name,
        "node.kubernetes.io/instance-type": pool.shape.name,
        "topology.kubernetes.io/zone": pool.zone,
        **pool.labels,
    }
    return {"label_" + re.sub(r"[^a-zA-Z0-9_]", "_", name): value for name, value in sorted(labels.items())}


def _capacity(shape: NodeShape) -> dict[str, float]:
    return {"cpu": shape.cpu_m / 1000.0, "memory": shape.memory_mib * BYTES_PER_MIB, "pods": shape.max_pods, **shape.extended}


def _allocatable(shape: NodeShape) -> dict[str, float]:
    memory = shape.allocatable_memory_mib * BYTES_PER_MIB
    return {"cpu": shape.allocatable_cpu_m / 1000.0, "memory": memory, "pods": shape.max_pods, **shape.extended}


def _resource(name: str) -> str:
    """A resource as kube-state-metrics spells it: nvidia.com/gpu becomes nvidia_com_gpu."""
    return re.sub(r"[^a-zA-Z0-9_]", "_", name)


def _pods(run: RunResult) -> Iterator[Metric]:
    """Pods by class: those that run, by pool, and those that wait."""
    for c, name in enumerate(run.classes):
        for q, pool in enumerate(run.pools):
            requests = {"cpu": run.busy_class_cpu_h[:, q, c], "memory": run.busy_class_memory_mib_h[:, q, c] * BYTES_PER_MIB}
            requests |= {resource: amount[:, q, c] for resource, amount in run.busy_extended_h.items() if resource not in MOVED}
            yield from _group(name, pool, pool, "Running", run.busy_class_pods_h[:, q, c], requests)
        waiting = {"cpu": run.pending_class_cpu_h[:, c], "memory": run.pending_class_memory_mib_h[:, c] * BYTES_PER_MIB}
        waiting |= {resource: amount[:, c] for resource, amount in run.pending_extended_h.items() if resource not in MOVED}
        yield from _group(name, "waiting", "", "Pending", run.pending_class_pods_h[:, c], waiting)
        if run.busy_class_pods_h[:, :, c].any() or run.pending_class_pods_h[:, c].any():
            yield Metric("kube_namespace_labels", {"namespace": name, "label_workload_class": name}, np.ones(run.horizon.hours))
    yield Metric("cluster_autoscaler_unschedulable_pods_count", {"type": "unschedulable"}, run.pending_class_pods_h.sum(axis=1))


def _group(namespace: str, owner: str, node: str, phase: str, pods: Values, requests: Mapping[str, Values]) -> Iterator[Metric]:
    """The pods of one class in one place; nothing when there never was one."""
    if not pods.any():
        return
    own = {"namespace": namespace, "pod": f"{owner}-{namespace}"}
    for labels in (own, own | {"pod": own["pod"] + "-others"}):
        yield Metric("kube_pod_owner", labels | {"owner_kind": "StatefulSet", "owner_name": owner}, np.ones(pods.size))
    yield Metric("kube_pod_status_phase", own | {"phase": phase}, np.where(pods > 0, 1.0, 0.0))
    others = own | {"pod": own["pod"] + "-others", "phase": phase}
    yield Metric("kube_pod_status_phase", others, np.maximum(pods - 1.0, 0.0))
    for resource, values in requests.items():
        labels = own | {"container": CONTAINER, "node": node, "resource": _resource(resource), "unit": UNITS.get(resource, "integer")}
        if values.any():
            yield Metric("kube_pod_container_resource_requests", labels, values)


def _gpus(run: RunResult, pools: list[NodePool]) -> Iterator[Metric]:
    """GPUs and MIG slices of every pool, as dcgm-exporter names them."""
    for resource, amount in run.busy_extended_h.items():
        for q, pool in enumerate(pools):
            there = run.node_hours[:, q] * pool.shape.extended.get(resource, 0)
            if not there.any():
                continue
            own = {"gpu": "0", "UUID": f"GPU-{pool.name}", "device": "nvidia0", "modelName": pool.shape.name, "Hostname": pool.name}
            share = _seen(amount[:, q].sum(axis=1) / np.maximum(there, 1e-9), there)
            if resource == GPU:
                yield Metric("DCGM_FI_DEV_GPU_UTIL", own, 100.0 * share)
            elif resource.startswith(MIG):
                profile = {"GPU_I_PROFILE": resource.removeprefix(MIG), "GPU_I_ID": "0"}
                yield Metric("DCGM_FI_PROF_GR_ENGINE_ACTIVE", own | profile, share)


def lines(run: RunResult, fleet: Fleet) -> Iterator[str]:
    """The text, line by line, the last `# EOF`; values to nine decimals, times in whole seconds."""
    stamps = [f"{run.horizon.start.timestamp() + h * (MS_PER_H // MS_PER_S):.0f}" for h in range(run.horizon.hours)]
    family = ""
    for metric in metrics(run, fleet):
        if metric.family != family:
            family = metric.family
            yield f"# TYPE {family} gauge"
            yield f"# HELP {family} {HELP[family]}"
        labels = ",".join(f'{name}="{_escaped(value)}"' for name, value in metric.labels.items())
        values = np.round(metric.values, 9).tolist()
        yield from (f"{family}{{{labels}}} {value!r} {stamp}" for value, stamp in zip(values, stamps, strict=True) if value == value)
    yield "# EOF"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def write_series(run: RunResult, fleet: Fleet, path: Path) -> Path:
    """Write the text; with gzip when the name ends in .gz. The same run gives the same bytes."""
    with writing(path) as temporary:
        if path.suffix == ".gz":
            with temporary.open("wb") as raw, gzip.GzipFile("", "wb", mtime=0, fileobj=raw) as packed:
                packed.writelines(line.encode() for line in _with_newlines(lines(run, fleet)))
        else:
            with temporary.open("w", encoding="utf-8", newline="\n") as text:
                text.writelines(_with_newlines(lines(run, fleet)))
    return path


def _with_newlines(text: Iterable[str]) -> Iterator[str]:
    return (line + "\n" for line in text)
