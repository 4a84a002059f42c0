"""Which pods the scheduler's built-in soft spreading means: those of the same Service, ReplicaSet or StatefulSet.

A controller that is not in the input is told by labels that its pods carry: `pod-template-hash` for a ReplicaSet, all
labels but the per-pod ones for a StatefulSet. Source: plugins/helper/spread.go DefaultSelector.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from simulator.engine.kube.objects import Pod, Selector
from simulator.engine.kube.objects_reader import OWNERS_THAT_SPREAD

TEMPLATE_HASH = "pod-template-hash"
PER_POD_LABELS = (
    "controller-revision-hash",
    "statefulset.kubernetes.io/pod-name",
    "apps.kubernetes.io/pod-index",
)
Selectors = Mapping[tuple[str, str, str], Selector]


def default_selectors(selectors: Selectors) -> Callable[[Pod], Selector | None]:
    """A look-up pod -> selector for default spreading, None when no Service and no controller selects the pod.

    `selectors` maps (kind, namespace, name) of Services and controllers to their selector.
    """
    services: dict[str, list[Selector]] = {}
    for (kind, namespace, _), selector in sorted(selectors.items(), key=lambda item: item[0]):
        if kind == "Service":
            services.setdefault(namespace, []).append(selector)

    def find(pod: Pod) -> Selector | None:
        """The selectors of the pod's Services and of its controller, joined; None when it has none."""
        parts = [selector for selector in services.get(pod.namespace, []) if selector.matches(pod.labels)]
        owner = owner_selector(pod, selectors)
        if owner is not None:
            parts.append(owner)
        merged = tuple(dict.fromkeys(requirement for part in parts for requirement in part.requirements))
        return Selector(merged) if merged else None

    return find


def owner_selector(pod: Pod, selectors: Selectors) -> Selector | None:
    """Selector of the pod's controller, from the input or from its pods' labels."""
    if pod.owner is None or pod.owner[0] not in OWNERS_THAT_SPREAD:
        return None
    kind, name = pod.owner
    given = selectors.get((kind, pod.namespace, name))
    if given is not None:
        return given
    if TEMPLATE_HASH in pod.labels:
        return Selector.of({TEMPLATE_HASH: pod.labels[TEMPLATE_HASH]})
    shared = {key: value for key, value in pod.labels.items() if key not in PER_POD_LABELS}
    return Selector.of(shared) if shared else None
