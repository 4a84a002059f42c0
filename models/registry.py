"""Registry: name -> implementation, filled by the sibling files of a family package.

A family package holds one registry:

    ZONES: Registry[ZoneKind] = Registry("zone kind", __name__)

and each sibling file calls `ZONES.register("baremetal", BareMetal())` at import. The siblings are imported in name
order at the first look-up, so a new file is found without any other edit.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Generic, TypeVar

from models.errors import UnknownName

T = TypeVar("T")


class Registry(Generic[T]):
    """Implementations of one family by name; unknown names are refused with near misses."""

    def __init__(self, kind: str, package: str) -> None:
        self.kind = kind
        self._package = package
        self._parts: dict[str, T] = {}
        self._loaded = False

    def register(self, name: str, part: T) -> T:
        """Add `part` under `name`; a second registration of one name is a programming mistake."""
        if name in self._parts:
            raise ValueError(f"{self.kind} {name!r} is registered twice")
        self._parts[name] = part
        return part

    def load_siblings(self) -> None:
        """Import every module of the family package once, in name order."""
        if self._loaded:
            return
        self._loaded = True
        package = importlib.import_module(self._package)
        for module in sorted(m.name for m in pkgutil.iter_modules(package.__path__)):
            importlib.import_module(f"{self._package}.{module}")

    def __getitem__(self, name: str) -> T:
        self.load_siblings()
        if name not in self._parts:
            raise UnknownName(self.kind, name, self.names())
        return self._parts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def names(self) -> list[str]:
        """All registered names, sorted."""
        self.load_siblings()
        return sorted(self._parts)

    def items(self) -> list[tuple[str, T]]:
        """All (name, implementation) pairs, sorted by name."""
        return [(name, self._parts[name]) for name in self.names()]
