"""`burstline usage` as a program: exit codes, one message on stderr, nothing on stdout; a killed import leaves no half."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from simulator.cli import main
from simulator.ingest.usage_store import load_usage
from usage_company import hour

BURSTLINE = Path(sys.executable).with_name("burstline")


class Result(NamedTuple):
    """What a command left behind."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """`burstline usage` as the console script runs it, in this process."""

    def call(*arguments: str | Path) -> Result:
        monkeypatch.setattr(sys, "argv", ["burstline", "usage", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return Result(int(ended.value.code or 0), out, err)

    return call


def _parquet(path: Path, cores: float, hours: int = 500, workloads: int = 40) -> Path:
    size = hours * workloads
    columns = {
        "hour": pa.array([hour(k // workloads) for k in range(size)], pa.timestamp("us", tz="UTC")),
        "namespace": pa.array(["shop"] * size),
        "workload": pa.array([f"w{k % workloads}" for k in range(size)]),
        "cpu_request_m": pa.array([cores] * size),
    }
    pq.write_table(pa.table(columns), path)
    return path


def test_a_dead_prometheus_is_one_clear_message(tmp_path: Path) -> None:
    store = tmp_path / "case.duckdb"
    arguments = ["usage", "--prometheus", "http://127.0.0.1:9", "--json", "--store", str(store)]
    result = subprocess.run([BURSTLINE, *arguments], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (2, "")
    errors = [line for line in result.stderr.splitlines() if line.strip()]
    assert len(errors) == 1
    assert errors[0].startswith("error: http://127.0.0.1:9: found no server (")
    assert errors[0].endswith("check that Prometheus runs and that the URL and port are right")


def test_one_source_must_be_named(run: Callable[..., Result]) -> None:
    for arguments in ((), ("--prometheus", "http://a", "--file", "b")):
        result = run(*arguments)
        assert result.returncode == 2
        assert "give one of --prometheus" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--from", "yesterday"), "is not a time"),
        (("--step", "often"), "--step"),
        (("--step", "7s"), "give a step that divides an hour"),
        (("--select", "cluster"), "is not a label matcher"),
        (("--token-env", "NO_SUCH_VARIABLE"), "NO_SUCH_VARIABLE is not set"),
        (("--token-file", "none"), "none cannot be read"),
        (("--ca", "none.pem"), "no usable certificate authority"),
        (("--preset", "kube-promethius"), "did you mean kube-prometheus"),
    ],
)
def test_an_option_that_cannot_be_is_one_message(run: Callable[..., Result], arguments: tuple[str, str], said: str) -> None:
    result = run("--prometheus", "https://127.0.0.1:9" if "--ca" in arguments else "http://127.0.0.1:9", *arguments)
    assert result.returncode == 2
    assert said in " ".join(result.stderr.split())


def test_help_shows_an_example(run: Callable[..., Result]) -> None:
    result = run("--help")
    assert result.returncode == 0
    assert "burstline usage --prometheus http://localhost:9090" in result.stdout


def test_a_file_is_imported_and_printed_for_people_and_programs(run: Callable[..., Result], tmp_path: Path) -> None:
    path = _parquet(tmp_path / "usage.parquet", 250.0, hours=3, workloads=2)
    shown = run("--file", path)
    assert shown.returncode == 0
    assert "2026-03-02 00:00 to 2026-03-02 03:00 UTC, 3 hours" in shown.stdout
    document = json.loads(run("--file", path, "--json").stdout)
    assert (document["series"], document["samples"], document["gaps"]) == (2, 6, [])
    assert document["peaks"] == {"cpu_request_m": 500.0}


FOREVER = """
import sys
from pathlib import Path
from simulator.ingest.usage_file import import_files
from simulator.ingest.usage_files import FileOptions
from simulator.cli import main
from simulator.ingest.usage_store import open_usage
store, *files = map(Path, sys.argv[1:])
with open_usage(store) as connection:
    import_files(connection, files[:1], FileOptions())
    print("ready", flush=True)
    while True:
        for path in reversed(files):
            import_files(connection, [path], FileOptions())
"""


@pytest.mark.parametrize("wait_s", [0.02, 0.11, 0.23])
def test_a_killed_import_leaves_the_store_as_before_or_after(tmp_path: Path, wait_s: float) -> None:
    files = [_parquet(tmp_path / "one.parquet", 1.0), _parquet(tmp_path / "two.parquet", 2.0)]
    store = tmp_path / "store.duckdb"
    command = [sys.executable, "-c", FOREVER, store, *files]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        time.sleep(wait_s)
        process.send_signal(signal.SIGKILL)
    history = load_usage(store)
    values = set(history.requests[:, :, 0].ravel().tolist())
    assert values in ({1.0}, {2.0})
    assert history.requests.shape[:2] == (500, 40)
