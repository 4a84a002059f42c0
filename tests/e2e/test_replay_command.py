"""`burstline replay` from the shell: what is refused, and what the tables and notes say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from models.errors import InputError
from simulator.cli.replay import command

CURVE: dict[str, Any] = {
    "groups": {"own": {"allocatable": {"cpu": "15", "memory": "60Gi", "pods": "110"}, "max": 5}},
    "shapes": {"web": {"cpu": "4", "memory": "8Gi"}},
    "replicas_by_second": {"web": [6] * 20},
}


def run(path: Path, text: str, *arguments: str) -> Result:
    path.write_text(text)
    return CliRunner().invoke(command, [str(path), *arguments])


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        (yaml.safe_dump(CURVE) + "groups: {}\n", "key 'groups' stands already in line 1"),
        (json.dumps(CURVE)[:-1] + ', "groups": {}}', "key 'groups' stands twice"),
    ],
)
def test_a_key_that_stands_twice_is_refused(tmp_path: Path, text: str, finding: str) -> None:
    result = run(tmp_path / "curve", text)
    assert isinstance(result.exception, InputError)
    assert finding in str(result.exception)
    assert result.stdout == ""
