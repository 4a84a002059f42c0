"""A real Prometheus, backfilled with a company whose truth is known: what comes out equals what went in (case A9)."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from models.errors import MetricsError
from models.usage import UsageHistory
from simulator.cli.usage import command
from simulator.ingest.metric_names import Matcher, load_preset
from simulator.ingest.prometheus import MAX_POINTS, import_prometheus
from simulator.ingest.prometheus_http import Access, Server
from simulator.ingest.prometheus_task import Request
from simulator.ingest.usage_hours import to_ms
from simulator.ingest.usage_store import load_usage, open_usage
from usage_company import HOURS, OUTAGE, POINTS, SCRAPE_S, START, hour, openmetrics, pods, prometheus

pytestmark = [
    pytest.mark.prometheus,
    pytest.mark.skipif(not (shutil.which("prometheus") and shutil.which("promtool")), reason="needs the Debian package prometheus"),
]
PER_HOUR = 3600 // SCRAPE_S
ROLLOUT_HOUR, OUTAGE_HOUR = 3, 5
QUIET = [h for h in range(HOURS) if h not in (ROLLOUT_HOUR, OUTAGE_HOUR)]  # hours in which no pod and no scrape goes missing
SCRAPED = [k for k in range(POINTS) if not OUTAGE.start <= k < OUTAGE.stop]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with prometheus(tmp_path_factory.mktemp("prometheus"), openmetrics(pods())) as address:
        yield address


def _import(url: str, **options: object) -> tuple[object, UsageHistory]:
    request = Request(**{"start": START, "end": hour(HOURS), "step_s": SCRAPE_S, "workers": 2, **options})
    with Server(Access(url)) as server, open_usage(None) as connection:
        imported = import_prometheus(connection, server, request)
        return imported, load_usage(connection)


@pytest.fixture(scope="module")
def imported(url: str) -> tuple[object, UsageHistory]:
    return _import(url)


def _column(history: UsageHistory, workload: str) -> int:
    return [key.workload for key in history.keys].index(workload)


def test_every_scrape_point_of_a_gauge_comes_out_bit_by_bit(url: str) -> None:
    preset = load_preset("kube-state-metrics")
    measure = preset.measures["memory_usage_mib"]
    with Server(Access(url)) as server:
        start_ms = to_ms(START)
        answer = server.range(preset.promql(measure, window_s=300), start_ms, start_ms + (POINTS - 1) * SCRAPE_S * 1000, SCRAPE_S * 1000)
    by_pod = {one.labels["pod"]: one for one in answer.series}
    assert set(by_pod) == {pod.name for pod in pods()}
    for pod in pods():
        one = by_pod[pod.name]
        point = (one.times_ms - start_ms) // (SCRAPE_S * 1000)
        alive = [k for k in SCRAPED if pod.first <= k < pod.last]
        exact = dict(zip(point.tolist(), one.values.tolist(), strict=True))
        assert [exact[k] for k in alive] == pod.memory_bytes()[alive].tolist()


def test_requests_and_pods_equal_what_went_in(imported: tuple[object, UsageHistory]) -> None:
    _, history = imported
    web, report, database = (_column(history, name) for name in ("web", "report", "db"))
    assert history.requests[0, web].tolist() == [3 * 500, 3 * 1024, 3]  # three pods of 500m and 1 GiB
    assert history.requests[4, web].tolist() == [4 * 750, 4 * 1536, 4]  # rolled out: four pods of 750m and 1.5 GiB
    assert history.requests[1, report].tolist() == [1500, 4096, 1]
    assert history.pods[2, report] == (150 - 120 + 5) / 60  # ended at minute 150; the look-back of PromQL sees it 5 minutes longer
    assert history.pods[6, report] == 0
    assert (history.requests[:, database] == [4000, 16384, 2]).all()


def test_cpu_use_is_within_one_percent_at_the_peak(imported: tuple[object, UsageHistory]) -> None:
    outcome, _ = imported
    total = np.sum([pod.cores() for pod in pods()], axis=0)
    truth = float(total[SCRAPED].max()) * 1000
    assert outcome.peaks["cpu_usage_m"] == pytest.approx(truth, rel=0.01)


def test_hourly_cpu_use_equals_the_counters_growth(url: str, imported: tuple[object, UsageHistory]) -> None:
    _, history = _import(url, step_s=3600)
    for workload in ("db", "toolbox", "web"):
        cores = np.sum([pod.cores() for pod in pods() if pod.workload == workload], axis=0).reshape(HOURS, PER_HOUR)
        for quiet in (0, 1, 2, 7):  # hours with both their first and their last scrape: the rate is the growth between them
            assert history.usage[quiet, _column(history, workload), 0] == pytest.approx(cores[quiet].mean() * 1000, rel=1e-9)


def test_memory_use_is_the_mean_of_its_points(imported: tuple[object, UsageHistory]) -> None:
    _, history = imported
    truth = np.sum([pod.memory_bytes() for pod in pods() if pod.workload == "db"], axis=0).reshape(HOURS, PER_HOUR).mean(axis=1) / 2**20
    assert history.usage[QUIET, _column(history, "db"), 1] == pytest.approx(truth[QUIET], rel=1e-12)


def test_workloads_carry_the_labels_of_their_namespace(imported: tuple[object, UsageHistory]) -> None:
    _, history = imported
    assert {(key.namespace, key.workload): dict(key.labels) for key in history.keys} == {
        ("shop", "web"): {"team": "sales", "users": "320"},
        ("shop", "toolbox"): {"team": "sales", "users": "320"},
        ("data", "db"): {"team": "platform", "users": "80"},
        ("data", "report"): {"team": "platform", "users": "80"},
    }


def test_the_silent_hour_is_a_named_gap(imported: tuple[object, UsageHistory]) -> None:
    outcome, _ = imported
    gaps = {gap.measure: gap for gap in outcome.gaps}
    request = gaps["cpu_request_m"]
    assert (request.start - START).total_seconds() == 5 * 3600 + 300  # PromQL looks back five minutes for a gauge
    assert request.end == hour(6)
    assert {"cpu_usage_m", "memory_usage_mib", "pods", "power_w", "cpu_capacity_m"} <= set(gaps)


def test_the_seven_gpu_metrics_arrive_and_an_absent_fan_is_a_warning(url: str) -> None:
    with Server(Access(url)) as server, open_usage(None) as connection:
        outcome = import_prometheus(connection, server, Request(start=START, end=hour(1), step_s=SCRAPE_S))
        row = connection.execute(
            """SELECT gpu, node, model, gpu_utilisation_percent, power_w, fan_percent, temperature_c, gpu_clock_mhz, memory_clock_mhz,
            memory_used_mib FROM gpu_usage"""
        ).fetchall()
        nodes = connection.execute("SELECT cpu_capacity_m, memory_allocatable_mib, pods_capacity FROM node_usage").fetchall()
        scalers = connection.execute("SELECT hpa, replicas_current, replicas_desired, replicas_min, replicas_max FROM hpa_usage").fetchall()
        limits = connection.execute("SELECT cpu_limit_m, memory_limit_mib, pods_pending FROM usage WHERE workload = 'db'").fetchall()
    assert row == [("GPU-1", "n1", "Tesla T4", 40.0, 55.5, None, 61.0, 1590.0, 5000.0, 2048.0)]
    assert [text for text in outcome.warnings if "fan" in text] != []
    assert nodes == [(64000.0, 256.0 * 1024, 110.0)]
    assert scalers == [("web", 3.0, 4.0, 2.0, 9.0)]
    assert limits == [(8000.0, 32768.0, 0.0)]  # twice the requests of two pods


def test_small_pages_give_the_same_hours_as_one_page(url: str, imported: tuple[object, UsageHistory]) -> None:
    paged, history = _import(url, samples_per_page=700)
    whole, expected = imported
    np.testing.assert_array_equal(history.requests, expected.requests)
    np.testing.assert_array_equal(history.usage, expected.usage)
    assert paged.gaps == whole.gaps
    assert paged.samples == whole.samples  # no point twice, none missing


def test_a_range_longer_than_the_servers_limit_is_paged(url: str) -> None:
    start_ms, step_ms = to_ms(START), 1000
    with Server(Access(url)) as server, pytest.raises(MetricsError, match="exceeded maximum resolution of 11,000 points"):
        server.range("kube_node_status_capacity", start_ms, start_ms + (MAX_POINTS + 1) * step_ms, step_ms)
    paged, _ = _import(url, step_s=1, end=hour(4), preset="kube-state-metrics", select=(Matcher.parse('namespace="data"'),))
    assert paged.samples > 4 * 3600  # 14,400 points for each series, more than the 11,000 of one answer


def test_an_interrupted_import_goes_on_where_it_stopped(url: str, tmp_path: Path, imported: tuple[object, UsageHistory]) -> None:
    class Stop(Exception):
        pass

    class StopAfter:
        def __init__(self, pages: int) -> None:
            self.left, self.total = pages, 0

        def stage(self, name: str, total: int) -> None:
            self.total = total

        def advance(self, steps: int = 1) -> None:
            self.left -= 1
            if not self.left:
                raise Stop

    request = Request(start=START, end=hour(HOURS), step_s=SCRAPE_S, workers=2, samples_per_page=700)
    store = tmp_path / "store.duckdb"
    first, second = StopAfter(9), StopAfter(10_000)
    with Server(Access(url)) as server:
        with open_usage(store) as connection, pytest.raises(Stop):
            import_prometheus(connection, server, request, first)
        with open_usage(store) as connection:
            outcome = import_prometheus(connection, server, request, second)
            left = connection.execute("SELECT (SELECT count(*) FROM usage_part) + (SELECT count(*) FROM usage_page)").fetchall()
    assert second.total == first.total - 9
    assert left == [(0,)]
    whole, expected = imported
    assert (outcome.samples, outcome.gaps, outcome.peaks) == (whole.samples, whole.gaps, whole.peaks)
    np.testing.assert_array_equal(load_usage(store).usage, expected.usage)


def test_a_second_import_replaces_the_same_hours(url: str, tmp_path: Path) -> None:
    store = tmp_path / "store.duckdb"
    request = Request(start=START, end=hour(2), step_s=300)
    with Server(Access(url)) as server, open_usage(store) as connection:
        import_prometheus(connection, server, request)
        before = connection.execute("SELECT count(*) FROM usage").fetchall()
        outcome = import_prometheus(connection, server, request)
        assert connection.execute("SELECT count(*) FROM usage").fetchall() == before
    assert any("were replaced" in text for text in outcome.warnings)


def test_a_selection_narrows_every_query(url: str) -> None:
    _, history = _import(url, end=hour(1), select=(Matcher.parse('namespace="shop"'),))
    assert {key.namespace for key in history.keys} == {"shop"}


@pytest.fixture(scope="module")
def sparse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with hourly samples of requests and counters only: no phases, no owners."""
    lines = []
    for family, kind, unit in (
        ("kube_pod_container_resource_requests", "gauge", 'resource="cpu"'),
        ("container_cpu_usage_seconds", "counter", ""),
    ):
        lines.append(f"# TYPE {family} {kind}")
        for pod, cores in (("web-6c7d8f9b5-x2v4k", 2.0), ("web-6c7d8f9b5-x2v4l", 1.0)):
            labels = ",".join(filter(None, (f'namespace="shop",pod="{pod}",container="main"', unit)))
            name = family + ("_total" if kind == "counter" else "")
            lines += [
                f"{name}{{{labels}}} {cores if kind == 'gauge' else cores / 2 * 3600 * h!r} {START.timestamp() + 3600 * h:.0f}"
                for h in range(25)
            ]
    with prometheus(tmp_path_factory.mktemp("sparse"), "\n".join([*lines, "# EOF", ""])) as address:
        yield address


