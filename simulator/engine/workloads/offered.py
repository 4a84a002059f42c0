"""How many workspaces exist at once: the Mt/G/inf law of sessions that never wait for each other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.scenario_workloads import SessionsPart
from models.units import MS_PER_S
from simulator.engine.workloads.curve import QUARTER_MS, Steps

Z95 = 1.6448536269514722
"""Standard normal quantile of 0.95."""


def expected_sessions(part: SessionsPart, arrivals: Steps, hours: int) -> NDArray[np.float64]:
    """Workspaces that exist at once, exceeded in one hour of twenty: float64 [hours].

    Their number is Poisson with mean m(t) = sum of arrivals x P(stays longer), the Mt/G/inf law; its 95 % quantile is close to
    m + 1.645 sqrt(m). Arrivals are taken by quarter hours.
    """
    quarters = hours * 4
    rate = np.array([arrivals.at(q * QUARTER_MS) for q in range(quarters)]) / 4.0
    age_s = (np.arange(quarters) + 0.5) * (QUARTER_MS / MS_PER_S)
    stays = np.where(age_s <= part.idle_s, 1.0, np.exp(-(age_s - part.idle_s) / part.active_s))
    mean = np.convolve(rate, stays)[:quarters].reshape(hours, 4).max(axis=1)
    return np.asarray(np.ceil(mean + Z95 * np.sqrt(mean)))
