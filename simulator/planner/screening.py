"""Screening: what every private capacity costs a year, the optimum on the load-duration curve, and how flat the valley is."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.case import Case
from models.dispatch import aws_workers_left
from models.errors import InfeasiblePlan
from models.statement import CostCurve
from models.units import HOURS_PER_YEAR
from simulator.planner.closed_forms import breakeven_busy_share
from simulator.planner.fluid import aws_worker_hours, overflow

_DUST = 1e-9


@dataclass(frozen=True, slots=True)
class Slot:
    """One private node in the order of filling: its zone, room (unit of the demand) and yearly cost when added."""

    zone: str
    room: float
    usd_per_year: float


@dataclass(frozen=True)
class Rule:
    """Private nodes in the order of filling and how many of them the rule owns; `spare` by zone comes on top of a zone that is used.

    nodes      : int64 [K + 1]    nodes to own for k working ones, spares included
    capacity   : float64 [K + 1]  room of the first k nodes, unit of the demand
    busy_share : float64 [K]      share of hours in which node k works at all
    breakeven  : float64 [K]      share of hours in which it must work to be worth owning
    `optimum` is the rule's answer in working nodes.
    """

    slots: tuple[Slot, ...]
    spare: dict[str, int]
    nodes: NDArray[np.int64]
    capacity: NDArray[np.float64]
    busy_share: NDArray[np.float64]
    breakeven: NDArray[np.float64]
    optimum: int

    @property
    def breakeven_busy_share(self) -> float:
        """Busy share above which the first node pays; infinite without any private node."""
        return float(self.breakeven[0]) if self.breakeven.size else math.inf

    def by_zone(self, working: int) -> dict[str, int]:
        """Nodes to own by zone for the first `working` slots, spares included."""
        used = Counter(slot.zone for slot in self.slots[:working])
        return {zone: count + self.spare[zone] for zone, count in used.items()}

    def working(self, nodes: int) -> int:
        """Working nodes behind `nodes` owned: the most that they and their spares allow."""
        return int(np.searchsorted(self.nodes, nodes, side="right")) - 1


@dataclass(frozen=True)
class Screening(Rule):
    """The rule, and what every capacity 0..K costs.

    aws_worker_hours       : int64 [K + 1]    whole workers left to AWS, hours of the horizon
    private_usd_per_year   : float64 [K + 1]  owned nodes, spares, fixed items, staff, link
    aws_usd_per_year       : float64 [K + 1]  left to AWS at the opponent's price
    cost_usd_per_year      : float64 [K + 1]  the sum
    `floor` is the fewest working nodes beside which the AWS quota carries the rest.
    """

    aws_worker_hours: NDArray[np.int64]
    private_usd_per_year: NDArray[np.float64]
    aws_usd_per_year: NDArray[np.float64]
    cost_usd_per_year: NDArray[np.float64]
    node_usd_per_year: float
    premium_on_demand: float
    premium_best: float
    floor: int

    @property
    def least(self) -> int:
        """Working nodes at the lowest point of the cost curve that the AWS quota allows."""
        return self.floor + int(np.argmin(self.cost_usd_per_year[self.floor :]))

    @property
    def runs_1pct(self) -> tuple[tuple[int, int], ...]:
        """Fewest and most nodes (spares included) of every run of feasible capacities within 1 % of the least feasible cost.

        There are several where fixed items or a rack make the cost rise above 1 % in between.
        """
        within = self.floor + np.flatnonzero(self.cost_usd_per_year[self.floor :] <= self.cost_usd_per_year[self.least] * 1.01)
        runs = np.split(self.nodes[within], np.flatnonzero(np.diff(within) > 1) + 1)
        return tuple((int(run[0]), int(run[-1])) for run in runs)

    @property
    def range_1pct(self) -> tuple[int, int]:
        """The run that holds the least cost; the rule's answer and the recommendation may lie outside."""
        return next(run for run in self.runs_1pct if run[0] <= self.nodes[self.least] <= run[1])

    def curve(self, horizon_hours: int) -> CostCurve:
        """The curve alone, a year's worker-hours, for charts and the workbook; node k's busy share stands beside k, 1 beside none."""
        year = HOURS_PER_YEAR / max(horizon_hours, 1)
        busy = np.concatenate(([1.0], self.busy_share))
        return CostCurve(
            self.nodes, busy, self.aws_worker_hours.astype(np.float64) * year, self.private_usd_per_year, self.aws_usd_per_year
        )


