"""Byte parser for the points of a Prometheus series: `[[1435781430.781,"0.25"], ...]` straight into arrays.

Decimal text becomes the nearest double. Up to 15 digits and small powers of ten one exact division or product is enough
(Clinger, 1990); up to 19 digits the algorithm of Eisel and Lemire (Lemire, "Number parsing at a gigabyte per second",
2021, in the form of Go's strconv) gives the same bits as a full-precision conversion or says that it cannot tell.
Whatever is left is handed back as byte ranges for Python's own `float`.
"""

from __future__ import annotations

import numpy as np
from numba import njit

_SMALLEST_POWER, _LARGEST_POWER = -342, 308
_EXACT_POWERS = np.array([10.0**power for power in range(23)])


def _powers_of_ten() -> tuple[np.ndarray, np.ndarray]:
    """High and low 64 bits of 10**p, truncated to 128 bits with the top bit set: uint64 [powers]."""
    high, low = [], []
    for power in range(_SMALLEST_POWER, _LARGEST_POWER + 1):
        if power >= 0:
            mantissa = 10**power
            extra = mantissa.bit_length() - 128
            mantissa = mantissa >> extra if extra > 0 else mantissa << -extra
        else:
            divisor = 10**-power
            mantissa = (1 << (divisor.bit_length() + 127)) // divisor
            mantissa >>= mantissa.bit_length() - 128
        high.append(mantissa >> 64)
        low.append(mantissa & 0xFFFFFFFFFFFFFFFF)
    return np.array(high, dtype=np.uint64), np.array(low, dtype=np.uint64)


_POWER_HIGH, _POWER_LOW = _powers_of_ten()

_LOW_32 = np.uint64(0xFFFFFFFF)
_NINE_BITS = np.uint64(0x1FF)
_TOP_BIT = np.uint64(1 << 63)
_NAN_BITS = np.uint64(0x7FF8000000000000)
_INFINITY_BITS = np.uint64(0x7FF0000000000000)
_U0, _U1, _U3, _U9, _U10, _U32, _U52, _U53, _U63 = (np.uint64(n) for n in (0, 1, 3, 9, 10, 32, 52, 53, 63))
_MANTISSA_MASK = np.uint64((1 << 52) - 1)
_NOT_A_DOUBLE = np.uint64(0x7FF0DEAD00000000)  # a NaN pattern that no conversion gives: "cannot tell"


@njit(cache=True, nogil=True)
def _product(a, b):  # type: ignore[no-untyped-def]
    """High and low 64 bits of the 128-bit product of two uint64."""
    a_high, a_low, b_high, b_low = a >> _U32, a & _LOW_32, b >> _U32, b & _LOW_32
    low = a_low * b_low
    middle = a_high * b_low + (low >> _U32)
    carry = (middle & _LOW_32) + a_low * b_high
    return a_high * b_high + (middle >> _U32) + (carry >> _U32), a * b


@njit(cache=True, nogil=True)
def eisel_lemire(mantissa, power):  # type: ignore[no-untyped-def]
    """Bits of the double nearest to mantissa * 10**power, or `_NOT_A_DOUBLE`; mantissa is a uint64 > 0."""
    if power < _SMALLEST_POWER or power > _LARGEST_POWER:
        return _NOT_A_DOUBLE
    zeros = 0
    while mantissa & _TOP_BIT == _U0:
        mantissa <<= _U1
        zeros += 1
    exponent = ((217706 * power) >> 16) + 64 + 1023 - zeros
    high, low = _product(mantissa, _POWER_HIGH[power - _SMALLEST_POWER])
    if high & _NINE_BITS == _NINE_BITS and low + mantissa < mantissa:
        wide_high, wide_low = _product(mantissa, _POWER_LOW[power - _SMALLEST_POWER])
        merged_high, merged_low = high, low + wide_high
        if merged_low < low:
            merged_high += _U1
        if merged_high & _NINE_BITS == _NINE_BITS and merged_low + _U1 == _U0 and wide_low + mantissa < mantissa:
            return _NOT_A_DOUBLE
        high, low = merged_high, merged_low
    top = high >> _U63
    result = high >> (top + _U9)
    exponent -= 1 - np.int64(top)
    if low == _U0 and high & _NINE_BITS == _U0 and result & _U3 == _U1:
        return _NOT_A_DOUBLE
    result = (result + (result & _U1)) >> _U1
    if result >> _U53 > _U0:
        result >>= _U1
        exponent += 1
    if exponent < 1 or exponent >= 0x7FF:
        return _NOT_A_DOUBLE
    return (np.uint64(exponent) << _U52) | (result & _MANTISSA_MASK)


@njit(cache=True, nogil=True)
def _blank(byte):  # type: ignore[no-untyped-def]
    return byte == 32 or byte == 10 or byte == 13 or byte == 9


@njit(cache=True, nogil=True)
def _skip(text, at):  # type: ignore[no-untyped-def]
    """Position of the first byte at or after `at` that is not white space."""
    while at < text.size and _blank(text[at]):
        at += 1
    return at


@njit(cache=True, nogil=True)
def _digits(text, at, mantissa, count):  # type: ignore[no-untyped-def]
    """Append decimal digits to a mantissa: (position after them, mantissa, significant digits so far)."""
    while at < text.size and 48 <= text[at] <= 57:
        mantissa = mantissa * _U10 + np.uint64(text[at] - 48)
        count += 1 if mantissa > _U0 else 0
        at += 1
    return at, mantissa, count


