"""Nodes and pods as the scheduler and the autoscalers see them: frozen values with exact integer amounts.

Amounts are integers under Kubernetes' resource names: `cpu` in millicores, everything else in its base unit (bytes,
pieces). `objects_reader` makes these values from what kubectl prints.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

CPU = "cpu"
MEMORY = "memory"
PODS = "pods"
EPHEMERAL_STORAGE = "ephemeral-storage"
HOSTNAME = "kubernetes.io/hostname"
ZONE = "topology.kubernetes.io/zone"
DEFAULT_SCHEDULER = "default-scheduler"
UNSCHEDULABLE_TAINT = "node.kubernetes.io/unschedulable"

DEFAULT_CPU_M = 100
DEFAULT_MEMORY_BYTES = 200 * 1024 * 1024
"""What scoring takes for a container that requests none (pkg/scheduler/util/pod_resources.go)."""

Amounts = Mapping[str, int]
Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Taint:
    """A node's taint; `effect` is NoSchedule, PreferNoSchedule or NoExecute."""

    key: str
    value: str = ""
    effect: str = "NoSchedule"


@dataclass(frozen=True, slots=True)
class Toleration:
    """An empty key with Exists tolerates every taint; an empty effect covers all effects."""

    key: str = ""
    operator: str = "Equal"
    value: str = ""
    effect: str = ""

    def covers(self, taint: Taint) -> bool:
        """Whether this toleration tolerates `taint` (core/v1 Toleration.ToleratesTaint).

        >>> Toleration("gpu", "Exists").covers(Taint("gpu", "yes"))
        True
        """
        if self.effect and self.effect != taint.effect:
            return False
        if self.key and self.key != taint.key:
            return False
        match self.operator:
            case "Exists":
                return True
            case "Equal" | "":
                return self.value == taint.value
            case "Gt" | "Lt":
                return _compare(self.operator, taint.value, self.value)
        return False


