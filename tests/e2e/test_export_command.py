"""`burstline export` from the shell: keys that scripts rely on, files on disk, exit codes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from models.errors import CapacityError
from plans import plan
from simulator.cli import group
from simulator.record import to_json


@pytest.fixture
def plan_file(tmp_path: Path) -> Path:
    path = tmp_path / "plan.json"
    path.write_text(to_json(plan()))
    return path


def test_json_lists_files_with_their_hashes_and_warnings(plan_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = CliRunner().invoke(group, ["export", str(plan_file), "--out", str(out), "--json"], standalone_mode=False)
    assert result.exception is None
    document = json.loads(result.stdout)
    assert {"files", "warnings"} <= set(document)
    for entry in document["files"]:
        assert set(entry) == {"path", "kind", "target", "sha256"}
        assert hashlib.sha256((out / entry["path"]).read_bytes()).hexdigest() == entry["sha256"]
    kinds = {entry["kind"] for entry in document["files"]}
    assert {"MachineDeployment", "NodePool", "EC2NodeClass", "PriorityClass"} <= kinds
    assert any("BareMetalHosts" in line for line in document["warnings"])


def test_people_see_the_files_and_the_notes(plan_file: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(group, ["export", str(plan_file), "--out", str(tmp_path / "out")], standalone_mode=False)
    assert result.exception is None
    assert "files in" in result.stdout
    assert "note: prod-bm" in result.stdout


def test_a_mix_of_burst_modes_writes_nothing_and_is_exit_2(plan_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["export", str(plan_file), "--target", "karpenter", "--target", "eks_node_group", "--out", str(out)]
    result = CliRunner().invoke(group, arguments, standalone_mode=False)
    assert isinstance(result.exception, CapacityError)
    assert result.exception.exit_code == 2
    assert "two autoscalers" in str(result.exception)
    assert not out.exists()


def test_a_missing_plan_is_exit_2(tmp_path: Path) -> None:
    result = CliRunner().invoke(group, ["export", str(tmp_path / "plan.json")], standalone_mode=False)
    assert isinstance(result.exception, CapacityError)
    assert result.exception.exit_code == 2
    assert "No such file" in str(result.exception)


@pytest.mark.parametrize("name", ["export", "apply"])
def test_help_shows_an_example(name: str) -> None:
    result = CliRunner().invoke(group, [name, "--help"])
    assert result.exit_code == 0
    assert "Examples:" in result.stdout
    assert f"burstline {name}" in result.stdout
