"""The Prometheus client against faults: each gives one clear message, none a traceback, and no secret is told."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from models.errors import MetricsError
from simulator.ingest.prometheus import import_prometheus
from simulator.ingest.prometheus_http import BACKOFF_S, Access, Server
from simulator.ingest.prometheus_task import Request
from simulator.ingest.usage_store import open_usage

NOW = 1772496000  # 2026-03-03T00:00:00Z
URL = "http://prometheus.example:9090"


def _answer(data: object, **more: object) -> httpx.Response:
    return httpx.Response(200, json={"status": "success", "data": data, **more})


def _time(request: httpx.Request) -> httpx.Response | None:
    if request.url.params.get("query") == "time()":
        return _answer({"resultType": "scalar", "result": [NOW, str(NOW)]})
    return None


def _server(answer: Callable[[httpx.Request], httpx.Response], waits: list[float] | None = None, **access: object) -> Server:
    waited = waits if waits is not None else []
    return Server(Access(URL, **access), sleep=waited.append, transport=httpx.MockTransport(answer))


def _one_problem(server: Server) -> str:
    with pytest.raises(MetricsError) as caught, server:
        server.range("up", 0, 60_000, 60_000)
    assert len(caught.value.problems) == 1
    return str(caught.value)


@pytest.mark.parametrize(
    ("response", "said"),
    [
        (httpx.Response(401), "401 Unauthorized; give a bearer token"),
        (httpx.Response(403), "403 Forbidden; this account may not read here"),
        (httpx.Response(404, text="404 page not found"), "404 Not Found; the URL must be where /api/v1 begins"),
        (
            httpx.Response(422, json={"status": "error", "errorType": "execution", "error": "too many samples"}),
            "execution: too many samples",
        ),
        (httpx.Response(400, json={"status": "error", "errorType": "bad_data", "error": "parse error"}), "bad_data: parse error"),
        (httpx.Response(302, headers={"Location": "https://login.example"}), "often a login page"),
        (httpx.Response(200, html="<html>welcome</html>"), "a web page where the Prometheus API answers JSON"),
        (httpx.Response(200, text="[]"), "an answer that cannot be read"),
        (httpx.Response(200, text=""), "an answer that cannot be read"),
    ],
)
def test_an_answer_that_is_no_data_is_explained_without_retry(response: httpx.Response, said: str) -> None:
    waits: list[float] = []
    assert said in _one_problem(_server(lambda _: response, waits))
    assert waits == []


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_overload_is_retried_on_a_fixed_schedule_and_then_told(status: int) -> None:
    waits: list[float] = []
    assert f"status {status}" in _one_problem(_server(lambda _: httpx.Response(status), waits))
    assert waits == list(BACKOFF_S) == [0.5, 1, 2, 4, 8]


def test_the_servers_own_retry_after_is_kept_within_reason() -> None:
    waits: list[float] = []
    _one_problem(_server(lambda _: httpx.Response(429, headers={"Retry-After": "3600"}), waits))
    assert waits == [60.0] * len(BACKOFF_S)


def test_a_passing_fault_does_not_end_the_import() -> None:
    empty = _answer({"resultType": "matrix", "result": []})
    answers = iter([httpx.Response(503), httpx.ReadTimeout("slow"), httpx.ConnectError("refused"), empty])

    def answer(_: httpx.Request) -> httpx.Response:
        found = next(answers)
        if isinstance(found, Exception):
            raise found
        return found

    waits: list[float] = []
    with _server(answer, waits) as server:
        assert server.range("up", 0, 60_000, 60_000).series == ()
    assert waits == [0.5, 1, 2]


def _raising(error: Exception) -> Callable[[httpx.Request], httpx.Response]:
    def answer(_: httpx.Request) -> httpx.Response:
        raise error

    return answer


def test_a_slow_server_is_named_as_slow() -> None:
    assert "no answer within 7 s; raise --timeout" in _one_problem(_server(_raising(httpx.ReadTimeout("")), timeout_s=7.0))


def test_a_dead_server_fails_at_once_with_one_message() -> None:
    waits: list[float] = []
    with pytest.raises(MetricsError, match="no server") as caught, _server(_raising(httpx.ConnectError("refused")), waits) as server:
        server.now()
    assert (len(caught.value.problems), waits) == (1, [])


def test_a_certificate_that_is_not_trusted_points_to_ca() -> None:
    error = httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed certificate")
    assert "--ca FILE" in _one_problem(_server(_raising(error)))


def test_a_partial_answer_is_refused_and_a_remark_is_kept() -> None:
    empty = {"resultType": "matrix", "result": []}
    missing = _server(lambda _: _answer(empty, warnings=["store-3 unavailable"]))
    assert "a partial answer to up: store-3 unavailable" in _one_problem(missing)
    with _server(lambda _: _answer(empty, warnings=["PromQL warning: bucket"], infos=["PromQL info: no counter"])) as server:
        answer = server.range("up", 0, 60_000, 60_000)
    assert (answer.warnings, answer.infos) == (("PromQL warning: bucket",), ("PromQL info: no counter",))


def test_headers_carry_token_and_tenant_and_messages_do_not() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(401)

    text = _one_problem(_server(answer, token="s3cret", tenant="team-a"))
    assert seen[0].headers["Authorization"] == "Bearer s3cret"
    assert seen[0].headers["X-Scope-OrgID"] == "team-a"
    assert "s3cret" not in text + repr(Access(URL, token="s3cret"))


@pytest.mark.parametrize("access", [{"user": "ann", "password": "pw"}, {}])
def test_basic_authentication_by_option_or_url_stays_out_of_messages(access: dict[str, str]) -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(403)

    url = URL if access else "http://ann:pw@prometheus.example:9090"
    server = Server(Access(url, **access), sleep=lambda _: None, transport=httpx.MockTransport(answer))
    text = _one_problem(server)
    assert seen[0].headers["Authorization"] == "Basic " + base64.b64encode(b"ann:pw").decode()
    assert "pw" not in text


@pytest.mark.parametrize("url", ["prometheus:9090", "ftp://host", "http://", "", "http://h\n"])
def test_a_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(MetricsError, match="--prometheus: found a URL"):
        Server(Access(url))


def test_a_ca_file_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nonsense")
    with pytest.raises(MetricsError, match="give a PEM file with --ca"):
        Server(Access("https://host", ca=tmp_path / "ca.pem"))


def _import(answer: Callable[[httpx.Request], httpx.Response], **options: object) -> object:
    start = datetime(2026, 3, 2, tzinfo=UTC)
    request = Request(**{"start": start, "end": start.replace(hour=1), "step_s": 3600, "workers": 1, **options})
    with _server(lambda r: _time(r) or answer(r)) as server, open_usage(None) as connection:
        return import_prometheus(connection, server, request)


def _matrix(points: Sequence[tuple[float, str]], labels: dict[str, str] | None = None) -> httpx.Response:
    metric = labels or {"namespace": "a", "pod": "web-0"}
    return _answer({"resultType": "matrix", "result": [{"metric": metric, "values": [list(p) for p in points]}]})


def _pages(points: Sequence[tuple[float, str]], labels: dict[str, str] | None = None) -> Callable[[httpx.Request], httpx.Response]:
    """Counts answer one series, label queries nothing, every page the given points."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/series"):
            return _answer([])
        if request.url.params["query"].startswith("count("):
            return _matrix([(NOW - 86400, "1")])
        return _matrix(points, labels)

    return answer


