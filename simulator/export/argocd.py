"""Argo CD 3.5: one ApplicationSet that makes an Application of every overlay in Git (argoproj.io/v1alpha1).

Argo CD turns `ServerSideApply=true` into forced conflicts, so fields that an autoscaler owns are kept out of the files and
out of the comparison. Nothing heals node groups by itself, and neither pruning nor deleting happens unconfirmed: deleting
a node group deletes its nodes. Source: argo-cd docs, user-guide/sync-options and operator-manual/applicationset.
"""

from __future__ import annotations

from typing import Any

from models.plan import BuildPlan
from simulator.export import TARGETS, Target
from simulator.export.manifest import Manifest, meta

NAME = "argocd"
FOLDER = "gitops"
NAMESPACE = "argocd"
_OPTIONS = ("ServerSideApply=true", "RespectIgnoreDifferences=true", "Prune=confirm", "Delete=confirm")


def emit(plan: BuildPlan) -> tuple[Manifest, ...]:
    """One document in `gitops/`, for Argo CD's own cluster."""
    note = "For the cluster that runs Argo CD; `burstline apply` leaves it alone."
    return (Manifest(NAME, f"{FOLDER}/applicationset-{plan.scenario}.yaml", _application_set(plan), note),)


def _application_set(plan: BuildPlan) -> dict[str, Any]:
    site = plan.site
    paths = [f"{site.git_folder}/base", f"{site.git_folder}/overlays/*"]
    generator = {"repoURL": site.git_repository, "revision": site.git_revision, "directories": [{"path": path} for path in paths]}
    source = {"repoURL": site.git_repository, "targetRevision": site.git_revision, "path": "{{.path.path}}"}
    spec: dict[str, Any] = {
        "project": "default",
        "source": source,
        "destination": {"name": plan.cluster, "namespace": plan.namespace},
        "syncPolicy": {"syncOptions": list(_OPTIONS)},
    }
    if plan.burst_mode == "cluster-autoscaler":
        spec["ignoreDifferences"] = [
            {"group": "cluster.x-k8s.io", "kind": kind, "jsonPointers": ["/spec/replicas"]} for kind in ("MachineDeployment", "MachinePool")
        ]
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "ApplicationSet",
        "metadata": meta(f"capacity-{plan.scenario}", NAMESPACE),
        "spec": {
            "goTemplate": True,
            "goTemplateOptions": ["missingkey=error"],
            "generators": [{"git": generator}],
            "syncPolicy": {"preserveResourcesOnDeletion": True},
            "template": {"metadata": {"name": f"{plan.scenario}-{{{{.path.basenameNormalized}}}}"}, "spec": spec},
        },
    }


TARGETS.register(NAME, Target("Argo CD ApplicationSet over the overlays", ("karpenter", "cluster-autoscaler"), emit, by_default=False))
