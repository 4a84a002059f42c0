"""Static inventory: a YAML or CSV list of server generations that are already there.

YAML holds `servers:`, a list; CSV one row for each generation. Fields: name, count, threads, memory_gib, and, where known,
cores, bought (a date), watts_idle, watts_peak, speed, failures_per_year, book_value_usd, support_usd_per_year.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from models.errors import InputError, MetricsError, Problem
from models.inventory import NOT_GIVEN, Inventory, ServerGroup
from models.units import MIB_PER_GIB
from models.unknown import Unknown
from simulator.catalog import read_yaml
from simulator.ingest.store import ensure_part, transaction


class _Row(BaseModel):
    """One generation as written; unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str = Field(min_length=1)
    count: int = Field(gt=0)
    threads: int = Field(gt=0)
    memory_gib: float = Field(gt=0, allow_inf_nan=False)
    cores: int | None = Field(default=None, gt=0)
    bought: date | None = None
    watts_idle: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    watts_peak: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    speed: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    failures_per_year: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    book_value_usd: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    support_usd_per_year: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    gpus: dict[str, int] = {}

    def group(self) -> ServerGroup:
        """The generation; what is not written is unknown."""
        written = self.model_dump(exclude={"memory_gib"})
        fields: dict[str, Any] = {name: NOT_GIVEN if value is None else value for name, value in written.items()}
        return ServerGroup(memory_mib=round(self.memory_gib * MIB_PER_GIB), **fields)


def read_inventory(path: Path | str) -> Inventory:
    """A static inventory. Raises `MetricsError` with every row and field that is wrong."""
    path = Path(path)
    rows = _csv_rows(path) if path.suffix.lower() == ".csv" else _yaml_rows(path)
    groups: list[ServerGroup] = []
    problems: list[Problem] = []
    for place, row in rows:
        try:
            groups.append(_Row.model_validate(row).group())
        except ValidationError as error:
            problems += [Problem(f"{place}: {'.'.join(map(str, one['loc']))}", _found(one), one["msg"]) for one in error.errors()]
    names = [group.name for group in groups]
    twice = sorted({name for name in names if names.count(name) > 1})
    problems += [Problem(str(path), f"the name {name} twice", "give each generation its own name") for name in twice]
    problems += [
        Problem(f"{path}: {one.name}", "watts_idle above watts_peak", "swap them")
        for one in groups
        if not isinstance(one.watts_idle, Unknown) and not isinstance(one.watts_peak, Unknown) and one.watts_idle > one.watts_peak
    ]
    if not rows:
        problems.append(Problem(str(path), "no servers", "list at least one generation"))
    if problems:
        raise MetricsError(problems)
    return Inventory(tuple(sorted(groups, key=lambda one: one.name)), source=path.name)


def _found(error: Mapping[str, Any]) -> str:
    return "nothing" if error["type"] == "missing" else repr(error["input"])


def _yaml_rows(path: Path) -> list[tuple[str, Any]]:
    try:
        document = read_yaml(path)
    except InputError as error:
        raise MetricsError(error.problems) from None
    rows = document.get("servers") if isinstance(document, dict) else None
    if not isinstance(rows, list):
        raise MetricsError(Problem(str(path), "no list `servers`", "write servers: and a list of generations"))
    return [(f"{path}: servers[{number}]", _undated(row)) for number, row in enumerate(rows)]


def _undated(row: Any) -> Any:
    """YAML reads some dates as date-times; the day is meant."""
    if not isinstance(row, dict):
        return row
    return {key: value.date() if isinstance(value, datetime) else value for key, value in row.items()}


def _csv_rows(path: Path) -> list[tuple[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    except FileNotFoundError:
        raise MetricsError(Problem(str(path), "no such file", "check the path")) from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise MetricsError(Problem(str(path), f"a CSV that does not parse ({error})", "give UTF-8 text with a header")) from None
    return [(f"{path}: line {number}", {key: value for key, value in row.items() if value not in ("", None)})
            for number, row in enumerate(rows, start=2)]  # fmt: skip


DDL = "CREATE TABLE inventory (source VARCHAR PRIMARY KEY, document VARCHAR NOT NULL);"
_DOCUMENT = TypeAdapter(Inventory)


def save_inventory(connection: duckdb.DuckDBPyConnection, inventory: Inventory) -> None:
    """Keep an inventory in the store; one of the same source is replaced."""
    ensure_part(connection, "inventory", 1, DDL)
    with transaction(connection):
        connection.execute("DELETE FROM inventory WHERE source = ?", [inventory.source])
        connection.execute("INSERT INTO inventory VALUES (?, ?)", [inventory.source, _DOCUMENT.dump_json(inventory).decode()])


def load_inventory(connection: duckdb.DuckDBPyConnection) -> tuple[Inventory, ...]:
    """Every inventory of the store, in the order of their sources."""
    ensure_part(connection, "inventory", 1, DDL, read_only=True)
    rows = connection.execute("SELECT document FROM inventory ORDER BY source").fetchall()
    return tuple(_DOCUMENT.validate_json(row[0]) for row in rows)
