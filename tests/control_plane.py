"""A real Kubernetes control plane for tests: plain processes on loopback, one per test session (and per xdist worker).

etcd and kube-apiserver start at once; the controller-manager, scheduler, kwok and Karpenter when a test asks for them.
Programs come from `$KUBEBUILDER_ASSETS` or are unpacked by `../shared/bin/unpack`; certificates are made with openssl.
Service-account admission and node-condition taints are off, so pods and nodes need no controller-manager. Every program
runs in its own process group; its log is kept and the tail shown when it fails to start.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

SHARED = Path(__file__).resolve().parents[2] / "shared"
CRDS = SHARED / "crds"
USERS = {
    "admin": "/O=system:masters/CN=admin",
    "sched": "/CN=system:kube-scheduler",
    "kcm": "/CN=system:kube-controller-manager",
    "exporter": "/O=capacity/CN=capacity-exporter",
}
START_TIMEOUT_S = 60.0
AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata"}],
}
OPEN_PATHS = "--authorization-always-allow-paths=/healthz,/readyz,/livez,/metrics"


def find_programs() -> Path:
    """Folder that holds the programs; skips the test when there is none."""
    given = os.environ.get("KUBEBUILDER_ASSETS")
    if given and (Path(given) / "kube-apiserver").exists():
        return Path(given)
    unpack = SHARED / "bin" / "unpack"
    if not unpack.exists():
        pytest.skip("no Kubernetes programs: neither $KUBEBUILDER_ASSETS nor ../shared/bin is there")
    found = subprocess.run([str(unpack)], capture_output=True, text=True, check=True)
    return Path(found.stdout.strip())


def free_port() -> int:
    """A port on loopback that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Program:
    """One running program, in its own process group."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def tail(self, lines: int = 30) -> str:
        """Last lines of the log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def stop(self) -> None:
        """SIGTERM, ten seconds, SIGKILL."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()


class ControlPlane:
    """etcd and kube-apiserver, and the other programs on demand."""

    def __init__(self, programs: Path) -> None:
        self.programs = programs
        shm = Path("/dev/shm")
        self.folder = Path(tempfile.mkdtemp(prefix="control-plane-", dir=shm if os.access(shm, os.W_OK) else None))
        self.running: dict[str, Program] = {}
        self.port = free_port()
        self.url = f"https://127.0.0.1:{self.port}"
        self._clients: dict[str, httpx.Client] = {}
        self._namespaces = 0
        self._scheduler: tuple[dict[str, Any], int] = ({}, 0)

    def start(self) -> None:
        """Certificates, etcd, API server; about five seconds."""
        make_certificates(self.folder)
        self._start_etcd()
        self._start_apiserver()

    def stop(self) -> None:
        """Stop everything in reverse order and remove the folder; nothing keeps running."""
        for client in self._clients.values():
            client.close()
        for name in reversed(list(self.running)):
            self.stop_program(name)
        shutil.rmtree(self.folder, ignore_errors=True)

    def stop_program(self, name: str) -> None:
        """Stop one program if it runs."""
        program = self.running.pop(name, None)
        if program is not None:
            program.stop()

    def kubeconfig(self, user: str = "admin") -> Path:
        """Path of a kubeconfig for admin, sched, kcm or exporter (who has no rights until RBAC grants some)."""
        path = self.folder / f"{user}.kubeconfig"
        if not path.exists():
            name = {"name": "test"}
            document = {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "test",
                "clusters": [{**name, "cluster": {"server": self.url, "certificate-authority": str(self.folder / "serving-ca.crt")}}],
                "contexts": [{**name, "context": {"cluster": "test", "user": user}}],
                "users": [
                    {
                        "name": user,
                        "user": {
                            "client-certificate": str(self.folder / f"{user}.crt"),
                            "client-key": str(self.folder / f"{user}.key"),
                        },
                    }
                ],
            }
            path.write_text(yaml.safe_dump(document))
            path.chmod(0o600)
        return path

    def http(self, user: str = "admin") -> httpx.Client:
        """A client of the API server with the user's certificate; base URL set."""
        if user not in self._clients:
            self._clients[user] = httpx.Client(base_url=self.url, verify=self._tls(user), timeout=60.0)
        return self._clients[user]

    def kubectl(self, *arguments: str, user: str = "admin", text: str | None = None, check: bool = True) -> str:
        """Run kubectl and return stdout; `text` goes to stdin. A failure shows stderr."""
        done = subprocess.run(
            [str(self._program("kubectl")), f"--kubeconfig={self.kubeconfig(user)}", *arguments],
            input=text,
            capture_output=True,
            text=True,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def namespace(self, prefix: str = "case") -> str:
        """A new namespace, never used before; ready for pods."""
        self._namespaces += 1
        name = f"{prefix}-{self._namespaces}"
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        self.http().post("/api/v1/namespaces", json=body).raise_for_status()
        if "kube-controller-manager" in self.running:
            path = f"/api/v1/namespaces/{name}/serviceaccounts/default"
            wait_for(lambda: self.http().get(path).status_code == 200, f"service account of {name}")
        return name

    def apply_crds(self, *folders: str) -> None:
        """Apply the CRDs of `../shared/crds/<folder>` and wait until the API server serves them."""
        for folder in folders:
            path = CRDS / folder
            if not path.is_dir():
                pytest.skip(f"../shared/crds/{folder} is absent")
            self.kubectl("apply", "--server-side", "--force-conflicts", "-R", "-f", str(path))
            self.kubectl("wait", "--for=condition=Established", "--timeout=60s", "-R", "-f", str(path))

    def start_controller_manager(self) -> Program:
        """Deployments, ReplicaSets, namespaces, owner references, node taints by condition."""
        port, config = free_port(), self.kubeconfig("kcm")
        return self._once(
            "kube-controller-manager",
            [
                *_identity(config, port, self.folder / "kcm-certs"),
                f"--root-ca-file={self.folder}/serving-ca.crt",
                f"--service-account-private-key-file={self.folder}/sa.key",
                "--use-service-account-credentials=true",
            ],
            f"https://127.0.0.1:{port}/healthz",
        )

    def start_scheduler(self, config: Mapping[str, Any] | None = None, verbosity: int = 2) -> Program:
        """kube-scheduler; `config` holds the fields of a KubeSchedulerConfiguration (profiles and so on).

        A scheduler that runs with another configuration or tells less is replaced.
        """
        wanted = (dict(config or {}), verbosity)
        if wanted[0] != self._scheduler[0] or wanted[1] > self._scheduler[1]:
            self.stop_program("kube-scheduler")
            self._scheduler = wanted
        port, arguments = free_port(), [f"--v={verbosity}"]
        arguments += _identity(self.kubeconfig("sched"), port, self.folder / "sched-certs")
        if config is not None:
            document = {
                "apiVersion": "kubescheduler.config.k8s.io/v1",
                "kind": "KubeSchedulerConfiguration",
                "clientConnection": {"kubeconfig": str(self.kubeconfig("sched")), "qps": 1000, "burst": 2000},
                "leaderElection": {"leaderElect": False},
                **config,
            }
            path = self.folder / "scheduler.yaml"
            path.write_text(yaml.safe_dump(document))
            arguments.append(f"--config={path}")
        return self._once("kube-scheduler", arguments, f"https://127.0.0.1:{port}/readyz")

    def start_kwok(self) -> Program:
        """Fake kubelet for nodes annotated `kwok.x-k8s.io/node: fake`."""
        stages = CRDS / "kwok" / "stages"
        if not stages.is_dir():
            pytest.skip("../shared/crds/kwok/stages is absent")
        port = free_port()
        names = ("node-initialize", "node-heartbeat-with-lease", "pod-ready", "pod-complete", "pod-delete")
        arguments = [f"--config={stages / name}.yaml" for name in names]
        arguments += [
            f"--kubeconfig={self.kubeconfig()}",
            "--manage-all-nodes=false",
            "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake",
            "--node-ip=127.0.0.1",
            f"--node-port={port}",
            f"--server-address=127.0.0.1:{port}",
            "--cidr=10.64.0.0/16",
            "--node-lease-duration-seconds=40",
        ]
        return self._once("kwok", arguments, f"http://127.0.0.1:{port}/healthz")

    def start_karpenter(self, types: Sequence[Mapping[str, Any]], *, idle: str = "1s", most: str = "10s") -> Program:
        """Karpenter with its kwok provider and these instance types; replaces one that runs. Installs its CRDs."""
        self.stop_program("karpenter")
        self.apply_crds("karpenter")
        path = self.folder / "types.json"
        path.write_text(json.dumps(list(types)))
        health = free_port()
        arguments = [
            f"--metrics-port={free_port()}",
            f"--health-probe-port={health}",
            "--disable-leader-election=true",
            f"--instance-types-file-path={path}",
            f"--batch-idle-duration={idle}",
            f"--batch-max-duration={most}",
        ]
        environment = {"KUBECONFIG": str(self.kubeconfig()), "SYSTEM_NAMESPACE": "kube-system"}
        return self._once("karpenter", arguments, f"http://127.0.0.1:{health}/healthz", environment)

    def _start_etcd(self) -> None:
        client, peer = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
        self._etcd = client
        arguments = [
            "--name=node0",
            f"--data-dir={self.folder}/etcd",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=node0={peer}",
            "--auto-compaction-retention=1",
            "--quota-backend-bytes=2147483648",
            "--log-level=error",
            "--unsafe-no-fsync",
        ]
        self._once("etcd", arguments, f"{client}/health")

    def _start_apiserver(self) -> None:
        folder = self.folder
        (folder / "audit.yaml").write_text(yaml.safe_dump(AUDIT_POLICY))
        arguments = [
            f"--etcd-servers={self._etcd}",
            f"--cert-dir={folder}",
            f"--tls-cert-file={folder}/apiserver.crt",
            f"--tls-private-key-file={folder}/apiserver.key",
            "--bind-address=127.0.0.1",
            f"--secure-port={self.port}",
            f"--client-ca-file={folder}/client-ca.crt",
            "--authorization-mode=RBAC",
            "--allow-privileged=true",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--advertise-address=127.0.0.1",
            "--endpoint-reconciler-type=none",
            f"--service-account-issuer={self.url}/",
            f"--service-account-key-file={folder}/sa.pub",
            f"--service-account-signing-key-file={folder}/sa.key",
            "--enable-priority-and-fairness=false",
            "--max-requests-inflight=0",
            "--max-mutating-requests-inflight=0",
            f"--audit-policy-file={folder}/audit.yaml",
            f"--audit-log-path={folder}/audit.log",
            "--disable-admission-plugins=ServiceAccount,TaintNodesByCondition",
        ]
        self._once("kube-apiserver", arguments, f"{self.url}/readyz")

    def _program(self, name: str) -> Path:
        path = self.programs / name
        if not path.exists():
            pytest.skip(f"{name} is not among the Kubernetes programs of {self.programs.name}")
        return path

    def _tls(self, user: str) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.folder / "serving-ca.crt"))
        context.load_cert_chain(self.folder / f"{user}.crt", self.folder / f"{user}.key")
        return context

    def _once(self, name: str, arguments: Sequence[str], ready_url: str, environment: Mapping[str, str] | None = None) -> Program:
        """Start `name` unless it runs, and wait until its URL answers 200."""
        if name in self.running:
            return self.running[name]
        command = [str(self._program(name)), *arguments]
        setpriv = shutil.which("setpriv")
        if setpriv:  # the kernel ends the program should the tests be killed
            command = [setpriv, "--pdeathsig", "KILL", *command]
        log = self.folder / f"{name}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, **(environment or {})},
            )
        program = self.running[name] = Program(name, process, log)
        self._wait_ready(program, ready_url)
        return program

    def _wait_ready(self, program: Program, url: str) -> None:
        own = url.startswith(self.url)
        verify: ssl.SSLContext | bool = self._tls("admin") if own else False
        deadline = time.monotonic() + START_TIMEOUT_S
        refusal = "nothing was asked"
        with httpx.Client(verify=verify, timeout=5.0) as client:
            while time.monotonic() < deadline and program.process.poll() is None:
                try:
                    answer = client.get(url)
                except httpx.HTTPError as error:
                    refusal = repr(error)
                else:
                    if answer.status_code == 200:
                        return
                    refusal = f"{answer.status_code} {answer.text.strip()}"
                time.sleep(0.05)
        tail = program.tail()
        self.stop_program(program.name)
        raise AssertionError(f"{program.name} did not become ready; its last answer: {refusal}; its log ends:\n{tail}")


