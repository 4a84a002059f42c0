"""Answers of the Prometheus HTTP API (`/api/v1/query_range`, `/query`, `/series`) as arrays and plain values.

Format: https://prometheus.io/docs/prometheus/latest/querying/api/. msgspec finds the parts, a compiled byte parser reads
the points; every value equals what a full JSON parse and `float` would give, bit by bit.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from simulator.ingest.prometheus_kernels import parse_points

SHORTEST_POINT_BYTES = 7  # [0,""] and its comma
ODDS_PER_POINT = 2  # a point may have an odd time and an odd value
_JSON_NUMBER = re.compile(rb"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_VALUE = re.compile(rb"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|nan|[+-]?inf(?:inity)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Series:
    """One series: its labels, times_ms : int64 [points], values : float64 [points] (NaN and infinity as sent)."""

    labels: dict[str, str]
    times_ms: NDArray[np.int64]
    values: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Answer:
    """A matrix with what the server said about it."""

    series: tuple[Series, ...]
    warnings: tuple[str, ...] = ()
    infos: tuple[str, ...] = ()
    histograms: int = 0

    @property
    def samples(self) -> int:
        """Points in all series."""
        return sum(one.values.size for one in self.series)


class _RawSeries(msgspec.Struct, gc=False):
    metric: dict[str, str] = {}
    values: msgspec.Raw = msgspec.Raw(b"[]")
    histograms: msgspec.Raw | None = None


class _Matrix(msgspec.Struct, gc=False):
    resultType: str
    result: list[_RawSeries]


class _MatrixBody(msgspec.Struct, gc=False):
    status: str
    data: _Matrix | None = None
    errorType: str = ""
    error: str = ""
    warnings: list[str] | None = None
    infos: list[str] | None = None


class _AnyBody(msgspec.Struct, gc=False):
    status: str
    data: Any = None
    errorType: str = ""
    error: str = ""
    warnings: list[str] | None = None
    infos: list[str] | None = None


_MATRIX = msgspec.json.Decoder(_MatrixBody)
_ANY = msgspec.json.Decoder(_AnyBody)


def parse_matrix(body: bytes) -> Answer:
    """Series of a `query_range` answer. Raises ValueError, saying where, when the body is not such an answer."""
    try:
        answer = _MATRIX.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(str(error)) from None
    if answer.status != "success" or answer.data is None:
        raise ValueError(f"status {answer.status!r}: {answer.errorType} {answer.error}".strip())
    if answer.data.resultType != "matrix":
        raise ValueError(f"a result of type {answer.data.resultType!r} where a range query gives a matrix")
    series = tuple(Series(one.metric, *points(one.values)) for one in answer.data.result)
    histograms = sum(one.histograms is not None for one in answer.data.result)
    return Answer(series, tuple(answer.warnings or ()), tuple(answer.infos or ()), histograms)


def parse_data(body: bytes) -> tuple[Any, tuple[str, ...]]:
    """`data` and warnings of any other answer. Raises ValueError as `parse_matrix` does."""
    try:
        answer = _ANY.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(str(error)) from None
    if answer.status != "success":
        raise ValueError(f"status {answer.status!r}: {answer.errorType} {answer.error}".strip())
    return answer.data, tuple(answer.warnings or ())


def error_text(body: bytes) -> str:
    """The server's own words in an error answer, or an empty string."""
    try:
        answer = _ANY.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    return f"{answer.errorType}: {answer.error}" if answer.error else ""


def points(values: bytes | msgspec.Raw) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """times_ms : int64 [points] and values : float64 [points] of one `values` array.

    >>> points(b'[[1435781430.781,"1"],[1435781431,"0.25"]]')
    (array([1435781430781, 1435781431000]), array([1.  , 0.25]))
    """
    text = np.frombuffer(values, dtype=np.uint8)
    capacity = text.size // SHORTEST_POINT_BYTES + 1
    times_ms, bits = np.empty(capacity, dtype=np.int64), np.empty(capacity, dtype=np.uint64)
    odd = np.empty((ODDS_PER_POINT * capacity, 4), dtype=np.int64)
    count, odds, wrong_at = parse_points(text, times_ms, bits, odd)
    if wrong_at >= 0:
        raise ValueError(f'points that are not [time, "value"] pairs, at byte {wrong_at} of a series')
    times_ms, numbers = times_ms[:count].copy(), bits[:count].copy().view(np.float64)
    for point, part, start, stop in odd[:odds]:
        _mend(bytes(text[start:stop]), times_ms if part == 0 else numbers, int(point), is_time=part == 0)
    return times_ms, numbers


def _mend(text: bytes, target: NDArray[Any], point: int, *, is_time: bool) -> None:
    """Convert what the byte parser left alone: long decimals, exponents, finer times."""
    if not (_JSON_NUMBER if is_time else _VALUE).fullmatch(text):
        raise ValueError(f"{text[:40]!r} where a {'time' if is_time else 'number'} should stand")
    number = float(text)
    if is_time and not abs(number) < 1e12:
        raise ValueError(f"the time {text[:40]!r} is out of range")
    target[point] = round(number * 1000) if is_time else number
