"""A Pod as kubectl prints it -> `objects.Pod`: the parts of core/v1 that scheduling looks at."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Literal, cast

from simulator.engine.kube.kube_fields import Fields
from simulator.engine.kube.objects import (
    DEFAULT_SCHEDULER,
    Amounts,
    HostPort,
    Labels,
    NodeTerm,
    Pod,
    PodTerm,
    PreferredNodeTerm,
    Requirement,
    Selector,
    Spread,
    Toleration,
    WeightedPodTerm,
)
from simulator.engine.kube.pod_requests import Container, larger, pod_requests, scored_requests

LABEL_OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist")
NODE_OPERATORS = (*LABEL_OPERATORS, "Gt", "Lt")
SYSTEM_PRIORITIES = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}
PREEMPTION_POLICIES = ("PreemptLowerPriority", "Never")
PROTOCOLS = ("TCP", "UDP", "SCTP")
VOLUMES_WITH_RULES = ("persistentVolumeClaim", "ephemeral", "csi", "gcePersistentDisk", "awsElasticBlockStore", "azureDisk", "iscsi", "rbd")


def read_pod(document: Fields, priorities: Mapping[str, int], never: Collection[str] = ()) -> Pod:
    """One pod; `priorities` maps PriorityClass names to values for pods that were not admitted yet, `never` names those of
    preemptionPolicy Never.
    """
    metadata, spec, status = document.sub("metadata"), document.sub("spec"), document.sub("status")
    namespace = metadata.text("namespace", "default")
    labels = metadata.labels("labels")
    affinity = spec.sub("affinity")
    near, apart = affinity.sub("podAffinity"), affinity.sub("podAntiAffinity")
    required, preferred = "requiredDuringSchedulingIgnoredDuringExecution", "preferredDuringSchedulingIgnoredDuringExecution"
    containers = _containers(spec, status)
    overhead = spec.amounts("overhead")
    pod_level = spec.sub("resources").amounts("requests")
    owner = next((ref for ref in metadata.each("ownerReferences") if ref.flag("controller")), None)
    unmodelled = _unmodelled(spec)
    if "nominatedNodeName" in status:
        unmodelled.append(f"nominated to {status.text('nominatedNodeName')}: the nomination is not kept")
    return Pod(
        name=metadata.text("name"),
        namespace=namespace,
        labels=labels,
        annotations=metadata.labels("annotations"),
        node=spec.text("nodeName"),
        requests=pod_requests(containers, overhead, pod_level),
        scored=scored_requests(containers, overhead, pod_level),
        own={**pod_requests(containers, overhead), **scored_requests(containers, overhead)} if pod_level else {},
        node_selector=spec.labels("nodeSelector"),
        required=_required_nodes(affinity.sub("nodeAffinity"), required),
        preferred=tuple(
            PreferredNodeTerm(term.integer("weight", 1, 1, 100), _node_term(term.sub("preference")))
            for term in affinity.sub("nodeAffinity").each(preferred)
        ),
        affinity=tuple(_pod_term(term, namespace, labels) for term in near.each(required)),
        anti_affinity=tuple(_pod_term(term, namespace, labels) for term in apart.each(required)),
        preferred_pods=(
            *_weighted_terms(near, preferred, namespace, labels, 1),
            *_weighted_terms(apart, preferred, namespace, labels, -1),
        ),
        spreads=tuple(_spread(term, labels) for term in spec.each("topologySpreadConstraints")),
        tolerations=tuple(_toleration(term) for term in spec.each("tolerations")),
        ports=_host_ports(spec),
        images=tuple(container.text("image") for kind in ("initContainers", "containers") for container in spec.each(kind)),
        priority=_priority(spec, priorities, unmodelled),
        preemption_policy=_preemption_policy(spec, never),
        created=metadata.text("creationTimestamp"),
        started=status.text("startTime"),
        owner=None if owner is None else (owner.text("kind"), owner.text("name")),
        finished=status.text("phase") in ("Succeeded", "Failed"),
        terminating="deletionTimestamp" in metadata,
        gates=tuple(gate.text("name") for gate in spec.each("schedulingGates")),
        scheduler=spec.text("schedulerName", DEFAULT_SCHEDULER),
        unmodelled=tuple(unmodelled),
    )


def _priority(spec: Fields, priorities: Mapping[str, int], unmodelled: list[str]) -> int:
    """The admitted number, else the value of the named class; an unknown class counts as 0 and is named.

    `priorities` holds the class that is the global default under "" too.
    """
    name = spec.text("priorityClassName")
    if "priority" in spec:
        return spec.integer("priority")
    if name and name not in priorities:
        unmodelled.append(f"priorityClassName {name}: no such PriorityClass in the input, priority 0 taken")
    return priorities.get(name, 0)


def _preemption_policy(spec: Fields, never: Collection[str]) -> Literal["PreemptLowerPriority", "Never"]:
    """The pod's own policy, else that of its class, which admission writes into the pod (plugin/pkg/admission/priority)."""
    name = spec.text("priorityClassName")
    of_class = "Never" if name in never and (name or "priority" not in spec) else "PreemptLowerPriority"
    return cast(Literal["PreemptLowerPriority", "Never"], spec.text("preemptionPolicy", of_class, PREEMPTION_POLICIES))


def _containers(spec: Fields, status: Fields) -> list[Container]:
    """Containers in start order; a resize in flight counts with the larger of what is wanted, given and in use."""
    given: dict[str, Amounts] = {}
    for kind in ("containerStatuses", "initContainerStatuses"):
        for entry in status.each(kind):
            given[entry.text("name")] = larger(entry.amounts("allocatedResources"), entry.sub("resources").amounts("requests"))
    found = []
    for kind in ("initContainers", "containers"):
        for container in spec.each(kind):
            resources = container.sub("resources")
            wanted = {**resources.amounts("limits"), **resources.amounts("requests")}
            init = kind == "initContainers"
            sidecar = init and container.text("restartPolicy") == "Always"
            amounts = larger(wanted, given.get(container.text("name"), {}))
            found.append(Container(amounts, init, sidecar))
    return found


