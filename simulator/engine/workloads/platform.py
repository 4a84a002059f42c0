"""What every pod and node carries besides the work: the proxy of a service mesh, and DaemonSets."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from models.demand import Demand
from models.node import NodeShape
from models.parameter import Parameters
from models.resources import CPU, MEMORY
from models.scenario_workloads import PlatformPart
from models.units import ceil_int
from models.workload import Workload

MIB_PER_MB = 1e6 / 2**20
Mesh = Literal["none", "linkerd", "istio"]


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


def _carries(workload: Workload) -> bool:
    return workload.workload_class == "service" and not workload.controlled


def nodes_for_pods(pods: int, cpu_m: int, memory_mib: int, shape: NodeShape) -> int:
    """Nodes that hold `pods` equal pods, by the resource that fills first.

    >>> nodes_for_pods(1000, 236, 538, NodeShape("n", 62820, 400_100, max_pods=110))
    10
    """
    held = min(shape.schedulable_cpu_m // cpu_m, shape.schedulable_memory_mib // memory_mib, shape.schedulable_pods)
    return -(-pods // held) if held > 0 else 0
