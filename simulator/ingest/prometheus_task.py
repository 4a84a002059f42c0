"""What an import from Prometheus asks: the range by the server's clock, the step and window that its scrapes allow."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from models.errors import MetricsError, Problem
from models.units import MS_PER_H, MS_PER_S
from simulator.ingest.metric_names import DEFAULT_PRESET, Matcher, Measure, Preset, load_preset, other_resources
from simulator.ingest.prometheus_http import Server
from simulator.ingest.usage_hours import to_ms
from simulator.ingest.usage_raw import PHASE_METRIC, divisor_ms
from simulator.ingest.workload_names import Owners

SAMPLES_PER_PAGE = 250_000
DEFAULT_STEP_S = 300
DEFAULT_DAYS = 30
DEFAULT_SCRAPE_S = 60
LOOK_BACK_S = 300  # PromQL's own for gauges
SCRAPES_PER_RATE = 4  # a rate needs two samples; four intervals survive one missed scrape
SCRAPES_PER_RATE_LEAST = 2
PROBE_WINDOWS_S = (600, 3600, 6 * 3600)
PROBE_SAMPLES = 3
PROBE_POINTS = 50
CLUSTER_LABEL = "cluster"
PROBED = ("cpu_request_m", "cpu_usage_m")
CLOCK_TOLERANCE = timedelta(minutes=5)


@dataclass(frozen=True)
class Request:
    """What to import. Ends are UTC, `end` exclusive; None means the last 30 days up to the server's last whole hour."""

    start: datetime | None = None
    end: datetime | None = None
    step_s: int = DEFAULT_STEP_S
    preset: str = DEFAULT_PRESET
    select: tuple[Matcher, ...] = ()
    cluster: str = ""
    workers: int = 4
    samples_per_page: int = SAMPLES_PER_PAGE

    def __post_init__(self) -> None:
        problems = []
        if self.step_s < 1 or (MS_PER_H // MS_PER_S) % self.step_s:
            problems.append(Problem("--step", f"{self.step_s} s", "give a step that divides an hour: 15s, 30s, 1m, 5m, 15m, 1h"))
        if self.workers < 1:
            problems.append(Problem("--workers", str(self.workers), "give at least 1"))
        if self.samples_per_page < 1:
            problems.append(Problem("--samples-per-page", str(self.samples_per_page), "give at least 1"))
        if self.start and self.end and self.start >= self.end:
            problems.append(Problem("--from and --to", f"{self.start} to {self.end}", "give a start before the end"))
        if problems:
            raise MetricsError(problems)


@dataclass(frozen=True)
class Task:
    """One import under way. Without `phases` no metric says which pods are alive, and requests stand for pods."""

    server: Server
    request: Request
    preset: Preset
    start_ms: int
    end_ms: int
    owners: Owners
    step_s: int = DEFAULT_STEP_S
    window_s: int = DEFAULT_STEP_S
    look_back_s: int = 0
    phases: bool = True
    warnings: tuple[str, ...] = ()

    @property
    def job(self) -> str:
        """Name of this very import: the same source, questions and range give the same name."""
        request = self.request
        parts = (self.server.place, self.server.tenant, self.preset.model_dump_json(), self.step_s, self.window_s, self.look_back_s,
                 self.phases, list(map(str, request.select)), request.cluster, self.start_ms, self.end_ms)  # fmt: skip
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]

    def query(self, measure: Measure) -> str:
        """The PromQL of a measure in this import."""
        if not self.phases and measure.metric == PHASE_METRIC and measure == self.preset.measures.get("pods"):
            asked = self.preset.measures["cpu_request_m"]
            return self.preset.presence(asked, select=self.request.select, look_back_s=self.look_back_s)
        return self.preset.promql(
            measure, window_s=self.window_s, select=self.request.select, phases=self.phases, look_back_s=self.look_back_s
        )


def prepare(server: Server, request: Request) -> Task:
    """Fix range, step and window. Raises `MetricsError` when the server does not answer or the range is empty."""
    preset = load_preset(request.preset)
    warnings: list[str] = []
    start, end = _hours(server.now(), request, warnings)
    start_ms, end_ms = to_ms(start), to_ms(end)
    interval_s = _interval_s(server, request, preset, start_ms, end_ms)
    step_s = request.step_s
    if interval_s > max(step_s, LOOK_BACK_S):  # a finer step would find nothing between two samples
        warnings.append(f"samples lie {interval_s} s apart: the step was raised from {step_s} s to that")
        step_s = interval_s
    look_back_s = interval_s if interval_s > LOOK_BACK_S else 0
    _refuse_mixed(server, request, preset, start_ms, end_ms)
    warnings += _other_resources(server, request, preset, start_ms, end_ms)
    phases = _has_phases(server, request, preset, start_ms, end_ms, look_back_s)
    if not phases:
        warnings.append(f"no {PHASE_METRIC}: pods are those with requests, and the requests of finished pods count as well")
    window_s = _window_s(step_s, interval_s)
    return Task(server, request, preset, start_ms, end_ms, Owners(), step_s, window_s, look_back_s, phases, tuple(warnings))