def _required_nodes(affinity: Fields, field: str) -> tuple[NodeTerm, ...] | None:
    if field not in affinity:
        return None
    return tuple(_node_term(term) for term in affinity.sub(field).each("nodeSelectorTerms"))


def _node_term(term: Fields) -> NodeTerm:
    return NodeTerm(
        tuple(_requirement(part, NODE_OPERATORS) for part in term.each("matchExpressions")),
        tuple(_requirement(part, NODE_OPERATORS) for part in term.each("matchFields")),
    )


def _requirement(part: Fields, operators: tuple[str, ...]) -> Requirement:
    if "operator" not in part:
        part.refuse("operator", None, f"give one of {', '.join(operators)}")
    return Requirement(part.text("key"), part.text("operator", "In", operators), part.texts("values"))


def read_selector(parent: Fields, field: str) -> Selector | None:
    """A LabelSelector; None when absent (it selects nothing)."""
    if field not in parent:
        return None
    part = parent.sub(field)
    return Selector(
        (
            *Selector.of(part.labels("matchLabels")).requirements,
            *(_requirement(term, LABEL_OPERATORS) for term in part.each("matchExpressions")),
        )
    )


def _with_keys(selector: Selector | None, part: Fields, labels: Labels) -> Selector | None:
    """Merge `matchLabelKeys` and `mismatchLabelKeys` with the pod's own values; merging twice changes nothing."""
    if selector is None:
        return None
    own = {"In": part.texts("matchLabelKeys"), "NotIn": part.texts("mismatchLabelKeys")}
    extra = (Requirement(key, operator, (labels[key],)) for operator, keys in own.items() for key in keys if key in labels)
    return Selector((*selector.requirements, *(term for term in extra if term not in selector.requirements)))


def _pod_term(term: Fields, namespace: str, labels: Labels) -> PodTerm:
    if not term.text("topologyKey"):
        term.refuse("topologyKey", term.raw.get("topologyKey"), "name a node label")
    named = term.texts("namespaces")
    by_selector = read_selector(term, "namespaceSelector")
    return PodTerm(
        term.text("topologyKey"),
        _with_keys(read_selector(term, "labelSelector"), term, labels),
        frozenset(named if named or by_selector is not None else (namespace,)),
        by_selector,
    )


def _weighted_terms(part: Fields, field: str, namespace: str, labels: Labels, sign: int) -> tuple[WeightedPodTerm, ...]:
    return tuple(
        WeightedPodTerm(sign * term.integer("weight", 1, 1, 100), _pod_term(term.sub("podAffinityTerm"), namespace, labels))
        for term in part.each(field)
    )


def _spread(term: Fields, labels: Labels) -> Spread:
    if not term.text("topologyKey"):
        term.refuse("topologyKey", term.raw.get("topologyKey"), "name a node label")
    policies = ("Honor", "Ignore")
    return Spread(
        max_skew=term.integer("maxSkew", 1, 1),
        topology_key=term.text("topologyKey"),
        hard=term.text("whenUnsatisfiable", "DoNotSchedule", ("DoNotSchedule", "ScheduleAnyway")) == "DoNotSchedule",
        selector=_with_keys(read_selector(term, "labelSelector"), term, labels),
        min_domains=term.integer("minDomains", 1, 1),
        honor_affinity=term.text("nodeAffinityPolicy", "Honor", policies) == "Honor",
        honor_taints=term.text("nodeTaintsPolicy", "Ignore", policies) == "Honor",
    )


def _toleration(term: Fields) -> Toleration:
    return Toleration(
        term.text("key"),
        term.text("operator", "Equal", ("Equal", "Exists", "Gt", "Lt")),
        term.text("value"),
        term.text("effect", "", ("NoSchedule", "PreferNoSchedule", "NoExecute")),
    )


def _host_ports(spec: Fields) -> tuple[HostPort, ...]:
    """Host ports of containers and sidecars; with hostNetwork every container port is one."""
    shared = spec.flag("hostNetwork")
    found = []
    for kind in ("initContainers", "containers"):
        for container in spec.each(kind):
            if kind == "initContainers" and container.text("restartPolicy") != "Always":
                continue
            for port in container.each("ports"):
                number = port.integer("hostPort", 0, 0, 65535) or (port.integer("containerPort") if shared else 0)
                if number:
                    found.append(HostPort(port.text("hostIP", "0.0.0.0"), port.text("protocol", "TCP", PROTOCOLS), number))
    return tuple(found)


def _unmodelled(spec: Fields) -> list[str]:
    """What a pod asks for that the filters here do not look at."""
    found = []
    if scheduler := spec.text("schedulerName"):
        found += [f"left to scheduler {scheduler}: what that one does is not modelled"] if scheduler != DEFAULT_SCHEDULER else []
    if runtime := spec.text("runtimeClassName"):
        found.append(f"runtimeClassName {runtime}: its overhead, nodeSelector and tolerations count only as the pod itself spells them out")
    for volume in spec.each("volumes"):
        kinds = [kind for kind in VOLUMES_WITH_RULES if kind in volume]
        found += [f"volume {volume.text('name')} ({kind}): zone, attach limits and binding not modelled" for kind in kinds]
    found += [f"resourceClaim {claim.text('name')}: dynamic resource allocation not modelled" for claim in spec.each("resourceClaims")]
    found += [f"{group}: gang scheduling not modelled" for group in ("schedulingGroup", "workloadRef") if group in spec]
    return found
