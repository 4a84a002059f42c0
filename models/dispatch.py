"""Dispatch: what the private nodes serve in each hour and how many AWS workers the rest needs; pure arithmetic.

Three ways to look at one fleet: nothing private, the private part filled first, or a share of the users pinned to it.
Every capacity here is already net of packing: a worker of 15,540 m at packing 0.85 holds 13,209 m.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from models.units import ceil_int

Dispatch = Literal["private_first", "pinned"]
_DUST = 1e-9


def workers_for(demand_m: NDArray[np.float64], worker_m: float) -> NDArray[np.int64]:
    """Whole AWS workers that hold the demand: ceil(demand / worker). int64 [hours]; both in millicores.

    >>> workers_for(np.array([4_000_000.0, 0.0]), 15_540 * 0.85).tolist()
    [303, 0]
    """
    _positive("worker_m", worker_m)
    return np.ceil(np.asarray(demand_m, dtype=np.float64) / worker_m - _DUST).astype(np.int64)


def private_served(demand_m: NDArray[np.float64], private_m: float, *, dispatch: Dispatch, pinned_share: float) -> NDArray[np.float64]:
    """Demand that private capacity `private_m` serves: float64 [hours], millicores.

    private_first: min(demand, private). pinned: min(pinned_share x demand, private); what pinned users ask beyond the
    capacity goes to AWS as well, so nothing is lost.

    >>> private_served(np.array([100.0, 10.0]), 60.0, dispatch="private_first", pinned_share=0.5).tolist()
    [60.0, 10.0]
    >>> private_served(np.array([100.0, 10.0]), 60.0, dispatch="pinned", pinned_share=0.5).tolist()
    [50.0, 5.0]
    """
    if private_m < 0:
        raise ValueError(f"private_m must not be negative, not {private_m}")
    if not 0.0 <= pinned_share <= 1.0:
        raise ValueError(f"pinned_share must lie in 0..1, not {pinned_share}")
    offered = np.asarray(demand_m, dtype=np.float64) * (pinned_share if dispatch == "pinned" else 1.0)
    return np.minimum(offered, private_m)


def aws_workers_left(
    demand_m: NDArray[np.float64], private_m: float, worker_m: float, *, dispatch: Dispatch, pinned_share: float = 0.5
) -> NDArray[np.int64]:
    """AWS workers that still run beside the private part: int64 [hours].

    38 nodes of 62.82 x 0.85 vCPU, 4,000 vCPU of demand, private first: ceil(1,970.914 / 13.209) = 150; pinned: 2,000 / 13.209.

    >>> peak = np.array([4_000_000.0])
    >>> private = 38 * 62_820 * 0.85
    >>> aws_workers_left(peak, private, 15_540 * 0.85, dispatch="private_first").tolist()
    [150]
    >>> aws_workers_left(peak, private, 15_540 * 0.85, dispatch="pinned").tolist()
    [152]
    """
    served = private_served(demand_m, private_m, dispatch=dispatch, pinned_share=pinned_share)
    return workers_for(demand_m - served, worker_m)


def served_share(demand_m: NDArray[np.float64], private_m: float) -> float:
    """Part of all demanded hours that private capacity serves when filled first: sum min(D, c) / sum D; 0 without demand.

    >>> served_share(np.array([10.0, 30.0]), 20.0)
    0.75
    """
    total = float(np.sum(demand_m))
    return float(np.sum(np.minimum(demand_m, private_m))) / total if total > 0 else 0.0


def nodes_for(amount_m: float, node_m: float) -> int:
    """Nodes that hold an amount, without spare: ceil(amount / node).

    >>> nodes_for(0.5 * 4_000_000, 62_820 * 0.85), nodes_for(4_000_000, 62_820 * 0.85)
    (38, 75)
    """
    _positive("node_m", node_m)
    return ceil_int(amount_m / node_m)


def nodes_for_served_share(demand_m: NDArray[np.float64], node_m: float, share: float) -> int:
    """Smallest number of nodes, filled first, that serve at least `share` of all demanded hours; without spare.

    The served share rises with every node, so a bisection between 0 and the nodes of the peak finds it.

    >>> nodes_for_served_share(np.array([10.0, 30.0]), 5.0, 0.75)
    4
    """
    _positive("node_m", node_m)
    low, high = 0, nodes_for(float(np.max(demand_m, initial=0.0)), node_m)
    while low < high:
        middle = (low + high) // 2
        if served_share(demand_m, middle * node_m) >= share - _DUST:
            high = middle
        else:
            low = middle + 1
    return low


def linear_nodes(peak_workers: float, worker_vcpu: float, node_threads: float, build_share: float) -> float:
    """The simplest reading: workers x vCPU / threads x share; no overheads, no spare.

    >>> linear_nodes(320, 16, 64, 0.5)
    40.0
    """
    return peak_workers * worker_vcpu / node_threads * build_share


def _positive(name: str, value: float) -> None:
    if value <= 0:
        raise ValueError(f"{name} must be positive, not {value}")
