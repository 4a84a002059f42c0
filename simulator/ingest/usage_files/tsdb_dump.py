"""Output of `promtool tsdb dump`: one line for each sample, `{__name__="up", job="node"} 1 1772409600000`.

Source: prometheus/prometheus cmd/promtool/tsdb.go (2.42 and 3.x); label values, and since 3.0 names that are not plain, are
quoted as Go quotes strings. Native histograms are counted and left out.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from models.errors import MetricsError, Problem
from simulator.ingest.prometheus_parse import Series
from simulator.ingest.usage_files import USAGE_FILES, FileOptions, RawSamples, text_of

_LINE = re.compile(r"(\{.*\}) (\S+) (-?\d{1,15})")
_HISTOGRAM = re.compile(r"\{.*\} \{count:.*\} -?\d{1,15}")
_QUOTED = r'"((?:[^"\\]|\\.)*)"'
_LABEL = re.compile(rf"(?:([a-zA-Z_][a-zA-Z0-9_]*)|{_QUOTED})={_QUOTED}(?:, ?|$)")
_SHOWN = 5


class TsdbDump:
    """Samples of a database as promtool prints them."""

    describes = "output of promtool tsdb dump"

    def sniff(self, path: Path, head: bytes) -> bool:
        """The first line is a series in braces, with its name among the labels, and a value."""
        first = head.split(b"\n", 1)[0]
        return first.startswith(b"{") and b'__name__="' in first and b"} " in first

    def read(self, path: Path, options: FileOptions) -> RawSamples:
        """Every sample, series by series."""
        found: dict[str, tuple[list[int], list[float]]] = {}
        problems: list[Problem] = []
        histograms = 0
        for number, written in enumerate(text_of(path).split("\n"), start=1):  # not splitlines: values may hold U+2028
            line = written.removesuffix("\r")
            if not line.strip():
                continue
            if _HISTOGRAM.fullmatch(line):
                histograms += 1
                continue
            parts = _LINE.fullmatch(line)
            value = _number(parts[2]) if parts else None
            if parts is None or value is None:
                problems.append(Problem(f"{path}: line {number}", repr(line[:60]), "a line is {labels} value milliseconds; dump again"))
                if len(problems) == _SHOWN:
                    break
                continue
            times, values = found.setdefault(parts[1], ([], []))
            times.append(int(parts[3]))
            values.append(value)
        if problems:
            raise MetricsError(problems)
        told = (f"{path.name}: {histograms} samples of native histograms were not read",) if histograms else ()
        return RawSamples(list(_series(path, found)), warnings=told)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _series(path: Path, found: dict[str, tuple[list[int], list[float]]]) -> Iterator[Series]:
    for text, (times, values) in found.items():
        try:
            labels = _labels(text[1:-1])
        except (ValueError, SyntaxError):
            raise MetricsError(Problem(str(path), f"labels that do not parse: {text[:60]!r}", "dump again")) from None
        yield Series(labels, np.array(times, dtype=np.int64), np.array(values))


def _labels(text: str) -> dict[str, str]:
    """Labels between the braces; Go's escapes read as Python's do.

    >>> _labels('__name__="up", path="a\\\\"b"')
    {'__name__': 'up', 'path': 'a"b'}
    """
    labels, at = {}, 0
    while at < len(text):
        part = _LABEL.match(text, at)
        if part is None:
            raise ValueError(text[at:])
        plain, quoted, value = part.groups()
        labels[plain or _unquoted(quoted)] = _unquoted(value)
        at = part.end()
    return labels


def _unquoted(text: str) -> str:
    return str(ast.literal_eval(f'"{text}"')) if "\\" in text else text


USAGE_FILES.register("tsdb-dump", TsdbDump())
