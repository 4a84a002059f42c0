"""A link shared fairly by every transfer on it: fluid processor sharing, exact in continuous time.

All transfers advance at the same rate, min(most per transfer, capacity / transfers). So one number, the amount that a transfer
present all along would have received, orders the ends: a transfer is over when that number has grown by its size.
"""

from __future__ import annotations

import heapq

DUST = 1e-9


class FairLink:
    """`capacity` and `most_each` in amount per second (MiB/s for images); times in seconds, never going back."""

    def __init__(self, capacity: float, most_each: float | None = None) -> None:
        self._capacity, self._most = capacity, capacity if most_each is None else min(most_each, capacity)
        self._heap: list[tuple[float, int]] = []
        self._ends: dict[int, float] = {}
        self._level = 0.0
        self._now = 0.0

    @property
    def rate(self) -> float:
        """What every transfer gets now."""
        return min(self._most, self._capacity / len(self._ends)) if self._ends else 0.0

    def start(self, number: int, size: float, now: float) -> None:
        """Transfer `number` begins. Call `finished(now)` before, so that ends up to `now` are known."""
        self._to(now)
        self._ends[number] = self._level + size
        heapq.heappush(self._heap, (self._level + size, number))

    def cancel(self, number: int, now: float) -> None:
        """Transfer `number` is given up; the others speed up."""
        self._to(now)
        del self._ends[number]

    def next_end(self) -> float | None:
        """When the next transfer ends if nothing changes; None without transfers."""
        self._drop_cancelled()
        return self._now + max(0.0, self._heap[0][0] - self._level) / self.rate if self._heap else None

    def finished(self, now: float) -> list[int]:
        """Transfers over by `now`, in order of their ends, then numbers."""
        over = []
        while (end := self.next_end()) is not None and end <= now + DUST:
            self._to(max(end, self._now))
            over.append(heapq.heappop(self._heap)[1])
            self._level = max(self._level, self._ends.pop(over[-1]))
        self._to(now)
        return over

    def _to(self, now: float) -> None:
        self._level += self.rate * max(0.0, now - self._now)
        self._now = max(self._now, now)

    def _drop_cancelled(self) -> None:
        while self._heap and self._ends.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
