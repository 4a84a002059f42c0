"""What GPUs did and for whom, from the store: busy share, energy, memory; what was not measured is said to be unknown."""

from __future__ import annotations

import duckdb

from models.unknown import Unknown
from models.usage import GpuShare, GpuUse

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


# A MIG instance is its slices' part of a GPU: 7 compute slices, 4 on the A30 (docs.nvidia.com/datacenter/tesla/mig-user-guide).
DEVICE_PART = """CASE WHEN coalesce(profile, '') = '' THEN 1 ELSE coalesce(try_cast(regexp_extract(profile, '^([0-9]+)g', 1) AS DOUBLE), 7)
    / CASE WHEN contains(model, 'A30') THEN 4 ELSE 7 END END"""
_SHARES = f"""
    WITH team AS (SELECT cluster, namespace, arg_max(labels, hour)['team'] AS team FROM usage GROUP BY cluster, namespace),
    owned AS (SELECT * EXCLUDE (cluster, profile, team), coalesce(team, '') AS team, {DEVICE_PART} AS part
        FROM gpu_owner LEFT JOIN team USING (cluster, namespace))
    SELECT {{keys}}, sum(gpus_held * part), sum(gpus_busy * part),
        sum(gpus_held * part) FILTER (gpus_busy IS NOT NULL), sum(power_w) / 1000, sum(memory_used_mib),
        sum(gpus_held) FILTER (memory_used_mib IS NOT NULL)
    FROM owned GROUP BY ALL ORDER BY 4 DESC, 1, 2, 3"""


def load_gpu_shares(connection: duckdb.DuckDBPyConnection) -> tuple[tuple[GpuShare, ...], tuple[GpuShare, ...]]:
    """GPU hours by workload and by team, the largest first; what nobody held is among them. Empty without GPUs."""
    if not connection.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = 'gpu_owner'").fetchall():
        return (), ()
    return _shares(connection, "namespace, workload, team"), _shares(connection, "'' AS namespace, '' AS workload, team")


def _shares(connection: duckdb.DuckDBPyConnection, keys: str) -> tuple[GpuShare, ...]:
    rows = connection.execute(_SHARES.format(keys=keys)).fetchall()
    hours = sum(row[3] for row in rows)
    return tuple(
        GpuShare(
            namespace=namespace,
            workload=workload,
            team=team,
            gpu_hours=held,
            share_of_hours=held / hours if hours else 0.0,
            busy_share=_ratio(busy, busy_hours, "DCGM_FI_DEV_GPU_UTIL and no DCGM_FI_PROF_GR_ENGINE_ACTIVE"),
            energy_kwh=Unknown("no DCGM_FI_DEV_POWER_USAGE was measured") if energy is None else energy,
            memory_mib=_ratio(memory, memory_hours, "DCGM_FI_DEV_FB_USED"),
        )
        for namespace, workload, team, held, busy, busy_hours, energy, memory, memory_hours in rows
    )


def _ratio(part: float | None, whole: float | None, metrics: str) -> float | Unknown:
    return Unknown(f"no {metrics} was measured") if part is None or not whole else part / whole
