"""A small company as OpenMetrics text with known truth, and a real Prometheus that serves it."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import numpy as np

START = datetime(2026, 3, 2, tzinfo=UTC)
HOURS = 8
SCRAPE_S = 60
POINTS = HOURS * 3600 // SCRAPE_S
OUTAGE = slice(300, 360)  # 05:00 to 06:00: nothing was scraped
MIB = 2**20
READY_POLLS = 200  # every 0.05 s
READY_CODES = (200, 401)  # 401: it asks for a password, so it runs


@dataclass(frozen=True)
class Pod:
    """One pod: alive in [first, last) scrapes; cpu use follows `cores(point)`."""

    namespace: str
    name: str
    workload: str
    owner: tuple[str, str]
    request_m: int
    request_mib: int
    phase: float
    first: int = 0
    last: int = POINTS

    def cores(self) -> np.ndarray:
        """Cores in use during the minute that begins at each point: float64 [points]; multiples of 1/1024 add up exactly."""
        t = np.arange(POINTS)
        wave = 0.5 + 0.4 * np.sin(2 * np.pi * (t / 240.0 + self.phase))
        cores = np.round(wave * self.request_m / 1000 * 1024) / 1024
        return np.where((t >= self.first) & (t < self.last), cores, 0.0)

    def memory_bytes(self) -> np.ndarray:
        """Working set at each point: float64 [points]."""
        return (self.request_mib // 2 + np.arange(POINTS) % 64) * float(MIB)


def pods() -> list[Pod]:
    """Two teams: a web Deployment that is rolled out at 03:00, a database, a nightly report, and a pod without owner."""
    old = [Pod("shop", f"web-6c7d8f9b5-x2v4{c}", "web", ("ReplicaSet", "web-6c7d8f9b5"), 500, 1024, k / 7, last=180)
           for k, c in enumerate("bcd")]  # fmt: skip
    new = [Pod("shop", f"web-7d9c6b5f4-z8w2{c}", "web", ("ReplicaSet", "web-7d9c6b5f4"), 750, 1536, k / 5, first=180)
           for k, c in enumerate("bcdf")]  # fmt: skip
    database = [Pod("data", f"db-{k}", "db", ("StatefulSet", "db"), 2000, 8192, k / 3) for k in range(2)]
    report = [Pod("data", "report-29707813-dhlr2", "report", ("Job", "report-29707813"), 1500, 4096, 0.2, first=60, last=150)]
    alone = [Pod("shop", "toolbox", "toolbox", ("<none>", "<none>"), 100, 128, 0.0)]
    return [*old, *new, *database, *report, *alone]


def _times() -> list[float]:
    return [START.timestamp() + k * SCRAPE_S for k in range(POINTS + 1)]


def openmetrics(everyone: list[Pod], gpu: bool = True) -> str:
    """OpenMetrics text of the company, 60 s scrapes, with a silent hour from 05:00."""
    times = _times()
    families: dict[tuple[str, str], list[str]] = {}

    def write(family: str, kind: str, labels: dict[str, str], values: dict[int, float]) -> None:
        text = ",".join(f'{name}="{value}"' for name, value in labels.items())
        name = family + ("_total" if kind == "counter" else "")
        lines = families.setdefault((family, kind), [])
        lines += [f"{name}{{{text}}} {value!r} {times[k]:.0f}" for k, value in values.items() if not OUTAGE.start <= k < OUTAGE.stop]

    for pod in everyone:
        own = {"namespace": pod.namespace, "pod": pod.name}
        alive = range(pod.first, pod.last)
        write("kube_pod_owner", "gauge", {**own, "owner_kind": pod.owner[0], "owner_name": pod.owner[1]}, dict.fromkeys(alive, 1.0))
        for phase in ("Pending", "Running", "Succeeded"):
            write("kube_pod_status_phase", "gauge", {**own, "phase": phase}, dict.fromkeys(alive, float(phase == "Running")))
        container = {**own, "container": "main"}
        for resource, amount in (("cpu", pod.request_m / 1000), ("memory", pod.request_mib * float(MIB))):
            unit = {"cpu": "core", "memory": "byte"}[resource]
            for side, factor in (("requests", 1), ("limits", 2)):
                labels = {**container, "node": "n1", "resource": resource, "unit": unit}
                write(f"kube_pod_container_resource_{side}", "gauge", labels, dict.fromkeys(alive, amount * factor))
        total = np.concatenate([[0.0], np.cumsum(pod.cores() * SCRAPE_S)])
        write("container_cpu_usage_seconds", "counter", container, {k: float(total[k]) for k in range(pod.first, pod.last + 1)})
        memory = pod.memory_bytes()
        write("container_memory_working_set_bytes", "gauge", container, {k: float(memory[k]) for k in alive})
    for name, deployment in (("web-6c7d8f9b5", "web"), ("web-7d9c6b5f4", "web")):
        labels = {"namespace": "shop", "replicaset": name, "owner_kind": "Deployment", "owner_name": deployment}
        write("kube_replicaset_owner", "gauge", labels, dict.fromkeys(range(POINTS), 1.0))
    labels = {"namespace": "data", "job_name": "report-29707813", "owner_kind": "CronJob", "owner_name": "report"}
    write("kube_job_owner", "gauge", labels, dict.fromkeys(range(POINTS), 1.0))
    for namespace, team, users in (("shop", "sales", "320"), ("data", "platform", "80")):
        labels = {"namespace": namespace, "label_team": team, "label_users": users}
        write("kube_namespace_labels", "gauge", labels, dict.fromkeys(range(POINTS), 1.0))
    for resource, amount in (("cpu", 64.0), ("memory", 256.0 * 1024 * MIB), ("pods", 110.0)):
        for side in ("capacity", "allocatable"):
            write(f"kube_node_status_{side}", "gauge", {"node": "n1", "resource": resource}, dict.fromkeys(range(POINTS), amount))
    if gpu:
        own = {"UUID": "GPU-1", "gpu": "0", "Hostname": "n1", "modelName": "Tesla T4"}
        for metric, value in (
            ("DCGM_FI_DEV_GPU_UTIL", 40.0), ("DCGM_FI_DEV_POWER_USAGE", 55.5), ("DCGM_FI_DEV_GPU_TEMP", 61.0),
            ("DCGM_FI_DEV_SM_CLOCK", 1590.0), ("DCGM_FI_DEV_MEM_CLOCK", 5000.0), ("DCGM_FI_DEV_FB_USED", 2048.0),
        ):  # fmt: skip
            write(metric, "gauge", own, dict.fromkeys(range(POINTS), value))
    for side, value in (("status_current", 3.0), ("status_desired", 4.0), ("spec_min", 2.0), ("spec_max", 9.0)):
        labels = {"namespace": "shop", "horizontalpodautoscaler": "web"}
        write(f"kube_horizontalpodautoscaler_{side}_replicas", "gauge", labels, dict.fromkeys(range(POINTS), value))
    lines = [line for (family, kind), own in families.items() for line in (f"# TYPE {family} {kind}", *own)]
    return "\n".join([*lines, "# EOF", ""])


@contextmanager
def prometheus(folder: Path, text: str, web_config: Path | None = None) -> Iterator[str]:
    """A real Prometheus over blocks made from OpenMetrics text: its URL. It is stopped at the end, whatever happens.

    `web_config` switches TLS and basic authentication on; the URL is then https.
    """
    source, blocks, config = folder / "company.om", folder / "data", folder / "prometheus.yml"
    source.write_text(text)
    config.write_text("global: {scrape_interval: 1m}\n")
    promtool, server = shutil.which("promtool"), shutil.which("prometheus")
    assert promtool
    assert server
    subprocess.run([promtool, "tsdb", "create-blocks-from", "openmetrics", "-q", source, blocks], check=True, capture_output=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = (folder / "prometheus.log").open("w")
    process = subprocess.Popen(
        [server, f"--config.file={config}", f"--storage.tsdb.path={blocks}", f"--web.listen-address=127.0.0.1:{port}",
         "--storage.tsdb.retention.time=100y", "--log.level=warn", *([f"--web.config.file={web_config}"] if web_config else [])],
        stdout=log, stderr=log,
    )  # fmt: skip
    try:
        url = f"{'https' if web_config else 'http'}://127.0.0.1:{port}"
        _wait_ready(f"{url}/-/ready", process, folder / "prometheus.log")
        yield url
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        log.close()


def _wait_ready(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    """Poll until the server answers; fails with its last refusal and its log."""
    refusal = "nothing was asked"
    for _ in range(READY_POLLS):
        assert server.poll() is None, f"Prometheus ended with {server.returncode}; its log:\n{log.read_text()}"
        try:
            answer = httpx.get(url, verify=False)
        except httpx.TransportError as error:
            refusal = repr(error)
        else:
            if answer.status_code in READY_CODES:
                return
            refusal = f"{answer.status_code} {answer.text.strip()}"
        time.sleep(0.05)
    raise AssertionError(f"Prometheus did not become ready; its last answer: {refusal}; its log:\n{log.read_text()}")


def hour(number: int) -> datetime:
    """Start of an hour of the company's day."""
    return START + timedelta(hours=number)
