"""The byte parser of range answers gives what a full JSON parse and `float` give, bit by bit."""

from __future__ import annotations

import json
import math
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.ingest import prometheus_kernels
from simulator.ingest.prometheus_parse import parse_matrix, points

QUICK = settings(max_examples=80, deadline=None)


def _bits(value: float) -> int:
    return struct.unpack("<Q", struct.pack("<d", value))[0]


def _go(value: float) -> str:
    """A sample value as Prometheus writes it (util/jsonutil, shortest decimals, exponents at the ends)."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return repr(value)


def _text(pairs: list[tuple[str, str]], gap: str = "") -> bytes:
    inner = f",{gap}".join(f'[{gap}{time}{gap},{gap}"{value}"{gap}]' for time, value in pairs)
    return f"{gap}[{gap}{inner}{gap}]{gap}".encode()


def _slow(text: bytes) -> tuple[list[int], list[int]]:
    pairs = json.loads(text)
    return [round(time * 1000) for time, _ in pairs], [_bits(float(value)) for _, value in pairs]


def assert_same(text: bytes) -> None:
    times_ms, values = points(text)
    slow_ms, slow_bits = _slow(text)
    assert times_ms.tolist() == slow_ms
    for fast, slow in zip(values.view(np.uint64).tolist(), slow_bits, strict=True):
        assert fast == slow or math.isnan(struct.unpack("<d", struct.pack("<Q", slow))[0])


TIMES = st.integers(-(10**11), 10**11).map(lambda ms: f"{ms / 1000:.3f}" if ms % 1000 else str(ms // 1000))


@QUICK
@given(st.lists(st.tuples(TIMES, st.floats(width=64).map(_go)), max_size=40), st.sampled_from(["", " ", "\n\t", "  \r\n"]))
def test_any_double_comes_back_bit_by_bit(pairs: list[tuple[str, str]], gap: str) -> None:
    assert_same(_text(pairs, gap))


DECIMALS = st.builds(
    lambda sign, whole, part, exponent: f"{sign}{whole}{'.' + part if part else ''}{exponent}",
    st.sampled_from(["", "-", "+"]),
    st.integers(0, 10**25).map(str),
    st.text("0123456789", max_size=25),
    st.one_of(st.just(""), st.integers(-330, 330).map(lambda e: f"e{e:+d}"), st.integers(0, 40).map(lambda e: f"E{e}")),
)


@QUICK
@given(st.lists(st.tuples(st.integers(0, 2 * 10**9).map(str), DECIMALS), max_size=40))
def test_any_decimal_text_is_rounded_to_the_nearest_double(pairs: list[tuple[str, str]]) -> None:
    assert_same(_text(pairs))


@pytest.mark.parametrize(
    "text",
    [
        "9007199254740993",  # 2**53 + 1: half way between two doubles, to even
        "9007199254740992.5",
        "2.2250738585072011e-308",  # the largest number below the normal ones
        "1.7976931348623157e308",
        "1.7976931348623159e308",  # rounds to infinity
        "4.9e-324",
        "0.1000000000000000055511151231257827021181583404541015625",
        "1e-400",
        "-0",
        "00012.500",
        "123456789012345678",
        "7205759403792793.5",
    ],
)
def test_hard_decimals(text: str) -> None:
    assert_same(_text([("1.5", text)]))


def test_finer_times_and_exponents_in_times_are_kept() -> None:
    assert points(b'[[1.23456,"1"],[1.7e9,"2"],[1435781430.781,"3"]]')[0].tolist() == [1235, 1_700_000_000_000, 1435781430781]


@QUICK
@given(st.binary(max_size=60))
def test_damage_is_a_value_error_or_what_json_reads(noise: bytes) -> None:
    for text in (noise, b"[[1," + noise, b'[[1,"2"]' + noise + b"]", b'[[1,"' + noise + b'"]]'):
        try:
            times_ms, values = points(text)
        except ValueError:
            continue
        pairs = json.loads(text)
        assert len(pairs) == times_ms.size == values.size


@QUICK
@given(st.lists(st.tuples(TIMES, DECIMALS), max_size=6))
def test_the_compiled_parser_equals_its_python_twin(pairs: list[tuple[str, str]]) -> None:
    text = np.frombuffer(_text(pairs), dtype=np.uint8)
    size = text.size // 7 + 1
    results = []
    for parse in (prometheus_kernels.parse_points, prometheus_kernels.parse_points.py_func):
        times_ms, bits, odd = np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.uint64), np.zeros((2 * size, 4), dtype=np.int64)
        with np.errstate(over="ignore"):
            counts = tuple(int(n) for n in parse(text, times_ms, bits, odd))
        results.append((counts, times_ms.tolist(), bits.tolist(), odd.tolist()))
    assert results[0] == results[1]


LABELS = st.dictionaries(st.text(min_size=1, max_size=8), st.text(max_size=8), max_size=4)
SERIES = st.lists(st.tuples(LABELS, st.lists(st.tuples(st.integers(0, 2 * 10**9), st.floats(allow_nan=False)), max_size=5)), max_size=5)


@QUICK
@given(SERIES, st.lists(st.text(max_size=10), max_size=2), st.sampled_from([None, 1]))
def test_a_whole_answer_equals_the_standard_parser(series: list, warnings: list[str], indent: int | None) -> None:
    result = [{"metric": labels, "values": [[time, _go(value)] for time, value in own]} for labels, own in series]
    document = {"status": "success", "data": {"resultType": "matrix", "result": result}, "warnings": warnings}
    answer = parse_matrix(json.dumps(document, indent=indent).encode())
    assert answer.warnings == tuple(warnings)
    assert [one.labels for one in answer.series] == [labels for labels, _ in series]
    assert [one.values.tolist() for one in answer.series] == [[value for _, value in own] for _, own in series]
    assert [one.times_ms.tolist() for one in answer.series] == [[1000 * time for time, _ in own] for _, own in series]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"status":"error","errorType":"bad_data","error":"parse error"}', "bad_data parse error"),
        (b'{"status":"success","data":{"resultType":"vector","result":[]}}', "type 'vector'"),
        (b'{"status":"success"}', "success"),
        (b"", "truncated"),
        (b'{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[1,"2"],[3]]}]}}', "byte 11"),
        (b"\xff\xfe", "malformed"),
    ],
)
def test_what_is_no_matrix_is_refused_with_the_reason(body: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_matrix(body)
