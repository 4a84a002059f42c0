"""Cluster API v1beta2 (1.14): a MachineDeployment per private pool, with its infrastructure and bootstrap templates.

Bare metal through Metal3 (CAPM3 1.13), VM and Ironic workers through OpenStack (CAPO 0.14, still v1beta1). Source of
the field meanings: https://cluster-api.sigs.k8s.io and the autoscaler's cloudprovider/clusterapi.

In burst mode `karpenter` the replicas are fixed and nothing autoscales; in `cluster-autoscaler` the replicas belong to
the autoscaler, which reads both size annotations and the allocatable of a node that does not exist yet. It copies those
capacities into allocatable unchanged, hence allocatable is written, never the hardware.
"""

from __future__ import annotations

from typing import Any

from models.plan import BuildPlan, PoolPlan
from models.units import cpu_text, go_duration, memory_text
from simulator.export import TARGETS, Target
from simulator.export.labels import (
    GPU,
    comma_list,
    eviction_hard,
    kube_reserved,
    kubernetes_release,
    pool_labels,
    pool_taints,
    system_reserved,
)
from simulator.export.manifest import Manifest, content_digest, meta

NAME = "cluster_api"
SIZE = "cluster.x-k8s.io/cluster-api-autoscaler-node-group-{}-size"
CAPACITY = "capacity.cluster-autoscaler.kubernetes.io/"
OPTION = "cluster.x-k8s.io/autoscaling-options-"
INFRASTRUCTURE = "infrastructure.cluster.x-k8s.io"
BOOTSTRAP = "bootstrap.cluster.x-k8s.io"
_LEAST_PROVISION_S = 900  # the autoscaler's own default of --max-node-provision-time
_LEAST_UNNEEDED_S = 1200