@dataclass(frozen=True, slots=True)
class Requirement:
    """One expression of a label or node selector: In, NotIn, Exists, DoesNotExist, Gt, Lt."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def accepts(self, value: str | None) -> bool:
        """Whether a label value (None: the label is absent) meets the expression.

        >>> Requirement("cores", "Gt", ("8",)).accepts("16"), Requirement("team", "NotIn", ("a",)).accepts(None)
        (True, True)
        """
        match self.operator:
            case "In":
                return value is not None and value in self.values
            case "NotIn":
                return value is None or value not in self.values
            case "Exists":
                return value is not None
            case "DoesNotExist":
                return value is None
            case "Gt" | "Lt":
                return value is not None and len(self.values) == 1 and _compare(self.operator, value, self.values[0])
        return False


def _compare(operator: str, left: str, right: str) -> bool:
    """Integer comparison; text that is no 64-bit integer never matches."""
    try:
        have, want = int(left), int(right)
    except ValueError:
        return False
    return have > want if operator == "Gt" else have < want


@dataclass(frozen=True, slots=True)
class Selector:
    """All requirements must hold; no requirement at all selects everything. An absent selector (None) selects nothing."""

    requirements: tuple[Requirement, ...] = ()

    def matches(self, labels: Labels) -> bool:
        """Whether `labels` meet every requirement."""
        return all(requirement.accepts(labels.get(requirement.key)) for requirement in self.requirements)

    @classmethod
    def of(cls, labels: Labels) -> Selector:
        """The selector that wants exactly these label values."""
        return cls(tuple(Requirement(key, "In", (value,)) for key, value in sorted(labels.items())))


@dataclass(frozen=True, slots=True)
class NodeTerm:
    """One node selector term: expressions over labels and over fields (`metadata.name`); an empty term matches nothing."""

    expressions: tuple[Requirement, ...] = ()
    fields: tuple[Requirement, ...] = ()

    def matches(self, node: Node) -> bool:
        """Whether `node` meets every expression."""
        if not self.expressions and not self.fields:
            return False
        return all(part.accepts(node.labels.get(part.key)) for part in self.expressions) and all(
            part.key == "metadata.name" and part.accepts(node.name) for part in self.fields
        )


@dataclass(frozen=True, slots=True)
class PreferredNodeTerm:
    """A node selector term worth `weight` when it matches."""

    weight: int
    term: NodeTerm


@dataclass(frozen=True, slots=True)
class PodTerm:
    """A pod affinity term with `matchLabelKeys` already merged into the selector.

    Pods of `namespaces` count, and pods of namespaces whose labels meet `namespace_selector`; the reader writes the
    pod's own namespace into `namespaces` when a term names none.
    """

    topology_key: str
    selector: Selector | None
    namespaces: frozenset[str]
    namespace_selector: Selector | None = None

    def matches(self, namespace: str, labels: Labels, namespace_labels: Labels) -> bool:
        """Whether a pod with `labels` in `namespace` is meant by this term."""
        in_namespace = namespace in self.namespaces or (
            self.namespace_selector is not None and self.namespace_selector.matches(namespace_labels)
        )
        return in_namespace and self.selector is not None and self.selector.matches(labels)


@dataclass(frozen=True, slots=True)
class WeightedPodTerm:
    """A preferred pod affinity term; `weight` is negative for anti-affinity."""

    weight: int
    term: PodTerm


@dataclass(frozen=True, slots=True)
class Spread:
    """A topology spread constraint with `matchLabelKeys` merged into the selector; `hard` is DoNotSchedule."""

    max_skew: int
    topology_key: str
    hard: bool
    selector: Selector | None
    min_domains: int = 1
    honor_affinity: bool = True
    honor_taints: bool = False


@dataclass(frozen=True, slots=True)
class HostPort:
    """A port that a pod takes on its node."""

    ip: str
    protocol: str
    port: int

    def conflicts(self, other: HostPort) -> bool:
        """Same protocol and port on the same address, or on any address.

        >>> HostPort("0.0.0.0", "TCP", 80).conflicts(HostPort("10.0.0.1", "TCP", 80))
        True
        """
        same_ip = self.ip == other.ip or "0.0.0.0" in (self.ip, other.ip)
        return same_ip and self.port == other.port and self.protocol == other.protocol


@dataclass(frozen=True, eq=False)
class Node:
    """A node: `allocatable` in scheduler amounts, `images` name -> bytes as the kubelet lists them."""

    name: str
    allocatable: Amounts
    labels: Labels = field(default_factory=dict)
    taints: tuple[Taint, ...] = ()
    unschedulable: bool = False
    images: Mapping[str, int] = field(default_factory=dict)
    created: str = ""
    annotations: Labels = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Pod:
    """A pod; `node` names where it is bound ("" while pending).

    `scored` holds cpu and memory as the scoring sees them, with defaults for containers that request none; left out, it
    is made from `requests` as for one container. `own` is set for pods with pod-level requests: what the containers alone
    ask for, with defaults; the score of NodeResourcesFit looks at that and overlooks the pod level (seen in 1.36.3).
    `required` is None without required node affinity. `owner` is the controller as (kind, name). `unmodelled` names what this pod asks for
    that the scheduler here does not look at.
    """

    name: str
    requests: Amounts = field(default_factory=dict)
    namespace: str = "default"
    labels: Labels = field(default_factory=dict)
    node: str = ""
    scored: Amounts = field(default_factory=dict)
    own: Amounts = field(default_factory=dict)
    node_selector: Labels = field(default_factory=dict)
    required: tuple[NodeTerm, ...] | None = None
    preferred: tuple[PreferredNodeTerm, ...] = ()
    affinity: tuple[PodTerm, ...] = ()
    anti_affinity: tuple[PodTerm, ...] = ()
    preferred_pods: tuple[WeightedPodTerm, ...] = ()
    spreads: tuple[Spread, ...] = ()
    tolerations: tuple[Toleration, ...] = ()
    ports: tuple[HostPort, ...] = ()
    images: tuple[str, ...] = ()
    priority: int = 0
    preemption_policy: Literal["PreemptLowerPriority", "Never"] = "PreemptLowerPriority"
    created: str = ""
    started: str = ""
    owner: tuple[str, str] | None = None
    annotations: Labels = field(default_factory=dict)
    finished: bool = False
    terminating: bool = False
    gates: tuple[str, ...] = ()
    scheduler: str = DEFAULT_SCHEDULER
    unmodelled: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.scored:
            amounts = {
                CPU: self.requests.get(CPU, 0) or DEFAULT_CPU_M,
                MEMORY: self.requests.get(MEMORY, 0) or DEFAULT_MEMORY_BYTES,
            }
            object.__setattr__(self, "scored", amounts)

    @property
    def key(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"

    def on(self, node: str) -> Pod:
        """The same pod bound to `node`."""
        return replace(self, node=node)

    def tolerates(self, taint: Taint) -> bool:
        """Whether any toleration covers `taint`."""
        return any(toleration.covers(taint) for toleration in self.tolerations)


def untolerated(taints: tuple[Taint, ...], pod: Pod) -> Taint | None:
    """First taint that keeps `pod` away (NoSchedule or NoExecute and not tolerated), else None."""
    hard = (taint for taint in taints if taint.effect in ("NoSchedule", "NoExecute"))
    return next((taint for taint in hard if not pod.tolerates(taint)), None)


def node_affinity_matches(pod: Pod, node: Node) -> bool:
    """nodeSelector and required node affinity together (component-helpers GetRequiredNodeAffinity)."""
    if any(node.labels.get(key) != value for key, value in pod.node_selector.items()):
        return False
    return pod.required is None or any(term.matches(node) for term in pod.required)
