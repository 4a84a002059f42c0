"""What Cluster Autoscaler would add for the pods that a placement left pending."""

from __future__ import annotations

from collections.abc import Sequence, Set
from pathlib import Path
from typing import Any

from models.errors import InputError, Problem
from simulator.engine.autoscalers.binpacking import kind_key
from simulator.engine.autoscalers.cluster_autoscaler import unhealthy
from simulator.engine.autoscalers.cluster_autoscaler_flags import GroupsFile, read_groups
from simulator.engine.autoscalers.cluster_autoscaler_growth import grow
from simulator.engine.autoscalers.karpenter_growth import karpenter_growth
from simulator.engine.autoscalers.never_starts import group_offers, why_never
from simulator.engine.kube.objects import Pod
from simulator.engine.kube.place import Placement
from simulator.yaml_text import parse_yaml


def growth_of(placement: Placement, path: Path) -> dict[str, Any]:
    """What the autoscaler of a groups file (YAML or JSON) would add: Karpenter when it holds `pools`."""
    document = _read(path)
    if "pools" in document:
        return karpenter_growth(placement, document, str(path))
    return growth_document(placement, read_groups(document, str(path)))


def read_groups_file(path: Path) -> GroupsFile:
    """A groups file (YAML or JSON) of `burstline place --grow` for Cluster Autoscaler."""
    return read_groups(_read(path), str(path))


def _read(path: Path) -> dict[str, Any]:
    try:
        document = parse_yaml(path.read_text(encoding="utf-8"), str(path))
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(Problem(str(path), f"an unreadable file ({reason})", "give node groups as YAML or JSON")) from error
    if not isinstance(document, dict):
        raise InputError(Problem(str(path), type(document).__name__, "give a mapping with the key groups, or pools"))
    return document


def growth_document(placement: Placement, file: GroupsFile) -> dict[str, Any]:
    """`plans` [[[group, from, to, max]]] in order, `nodes_after` {group: nodes}, `courses`, `still_pending` and `warnings`.

    `courses` [{plans, share}]: what the real program may do instead, by chance; `plans` is the most frequent of them.

    Nodes of the cluster belong to the group that their label (`zone_label` of the file) names.
    """
    cluster = placement.cluster
    pending = [answer.pod for answer in placement.pods if answer.node is None and answer.asked]
    bound = [pod for pods in cluster.pods for pod in pods.values()]
    growth = grow(pending, file.groups, cluster.nodes, bound, file.up, down=file.down, label=file.label)
    halted = [why] if (why := unhealthy(cluster.nodes, file.up)) is not None else []
    return {
        "plans": [scale_up.rows() for scale_up in growth.plans],
        "courses": [{"plans": [scale_up.rows() for scale_up in plans], "share": share} for plans, share in growth.shares],
        "nodes_after": dict(growth.nodes_after),
        "still_pending": list(growth.left),
        "warnings": [*file.warnings, *halted, *_left_over(pending, set(growth.left), file)],
    }


def _left_over(pending: Sequence[Pod], left: Set[str], file: GroupsFile) -> list[str]:
    """Why pods stay pending though groups may grow, one warning for all pods of one kind."""
    offers = group_offers(file, as_the_autoscaler_sees_it=True)
    kinds: dict[object, list[Pod]] = {}
    for pod in pending:
        if pod.key in left:
            kinds.setdefault(kind_key(pod), []).append(pod)
    found = []
    for pods in kinds.values():
        reason = why_never(pods[0], offers)
        why = f"no group fits even when empty: {reason}" if reason else "the groups it fits are at their limits, or other pods keep it away"
        more = f" and {len(pods) - 1} more like it" if len(pods) > 1 else ""
        found.append(f"pod {pods[0].key}{more} stays pending: {why}")
    return found
