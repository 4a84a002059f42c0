"""The Prometheus HTTP API as a client that retries, authenticates and explains: Prometheus, Thanos, Mimir, Cortex.

Documented at https://prometheus.io/docs/prometheus/latest/querying/api/; X-Scope-OrgID and `partial_response` are Mimir's
and Thanos' additions. Secrets go into headers and never into messages.
"""

from __future__ import annotations

import logging
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx
import numpy as np

from models.errors import MetricsError, Problem
from models.units import MS_PER_DAY
from simulator.ingest.metric_names import Matcher
from simulator.ingest.prometheus_parse import Answer, Series, error_text, parse_data, parse_matrix
from simulator.ingest.usage_hours import from_ms

logger = logging.getLogger(__name__)

BACKOFF_S = (0.5, 1.0, 2.0, 4.0, 8.0)
LONGEST_WAIT_S = 60.0
RETRIED_STATUS = frozenset({429, 500, 502, 503, 504})
TIMEOUT_S = 60.0
LONGEST_QUERY_MS = 30 * MS_PER_DAY  # Cortex and Mimir may refuse longer ones (max_query_length, often 32 days)
LARGEST_BODY_BYTES = 2**30  # a page has some 10 MB; an answer without end is no answer
ANNOTATIONS = ("PromQL warning", "PromQL info")  # remarks on the query; any other warning means that data is missing


@dataclass(frozen=True, slots=True, repr=False)
class Access:
    """Where the server is and how to be let in. `repr` is left out so that no secret reaches a log."""

    url: str
    token: str | None = None
    user: str | None = None
    password: str | None = None
    ca: Path | None = None
    tenant: str | None = None
    timeout_s: float = TIMEOUT_S

    @property
    def place(self) -> str:
        """The URL without credentials, for messages and as the name of the source."""
        url = httpx.URL(self.url)
        return str(url.copy_with(username=None, password=None, query=None, fragment=None)).rstrip("/")


