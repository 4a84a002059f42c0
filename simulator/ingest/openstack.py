"""OpenStack inventory: Nova flavours and hypervisors, Ironic nodes, through openstacksdk (extra `openstack`).

Nova stopped telling vCPUs and memory of a hypervisor with microversion 2.88 (Wallaby); Placement holds them since, and there
what an operator reserves for the host is no room for VMs. A bare-metal node is a server that can be had from the state
"available" on (docs.openstack.org/ironic/latest/user/states.html); how many GPUs it has is said by its capabilities, that it
has some by a trait.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from models.errors import MetricsError, Problem
from models.inventory import NOT_GIVEN, Flavour, Inventory, ServerGroup
from models.unknown import Unknown

T = TypeVar("T")
NOT_READY = frozenset({"enroll", "verifying", "manageable", "inspecting", "inspect wait", "adopting", "error"})
"""Provision states before a node may be used; every state that ends in "failed" is as bad."""
GPU = "nvidia.com/gpu"
_GPU_COUNT = re.compile(r"(?:^|,)\s*(?:pci_)?gpus?(?:_count)?:(\d+)", re.IGNORECASE)
_GPU_TRAIT = re.compile(r"GPU|NVIDIA|A100|H100|H200|L40|CUDA", re.IGNORECASE)
NO_PLACEMENT = Unknown("Nova 2.88 and later leave it to Placement, which did not say")


def connect(cloud: str | None = None) -> Any:
    """A connection by clouds.yaml name or OS_* variables. Raises `MetricsError` when openstacksdk or the cloud is missing."""
    try:
        import openstack
    except ImportError:
        raise MetricsError(Problem("--openstack", "no openstacksdk", "install burstline[openstack]")) from None
    from keystoneauth1.exceptions import ClientException
    from openstack.exceptions import SDKException

    try:
        return openstack.connect(cloud=cloud)
    except (SDKException, ClientException) as error:
        raise MetricsError(
            Problem(f"cloud {cloud or 'by environment'}", _first(error), "check clouds.yaml or the OS_* variables")
        ) from None


def read_openstack(connection: Any, name: str = "openstack") -> Inventory:
    """Hypervisors and bare-metal nodes as server groups, flavours as they are; `connection` is an openstacksdk one.

    A service that the cloud lacks is a warning. Raises `MetricsError` when it refuses, or neither service answers.
    """
    warnings: list[str] = []
    hypervisors = _ask("Nova hypervisors", name, warnings, lambda: list(connection.compute.hypervisors(details=True)))
    flavours = _ask("Nova flavours", name, warnings, lambda: list(connection.compute.flavors(details=True, get_extra_specs=False)))
    nodes = _ask("Ironic nodes", name, warnings, lambda: list(connection.baremetal.nodes(details=True)))
    if hypervisors is None and nodes is None:
        raise MetricsError(Problem(name, "; ".join(warnings), "give a cloud with Nova or Ironic, and an account that may list them"))
    groups = [
        *_hypervisor_groups(connection, name, hypervisors or [], warnings),
        *_node_groups(nodes or [], warnings),
    ]
    return Inventory(
        tuple(sorted(groups, key=lambda group: group.name)),
        tuple(sorted((_flavour(one) for one in flavours or []), key=lambda one: one.name)),
        name,
        tuple(warnings),
    )


def _ask(what: str, place: str, warnings: list[str], call: Callable[[], T]) -> T | None:
    """Answer of a service; None, with a warning, when the cloud has no such service."""
    from keystoneauth1.exceptions import ClientException, EndpointNotFound
    from openstack.exceptions import ForbiddenException, NotFoundException, NotSupported, SDKException, ServiceDisabledException

    try:
        return call()
    except (EndpointNotFound, NotSupported, ServiceDisabledException) as error:
        warnings.append(f"{what}: this cloud has none ({_first(error)})")
    except NotFoundException as error:
        warnings.append(f"{what}: not found ({_first(error)})")
    except ForbiddenException:
        warnings.append(f"{what}: this account may not list them; ask for a role that may (admin or reader of the system)")
    except (SDKException, ClientException) as error:
        raise MetricsError(Problem(f"{place}: {what}", _first(error), "check the URL, the account and the service")) from None
    return None


def _first(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__


def _hypervisor_groups(connection: Any, name: str, hypervisors: list[Any], warnings: list[str]) -> Iterator[ServerGroup]:
    """Hypervisors of one size together; those that are down or disabled are told and left out."""
    sizes: dict[tuple[int, int], list[tuple[Any, Any]]] = defaultdict(list)
    for one in hypervisors:
        if one.hypervisor_type == "ironic":
            continue  # Nova's view of bare metal; Ironic itself says more
        if one.status == "disabled" or one.state == "down":
            warnings.append(f"hypervisor {one.name}: {one.state} and {one.status}, left out")
            continue
        size = _size(connection, name, one, warnings)
        if isinstance(size, Unknown):
            warnings.append(f"hypervisor {one.name}: size {size}, left out")
            continue
        threads, memory_mib, used_threads, used_memory_mib = size
        sizes[threads, memory_mib].append((used_threads, used_memory_mib))
    for (threads, memory_mib), used in sizes.items():
        yield ServerGroup(
            name=f"nova-{threads}t-{memory_mib // 1024}g",
            count=len(used),
            threads=threads,
            memory_mib=memory_mib,
            used_threads=_sum([one for one, _ in used]),
            used_memory_mib=_sum([one for _, one in used]),
            service="nova",
        )


def _size(connection: Any, name: str, one: Any, warnings: list[str]) -> tuple[int, int, Any, Any] | Unknown:
    """Threads, MiB and what is used of both, by Nova before 2.88 and by Placement since."""
    if one.vcpus is not None and one.memory_size is not None:
        return int(one.vcpus), int(one.memory_size), one.vcpus_used, one.memory_used
    found = _ask(
        f"Placement inventory of {one.name}",
        name,
        warnings,
        lambda: {row.resource_class: row for row in connection.placement.resource_provider_inventories(one.id)},
    )
    if not found or "MEMORY_MB" not in found or not ({"VCPU", "PCPU"} & set(found)):
        return NO_PLACEMENT
    used = _ask(f"Placement usage of {one.name}", name, warnings, lambda: _usages(connection, one.id)) or {}
    if devices := sorted(kind for kind in found if "GPU" in kind):
        warnings.append(f"hypervisor {one.name}: {', '.join(devices)} are not counted as GPUs of a node; name them in a static inventory")
    return (
        sum(_room(found[kind]) for kind in ("VCPU", "PCPU") if kind in found),  # PCPU: threads dedicated to pinned VMs
        _room(found["MEMORY_MB"]),
        _both(used),
        used.get("MEMORY_MB", NO_PLACEMENT),
    )


def _room(inventory: Any) -> int:
    """What VMs may use of a host: the whole less what is reserved for itself."""
    return int(inventory.total) - int(inventory.reserved or 0)


def _both(used: Mapping[str, float]) -> float | Unknown:
    kinds = [used[kind] for kind in ("VCPU", "PCPU") if kind in used]
    return float(sum(kinds)) if kinds else NO_PLACEMENT


def _usages(connection: Any, provider: str) -> Mapping[str, float]:
    usages = connection.placement.fetch_resource_provider_usages(provider)
    return dict(getattr(usages, "usages", None) or usages)


def _sum(values: list[Any]) -> float | Unknown:
    missing = [value for value in values if value is None or isinstance(value, Unknown)]
    return (missing[0] or NOT_GIVEN) if missing else float(sum(values))


def _node_groups(nodes: list[Any], warnings: list[str]) -> Iterator[ServerGroup]:
    """Ironic nodes of one resource class, size and GPU count together; those that cannot be had are told and left out."""
    sizes: Counter[tuple[str, int, int, int]] = Counter()
    taken: Counter[tuple[str, int, int, int]] = Counter()
    for one in nodes:
        label = one.name or one.id
        state = str(one.provision_state or "")
        if why := _unusable(one, state):
            warnings.append(f"bare-metal node {label}: {why}, left out")
            continue
        try:
            threads, memory_mib = int(one.properties["cpus"]), int(one.properties["memory_mb"])
        except (KeyError, TypeError, ValueError):
            warnings.append(f"bare-metal node {label}: no cpus and memory_mb among its properties, left out; inspect it")
            continue
        key = (one.resource_class or "baremetal", threads, memory_mib, _gpus(one, label, warnings))
        sizes[key] += 1
        taken[key] += state != "available"
    for (kind, threads, memory_mib, gpus), count in sizes.items():
        busy = taken[kind, threads, memory_mib, gpus]
        yield ServerGroup(
            name=f"ironic-{kind}-{threads}t-{memory_mib // 1024}g" + (f"-{gpus}gpu" if gpus else ""),
            count=count,
            threads=threads,
            memory_mib=memory_mib,
            used_threads=float(busy * threads),
            used_memory_mib=float(busy * memory_mib),
            gpus={GPU: gpus} if gpus else {},
            service="ironic",
        )


def _unusable(one: Any, state: str) -> str:
    """Why a node cannot be had, or ''."""
    if one.is_retired:
        return "retired"
    if one.is_maintenance:
        return "in maintenance"
    return f"in state {state!r}" if state in NOT_READY or state.endswith("failed") else ""


def _gpus(one: Any, label: str, warnings: list[str]) -> int:
    """GPUs by the node's capabilities ("boot_mode:uefi,gpus:8"); a trait that names one without a count is told."""
    capabilities = (one.properties or {}).get("capabilities")
    found = _GPU_COUNT.search(capabilities) if isinstance(capabilities, str) else None
    if found:
        return int(found[1])
    traits = [trait for trait in one.traits or () if _GPU_TRAIT.search(str(trait))]
    if traits:
        warnings.append(f"bare-metal node {label}: {', '.join(map(str, traits))} without a count: add gpus:N to its capabilities")
    return 0


def _flavour(one: Any) -> Flavour:
    extra = {str(key): str(value) for key, value in sorted((one.extra_specs or {}).items())}
    return Flavour(one.name, int(one.vcpus), int(one.ram), int(one.disk), extra)
