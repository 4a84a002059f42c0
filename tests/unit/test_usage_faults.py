"""Servers that misbehave on the wire, and text of Prometheus 3: one clear message or all that can be read, never a traceback."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import numpy as np
import pytest

from models.errors import MetricsError
from models.usage import UsageHistory
from simulator.ingest import prometheus_http
from simulator.ingest.metric_names import Matcher
from simulator.ingest.prometheus import import_prometheus
from simulator.ingest.prometheus_http import LONGEST_QUERY_MS, Access, Server
from simulator.ingest.prometheus_task import Request
from simulator.ingest.store import scratch_connection
from simulator.ingest.usage_file import import_files
from simulator.ingest.usage_files import FileOptions
from simulator.ingest.usage_store import Imported, load_usage, open_usage

START = datetime(2026, 3, 2, tzinfo=UTC)
START_S = int(START.timestamp())
Reply = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def serving(reply: Reply) -> Iterator[str]:
    """A loopback server whose GET is `reply`."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            try:
                reply(self)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def send(request: BaseHTTPRequestHandler, body: bytes, status: int = 200, **headers: str) -> None:
    request.send_response(status)
    for name, value in {"Content-Length": str(len(body)), **headers}.items():
        request.send_header(name.replace("_", "-"), value)
    request.end_headers()
    request.wfile.write(body)


def asked(request: BaseHTTPRequestHandler) -> dict[str, str]:
    return {key: value[0] for key, value in parse_qs(urlsplit(request.path).query).items()}


def said(url: str) -> str:
    with pytest.raises(MetricsError) as caught, Server(Access(url), sleep=lambda _: None) as server:
        server.range("up", 0, 60_000, 60_000)
    return str(caught.value)


MATRIX = json.dumps({"status": "success", "data": {"resultType": "matrix", "result": [{"metric": {}, "values": [[0, "1"]]}]}}).encode()


def test_gzip_bodies_are_read_and_damaged_ones_told() -> None:
    with serving(lambda r: send(r, gzip.compress(MATRIX), Content_Encoding="gzip")) as url, Server(Access(url)) as server:
        assert server.range("up", 0, 60_000, 60_000).samples == 1
    with serving(lambda r: send(r, gzip.compress(MATRIX)[:-12], Content_Encoding="gzip")) as url:
        assert "found" in said(url)
    with serving(lambda r: send(r, b"\x1f\x8bnonsense", Content_Encoding="gzip")) as url:
        assert "a body that cannot be unpacked" in said(url)


def test_a_redirect_names_its_target_without_its_secrets() -> None:
    with serving(lambda r: send(r, b"", 302, Location="https://user:secret@login.example/start?token=secret")) as url:
        text = said(url)
    assert "the URL leads to https://login.example/start" in text
    assert "secret" not in text


def test_an_answer_without_end_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prometheus_http, "LARGEST_BODY_BYTES", 1_000_000)

    def endless(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        while True:
            request.wfile.write(b" " * 65_536)

    with serving(endless) as url:
        assert "an answer of more than 0 MiB" in said(url)


def test_a_body_that_breaks_off_is_told() -> None:
    with serving(lambda r: send(r, MATRIX[:20], Content_Length="1000")) as url:
        assert "a connection that broke off" in said(url)


@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b'{"status":"success"}', b'{"status":"success","data":null}', b"\xff\xfe", b"{" * 5000]
)
def test_bodies_that_are_no_answer_are_told(body: bytes) -> None:
    with serving(lambda r: send(r, body)) as url:
        assert "an answer that cannot be read" in said(url)


def points(request: BaseHTTPRequestHandler, series: list[tuple[dict[str, str], list[list[object]]]]) -> None:
    result = [{"metric": labels, "values": values} for labels, values in series]
    send(request, json.dumps({"status": "success", "data": {"resultType": "matrix", "result": result}}).encode())


def company(request: BaseHTTPRequestHandler, pages: Callable[[dict[str, str]], list[tuple[dict[str, str], list[list[object]]]]]) -> None:
    """A server that counts one series, knows no owners and gives `pages` for everything else."""
    query = asked(request).get("query", "")
    if query == "time()":
        now = START_S + 90 * 86_400
        send(request, json.dumps({"status": "success", "data": {"resultType": "scalar", "result": [now, str(now)]}}).encode())
    elif urlsplit(request.path).path.endswith("/series"):
        send(request, b'{"status":"success","data":[]}')
    elif query.startswith("count("):
        points(request, [({}, [[float(asked(request)["start"]), "1"]])])
    else:
        points(request, pages(asked(request)))


