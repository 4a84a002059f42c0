"""Reading a replay file: YAML or JSON with the keys of the recordings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from models.errors import InputError, Problem
from simulator.engine.kube.kube_fields import unique_keys
from simulator.yaml_text import parse_yaml


def read_document(path: Path) -> dict[str, Any]:
    """The file's mapping; raises InputError when it cannot be read or is no mapping."""
    try:
        text = path.read_text(encoding="utf-8")
        document = json.loads(text, object_pairs_hook=unique_keys) if text.lstrip().startswith("{") else parse_yaml(text, str(path))
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(Problem(str(path), f"an unreadable file ({reason})", "give a replay file as YAML or JSON")) from error
    if not isinstance(document, dict):
        raise InputError(Problem(str(path), type(document).__name__, "give a mapping with shapes and replicas_by_second"))
    return document
