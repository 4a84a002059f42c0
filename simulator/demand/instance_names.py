"""Size of an EC2 instance from its name, for types that the catalog lacks: families c, m, r and t follow a rule.

`large` is 2 vCPU, `xlarge` 4, `Nxlarge` 4 N; memory per vCPU is 2, 4 or 8 GiB by family letter. Checked against the
specifications of every public type; names that the rule does not cover give None, never a guess.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from models.node import NodeShape, eks_reserved_memory_mib, kube_reserved_cpu_m
from models.units import MIB_PER_GIB

_NAME = re.compile(r"([cmr])(\d+)([a-z]*)(?:-flex)?\.(medium|large|(\d*)xlarge)")
_GIB_PER_VCPU = {"c": 2.0, "m": 4.0, "r": 8.0}
_FIRST_GENERATION = {"c": 5, "m": 4, "r": 5}
_OFF_THE_RULE = ("c5n",)
_BURSTABLE_GIB = {"nano": 0.5, "micro": 1, "small": 2, "medium": 4, "large": 8, "xlarge": 16, "2xlarge": 32}
_BURSTABLE = re.compile(r"t([234])([a-z]*)\.(nano|micro|small|medium|large|xlarge|2xlarge)")
MAX_PODS = 58


def size_from_name(instance_type: str) -> tuple[int, float] | None:
    """vCPU and GiB of an instance type; None where the name does not tell.

    >>> size_from_name("m4.xlarge"), size_from_name("c7i.16xlarge"), size_from_name("t2.micro"), size_from_name("p4d.24xlarge")
    ((4, 16.0), (64, 128.0), (1, 1.0), None)
    """
    if found := _BURSTABLE.fullmatch(instance_type):
        generation, _, size = found.groups()
        small = size in ("nano", "micro", "small") and generation == "2"
        vcpu = 1 if small else {"xlarge": 4, "2xlarge": 8}.get(size, 2)
        return vcpu, float(_BURSTABLE_GIB[size])
    found = _NAME.fullmatch(instance_type)
    if found is None or int(found[2]) < _FIRST_GENERATION[found[1]] or "".join(found.group(1, 2, 3)) in _OFF_THE_RULE:
        return None
    vcpu = {"medium": 1, "large": 2}.get(found[4], 4 * int(found[5] or 1))
    return vcpu, vcpu * _GIB_PER_VCPU[found[1]]


def shape_from_name(instance_type: str, daemonset_cpu_m: int, daemonset_memory_mib: int) -> NodeShape | None:
    """The type as an EKS node with the usual reservations; None where the name does not tell its size."""
    size = size_from_name(instance_type)
    if size is None:
        return None
    vcpu, gib = size
    return NodeShape(
        name=instance_type,
        cpu_m=vcpu * 1000,
        memory_mib=round(gib * MIB_PER_GIB),
        max_pods=MAX_PODS,
        kube_reserved_cpu_m=kube_reserved_cpu_m(vcpu),
        kube_reserved_memory_mib=eks_reserved_memory_mib(MAX_PODS),
        daemonset_cpu_m=daemonset_cpu_m,
        daemonset_memory_mib=daemonset_memory_mib,
    )


def with_names(types: list[str], shapes: Mapping[str, NodeShape]) -> tuple[dict[str, NodeShape], tuple[str, ...]]:
    """Known shapes of `types`, those of unknown ones where their names tell, and which these were.

    DaemonSets take on them what they take on the known shapes.
    """
    known = {name: shapes[name] for name in types if name in shapes}
    pattern = next(iter(shapes.values()), None)
    agents = (pattern.daemonset_cpu_m, pattern.daemonset_memory_mib) if pattern is not None else (0, 0)
    told = {name: shape for name in types if name not in known and (shape := shape_from_name(name, *agents)) is not None}
    return known | told, tuple(told)
