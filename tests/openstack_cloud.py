"""A small OpenStack on the loopback: Keystone, Nova, Placement and Ironic speaking their documented JSON.

Shapes follow https://docs.openstack.org/api-ref/ (identity v3, compute, placement, baremetal).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

HYPERVISORS = [
    {"id": "11111111-0000-0000-0000-000000000001", "hypervisor_hostname": "compute-1", "hypervisor_type": "QEMU", "state": "up",
     "status": "enabled"},
    {"id": "11111111-0000-0000-0000-000000000002", "hypervisor_hostname": "compute-2", "hypervisor_type": "QEMU", "state": "up",
     "status": "enabled"},
    {"id": "11111111-0000-0000-0000-000000000003", "hypervisor_hostname": "compute-3", "hypervisor_type": "QEMU", "state": "down",
     "status": "enabled"},
]  # fmt: skip
OLD_SIZE = {"vcpus": 64, "memory_mb": 524288, "vcpus_used": 40, "memory_mb_used": 131072, "local_gb": 1000, "local_gb_used": 10,
            "free_disk_gb": 990, "free_ram_mb": 393216, "running_vms": 5, "current_workload": 0, "disk_available_least": 900}  # fmt: skip
FLAVOURS = [
    {"id": "m1", "name": "worker.16", "vcpus": 16, "ram": 65536, "disk": 100, "OS-FLV-EXT-DATA:ephemeral": 0, "swap": 0, "rxtx_factor": 1.0,
     "os-flavor-access:is_public": True, "OS-FLV-DISABLED:disabled": False, "extra_specs": {"hw:cpu_policy": "shared"}, "links": []},
    {"id": "m2", "name": "small", "vcpus": 2, "ram": 4096, "disk": 20, "OS-FLV-EXT-DATA:ephemeral": 0, "swap": 0, "rxtx_factor": 1.0,
     "os-flavor-access:is_public": True, "OS-FLV-DISABLED:disabled": False, "extra_specs": {}, "links": []},
]  # fmt: skip
NODES = [
    {"uuid": f"22222222-0000-0000-0000-00000000000{k}", "name": f"bm-{k}", "resource_class": "bm.large", "provision_state": state,
     "power_state": "power on", "maintenance": maintenance, "retired": retired, "properties": properties, "links": []}
    for k, (state, maintenance, retired, properties) in enumerate([
        ("active", False, False, {"cpus": "64", "memory_mb": "262144", "local_gb": "900", "cpu_arch": "x86_64"}),
        ("available", False, False, {"cpus": 64, "memory_mb": 262144}),
        ("available", True, False, {"cpus": 64, "memory_mb": 262144}),
        ("available", False, True, {"cpus": 64, "memory_mb": 262144}),
        ("enroll", False, False, {}),
    ])
]  # fmt: skip


def _version(url: str, number: str, top: str, least: str) -> dict[str, Any]:
    links = [{"rel": "self", "href": url}]
    return {"id": number, "status": "CURRENT", "version": top, "max_version": top, "min_version": least, "links": links}


class _Cloud(BaseHTTPRequestHandler):
    """`server.services` lists the services; `server.nova` the newest microversion; `server.refuse` paths that get 403."""

    def log_message(self, *_: object) -> None:
        pass

    @property
    def _root(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def _send(self, status: int, body: object, **headers: str) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(data)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        kinds = {"compute": "/compute/v2.1", "placement": "/placement", "baremetal": "/baremetal"}
        catalog = [
            {"type": kind, "name": kind, "id": kind, "endpoints": [
                {"id": kind, "interface": "public", "region": "one", "region_id": "one", "url": self._root + kinds[kind]}]}
            for kind in self.server.services
        ]  # fmt: skip
        token = {"methods": ["password"], "expires_at": "2099-01-01T00:00:00.000000Z", "issued_at": "2026-01-01T00:00:00.000000Z",
                 "user": {"id": "u", "name": "u", "domain": {"id": "default", "name": "Default"}}, "catalog": catalog,
                 "project": {"id": "p", "name": "p", "domain": {"id": "default", "name": "Default"}}, "roles": []}  # fmt: skip
        self._send(201, {"token": token}, X_Subject_Token="t")

    def do_GET(self) -> None:
        path = self.path.split("?")[0].rstrip("/")
        if path in self.server.refuse:
            self._send(403, {"forbidden": {"message": "Policy doesn't allow it", "code": 403}})
            return
        body = self._body(path)
        self._send(*((200, body) if body is not None else (404, {"itemNotFound": {"message": f"no {path}", "code": 404}})))

    def _body(self, path: str) -> object:
        old = tuple(map(int, self.server.nova.split("."))) < (2, 88)
        match path:
            case "/identity" | "/identity/v3":
                return {"version": _version(f"{self._root}/identity/v3/", "v3.14", "", "")}
            case "/compute/v2.1":
                return {"version": _version(f"{self._root}/compute/v2.1/", "v2.1", self.server.nova, "2.1")}
            case "/compute/v2.1/os-hypervisors/detail":
                return {"hypervisors": [{**one, **(OLD_SIZE if old else {})} for one in HYPERVISORS]}
            case "/compute/v2.1/flavors/detail":
                return {"flavors": FLAVOURS}
            case "/placement":
                return {"versions": [_version(f"{self._root}/placement/", "v1.0", "1.39", "1.0")]}
            case "/baremetal" | "/baremetal/v1":
                return {"id": "v1", "versions": [_version(f"{self._root}/baremetal/v1/", "v1", "1.90", "1.1")],
                        "version": _version(f"{self._root}/baremetal/v1/", "v1", "1.90", "1.1")}  # fmt: skip
            case "/baremetal/v1/nodes/detail":
                return {"nodes": self.server.nodes}
        if path.endswith("/inventories") and path.split("/")[-2] in self.server.without_provider:
            return None
        if path.endswith("/inventories"):
            ratio = {"allocation_ratio": 4.0, "max_unit": 64, "min_unit": 1, "reserved": 0, "step_size": 1}
            if self.server.inventories is not None:
                found = {kind: {**ratio, **own} for kind, own in self.server.inventories.items()}
                return {"resource_provider_generation": 1, "inventories": found}
            return {"resource_provider_generation": 1, "inventories": {
                "VCPU": {"total": 64, **ratio}, "MEMORY_MB": {"total": 524288, **ratio}}}  # fmt: skip
        if path.endswith("/usages"):
            return {"resource_provider_generation": 1, "usages": {"VCPU": 40, "MEMORY_MB": 131072}}
        return None


@contextmanager
def openstack_cloud(
    services: tuple[str, ...] = ("compute", "placement", "baremetal"),
    nova: str = "2.96",
    refuse: tuple[str, ...] = (),
    nodes: list[dict[str, Any]] | None = None,
    inventories: dict[str, dict[str, Any]] | None = None,
    without_provider: tuple[str, ...] = (),
) -> Iterator[str]:
    """The cloud's Keystone URL while the block runs; `inventories` replace what Placement says of every provider."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Cloud)
    server.services, server.nova, server.refuse = services, nova, refuse
    server.nodes, server.inventories, server.without_provider = NODES if nodes is None else nodes, inventories, without_provider
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/identity/v3"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
