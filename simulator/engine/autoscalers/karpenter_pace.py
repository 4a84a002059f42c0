"""Every time and pace of a Karpenter replay in one place, each with its source.

The constants are the real program's own (kubernetes-sigs/karpenter at 1.14); `Pace` and `LATENCIES` hold what no constant
gives, measured in the logs of the real Karpenter, its kwok provider, kube-scheduler and API server on two cores. The
windows of batching (1 s idle, 10 s at most) and consolidateAfter come from the input.
"""

from __future__ import annotations

from dataclasses import dataclass

from models.units import MS_PER_S
from simulator.engine.autoscalers.replay_rows import Latencies

POLL_MS = 10 * MS_PER_S
"""Between looks of the disruption controller (disruption/controller.go, pollingPeriod)."""

VALIDATE_MS = 15 * MS_PER_S
"""Between a command and its validation (disruption/consolidation.go, commandValidationDelay)."""

LEAST_NOMINATED_MS = 10 * MS_PER_S
"""A node is kept for pods it was chosen for as long as two of the longest batches, this at least (state/cluster.go)."""

POD_EVENT_MS = 10 * MS_PER_S
"""Pod events of a node are noted at most this often (nodeclaim/podevents, dedupeTimeout)."""

RETRY_MS = 10 * MS_PER_S
"""Pods that still wait ask again (provisioning/controller.go, PodController)."""

REGISTER_MS = MS_PER_S
"""A launched node is looked for again after this long (nodeclaim/lifecycle; never less in 340 launches)."""

WAIT_READY_MS = MS_PER_S
"""How often a replacement and a drain are looked at (disruption/queue.go and node/termination)."""

TERMINATE_MS = 5 * MS_PER_S
"""A drained node is gone at the next look of node/termination (5.0 to 5.1 s in ten removals)."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Milliseconds measured in Karpenter's own log.

    first_look : Karpenter is started just before second 0, as in the recordings; later looks follow from the first
    launch : NodeClaim created to launched
    register : beyond `REGISTER_MS`, launched to registered (60 rounds of two nodes and more: the first at 1.10 s, the
        last 0.1 s after it in the median, 0.2 s in nine of ten)
    evict, notice : taint to eviction, and a pod event to its note on the NodeClaim
    """

    first_look: int = 500
    launch: int = 30
    register: int = 70
    evict: int = 100
    notice: int = 300


PACE = Pace()

LATENCIES = Latencies(change=12, burst=24, bind=0, refuse=5, refuse_kind=1)
"""From 57 launches of three to six Deployments, 36 of them on a quiet machine. The scheduler's log: 2,500 pods placed in 0.1 ms
each, 2,500 refused by an empty cluster in 6 to 7 ms (7 to 11 beside other work), longer the more Deployments are being made.
Pods as they reach its queue, quiet: bursts of 1, 2, 4, 8 ... pods of a ReplicaSet end 24 ms apart, and Deployments created one
after the other begin 12 ms apart."""
