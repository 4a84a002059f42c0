"""Pod shapes of a replay file: resources, and beside them the fields of a Pod that say where it may run.

`{cpu: 500m, memory: 1Gi}` is enough. Fields of a Pod spec (`nodeSelector`, `tolerations`, `affinity`,
`topologySpreadConstraints`, `priority`), its `labels` and `annotations`, and `hostPorts` may stand beside. Every pod of
shape `web` also has the label `app: web`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from models.errors import Problem
from simulator.engine.kube.kube_fields import Fields
from simulator.engine.kube.objects import Pod
from simulator.engine.kube.pod_reader import read_pod

SPEC = ("nodeSelector", "tolerations", "affinity", "topologySpreadConstraints", "priority", "priorityClassName")
METADATA = ("labels", "annotations")
PORTS = "hostPorts"
NOTES = ("count", "terminationGracePeriodSeconds")
"""Keys of recorded cases that say how many, or what has no effect: pods here end at once."""

SECONDS = 30
"""How long a single decision is watched: batches, further rounds and boots are over by then."""

SNAKE = {
    "node_selector": "nodeSelector",
    "topology_spread_constraints": "topologySpreadConstraints",
    "host_ports": PORTS,
    "priority_class_name": "priorityClassName",
}


def read_shape(name: str, body: Any, place: str, problems: list[Problem]) -> Pod | None:
    """One pod of the shape; what cannot be read is added to `problems`."""
    if not isinstance(body, Mapping):
        problems.append(Problem(place, repr(body)[:80], "give cpu and memory of one pod"))
        return None
    given = {SNAKE.get(str(key), str(key)): value for key, value in body.items()}
    requests = {key: value for key, value in given.items() if key not in (*SPEC, *METADATA, PORTS, *NOTES)}
    container: dict[str, Any] = {"name": "c", "resources": {"requests": requests}}
    if PORTS in given:
        container["ports"] = [{"containerPort": port, "hostPort": port} for port in given[PORTS] or ()]
    labels = given.get("labels") or {}
    document = {
        "metadata": {
            "name": name,
            "labels": {"app": name, **labels} if isinstance(labels, Mapping) else labels,
            "annotations": given.get("annotations"),
        },
        "spec": {"containers": [container], **{key: given[key] for key in SPEC if key in given}},
    }
    found: list[Problem] = []
    pod = read_pod(Fields(document, place, found), {})
    problems += [replace(problem, place=_short(problem.place)) for problem in found]
    return None if found else pod


def _short(place: str) -> str:
    """The place as the shape writes it, without the parts of a whole Pod."""
    for part in (".spec.containers[0].resources.requests", ".spec.containers[0].ports", ".spec", ".metadata"):
        place = place.replace(part, ".hostPorts" if part.endswith("ports") else "", 1)
    return place


def as_curve(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """A recorded single decision (`pods` with `count`) as a curve that asks for all of them at second 0 and holds."""
    pods = document.get("pods")
    if "shapes" in document or not isinstance(pods, Mapping) or not all(isinstance(body, Mapping) for body in pods.values()):
        return document
    rest = {key: value for key, value in document.items() if key not in ("pods", "case")}
    counts = {str(name): [body.get("count", 1)] * SECONDS for name, body in pods.items()}
    return {**rest, "shapes": pods, "replicas_by_second": counts}
