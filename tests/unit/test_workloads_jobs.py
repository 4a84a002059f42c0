"""Jobs, CronJobs and gangs in runs; the rules of batch/v1 and of all-or-nothing admission, with exact times."""

from __future__ import annotations

from typing import Any

import pytest

from models.outcome import RunResult
from models.units import MS_PER_S
from models.workload_result import WorkloadResult
from simulator.engine.recorder import NodeState
from simulator.engine.workloads.gangs import room_for
from workload_runs import IRONIC, VM, finish, opened, pool, run, scenario

JOB: dict[str, Any] = {"kind": "job", "name": "etl", "at_h": [0.5], "duration_s": 600, "start_s": 0}
CRON: dict[str, Any] = {"kind": "cronjob", "name": "report", "schedule": "*/10 * * * *", "duration_s": 900, "start_s": 0}
GANG: dict[str, Any] = {"kind": "gang", "name": "train", "members": 8, "at_h": [0.5], "duration_s": 600, "start_s": 0}


def alone(result: RunResult) -> WorkloadResult:
    (found,) = result.workloads
    return found


def times(found: WorkloadResult) -> list[tuple[float, float | None, float | None, str]]:
    return [(run.due_s, run.started_s, run.finished_s, run.outcome) for run in found.runs]


def test_completions_run_in_waves_of_the_parallelism() -> None:
    """25 pods of 600 s, ten at a time: waves end at 2400, 3000 and 3600 s; the last has five."""
    found = alone(run(scenario({**JOB, "completions": 25, "parallelism": 10}), pool(1)))
    assert times(found) == [(1800.0, 1800.0, 3600.0, "completed")]
    assert (found.pods, found.peak_pods) == (25, 10)
    assert found.pod_hours == pytest.approx(25 * 600 / 3600)


def test_a_job_runs_from_its_containers_start_not_from_its_place_on_a_node() -> None:
    """100 MiB at 100 MiB/s: the ten minutes begin one second after the node was found."""
    what = scenario(
        {**JOB, "image": {"mib": 100}}, registry={"gbit_per_s": 100 * 2**20 * 8 / 1e9}, parameters={"image_extract_mib_per_s": 1e9}
    )
    ((_, started, finished, _),) = times(alone(run(what, pool(1))))
    assert (started, finished) == (1800.0, pytest.approx(2401.0, abs=3e-3))


def test_a_lost_node_costs_an_attempt_and_its_back_off() -> None:
    """Lost at 2000 s: created again after 10 s; lost again at 2100 s: after 20 s more. The limit of one makes it fail then."""
    for limit, expected in ((6, (1800.0, 1800.0, 2720.0, "completed")), (1, (1800.0, 1800.0, 2100.0, "failed"))):
        simulation, workloads = opened(scenario({**JOB, "backoff_limit": limit}), pool(1))
        for second in (2000, 2100):
            simulation.env.run(until=second * MS_PER_S)
            simulation.supply.lose(0, 0, NodeState.DOWN, "failure")
            simulation.supply.join(0, 0)
        result = finish(simulation)
        (found,) = workloads.results({})
        assert times(found) == [expected]
        assert (found.lost, result.conservation_error < 1e-12) == (2, True)


def test_allow_lets_runs_overlap() -> None:
    """Every ten minutes a run of fifteen: two at a time."""
    found = alone(run(scenario({**CRON, "concurrency_policy": "Allow"}), pool(1), hours=1))
    assert [due for due, *_ in times(found)] == [0.0, 600.0, 1200.0, 1800.0, 2400.0, 3000.0]
    assert (found.peak_pods, found.skipped) == (2, 0)


def test_forbid_starts_the_missed_time_when_the_run_before_it_ends() -> None:
    """Runs of 900 s: 600 starts at 900 s, 1200 at 1800 s; 1800 gives way to 2400, which starts at 2700 s; 3000 is too late."""
    found = alone(run(scenario({**CRON, "concurrency_policy": "Forbid"}), pool(1), hours=1))
    assert times(found) == [
        (0.0, 0.0, 900.0, "completed"),
        (600.0, 900.0, 1800.0, "completed"),
        (1200.0, 1800.0, 2700.0, "completed"),
        (2400.0, 2700.0, None, "running"),
    ]
    assert found.peak_pods == 1
    assert found.skipped == 2


def test_a_starting_deadline_drops_what_is_too_late() -> None:
    """The time of 600 s could start at 900 s, 300 s late: dropped with a deadline of 299 s, started with 300 s."""
    for deadline, second in ((299, 1200.0), (300, 600.0)):
        found = alone(run(scenario({**CRON, "concurrency_policy": "Forbid", "starting_deadline_s": deadline}), pool(1), hours=1))
        assert times(found)[1][0] == second


