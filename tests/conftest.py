"""Shared fixtures: where the public data and recordings lie, and one clear reason to skip when they are absent."""

from __future__ import annotations

from pathlib import Path

import pytest

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
