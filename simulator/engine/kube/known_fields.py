"""Names of the fields of Pods, Nodes and what place reads beside them: a field that Kubernetes does not know is named.

Field names of the API at 1.37 (kubernetes/api core/v1, policy/v1, scheduling/v1), and those that versions since 1.28 had.
Only parts that bear on placement are opened; a probe or a volume may hold anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

_TERMS = "preferredDuringSchedulingIgnoredDuringExecution", "requiredDuringSchedulingIgnoredDuringExecution"


@dataclass(frozen=True, slots=True)
class Shape:
    """Field names of one kind of mapping; `inside` names the shape of a field, or of its entries when it is a list."""

    names: frozenset[str]
    inside: dict[str, str]


def _shape(names: str, **inside: str) -> Shape:
    return Shape(frozenset(names.split()) | inside.keys(), inside)


_CONTAINER = (
    "args command env envFrom image imagePullPolicy lifecycle livenessProbe name readinessProbe resizePolicy restartPolicy"
    " restartPolicyRules securityContext startupProbe stdin stdinOnce terminationMessagePath terminationMessagePolicy tty volumeDevices"
    " volumeMounts workingDir"
)
_OBJECT = "apiVersion kind"

SHAPES = {
    "Pod": _shape(_OBJECT, metadata="ObjectMeta", spec="PodSpec", status="PodStatus"),
    "Node": _shape(_OBJECT, metadata="ObjectMeta", spec="NodeSpec", status="NodeStatus"),
    "PriorityClass": _shape(f"{_OBJECT} description globalDefault preemptionPolicy value", metadata="ObjectMeta"),
    "PodDisruptionBudget": _shape(f"{_OBJECT} status", metadata="ObjectMeta", spec="PodDisruptionBudgetSpec"),
    "PodDisruptionBudgetSpec": _shape("maxUnavailable minAvailable unhealthyPodEvictionPolicy", selector="LabelSelector"),
    "ObjectMeta": _shape(
        "annotations creationTimestamp deletionGracePeriodSeconds deletionTimestamp finalizers generateName generation labels managedFields"
        " name namespace resourceVersion selfLink uid",
        ownerReferences="OwnerReference",
    ),
    "OwnerReference": _shape("apiVersion blockOwnerDeletion controller kind name uid"),
    "PodSpec": _shape(
        "activeDeadlineSeconds automountServiceAccountToken dnsConfig dnsPolicy enableServiceLinks ephemeralContainers evictionResponders"
        " hostAliases hostIPC hostNetwork hostPID hostUsers hostname hostnameOverride imagePullSecrets nodeName nodeSelector os overhead"
        " preemptionPolicy priority priorityClassName readinessGates restartPolicy runtimeClassName schedulerName schedulingGroup"
        " securityContext serviceAccount serviceAccountName setHostnameAsFQDN shareProcessNamespace subdomain"
        " terminationGracePeriodSeconds volumes workloadRef",
        affinity="Affinity",
        containers="Container",
        initContainers="Container",
        resourceClaims="PodResourceClaim",
        resources="ResourceRequirements",
        schedulingGates="PodSchedulingGate",
        tolerations="Toleration",
        topologySpreadConstraints="TopologySpreadConstraint",
    ),
    "PodStatus": _shape(
        "allocatedResources conditions containerStatuses ephemeralContainerStatuses extendedResourceClaimStatus hostIP hostIPs"
        " initContainerStatuses message nodeAllocatableResourceClaimStatuses nominatedNodeName observedGeneration phase podIP podIPs"
        " qosClass reason resize resourceClaimStatuses resources startTime volumeHealth"
    ),
    "Container": _shape(_CONTAINER, ports="ContainerPort", resources="ResourceRequirements"),
    "ContainerPort": _shape("containerPort hostIP hostPort name protocol"),
    "ResourceRequirements": _shape("claims limits requests"),
    "PodResourceClaim": _shape("name resourceClaimName resourceClaimTemplateName"),
    "PodSchedulingGate": _shape("name"),
    "Toleration": _shape("effect key operator tolerationSeconds value"),
    "TopologySpreadConstraint": _shape(
        "matchLabelKeys maxSkew minDomains nodeAffinityPolicy nodeTaintsPolicy topologyKey whenUnsatisfiable", labelSelector="LabelSelector"
    ),
    "Affinity": _shape("", nodeAffinity="NodeAffinity", podAffinity="PodAffinity", podAntiAffinity="PodAffinity"),
    "NodeAffinity": _shape("", **dict(zip(_TERMS, ("PreferredSchedulingTerm", "NodeSelector"), strict=True))),
    "PodAffinity": _shape("", **dict(zip(_TERMS, ("WeightedPodAffinityTerm", "PodAffinityTerm"), strict=True))),
    "PreferredSchedulingTerm": _shape("weight", preference="NodeSelectorTerm"),
    "NodeSelector": _shape("", nodeSelectorTerms="NodeSelectorTerm"),
    "NodeSelectorTerm": _shape("", matchExpressions="Requirement", matchFields="Requirement"),
    "WeightedPodAffinityTerm": _shape("weight", podAffinityTerm="PodAffinityTerm"),
    "PodAffinityTerm": _shape(
        "matchLabelKeys mismatchLabelKeys namespaces topologyKey", labelSelector="LabelSelector", namespaceSelector="LabelSelector"
    ),
    "LabelSelector": _shape("matchLabels", matchExpressions="Requirement"),
    "Requirement": _shape("key operator values"),
    "NodeSpec": _shape("configSource externalID podCIDR podCIDRs podPreemptionPolicy providerID unschedulable", taints="Taint"),
    "Taint": _shape("effect key timeAdded value"),
    "NodeStatus": _shape(
        "addresses allocatable capacity conditions config daemonEndpoints declaredFeatures features nodeInfo phase runtimeHandlers"
        " volumesAttached volumesInUse",
        images="ContainerImage",
    ),
    "ContainerImage": _shape("names sizeBytes"),
}


def unknown_fields(raw: Any, shape: str, path: str = "") -> Iterator[str]:
    """Fields of a mapping that its shape does not know, as sentences that hold for every object alike; list positions left out.

    >>> list(unknown_fields({"kind": "Pod", "spec": {"nodeSelecter": {}}}, "Pod"))
    ['spec.nodeSelecter is no field of Kubernetes and has no effect (did you mean nodeSelector?)']
    """
    known = SHAPES[shape]
    for name, value in raw.items() if isinstance(raw, dict) else ():
        if name not in known.names:
            near = get_close_matches(str(name), sorted(known.names), n=1, cutoff=0.6)
            hint = f" (did you mean {near[0]}?)" if near else ""
            yield f"{path}{name} is no field of Kubernetes and has no effect{hint}"
        elif name in known.inside:
            entries = value if isinstance(value, list) else [value]
            for entry in entries:
                yield from unknown_fields(entry, known.inside[name], f"{path}{name}{'[]' if isinstance(value, list) else ''}.")
