"""What GPUs did, from the store: busy share, energy, free memory, throttling; what was not measured is said to be unknown."""

from __future__ import annotations

import duckdb

from models.unknown import Unknown
from models.usage import GpuUse

# measure of the record -> SQL over a GPU's hours, and the metrics that it needs
SOURCES = {
    "utilisation_share": ("avg(coalesce(engine_active_share, gpu_utilisation_percent / 100))", "DCGM_FI_DEV_GPU_UTIL"),
    "peak_utilisation_share": ("max(coalesce(engine_active_share, gpu_utilisation_percent / 100))", "DCGM_FI_DEV_GPU_UTIL"),
    "energy_kwh": ("sum(coalesce(energy_mean_w, power_w)) / 1000", "DCGM_FI_DEV_POWER_USAGE"),
    "headroom_mib": ("min(memory_free_mib)", "DCGM_FI_DEV_FB_FREE"),
    "throttled_share": (
        "avg(greatest(power_throttled_share, thermal_throttled_share))",
        "DCGM_FI_DEV_POWER_VIOLATION and DCGM_FI_DEV_THERMAL_VIOLATION",
    ),
    "temperature_c": ("max(temperature_c)", "DCGM_FI_DEV_GPU_TEMP"),
    "fan_percent": ("avg(fan_percent)", "DCGM_FI_DEV_FAN_SPEED"),
}


def load_gpus(connection: duckdb.DuckDBPyConnection) -> tuple[GpuUse, ...]:
    """Every GPU of the store over all its hours, in the order of cluster, node and GPU.

    On a MIG instance the engine's active share stands for utilisation, which DCGM does not tell there. Energy comes from
    the energy counter, else from the mean power draw of each hour.
    """
    values = ", ".join(sql for sql, _ in SOURCES.values())
    rows = connection.execute(
        f"""SELECT gpu, coalesce(instance, ''), coalesce(node, ''), coalesce(model, ''), coalesce(profile, ''), count(*), {values}
        FROM gpu_usage GROUP BY cluster, gpu, instance, node, model, profile ORDER BY cluster, node, gpu, instance"""
    ).fetchall()
    return tuple(_gpu(row) for row in rows)


def _gpu(row: tuple[object, ...]) -> GpuUse:
    name, instance, node, model, profile, hours, *values = row
    measured = {
        field: Unknown(f"no {metrics} was measured") if value is None else float(str(value))
        for (field, (_, metrics)), value in zip(SOURCES.items(), values, strict=True)
    }
    return GpuUse(
        gpu=f"{name}/{instance}" if instance else str(name),
        node=str(node),
        model=str(model),
        profile=str(profile),
        hours=int(str(hours)),
        **measured,
    )