def read(reply: Reply, hours: int = 1, step_s: int = 1800) -> tuple[Imported, UsageHistory]:
    end = datetime.fromtimestamp(START_S + hours * 3600, UTC)
    with serving(reply) as url, Server(Access(url), sleep=lambda _: None) as server, open_usage(None) as connection:
        imported = import_prometheus(connection, server, Request(START, end, step_s, workers=2))
        return imported, load_usage(connection)


def test_points_out_of_order_and_given_twice_are_put_in_their_places() -> None:
    def pages(query: dict[str, str]) -> list[tuple[dict[str, str], list[list[object]]]]:
        at = float(query["start"])
        return [({"namespace": "a", "pod": "web-0"}, [[at + 1800, "4"], [at, "2"], [at, "2"]])]

    _, history = read(lambda r: company(r, pages))
    assert history.requests[0, 0, 0] == 3000.0  # 2 and 4 cores, half an hour each


def test_overload_in_the_middle_does_not_end_an_import() -> None:
    seen: set[str] = set()

    def pages(query: dict[str, str]) -> list[tuple[dict[str, str], list[list[object]]]]:
        return [({"namespace": "a", "pod": "web-0"}, [[float(query["start"]), "2"]])]

    def reply(request: BaseHTTPRequestHandler) -> None:
        if request.path not in seen:
            seen.add(request.path)
            status = (429, 503)[len(seen) % 2]
            if len(seen) > 1:  # the first question, of the time, is asked once only
                send(request, b"busy", status, Retry_After="1")
                return
        company(request, pages)

    imported, history = read(reply)
    assert history.pods[0, 0] == 2.0
    assert imported.gaps


def test_infinite_and_missing_values_are_counted_not_kept() -> None:
    def pages(query: dict[str, str]) -> list[tuple[dict[str, str], list[list[object]]]]:
        at = float(query["start"])
        bad = "memory" in query["query"]
        return [({"namespace": "a", "pod": "web-0"}, [[at, "+Inf" if bad else "2"], [at + 1800, "NaN" if bad else "2"]])]

    imported, history = read(lambda r: company(r, pages))
    assert np.isnan(history.requests[0, 0, 1])
    assert any(text.startswith("memory_request_mib: 2 samples are NaN, infinite") for text in imported.warnings)


def test_a_range_beyond_what_a_server_allows_is_asked_for_in_parts() -> None:
    """Cortex and Mimir refuse queries of more than some 32 days."""

    def reply(request: BaseHTTPRequestHandler) -> None:
        query = asked(request)
        if "start" in query and (float(query["end"]) - float(query["start"])) * 1000 > LONGEST_QUERY_MS:
            send(request, b'{"status":"error","errorType":"execution","error":"the query time range exceeds the limit"}', 422)
            return
        company(request, lambda q: [({"namespace": "a", "pod": "web-0"}, [[float(q["start"]), "2"]])])

    imported, _ = read(reply, hours=80 * 24, step_s=3600)
    assert (imported.end - imported.start).days == 80


def test_a_thanos_warning_of_a_missing_store_is_refused() -> None:
    body = json.loads(MATRIX) | {"warnings": ["No StoreAPIs matched for this query", "receive store X: connection refused"]}
    with serving(lambda r: send(r, json.dumps(body).encode())) as url:
        assert "a partial answer to up: No StoreAPIs matched for this query; receive store X" in said(url)


def test_a_decoding_error_is_a_refusal_of_any_transport() -> None:
    def broken(_: httpx.Request) -> httpx.Response:
        raise httpx.DecodingError("bad")

    with Server(Access("http://host"), sleep=lambda _: None, transport=httpx.MockTransport(broken)) as server, pytest.raises(MetricsError):
        server.range("up", 0, 60_000, 60_000)


# ---- files ----


def from_file(path: Path, text: str) -> tuple[Imported, UsageHistory]:
    path.write_text(text)
    with open_usage(None) as connection:
        imported = import_files(connection, [path], FileOptions())
        return imported, load_usage(connection)


REQUEST = 'kube_pod_container_resource_requests{namespace="a",pod="web-0",container="c",resource="cpu"}'


