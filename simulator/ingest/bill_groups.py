"""`raw_group`: the rows of a bill grouped by what decides their cost, in one pass over its files."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

import duckdb

from simulator.ingest.bill_derive import named
from simulator.ingest.bill_lines import SOURCE_ROWS
from simulator.ingest.formats import Grouping
from simulator.ingest.inflate import NotInBlocks, block_relations
from simulator.ingest.tabular import Table, letters, quoted, without_nulls

DUPLICATE_CHECK_ROWS = 5_000_000  # up to it, line items given twice are always looked for; above it that takes longer than all else
_PACKED_BYTES = 4 * 1024 * 1024  # packed text below it is read in one go


def read_groups(connection: duckdb.DuckDBPyConnection, table: Table, grouping: Grouping, scratch: Path, *, all_duplicates: bool) -> None:
    """`raw_group`: one pass over the file. What no column of the file decides is added afterwards, not grouped or summed."""
    fixed = _fixed(grouping)
    known = {**grouping.reads, **grouping.rows}
    constant = {name: sql for name, sql in {**grouping.keys, **grouping.sums}.items() if _names(sql, known) <= set(fixed)}
    keys = {name: sql for name, sql in grouping.keys.items() if name not in constant}
    summed = {name: sql for name, sql in grouping.sums.items() if name not in constant}
    same = _read_alike({**keys, **summed}, grouping)
    weight = table.columns.get(letters(SOURCE_ROWS), ())[:1]
    counted = _weighed if weight else str
    by = {name: sql for name, sql in keys.items() if name not in same}
    sums = (
        {"rows": "count(*)"}
        | {name: sql for name, sql in summed.items() if name not in same}
        | {"bad": "count_if(is_bad IS NOT NULL)" if weight else "count(is_bad)"}
    )
    groups = [*named(by), *named({name: counted(sql) for name, sql in sums.items()})]
    bad = " OR ".join(check.sql for check in grouping.checks if not _names(check.sql, known) <= set(fixed)) or "false"
    more = [f"CAST({quoted(column.name)} AS BIGINT) AS weight" for column in weight]

    def grouped(relation: str) -> str:
        is_bad = f"CASE WHEN {grouping.fine} THEN NULL WHEN {bad} THEN 1 END AS is_bad"
        rows = f"(SELECT *, {is_bad} FROM {row_relation(relation, grouping, *more)})"
        return f"SELECT {', '.join(groups)} FROM {rows} GROUP BY ALL"

    together = f"SELECT {', '.join([*by, *(f'sum({name}) AS {name}' for name in sums)])} FROM raw_block GROUP BY ALL"
    most = sys.maxsize if all_duplicates else DUPLICATE_CHECK_ROWS
    in_blocks = _read_blocks(connection, table, grouped, scratch, identity=grouping.duplicate_key, most_rows=most)
    own = {name: same.get(name, name) for name in (*grouping.keys, *grouping.sums) if name not in constant}
    items = [f"{_told(table, grouping, name, source)} AS {name}" for name, source in own.items()]
    outer = named({name: _of_rows(sql) for name, sql in constant.items()})
    once = ", ".join(named(fixed)) or "0 AS nothing"
    groups_of_all = together if in_blocks else grouped(table.relation)
    select = f"SELECT {', '.join([*items, 'rows', 'bad', *outer])} FROM (SELECT *, {once} FROM ({groups_of_all}))"
    connection.execute(f"CREATE OR REPLACE TEMP TABLE raw_group AS {select}").fetchall()
    connection.execute("DROP TABLE IF EXISTS raw_block").fetchall()


def _read_blocks(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    grouped: Callable[[str], str],
    scratch: Path,
    *,
    identity: str | None,
    most_rows: int,
) -> bool:
    """`raw_block`: the groups of each block of packed text. False where there is none, or a block cannot be read by itself.

    `raw_identity`: what tells the rows of the blocks apart, unless they are more than `most_rows`.
    """
    connection.execute("DROP TABLE IF EXISTS raw_identity").fetchall()
    if not any(part.is_packed and part.file.stat().st_size >= _PACKED_BYTES for part in table.parts):
        return False
    try:
        with closing(block_relations(table.parts, scratch)) as relations:
            for number, relation in enumerate(relations):
                into = "INSERT INTO {}" if number else "CREATE OR REPLACE TEMP TABLE {} AS"
                connection.execute(f"{into.format('raw_block')} {grouped(relation)}").fetchall()
                if identity:
                    told = connection.execute(f"{into.format('raw_identity')} SELECT {identity} AS identity FROM {relation}").fetchall()
                    most_rows -= told[0][0]
                if identity and most_rows < 0:
                    identity = None
                    connection.execute("DROP TABLE raw_identity").fetchall()
    except (NotInBlocks, duckdb.InvalidInputException, duckdb.IOException):
        return False  # read as a whole it is either fine or refused with its line
    return True


def count_repeated(connection: duckdb.DuckDBPyConnection, table: Table, identity: str) -> int:
    """How many rows repeat another one's identity; spills to disk, so memory is bounded whatever the size."""
    known = connection.execute("SELECT 1 FROM information_schema.tables WHERE table_name = 'raw_identity'").fetchall()
    told = "identity FROM raw_identity" if known else f"{identity} AS identity FROM {table.relation}"
    repeated = connection.execute(f"SELECT count(*) - count(DISTINCT identity) FROM (SELECT {told})").fetchall()[0][0]
    connection.execute("DROP TABLE IF EXISTS raw_identity").fetchall()
    return int(repeated)


