"""What every pod and node carries besides the work: the proxy of a service mesh, and DaemonSets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from models.demand import Demand
from models.node import NodeShape
from models.parameter import Parameters
from models.resources import CPU, MEMORY, PODS
from models.scenario import Scenario
from models.scenario_workloads import PlatformPart
from models.units import ceil_int
from models.workload import Workload

MIB_PER_MB = 1e6 / 2**20
Mesh = Literal["none", "linkerd", "istio"]
MESHES: tuple[Mesh, ...] = ("none", "linkerd", "istio")


@dataclass(frozen=True, slots=True)
class Proxy:
    """What a mesh adds to every pod: whole millicores and MiB, rounded up, and the exact MB behind them."""

    cpu_m: int = 0
    memory_mib: int = 0
    memory_mb: float = 0.0


def proxy(mesh: Mesh, parameters: Parameters) -> Proxy:
    """The proxy of a mesh; nothing without one."""
    if mesh == "none":
        return Proxy()
    megabytes = parameters[f"{mesh}_proxy_memory_mb"]
    return Proxy(ceil_int(parameters[f"{mesh}_proxy_cpu_m"]), ceil_int(megabytes * MIB_PER_MB), megabytes)


def meshed(demand: Demand, platform: PlatformPart, parameters: Parameters) -> Demand:
    """The demand with the proxy in every pod of its services; jobs carry none. Itself without a mesh."""
    tax = proxy(platform.mesh, parameters) if platform.mesh_measured else Proxy()
    if tax == Proxy():
        return demand
    requests, rows = demand.requests.copy(), []
    cpu, memory = demand.axes.index(CPU), demand.axes.index(MEMORY)
    position = {name: index for index, name in enumerate(demand.classes)}
    for workload in demand.workloads:
        if not _carries(workload):
            rows.append(workload)
            continue
        rows.append(replace(workload, cpu_m=workload.cpu_m + tax.cpu_m, memory_mib=workload.memory_mib + tax.memory_mib))
        index = position[workload.full_name]
        pods = np.asarray(workload.replicas, np.float64)
        requests[:, index, cpu] += pods * tax.cpu_m
        requests[:, index, memory] += pods * tax.memory_mib
    return replace(demand, requests=requests, workloads=tuple(rows))


def bare(workload: Workload, platform: PlatformPart, parameters: Parameters) -> Workload:
    """A workload of a `meshed` demand as it was measured."""
    tax = proxy(platform.mesh, parameters) if platform.mesh_measured and _carries(workload) else Proxy()
    return replace(workload, cpu_m=workload.cpu_m - tax.cpu_m, memory_mib=workload.memory_mib - tax.memory_mib)


def _carries(workload: Workload) -> bool:
    return workload.workload_class == "service" and not workload.controlled


def platform_document(demand: Demand, scenario: Scenario, bare: NodeShape, parameters: Parameters) -> dict[str, Any]:
    """What each mesh and the DaemonSets cost in the fullest hour, in nodes of shape `bare` (without further DaemonSets).

    `demand` is the one that was simulated or planned, its own mesh included. Nodes are those of the resource that fills first, at
    the planner's packing share.
    """
    platform, packing = scenario.platform, scenario.planner.packing_share
    pods = _meshed_pods(demand, scenario)
    present = proxy(platform.mesh, parameters)
    work = {
        CPU: demand.total(CPU) - pods * present.cpu_m,
        MEMORY: demand.total(MEMORY) - pods * present.memory_mib,
        PODS: demand.total(PODS),
        **{axis: demand.total(axis) for axis in bare.extended if axis in demand.axes.names},
    }
    shape = platform.on_node(bare)
    meshes = {}
    for name in MESHES:
        tax = proxy(name, parameters)
        asked = {**work, CPU: work[CPU] + pods * tax.cpu_m, MEMORY: work[MEMORY] + pods * tax.memory_mib}
        meshes[name] = {
            "memory_gb": round(float(pods.max(initial=0.0)) * tax.memory_mb / 1000.0, 6),
            "cores": round(float(pods.max(initial=0.0)) * tax.cpu_m / 1000.0, 6),
            "nodes": nodes_for(asked, shape, packing),
        }
    asked = {**work, CPU: work[CPU] + pods * present.cpu_m, MEMORY: work[MEMORY] + pods * present.memory_mib}
    return {
        "mesh": platform.mesh,
        "meshed_pods_peak": float(pods.max(initial=0.0)),
        "node": bare.name,
        "nodes_by_mesh": meshes,
        "mesh_delta_nodes": meshes[platform.mesh]["nodes"] - meshes["none"]["nodes"],
        "daemonsets": [part.name for part in platform.daemonsets],
        "daemonset_delta_nodes": nodes_for(asked, shape, packing) - nodes_for(asked, bare, packing),
    }


def _meshed_pods(demand: Demand, scenario: Scenario) -> NDArray[np.float64]:
    """Pods that carry a proxy, or would: float64 [hours]."""
    plain = {part.full_name for part in scenario.workloads if part.kind not in ("deployment", "sessions") or not part.meshed}
    rows = [
        np.asarray(workload.replicas, np.float64)
        for workload in demand.workloads
        if workload.full_name not in plain and (workload.controlled or (scenario.platform.mesh_measured and _carries(workload)))
    ]
    return np.asarray(sum(rows, np.zeros(demand.horizon.hours)))


def nodes_for(asked: Mapping[str, NDArray[np.float64]], shape: NodeShape, packing: float) -> int:
    """Nodes for the fullest hour, by the resource that fills first; `asked` by axis: float64 [hours].

    >>> hour = {CPU: np.array([236_000.0]), MEMORY: np.array([537_000.0]), PODS: np.array([1000.0])}
    >>> nodes_for(hour, NodeShape("n", 62_820, 400_100, max_pods=250), 1.0)
    4
    """
    room = {CPU: shape.schedulable_cpu_m, MEMORY: shape.schedulable_memory_mib, PODS: shape.schedulable_pods, **shape.extended}
    return max(ceil_int(float(amount.max(initial=0.0)) / (room[axis] * packing)) for axis, amount in asked.items())
