"""How far replays lie from recorded runs of the real autoscalers: distance in nodes, node-seconds, mean price.

Distance of two runs: mean over samples of the sum over groups of the difference in nodes. Our seeded runs agree with
real ones when they are, on average, no farther from them than 1.5 times the real runs' own mean distance plus 0.25 node,
and every real run's node-seconds per group lie within the range of our seeds widened by 5 %.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

FACTOR = 1.5
ALLOWANCE_NODES = 0.25
WIDENING = 0.05
STATES = ("bound", "running", "pending", "second")


@dataclass(frozen=True, slots=True)
class Agreement:
    """`ours` and `real` are mean distances in nodes; `node_seconds`: group -> (real values, our least, our most)."""

    ours: float
    real: float
    node_seconds: Mapping[str, tuple[tuple[float, ...], float, float]]

    @property
    def limit(self) -> float:
        """Largest distance that still agrees."""
        return FACTOR * self.real + ALLOWANCE_NODES

    @property
    def outside(self) -> tuple[str, ...]:
        """Groups with a real run outside our widened range."""
        return tuple(
            group
            for group, (real, low, high) in self.node_seconds.items()
            if any(not low * (1 - WIDENING) <= value <= high * (1 + WIDENING) for value in real)
        )

    @property
    def holds(self) -> bool:
        """Whether both rules hold."""
        return self.ours <= self.limit and not self.outside


def groups_of(samples: Mapping[str, Any]) -> tuple[str, ...]:
    """Columns that count nodes."""
    return tuple(name for name in samples["columns"] if name not in STATES)


def series(samples: Mapping[str, Any], groups: Sequence[str], times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Nodes of each group at `times`, each sample holding until the next: float64 [times, groups]."""
    rows = np.array(samples["rows"], dtype=np.float64)
    at = np.maximum(np.searchsorted(rows[:, 0], times + 1e-9, side="right") - 1, 0)
    columns = list(samples["columns"])
    picked = [rows[at, columns.index(name)] if name in columns else np.zeros(len(times)) for name in groups]
    return np.stack(picked, axis=1)


def distance(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Mean over samples of the summed differences.

    >>> distance(np.array([[1.0, 2.0], [3.0, 0.0]]), np.array([[1.0, 0.0], [2.0, 0.0]]))
    1.5
    """
    return float(np.abs(one - other).sum(axis=1).mean())


def agreement(real: Sequence[Mapping[str, Any]], ours: Sequence[Mapping[str, Any]]) -> Agreement:
    """Compare `samples` of real runs with `samples` of ours, on the real runs' half seconds."""
    groups = tuple(dict.fromkeys(group for samples in (*ours, *real) for group in groups_of(samples)))
    end = min(float(samples["rows"][-1][0]) for samples in (*real, *ours))
    times = np.arange(0.0, end + 0.25, 0.5)
    theirs = [series(samples, groups, times) for samples in real]
    mine = [series(samples, groups, times) for samples in ours]
    between = [distance(a, b) for a, b in combinations(theirs, 2)]
    across = [distance(a, b) for a in theirs for b in mine]
    seconds = np.stack([run.sum(axis=0) * 0.5 for run in mine])
    spans = {
        group: (tuple(float(run[:, at].sum() * 0.5) for run in theirs), float(seconds[:, at].min()), float(seconds[:, at].max()))
        for at, group in enumerate(groups)
    }
    return Agreement(float(np.mean(across)), float(np.mean(between)) if between else 0.0, spans)
