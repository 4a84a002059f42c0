"""Replays generated cases through a real kube-scheduler, pod by pod, and compares every answer with ours."""

from __future__ import annotations

import re
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from control_plane import ControlPlane, Program, wait_for
from scheduler_cases import Case, Document
from simulator.engine.kube.cluster_state import Cluster
from simulator.engine.kube.default_spreading import default_selectors
from simulator.engine.kube.objects import Pod
from simulator.engine.kube.objects_reader import read_objects
from simulator.engine.kube.plugins import Settings
from simulator.engine.kube.preemption import preempt
from simulator.engine.kube.scheduler import Decision, decide, refusal_message

ANSWER_TIMEOUT_S = 30.0
_SCORE = re.compile(r'"Plugin scored node for pod" pod="([^"]+)" plugin="([^"]+)" node="([^"]+)" score=(-?\d+)')


@dataclass
class Agreement:
    """What was compared, and every difference in words."""

    pods: int = 0
    refused: int = 0
    scores: int = 0
    plugins: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    differences: list[str] = field(default_factory=list)


class LiveScheduler:
    """One real scheduler; `replay` runs a case on an empty cluster and leaves it empty."""

    def __init__(self, plane: ControlPlane, program: Program, settings: Settings | None = None) -> None:
        self.plane = plane
        self.http = plane.http()
        self.program = program
        self.settings = settings or Settings()
        self._read = 0
        self._uids: dict[tuple[str, str], str] = {}

    def replay(self, case: Case, agreement: Agreement, compare_scores: bool = True) -> None:
        """Create everything, then the pods one by one; a refused pod is deleted before the next."""
        self._create(case)
        given = [owner for owner in case.owners if owner["kind"] != "ReplicaSet"]  # these are told by their template hash
        objects = read_objects([*case.nodes, *case.services, *given, *_spaces(case)])
        cluster = Cluster(objects.nodes, objects.namespaces)
        settings = Settings(**{**vars(self.settings), "default_selectors": default_selectors(objects.selectors)})
        for document in case.pods:
            self.http.post(pods_path(document), json=self._with_owner(document)).raise_for_status()
            made = self._answered(pod_path(document))
            node, message = made["spec"].get("nodeName"), _refusal(made)
            pod = read_objects([{**made, "spec": {**made["spec"], "nodeName": None}}]).pods[0]
            decision = decide(cluster, pod, settings)
            _compare(cluster, pod, decision, node, message, settings, agreement)
            if compare_scores and node and decision.rows.size > 1:
                _compare_scores(cluster, pod, decision, self._scores(pod.key), agreement)
            if node is None:
                self._delete(pod_path(document))
            else:
                cluster.add(pod.on(node), cluster.rows[node])
        self._remove(case)

    def _create(self, case: Case) -> None:
        for space in _spaces(case):
            self.http.post("/api/v1/namespaces", json=space).raise_for_status()
        *others, last = case.nodes
        for node in others:
            self.http.post("/api/v1/nodes", json=node).raise_for_status()
        for node in others:
            self._touch(node)
        self.http.post("/api/v1/nodes", json=last).raise_for_status()
        for service in case.services:
            path = f"/api/v1/namespaces/{service['metadata']['namespace']}/services"
            self.http.post(path, json=service).raise_for_status()
        for owner in case.owners:
            path = f"/apis/apps/v1/namespaces/{owner['metadata']['namespace']}/{owner['kind'].lower()}s"
            made = self.http.post(path, json=owner).raise_for_status().json()
            self._uids[owner["metadata"]["namespace"], owner["metadata"]["name"]] = made["metadata"]["uid"]
        self._await_nodes(len(case.nodes), next(iter(case.spaces)))

    def _with_owner(self, pod: Document) -> Document:
        """The pod with the uid that its controller got."""
        metadata = pod["metadata"]
        owners = [{**owner, "uid": self._uids[metadata["namespace"], owner["name"]]} for owner in metadata.get("ownerReferences", [])]
        return {**pod, "metadata": {**metadata, "ownerReferences": owners}}

    def _touch(self, node: Document) -> None:
        """Update a node: the real scheduler counts on how many nodes an image lies only when a node changes."""
        path, kind = f"/api/v1/nodes/{node['metadata']['name']}", {"Content-Type": "application/merge-patch+json"}
        self.http.patch(path, json={"metadata": {"annotations": {"touched": "yes"}}}, headers=kind).raise_for_status()

    def _remove(self, case: Case) -> None:
        for document in case.pods:
            self._delete(pod_path(document))
        for node in case.nodes:
            self._delete(f"/api/v1/nodes/{node['metadata']['name']}")
        self._await_nodes(0, next(iter(case.spaces)))

    def _delete(self, path: str) -> None:
        answer = self.http.request("DELETE", path, json={"gracePeriodSeconds": 0})
        if answer.status_code not in (200, 404):
            answer.raise_for_status()

    def _await_nodes(self, count: int, space: str) -> None:
        """Wait until the scheduler itself counts `count` nodes: it says so to a pod that fits nowhere."""
        wanted = f"0/{count} nodes" if count else "no nodes available"
        probe = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "probe", "namespace": space},
            "spec": {"containers": [{"name": "c", "image": "x"}], "nodeSelector": {"no-such": "label"}},
        }

        def seen() -> bool:
            self.http.post(pods_path(probe), json=probe).raise_for_status()
            message = _refusal(self._answered(pod_path(probe))) or ""
            self._delete(pod_path(probe))
            return message.startswith(wanted)

        wait_for(seen, f"the scheduler to count {count} nodes")

    def _answered(self, path: str) -> Document:
        """The pod once it is bound or said to be unschedulable."""
        deadline = time.monotonic() + ANSWER_TIMEOUT_S
        while True:
            pod: Document = self.http.get(path).json()
            if pod["spec"].get("nodeName") or _refusal(pod) is not None:
                return pod
            if time.monotonic() > deadline:
                raise AssertionError(f"no answer about {path}; the scheduler's log ends:\n{self.program.tail()}")
            time.sleep(0.002)

    def _scores(self, key: str) -> dict[str, dict[str, int]]:
        """Weighted scores of the last pod by node, from the log at --v=10."""
        found: dict[str, dict[str, int]] = defaultdict(dict)
        with self.program.log.open(errors="replace") as log:
            log.seek(self._read)
            for line in log:
                match = _SCORE.search(line)
                if match and match[1] == key:
                    found[match[3]][match[2]] = int(match[4])
            self._read = log.tell()
        return found


