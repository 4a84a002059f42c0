"""Every command that the README shows runs as shown."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", README, re.S) for line in block.splitlines()]


@pytest.mark.xdist_group("demo")
def test_the_commands_of_the_readme_run_in_their_order(tmp_path: Path) -> None:
    assert len(COMMANDS) >= 10
    for command in COMMANDS:
        words = command.replace("REPOSITORY", str(ROOT)).split()
        words[0] = str(Path(sys.executable).parent / words[0])
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}\n{done.stderr[-2000:]}"


def test_the_scenario_of_the_readme_is_valid() -> None:
    import yaml

    from models.scenario import parse_scenario

    (text,) = re.findall(r"```yaml\n(.*?)```", README, re.S)
    assert parse_scenario(yaml.safe_load(text), "README.md").zones[0].max_nodes == 60


def test_every_file_that_the_readme_links_exists() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
