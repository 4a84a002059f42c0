"""Demand report: everything that one look at the past and the coming year of demand shows, as one frozen value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.case import Case, schedulable
from models.demand import Demand
from models.dispatch import Dispatch
from models.plan import Readings
from models.unknown import Unknown
from models.usage import UsageHistory
from simulator.demand.forecast import Forecast, forecast, too_short
from simulator.demand.profile import HOURS_PER_WEEK, load_factor, weekly_mean
from simulator.demand.readings import implied_premium, readings, share_served
from simulator.demand.rightsizing import RightSize, right_size
from simulator.demand.worker_hours import Supply, WorkerHours, worker_hours, worker_hours_left

FEW_NODES = 20
UNEXPLAINED_SHARE = 0.05
DISPATCHES: tuple[Dispatch, ...] = ("pinned", "private_first")


@dataclass(frozen=True)
class DemandReport:
    """`left` : AWS workers beside the nodes of the by-peak reading, less spares, by dispatch; `served_share` filled first.

    peak, mean and load_factor are by axis, in its unit; `week` is the binding axis's mean hour of the week, float64 [168].
    """

    demand: Demand
    axis: str
    peak: Mapping[str, float]
    mean: Mapping[str, float]
    load_factor: Mapping[str, float]
    workers: WorkerHours
    left: Mapping[str, WorkerHours]
    readings: Readings
    served_share: float
    implied_premium: float | Unknown
    right_sizes: tuple[RightSize, ...]
    forecast: Forecast | Unknown
    week: NDArray[np.float64]
    supply: Supply | None
    notes: tuple[str, ...]


def demand_report(case: Case, demand: Demand, usage: UsageHistory | None, supply: Supply | None = None) -> DemandReport:
    """Describe `demand` against the case's worker and its first zone's node.

    `usage` brings the right-sizing table, `supply` what the bill of the same hours supplied.
    """
    private = case.zones[0].node
    wanted, packing, spare = case.scenario.demand, case.packing, case.zones[0].part.spare_nodes
    axis = demand.binding_axis(private)
    half = readings(demand, private, packing_share=packing, build_share=wanted.build_share, spare_nodes=spare)
    nodes = half.by_peak_nodes - spare
    left: dict[str, WorkerHours] = {
        dispatch: worker_hours_left(
            demand, axis, case.worker, private, nodes, packing_share=packing, dispatch=dispatch, pinned_share=wanted.build_share,
            on_demand_usd_per_h=case.on_demand_usd_per_h,
        )
        for dispatch in DISPATCHES
    }  # fmt: skip
    quantiles = {"cpu_quantile": wanted.cpu_quantile, "batch_cpu_quantile": wanted.batch_cpu_quantile}
    return DemandReport(
        demand=demand,
        axis=axis,
        peak={name: float(demand.total(name).max(initial=0.0)) for name in demand.axes.names},
        mean={name: float(demand.total(name).mean()) for name in demand.axes.names},
        load_factor={name: load_factor(demand, name) for name in demand.axes.names},
        workers=worker_hours(demand, axis, case.worker, packing, case.on_demand_usd_per_h),
        left=left,
        readings=half,
        served_share=share_served(demand, private, nodes, packing),
        implied_premium=implied_premium(demand.total(axis), nodes * schedulable(private, axis) * packing),
        right_sizes=right_size(usage, **quantiles, memory_headroom=wanted.memory_headroom) if usage is not None else (),
        forecast=_forecast(demand, axis, wanted.forecast_weeks),
        week=weekly_mean(demand.total(axis), demand.horizon),
        supply=supply,
        notes=(*demand.notes, *_few_nodes(half), *_supply_notes(supply)),
    )


def _forecast(demand: Demand, axis: str, weeks: int) -> Forecast | Unknown:
    problem = too_short(demand.total(axis))
    return Unknown(str(problem)) if problem else forecast(demand.total(axis), demand.horizon, weeks * HOURS_PER_WEEK)


def _supply_notes(supply: Supply | None) -> tuple[str, ...]:
    if supply is None or not supply.hours:
        return ()
    found = []
    if supply.short_hours:
        found.append(f"{supply.short_hours} hours with less on the bill than pods asked for: the bill or the usage lacks something")
    if supply.unexplained_cpu_h > UNEXPLAINED_SHARE * supply.supplied_cpu_h:
        found.append(f"{supply.unexplained_cpu_h:,.0f} of {supply.supplied_cpu_h:,.0f} billed vCPU-hours are explained by no pod")
    return tuple(found)


def _few_nodes(half: Readings) -> tuple[str, ...]:
    if half.by_peak_nodes >= FEW_NODES:
        return ()
    return (f"{half.by_peak_nodes} nodes: below {FEW_NODES} hourly means hide short peaks, give 5-minute data",)
