"""From a scenario's scheduling entries to the constraints of pod shapes, read as the scheduler reads a pod's spec."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from models.errors import Problem, ScenarioError
from models.scheduling import SchedulingPart
from models.units import MS_PER_S
from models.workload import Workload
from simulator.engine.constraints import Constraints
from simulator.engine.kube.known_fields import unknown_fields
from simulator.engine.kube.kube_fields import Fields
from simulator.engine.kube.objects import Pod, Selector
from simulator.engine.kube.pod_reader import read_pod


@dataclass(frozen=True)
class Named:
    """A workload of a controller, by its name."""

    name: str
    namespace: str
    labels: Mapping[str, str] = field(default_factory=dict)


def scheduled(workload: Workload | Named, parts: Sequence[SchedulingPart]) -> dict[str, Any]:
    """Fields of the PodShape of a workload that scheduling entries decide; none without any entry.

    A workload that no entry names keeps its labels, so that the terms of others find it. Raises ScenarioError for a spec
    that Kubernetes would not read, or that asks for what is not modelled.
    """
    if not parts:
        return {}
    at = next((k for k, part in enumerate(parts) if fnmatchcase(f"{workload.namespace}/{workload.name}", part.workload)), None)
    if at is None:
        return {"rules": Constraints(labels=_labels(workload, {}), namespace=workload.namespace)}
    part = parts[at]
    pod = _read(part, workload, f"engine.scheduling[{at}].pod")
    found: dict[str, Any] = {
        "rules": _constraints(pod, Selector.of(pod.labels) if part.built_in_spread else None),
        "grace_ms": round(part.stop_s * MS_PER_S),
        "preempts": pod.preemption_policy != "Never",
    }
    return found | ({"priority": pod.priority} if "priority" in part.pod or "priorityClassName" in part.pod else {})


def check_entries(parts: Sequence[SchedulingPart], workloads: Sequence[Workload]) -> None:
    """Raise ScenarioError for entries that name none of the workloads: they would have no effect."""
    names = [workload.full_name for workload in workloads]
    mend = f"name some of {', '.join(names[:5])}"
    problems = [
        Problem(f"engine.scheduling[{k}].workload", f"{part.workload!r}, which no workload is called", mend)
        for k, part in enumerate(parts)
        if not any(fnmatchcase(name, part.workload) for name in names)
    ]
    if problems:
        raise ScenarioError(problems)


def _labels(workload: Workload | Named, added: dict[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted({"app": workload.name, **workload.labels, **added}.items()))


def _read(part: SchedulingPart, workload: Workload | Named, place: str) -> Pod:
    """The pod as the scheduler sees it; its requests are the workload's and not looked at here."""
    problems = [Problem(place, text, "correct the field's name or take it out") for text in unknown_fields(dict(part.pod), "PodSpec")]
    metadata = {"name": workload.name, "namespace": workload.namespace, "labels": dict(_labels(workload, part.labels))}
    pod = read_pod(Fields({"metadata": metadata, "spec": dict(part.pod)}, place, problems), {})
    problems += [Problem(place, text, "take it out: a simulation cannot honour it") for text in pod.unmodelled]
    if pod.node:
        problems.append(Problem(place, f"nodeName {pod.node}", "take it out: nodes of a simulation have no names"))
    if problems:
        raise ScenarioError(problems)
    return pod


def _constraints(pod: Pod, default_spread: Selector | None) -> Constraints:
    return Constraints(
        labels=tuple(sorted(pod.labels.items())),
        namespace=pod.namespace,
        node_selector=tuple(sorted(pod.node_selector.items())),
        required=pod.required,
        preferred=pod.preferred,
        affinity=pod.affinity,
        anti_affinity=pod.anti_affinity,
        preferred_pods=pod.preferred_pods,
        spreads=pod.spreads,
        default_spread=default_spread,
        tolerations=pod.tolerations,
        ports=pod.ports,
    )
