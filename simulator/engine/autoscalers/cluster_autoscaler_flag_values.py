"""Cluster Autoscaler's flags: spelling, defaults, and what each means here.

Flags may be a mapping (`scan-interval: 10s`, with or without dashes) or a list (`--scan-interval=10s`). What has no effect
here is named in the warnings unless it has the value that the real program would take anyway.
Source: kubernetes/autoscaler cluster-autoscaler/config/flags at 1.36.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from models.errors import Problem, UnknownName
from models.units import duration_s
from simulator.engine.autoscalers.cluster_autoscaler import NodeGroup, ScaleUpSettings
from simulator.engine.autoscalers.cluster_autoscaler_balance import Ratios
from simulator.engine.autoscalers.cluster_autoscaler_limits import Limits
from simulator.engine.autoscalers.expanders import EXPANDERS, chain_problem
from simulator.engine.autoscalers.karpenter_pdb import PodBudget

GIB = 2**30


@dataclass(frozen=True, slots=True)
class ScaleDownSettings:
    """What the flags say about shrinking and about time; seconds, defaults of the real program (config/flags at 1.36)."""

    scan_interval_s: float = 10.0
    frequent_loops: bool = True
    enabled: bool = True
    new_pod_delay_s: float = 0.0
    unneeded_s: float = 600.0
    delay_after_add_s: float = 600.0
    delay_after_delete_s: float = 0.0
    recheck_s: float = 300.0
    delete_delay_s: float = 5.0
    delay_after_failure_s: float = 180.0
    eviction_s: float = 120.0
    provision_s: float = 900.0
    backoff_s: float = 300.0
    backoff_max_s: float = 1800.0
    backoff_reset_s: float = 10800.0
    utilisation_threshold: float = 0.5
    gpu_utilisation_threshold: float = 0.5
    drains: int = 1
    deletions: int = 10
    soft_taints: int = 10
    client_qps: float = 5.0
    client_burst: int = 10


@dataclass(frozen=True, slots=True)
class GroupsFile:
    """A parsed groups file; `label` is the node label whose value names a node's group, `boot_ms` creation to ready where
    given, `budgets` the PodDisruptionBudgets.
    """

    groups: tuple[NodeGroup, ...]
    up: ScaleUpSettings
    down: ScaleDownSettings
    label: str
    boot_ms: Mapping[str, int]
    warnings: tuple[str, ...] = ()
    budgets: tuple[PodBudget, ...] = ()


@dataclass(frozen=True, slots=True)
class Read:
    """Settings as the flags say."""

    up: ScaleUpSettings
    down: ScaleDownSettings


def switch(value: str) -> bool:
    """A Go flag's boolean."""
    if value not in ("true", "false", "1", "0", "t", "f", "T", "F", "True", "False", "TRUE", "FALSE"):
        raise ValueError("true or false")
    return value[0] in "1tT"


def limits(value: str, unit: int = 1) -> tuple[int, int]:
    """`<min>:<max>` times `unit`.

    >>> limits("0:64", 2)
    (0, 128)
    """
    low, colon, high = value.partition(":")
    if not colon or not 0 <= int(low) <= int(high):
        raise ValueError("<min>:<max>, both whole numbers")
    return int(low) * unit, int(high) * unit


def seconds(value: str) -> float:
    """A Go duration; a bare number counts as seconds."""
    found = duration_s(float(value) if value.replace(".", "", 1).isdigit() else value)
    if found < 0:
        raise ValueError("a duration of zero or more")
    return found


