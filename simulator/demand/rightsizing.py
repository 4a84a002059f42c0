"""Right-sizing: what each workload would request if it asked for what it uses.

CPU: a quantile of use per pod over the hours it ran (services p95, batch p75, both settings). Memory: the largest use
times a headroom. Hourly means hide peaks inside the hour, so a request is never raised above nor cut below what the
arithmetic says; the table is advice, and node counts always come from requests.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.resources import CPU, MEMORY
from models.units import ceil_int
from models.unknown import Unknown
from models.usage import UsageHistory
from models.workload import WorkloadClass
from simulator.demand.classes import workload_class


@dataclass(frozen=True, slots=True)
class RightSize:
    """One workload's pod: requested, and advised from use. Millicores and MiB."""

    workload: str
    workload_class: WorkloadClass
    cpu_m: int
    memory_mib: int
    advised_cpu_m: int | Unknown
    advised_memory_mib: int | Unknown


def right_size(
    history: UsageHistory, *, cpu_quantile: float, batch_cpu_quantile: float, memory_headroom: float
) -> tuple[RightSize, ...]:  # fmt: skip
    """Advice per workload. `memory_headroom` 1.15 means the largest use plus 15 %."""
    return tuple(
        _advice(history, index, batch_cpu_quantile if _class(history, index) == "batch" else cpu_quantile, memory_headroom)
        for index in range(len(history.keys))
    )


def _class(history: UsageHistory, index: int) -> WorkloadClass:
    return workload_class(history.keys[index], history.axes, history.requests[:, index, :])


def _advice(history: UsageHistory, index: int, quantile: float, headroom: float) -> RightSize:
    pods = history.pods[:, index]
    ran = np.nan_to_num(pods) > 0
    asked = history.requests[ran, index, :] / pods[ran, None]
    used = history.usage[ran, index, :] / pods[ran, None]
    cpu, memory = history.axes.index(CPU), history.axes.index(MEMORY)
    cpu_used, memory_used = used[:, cpu][~np.isnan(used[:, cpu])], used[:, memory][~np.isnan(used[:, memory])]
    nothing = Unknown("no measured use")
    return RightSize(
        workload=history.keys[index].full_name,
        workload_class=_class(history, index),
        cpu_m=ceil_int(float(np.nanmedian(asked[:, cpu]))) if ran.any() else 0,
        memory_mib=ceil_int(float(np.nanmedian(asked[:, memory]))) if ran.any() else 0,
        advised_cpu_m=ceil_int(float(np.quantile(cpu_used, quantile, method="inverted_cdf"))) if cpu_used.size else nothing,
        advised_memory_mib=ceil_int(float(memory_used.max()) * headroom) if memory_used.size else nothing,
    )
