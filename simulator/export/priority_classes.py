"""PriorityClasses (scheduling.k8s.io/v1) for the workload classes of the plan, in both burst modes.

Services may push batch work off a private node; the placeholder class stays above -10, the autoscaler's cut-off below
which pods are no reason to buy a node.
"""

from __future__ import annotations

from models.plan import BuildPlan
from simulator.export import TARGETS, Target
from simulator.export.manifest import Manifest, meta

NAME = "priority_classes"
_CLASSES = (
    ("burstline-service", 1000, "PreemptLowerPriority", "Services: may push batch work off a node."),
    ("burstline-ml", 500, "PreemptLowerPriority", "Training and inference: after services, before batch."),
    ("burstline-batch", 100, "Never", "Batch work: waits for room instead of taking it."),
    ("burstline-headroom", -5, "Never", "Placeholder pods that any real pod may evict."),
)


def emit(plan: BuildPlan) -> tuple[Manifest, ...]:
    """One document per class, in `base/`. None is the cluster's default."""
    return tuple(
        Manifest(
            NAME,
            f"base/priorityclass-{name}.yaml",
            {
                "apiVersion": "scheduling.k8s.io/v1",
                "kind": "PriorityClass",
                "metadata": meta(name),
                "value": value,
                "preemptionPolicy": policy,
                "description": text,
            },
        )
        for name, value, policy, text in _CLASSES
    )


TARGETS.register(NAME, Target("PriorityClasses of the workload classes", ("karpenter", "cluster-autoscaler"), emit))
