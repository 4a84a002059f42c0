"""Reading a replay file: YAML or JSON with the keys of the recordings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from models.errors import InputError, Problem


def read_document(path: Path) -> dict[str, Any]:
    """The file's mapping; raises InputError when it cannot be read or is no mapping."""
    try:
        text = path.read_text(encoding="utf-8")
        document = json.loads(text) if text.lstrip().startswith("{") else yaml.safe_load(text)
    except (OSError, UnicodeDecodeError, ValueError, yaml.YAMLError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(Problem(str(path), f"an unreadable file ({reason})", "give a replay file as YAML or JSON")) from error
    if not isinstance(document, dict):
        raise InputError(Problem(str(path), type(document).__name__, "give a mapping with shapes and replicas_by_second"))
    return document
