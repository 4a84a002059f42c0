"""Starburst's own synthetic case (USENIX ATC 2024, repository at 39a380a): cloud GPU-hours, waits and utilisation, 6 digits."""

from __future__ import annotations

import numpy as np
import pytest

from models.errors import MetricsError
from simulator.engine.budget import Jobs, budgets, run_with_budget

USD_PER_GPU_H = 2.5


def published_jobs(count: int = 500) -> Jobs:
    """Legacy numpy stream of seed 13: gamma(1) gaps at 16 jobs an hour, exponential hours, sizes 1, 2, 4, 8."""
    stream = np.random.RandomState(13)
    gaps = [stream.gamma(shape=1.0, scale=1 / 16.0) for _ in range(count - 1)]
    arrival = np.cumsum(np.insert(np.array(gaps), 0, 0.0))
    run = stream.exponential(scale=1.0, size=count)
    sizes = [stream.choice([1, 2, 4, 8], p=[0.7, 0.15, 0.1, 0.05]) for _ in range(count)]
    return Jobs(arrival, run, np.array(sizes, dtype=np.int64))


@pytest.mark.parametrize(
    ("policy", "hours", "cloud_gpu_h", "wait_h", "utilisation"),
    [("zero", 0.0, 304.271450, 0.0, 0.677440), ("constant", 0.24362703932129168, 282.220546, 0.0516294, 0.698986)],
)
def test_the_published_case_comes_out_to_six_digits(policy, hours: float, cloud_gpu_h: float, wait_h: float, utilisation: float) -> None:
    jobs = published_jobs()
    found = run_with_budget(jobs, budgets(policy, hours, jobs), nodes=4, gpus_per_node=8)
    assert found.cloud_gpu_h == pytest.approx(cloud_gpu_h, abs=5e-7)
    assert found.mean_wait_h == pytest.approx(wait_h, abs=5e-8)
    assert found.utilisation == pytest.approx(utilisation, abs=5e-7)


def test_more_patience_never_starts_a_job_before_it_arrives_and_frees_every_gpu() -> None:
    jobs = published_jobs()
    for policy, factor in (("runtime", 1.25), ("size", 0.1), ("cost", 0.1), ("never", 0.0)):
        found = run_with_budget(jobs, budgets(policy, factor, jobs), nodes=4, gpus_per_node=8)  # type: ignore[arg-type]
        assert np.all(found.start_h >= jobs.arrival_h)
        for node in range(4):
            mine = found.node == node
            moments = np.concatenate([found.start_h[mine], (found.start_h + jobs.run_h)[mine]])
            change = np.concatenate([jobs.gpus[mine], -jobs.gpus[mine]])[np.lexsort((np.repeat([1, 0], mine.sum()), moments))]
            assert np.cumsum(change).max() <= 8
    assert found.cloud_gpu_h == 0.0


def test_jobs_that_can_never_run_are_refused() -> None:
    jobs = Jobs(np.array([1.0, 0.0]), np.ones(2), np.array([16, 1]))
    with pytest.raises(MetricsError) as caught:
        run_with_budget(jobs, budgets("never", 0.0, jobs), nodes=4, gpus_per_node=8)
    assert len(caught.value.problems) == 2