def test_replace_stops_the_run_before() -> None:
    found = alone(run(scenario({**CRON, "concurrency_policy": "Replace"}), pool(1), hours=1))
    assert times(found)[:2] == [(0.0, 0.0, 600.0, "replaced"), (600.0, 600.0, 1200.0, "replaced")]
    assert len(found.runs) == 6
    assert found.peak_pods == 1


def test_doubling_the_retraining_rate_doubles_its_gpu_hours() -> None:
    """A GPU for half an hour, every six and every three hours: 2 and 4 GPU-hours a day."""
    hours = {}
    for rate, schedule in (("single", "0 */6 * * *"), ("double", "0 */3 * * *")):
        part = {**CRON, "schedule": schedule, "duration_s": 1800, "extended": {"nvidia.com/gpu": 1}, "workload_class": "ml"}
        found = alone(run(scenario(part), pool(1, shape=gpu_node(1)), hours=24))
        hours[rate] = found.extended_hours["nvidia.com/gpu"]
    assert hours == {"single": pytest.approx(2.0), "double": pytest.approx(4.0)}


def gpu_node(gpus: int) -> Any:
    from models.node import NodeShape

    return NodeShape("gpu", 64_000, 256_100, max_pods=110, extended={"nvidia.com/gpu": gpus})


def test_a_gang_starts_whole_once_all_its_members_fit() -> None:
    """Ten slots, four of them busy until 3000 s: eight members start then, at the same instant, and end together."""
    busy = {**JOB, "name": "busy", "at_h": [0.25], "duration_s": 2100, "completions": 4, "parallelism": 4}
    result = run(scenario(busy, GANG), pool(1))
    gang = result.workloads[1]
    assert times(gang) == [(1800.0, 3000.0, 3600.0, "completed")]
    assert set(gang.wait_s.tolist()) == {0.0}  # no member exists before all can run
    assert gang.peak_pods == 8


def test_two_gangs_that_would_each_take_half_run_one_after_the_other() -> None:
    """Ten slots, two gangs of eight at once: member by member each would hold five for ever."""
    other = {**GANG, "name": "train-too"}
    result = run(scenario(GANG, other), pool(1))
    assert [times(found)[0][1:] for found in result.workloads] == [(1800.0, 2400.0, "completed"), (2400.0, 3000.0, "completed")]


def test_a_smaller_gang_passes_one_that_does_not_fit_and_priority_comes_first() -> None:
    big = {**GANG, "name": "big", "members": 11}
    small = {**GANG, "name": "small", "members": 6}
    urgent = {**GANG, "name": "urgent", "members": 6, "priority": 10}
    big_, small_, urgent_ = run(scenario(big, small, urgent), pool(1)).workloads
    assert times(big_) == [(1800.0, None, None, "waiting")]
    assert times(urgent_)[0][1] == 1800.0
    assert times(small_)[0][1] == 2400.0


def test_a_gang_gives_up_after_its_timeout() -> None:
    found = alone(run(scenario({**GANG, "members": 11, "timeout_s": 900}), pool(1)))
    assert times(found) == [(1800.0, None, 2700.0, "timed_out")]


@pytest.mark.parametrize("supply", [VM, IRONIC])
def test_the_autoscaler_orders_nodes_for_the_whole_gang_and_keeps_them(supply: Any) -> None:
    """32 members need four nodes of ten slots: three are ordered at one look, none goes back while the gang waits."""
    result = run(scenario({**GANG, "members": 32}), pool(1, 6), hours=3, times=supply)
    found = alone(result)
    ((due, started, _, outcome),) = times(found)
    assert outcome == "completed"
    orders = [when for when, change, _ in result.scale_log if change > 0]
    assert len(orders) == 3
    assert len(set(orders)) == 1
    assert started is not None
    assert started - due >= result.scale_out_s["own"].max() - 5.0
    assert all(when > started * MS_PER_S for when, change, _ in result.scale_log if change < 0)


def test_a_gang_that_loses_a_node_starts_over_as_a_whole() -> None:
    simulation, workloads = opened(scenario({**GANG, "members": 12}), pool(2))
    simulation.env.run(until=2000 * MS_PER_S)
    simulation.supply.lose(0, 0, NodeState.DOWN, "failure")
    simulation.env.run(until=2100 * MS_PER_S)
    assert simulation.state.pods_on(1).size == 0
    assert room_for(simulation.state, 0) == 10
    simulation.supply.join(0, 0)
    result = finish(simulation)
    (found,) = workloads.results({})
    ((_, started, finished, outcome),) = times(found)
    assert (started, outcome, found.restarts) == (1800.0, "completed", 1)
    assert finished is not None
    assert 2700.0 <= finished <= 2705.0
    assert result.conservation_error < 1e-12