def row_relation(relation: str, grouping: Grouping, *more: str) -> str:
    """SQL of a FROM clause: the rows of `relation` by the grouping's names; `more` are columns to keep beside them.

    Columns are parsed in one SELECT and looked at in another, so that none is parsed again for each check.
    """
    reads = [*more, *named(grouping.reads)]
    return f"(SELECT *, {', '.join(named(grouping.rows))} FROM (SELECT {', '.join(reads)} FROM {relation}))"


def _fixed(grouping: Grouping) -> dict[str, str]:
    """Reads and rows that no column of the file decides."""
    fixed = {name: sql for name, sql in grouping.reads.items() if '"' not in sql}  # columns are quoted, so these name none
    for name, sql in grouping.rows.items():
        if _names(sql, {**grouping.reads, **grouping.rows}) <= set(fixed):
            fixed[name] = sql
    return fixed


def _read_alike(items: Mapping[str, str], grouping: Grouping) -> dict[str, str]:
    """Keys and sums that are the same as an earlier one, which is read in their place."""
    other = {name: sql for name, sql in grouping.rows.items() if sql in grouping.reads}
    first: dict[str, str] = {}
    alike = {}
    for name, sql in items.items():
        plain = re.sub(r"\b[a-z_]+\b", lambda word: other.get(word[0], word[0]), sql)
        earlier = first.setdefault(grouping.reads.get(plain, plain), name)
        if earlier != name:
            alike[name] = earlier
    return alike


def _weighed(sql: str) -> str:
    """A count over rows that stand for several rows each."""
    match = re.fullmatch(r"count_if\((.*)\)", sql, re.DOTALL)
    if match is None and sql != "count(*)":
        return sql
    return f"coalesce(sum(weight) FILTER (WHERE {match[1] if match else 'true'}), 0)::BIGINT"


def _names(sql: str, known: Mapping[str, str]) -> set[str]:
    return set(re.findall(r"\b[a-z_]+\b", re.sub(r"'[^']*'", "", sql))) & set(known)


def _of_rows(sql: str) -> str:
    """An aggregate over `rows` equal rows, or a key that is the same in all of them."""
    match = re.fullmatch(r"(sum|count_if)\((.*)\)", sql, re.DOTALL)
    if match is None:
        return f"({sql})"
    return f"({match[2]}) * rows" if match[1] == "sum" else f"CASE WHEN {match[2]} THEN rows ELSE 0 END"


def rows_alone(table: Table, grouping: Grouping, relation: str, *more: str) -> str:
    """SQL of a SELECT: every row as a group of its own, shaped like `raw_group`, with the columns `more` of `relation` beside it."""
    keys = {name: _told(table, grouping, name, sql) for name, sql in grouping.keys.items()}
    sums = {name: _of_rows(sql) for name, sql in grouping.sums.items()}
    items = [*more, "row_name", "1 AS rows", *(f"{sql} AS {name}" for name, sql in {**keys, **sums}.items())]
    return f"SELECT {', '.join(items)} FROM (SELECT *, 1 AS rows FROM {row_relation(relation, grouping, *more)})"


def _told(table: Table, grouping: Grouping, name: str, sql: str) -> str:
    """A key with the spellings of nothing that a parquet column may hold taken for nothing."""
    return without_nulls(sql) if not table.is_text and grouping.reads.get(name, "").startswith("coalesce(") else sql
