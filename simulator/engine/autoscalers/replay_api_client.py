"""The API client of an autoscaler in a replay: a token bucket as client-go's, and what goes through it."""

from __future__ import annotations

from dataclasses import dataclass

from models.units import MS_PER_S

NODE_QPS, NODE_BURST = 5.0, 10
"""The kwok provider makes nodes through a client of its own, with client-go's defaults whatever the flags say."""

STATUS_CALLS = 2
"""Calls that write the status ConfigMap at the end of a loop: read and update."""

CROWDED_CALLS = 2.5
"""The same where other calls take every call that is refilled: half a call passes until its turn."""


@dataclass(slots=True)
class Tokens:
    """A token bucket as client-go's: `burst` calls at once, then `per_s` a second."""

    per_s: float
    burst: int
    full_ms: float = 0.0

    def wait_ms(self, now_ms: int) -> int:
        """Take one token; how long it takes to get it.

        >>> bucket = Tokens(per_s=5.0, burst=2)
        >>> [bucket.wait_ms(0) for _ in range(4)]
        [0, 0, 200, 400]
        """
        self.full_ms = max(self.full_ms, float(now_ms)) + MS_PER_S / self.per_s
        return max(0, round(self.full_ms - now_ms - self.burst * MS_PER_S / self.per_s))