DOWN: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "scan-interval": ("scan_interval_s", seconds),
    "new-pod-scale-up-delay": ("new_pod_delay_s", seconds),
    "scale-down-unneeded-time": ("unneeded_s", seconds),
    "scale-down-delay-after-add": ("delay_after_add_s", seconds),
    "scale-down-delay-after-delete": ("delay_after_delete_s", seconds),
    "scale-down-delay-after-failure": ("delay_after_failure_s", seconds),
    "max-pod-eviction-time": ("eviction_s", seconds),
    "unremovable-node-recheck-timeout": ("recheck_s", seconds),
    "node-delete-delay-after-taint": ("delete_delay_s", seconds),
    "max-node-provision-time": ("provision_s", seconds),
    "initial-node-group-backoff-duration": ("backoff_s", seconds),
    "max-node-group-backoff-duration": ("backoff_max_s", seconds),
    "node-group-backoff-reset-timeout": ("backoff_reset_s", seconds),
    "scale-down-utilization-threshold": ("utilisation_threshold", float),
    "scale-down-gpu-utilization-threshold": ("gpu_utilisation_threshold", float),
    "max-drain-parallelism": ("drains", int),
    "max-scale-down-parallelism": ("deletions", int),
    "max-bulk-soft-taint-count": ("soft_taints", int),
    "kube-client-qps": ("client_qps", float),
    "kube-client-burst": ("client_burst", int),
    "frequent-loops-enabled": ("frequent_loops", switch),
    "scale-down-enabled": ("enabled", switch),
}
UP: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "max-nodes-per-scaleup": ("max_nodes_per_scale_up", int),
    "max-nodes-total": ("max_nodes_total", int),
    "max-total-unready-percentage": ("most_unready_percent", float),
    "ok-total-unready-count": ("unready_at_ease", int),
    "expendable-pods-priority-cutoff": ("expendable_below", int),
    "enforce-node-group-min-size": ("enforce_minimum", switch),
}
TOGETHER = (
    "expander",
    "cores-total",
    "memory-total",
    "gpu-total",
    "balance-similar-node-groups",
    "balancing-ignore-label",
    "balancing-label",
    "memory-difference-ratio",
    "max-free-difference-ratio",
    "max-allocatable-difference-ratio",
)
"""Flags that are read together with others."""

USUAL = {
    "skip-nodes-with-system-pods": ("false", "true"),
    "skip-nodes-with-local-storage": ("false", "true"),
    "skip-nodes-with-custom-controller-pods": ("false", "true"),
    "estimator": ("binpacking",),
    "scale-up-from-zero": ("true",),
    "parallel-scale-up": ("false",),
    "salvo-scale-up": ("false",),
    "fastpath-binpacking-enabled": ("false",),
    "scale-down-unready-enabled": ("true",),
    "scale-down-delay-type-local": ("false",),
    "ignore-daemonsets-utilization": ("false",),
    "ignore-mirror-pods-utilization": ("false",),
    "force-ds": ("false",),
    "async-node-groups": ("false",),
    "enable-provisioning-requests": ("false",),
    "enable-proactive-scaleup": ("false",),
    "capacity-buffer-controller-enabled": ("false",),
    "capacity-buffer-pod-injection-enabled": ("false",),
    "capacity-quotas-enabled": ("false",),
    "force-delete-unregistered-nodes": ("false",),
    "force-delete-failed-nodes": ("false",),
    "min-replica-count": ("0",),
    "dynamic-node-delete-delay-after-taint-enabled": ("false",),
    "daemonset-eviction-for-occupied-nodes": ("true",),
    "daemonset-eviction-for-empty-nodes": ("false",),
    "node-deletion-batcher-interval": ("0", "0s"),
    "predicate-parallelism": ("4",),
    "cloud-provider": ("kwok",),
}
"""Flags that change nothing here as long as they have one of these values."""

NO_CASE = (
    "max-graceful-termination-sec",
    "scale-down-unready-time",
    "scale-down-non-empty-candidates-count",
    "scale-down-candidates-pool-ratio",
    "scale-down-candidates-pool-min-count",
    "max-node-startup-time",
    "max-bulk-soft-taint-time",
    "node-deletion-delay-timeout",
    "scale-down-simulation-timeout",
    "max-binpacking-time",
    "max-nodegroup-binpacking-duration",
    "max-inactivity",
    "max-failing-time",
    "max-startup-time",
    "write-status-configmap",
    "status-config-map-name",
    "leader-elect",
    "address",
    "kubeconfig",
    "namespace",
    "v",
    "logtostderr",
    "stderrthreshold",
)
"""Flags for what never happens here (pods end at once, no node turns unready, nothing times out), that the program itself
reads no longer (the candidate pools of an older scale-down), or that only say how it runs."""


def flag_values(given: Any, place: str, problems: list[Problem]) -> dict[str, str]:
    """Name -> value without dashes; a flag that stands several times is joined by commas."""
    if isinstance(given, list | tuple):
        pairs = [(*str(entry).split("=", 1), "true")[:2] for entry in given]
    elif isinstance(given, Mapping):
        pairs = [(str(name), each) for name, value in given.items() for each in (value if isinstance(value, list) else [value])]
    elif given in (None, ""):
        pairs = []
    else:
        problems.append(Problem(place, repr(given)[:80], "write the program's flags as name: value, or as a list of --name=value"))
        pairs = []
    found: dict[str, str] = {}
    for name, value in pairs:
        key, text = name.strip().lstrip("-").replace("_", "-"), str(value).lower() if isinstance(value, bool) else str(value).strip()
        found[key] = f"{found[key]},{text}" if key in found else text
    return found


