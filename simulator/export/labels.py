"""Labels, taints and reservations of a pool: the one place where their spelling is decided.

Kubelet arguments, capacity annotations and NodePool templates all read from here, so that what the autoscaler believes
of a node before it exists is what the kubelet says afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass

from models.plan import BuildPlan, PoolPlan
from models.units import cpu_text, memory_text

GPU = "nvidia.com/gpu"
# With one --eviction-hard key set the kubelet drops its defaults for the others, so all are written.
DISK_EVICTION = {"nodefs.available": "10%", "nodefs.inodesFree": "5%", "imagefs.available": "15%"}


@dataclass(frozen=True, slots=True)
class Taint:
    """A node taint."""

    key: str
    value: str = ""
    effect: str = "NoSchedule"

    def __str__(self) -> str:
        return f"{self.key}={self.value}:{self.effect}" if self.value else f"{self.key}:{self.effect}"

    def as_dict(self) -> dict[str, str]:
        """The Kubernetes spelling."""
        return {"key": self.key, **({"value": self.value} if self.value else {}), "effect": self.effect}


def pool_labels(plan: BuildPlan, pool: PoolPlan) -> dict[str, str]:
    """Node labels: the class (private or burst) and the zone, under the plan's prefix."""
    return {f"{plan.label_prefix}/class": "private" if pool.private else "burst", f"{plan.label_prefix}/zone": pool.zone}


def pool_taints(plan: BuildPlan, pool: PoolPlan) -> tuple[Taint, ...]:
    """Burst nodes take only pods that tolerate them (burst is opt-in); GPU nodes keep plain pods off."""
    burst = () if pool.private else (Taint(f"{plan.label_prefix}/burst", "true"),)
    gpu = (Taint(GPU),) if pool.extended.get(GPU) else ()
    return burst + gpu


def comma_list(pairs: dict[str, str]) -> str:
    """`key=value` pairs for kubelet arguments and annotations.

    >>> comma_list({"cpu": "230m", "memory": "2Gi"})
    'cpu=230m,memory=2Gi'
    """
    return ",".join(f"{key}={value}" for key, value in pairs.items())


def kube_reserved(pool: PoolPlan) -> dict[str, str]:
    """What the kubelet keeps for itself and the container runtime."""
    return _amounts(pool.kube_reserved_cpu_m, pool.kube_reserved_memory_mib)


def system_reserved(pool: PoolPlan) -> dict[str, str]:
    """What the kubelet keeps for the operating system."""
    return _amounts(pool.system_reserved_cpu_m, pool.system_reserved_memory_mib)


def _amounts(cpu_m: int, memory_mib: int) -> dict[str, str]:
    return {**({"cpu": cpu_text(cpu_m)} if cpu_m else {}), **({"memory": memory_text(memory_mib)} if memory_mib else {})}


def eviction_hard(pool: PoolPlan) -> dict[str, str]:
    """Thresholds below which the kubelet evicts; only memory counts against allocatable."""
    return {"memory.available": memory_text(pool.eviction_memory_mib), **DISK_EVICTION}


def kubernetes_release(plan: BuildPlan) -> str:
    """The full version that machines install, such as v1.36.0."""
    return f"v{plan.kubernetes_version}.{plan.site.kubernetes_patch}"