def merit_order(case: Case, most: int, usd_per_node_year: float | None = None) -> tuple[Slot, ...]:
    """Private nodes from the cheapest room on, every zone up to its `max_nodes` less spares.

    Nodes that already stand come first and cost what running them costs; `usd_per_node_year` replaces every cost of a node.
    """
    offers: list[tuple[float, Slot, int]] = []
    for zone in case.zones:
        part, room = zone.part, case.room(zone)
        limit = most if part.max_nodes is None else max(part.max_nodes - part.spare_nodes, 0)
        standing = min(max(part.existing_nodes - part.spare_nodes, 0), limit)
        new = zone.marginal_usd_per_year(case.prices.private) if usd_per_node_year is None else usd_per_node_year
        # residual 1 at rate 0 makes the annuity nil: what stands is paid for
        run = zone.marginal_usd_per_year(replace(case.prices.private, residual_share=1.0, discount_rate_share=0.0))
        offers += [(run / room, Slot(part.name, room, min(run, new)), standing), (new / room, Slot(part.name, room, new), limit - standing)]
    slots = [slot for _, slot, count in sorted(offers, key=lambda offer: offer[0]) for _ in range(count)]
    return tuple(slots[:most])


def check_limits(case: Case) -> None:
    """Refuse zones that already hold more nodes than they allow."""
    wrong = [z.part for z in case.zones if z.part.max_nodes is not None and z.part.existing_nodes > z.part.max_nodes]
    if wrong:
        limits = [f"zones.{part.name}.{name}" for part in wrong for name in ("max_nodes", "existing_nodes")]
        raise InfeasiblePlan(limits, "; ".join(f"{p.existing_nodes} nodes stand in {p.name}, which allows {p.max_nodes}" for p in wrong))


def opponent_usd_per_h(case: Case) -> float:
    """Hourly price of an AWS worker that a server must beat, with the data it sends over the link."""
    return case.prices.aws.opponent_usd_per_h(case.scenario.planner.opponent) + case.prices.link.usd_per_burst_node_h


def private_demand(case: Case) -> NDArray[np.float64]:
    """The demand that private nodes may serve: all of it, or the pinned share."""
    pinned = case.scenario.planner.dispatch == "pinned"
    return case.demand * case.scenario.demand.build_share if pinned else case.demand


def find_rule(case: Case, usd_per_node_year: float | None = None) -> Rule:
    """Own node k while the share of hours in which it works exceeds its cost / (AWS cost of its room, all year).

    `usd_per_node_year` replaces every zone's marginal cost of a node.
    """
    check_limits(case)
    price, smallest = opponent_usd_per_h(case), min(case.room(zone) for zone in case.zones)
    slots = merit_order(case, math.ceil(float(case.demand.max(initial=0.0)) / smallest - _DUST) + 3, usd_per_node_year)
    busy = _busy_shares(private_demand(case), slots)
    breakeven = np.array([_breakeven(slot.usd_per_year, _rent(case, slot, price)) for slot in slots])
    spare = {zone.part.name: zone.part.spare_nodes for zone in case.zones}
    standing = sum(max(zone.part.existing_nodes - zone.part.spare_nodes, 0) for zone in case.zones)
    return Rule(
        slots=slots,
        spare=spare,
        nodes=_nodes(slots, spare),
        capacity=np.concatenate(([0.0], np.cumsum([slot.room for slot in slots]))),
        busy_share=busy,
        breakeven=breakeven,
        optimum=max(_stop(busy, breakeven), min(standing, len(slots))),
    )


def pays(case: Case, rule: Rule, working: int) -> bool:
    """Whether owning `working` nodes with all that belongs to them costs less a year than AWS alone."""
    ends = np.array([0.0, rule.capacity[working]])
    alone, beside = _aws_usd(case, _workers_beside(case, ends))
    return bool(_owned_usd(case, rule.by_zone(working)) + beside < alone)


def quota_floor(case: Case, rule: Rule) -> int:
    """Fewest working nodes that keep the AWS peak within `aws.max_nodes`; InfeasiblePlan when no number does."""
    most = case.scenario.aws.max_nodes
    low, high = 0, len(rule.slots)
    if _aws_peak(case, float(rule.capacity[high])) > most:
        limits = ["aws.max_nodes", *(f"zones.{zone.part.name}.max_nodes" for zone in case.zones)]
        raise InfeasiblePlan(
            limits, f"{high} private nodes still leave {_aws_peak(case, float(rule.capacity[high]))} AWS workers at the peak"
        )
    while low < high:
        middle = (low + high) // 2
        if _aws_peak(case, float(rule.capacity[middle])) <= most:
            high = middle
        else:
            low = middle + 1
    return low


def _aws_peak(case: Case, capacity: float) -> int:
    planner, share = case.scenario.planner, case.scenario.demand.build_share
    left = aws_workers_left(case.demand, capacity, case.worker_room, dispatch=planner.dispatch, pinned_share=share)
    return int(left.max(initial=0))


