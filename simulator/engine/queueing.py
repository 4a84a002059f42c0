"""Closed forms of queueing theory that the engine must reproduce, and the random traces that ask it to.

Loads are in erlangs (arrival rate times mean service time); times are in units of the mean service time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from simulator.engine.trace import PodShape, Trace, trace_of

MEAN_SERVICE_MS = 360_000
"""Mean service time of the traces made here: long in milliseconds, short in hours."""


def erlang_b(servers: int, load: float) -> float:
    """Probability that an arrival finds all servers busy and is lost (here: bursts to the cloud).

    >>> round(erlang_b(10, 8), 8), round(erlang_b(100, 90), 8)
    (0.12166106, 0.02695738)
    """
    blocked = 1.0
    for n in range(1, servers + 1):
        blocked = load * blocked / (n + load * blocked)
    return blocked


def erlang_c(servers: int, load: float) -> float:
    """Probability that an arrival waits when nobody is lost.

    >>> round(erlang_c(5, 4), 8), round(erlang_c(40, 36), 8)
    (0.55411255, 0.41156248)
    """
    blocked = erlang_b(servers, load)
    return servers * blocked / (servers - load * (1.0 - blocked))


def wait_quantile(servers: int, load: float, share: float) -> float:
    """Waiting time that `share` of arrivals do not exceed: ln(C / (1 - p)) / (c - a).

    >>> round(wait_quantile(10, 8, 0.95), 5), round(wait_quantile(40, 36, 0.99), 5)
    (1.05107, 0.92934)
    """
    return math.log(erlang_c(servers, load) / (1.0 - share)) / (servers - load)


def overflow_moments(servers: int, load: float) -> tuple[float, float]:
    """Mean and variance of the burst load behind `servers` (Wilkinson).

    >>> tuple(round(x, 6) for x in overflow_moments(10, 8))
    (0.973289, 1.985661)
    """
    mean = load * erlang_b(servers, load)
    return mean, mean * (1.0 - mean + load / (servers + 1.0 + mean - load))


def pollaczek_khinchine(load: float, squared_variation: float) -> float:
    """Mean number waiting before one server with general service.

    >>> [round(pollaczek_khinchine(0.8, cv2), 6) for cv2 in (0, 1, 4)]
    [1.6, 3.2, 8.0]
    """
    return load**2 * (1.0 + squared_variation) / (2.0 * (1.0 - load))


def kaufman_roberts(capacity: int, loads: Sequence[float], sizes: Sequence[int]) -> tuple[list[float], float]:
    """Blocking of every class and mean busy capacity when classes of several sizes share one pool.

    >>> blocked, busy = kaufman_roberts(20, (5, 2), (1, 4))
    >>> [round(b, 8) for b in blocked], round(busy, 6)
    ([0.03256534, 0.16565113], 11.511964)
    """
    weight = [1.0] + [0.0] * capacity
    for n in range(1, capacity + 1):
        weight[n] = sum(a * b * weight[n - b] for a, b in zip(loads, sizes, strict=True) if n >= b) / n
    total = math.fsum(weight)
    blocked = [math.fsum(weight[capacity - b + 1 :]) / total for b in sizes]
    return blocked, math.fsum(n * w for n, w in enumerate(weight)) / total


def random_trace(
    rng: np.random.Generator,
    pods: int,
    loads: Sequence[float],
    shapes: Sequence[PodShape],
    service: Literal["exponential", "constant", "hyperexponential"] = "exponential",
) -> Trace:
    """Poisson arrivals of `pods` in total, class k with load `loads[k]`; service times of mean `MEAN_SERVICE_MS`.

    "hyperexponential" has squared variation 4 with balanced means: two phases, p = (1 + sqrt(3/5)) / 2.
    """
    rate = math.fsum(loads) / MEAN_SERVICE_MS
    arrival = np.cumsum(rng.exponential(1.0 / rate, pods))
    shape = np.zeros(pods, np.int64) if len(loads) == 1 else rng.choice(len(loads), pods, p=np.asarray(loads) / math.fsum(loads))
    duration = np.maximum(np.rint(_service(rng, pods, service) * MEAN_SERVICE_MS), 1).astype(np.int64)
    hours = int(arrival[-1] // 3_600_000) + 1
    return trace_of(shapes, hours, arrival.astype(np.int64), duration, shape)


def _service(rng: np.random.Generator, pods: int, service: str) -> NDArray[np.float64]:
    if service == "constant":
        return np.ones(pods)
    times = rng.standard_exponential(pods)
    if service == "exponential":
        return times
    fast = (1.0 + math.sqrt(0.6)) / 2.0
    return np.where(rng.random(pods) < fast, times / (2.0 * fast), times / (2.0 * (1.0 - fast)))
