"""Bill formats: one file per format; each says how sure it is of a file and how its rows become `bill_line` rows.

An import is two SQL steps. `group` names the raw keys and sums that are read from the file in one pass (only these
columns are read); `derive` turns the groups into `bill_line` rows: category, purchase option, effective cost. Effective
cost is a formula on sums because every key that decides it (line type, blank commitment values) is a group key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import duckdb

from models.registry import Registry
from simulator.ingest.tabular import Table


@dataclass(frozen=True)
class Options:
    """What an import may choose.

    tag_keys       : keys by which worker hours are split, the first that a bill has is used
    all_duplicates : look for line items given twice in a bill of any size, not only up to `DUPLICATE_CHECK_ROWS`
    """

    tag_keys: tuple[str, ...] = (
        "team",
        "user",
        "owner",
        "cost_center",
        "department",
        "project",
        "app",
        "environment",
        "workload",
        "name",
    )
    all_duplicates: bool = False


@dataclass(frozen=True)
class Check:
    """Rows for which `sql` is true make the bill unusable: what was found there and how to mend it."""

    sql: str
    found: str
    mend: str


@dataclass(frozen=True)
class Grouping:
    """What is read in the one pass over a file.

    reads  : SQL over the file's columns, by internal name: each column is parsed here, once; `row_name` names a row to a person
    rows   : SQL over `reads`: what several of the following need
    keys   : SQL over `reads` and `rows`: the group keys
    sums   : SQL over them: aggregates of each group
    checks : SQL over them
    fine   : SQL over them that holds only where no check does, looked at first because it is quick
    suspect: SQL over them that finds what to look at when a whole period does not add up
    """

    reads: Mapping[str, str]
    rows: Mapping[str, str]
    keys: Mapping[str, str]
    sums: Mapping[str, str]
    checks: tuple[Check, ...]
    fine: str = "false"
    duplicate_key: str | None = None
    tag_key: str = ""
    suspect: str = "true"
    notes: tuple[str, ...] = field(default=())


class BillFormat(Protocol):
    """One outside bill format."""

    title: str
    """Name and version of the format, for people."""

    def sniff(self, table: Table) -> float:
        """Confidence 0..1 that the table is of this format, from its columns alone."""
        ...

    def missing(self, table: Table) -> list[str]:
        """Columns without which no total can be made."""
        ...

    def group(self, connection: duckdb.DuckDBPyConnection, table: Table, options: Options) -> Grouping:
        """What is read from the file in one pass; `connection` may look up the keys of a map column."""
        ...

    def facts(self) -> Mapping[str, str]:
        """SQL over the groups of what several columns of `derive` depend on."""
        ...

    def derive(self) -> Mapping[str, str]:
        """SQL by `bill_line` column over the groups (keys, `rows` and sums of `group`) and `facts`."""
        ...

    def doubts(self) -> str | None:
        """SQL over `raw_group` giving (period, reason) where amortised cost cannot be trusted."""
        ...

    def remarks(self) -> str | None:
        """SQL over `raw_group` giving (period, note) for what a reader should know."""
        ...


FORMATS: Registry[BillFormat] = Registry("bill format", __name__)