def screen(case: Case, *, usd_per_node_year: float | None = None, futures: int = 1) -> Screening:
    """The rule, and cost over all capacities; `usd_per_node_year` screens by another cost of a node than the marginal.

    The demand may hold several equally likely `futures` one after another: `aws_worker_hours` is their mean. InfeasiblePlan when the AWS
    quota cannot carry what the zones leave.
    """
    rule = find_rule(case, usd_per_node_year)
    left = _workers_beside(case, rule.capacity)
    owned = rule.nodes.astype(np.float64) * usd_per_node_year if usd_per_node_year is not None else _owned(case, rule)
    aws = _aws_usd(case, left)
    smallest = min(case.room(zone) for zone in case.zones)
    typical = rule.slots[-1] if rule.slots else Slot("", smallest, math.inf)
    return Screening(
        **vars(rule),
        aws_worker_hours=np.rint(left / futures).astype(np.int64) if futures > 1 else left,
        private_usd_per_year=owned,
        aws_usd_per_year=aws,
        cost_usd_per_year=owned + aws,
        node_usd_per_year=typical.usd_per_year,
        premium_on_demand=_premium(case, typical, case.prices.aws.on_demand_usd_per_h),
        premium_best=_premium(case, typical, case.prices.aws.best_usd_per_h),
        floor=quota_floor(case, rule),
    )


def _workers_beside(case: Case, capacity: NDArray[np.float64]) -> NDArray[np.int64]:
    """AWS worker-hours of the horizon beside every capacity."""
    scenario = case.scenario
    return aws_worker_hours(
        case.demand, capacity, case.worker_room, dispatch=scenario.planner.dispatch, pinned_share=scenario.demand.build_share
    )


def _aws_usd(case: Case, worker_hours: NDArray[np.int64]) -> NDArray[np.float64]:
    """Yearly cost of worker-hours of the horizon at the opponent's price."""
    return worker_hours.astype(np.float64) * (opponent_usd_per_h(case) * HOURS_PER_YEAR / max(case.demand.size, 1))


def _rent(case: Case, slot: Slot, worker_usd_per_h: float) -> float:
    """What AWS takes a year for the room of one node, busy all the time."""
    return slot.room / case.worker_room * worker_usd_per_h * HOURS_PER_YEAR


def _premium(case: Case, slot: Slot, worker_usd_per_h: float) -> float:
    """How many times dearer AWS is than the own node; infinite for a node that costs nothing."""
    return _rent(case, slot, worker_usd_per_h) / slot.usd_per_year if slot.usd_per_year > 0 else math.inf


def _breakeven(usd_per_year: float, rent: float) -> float:
    """Busy share that pays for a node; a node that costs nothing pays at once."""
    return breakeven_busy_share(usd_per_year, 0.0, rent) if usd_per_year > 0 else 0.0


def _busy_shares(demand: NDArray[np.float64], slots: tuple[Slot, ...]) -> NDArray[np.float64]:
    """Share of hours in which each node works: from the fluid tier where all nodes are alike, else by the room below each."""
    if not slots:
        return np.empty(0)
    if len({slot.room for slot in slots}) == 1:
        nodes = np.maximum(demand / slots[0].room - _DUST, 0.0)  # float dust does not open another node
        return np.asarray(overflow(nodes, len(slots)).busy_share()[0])
    below = np.concatenate(([0.0], np.cumsum([slot.room for slot in slots])[:-1]))
    return np.array([float(np.mean(demand > floor * (1.0 + _DUST))) for floor in below])


def _stop(busy: NDArray[np.float64], breakeven: NDArray[np.float64]) -> int:
    """Working nodes until the first whose busy share does not exceed its break-even; a tie is not built."""
    stop = np.flatnonzero(busy <= breakeven + 1e-12)
    return int(stop[0]) if stop.size else int(busy.size)


def _nodes(slots: tuple[Slot, ...], spare: dict[str, int]) -> NDArray[np.int64]:
    seen: set[str] = set()
    counts = [0]
    for slot in slots:
        counts.append(counts[-1] + 1 + (0 if slot.zone in seen else spare[slot.zone]))
        seen.add(slot.zone)
    return np.array(counts)


def _owned(case: Case, rule: Rule) -> NDArray[np.float64]:
    """Yearly cost of the private side at every capacity: whole purchase lists, so racks and zones step as they do in life."""
    used: Counter[str] = Counter()
    costs = [0.0]
    for slot in rule.slots:
        used[slot.zone] += 1
        costs.append(_owned_usd(case, {zone: count + rule.spare[zone] for zone, count in used.items()}))
    return np.array(costs)


def _owned_usd(case: Case, nodes: Mapping[str, int]) -> float:
    """Yearly cost of nodes by zone, staff and link included; nothing for none."""
    if not any(nodes.values()):
        return 0.0
    return case.private_statement("", nodes, case.scenario.planner.staff_fte).usd_per_year + case.prices.link.ports_usd_per_year