def provision_limit_s(p95_s: float) -> int:
    """How long the autoscaler waits before it calls a node failed: 1.5 times the measured p95, in whole minutes.

    A slow server that looks like a failure sends the next pods to AWS, so the default of 15 minutes is the floor.

    >>> provision_limit_s(90.0), provision_limit_s(2000.0)
    (900, 3000)
    """
    return max(_LEAST_PROVISION_S, -(-round(p95_s * 1.5) // 60) * 60)


def unneeded_s(p95_s: float) -> int:
    """How long a node must be idle before it goes: four times what it takes to come back, at least 20 minutes.

    >>> unneeded_s(90.0), unneeded_s(2000.0)
    (1200, 8040)
    """
    return max(_LEAST_UNNEEDED_S, -(-round(p95_s * 4) // 60) * 60)


def emit(plan: BuildPlan) -> tuple[Manifest, ...]:
    """Three documents per private pool, in the pool's overlay."""
    return tuple(manifest for pool in plan.pools if pool.private for manifest in _pool(plan, pool))


def _pool(plan: BuildPlan, pool: PoolPlan) -> tuple[Manifest, ...]:
    machine = _metal3(plan, pool) if pool.kind == "baremetal" else _openstack(plan, pool)
    bootstrap = _kubeadm(plan, pool)
    deployment = _deployment(plan, pool, machine, bootstrap)
    folder = f"overlays/{pool.zone}"
    return tuple(
        Manifest(NAME, f"{folder}/{document['kind'].lower()}-{pool.name}.yaml", document, note)
        for document, note in (
            (machine, "Immutable: a change gets a new name, and the MachineDeployment rolls over to it."),
            (bootstrap, "Immutable: a change gets a new name, and the MachineDeployment rolls over to it."),
            (deployment, _note(plan, pool)),
        )
    )


def _note(plan: BuildPlan, pool: PoolPlan) -> str:
    if plan.burst_mode == "karpenter":
        return f"{pool.nodes} nodes owned; no autoscaler changes this group."
    return "No replicas here: the autoscaler owns that field. Capacity annotations hold allocatable, not hardware."


def _template(kind: str, api_version: str, plan: BuildPlan, pool: PoolPlan, spec: dict[str, Any]) -> dict[str, Any]:
    name = f"{pool.name}-{content_digest([api_version, kind, spec])}"
    return {"apiVersion": api_version, "kind": kind, "metadata": meta(name, plan.namespace), "spec": spec}


def _metal3(plan: BuildPlan, pool: PoolPlan) -> dict[str, Any]:
    version = kubernetes_release(plan)
    image = {
        "url": plan.site.metal_image_url.format(version=version),
        "checksum": plan.site.metal_image_checksum.format(version=version),
        "checksumType": "sha256",
        "diskFormat": "qcow2",
    }
    machine = {
        "automatedCleaningMode": "metadata",
        "hostSelector": {"matchLabels": {f"{plan.label_prefix}/server": pool.shape}},
        "image": image,
    }
    spec = {"nodeReuse": False, "template": {"spec": machine}}
    return _template("Metal3MachineTemplate", f"{INFRASTRUCTURE}/v1beta2", plan, pool, spec)


def _openstack(plan: BuildPlan, pool: PoolPlan) -> dict[str, Any]:
    metal = pool.kind == "ironic"
    image = plan.site.openstack_metal_image if metal else plan.site.openstack_image
    boot = {"configDrive": True} if metal else {"rootVolume": {"sizeGiB": plan.site.openstack_root_volume_gib}}
    machine = {
        "flavor": plan.site.flavors.get(pool.shape, pool.shape),
        "image": {"filter": {"name": image.format(version=kubernetes_release(plan))}},
        **boot,
    }
    return _template("OpenStackMachineTemplate", f"{INFRASTRUCTURE}/v1beta1", plan, pool, {"template": {"spec": machine}})


def _kubeadm(plan: BuildPlan, pool: PoolPlan) -> dict[str, Any]:
    taints = comma_taints(plan, pool)
    eviction = ",".join(f"{key}<{value}" for key, value in eviction_hard(pool).items())
    arguments = {
        "node-labels": comma_list(pool_labels(plan, pool)),
        **({"register-with-taints": taints} if taints else {}),
        "kube-reserved": comma_list(kube_reserved(pool)),
        **({"system-reserved": comma_list(system)} if (system := system_reserved(pool)) else {}),
        "eviction-hard": eviction,
        "max-pods": str(pool.max_pods),
    }
    registration = {"kubeletExtraArgs": [{"name": name, "value": value} for name, value in arguments.items()]}
    spec = {"template": {"spec": {"joinConfiguration": {"nodeRegistration": registration}}}}
    return _template("KubeadmConfigTemplate", f"{BOOTSTRAP}/v1beta2", plan, pool, spec)


def comma_taints(plan: BuildPlan, pool: PoolPlan) -> str:
    """Taints as kubelet arguments and capacity annotations spell them."""
    return ",".join(map(str, pool_taints(plan, pool)))


def autoscaling_annotations(plan: BuildPlan, pool: PoolPlan) -> dict[str, str]:
    """What the autoscaler must know of a group: both bounds, a node's allocatable, its labels and taints, its pace.

    The lower bound is the number of nodes owned: scale-in picks the emptiest node, not the dearest, and would empty paid
    servers while AWS nodes stay full.
    """
    taints = comma_taints(plan, pool)
    gpus = pool.extended.get(GPU, 0)
    return {
        SIZE.format("min"): str(pool.nodes),
        SIZE.format("max"): str(pool.max_nodes),
        f"{CAPACITY}cpu": cpu_text(pool.allocatable_cpu_m),
        f"{CAPACITY}memory": memory_text(pool.allocatable_memory_mib),
        f"{CAPACITY}maxPods": str(pool.max_pods),
        **({f"{CAPACITY}gpu-type": GPU, f"{CAPACITY}gpu-count": str(gpus)} if gpus else {}),
        f"{CAPACITY}labels": comma_list(pool_labels(plan, pool)),
        **({f"{CAPACITY}taints": taints} if taints else {}),
        f"{OPTION}maxnodeprovisiontime": go_duration(provision_limit_s(pool.provision_p95_s)),
        f"{OPTION}scaledownunneededtime": go_duration(unneeded_s(pool.provision_p95_s)),
    }


def _deployment(plan: BuildPlan, pool: PoolPlan, machine: dict[str, Any], bootstrap: dict[str, Any]) -> dict[str, Any]:
    fixed = plan.burst_mode == "karpenter"
    surge = 1 if pool.kind == "openstack_vm" else 0
    metal = pool.kind != "openstack_vm"
    taints = [{**taint.as_dict(), "propagation": "Always"} for taint in pool_taints(plan, pool)]
    template = {
        "clusterName": plan.cluster,
        "version": kubernetes_release(plan),
        "bootstrap": {"configRef": _reference(bootstrap)},
        "infrastructureRef": _reference(machine),
        **({"taints": taints} if taints else {}),
        "deletion": {"nodeDrainTimeoutSeconds": 1800 if metal else 600, "nodeVolumeDetachTimeoutSeconds": 600},
    }
    annotations = {} if fixed else autoscaling_annotations(plan, pool)
    return {
        "apiVersion": "cluster.x-k8s.io/v1beta2",
        "kind": "MachineDeployment",
        "metadata": meta(pool.name, plan.namespace, annotations=annotations),
        "spec": {
            "clusterName": plan.cluster,
            **({"replicas": pool.nodes} if fixed else {}),
            "selector": {"matchLabels": {}},
            "rollout": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": 1 - surge}}},
            "template": {"metadata": {"labels": {"node-role.kubernetes.io/worker": ""}}, "spec": template},
        },
    }


def _reference(document: dict[str, Any]) -> dict[str, str]:
    group = document["apiVersion"].split("/")[0]
    return {"apiGroup": group, "kind": document["kind"], "name": document["metadata"]["name"]}


TARGETS.register(NAME, Target("Cluster API machines for private pools", ("karpenter", "cluster-autoscaler"), emit))
