"""The store: one duckdb file that holds imported bills and usage, each part with its own schema version.

A part (bill rows, usage) calls `ensure_part` with its table definitions; a store written by another version of a part
is refused with a clear message instead of being misread. Writers use `transaction`, so a reader and a killed process
see the store as it was before or after a change, never in between.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from models.errors import InputError, Problem

STORE_VERSION = 1
MEMORY_LIMIT_MIB = 320  # duckdb's own share; spills to disk beyond it, so that a whole import stays under 512 MiB


def open_store(path: Path | str | None, *, read_only: bool = False) -> duckdb.DuckDBPyConnection:
    """Open the store at `path`, creating it unless `read_only`; None is a store in memory.

    Raises `InputError` when the file is no store, is held by another process, or was written by a newer version.
    """
    if read_only and (path is None or not Path(path).is_file()):
        raise InputError(Problem(str(path), "no store", "import a bill or usage first with --store"))
    try:
        connection = duckdb.connect(":memory:" if path is None else str(path), read_only=read_only)
    except duckdb.Error as error:
        raise InputError(_why_not(str(path), str(error))) from None
    try:
        connection.execute(f"SET memory_limit='{MEMORY_LIMIT_MIB}MiB'")
        connection.execute("SET TimeZone='UTC'")
        connection.execute("SET preserve_insertion_order=false")
        _without_progress_bar(connection)
        _check_version(connection, str(path), read_only=read_only)
    except BaseException:
        connection.close()
        raise
    return connection


def scratch_connection() -> duckdb.DuckDBPyConnection:
    """An empty database in memory for one piece of work: UTC, bounded, and silent."""
    connection = duckdb.connect()
    connection.execute(f"SET memory_limit='{MEMORY_LIMIT_MIB}MiB'")
    connection.execute("SET TimeZone='UTC'")
    _without_progress_bar(connection)
    return connection


def _without_progress_bar(connection: duckdb.DuckDBPyConnection) -> None:
    """Commands draw their own bar. A notebook without widgets has it off already and refuses to be told so."""
    if connection.execute("SELECT current_setting('enable_progress_bar')").fetchall() == [(True,)]:
        connection.execute("SET enable_progress_bar=false")


def ensure_part(connection: duckdb.DuckDBPyConnection, part: str, version: int, ddl: str, *, read_only: bool = False) -> None:
    """Create the tables of `part` on first use; refuse a store whose `part` has another schema version."""
    found = _version_of(connection, part)
    if found is None:
        if read_only:
            raise InputError(Problem("store", f"no {part}", f"import {part} into this store first"))
        with transaction(connection):
            connection.execute(ddl)
            connection.execute("INSERT INTO schema_version VALUES (?, ?)", [part, version])
    elif found != version:
        what = f"{part} of schema version {found}, this program writes {version}"
        raise InputError(Problem("store", what, "import the sources again into a new store"))


@contextmanager
def transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """All of the block's changes or none."""
    connection.execute("BEGIN TRANSACTION")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _check_version(connection: duckdb.DuckDBPyConnection, place: str, *, read_only: bool) -> None:
    tables = {row[0] for row in connection.execute("SELECT table_name FROM information_schema.tables").fetchall()}
    if "schema_version" not in tables:
        if tables or read_only:
            raise InputError(Problem(place, "a duckdb file that is not a store", "give another --store file"))
        connection.execute("CREATE TABLE schema_version (part VARCHAR PRIMARY KEY, version INTEGER NOT NULL)")
        connection.execute("INSERT INTO schema_version VALUES ('store', ?)", [STORE_VERSION])
        return
    version = _version_of(connection, "store")
    if version != STORE_VERSION:
        found = f"store version {version}, this program reads {STORE_VERSION}"
        raise InputError(Problem(place, found, "import the sources again into a new store"))


def _version_of(connection: duckdb.DuckDBPyConnection, part: str) -> int | None:
    # fetchall, not fetchone: duckdb 2 keeps a connection busy until a result is read to its end
    rows = connection.execute("SELECT version FROM schema_version WHERE part = ?", [part]).fetchall()
    return int(rows[0][0]) if rows else None


def _why_not(place: str, message: str) -> Problem:
    text = message.splitlines()[0] if message else "an error"
    if "lock" in message.lower():
        return Problem(place, "a store that another process holds open", "wait for it to end, or give another --store file")
    if "not a valid DuckDB" in message or "serializ" in message.lower():
        return Problem(place, "a file that is not a store", "give another --store file")
    return Problem(place, f"a store that cannot be opened ({text})", "check the path and its permissions")
