"""GPU metrics of NVIDIA's dcgm-exporter: the seven that are asked for, their DCGM names, and what absence means.

Source: NVIDIA/dcgm-exporter etc/default-counters.csv and etc/dcp-metrics-included.csv @ d5e5f510 (2026-05-12).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType

DECK_METRICS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "GPU utilisation": ("gpu_utilisation_percent", "DCGM_FI_DEV_GPU_UTIL"),
        "power draw": ("power_w", "DCGM_FI_DEV_POWER_USAGE"),
        "fan speed": ("fan_percent", "DCGM_FI_DEV_FAN_SPEED"),
        "temperature": ("temperature_c", "DCGM_FI_DEV_GPU_TEMP"),
        "GPU clock": ("gpu_clock_mhz", "DCGM_FI_DEV_SM_CLOCK"),
        "memory clock": ("memory_clock_mhz", "DCGM_FI_DEV_MEM_CLOCK"),
        "memory allocated": ("memory_used_mib", "DCGM_FI_DEV_FB_USED"),
    }
)
FAN = "fan_percent"
KINDS = frozenset({"gauge", "counter", "label", "histogram", "summary"})


def absent(present: Collection[str]) -> tuple[str, ...]:
    """Warnings for GPU measures that no GPU reports; none when there is no GPU at all.

    >>> absent({"gpu_utilisation_percent", "power_w", "temperature_c", "gpu_clock_mhz", "memory_clock_mhz", "memory_used_mib"})
    ('fan_percent: no DCGM_FI_DEV_FAN_SPEED; it is not in the default list of dcgm-exporter, and passively cooled GPUs have none',)
    """
    names = {measure for measure, _ in DECK_METRICS.values()}
    if not names & set(present):
        return ()
    reason = "it is not in the default list of dcgm-exporter, and passively cooled GPUs have none"
    return tuple(
        f"{measure}: no {metric}; {reason if measure == FAN else 'add it to the counters of dcgm-exporter'}"
        for measure, metric in DECK_METRICS.values()
        if measure not in present
    )


def counters(text: str) -> dict[str, str]:
    """Fields that a counter list of dcgm-exporter switches on: name -> kind. Raises ValueError naming the line.

    >>> counters("# Clocks\\nDCGM_FI_DEV_SM_CLOCK, gauge, SM clock frequency (in MHz).")
    {'DCGM_FI_DEV_SM_CLOCK': 'gauge'}
    """
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        parts = [part.strip() for part in line.split(",", maxsplit=2)]
        if len(parts) != 3 or parts[1] not in KINDS:
            raise ValueError(f"line {number}: {line[:60]!r} is not `field, kind, help`")
        found[parts[0]] = parts[1]
    return found


def measures_of(fields: Collection[str]) -> set[str]:
    """Measures that these DCGM fields feed."""
    return {measure for measure, metric in DECK_METRICS.values() if metric in fields}