def test_openmetrics_of_prometheus_3_is_read(tmp_path: Path) -> None:
    """A quoted name first, exemplars, and a native histogram that is named and left out."""
    text = f"""# TYPE "my.metric" gauge
{{"my.metric","k8s.pod"="x"}} 1 {START_S}
# TYPE kube_pod_container_resource_requests gauge
{REQUEST} 2 {START_S}
# TYPE request_seconds histogram
request_seconds_bucket{{le="+Inf"}} 3 {START_S} # {{trace_id="x"}} 0.5 {START_S}
request_seconds_count 3 {START_S}
request_seconds_sum 1 {START_S}
# TYPE sizes histogram
sizes {{count:4,sum:3.0,schema:3,zero_threshold:1e-128,zero_count:0,positive_spans:[0:2],positive_deltas:[1,2]}} {START_S}
# EOF
"""
    imported, history = from_file(tmp_path / "scrape.om", text)
    assert history.requests[0, 0, 0] == 2000
    assert "scrape.om: 1 native histograms were not read" in imported.warnings


def test_text_that_begins_with_a_quoted_name_is_known_as_text(tmp_path: Path) -> None:
    _, history = from_file(tmp_path / "scrape.prom", f'{{"my.metric","a.b"="c"}} 1\n{REQUEST} 2 {START_S}000\n')
    assert history.requests[0, 0, 0] == 2000


def test_a_dump_of_prometheus_3_is_read(tmp_path: Path) -> None:
    """Quoted label names, native histograms, and a stale marker: web-0 is gone at the second of two points."""

    def asked_for(pod: str, value: str, second: int) -> str:
        own = f'container="c", namespace="a", pod="{pod}", resource="cpu", "k8s.x\\\\y"="z"'
        return f'{{__name__="kube_pod_container_resource_requests", {own}}} {value} {START_S + second}000'

    lines = [
        f'{{__name__="my.metric", "k8s.pod"="x"}} 1 {START_S}000',
        *(asked_for("web-0", value, second) for value, second in (("2", 0), ("NaN", 60))),
        *(asked_for("web-1", "2", second) for second in (0, 60)),
        f'{{__name__="sizes"}} {{count:4, sum:3, (0.5,1]:4}} {START_S}000',
    ]
    imported, history = from_file(tmp_path / "dump.txt", "\n".join([*lines, ""]))
    assert history.requests[0, 0, 0] == 3000.0  # 4 cores, then 2
    assert "dump.txt: 1 samples of native histograms were not read" in imported.warnings


def test_files_of_several_clusters_with_pods_of_one_name_are_not_mixed(tmp_path: Path) -> None:
    text = "".join(REQUEST.replace("}", f',cluster="{name}"}} {cores} {START_S}000\n') for name, cores in (("east", 2), ("west", 4)))
    (tmp_path / "both.prom").write_text(text)
    with open_usage(None) as connection:
        with pytest.raises(MetricsError, match=r"1 pods of the same namespace and name in several clusters \(east, west\)"):
            import_files(connection, [tmp_path / "both.prom"], FileOptions())
        for name in ("east", "west"):
            import_files(connection, [tmp_path / "both.prom"], FileOptions(select=(Matcher.parse(f'cluster="{name}"'),), cluster=name))
        history = load_usage(connection)
        with pytest.raises(MetricsError, match="no samples with cluster="):
            import_files(connection, [tmp_path / "both.prom"], FileOptions(select=(Matcher.parse('cluster="north"'),)))
    assert {key.labels["cluster"]: history.requests[0, k, 0] for k, key in enumerate(history.keys)} == {"east": 2000, "west": 4000}


def test_resources_that_are_not_kept_are_told(tmp_path: Path) -> None:
    others = ("nvidia_com_gpu_shared", "hugepages_2Mi", "nvidia_com_gpu", "ephemeral_storage")
    text = f"{REQUEST} 2 {START_S}000\n" + "".join(f"{REQUEST.replace('cpu', name)} 1 {START_S}000\n" for name in others)
    imported, history = from_file(tmp_path / "requests.prom", text)
    assert "kube_pod_container_resource_requests: hugepages_2Mi, nvidia_com_gpu_shared are asked for and not kept" in imported.warnings
    assert history.requests[0, 0, history.axes.index("nvidia.com/gpu")] == 1


