"""Kinds of usage file: each says by content whether a file is its own and reads it as raw samples or as hourly rows.

A new kind is one new file in this package that registers itself in `USAGE_FILES`.
"""

from __future__ import annotations

import codecs
import gzip
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from models.errors import MetricsError, Problem
from models.registry import Registry
from simulator.ingest.metric_names import DEFAULT_PRESET, Matcher
from simulator.ingest.prometheus_parse import Series
from simulator.ingest.usage_store import Gap, Query

HEAD_BYTES = 65_536
LARGEST_TEXT_BYTES = 2**31
GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class FileOptions:
    """How to read files. `start` and `end` (UTC, end exclusive) cut hours out; `start` also dates a scrape without times."""

    start: datetime | None = None
    end: datetime | None = None
    preset: str = DEFAULT_PRESET
    select: tuple[Matcher, ...] = ()
    cluster: str = ""


@dataclass(frozen=True)
class RawSamples:
    """Series whose labels hold `__name__`; `undated` ones have no time of their own (times_ms is 0)."""

    dated: Sequence[Series]
    undated: Sequence[Series] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class HourlyRows:
    """Ready-made rows by table of the store, without its `cluster` column."""

    tables: Sequence[tuple[str, pa.Table | Query]]
    start: datetime
    end: datetime
    series: int
    samples: int
    gaps: tuple[Gap, ...] = ()
    warnings: tuple[str, ...] = field(default=())


class UsageFile(Protocol):
    """One kind of usage file."""

    describes: str

    def sniff(self, path: Path, head: bytes) -> bool:
        """Whether the file is of this kind; `head` is its first 64 KiB, unzipped."""
        ...

    def read(self, path: Path, options: FileOptions) -> RawSamples | HourlyRows:
        """All of the file. Raises `MetricsError` with the place of everything that is wrong."""
        ...


USAGE_FILES: Registry[UsageFile] = Registry("usage file", __name__)


def kind_of(path: Path) -> UsageFile:
    """The kind that recognises the file's content."""
    head = head_of(path)
    if not head and path.is_file():
        raise MetricsError(Problem(str(path), "an empty file", "give a file with content"))
    for _, kind in USAGE_FILES.items():
        if kind.sniff(path, head):
            return kind
    known = "; ".join(kind.describes for _, kind in USAGE_FILES.items())
    raise MetricsError(Problem(str(path), "content of no known kind of usage file", f"known kinds: {known}"))


def head_of(path: Path) -> bytes:
    """The first bytes of a file, unzipped when it is gzip; empty for a folder."""
    if path.is_dir():
        return b""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except FileNotFoundError:
        raise MetricsError(Problem(str(path), "no such file", "check the path")) from None
    except OSError as error:
        raise MetricsError(Problem(str(path), f"a file that cannot be read ({error.strerror})", "check its permissions")) from None
    try:
        text = zlib.decompressobj(wbits=31).decompress(head, HEAD_BYTES) if head.startswith(GZIP) else head
    except zlib.error:
        raise MetricsError(Problem(str(path), "gzip data that is damaged", "fetch the file again")) from None
    return text.removeprefix(codecs.BOM_UTF8)


def text_of(path: Path) -> str:
    """A text file, unzipped when it is gzip. Raises `MetricsError` for damage and for what is not UTF-8."""
    try:
        data = path.read_bytes()
        if data.startswith(GZIP):
            with gzip.open(path) as file:
                data = file.read(LARGEST_TEXT_BYTES)
        return data.decode("utf-8-sig")
    except (OSError, EOFError, zlib.error) as error:
        raise MetricsError(Problem(str(path), f"a file that cannot be read ({error})", "fetch the file again")) from None
    except UnicodeDecodeError as error:
        raise MetricsError(Problem(f"{path}: byte {error.start}", "text that is not UTF-8", "fetch the file again")) from None
