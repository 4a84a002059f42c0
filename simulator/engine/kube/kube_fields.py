"""Typed access to the fields of a Kubernetes document; every wrong field becomes a `Problem` with its dotted path."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache
from typing import Any

from models.errors import Problem
from models.units import cpu_m, memory_bytes
from simulator.engine.kube.objects import CPU

LARGEST = 2**53
"""Amounts up to here keep 64-bit score arithmetic exact: 9 PB, or 9e12 cores."""


@lru_cache(maxsize=65536)
def amount(resource: str, text: str) -> int:
    """A quantity in scheduler amounts: millicores for cpu, else the base unit, rounded up.

    >>> amount("cpu", "1500m"), amount("memory", "2Gi"), amount("nvidia.com/gpu", "1")
    (1500, 2147483648, 1)
    """
    value = cpu_m(text) if resource == CPU else memory_bytes(text)
    if not 0 <= value <= LARGEST:
        raise ValueError(f"{text!r} is negative or beyond any node")
    return value


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON mapping whose keys are all different (`object_pairs_hook`); ValueError names a key that stands twice.

    >>> unique_keys([("a", 1), ("b", 2)])
    {'a': 1, 'b': 2}
    """
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"key {twice!r} stands twice in one mapping with the keys {', '.join(map(repr, names))}"[:200])
    return found


class Fields:
    """One mapping of a document. Reading a field of the wrong type adds a problem and gives the default."""

    def __init__(self, raw: Any, place: str, problems: list[Problem]) -> None:
        self.place = place
        self.problems = problems
        if raw is not None and not isinstance(raw, dict):
            self.refuse("", raw, "give a mapping of fields here")
            raw = None
        self.raw: dict[str, Any] = raw or {}

    def refuse(self, field: str, found: Any, mend: str) -> None:
        """Add one problem at `field`."""
        shown = repr(found)
        self.problems.append(Problem(self._at(field), shown if len(shown) <= 80 else shown[:77] + "...", mend))

    def _at(self, field: str) -> str:
        return f"{self.place}.{field}" if field else self.place

    def __contains__(self, field: str) -> bool:
        return self.raw.get(field) is not None

    def sub(self, field: str) -> Fields:
        """The mapping at `field`, empty when absent."""
        return Fields(self.raw.get(field), self._at(field), self.problems)

    def each(self, field: str) -> Iterator[Fields]:
        """The mappings of the list at `field`."""
        for index, item in enumerate(self.list(field)):
            yield Fields(item, f"{self._at(field)}[{index}]", self.problems)

    def list(self, field: str) -> list[Any]:
        """The list at `field`, empty when absent."""
        value = self.raw.get(field)
        if value is not None and not isinstance(value, list):
            self.refuse(field, value, "give a list here")
            value = None
        return value or []

    def texts(self, field: str) -> tuple[str, ...]:
        """The list of strings at `field`."""
        values = self.list(field)
        for index, value in enumerate(values):
            if not isinstance(value, str):
                self.refuse(f"{field}[{index}]", value, "give a string; quote it in YAML")
        return tuple(str(value) for value in values)

    def text(self, field: str, default: str = "", accepted: tuple[str, ...] = ()) -> str:
        """The string at `field`; `accepted` lists the only values allowed."""
        value = self.raw.get(field)
        if value is None or value == "":
            return default
        if isinstance(value, datetime):
            return value.isoformat().replace("+00:00", "Z")
        if not isinstance(value, str):
            self.refuse(field, value, "give a string; quote it in YAML")
            return default
        if accepted and value not in accepted:
            self.refuse(field, value, f"give one of {', '.join(accepted)}")
            return default
        return value

    def integer(self, field: str, default: int = 0, low: int = -(2**31), high: int = 2**31 - 1) -> int:
        """The integer at `field`, between `low` and `high`; Kubernetes' own fields are 32 bits wide unless `high` says more."""
        value = self.raw.get(field)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            self.refuse(field, value, f"give an integer in {low}..{high}")
            return default
        return int(value)

    def flag(self, field: str) -> bool:
        """The boolean at `field`, false when absent."""
        value = self.raw.get(field)
        if value is not None and not isinstance(value, bool):
            self.refuse(field, value, "give true or false")
            return False
        return bool(value)

    def labels(self, field: str) -> dict[str, str]:
        """The string-to-string mapping at `field`."""
        part = self.sub(field)
        for key, value in part.raw.items():
            if not isinstance(key, str) or not isinstance(value, str):
                part.refuse(str(key), value, "give a string; quote it in YAML")
        return {str(key): str(value) for key, value in part.raw.items()}

    def amounts(self, field: str) -> dict[str, int]:
        """The quantities at `field` as scheduler amounts."""
        part = self.sub(field)
        found: dict[str, int] = {}
        for resource, value in part.raw.items():
            try:
                if isinstance(value, bool) or not isinstance(value, str | int | float):
                    raise ValueError(f"{value!r} is no quantity")
                found[str(resource)] = amount(str(resource), str(value))
            except ValueError:
                part.refuse(str(resource), value, "give a Kubernetes quantity such as 500m, 2 or 16Gi, not negative, at most 2^53")
        return found
