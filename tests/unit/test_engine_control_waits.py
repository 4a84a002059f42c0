"""Waiting budgets before bursting: Starburst's policies by class, cost-aware waiting, users pinned to a side."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from control_runs import MINUTE, burst, owned, run
from models.control import WaitPart
from models.outcome import RunResult
from models.units import MS_PER_H
from simulator.engine.trace import PodShape, Trace, trace_of

SCAN_S = 10


def blocked(run_minutes: float, **shape: object) -> Trace:
    """A job holds the only owned node for the whole run; a second one of two cores comes at minute 1."""
    kinds = [PodShape(4000, 4096, workload_class="service", fixed_end=True), PodShape(2000, 2048, **{"workload_class": "batch", **shape})]  # type: ignore[arg-type]
    duration = np.array([11 * MS_PER_H, round(run_minutes * MINUTE)])
    return trace_of(kinds, 10, np.array([0, MINUTE]), duration, np.array([0, 1]))


def wait_s(trace: Trace, part: WaitPart | None, usd: float | None = None, autoscaler: str = "grid") -> float:
    """Seconds that the second pod waited, -1 when it never ran; nodes are there at once."""
    wait = {} if part is None else {trace.shapes[1].workload_class: part}
    result = run(trace, [owned("own", 4, 1), burst("aws", 4, 5, usd)], autoscaler, wait=wait)
    return float(result.wait_ms[1]) / 1000.0 if result.wait_ms[1] >= 0 else -1.0


@pytest.mark.parametrize(
    ("policy", "factor", "hours"),
    [
        ("zero", 0.0, 0.0),
        ("constant", 0.5, 0.5),  # half an hour
        ("runtime", 1.25, 0.5),  # a quarter of the run time of two hours
        ("size", 0.2, 0.4),  # 0.2 h for each of two cores
        ("cost", 0.1, 0.4),  # 0.1 h for each of 2 x 2 core-hours
        ("never", 0.0, None),
    ],
)
@pytest.mark.parametrize("autoscaler", ["grid", "karpenter", "cluster_autoscaler"])
def test_a_job_bursts_when_its_budget_is_spent(policy: str, factor: float, hours: float | None, autoscaler: str) -> None:
    waited = wait_s(blocked(120), WaitPart(policy=policy, factor=factor), autoscaler=autoscaler)  # type: ignore[arg-type]
    if hours is None:
        assert waited == -1.0
    else:
        assert 0.0 <= waited - hours * 3600.0 <= SCAN_S + 1


def test_cost_aware_waits_until_the_delay_has_cost_what_the_burst_costs() -> None:
    """Half of a node of 0.40 USD an hour for two hours is 0.40 USD; at 0.80 USD of delay an hour that is half an hour."""
    part = WaitPart(policy="cost_aware", factor=0.8)
    assert wait_s(blocked(120), part, usd=0.4) == pytest.approx(1800.0, abs=SCAN_S)
    assert wait_s(blocked(120), WaitPart(policy="cost_aware", factor=8.0), usd=0.4) == pytest.approx(180.0, abs=SCAN_S)
    assert wait_s(blocked(120), WaitPart(policy="cost_aware", factor=0.0), usd=0.4) == -1.0


def test_a_replica_bursts_only_if_its_delay_costs_more_than_the_cloud() -> None:
    """Half of a node of 0.40 USD: 0.20 USD an hour. A delay of 0.25 is worth it, one of 0.15 never."""
    replica = blocked(120, workload_class="ml", fixed_end=True)
    assert 0.0 <= wait_s(replica, WaitPart(policy="cost_aware", factor=0.25), usd=0.4) <= SCAN_S
    assert wait_s(replica, WaitPart(policy="cost_aware", factor=0.15), usd=0.4) == -1.0


def test_services_burst_at_once_while_batch_waits() -> None:
    """Both come at minute 1 with the owned node full; only the batch job has a budget of 20 minutes.

    The service ranks higher, so the node that was ordered for it is not taken by the job.
    """
    full = PodShape(4000, 4096, fixed_end=True)
    kinds = [full, PodShape(4000, 4096, workload_class="batch"), replace(full, priority=1)]
    trace = trace_of(kinds, 6, np.array([0, MINUTE, MINUTE]), np.full(3, 5 * MS_PER_H), np.array([0, 1, 2]))
    result = run(trace, [owned("own", 4, 1), burst("aws", 4, 5)], "grid", wait={"batch": WaitPart(policy="constant", factor=1 / 3)})
    assert 0 <= result.wait_ms[2] <= 1000 * SCAN_S
    assert 0 <= result.wait_ms[1] - 20 * MINUTE <= 1000 * SCAN_S


def test_a_longer_budget_never_needs_more_burst_and_never_less_waiting() -> None:
    rng = np.random.default_rng(5)
    arrival = np.sort(rng.integers(0, 5 * MS_PER_H, 300))
    trace = trace_of([PodShape(1000, 1024, workload_class="batch")], 6, arrival, np.full(300, 10 * MINUTE), np.zeros(300, np.int64))

    def outcome(hours: float) -> RunResult:
        return run(trace, [owned("own", 4, 2), burst("aws", 4, 50)], "grid", wait={"batch": WaitPart(policy="constant", factor=hours)})

    short, long = outcome(0.0), outcome(0.5)
    assert long.burst_node_hours < short.burst_node_hours
    assert long.wait_ms.mean() > short.wait_ms.mean()


def test_owned_room_that_frees_up_within_the_budget_saves_the_burst() -> None:
    """The blocker ends at minute 20; a budget of 30 minutes outlasts it."""
    kinds = [PodShape(4000, 4096, fixed_end=True), PodShape(4000, 4096, workload_class="batch")]
    trace = trace_of(kinds, 3, np.array([0, MINUTE]), np.array([20 * MINUTE, 30 * MINUTE]), np.array([0, 1]))
    result = run(trace, [owned("own", 4, 1), burst("aws", 4, 5)], "karpenter", wait={"batch": WaitPart(policy="constant", factor=0.5)})
    assert result.wait_ms.tolist() == [0, 19 * MINUTE]
    assert result.scale_log == ()


def test_pinned_users_never_cross_whatever_the_autoscaler_does() -> None:
    for home, pool in (("private", 0), ("burst", 1)):
        trace = trace_of([PodShape(1000, 1024, home=home)], 3, np.full(12, MINUTE), np.full(12, MS_PER_H), np.zeros(12, np.int64))  # type: ignore[arg-type]
        result = run(trace, [owned("own", 4, 2), burst("aws", 4, 5)], "karpenter", consolidates=True)
        assert result.busy_cpu_h[:, 1 - pool].sum() == 0.0
        assert result.busy_cpu_h[:, pool].sum() > 7.0


def test_a_run_time_factor_below_one_is_refused() -> None:
    with pytest.raises(ValidationError, match="at least 1"):
        WaitPart(policy="runtime", factor=0.5)