def read_flags(flags: Mapping[str, str], place: str, problems: list[Problem], warnings: list[str]) -> Read:
    """What the flags say; wrong values go to `problems`, flags without effect to `warnings`."""
    up, down = ScaleUpSettings(), ScaleDownSettings()
    for name, value in flags.items():
        known = DOWN.get(name) or UP.get(name)
        try:
            if name in DOWN and known:
                down = replace(down, **{known[0]: known[1](value)})
            elif known:
                up = replace(up, **{known[0]: known[1](value)})
            elif name not in (*TOGETHER, *NO_CASE) and value not in USUAL.get(name, ()):
                warnings.append(f"{place}.{name} = {value} is not modelled")
        except ValueError as error:
            problems.append(Problem(f"{place}.{name}", repr(value), f"write it as the real flag wants it ({error})"))
    problems += [Problem(f"{place}.{name}", flags[name], "give a number above zero") for name in _too_low(flags, down)]
    expanders = _expanders(flags.get("expander", "least-waste"), f"{place}.expander", problems)
    return Read(replace(up, expanders=expanders, limits=_limits(flags, place, problems), balance=_ratios(flags, place, problems)), down)


def _too_low(flags: Mapping[str, str], down: ScaleDownSettings) -> list[str]:
    values = {"scan-interval": down.scan_interval_s, "kube-client-qps": down.client_qps, "kube-client-burst": down.client_burst}
    return [name for name, value in values.items() if name in flags and value <= 0]


def _expanders(text: str, place: str, problems: list[Problem]) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip()) or ("least-waste",)
    for name in names:
        if name == "grpc":
            problems.append(Problem(place, "'grpc'", "choose another expander: what a server of one's own answers is not known here"))
        elif name not in EXPANDERS:
            problems.append(Problem(place, repr(name), UnknownName("", name, list(EXPANDERS)).problems[0].mend))
    if (wrong := chain_problem(names)) is not None:
        problems.append(Problem(place, repr(text), f"mend the chain, the program does not start with it: {wrong}"))
    return names


def _limits(flags: Mapping[str, str], place: str, problems: list[Problem]) -> Limits:
    low: dict[str, int] = {}
    high: dict[str, int] = {}
    for name, axis, unit in (("cores-total", "cpu", 1), ("memory-total", "memory", GIB)):
        if name in flags:
            _limit(f"{place}.{name}", flags[name], axis, unit, low, high, problems)
    for entry in filter(None, flags.get("gpu-total", "").split(",")):
        axis, _, text = entry.rpartition(":")[0].rpartition(":")[0], "", ":".join(entry.rsplit(":", 2)[1:])
        _limit(f"{place}.gpu-total", text, axis, 1, low, high, problems)
    return Limits(high, low)


def _limit(place: str, text: str, axis: str, unit: int, low: dict[str, int], high: dict[str, int], problems: list[Problem]) -> None:
    try:
        low[axis], high[axis] = limits(text, unit)
    except ValueError as error:
        problems.append(Problem(place, repr(text), f"write it as the real flag wants it ({error})"))


def _ratios(flags: Mapping[str, str], place: str, problems: list[Problem]) -> Ratios | None:
    try:
        wanted = switch(flags.get("balance-similar-node-groups", "false"))
    except ValueError as error:
        problems.append(Problem(f"{place}.balance-similar-node-groups", repr(flags["balance-similar-node-groups"]), str(error)))
        return None
    shares, names = (
        {"memory": 0.015, "free": 0.05, "allocatable": 0.05},
        {"memory-difference-ratio": "memory", "max-free-difference-ratio": "free"},
    )
    for name, kind in {**names, "max-allocatable-difference-ratio": "allocatable"}.items():
        try:
            shares[kind] = float(flags.get(name, shares[kind]))
        except ValueError as error:
            problems.append(Problem(f"{place}.{name}", repr(flags[name]), str(error)))
    ignored, labels = (tuple(filter(None, flags.get(f"balancing-{name}", "").split(","))) for name in ("ignore-label", "label"))
    if ignored and labels:
        problems.append(
            Problem(place, "balancing-label and balancing-ignore-label", "give one of them: the program does not start with both")
        )
    return Ratios(**shares, ignored=ignored, labels=labels) if wanted else None
