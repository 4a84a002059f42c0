"""Usage ingest: the byte parser against orjson in one run; 10 M samples of a server and 10 M parquet rows in bounded memory.

The server is a loopback one that writes what Prometheus writes (values of 16 to 17 digits, as rates have); the import runs
in a process of its own, whose peak resident memory is measured (VmHWM: getrusage would tell the parent's peak).
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import duckdb
import numpy as np
import orjson

from simulator.ingest.prometheus_parse import parse_matrix

RUNS = 5
PARSER_TARGET = 8.0
MEMORY_TARGET_MIB = 512.0
START_S = 1_772_409_600  # 2026-03-02
STEP_S = 15
PRESET = """
describes: one measure
labels: {namespace: namespace, pod: pod, container: container, node: node}
measures:
  memory_usage_mib: {of: workload, metric: bench_memory_bytes}
"""
CHILD = """
import json, sys, time
from pathlib import Path
from datetime import datetime, timezone
from simulator.ingest.prometheus import import_prometheus
from simulator.ingest.prometheus_http import Access, Server
from simulator.ingest.prometheus_task import Request
from simulator.ingest.usage_store import open_usage
url, preset, store, start, end, step = sys.argv[1:]
at = [datetime.fromtimestamp(int(text), timezone.utc) for text in (start, end)]
before = time.perf_counter()
with Server(Access(url)) as server, open_usage(store) as connection:
    done = import_prometheus(connection, server, Request(at[0], at[1], int(step), preset))
seconds = time.perf_counter() - before
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(json.dumps([done.samples, seconds, int(peak.split()[1]) / 1024]))
"""
FILE_CHILD = """
import json, sys, time
from pathlib import Path
from simulator.ingest.usage_file import import_files
from simulator.ingest.usage_files import FileOptions
from simulator.ingest.usage_store import open_usage
path, store = sys.argv[1:]
before = time.perf_counter()
with open_usage(store) as connection:
    done = import_files(connection, [Path(path)], FileOptions())