def _identity(kubeconfig: Path, port: int, certificates: Path) -> list[str]:
    """Flags that controller-manager and scheduler share."""
    return [
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        OPEN_PATHS,
        "--leader-elect=false",
        "--kube-api-qps=1000",
        "--kube-api-burst=2000",
        f"--cert-dir={certificates}",
    ]


def wait_for(condition: Callable[[], bool], what: str, timeout_s: float = 60.0, every_s: float = 0.05) -> None:
    """Poll until `condition` holds; fails naming `what`."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout_s:.0f} s for {what}")
        time.sleep(every_s)


def make_certificates(folder: Path) -> None:
    """Two CAs (serving and client trust differ), the API server's certificate, one per user, the service-account key."""

    def openssl(*arguments: str) -> None:
        done = subprocess.run(["openssl", *arguments], cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            raise AssertionError(f"openssl {' '.join(arguments)}: {done.stderr}")

    def authority(name: str) -> None:
        openssl(
            *f"req -x509 -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.crt -days 2 -subj /CN={name}".split(),
            *["-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign"],
        )

    def leaf(name: str, issuer: str, subject: str, extensions: str) -> None:
        (folder / f"{name}.ext").write_text(extensions + "\n")
        openssl(*f"req -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.csr -subj".split(), subject)
        openssl(
            *f"x509 -req -in {name}.csr -CA {issuer}.crt -CAkey {issuer}.key -CAcreateserial -days 2 -sha256".split(),
            *f"-extfile {name}.ext -out {name}.crt".split(),
        )

    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed: the test control plane needs it for its certificates")
    authority("serving-ca")
    authority("client-ca")
    leaf("apiserver", "serving-ca", "/CN=kube-apiserver", "subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth")
    for user, subject in USERS.items():
        leaf(user, "client-ca", subject, "extendedKeyUsage=clientAuth")
    openssl("genrsa", "-out", "sa.key", "2048")
    openssl("rsa", "-in", "sa.key", "-pubout", "-out", "sa.pub")
