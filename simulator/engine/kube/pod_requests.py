"""What a pod asks for: containers, init containers, sidecars, overhead and pod-level resources in one vector.

Rules of k8s.io/component-helpers/resource `PodRequests` (1.36): containers and sidecars add up; an init container needs
its own amounts beside the sidecars started before it; the larger of the two counts; pod-level requests replace cpu,
memory and huge pages; overhead comes on top. Amounts as in `objects`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from simulator.engine.kube.objects import CPU, DEFAULT_CPU_M, DEFAULT_MEMORY_BYTES, MEMORY, Amounts


@dataclass(frozen=True, slots=True)
class Container:
    """One container's requests; `sidecar` is an init container that restarts always."""

    requests: Amounts
    init: bool = False
    sidecar: bool = False


def add(left: Amounts, right: Amounts) -> dict[str, int]:
    """Sum by resource name."""
    return {name: left.get(name, 0) + right.get(name, 0) for name in (*left, *(n for n in right if n not in left))}


def larger(left: Amounts, right: Amounts) -> dict[str, int]:
    """Maximum by resource name."""
    return {name: max(left.get(name, 0), right.get(name, 0)) for name in (*left, *(n for n in right if n not in left))}


def pod_requests(
    containers: Sequence[Container],
    overhead: Amounts,
    pod_level: Amounts | None = None,
    defaults: Amounts | None = None,
) -> dict[str, int]:
    """Requests of the whole pod; `defaults` fills in for containers that name no request of that resource.

    A sidecar of 50m, an init container of 400m and two containers of 100m each: max(50 + 200, 50 + 400) = 450.

    >>> parts = [Container({"cpu": 50}, True, True), Container({"cpu": 400}, True), *[Container({"cpu": 100})] * 2]
    >>> pod_requests(parts, {})
    {'cpu': 450}
    """
    running: dict[str, int] = {}
    sidecars: dict[str, int] = {}
    starting: dict[str, int] = {}
    for container in containers:
        amounts = {**(defaults or {}), **container.requests}
        if container.sidecar:
            sidecars = add(sidecars, amounts)
            starting = larger(starting, sidecars)
        elif container.init:
            starting = larger(starting, add(sidecars, amounts))
        else:
            running = add(running, amounts)
    total = larger(add(running, sidecars), starting)
    for name, amount in (pod_level or {}).items():
        if name in (CPU, MEMORY) or name.startswith("hugepages-"):
            total[name] = amount
    return add(total, overhead)


def scored_requests(containers: Sequence[Container], overhead: Amounts, pod_level: Amounts | None = None) -> Mapping[str, int]:
    """Cpu and memory as the scoring plug-ins see them: 100m and 200 MiB for a container that requests none.

    With pod-level requests, only a resource that the whole pod leaves out gets its default.

    >>> scored_requests([Container({"cpu": 250}), Container({})], {})
    {'cpu': 350, 'memory': 419430400}
    """
    defaults = {CPU: DEFAULT_CPU_M, MEMORY: DEFAULT_MEMORY_BYTES}
    if pod_level:
        plain = pod_requests(containers, overhead, pod_level)
        defaults = {name: amount for name, amount in defaults.items() if name not in plain}
    total = pod_requests(containers, overhead, pod_level, defaults)
    return {CPU: total.get(CPU, 0), MEMORY: total.get(MEMORY, 0)}