def test_samples_that_were_not_asked_for_show_a_skewed_clock() -> None:
    with pytest.raises(MetricsError, match=r"a sample at 2026-03-02T00:00:07\+00:00, which was not asked for.*check the clocks"):
        _import(_pages([(NOW - 86400 + 7, "1")]))


def _at(request: httpx.Request) -> int:
    """First point of a page of 2026-03-02T00:00Z: a rate stands at the end of its hour."""
    return NOW - 86400 + (3600 if "rate(" in request.url.params.get("query", "") else 0)


def test_values_that_cannot_be_are_left_out_and_counted() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        query = request.url.params.get("query", "")
        return _pages([(_at(request), "2" if "phase=" in query and "resource" not in query else "NaN")])(request)

    outcome = _import(answer)
    assert "cpu_request_m: 1 samples are NaN, infinite or negative and were left out" in outcome.warnings


def test_series_without_a_pod_label_are_told() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        labels = {"namespace": "a"} if "working_set" in request.url.params.get("query", "") else None
        return _pages([(_at(request), "2")], labels)(request)

    outcome = _import(answer)
    expected = "container_memory_working_set_bytes: series without pod were left out; check the preset's label scheme"
    assert expected in outcome.warnings


def test_a_range_beyond_the_servers_clock_is_told() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return _pages([(_at(request), "2")])(request)

    outcome = _import(answer, end=datetime(2026, 3, 3, 5, tzinfo=UTC))
    assert any("after the server's clock (2026-03-03T00:00Z)" in text for text in outcome.warnings)
    assert all(gap.end <= datetime(2026, 3, 3, 5, tzinfo=UTC) for gap in outcome.gaps)


def test_the_default_range_is_thirty_days_by_the_servers_clock() -> None:
    asked: set[str] = set()

    def answer(request: httpx.Request) -> httpx.Response:
        asked.add(request.url.params["start"])
        return (
            _pages([(NOW - 30 * 86400, "2")])(request)
            if "rate(" not in request.url.params.get("query", "")
            else _answer({"resultType": "matrix", "result": []})
        )

    outcome = _import(answer, start=None, end=None, preset="kube-state-metrics")
    assert (outcome.start, outcome.end) == (datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 3, 3, tzinfo=UTC))
    assert f"{NOW - 30 * 86400:.3f}" in asked


@pytest.mark.parametrize("options", [{"step_s": 7}, {"step_s": 0}, {"workers": 0}, {"samples_per_page": 0}])
def test_options_that_cannot_work_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(MetricsError):
        Request(**options)


def test_nothing_is_kept_when_a_page_fails() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if "memory" in request.url.params.get("query", "") and "count(" not in request.url.params.get("query", ""):
            return httpx.Response(422, content=json.dumps({"status": "error", "errorType": "execution", "error": "no"}))
        return _pages([(_at(request), "1")])(request)

    start = datetime(2026, 3, 2, tzinfo=UTC)
    with _server(lambda r: _time(r) or answer(r)) as server, open_usage(None) as connection:
        with pytest.raises(MetricsError, match="execution: no"):
            import_prometheus(connection, server, Request(start=start, end=start.replace(hour=1), step_s=3600))
        assert connection.execute("SELECT count(*) FROM usage").fetchall() == [(0,)]
