"""Workload names: pod -> Deployment, CronJob, StatefulSet, by owner metrics where there are any, else by the pod's name.

The suffixes that Kubernetes appends use the letters of k8s.io/apimachinery/pkg/util/rand (no vowels, no 0, 1, 3).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from simulator.ingest.metric_names import Preset

_SAFE = "[bcdfghjklmnpqrstvwxz2456789]"
_POD_SUFFIXES = (
    re.compile(rf"(.+)-{_SAFE}{{6,10}}-{_SAFE}{{5}}"),  # Deployment: template hash, random
    re.compile(rf"(.+)-\d{{8,10}}-{_SAFE}{{5}}"),  # CronJob: scheduled minute, random
    re.compile(r"(.+)-\d{8,10}"),  # CronJob's Job
    re.compile(rf"(.+)-{_SAFE}{{5}}"),  # DaemonSet, Job
    re.compile(r"(.+)-\d+"),  # StatefulSet
)
_REPLICA_SET = re.compile(rf"(.+)-{_SAFE}{{6,10}}")
_CRON_JOB = re.compile(r"(.+)-\d{8,10}")
_NO_OWNER = frozenset({"", "<none>"})  # kube-state-metrics wrote "<none>" before 2.16


def name_from_pod(pod: str) -> str:
    """Workload that a pod's name points to.

    >>> name_from_pod("web-6c7d8f9b5-x2v4k"), name_from_pod("report-29707813-dhlr2"), name_from_pod("db-0")
    ('web', 'report', 'db')
    """
    for suffix in _POD_SUFFIXES:
        if found := suffix.fullmatch(pod):
            return found[1]
    return pod


@dataclass
class Owners:
    """Who owns what, gathered from owner metrics; `workload` and `namespace_labels` answer from it."""

    pods: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    replica_sets: dict[tuple[str, str], str] = field(default_factory=dict)
    jobs: dict[tuple[str, str], str] = field(default_factory=dict)
    recorded: dict[tuple[str, str], str] = field(default_factory=dict)
    labels: dict[str, dict[str, str]] = field(default_factory=dict)

    def workload(self, namespace: str, pod: str) -> str:
        """The workload of a pod: the recorded one, the top of its owner chain, or what its name points to."""
        if (recorded := self.recorded.get((namespace, pod))) is not None:
            return recorded
        if (namespace, pod) not in self.pods:
            return name_from_pod(pod)
        kind, owner = self.pods[namespace, pod]
        if kind in _NO_OWNER or owner in _NO_OWNER:
            return pod
        match kind:
            case "ReplicaSet":
                return self.replica_sets.get((namespace, owner)) or _stripped(_REPLICA_SET, owner)
            case "Job":
                return self.jobs.get((namespace, owner)) or _stripped(_CRON_JOB, owner)
            case "Node":
                return pod.removesuffix(f"-{owner}")
        return owner

    def namespace_labels(self, namespace: str) -> dict[str, str]:
        """Labels of a namespace without kube-state-metrics' `label_` prefix."""
        return self.labels.get(namespace, {})

    def add(self, preset: Preset, metric: str, series: Iterable[Mapping[str, str]]) -> None:
        """Learn from the label sets of one owner metric; metrics that the preset does not name are left alone."""
        role = {name: key for key, name in preset.owners.items()}.get(metric)
        for labels in series:
            namespace = labels.get(preset.labels["namespace"]) or labels.get("namespace", "")
            pod = labels.get(preset.labels["pod"]) or labels.get("pod", "")
            owner = labels.get("owner_name", "")
            match role:
                case "recorded":
                    if name := labels.get(preset.labels.get("workload", "workload"), ""):
                        self.recorded[namespace, pod] = name
                case "pod":
                    self.pods[namespace, pod] = (labels.get("owner_kind", ""), owner)
                case "replicaset" if owner not in _NO_OWNER:
                    self.replica_sets[namespace, labels.get("replicaset", "")] = owner
                case "job" if owner not in _NO_OWNER:
                    self.jobs[namespace, labels.get("job_name", "") or labels.get("exported_job", "")] = owner
                case "namespace":
                    own = {key.removeprefix("label_"): value for key, value in labels.items() if key.startswith("label_")}
                    own.pop("kubernetes_io_metadata_name", None)
                    self.labels.setdefault(namespace, {}).update(own)


def _stripped(pattern: re.Pattern[str], name: str) -> str:
    found = pattern.fullmatch(name)
    return found[1] if found else name