def _other_resources(server: Server, request: Request, preset: Preset, start_ms: int, end_ms: int) -> list[str]:
    """Resources that pods ask for and no measure keeps: MIG profiles, other devices, huge pages."""
    asked = {one.metric: other_resources(preset, one.metric) for one in preset.measures.values() if one.of == "workload"}
    told = []
    for metric, matcher in asked.items():
        if matcher is not None:
            query = f"count by ({matcher.label}) ({metric}{{{','.join(map(str, (matcher, *request.select)))}}} > 0)"
            found = server.coarse(query, start_ms, end_ms, _coarse_ms(start_ms, end_ms))
            names = sorted({one.labels.get(matcher.label, "") for one in found} - {""})
            told += [f"{metric}: {', '.join(names)} are asked for and not kept"] if names else []
    return told


def range_ms(server: Server, request: Request) -> tuple[int, int]:
    """The whole hours of a request, in milliseconds since 1970."""
    start, end = _hours(server.now(), request, [])
    return to_ms(start), to_ms(end)


def _refuse_mixed(server: Server, request: Request, preset: Preset, start_ms: int, end_ms: int) -> None:
    """Pods of one name in several clusters would be taken for one: sums would be of both, requests of the larger."""
    measure = next((preset.measures[name] for name in PROBED if name in preset.measures), None)
    if measure is None:
        return
    label, own = preset.labels.get("cluster", CLUSTER_LABEL), preset.spelled(measure, "namespace", "pod")
    metric, coarse_ms = preset.selector(measure, request.select), _coarse_ms(start_ms, end_ms)
    apart, together = (
        server.peak(f"count(count by ({', '.join(labels)}) ({metric}))", start_ms, end_ms, coarse_ms) for labels in ((label, *own), own)
    )
    if apart > together:
        names = ", ".join(server.label_values(label, measure.metric, request.select, start_ms, end_ms))
        found = f"{apart - together:.0f} pods of the same namespace and name in several clusters ({names})"
        mend = f"""give --clusters-by {label} to keep them apart, or one of them with --select '{label}="NAME"' --cluster NAME"""
        raise MetricsError(Problem(server.place, found, mend))


def _hours(now: datetime, request: Request, warnings: list[str]) -> tuple[datetime, datetime]:
    """Whole hours, by the server's clock where the request leaves them open."""
    end = request.end or _floor_hour(now)
    start = request.start or end - timedelta(days=DEFAULT_DAYS)
    if end > now + CLOCK_TOLERANCE:
        warnings.append(
            f"the range ends at {end:%Y-%m-%dT%H:%MZ}, after the server's clock ({now:%Y-%m-%dT%H:%MZ}): what is missing is a gap"
        )
    first, last = _floor_hour(start), _floor_hour(end + timedelta(hours=1) - timedelta(microseconds=1))
    if (first, last) != (start, end):
        warnings.append(f"the range was widened to whole hours: {first:%Y-%m-%dT%H:%MZ} to {last:%Y-%m-%dT%H:%MZ}")
    if first >= last:
        raise MetricsError(Problem("--from and --to", f"{start} to {end}", "give a start before the end"))
    return first, last


def _floor_hour(when: datetime) -> datetime:
    return when.replace(minute=0, second=0, microsecond=0)


def _coarse_ms(start_ms: int, end_ms: int) -> int:
    """A step of whole hours that lays at most `PROBE_POINTS` points over the range."""
    return -(-(end_ms - start_ms) // (PROBE_POINTS * MS_PER_H)) * MS_PER_H


def _interval_s(server: Server, request: Request, preset: Preset, start_ms: int, end_ms: int) -> int:
    """Seconds between two samples of a series: the longest of the probed metrics, as a divisor of the hour."""
    found: list[int] = []
    for measure in (preset.measures[name] for name in PROBED if name in preset.measures):
        for window_s in PROBE_WINDOWS_S:
            query = f"max(count_over_time({preset.selector(measure, request.select)}[{window_s}s]))"
            most = server.peak(query, start_ms, end_ms, _coarse_ms(start_ms, end_ms))
            if most >= PROBE_SAMPLES:
                found.append(divisor_ms(window_s / (most - 1) * MS_PER_S) // MS_PER_S)
                break
    return max(found, default=DEFAULT_SCRAPE_S)


def _window_s(step_s: int, interval_s: int) -> int:
    """Seconds over which counters become a rate: the step, but enough scrapes for a rate."""
    return max(step_s, min(SCRAPES_PER_RATE * interval_s, LOOK_BACK_S), SCRAPES_PER_RATE_LEAST * interval_s)


def _has_phases(server: Server, request: Request, preset: Preset, start_ms: int, end_ms: int, look_back_s: int) -> bool:
    """Whether the phase metric that the preset relies on exists in the range."""
    if not any(one.live or one.metric == PHASE_METRIC for one in preset.measures.values()):
        return True
    selector = f"{PHASE_METRIC}{{{','.join(map(str, request.select))}}}"
    query = f"count(last_over_time({selector}[{look_back_s}s]))" if look_back_s else f"count({selector})"
    return server.peak(query, start_ms, end_ms, _coarse_ms(start_ms, end_ms)) > 0