class Server:
    """One Prometheus. `sleep` and `transport` can be replaced; close it, or use it as a context manager."""

    def __init__(
        self, access: Access, *, sleep: Callable[[float], None] = time.sleep, transport: httpx.BaseTransport | None = None
    ) -> None:
        _check_url(access.url)
        self.place = access.place
        self.tenant = access.tenant
        self._sleep = sleep
        headers = {"Accept": "application/json"}
        if access.token:
            headers["Authorization"] = f"Bearer {access.token}"
        if access.tenant:
            headers["X-Scope-OrgID"] = access.tenant
        try:
            self._client = httpx.Client(
                base_url=self.place + "/",
                headers=headers,
                auth=_basic(access),
                verify=_trust(access),
                timeout=access.timeout_s,
                transport=transport,
            )
        except (UnicodeEncodeError, ValueError) as error:
            raise MetricsError(
                Problem(self.place, f"a header that cannot be sent ({type(error).__name__})", "check token and tenant")
            ) from None

    def __enter__(self) -> Server:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def now(self) -> datetime:
        """The server's own clock; the first call, which a dead server answers with one clear message and no retry."""
        found, _ = self._read("api/v1/query", {"query": "time()"}, parse_data, patient=False)
        try:
            return from_ms(round(float(found["result"][1]) * 1000))
        except (TypeError, KeyError, IndexError, ValueError, OverflowError):
            raise self._strange("an answer to time() that holds no time") from None

    def series(self, metric: str, select: Sequence[Matcher], start_ms: int, end_ms: int) -> list[dict[str, str]]:
        """Label sets of a metric within a range."""
        matchers = ",".join(map(str, select))
        params = {"match[]": f"{metric}{{{matchers}}}" if matchers else metric, **_range(start_ms, end_ms)}
        found, warnings = self._read("api/v1/series", params, parse_data)
        self.refuse_partial(warnings, metric)
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            raise self._strange(f"label sets of {metric} that are no list")
        return [{str(key): str(value) for key, value in one.items()} for one in found]

    def range(self, query: str, start_ms: int, end_ms: int, step_ms: int) -> Answer:
        """Points of a range query, both ends included. A partial answer is refused."""
        params = {"query": query, **_range(start_ms, end_ms), "step": f"{step_ms / 1000:g}", "partial_response": "false", "dedup": "true"}
        answer: Answer = self._read("api/v1/query_range", params, parse_matrix)
        self.refuse_partial(answer.warnings, query)
        return answer

    def coarse(self, query: str, start_ms: int, end_ms: int, step_ms: int) -> Iterator[Series]:
        """Series of a query at coarse steps, asked for in ranges that a server allows; a series may come once for each."""
        span_ms = max(LONGEST_QUERY_MS // step_ms, 1) * step_ms
        for at in range(start_ms, end_ms + 1, span_ms + step_ms):
            yield from self.range(query, at, min(at + span_ms, end_ms), step_ms).series

    def peak(self, query: str, start_ms: int, end_ms: int, step_ms: int) -> float:
        """The largest value of a query at coarse steps; 0 where it has none."""
        return max((float(np.nanmax(one.values, initial=0.0)) for one in self.coarse(query, start_ms, end_ms, step_ms)), default=0.0)

    def label_values(self, label: str, metric: str, select: Sequence[Matcher], start_ms: int, end_ms: int) -> list[str]:
        """Values of a label of a metric within a range, sorted."""
        matchers = ",".join(map(str, select))
        params = {"match[]": f"{metric}{{{matchers}}}" if matchers else metric, **_range(start_ms, end_ms)}
        found, warnings = self._read(f"api/v1/label/{label}/values", params, parse_data)
        self.refuse_partial(warnings, label)
        if not isinstance(found, list):
            raise self._strange(f"values of the label {label} that are no list")
        return sorted(map(str, found))

    def refuse_partial(self, warnings: Sequence[str], what: str) -> None:
        """Raise when a warning says that a part of the data is missing, as Thanos and remote read do."""
        missing = [text for text in warnings if not text.startswith(ANNOTATIONS)]
        if missing:
            found = f"a partial answer to {what}: {'; '.join(missing)}"
            raise MetricsError(Problem(self.place, found, "mend the store behind the server, or ask for a range that it has whole"))

    def _read(self, path: str, params: Mapping[str, str], parse: Callable[[bytes], Any], *, patient: bool = True) -> Any:
        body = self._get(path, params, patient=patient)
        try:
            return parse(body)
        except ValueError as error:
            if body.lstrip()[:1] == b"<":
                raise self._strange("a web page where the Prometheus API answers JSON") from None
            raise self._strange(f"an answer that cannot be read: {error}") from None

    def _get(self, path: str, params: Mapping[str, str], *, patient: bool) -> bytes:
        """The body of a 200 answer; waits `BACKOFF_S` between attempts on overload, server errors and broken connections."""
        problem = Problem(self.place, "no answer", "try again")
        for wait_s in (*BACKOFF_S, None):
            try:
                response, body = self._ask(path, params)
            except httpx.TimeoutException:
                problem = Problem(
                    self.place, f"no answer within {self._client.timeout.read:g} s", "raise --timeout, or ask for less with a longer --step"
                )
            except httpx.RequestError as error:
                problem = self._unreachable(error)
                if not patient:
                    break
            else:
                if response.status_code == 200:
                    return body
                problem = self._refusal(response, body)
                if response.status_code not in RETRIED_STATUS:
                    break
                wait_s = _asked_wait_s(response, wait_s)
            if wait_s is None:
                break
            logger.info("%s; next attempt in %s s", problem.found, wait_s)
            self._sleep(wait_s)
        raise MetricsError(problem)

    def _ask(self, path: str, params: Mapping[str, str]) -> tuple[httpx.Response, bytes]:
        """Answer and its body, read piece by piece so that one without end is noticed."""
        with self._client.stream("GET", path, params=dict(params)) as response:
            body = bytearray()
            for piece in response.iter_bytes():
                body += piece
                if len(body) > LARGEST_BODY_BYTES:
                    found = f"an answer of more than {LARGEST_BODY_BYTES // 2**20:,} MiB"
                    raise MetricsError(Problem(self.place, found, "lower --samples-per-page, or check what answers there"))
            return response, bytes(body)

    def _unreachable(self, error: httpx.RequestError) -> Problem:
        text = str(error) or type(error).__name__
        if "CERTIFICATE" in text.upper() or "SSL" in text.upper():
            return Problem(self.place, f"a TLS connection that fails ({text})", "give the server's certificate authority with --ca FILE")
        if isinstance(error, httpx.DecodingError):
            return Problem(self.place, f"a body that cannot be unpacked ({text})", "check the server and what stands between")
        if isinstance(error, httpx.RemoteProtocolError | httpx.ReadError):
            return Problem(self.place, f"a connection that broke off ({text})", "check the server and what stands between")
        return Problem(self.place, f"no server ({text})", "check that Prometheus runs and that the URL and port are right")

    def _refusal(self, response: httpx.Response, body: bytes) -> Problem:
        status, words = response.status_code, error_text(body)
        said = f"status {status} {response.reason_phrase}".strip() + (f" ({words})" if words else "")
        match status:
            case 401:
                mend = "give a bearer token (--token-env, --token-file) or --user with --password-env"
            case 403:
                mend = "this account may not read here: check the token's rights and --tenant"
            case 404 | 405:
                mend = "the URL must be where /api/v1 begins: add the path prefix (for Mimir: /prometheus)"
            case 400 | 422:
                mend = "the server refuses the query: check --preset and --select, or lower --samples-per-page"
            case 429:
                mend = "the server limits requests: lower --workers or try later"
            case code if 300 <= code < 400:
                mend = f"the URL leads to {_target(response)}, often a login page: give the API's own URL"
            case _:
                mend = "the server fails: see its log, or try later"
        return Problem(self.place, said, mend)

    def _strange(self, found: str) -> MetricsError:
        return MetricsError(Problem(self.place, found, "check that the URL is a Prometheus API and not a proxy's or a login page's"))


def _target(response: httpx.Response) -> str:
    """Where a redirect leads, without what may be secret in it."""
    try:
        url = response.url.join(response.headers.get("Location", ""))
        return str(url.copy_with(username=None, password=None, query=None, fragment=None))
    except (httpx.InvalidURL, ValueError):
        return "elsewhere"


def _range(start_ms: int, end_ms: int) -> dict[str, str]:
    return {"start": f"{start_ms / 1000:.3f}", "end": f"{end_ms / 1000:.3f}"}


def _check_url(url: str) -> None:
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, ValueError) as error:
        raise MetricsError(Problem("--prometheus", f"a URL that does not parse ({error})", "example: http://prometheus:9090")) from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise MetricsError(Problem("--prometheus", "a URL without http:// or https:// and a host", "example: http://prometheus:9090"))


def _basic(access: Access) -> tuple[str, str] | None:
    url = httpx.URL(access.url)
    user, password = access.user or url.username, access.password or url.password
    return (user, password or "") if user else None


def _trust(access: Access) -> ssl.SSLContext:
    """Certificates to trust; none are loaded for plain HTTP."""
    if httpx.URL(access.url).scheme == "http" and access.ca is None:
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        return ssl.create_default_context(cafile=str(access.ca) if access.ca else None)
    except (OSError, ssl.SSLError) as error:
        raise MetricsError(Problem(str(access.ca), f"no usable certificate authority ({error})", "give a PEM file with --ca")) from None


def _asked_wait_s(response: httpx.Response, wait_s: float | None) -> float | None:
    """Seconds to wait: what the server asks for in Retry-After when that is longer, within reason."""
    asked = response.headers.get("Retry-After", "")
    if wait_s is None or not asked.isdigit():
        return wait_s
    return max(wait_s, min(float(asked), LONGEST_WAIT_S))
