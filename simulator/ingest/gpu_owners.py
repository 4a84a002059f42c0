"""Who uses the GPUs: dcgm-exporter's Kubernetes mapping, by hour, GPU and workload.

With its mapping on, dcgm-exporter gives each series the pod that holds the GPU: as `pod` and `namespace` where the scrape
honours labels, as `exported_pod` and `exported_namespace` where it does not (there `pod` is the exporter itself), and as
`pod_name` and `pod_namespace` in versions before 2.0. A GPU without a pod, or whose pod is the exporter, belongs to nobody.

Everything adds up: the parts of all workloads and of nobody are the GPU's own value. Pods that share a GPU at one moment
share it evenly, and a device's power is spread evenly over its MIG instances, since DCGM measures neither apart.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from types import MappingProxyType

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.units import MS_PER_H
from simulator.ingest.metric_names import OWNER_LABELS, Measure
from simulator.ingest.usage_hours import PART_SCHEMA, Grid
from simulator.ingest.workload_names import Owners

KIND = "gpu_owner"
HELD = "gpus_held"
NOBODY = ("", "")
EXPORTER = "dcgm-exporter"
# measure of a GPU -> its part of a workload, factor, whether the whole device is measured and not its MIG instance
PARTS: Mapping[str, tuple[str, float, bool]] = MappingProxyType(
    {
        "gpu_utilisation_percent": ("gpus_busy", 0.01, False),
        "engine_active_share": ("gpus_active", 1.0, False),
        "power_w": ("power_w", 1.0, True),
        "energy_mean_w": ("energy_mean_w", 1.0, True),
        "memory_used_mib": ("memory_used_mib", 1.0, False),
    }
)
Subject = tuple[str, ...]
Rows = dict[tuple[str, str], NDArray[np.float64]]


def owner_of(labels: Mapping[str, str], owners: Owners) -> tuple[str, str]:
    """Namespace and workload that hold the GPU of a series; `NOBODY` when none does.

    >>> owner_of({"exported_namespace": "ml", "exported_pod": "train-0", "pod": "dcgm-exporter-x2v4k"}, Owners())
    ('ml', 'train')
    """
    for namespace, pod in OWNER_LABELS:
        if labels.get(namespace) and labels.get(pod):
            found = (labels[namespace], owners.workload(labels[namespace], labels[pod]))
            return NOBODY if EXPORTER in found[1] else found
    return NOBODY


def owner_rows(
    name: str,
    measure: Measure,
    grid: Grid,
    series: Iterable[tuple[Subject, tuple[str, str], NDArray[np.int64], NDArray[np.float64]]],
) -> pa.Table:
    """Hourly parts of one GPU measure, rows of the stage: subject (gpu, model, instance, profile, namespace, workload).

    `series` gives (GPU subject, owner, point index : int64 [n], values : float64 [n]) in the metric's own unit.
    """
    part, factor, of_device = PARTS.get(name, ("", 0.0, False))
    devices: dict[str, dict[Subject, Rows]] = defaultdict(lambda: defaultdict(dict))
    for subject, owner, index, values in series if part else ():
        good = np.isfinite(values) & (values >= 0)
        if good.any():
            rows = devices[subject[0]][subject]
            row = rows.setdefault(owner, np.full(grid.points, np.nan))
            row[index[good]] = np.fmax(row[index[good]], values[good] * measure.scale * factor)
    found: list[tuple[str, list[str], int, float]] = []
    for _, subjects in sorted(devices.items()):
        instances = sum(_seen(rows).astype(np.int64) for rows in subjects.values()) if of_device else np.ones(grid.points, dtype=np.int64)
        for subject, rows in sorted(subjects.items()):
            gpu, _, model, instance, profile = subject
            for owner, held, value in _shared(rows, np.maximum(instances, 1), grid):
                key = [gpu, model, instance, profile, *owner]
                for hour in np.flatnonzero(held > 0):
                    found += [(part, key, int(hour), float(value[hour])), (HELD, key, int(hour), float(held[hour]))]
    return _table(grid, found)


def _seen(rows: Rows) -> NDArray[np.bool_]:
    return np.asarray(~np.isnan(np.array(list(rows.values()))).all(axis=0))


def _shared(
    rows: Rows, instances: NDArray[np.int64], grid: Grid
) -> Iterable[tuple[tuple[str, str], NDArray[np.float64], NDArray[np.float64]]]:
    """(owner, share of each hour held, part of the value in each hour) of one GPU or MIG instance."""
    owned = [owner for owner in rows if owner != NOBODY]
    holders = np.sum([~np.isnan(rows[owner]) for owner in owned], axis=0) if owned else np.zeros(grid.points, dtype=np.int64)
    points = np.maximum(_seen(rows).reshape(grid.hours, grid.per_hour).sum(axis=1), 1)
    for owner, row in sorted(rows.items()):
        mine = ~np.isnan(row) & ((holders == 0) if owner == NOBODY else True)
        share = np.where(mine, 1.0 / np.maximum(holders, 1), 0.0)
        held, value = (
            part.reshape(grid.hours, grid.per_hour).sum(axis=1) / points for part in (share, np.where(mine, row * share / instances, 0.0))
        )
        yield owner, held, value


def _table(grid: Grid, found: list[tuple[str, list[str], int, float]]) -> pa.Table:
    hours = np.array([hour for _, _, hour, _ in found], dtype=np.int64)
    means = [value for *_, value in found]
    return pa.table(
        {
            "measure": pa.array([part for part, *_ in found], pa.string()),
            "kind": pa.array([KIND] * len(found), pa.string()),
            "subject": pa.array([key for _, key, _, _ in found], PART_SCHEMA.field("subject").type),
            "hour": pa.array(grid.start_ms + hours * MS_PER_H, pa.int64()).cast(pa.timestamp("ms")),
            "mean": pa.array(means, pa.float64()),
            "peak": pa.array(means, pa.float64()),
        },
        schema=PART_SCHEMA,
    )
