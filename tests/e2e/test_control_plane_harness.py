"""The harness itself: a real API server answers, and nothing is left running."""

from __future__ import annotations

import os

import pytest

from control_plane import ControlPlane

pytestmark = pytest.mark.control_plane


def test_api_server_serves_its_version_to_kubectl_and_over_http(control_plane: ControlPlane) -> None:
    assert control_plane.http().get("/version").json()["major"] == "1"
    assert "Server Version" in control_plane.kubectl("version")


def test_a_user_without_rbac_is_refused(control_plane: ControlPlane) -> None:
    assert control_plane.http("exporter").get("/api/v1/nodes").status_code == 403


def test_stopping_a_program_ends_its_process(control_plane: ControlPlane) -> None:
    program = control_plane.start_controller_manager()
    control_plane.stop_program("kube-controller-manager")
    with pytest.raises(ProcessLookupError):
        os.killpg(program.process.pid, 0)