def _spaces(case: Case) -> list[Document]:
    return [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}} for name, labels in case.spaces.items()]


def pods_path(document: Document) -> str:
    """Where pods of the document's namespace are created."""
    return f"/api/v1/namespaces/{document['metadata']['namespace']}/pods"


def pod_path(document: Document) -> str:
    """Where one pod is read and deleted."""
    return f"{pods_path(document)}/{document['metadata']['name']}"


def _refusal(pod: Document) -> str | None:
    """The scheduler's words about a pod it cannot place."""
    for condition in pod.get("status", {}).get("conditions", []):
        if condition["type"] == "PodScheduled" and condition["status"] == "False" and condition["reason"] == "Unschedulable":
            message: str = condition["message"]
            return message
    return None


def _compare(
    cluster: Cluster, pod: Pod, decision: Decision, node: str | None, message: str | None, settings: Settings, agreement: Agreement
) -> None:
    agreement.pods += 1
    if node is None:
        agreement.refused += 1
        agreement.reasons.update(decision.verdict.counts().keys())
        ours = f"{refusal_message(cluster, decision.verdict)} {preempt(cluster, pod, decision.verdict, settings).message}"
        if decision.rows.size or ours.strip() != message:
            agreement.differences.append(f"{pod.key}: real {message!r}, ours {ours!r}, feasible {decision.rows.tolist()}")
    elif cluster.rows[node] not in decision.best:
        best = [cluster.nodes[row].name for row in decision.best.tolist()]
        reasons = decision.verdict.reasons(cluster.rows[node])
        agreement.differences.append(f"{pod.key}: real {node}, our best {best}, refused {reasons}")


def _compare_scores(cluster: Cluster, pod: Pod, decision: Decision, real: dict[str, dict[str, int]], agreement: Agreement) -> None:
    for at, row in enumerate(decision.rows.tolist()):
        name = cluster.nodes[row].name
        ours = {plugin: int(scores[at]) for plugin, scores in decision.scores.items()}
        agreement.scores += len(ours)
        agreement.plugins.update(plugin for plugin, score in ours.items() if score)
        if ours != real.get(name):
            agreement.differences.append(f"{pod.key} on {name}: real scores {real.get(name)}, ours {ours}")
    extra = set(real) - {cluster.nodes[row].name for row in decision.rows.tolist()}
    if extra:
        agreement.differences.append(f"{pod.key}: the real scheduler also scored {sorted(extra)}")
