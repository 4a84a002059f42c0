"""Documents on disk: canonical JSON, atomic writes, input hashes and the run record.

Every file but `record.json` has the same bytes for the same scenario, data and seed; wall times stand only there.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel

from models.unknown import Unknown

_RECORDED = ("burstline", "numpy", "numba", "simpy", "scipy", "duckdb", "pyarrow", "kubernetes")


def plain(value: Any) -> Any:
    """Turn any result value into JSON types. NaN and infinity are refused: a missing value is `Unknown`."""
    match value:
        case None | bool() | str() | int():
            return value
        case Unknown():
            return {"unknown": value.reason}
        case Decimal():
            return int(value) if value == value.to_integral_value() and value.as_tuple().exponent >= 0 else float(value)  # type: ignore[operator]
        case datetime():
            return value.isoformat().replace("+00:00", "Z")
        case date():
            return value.isoformat()
        case float() | np.floating():
            if not np.isfinite(value):
                raise ValueError("a result holds NaN or infinity; use Unknown(reason)")
            return float(value)
        case np.integer() | np.bool_():
            return value.item()
        case np.ndarray():
            return [plain(item) for item in value.tolist()]
        case BaseModel():
            return plain(value.model_dump(mode="python"))
        case Mapping():
            return {str(key): plain(item) for key, item in value.items()}
        case set() | frozenset():
            return [plain(item) for item in sorted(value)]
        case Sequence():
            return [plain(item) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    raise TypeError(f"no JSON form for {type(value).__name__}")


def to_json(value: Any) -> str:
    """Indented JSON text of `plain(value)`."""
    return json.dumps(plain(value), ensure_ascii=False, indent=2)


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that replaces it when the block ends well; nothing is written half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    with writing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def sha256(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def run_record(*, inputs: Mapping[str, str], seed: int, seconds: Mapping[str, float], files: Mapping[str, str]) -> dict[str, Any]:
    """What stands in `record.json`: input hashes, seed, versions, machine, wall seconds by stage, output hashes."""
    return {
        "inputs": dict(inputs),
        "seed": seed,
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in _RECORDED}},
        "machine": {"platform": sys.platform, "architecture": platform.machine(), "cpus": os.cpu_count()},
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
        "files": dict(files),
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except Exception:  # a record must never fail a run that has its results
        return "not installed"


Clock = Callable[[], float]


class Stopwatch:
    """Wall seconds by stage; the only place where a clock is read."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the block's wall time to `name`."""
        start = self._clock()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + self._clock() - start
