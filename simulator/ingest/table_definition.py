"""Column lists that AWS ships beside a bill: for text files without a header, as Hive and Athena write them.

A report's manifest lists `columns` ({category, name} in a legacy CUR, {name} in Data Exports); `...-create-table.sql` is the statement
that makes the Athena table. Columns by which a table is partitioned are not in its files.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_LEVELS = 4  # AWS puts create-table.sql at the period's folder, the data in year=/month= folders below
_LARGEST_BYTES = 4 * 1024 * 1024


def definitions_beside(file: Path) -> Iterator[tuple[str, ...]]:
    """Column lists found in the folder of `file` and the three above it, nearest first."""
    for folder in list(file.absolute().parents)[:_LEVELS]:
        for found in sorted(folder.iterdir()):
            if found.suffix.lower() in (".sql", ".ddl", ".json") and found.is_file() and found.stat().st_size <= _LARGEST_BYTES:
                text = found.read_text(encoding="utf-8", errors="replace")
                columns = columns_of_manifest(text) if found.suffix.lower() == ".json" else columns_of_statement(text)
                if columns:
                    yield columns


def columns_of_manifest(text: str) -> tuple[str, ...]:
    """The columns of a report manifest, empty when it lists none."""
    try:
        document: Any = json.loads(text)
    except ValueError:
        return ()
    columns = document.get("columns") if isinstance(document, dict) else None
    if not isinstance(columns, list) or not all(isinstance(column, dict) and isinstance(column.get("name"), str) for column in columns):
        return ()
    return tuple("/".join(filter(None, (str(column.get("category") or ""), column["name"]))) for column in columns)


def columns_of_statement(text: str) -> tuple[str, ...]:
    """The columns of a `CREATE TABLE` statement, without those it is partitioned by; empty when there is none.

    Examples
    --------
    >>> columns_of_statement("CREATE EXTERNAL TABLE `a`.`b` (`x` string, y map<string,string> COMMENT 'p, q') PARTITIONED BY (m int)")
    ('x', 'y')
    """
    plain = re.sub(r"--[^\n]*|/\*.*?\*/", "", text, flags=re.DOTALL)
    start = re.search(r"\bCREATE\s+(?:EXTERNAL\s+)?TABLE\b[^(]*\(", plain, re.IGNORECASE)
    if start is None:
        return ()
    depth, items, item = 1, [], ""
    for token in re.findall(r"'(?:[^']|'')*'|[^']", plain[start.end() :]):
        depth += (token in "(<") - (token in ")>")
        if depth == 0:
            break
        if token == "," and depth == 1:
            items.append(item)
            item = ""
        else:
            item += token
    names = (re.match(r'\s*(?:[`"]([^`"]+)[`"]|(\S+))', part) for part in (*items, item))
    return tuple(name[1] or name[2] for name in names if name)
