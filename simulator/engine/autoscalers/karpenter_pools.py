"""NodePools of a replay file as Karpenter's API writes them; what is not modelled is named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from models.errors import Problem
from models.units import MS_PER_S, duration_s
from simulator.engine.autoscalers.cluster_autoscaler_flags import amounts
from simulator.engine.autoscalers.karpenter_budgets import DEFAULT, Budget, Cron
from simulator.engine.autoscalers.karpenter_catalog import ARCH, CAPACITY_TYPE, INSTANCE_TYPE, NODEPOOL, OS, WELL_KNOWN, Pool
from simulator.engine.autoscalers.karpenter_requirements import Allowed, label_requirements, merged
from simulator.engine.autoscalers.karpenter_types import AWS, KWOK, type_labels
from simulator.engine.kube.objects import Requirement, Taint

ODD = (KeyError, ValueError, TypeError, AttributeError)
POLICIES = ("WhenEmpty", "WhenEmptyOrUnderutilized", "Balanced")
REASONS = ("Underutilized", "Empty", "Drifted")
NEVER = "Never"


def known_labels(*, aws: bool) -> frozenset[str]:
    """Labels that a node may have though no pool names them: Kubernetes' own and the provider's."""
    size = {"cpu": 1000, "memory": 2**30, "nvidia.com/gpu": 1}
    return WELL_KNOWN | frozenset(type_labels("m5.large", size, aws=aws))


def read_pool(body: Mapping[str, Any], place: str, problems: list[Problem], warnings: list[str], *, aws: bool) -> Pool | None:
    """One NodePool; a problem and None when it cannot be read."""
    try:
        template, disruption = body["template"], body.get("disruption") or {}
        spec, metadata = template.get("spec") or {}, template.get("metadata") or {}
        name = str(body["name"])
        labels = {str(key): str(value) for key, value in (metadata.get("labels") or {}).items()}
        labels |= {NODEPOOL: name, **_class_label(spec.get("nodeClassRef"))}
        wanted = [(str(item["key"]), Allowed.of(read_requirement(item), _minimum(item))) for item in spec.get("requirements") or ()]
        policy = str(disruption.get("consolidationPolicy", POLICIES[1]))
        if policy not in POLICIES:
            problems.append(Problem(f"{place}.disruption.consolidationPolicy", repr(policy), f"give one of {', '.join(POLICIES)}"))
        warnings += _unmodelled(body, spec, disruption, metadata, [key for key, _ in wanted], place, aws=aws)
        taints = tuple(Taint(str(item["key"]), str(item.get("value", "")), str(item["effect"])) for item in spec.get("taints") or ())
        grace = spec.get("terminationGracePeriod")
        return Pool(
            name, int(body.get("weight", 0)), merged(merged({}, wanted), label_requirements(labels).items()), labels,
            amounts(body.get("limits") or {}), taints, policy, ms(disruption.get("consolidateAfter", "0s")),
            _budgets(disruption.get("budgets"), f"{place}.disruption.budgets", problems),
            ms(spec.get("expireAfter", "720h")), None if grace is None else ms(grace), body.get("replicas"),
        )  # fmt: skip
    except ODD as error:
        problems.append(Problem(place, repr(error), "write a NodePool spec with a name"))
        return None


def read_requirement(item: Mapping[str, Any]) -> Requirement:
    """One requirement; Gte and Lte become Gt and Lt of the neighbouring number."""
    operator, values = str(item["operator"]), tuple(map(str, item.get("values") or ()))
    if operator in ("Gte", "Lte"):
        step = -1 if operator == "Gte" else 1
        operator, values = operator[:2], tuple(str(int(value) + step) for value in values)
    if operator not in ("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"):
        raise ValueError(f"operator {operator!r}")
    if operator in ("Gt", "Lt"):
        int(values[0])
    return Requirement(str(item["key"]), operator, values)


def ms(duration: Any) -> int | None:
    """Milliseconds of a duration, None for Never."""
    return None if str(duration) == NEVER else round(duration_s(str(duration)) * MS_PER_S)


def others(part: Mapping[str, Any], known: Sequence[str], place: str) -> list[str]:
    """Warnings about the keys of `part` that nothing here reads."""
    return [f"{place}.{key} is not modelled" for key in part if key not in known]


def _minimum(item: Mapping[str, Any]) -> int | None:
    return None if item.get("minValues") is None else int(item["minValues"])


def _class_label(reference: Mapping[str, Any] | None) -> dict[str, str]:
    """The label that names the node class: `karpenter.kwok.sh/kwoknodeclass: default`."""
    if not reference:
        return {}
    return {f"{reference.get('group', KWOK)}/{str(reference.get('kind', 'KWOKNodeClass')).lower()}": str(reference.get("name", "default"))}


def _unmodelled(
    body: Mapping[str, Any], spec: Mapping[str, Any], disruption: Mapping[str, Any], metadata: Mapping[str, Any], wanted: Sequence[str],
    place: str, *, aws: bool,
) -> list[str]:  # fmt: skip
    known = {
        "": (body, ("name", "weight", "limits", "template", "disruption")),
        ".template": (body["template"], ("metadata", "spec")),
        ".template.metadata": (metadata, ("labels",)),
        ".template.spec": (spec, ("requirements", "nodeClassRef", "expireAfter", "taints", "terminationGracePeriod")),
        ".disruption": (disruption, ("consolidationPolicy", "consolidateAfter", "budgets")),
    }
    found = [warning for path, (part, keys) in known.items() for warning in others(part, keys, f"{place}{path}")]
    told = {*known_labels(aws=aws), CAPACITY_TYPE, INSTANCE_TYPE, ARCH, OS}
    provider = (f"{AWS}/", f"{KWOK}/")
    return found + [f"{place}: requirement {key} is not modelled" for key in wanted if key.startswith(provider) and key not in told]


def _budgets(budgets: Any, place: str, problems: list[Problem]) -> tuple[Budget, ...]:
    """All budgets, 10 % when there is no such field."""
    if budgets is None:
        return DEFAULT
    found = []
    for at, body in enumerate(budgets):
        try:
            text, schedule = str(body.get("nodes", "10%")), body.get("schedule")
            reasons = frozenset(map(str, body.get("reasons") or ()))
            if unknown := sorted(reasons - set(REASONS)):
                raise ValueError(f"reason {unknown[0]!r}")
            share = float(text[:-1]) / 100.0 if text.endswith("%") else None
            found.append(
                Budget(
                    None if share is not None else int(text), share, reasons, None if schedule is None else Cron.of(str(schedule)),
                    timedelta(seconds=duration_s(str(body["duration"]))) if schedule is not None else timedelta(),
                )
            )  # fmt: skip
        except ODD as error:
            mend = "give nodes as a number or a share, reasons, and schedule with duration"
            problems.append(Problem(f"{place}[{at}]", repr(error), mend))
    return tuple(found)