def test_sparse_samples_raise_the_step_and_missing_phases_are_told(sparse: str) -> None:
    outcome, history = _import(sparse, end=hour(24), step_s=300)
    assert [key.workload for key in history.keys] == ["web"]
    assert (history.requests[:, 0, 0] == 3000).all()
    assert (history.pods[:, 0] == 2).all()
    assert history.usage[2:, 0, 0] == pytest.approx(1500)  # half of the requests, from hourly counters
    assert "samples lie 3600 s apart: the step was raised from 300 s to that" in outcome.warnings
    assert any(text.startswith("no kube_pod_status_phase: pods are those with requests") for text in outcome.warnings)


def test_an_empty_range_is_one_clear_message(url: str) -> None:
    with pytest.raises(MetricsError, match="no usage at all in 2026-04-01T00:00Z to 2026-04-02T00:00Z") as caught:
        _import(url, start=START.replace(month=4, day=1), end=START.replace(month=4, day=2), step_s=3600)
    assert len(caught.value.problems) == 1


def test_the_command_prints_the_promised_keys(url: str, tmp_path: Path) -> None:
    store = tmp_path / "case.duckdb"
    arguments = ["--prometheus", url, "--from", "2026-03-02", "--to", "2026-03-02T08:00Z", "--step", "1m", "--store", str(store), "--json"]
    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    document = json.loads(result.stdout)
    assert {"series", "samples", "from", "to", "gaps"} <= set(document)
    assert (document["from"], document["to"]) == ("2026-03-02T00:00:00Z", "2026-03-02T08:00:00Z")
    assert document["source"] == url
    assert len(load_usage(store).keys) == 4