@pytest.mark.parametrize(
    ("profiles", "gpus"),
    [
        ({"1g_5gb": 1, "3g_20gb": 2}, (1 + 2 * 3) / 7),
        ({"1g_10gb_me": 1}, 1 / 7),
        ({"7g_80gb": 2}, 2),
        ({"1g_6gb": 1, "2g_12gb": 1}, (1 + 2) / 4),  # an A30 has four slices
        ({"4g_24gb": 1}, 1),
        ({"4g_20gb": 1}, 4 / 7),
    ],
)
def test_mig_profiles_count_as_their_slices_of_a_gpu_once_for_all_replicas(tmp_path: Path, profiles: dict[str, int], gpus: float) -> None:
    text = f"{REQUEST} 2 {START_S}000\n"
    for profile, count in profiles.items():
        for replica in ("a", "b"):
            own = REQUEST.replace("cpu", f"nvidia_com_mig_{profile}").replace("{", f'{{prometheus_replica="{replica}",', 1)
            text += f"{own} {count} {START_S}000\n"
    imported, history = from_file(tmp_path / "requests.prom", text)
    assert history.requests[0, 0, history.axes.index("nvidia.com/gpu")] == pytest.approx(gpus, abs=1e-12)
    assert not any("not kept" in warning for warning in imported.warnings)


def test_replicas_and_restarts_in_a_dump_are_told_apart(tmp_path: Path) -> None:
    """Two Prometheus replicas scraped the same counters; a restart resets one container's counter and gives it a new id."""

    def sample(replica: int, container: str, seconds: float, value: float) -> str:
        own = f'container="c", id="{container}", namespace="a", pod="web-0", prometheus_replica="p-{replica}"'
        return f'{{__name__="container_cpu_usage_seconds_total", {own}}} {value} {START_S + seconds:.0f}000'

    lines = []
    for replica in (0, 1):
        lines += [sample(replica, "/old", 60 * k, 100 + 60 * k) for k in range(30)]  # one core
        lines += [sample(replica, "/new", 1800 + 60 * k, 30 * k) for k in range(31)]  # half a core
        phase = f'{{__name__="kube_pod_status_phase", namespace="a", phase="Running", pod="web-0", instance="ksm-{replica}"}}'
        lines += [f"{phase} 1 {START_S + 60 * k}000" for k in range(60)]
    (tmp_path / "dump.txt").write_text("\n".join([*lines, ""]))
    with open_usage(None) as connection:
        import_files(connection, [tmp_path / "dump.txt"], FileOptions(end=datetime.fromtimestamp(START_S + 3600, UTC)))
        history = load_usage(connection)
    assert history.pods[0, 0] == 1.0
    minutes = 29 * 1.0 + 30 * 0.5  # of 59 minutes with two samples of a counter
    assert history.usage[0, 0, 0] == pytest.approx(1000 * minutes / 59)


def test_databases_for_scratch_draw_nothing_on_standard_output() -> None:
    """duckdb's own progress bar, drawn after two seconds, would stand in the JSON document."""
    with scratch_connection() as connection, open_usage(None) as store:
        for one in (connection, store):
            assert one.execute("SELECT current_setting('enable_progress_bar')").fetchall() == [(False,)]


@pytest.mark.parametrize(
    "text",
    [
        f"# TYPE kube_pod_container_resource_requests gauge\n{REQUEST} 2 {START_S}\n",  # OpenMetrics that was cut before # EOF
        f'{{__name__="kube_pod_container_resource_requests", namespace="a", pod="b", resource="cpu"}} 2 {START_S}\n',
    ],
)
def test_seconds_taken_for_milliseconds_are_refused_not_dated_1970(tmp_path: Path, text: str) -> None:
    with pytest.raises(MetricsError, match=rf"{START_S} to {START_S} ms since 1970; check the unit .* must end with # EOF"):
        from_file(tmp_path / "requests.prom", text)


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize(
    "line",
    [
        f"{REQUEST} 2 {START_S}000",
        REQUEST.replace("kube_pod_container_resource_requests{", '{__name__="kube_pod_container_resource_requests",') + f" 2 {START_S}000",
    ],
)
def test_text_saved_with_a_byte_order_mark_and_carriage_returns_is_read(tmp_path: Path, mark: str, line: str) -> None:
    with (tmp_path / "requests.prom").open("w", encoding="utf-8", newline="") as file:
        file.write(f"{mark}{line}\r\n")
    with open_usage(None) as connection:
        import_files(connection, [tmp_path / "requests.prom"], FileOptions())
        assert load_usage(connection).requests[0, 0, 0] == 2000
