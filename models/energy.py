"""Electric power of nodes from how busy they are: a straight line between idle and peak (SPECpower: error up to 2.5 %)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from models.outcome import RunResult

W_PER_KW = 1000.0
POWERED = ("provisioning", "up", "cleaning")
"""States in which a server draws power; it is off before its order and while it is repaired."""


def power_w(idle_w: float, peak_w: float, busy_share: float) -> float:
    """Watts of one server, `busy_share` of its cores busy.

    Half of a host of 100 to 200 W is busy for ten minutes: 600 s x 150 W = 90,000 J (OpenDC's linear power model).

    >>> 600 * power_w(100.0, 200.0, 0.5)
    90000.0
    """
    return idle_w + (peak_w - idle_w) * busy_share


def power_by_hour_w(run: RunResult) -> NDArray[np.float64]:
    """Mean watts of every pool by hour at the wall of its servers: float64 [hours, pools]; 0 for a pool without watts.

    Servers idle while they are deployed, cleaned or without pods; requested cores count as busy, so that servers whose
    pods ask for more than they use draw less than this. One server up with half of its cores requested for an hour:
    150 + (420 - 150) / 2 = 285 W, 0.285 kWh.
    """
    from models.outcome import NODE_STATES

    idle, peak = np.array(run.node_watts, np.float64).reshape(-1, 2).T
    powered = run.node_state_h[:, :, [NODE_STATES.index(name) for name in POWERED]].sum(axis=2)
    busy_nodes = run.busy_cpu_h / np.maximum(np.asarray(run.node_cpu), 1e-9)
    return np.asarray(idle * powered + (peak - idle) * busy_nodes, np.float64)


def energy_by_hour_kwh(run: RunResult) -> NDArray[np.float64]:
    """Kilowatt-hours of every pool by hour: float64 [hours, pools]."""
    return power_by_hour_w(run) / W_PER_KW
