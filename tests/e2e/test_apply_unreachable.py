"""Clusters that are not there, kubeconfigs that say nothing, folders that hold nothing: one message, the right exit code."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from plans import plan
from simulator.cli import main
from simulator.export.bundle import export_bundle, write_bundle


@pytest.fixture
def manifests(tmp_path: Path) -> Path:
    folder = tmp_path / "manifests"
    write_bundle(export_bundle(plan()), folder)
    return folder


def kubeconfig(path: Path, server: str, *contexts: str) -> Path:
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "a", "cluster": {"server": server}}],
        "users": [{"name": "a", "user": {}}],
        "contexts": [{"name": name, "context": {"cluster": "a", "user": "a"}} for name in contexts],
    }
    path.write_text(yaml.safe_dump(document))
    return path


@dataclass
class Done:
    returncode: int
    stdout: str
    stderr: str


Run = Callable[..., Done]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The console script's own entry point, with the exit code and what it printed."""

    def call(*arguments: str | Path) -> Done:
        monkeypatch.setattr(sys, "argv", ["burstline", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        printed = capsys.readouterr()
        return Done(int(end.value.code or 0), printed.out, printed.err)

    return call


def test_a_dead_server_is_one_message_and_exit_4(run: Run, manifests: Path, tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        server = f"https://127.0.0.1:{unused.getsockname()[1]}"
        done = run("apply", manifests, "--kubeconfig", kubeconfig(tmp_path / "config", server, "a"), "--yes")
    assert done.returncode == 4
    assert done.stdout == ""
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith(f"error: {server}: the cluster does not answer")
    assert "nothing was written" in line
    assert not (manifests / "apply-plan.json").exists()


def test_a_server_that_is_no_kubernetes_is_one_message(manifests: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(30)
        server = f"http://127.0.0.1:{listener.getsockname()[1]}"
        config = kubeconfig(tmp_path / "config", server, "a")
        script = "import sys; from simulator.cli import main; main()"
        command = [sys.executable, "-c", script, "apply", str(manifests), "--kubeconfig", str(config)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            connection, _ = listener.accept()
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 4\r\nConnection: close\r\n\r\nhey\n")
            connection.close()
            listener.close()
            out, err = process.communicate(timeout=60)
    assert process.returncode == 4
    assert out == ""
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("contexts", "arguments", "message"),
    [
        (("a", "b"), (), "choose one with --context: a, b"),
        (("a",), ("--context", "z"), "'z'; one of a"),
        ((), (), "found 0 contexts"),
    ],
)
def test_the_context_is_never_guessed(
    run: Run, manifests: Path, tmp_path: Path, contexts: tuple[str, ...], arguments: tuple[str, ...], message: str
) -> None:
    done = run("apply", manifests, "--kubeconfig", kubeconfig(tmp_path / "config", "https://127.0.0.1:9", *contexts), *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [(None, "no kubeconfig"), ("[", "a damaged kubeconfig"), ("- a", "a damaged kubeconfig"), ("contexts: 3", "a damaged kubeconfig")],
)
def test_a_missing_or_damaged_kubeconfig_is_exit_2(run: Run, manifests: Path, tmp_path: Path, text: str | None, message: str) -> None:
    path = tmp_path / "config"
    if text is not None:
        path.write_text(text)
    done = run("apply", manifests, "--kubeconfig", path)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "no Kubernetes objects"),
        ({"a.yaml": "a: [", "b.yaml": "- 1"}, "b.yaml: found a list where an object is expected"),
        ({"a.yaml": "kind: ConfigMap"}, "no apiVersion"),
        ({"a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: A}"}, "a lower-case DNS name"),
        ({"export.json": "[", "a.yaml": "apiVersion: v1"}, "export again"),
    ],
)
def test_a_folder_that_cannot_be_applied_is_refused_before_any_cluster_is_asked(
    run: Run, tmp_path: Path, files: dict[str, str], message: str
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    done = run("apply", folder, "--kubeconfig", tmp_path / "no-such-file")
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_that_is_not_there_is_exit_2(run: Run, tmp_path: Path) -> None:
    done = run("apply", tmp_path / "nowhere")
    assert done.returncode == 2
    assert "no such folder" in done.stderr
