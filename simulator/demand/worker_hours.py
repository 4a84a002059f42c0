"""Worker hours: a bill's instance hours -> demand, and demand -> the AWS workers it needs.

The bill alone shows what was bought, in whole workers: each is taken as filled to the packing share. That overstates
demand by the part of the last worker of an hour that stood empty (at most 0.5 % on the shipped company).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.bill import Charges
from models.case import schedulable
from models.demand import Demand
from models.dispatch import Dispatch, aws_workers_left, workers_for
from models.errors import BillingFormatError, Problem
from models.node import NodeShape
from models.resources import CPU, MEMORY, PODS, ResourceAxes
from simulator.demand.instance_names import with_names
from simulator.demand.resolution import refuse_daily

MOST_UNMAPPED_SHARE = 0.05


@dataclass(frozen=True)
class WorkerHours:
    """Workers by hour. counts : int64 [hours]; money is the list view, `on_demand_usd_per_h` for every hour."""

    counts: NDArray[np.int64]
    on_demand_usd_per_h: float

    @property
    def total(self) -> int:
        """Worker hours over the horizon."""
        return int(self.counts.sum())

    @property
    def peak(self) -> int:
        """Most workers in one hour."""
        return int(self.counts.max(initial=0))

    @property
    def mean(self) -> float:
        """Workers in a mean hour."""
        return float(self.counts.mean()) if self.counts.size else 0.0

    @property
    def hours_running(self) -> int:
        """Hours with at least one worker."""
        return int(np.count_nonzero(self.counts))

    @property
    def usd(self) -> float:
        """Worker hours at list price."""
        return self.total * self.on_demand_usd_per_h


def demand_from_charges(charges: Charges, shapes: Mapping[str, NodeShape], packing_share: float) -> Demand:
    """Demand that the billed instance hours can have served: hours x schedulable size x packing, by instance type.

    `shapes` says how large each instance type is as a node. Types that it lacks are sized by their names where these
    tell; the others are left out. `notes` name both, and more than 5 % of the instance hours without a shape is a
    `BillingFormatError`, because the rest would mislead.
    """
    types = sorted({series.instance_type for series in charges.series})
    shapes, by_name = with_names(types, shapes)
    known = [name for name in types if name in shapes]
    _refuse_unmapped(charges, known)
    refuse_daily(charges.worker_hours.sum(axis=1), "bill")
    axes = ResourceAxes()
    requests = np.zeros((charges.horizon.hours, len(known), len(axes)))
    for place, name in enumerate(known):
        columns = [index for index, series in enumerate(charges.series) if series.instance_type == name]
        shape = shapes[name]
        size = axes.vector({CPU: max(shape.schedulable_cpu_m, 0), MEMORY: max(shape.schedulable_memory_mib, 0), PODS: 0.0})
        requests[:, place, :] = charges.worker_hours[:, columns].sum(axis=1)[:, None] * size * packing_share
    left_out = tuple(f"{name}: instance hours left out, no shape is known" for name in types if name not in shapes)
    told = (f"sized by name, not in the catalog: {', '.join(by_name)}",) if by_name else ()
    note = f"rebuilt from the bill alone: every worker counts as filled to {packing_share:g}"
    return Demand(charges.horizon, axes, tuple(known), requests, (), "bill", (note, *told, *left_out))


def worker_hours(demand: Demand, axis: str, worker: NodeShape, packing_share: float, on_demand_usd_per_h: float) -> WorkerHours:
    """AWS workers that hold the whole demand in every hour, in one resource: the one that binds on the private side."""
    return WorkerHours(workers_for(demand.total(axis), schedulable(worker, axis) * packing_share), on_demand_usd_per_h)


def worker_hours_left(
    demand: Demand, axis: str, worker: NodeShape, private: NodeShape, nodes: int, *, packing_share: float, dispatch: Dispatch,
    pinned_share: float, on_demand_usd_per_h: float,
) -> WorkerHours:  # fmt: skip
    """AWS workers beside `nodes` private nodes; spares are not counted among them, because they may be down."""
    private_room, worker_room = (schedulable(shape, axis) * packing_share for shape in (private, worker))
    left = aws_workers_left(demand.total(axis), nodes * private_room, worker_room, dispatch=dispatch, pinned_share=pinned_share)
    return WorkerHours(left, on_demand_usd_per_h)


def _refuse_unmapped(charges: Charges, known: list[str]) -> None:
    by_series = charges.worker_hours.sum(axis=0)
    total = float(by_series.sum())
    if total <= 0:
        raise BillingFormatError(Problem("bill", "no EC2 instance hours", "give a bill that holds the cluster's workers"))
    unknown = {series.instance_type for series in charges.series} - set(known)
    share = float(sum(hours for series, hours in zip(charges.series, by_series, strict=True) if series.instance_type in unknown)) / total
    if share > MOST_UNMAPPED_SHARE:
        names = ", ".join(sorted(name or "(no instance type)" for name in unknown))
        raise BillingFormatError(
            Problem("bill", f"{share:.1%} of instance hours of unknown shape: {names}", "add the types to the catalog")
        )


@dataclass(frozen=True, slots=True)
class Supply:
    """What the bill supplied against what pods asked for, over the hours that both cover; vCPU-hours.

    `unexplained_cpu_h` is supply beyond what the requests need at the packing share: no pod explains it. `short_hours`
    counts hours with less supply than requests: then the bill or the usage lacks something.
    """

    hours: int
    supplied_cpu_h: float
    requested_cpu_h: float
    unexplained_cpu_h: float
    short_hours: int

    @property
    def requested_share(self) -> float:
        """Requests per supply."""
        return self.requested_cpu_h / self.supplied_cpu_h if self.supplied_cpu_h > 0 else 0.0


def supply_of(charges: Charges, shapes: Mapping[str, NodeShape], demand: Demand, packing_share: float) -> Supply:
    """Compare schedulable CPU on the bill with the demand's CPU requests, hour by hour.

    One worker of the largest size an hour is taken as explained: the last worker is seldom full.
    """
    shapes, _ = with_names(sorted({series.instance_type for series in charges.series}), shapes)
    size_m = np.array([max(shapes[s.instance_type].schedulable_cpu_m, 0) if s.instance_type in shapes else 0 for s in charges.series])
    start, end = max(charges.horizon.start, demand.horizon.start), min(charges.horizon.end, demand.horizon.end)
    hours = max(0, int((end - start).total_seconds() // 3600))
    bill, asked = charges.horizon.index(start), demand.horizon.index(start)
    supplied = (charges.worker_hours[bill : bill + hours] @ size_m) / 1000.0
    requested = demand.total(CPU)[asked : asked + hours] / 1000.0
    spare = float(size_m.max(initial=0)) / 1000.0
    return Supply(
        hours=hours,
        supplied_cpu_h=float(supplied.sum()),
        requested_cpu_h=float(requested.sum()),
        unexplained_cpu_h=float(np.maximum(supplied - requested / packing_share - spare, 0.0).sum()),
        short_hours=int(np.count_nonzero(supplied < requested * (1.0 - 1e-9))),
    )
