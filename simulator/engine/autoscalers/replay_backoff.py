"""How long kube-scheduler leaves a pod alone that it looked at while the cluster had no node at all.

Such a pod was refused by no plug-in, so no event of the cluster brings it back: it waits out the back-off for errors,
1, 2, 4 ... 10 s, and returns when the whole second of the wall clock in which that ends is over. Seen so in the API
server's audit log, within 40 ms, in five launches of nodes into an empty cluster. Source: kubernetes/kubernetes
pkg/scheduler/backend/queue/backoff_queue.go (podErrorBackoffQ, alignToWindow) with SchedulerPopFromBackoffQ, on since 1.33.
"""

from __future__ import annotations

from models.units import MS_PER_S

LONGEST_MS = 10 * MS_PER_S
"""podMaxBackoffSeconds; the first back-off is podInitialBackoffSeconds, one second."""


def back_at_ms(now_ms: int, errors: int, phase_ms: int) -> int:
    """When a pod refused at `now_ms` for the `errors`-th time in a row is looked at again.

    phase_ms : milliseconds into a second of the wall clock at time 0, 0 to 999. Refused at 0.2 s, the back-off ends at
    1.2 s, the second of the wall clock in which that lies at 1.7 s:

    >>> back_at_ms(200, 1, 300), back_at_ms(200, 2, 300)
    (1700, 2700)
    """
    ends_ms = now_ms + min(MS_PER_S << min(errors - 1, 4), LONGEST_MS)
    return ((ends_ms + phase_ms) // MS_PER_S + 1) * MS_PER_S - phase_ms