@njit(cache=True, nogil=True)
def _time_ms(text, at):  # type: ignore[no-untyped-def]
    """Whole milliseconds of plain seconds text: (position after it, milliseconds), position -1 when it is not plain."""
    sign = 1
    if at < text.size and text[at] == 45:
        sign, at = -1, at + 1
    start = at
    seconds, thousandths, scale = 0, 0, 100
    while at < text.size and 48 <= text[at] <= 57:
        seconds = seconds * 10 + (text[at] - 48)
        at += 1
    if at == start or at - start > 12:
        return -1, 0
    if at < text.size and text[at] == 46:
        at += 1
        first = at
        while at < text.size and 48 <= text[at] <= 57:
            thousandths += (text[at] - 48) * scale
            scale //= 10
            at += 1
        if at == first or at - first > 3:
            return -1, 0
    return at, sign * (seconds * 1000 + thousandths)


@njit(cache=True, nogil=True)
def _value_bits(text, at):  # type: ignore[no-untyped-def]
    """Bits of the decimal number at `at`: (position after it, bits); `_NOT_A_DOUBLE` when Python must decide."""
    negative = at < text.size and text[at] == 45
    if at < text.size and (negative or text[at] == 43):
        at += 1
    start = at
    at, mantissa, count = _digits(text, at, _U0, 0)
    figures, power = at - start, 0
    if at < text.size and text[at] == 46:
        first = at + 1
        at, mantissa, count = _digits(text, first, mantissa, count)
        power = first - at
        figures += at - first
    if figures == 0 or count > 19:
        return at, _NOT_A_DOUBLE
    if at < text.size and (text[at] == 101 or text[at] == 69):
        at += 1
        down = at < text.size and text[at] == 45
        if at < text.size and (down or text[at] == 43):
            at += 1
        first, exponent = at, 0
        while at < text.size and 48 <= text[at] <= 57 and at - first < 5:
            exponent = exponent * 10 + (text[at] - 48)
            at += 1
        if at == first:
            return at, _NOT_A_DOUBLE
        power += -exponent if down else exponent
    if mantissa == _U0:
        bits = _U0
    elif count <= 15 and -22 <= power <= 22:
        number = np.float64(mantissa)
        number = number * _EXACT_POWERS[power] if power >= 0 else number / _EXACT_POWERS[-power]
        bits = np.array([number]).view(np.uint64)[0]
    else:
        bits = eisel_lemire(mantissa, power)
        if bits == _NOT_A_DOUBLE:
            return at, bits
    return at, bits | _TOP_BIT if negative else bits


@njit(cache=True, nogil=True)
def _word_bits(text, start, stop):  # type: ignore[no-untyped-def]
    """Bits of NaN, Inf, +Inf and -Inf as Prometheus writes them, else `_NOT_A_DOUBLE`."""
    size = stop - start
    if size == 3 and text[start] == 78 and text[start + 1] == 97 and text[start + 2] == 78:
        return _NAN_BITS
    first = start + (1 if size == 4 and (text[start] == 43 or text[start] == 45) else 0)
    if stop - first == 3 and text[first] == 73 and text[first + 1] == 110 and text[first + 2] == 102:
        return _INFINITY_BITS | _TOP_BIT if text[start] == 45 else _INFINITY_BITS
    return _NOT_A_DOUBLE


@njit(cache=True, nogil=True)
def parse_points(text, times_ms, bits, odd):  # type: ignore[no-untyped-def]
    """Parse one `values` array.

    text : uint8 [bytes]; times_ms : int64 [capacity]; bits : uint64 [capacity] (doubles as bits); odd : int64 [capacity, 4].
    Returns (points, odd ones, -1), or (0, 0, byte position) where the text is not a list of [time, "value"] pairs.
    A row of `odd` is (point, 0 for its time or 1 for its value, first byte, byte after the last).
    """
    at = _skip(text, 0)
    if at >= text.size or text[at] != 91:
        return 0, 0, at
    at = _skip(text, at + 1)
    points, odds = 0, 0
    if at < text.size and text[at] == 93:
        rest = _skip(text, at + 1)
        return 0, 0, -1 if rest == text.size else rest
    while True:
        if at >= text.size or text[at] != 91 or points >= times_ms.size:
            return 0, 0, at
        at = _skip(text, at + 1)
        start = at
        at, times_ms[points] = _time_ms(text, at)
        if at < 0 or at >= text.size or not (text[at] == 44 or _blank(text[at])):
            at = start
            while at < text.size and text[at] != 44 and text[at] != 93 and not _blank(text[at]):
                at += 1
            odd[odds, 0], odd[odds, 1], odd[odds, 2], odd[odds, 3] = points, 0, start, at
            odds += 1
        at = _skip(text, at)
        if at >= text.size or text[at] != 44:
            return 0, 0, at
        at = _skip(text, at + 1)
        if at >= text.size or text[at] != 34:
            return 0, 0, at
        start = at + 1
        at, bits[points] = _value_bits(text, start)
        if at >= text.size or text[at] != 34 or bits[points] == _NOT_A_DOUBLE:
            at = start
            while at < text.size and text[at] != 34:
                at += 1
            bits[points] = _word_bits(text, start, at)
            if bits[points] == _NOT_A_DOUBLE:
                odd[odds, 0], odd[odds, 1], odd[odds, 2], odd[odds, 3] = points, 1, start, at
                odds += 1
        at = _skip(text, at + 1)
        if at >= text.size or text[at] != 93:
            return 0, 0, at
        points += 1
        at = _skip(text, at + 1)
        if at >= text.size or (text[at] != 44 and text[at] != 93):
            return 0, 0, at
        if text[at] == 93:
            rest = _skip(text, at + 1)
            return points, odds, -1 if rest == text.size else rest
        at = _skip(text, at + 1)