seconds = time.perf_counter() - before
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(json.dumps([done.tables["usage"], seconds, int(peak.split()[1]) / 1024]))
"""
FILE_ROWS = """COPY (SELECT TIMESTAMP '2026-03-02' + to_hours((i // {series})::INTEGER) AS hour, 'team-' || (i % 40) AS namespace,
    'workload-' || (i % {series}) AS workload, 2.0 AS pods, 1000 + (i * 7919) % 977 AS cpu_request_m,
    2048 + (i * 104729) % 1013 AS memory_request_mib, (i * 7919) % 977 / 1.7 AS cpu_usage_m, (i * 104729) % 1013 / 1.3 AS memory_usage_mib
    FROM range({rows}) AS t(i)) TO '{path}' (FORMAT parquet)"""


def rows(scale: str) -> list[dict[str, Any]]:
    """Parser / orjson + NumPy on one body, with 17-digit and with short values; peak memory of a long import."""
    full = scale == "full"
    points, series, hours = (10_000, 100, 84) if full else (500, 10, 1)
    found = []
    for name, digits in (("17-digit values", 17), ("values of 5 digits", 5)):
        ratio, speed, same = _parser(_body(series, START_S, points, digits))
        title = f"Prometheus parser / orjson, {name}"
        found.append(
            {"name": title, "measured": ratio, "unit": "times as fast", "target": PARSER_TARGET, "passed": same and ratio >= PARSER_TARGET}
        )
        found.append({"name": f"Prometheus parser, {name}", "measured": speed, "unit": "M samples/s", "target": None, "passed": same})
    samples, seconds, memory_mib = _long_import(500 if full else 5, hours)
    millions = samples / 1e6
    found += [
        {"name": f"import of {millions:.2f} M samples, peak memory", "measured": memory_mib, "unit": "MiB",
         "target": MEMORY_TARGET_MIB, "passed": memory_mib <= MEMORY_TARGET_MIB},
        {"name": f"import of {millions:.2f} M samples, server included", "measured": millions / seconds, "unit": "M samples/s",
         "target": None, "passed": samples > 0},
    ]  # fmt: skip
    return found + _parquet_import(5_000 if full else 10, 2_000 if full else 24)


def _parquet_import(series: int, hours: int) -> list[dict[str, Any]]:
    """Peak memory and speed of a parquet file's import in a process of its own, into a store file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "usage.parquet"
        with duckdb.connect() as connection:
            connection.execute("SET enable_progress_bar=false").fetchall()
            connection.execute(FILE_ROWS.format(series=series, rows=series * hours, path=path)).fetchall()
        size_mib = path.stat().st_size / 2**20
        command = [sys.executable, "-c", FILE_CHILD, str(path), str(Path(folder) / "store.duckdb")]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    kept, seconds, memory_mib = json.loads(done.stdout)
    title = f"parquet usage of {kept / 1e6:.2f} M rows ({size_mib:.0f} MiB)"
    return [
        {"name": f"{title}, peak memory", "measured": float(memory_mib), "unit": "MiB",
         "target": MEMORY_TARGET_MIB, "passed": memory_mib <= MEMORY_TARGET_MIB},
        {"name": f"{title}, into a store", "measured": kept / seconds / 1e6, "unit": "M rows/s", "target": None,
         "passed": kept == series * hours},
    ]  # fmt: skip


def _body(series: int, start_s: int, points: int, digits: int = 17) -> bytes:
    """A range answer as Prometheus writes it; values are the same in every series, labels are not."""
    numbers = np.random.Generator(np.random.PCG64(5)).uniform(1, 9, points)
    texts = [repr(number) if digits == 17 else f"{number:.{digits - 1}f}" for number in numbers.tolist()]
    values = ",".join(f'[{start_s + STEP_S * k},"{text}"]' for k, text in enumerate(texts))
    result = ",".join(
        f'{{"metric":{{"namespace":"team-{k % 5}","pod":"web-6c7d8f9b5-{k:05d}"}},"values":[{values}]}}' for k in range(series)
    )
    return f'{{"status":"success","data":{{"resultType":"matrix","result":[{result}]}}}}'.encode()


def _orjson(body: bytes) -> list[tuple[np.ndarray, np.ndarray]]:
    """What orjson needs for the same arrays."""
    found = []
    for one in orjson.loads(body)["data"]["result"]:
        times, values = zip(*one["values"], strict=True)
        found.append((np.array(times), np.array([float(value) for value in values])))
    return found


def _parser(body: bytes) -> tuple[float, float, bool]:
    """Ratio of medians, millions of samples a second, and whether both give the same numbers."""
    answer, other = parse_matrix(body), _orjson(body)
    same = all((ours.values == theirs[1]).all() for ours, theirs in zip(answer.series, other, strict=True))
    ours_s, theirs_s = _median_s(lambda: parse_matrix(body)), _median_s(lambda: _orjson(body))
    return theirs_s / ours_s, answer.samples / ours_s / 1e6, same


def _median_s(work: Callable[[], object]) -> float:
    seconds = []
    for _ in range(RUNS):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def _long_import(series: int, hours: int) -> tuple[int, float, float]:
    """Samples, seconds and peak MiB of an import in a process of its own."""
    with tempfile.TemporaryDirectory() as folder, _endless(series) as url:
        preset = Path(folder) / "preset.yaml"
        preset.write_text(PRESET)
        end_s = START_S + hours * 3600
        arguments = [url, preset, Path(folder) / "store.duckdb", START_S, end_s, STEP_S]
        command = [sys.executable, "-c", CHILD, *map(str, arguments)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    samples, seconds, memory_mib = json.loads(done.stdout)
    return int(samples), float(seconds), float(memory_mib)


class _Answers(BaseHTTPRequestHandler):
    """Any range of `server.series` series, a count for the plan, and a clock."""

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        asked = {key: value[0] for key, value in parse_qs(urlsplit(self.path).query).items()}
        series = self.server.series  # type: ignore[attr-defined]
        if asked["query"] == "time()":
            body = f'{{"status":"success","data":{{"resultType":"scalar","result":[0,"{START_S + 10**7}"]}}}}'.encode()
        elif asked["query"].startswith("count("):
            result = f'{{"metric":{{}},"values":[[{START_S},"{series}"]]}}'
            body = f'{{"status":"success","data":{{"resultType":"matrix","result":[{result}]}}}}'.encode()
        else:
            start_s, end_s = float(asked["start"]), float(asked["end"])
            body = _body(series, int(start_s), round((end_s - start_s) / STEP_S) + 1)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def _endless(series: int) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Answers)
    server.series = series  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
