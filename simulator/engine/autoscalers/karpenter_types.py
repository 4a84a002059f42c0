"""Instance types of a replay file: the short form (name -> cpu, memory_gib, usd_per_h) and the list that Karpenter's kwok provider reads.

Types are labelled as the provider labels them: kwok's own `karpenter.kwok.sh/instance-*`, or for pools whose nodeClassRef
names the group karpenter.k8s.aws what the AWS provider reads from a type's name and size. Source: kubernetes-sigs/karpenter
kwok/cloudprovider/helpers.go at 1.14; karpenter.sh, Reference, Well-Known Labels.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from simulator.engine.autoscalers.cluster_autoscaler_flags import amounts
from simulator.engine.autoscalers.karpenter_catalog import ARCH, CAPACITY_TYPE, INSTANCE_TYPE, OS, InstanceType, Offering
from simulator.engine.autoscalers.karpenter_requirements import Allowed
from simulator.engine.kube.objects import CPU, MEMORY, PODS, ZONE, Amounts

SPOT_FACTOR = 0.35
PODS_PER_NODE = 110
MIB = 2**20
GIB = 2**30
KWOK = "karpenter.kwok.sh"
AWS = "karpenter.k8s.aws"
SIZE = re.compile(r".*\.(small|medium|large|\d*xlarge)")
NAME = re.compile(r"([a-z]+)(\d+)([a-z-]*)\.(.+)")
SHORT = ("cpu", "memory_gib", "usd_per_h", "pods", "arch", "os", "zones", "offerings", "capacity_types")
GPU = "nvidia.com/gpu"


def read_types(
    types: Mapping[str, Any] | Sequence[Any], zones: Sequence[str], spot_factor: float, *, aws: bool
) -> tuple[InstanceType, ...]:
    """Every type of the file; raises KeyError, TypeError or ValueError for what cannot be read."""
    if isinstance(types, Mapping):
        return tuple(_short(str(name), body, zones, spot_factor, aws=aws) for name, body in types.items())
    return tuple(_listed(body, aws=aws) for body in types)


def type_labels(name: str, capacity: Amounts, *, aws: bool) -> dict[str, str]:
    """The provider's own labels of a type.

    >>> type_labels("m5.2xlarge", {"cpu": 8000, "memory": 32 * 2**30}, aws=False)["karpenter.kwok.sh/instance-size"]
    '2xlarge'
    """
    cpu, memory = f"{capacity[CPU] / 1000:g}", capacity[MEMORY]
    if not aws:
        size, family = SIZE.fullmatch(name) or SIZE.match(name), re.split(r"[.-]", name, maxsplit=1)
        return {
            f"{KWOK}/instance-size": size[1] if size else cpu,
            f"{KWOK}/instance-family": family[0] if len(family) > 1 else name[:1],
            f"{KWOK}/instance-cpu": cpu,
            f"{KWOK}/instance-memory": f"{memory // GIB}Gi" if memory % GIB == 0 else f"{memory // MIB}Mi",
        }
    found = {f"{AWS}/instance-cpu": cpu, f"{AWS}/instance-memory": str(memory // MIB), f"{AWS}/instance-family": name.partition(".")[0]}
    if match := NAME.fullmatch(name):
        found |= {
            f"{AWS}/instance-category": match[1],
            f"{AWS}/instance-generation": match[2],
            f"{AWS}/instance-size": match[4],
        }
    return found | ({f"{AWS}/instance-gpu-count": str(capacity[GPU])} if capacity.get(GPU) else {})


def _short(name: str, body: Mapping[str, Any], zones: Sequence[str], spot_factor: float, *, aws: bool) -> InstanceType:
    capacity = {
        CPU: round(float(body["cpu"]) * 1000),
        MEMORY: round(float(body["memory_gib"]) * GIB),
        PODS: int(body.get("pods", PODS_PER_NODE)),
        **amounts({key: value for key, value in body.items() if key not in SHORT}),
    }
    if "offerings" in body:
        offerings = [_offering(part) for part in body["offerings"]]
    else:
        price = float(body["usd_per_h"])
        prices = {"on-demand": price, "spot": price * spot_factor}
        kinds = body.get("capacity_types") or tuple(prices)
        offerings = [Offering(str(zone), str(kind), prices[kind]) for zone in body.get("zones") or zones for kind in kinds]
    systems = body.get("os", "linux")
    return _type(name, capacity, str(body.get("arch", "amd64")), [systems] if isinstance(systems, str) else systems, offerings, aws=aws)


def _listed(body: Mapping[str, Any], *, aws: bool) -> InstanceType:
    capacity = {PODS: PODS_PER_NODE, **amounts(body["resources"])}
    offerings = [_offering(part) for part in body["offerings"]]
    return _type(
        str(body["name"]), capacity, str(body.get("architecture", "amd64")), body.get("operatingSystems") or ["linux"], offerings, aws=aws
    )


def _offering(part: Mapping[str, Any]) -> Offering | None:
    """One offering, short or in the provider's spelling; None when it is not available."""
    low = {str(key).lower(): value for key, value in part.items()}
    if not low.get("available", True):
        return None
    if "requirements" not in low:
        return Offering(
            str(low["zone"]), str(low.get("capacity_type", "on-demand")), float(low["usd_per_h"] if "usd_per_h" in low else low["price"])
        )
    values = {str(item["key"]): str(item["values"][0]) for item in low["requirements"]}
    return Offering(values[ZONE], values[CAPACITY_TYPE], float(low["price"]))


def _type(
    name: str, capacity: Amounts, arch: str, systems: Sequence[str], offerings: Sequence[Offering | None], *, aws: bool
) -> InstanceType:  # fmt: skip
    made = tuple(part for part in offerings if part is not None)
    labels = {
        INSTANCE_TYPE: (name,),
        ARCH: (arch,),
        OS: tuple(map(str, systems)),
        ZONE: tuple(part.zone for part in made),
        CAPACITY_TYPE: tuple(part.capacity_type for part in made),
        **{key: (value,) for key, value in type_labels(name, capacity, aws=aws).items()},
    }
    return InstanceType(name, capacity, {key: Allowed(frozenset(values)) for key, values in labels.items()}, made)
