"""Control variates for the laws of queueing: figures of other systems on the same pods whose expectation is known.

A control never looks at the engine. It is computed from the arrival and service times alone, so an engine that is one per
cent wrong gives an estimate that is one per cent wrong; what goes is the luck of the draw that both systems share.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.engine.queueing import MEAN_SERVICE_MS
from simulator.engine.trace import Trace

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """Mean and standard error of every figure."""

    mean: Floats
    error: Floats


def estimate(figures: Floats, controls: Floats | None = None, known: Floats | None = None) -> Estimate:
    """Mean over replications of `figures` [replications, figures], less what least squares ascribes to `controls`.

    The regression's intercept at the controls' `known` expectation is the estimate, its standard error that of the intercept
    with replications - controls - 1 degrees of freedom.
    """
    count = len(figures)
    if controls is None or known is None:
        return Estimate(figures.mean(axis=0), figures.std(axis=0, ddof=1) / math.sqrt(count))
    design = np.column_stack([np.ones(count), controls - known])
    coefficients = np.linalg.lstsq(design, figures, rcond=None)[0]
    left = ((figures - design @ coefficients) ** 2).sum(axis=0) / (count - design.shape[1])
    return Estimate(coefficients[0], np.sqrt(left * np.linalg.inv(design.T @ design)[0, 0]))


def waits_of_one_fast_server(trace: Trace, servers: int) -> Floats:
    """Waits of the same pods before one server `servers` times as fast (Lindley's recursion), in mean service times."""
    steps = trace.duration_ms[:-1] / servers - np.diff(trace.arrival_ms)
    work = np.concatenate([[0.0], np.cumsum(steps)])
    return np.asarray((work - np.minimum.accumulate(np.minimum(work, 0.0))) / MEAN_SERVICE_MS, np.float64)


def fast_server_expected(servers: int, load: float) -> Floats:
    """Share that waits, mean, p95 and p99 of that wait with exponential services: P(W > t) = rho exp(-(c - a) t)."""
    busy, spare = load / servers, servers - load
    return np.array([busy, busy / spare, *(math.log(busy / (1.0 - share)) / spare for share in (0.95, 0.99))])


def numbers_with_unlimited_nodes(trace: Trace) -> NDArray[np.int64]:
    """How many pods every arrival would find running if none were ever refused."""
    gone = np.searchsorted(trace.departure >> trace.shift, trace.arrival_ms)
    return np.arange(trace.pods, dtype=np.int64) - gone


def beyond(numbers: NDArray[np.int64], servers: int) -> list[float]:
    """P(N >= c), E(N - c)+ and E((N - c)+)^2."""
    over = np.maximum(numbers - servers, 0).astype(np.float64)
    return [float(np.mean(numbers >= servers)), float(over.mean()), float((over**2).mean())]


def beyond_expected(servers: int, load: float) -> Floats:
    """The same three for a Poisson number with mean `load`."""
    n = np.arange(int(load + 40 * math.sqrt(load)) + 40)
    weight = np.exp(n * math.log(load) - load - np.array([math.lgamma(k + 1.0) for k in n]))
    over = np.maximum(n - servers, 0)
    return np.array([weight[n >= servers].sum(), (over * weight).sum(), (over**2 * weight).sum()])
