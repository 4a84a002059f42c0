"""Units: parse and format quantities; the one home of conversion constants.

CPU is integer millicores (`cpu_m`), memory MiB (`memory_mib`) except in kernels (KiB), time milliseconds in the engine.
The quantity grammar is Kubernetes' `resource.Quantity` (k8s.io/apimachinery/pkg/api/resource).
"""

from __future__ import annotations

import math
import re
from decimal import ROUND_HALF_EVEN, Decimal

HOURS_PER_YEAR = 8760
HOURS_PER_MONTH = 730
MONTHS_PER_YEAR = 12
WEEKS_PER_YEAR = 52
MS_PER_S = 1000
MS_PER_H = 3_600_000
MS_PER_DAY = 24 * MS_PER_H
KIB_PER_MIB = 1024
MIB_PER_GIB = 1024

_SUFFIX = {
    "": Decimal(1), "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"),
    "k": Decimal(10**3), "M": Decimal(10**6), "G": Decimal(10**9), "T": Decimal(10**12), "P": Decimal(10**15), "E": Decimal(10**18),
    "Ki": Decimal(2**10), "Mi": Decimal(2**20), "Gi": Decimal(2**30), "Ti": Decimal(2**40), "Pi": Decimal(2**50), "Ei": Decimal(2**60),
}  # fmt: skip
_QUANTITY = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(?:([eE][+-]?\d+)|(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?)")
_DURATION = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h|d|w)")
_DURATION_S = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


def quantity(text: str | int | float) -> Decimal:
    """Exact value of a Kubernetes quantity, in its base unit (cores, bytes, pieces).

    >>> quantity("500m"), quantity("16Gi"), quantity("1e3")
    (Decimal('0.500'), Decimal('17179869184'), Decimal('1000'))
    """
    match = _QUANTITY.fullmatch(str(text).strip())
    if match is None:
        raise ValueError(f"{text!r} is not a Kubernetes quantity (examples: 500m, 2, 16Gi)")
    number, exponent, suffix = match.groups()
    try:
        value = Decimal(number) * (Decimal("1" + exponent) if exponent else _SUFFIX[suffix or ""])
        return value.normalize().quantize(Decimal(1)) if value == value.to_integral_value() else value
    except ArithmeticError as error:
        raise ValueError(f"{text!r} is out of range") from error


def _ceil(value: Decimal) -> int:
    return int(value.to_integral_value(rounding="ROUND_CEILING"))


def cpu_m(text: str | int | float) -> int:
    """Millicores of a CPU quantity, rounded up as the scheduler does.

    >>> cpu_m("500m"), cpu_m(4), cpu_m("0.1")
    (500, 4000, 100)
    """
    return _ceil(quantity(text) * 1000)


def memory_bytes(text: str | int | float) -> int:
    """Bytes of a memory quantity, rounded up.

    >>> memory_bytes("1Ki")
    1024
    """
    return _ceil(quantity(text))


def memory_mib(text: str | int | float) -> float:
    """MiB of a memory quantity.

    >>> memory_mib("16Gi")
    16384.0
    """
    return float(quantity(text)) / 2**20


def duration_s(text: str | int | float) -> float:
    """Seconds of a Go or Prometheus duration; every spelling of Go's time.ParseDuration but negative ones.

    >>> duration_s("1h30m"), duration_s("10s"), duration_s(5), duration_s("+.5m"), duration_s("250us")
    (5400.0, 10.0, 5.0, 30.0, 0.00025)
    """
    if isinstance(text, int | float):
        return float(text)
    written = text.strip().removeprefix("+")
    total, end = 0.0, 0
    for part in _DURATION.finditer(written):
        if part.start() != end:
            break
        total, end = total + float(part[1]) * _DURATION_S[part[2]], part.end()
    if end != len(written) or not end:
        raise ValueError(f"{text!r} is not a duration (examples: 10s, 15m0s, 720h)")
    return total


def go_duration(seconds: float) -> str:
    """Go spelling of whole seconds, as autoscaler flags want it.

    >>> go_duration(3600), go_duration(90)
    ('1h0m0s', '1m30s')
    """
    whole = round(seconds)
    hours, rest = divmod(whole, 3600)
    minutes, secs = divmod(rest, 60)
    return f"{hours}h{minutes}m{secs}s" if hours else f"{minutes}m{secs}s" if minutes else f"{secs}s"


def cpu_text(millicores: int) -> str:
    """Kubernetes spelling of millicores.

    >>> cpu_text(15540), cpu_text(4000)
    ('15540m', '4')
    """
    return str(millicores // 1000) if millicores % 1000 == 0 else f"{millicores}m"


def memory_text(mib: int) -> str:
    """Kubernetes spelling of MiB.

    >>> memory_text(16384), memory_text(100)
    ('16Gi', '100Mi')
    """
    return f"{mib // MIB_PER_GIB}Gi" if mib % MIB_PER_GIB == 0 else f"{mib}Mi"


_DECIMALS = {"KRW": 0, "JPY": 0, "IDR": 0}


def money_text(value: float | Decimal, currency: str = "USD", *, decimals: int | None = None) -> str:
    """Money for people: thousands separators, the currency's own number of decimals.

    >>> money_text(4195.957, "USD"), money_text(1350000.4, "KRW")
    ('USD 4,195.96', 'KRW 1,350,000')
    """
    places = _DECIMALS.get(currency, 2) if decimals is None else decimals
    rounded = Decimal(str(value)).quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_EVEN)
    return f"{currency} {rounded:,}"


_SYMBOLS = {"USD": "$", "KRW": "₩"}


def money_short(value: float, currency: str = "USD") -> str:
    """Money for a headline: the currency's sign, three digits and a scale.

    >>> money_short(384_656), money_short(-5_192_849_000, "KRW"), money_short(12.3, "EUR")
    ('$385 k', '-₩5.19 bn', 'EUR 12')
    """
    sign = ("-" if value < 0 else "") + _SYMBOLS.get(currency, f"{currency} ")
    for scale, letter in ((1e9, " bn"), (1e6, " M"), (1e3, " k")):
        size = abs(value) / scale
        if size >= 0.9995:
            return f"{sign}{size:,.{2 if size < 10 else 1 if size < 100 else 0}f}{letter}"
    return f"{sign}{abs(value):,.0f}"


def ceil_int(value: float) -> int:
    """Ceiling that forgives float dust: 38.000000000001 is 38.

    >>> ceil_int(38.0000000001), ceil_int(38.01)
    (38, 39)
    """
    return math.ceil(value - 1e-9)
