"""NodeShape: a server or instance as a Kubernetes node; capacity less reservations = allocatable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from models.units import ceil_int

EVICTION_MIB = 100


def kube_reserved_cpu_m(cores: int) -> int:
    """EKS and GKE steps: 6 % of core 1, 1 % of core 2, 0.5 % of cores 3-4, 0.25 % of the rest.

    Source: awslabs/amazon-eks-ami nodeadm/internal/kubelet/config.go.

    >>> kube_reserved_cpu_m(16), kube_reserved_cpu_m(64)
    (110, 230)
    """
    steps = ((1, 60.0), (1, 10.0), (2, 5.0))
    left, reserved = cores, 0.0
    for size, millicores in steps:
        take = min(left, size)
        reserved, left = reserved + take * millicores, left - take
    return ceil_int(reserved + left * 2.5)


def eks_reserved_memory_mib(max_pods: int) -> int:
    """EKS kube-reserved memory: 255 MiB + 11 MiB per pod the node may hold.

    >>> eks_reserved_memory_mib(234)
    2829
    """
    return 255 + 11 * max_pods


def gke_reserved_memory_mib(memory_mib: int) -> int:
    """GKE steps, used for private nodes: 25 % of the first 4 GiB, 20 % of 4, 10 % of 8, 6 % of 112, 2 % above.

    Source: github.com/hatemosphere/gke-node-allocatable-memory-calculator.

    >>> gke_reserved_memory_mib(16 * 1024)
    2663
    """
    steps = ((4096, 0.25), (4096, 0.20), (8192, 0.10), (114688, 0.06))
    left, reserved = memory_mib, 0.0
    for size, share in steps:
        take = min(left, size)
        reserved, left = reserved + take * share, left - take
    return ceil_int(reserved + left * 0.02)


@dataclass(frozen=True, slots=True)
class NodeShape:
    """One kind of node. `capacity - reserved - eviction = allocatable`; DaemonSet pods then take their part.

    cpu in millicores, memory in MiB, `watts_*` at the wall of the server, `speed` relative to the AWS worker's thread,
    `arch` as the label kubernetes.io/arch has it.
    """

    name: str
    cpu_m: int
    memory_mib: int
    max_pods: int = 110
    kube_reserved_cpu_m: int = 0
    kube_reserved_memory_mib: int = 0
    system_reserved_cpu_m: int = 0
    system_reserved_memory_mib: int = 0
    eviction_memory_mib: int = EVICTION_MIB
    daemonset_cpu_m: int = 0
    daemonset_memory_mib: int = 0
    daemonset_pods: int = 0
    extended: Mapping[str, int] = field(default_factory=dict)
    speed: float = 1.0
    watts_idle: float = 0.0
    watts_peak: float = 0.0
    arch: str = "amd64"

    @property
    def allocatable_cpu_m(self) -> int:
        """Millicores that the kubelet offers to pods, DaemonSets included."""
        return self.cpu_m - self.kube_reserved_cpu_m - self.system_reserved_cpu_m

    @property
    def allocatable_memory_mib(self) -> int:
        """MiB that the kubelet offers to pods, DaemonSets included."""
        reserved = self.kube_reserved_memory_mib + self.system_reserved_memory_mib + self.eviction_memory_mib
        return self.memory_mib - reserved

    @property
    def schedulable_cpu_m(self) -> int:
        """Millicores left for workloads once DaemonSets run.

        >>> NodeShape("m5.4xlarge", 16000, 65536, kube_reserved_cpu_m=110, daemonset_cpu_m=350).schedulable_cpu_m
        15540
        """
        return self.allocatable_cpu_m - self.daemonset_cpu_m

    @property
    def schedulable_memory_mib(self) -> int:
        """MiB left for workloads once DaemonSets run."""
        return self.allocatable_memory_mib - self.daemonset_memory_mib

    @property
    def schedulable_pods(self) -> int:
        """Pod slots left for workloads once DaemonSets run."""
        return self.max_pods - self.daemonset_pods
