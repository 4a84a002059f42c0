"""Shared fixtures: where the public data and recordings lie, and one clear reason to skip when they are absent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from control_plane import ControlPlane, find_programs

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def recordings() -> Path:
    """Recorded decisions of the real kube-scheduler, Cluster Autoscaler and Karpenter; our own measurements."""
    return ROOT / "tests" / "recordings"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Public bills, traces and prices that tests may read but the project does not commit."""
    folder = ROOT.parent / "shared" / "data"
    if not (folder / "billing").is_dir():
        pytest.skip("../shared/data is absent: tests on public data by others need it")
    return folder


@pytest.fixture(scope="session")
def control_plane() -> Iterator[ControlPlane]:
    """A real etcd and kube-apiserver, other programs on demand; one per session and xdist worker, gone at the end."""
    plane = ControlPlane(find_programs())
    try:
        plane.start()
        yield plane
    finally:
        plane.stop()
